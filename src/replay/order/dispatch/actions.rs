//! What the dispatcher asks for.

use std::sync::Arc;

use super::super::Start;
use super::super::stalls::{Probe, StallBreak};
use crate::pglog::SessionId;
use crate::replay::settings::Login;

/// What has to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DispatchAction {
    /// Let a session start its statements up to this place.
    Start(Start),
    /// Let a session start this statement ahead of its turn, if it has not had it meanwhile.
    RunAhead(Start, StallBreak),
    /// Cancel this statement if it still runs, undo its transaction and hold it.
    Withdraw(Start),
    /// Let this statement run again, which was held or has failed.
    RunAgain(Start),
    /// The failure of this statement counts: nothing is to come that would free it.
    AcceptFailure(Start),
    /// This statement, which runs, has waited for an end that comes now.
    SeesLess(Start),
    /// Close the session's connection: others wait for what it holds, and no record of it is left that
    /// would end that.
    GiveUp {
        /// The session.
        session: SessionId,
        /// What it holds.
        holding: Holding,
    },
    /// A statement is held to run again behind an end.
    HeldToRunAgain {
        /// Its session.
        session: SessionId,
        /// Whether it had failed on the target alone.
        has_failed: bool,
    },
    /// Statements wait for locks of a connection to the target that is not kreplay's.
    ReportForeign(i32),
    /// Everything waits for what has not been read.
    ReadOn,
    /// Ask the target whose locks statements wait for.
    Probe(Probe),
    /// Ask the target which of these statements have surely drawn from no sequence.
    AskDrawn {
        /// The end that they wait for.
        end: Start,
        /// The statements.
        waiters: Vec<Start>,
    },
    /// Read the catalog of this login's database.
    ReadCatalog {
        /// Who would see it.
        login: Arc<Login>,
        /// Whether nothing continues before.
        is_waited_for: bool,
    },
    /// Say [`catalogs_rested`](super::Dispatcher::catalogs_rested) after that long.
    RestCatalogs(std::time::Duration),
    /// A database's catalog can't be read for now, which later statements may change.
    CatalogNotYet {
        /// The database.
        database: String,
        /// Why not.
        error: String,
    },
    /// A database's catalog can't be read: each statement in it waits for every other.
    CatalogUnread {
        /// The database.
        database: String,
        /// Why not.
        error: String,
    },
    /// Show what the order costs.
    ShowCosts,
}

/// What a session holds that others wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holding {
    /// Locks on the target.
    Locks,
    /// A transaction whose end they wait for in the order.
    Transaction,
}
