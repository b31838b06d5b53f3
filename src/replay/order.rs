//! When a statement may start: the order across sessions.

pub mod conflict;
mod serial;
pub mod stall_watch;
pub mod wait_chain;

pub use serial::SerialOrder;

use crate::pglog::SessionId;
use crate::replay::work::Seq;

/// A session may start its statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// The session.
    pub session: SessionId,
    /// Up to and with this place.
    pub seq: Seq,
}
