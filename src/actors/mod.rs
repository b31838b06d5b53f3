//! The actors: thin shells around the decisions of [`replay`](crate::replay).
//!
//! Messages go down, consumer → supervisor → session → sequencer; what goes back up goes through a
//! [`Recipient`](actix::Recipient), so that no actor knows who listens above it.

pub(crate) mod admission;
pub(crate) mod consumer;
pub(crate) mod load;
pub(crate) mod messages;
pub(crate) mod overview;
pub(crate) mod panic_guard;
pub(crate) mod sequencer;
pub(crate) mod session;
mod spin;
pub(crate) mod supervisor;
pub(crate) mod target_reachability;
pub(crate) mod vacated;
