//! The values of labels that stand for what the actors do.

use crate::label::label;

label! {
    /// What a session is doing: label `state`.
    SessionState {
        /// Its connection is being opened, or waited for.
        Connecting => "connecting",
        /// A statement runs or is sent.
        Active => "active",
        /// Connected, nothing to do, no transaction open.
        Idle => "idle",
        /// Connected, nothing to do, a transaction open.
        IdleInTransaction => "idle_in_transaction",
        /// Without a connection and without anything to do, or what it does is not due (--speed).
        Disconnected => "disconnected",
    }
}

label! {
    /// How a statement that waited for a lock was freed: label `reason`.
    StallBreak {
        /// The blocker's COMMIT or ROLLBACK, its next record, ran early.
        EarlyEnd => "early_end",
        /// A statement that waited for such an early end, behind which it began on the source, was
        /// canceled before and runs again behind it; or it had failed on the target alone for what that end
        /// frees.
        RunAgain => "run_again",
        /// The blocker's session went on alone until the lock was free.
        EarlyAdvance => "early_advance",
        /// The blocker had no record left: its connection was closed.
        BlockerClosed => "blocker_closed",
        /// Nothing had ended for --stall-timeout: what everything waited for was given up, or not waited
        /// for any longer.
        GivenUp => "given_up",
    }
}

label! {
    /// What became of the state of a session that gave its connection to another: label `reason`.
    Eviction {
        /// It is made again with the next connection: settings, prepared statements, LISTENs.
        Restorable => "restorable",
        /// It may have had temporary tables, advisory locks or cursors WITH HOLD, which are lost.
        StateLost => "state_lost",
        /// Its open transaction was rolled back, and is run again before it goes on.
        RolledBack => "rolled_back",
    }
}

label! {
    /// Why a session ended: label `reason`.
    SessionEnd {
        /// Its client disconnected.
        Disconnected => "disconnected",
        /// The source's server ended it with an error.
        Terminated => "terminated",
        /// The source's server crashed, was stopped or started: no session outlives that.
        ServerEnded => "server_ended",
        /// It was silent for --idle-timeout and had nothing set up that would be missed.
        Idle => "idle",
        /// It was silent for a day: the record of its end is lost.
        Lost => "lost",
        /// The target refused its connection for good; nothing of it was replayed since.
        Refused => "refused",
        /// kreplay stopped.
        Drained => "drained",
        /// Its partition went to another kreplay.
        HandedOver => "handed_over",
    }
}

label! {
    /// Where an error was raised: label `side`.
    Side {
        /// On the source, as its log tells.
        Source => "source",
        /// On the target.
        Target => "target",
    }
}
