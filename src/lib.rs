//! kreplay replays the queries of a live PostgreSQL server on another one, as a stream.
//!
//! # The data path
//!
//! ```text
//! Kafka ──> Consumer ──> parse ──> filter ──> number ──> Session ──> target PostgreSQL
//! (topic)   (actor)      (pure)    (pure)     (pure)     (actor)          │
//!    ^                                                      │ turn?       │ outcome
//!    │                                                   Sequencer <──────┤
//!    └── commit offset <── Checkpoint (pure) <────────────────────────────┘
//!                          Supervisor: owns the session map; idle timeouts, restarts, drain
//! ```
//!
//! # The modules, in the order of the data
//!
//! - [`pglog`]: a payload becomes a log record, a log record becomes (part of) a statement. [`sql`]:
//!   as much of a statement's text as a replay has to understand. Pure.
//! - [`replay`]: every decision: what is filtered, what may start, what is settled. Pure.
//! - [`source`]: Kafka and files. [`postgres`]: the target. Neither knows the other.
//! - `actors`: consumer, session, sequencer, supervisor and admission: thin shells around `replay`.
//! - [`check`] looks at all of these before a replay, and says whether it can work; [`compare`] puts two
//!   reports side by side afterwards.
//! - [`daemon`] starts the actors, downstream first; [`escape`] keeps what is shown harmless; [`config`] is what the command line
//!   ([`cli`]) means; `health`, `http` and [`metrics`] show what happens. A setting is declared at
//!   the field that holds it, by `flag_values` of how values are written.
//!
//! What each part owes the others is in `docs/internals/architecture.md`.
//!
//! Imports go one way: `sql → pglog → replay → {source, postgres} → actors → daemon → main`, read
//! "is used by".

// The library is the program's, and its tests'.
#![warn(unreachable_pub)]

mod actors;
#[cfg(any(test, feature = "fuzzing"))]
pub mod any_bytes;
pub mod check;
pub mod cli;
pub mod compare;
pub mod config;
pub mod daemon;
mod display;
mod document;
pub mod escape;
pub mod exit;
mod flag_values;
mod health;
mod http;
mod label;
pub mod metrics;
pub mod mock_broker;
pub mod pglog;
mod pipeline;
pub mod postgres;
mod private_file;
mod probe;
pub mod replay;
mod signals;
pub mod source;
pub mod sql;
