//! The PostgreSQL that the statements are replayed on. Knows nothing of Kafka.
//!
//! [`Target`] knows where the server is and how to log in; [`Target::connect`] opens a
//! [`Connection`] for one replayed session, [`Target::observe`] an [`Observer`] that looks at the
//! server from outside the sessions. A [`Connection`] takes [`Request`]s, each ending in exactly
//! one answer, a [`Reply`] or [`Lost`], in the order they were made; any number may be under way.
//!
//! # How it is done
//!
//! tokio-postgres logs in. What its interface can't express (portals and statements under the
//! source's own names, several Executes under one Sync, no look-up of types, the transaction status,
//! COPY), and what it costs for every statement and every open connection, is left behind then:
//!
//! ```text
//!                    tokio-postgres: log-in
//!                          │
//! Connection::send ────> wire ──> TLS ──> TCP or Unix socket
//!       ^                  │
//!       └──── Reply ───────┘
//! ```
//!
//! The `wire` writes the requests and reads the answers, in a task of its own for each connection.
//! `transport` opens the stream below it, `hosts` chooses among several servers, `tls` decides
//! which certificates are trusted, `certificate` finds our own, `credentials` finds the password.

mod catalog;
mod certificate;
mod connection;
mod credentials;
mod error;
mod hosts;
mod notice;
mod observer;
mod reply;
mod request;
mod settings;
mod statistics;
mod tls;
mod transport;
mod wire;

pub use catalog::{CatalogReader, CatalogRows};
pub use connection::{Connection, Target};
pub use error::{CancelError, ConnectError, ObserveError, TargetError};
pub use observer::Observer;
pub use reply::{Lost, Reply, ServerError};
pub use request::{Batch, Request, ResultRows};
pub use settings::{
    CertificateFiles, ChannelBinding, ClientCertificate, DEFAULT_PORT, Host, RootCertificates,
    SslMode, TargetSessionAttrs, TargetSettings, TlsVersion, TlsVersions,
};
pub use statistics::StatementsView;
#[cfg(any(test, feature = "fuzzing"))]
pub use wire::any_answers;
