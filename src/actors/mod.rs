//! The actors: thin shells around the decisions of [`replay`](crate::replay).
//!
//! Messages go down, consumer → supervisor → session → sequencer; what goes back up goes through a
//! [`Recipient`](actix::Recipient), so that no actor knows who listens above it.

pub mod admission;
pub mod consumer;
pub mod load;
pub mod messages;
pub mod overview;
pub mod panic_guard;
pub mod sequencer;
pub mod session;
mod spin;
pub mod supervisor;
pub mod target_reachability;
