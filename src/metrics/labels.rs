//! The values of labels that stand for what the actors do.

use strum::{IntoStaticStr, VariantArray};

/// What a session is doing: label `state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum SessionState {
    /// Its connection is being opened, or waited for.
    Connecting,
    /// A statement runs or is sent.
    Active,
    /// Connected, nothing to do, no transaction open.
    Idle,
    /// Connected, nothing to do, a transaction open.
    IdleInTransaction,
    /// Without a connection and without anything to do, or what it does is not due (--speed).
    Disconnected,
}

/// What became of the state of a session that gave its connection to another: label `reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Eviction {
    /// It is made again with the next connection: settings, prepared statements, LISTENs.
    Restorable,
    /// It may have had temporary tables, advisory locks or cursors WITH HOLD, which are lost.
    StateLost,
    /// Its open transaction was rolled back, and is run again before it goes on.
    RolledBack,
}

/// Why a session ended: label `reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum SessionEnd {
    /// Its client disconnected.
    Disconnected,
    /// The source's server ended it with an error.
    Terminated,
    /// The source's server crashed, was stopped or started: no session outlives that.
    ServerEnded,
    /// It was silent for --idle-timeout and had nothing set up that would be missed.
    Idle,
    /// It was silent for a day: the record of its end is lost.
    Lost,
    /// The target refused its connection for good; nothing of it was replayed since.
    Refused,
    /// kreplay stopped.
    Drained,
    /// Its partition went to another kreplay.
    HandedOver,
}

/// Whether the verdict on its shape rests on a call: label `pace`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Pace {
    /// It does: the call ran at the source's pace, on a warm target.
    Judged,
    /// It ran while the replay caught up, was held up, or had another --speed.
    OffPace,
    /// It ran soon after the start (--warm-up).
    Cold,
}

/// Who measured a statement on the target: label `clock`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Clock {
    /// The target's server.
    Server,
    /// kreplay, from sending to the last answer.
    Client,
}

/// Why an HTTP request was refused: label `reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum HttpRefusal {
    /// It can't be read: malformed, too large, too slow or broken off.
    Unreadable,
    /// It asks for the report by a name that is neither an address, localhost nor one of --http-host.
    Host,
}

/// Where an error was raised: label `side`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Side {
    /// On the source, as its log tells.
    Source,
    /// On the target.
    Target,
}
