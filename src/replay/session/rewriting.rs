//! Statements that name something of the source's server: a backend, an exported snapshot.

use super::is_want_of_snapshot;
use super::snapshots::{Rewritten, Snapshots};
use crate::pglog::statement::SourceEnd;
use crate::replay::account::ledger::Skipped;
use crate::replay::order::backends::Backends;
use crate::replay::work::Work;
use crate::sql::Outline;

/// What is sent of a statement.
#[derive(Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// Its own text.
    Own,
    /// Its text with what stands on the target for what it names, and without so many imports of
    /// snapshots that stand for nothing there.
    Rewritten(String, usize),
    /// Nothing: on the target there is no such thing. For want of so many snapshots.
    Withheld(Skipped, usize),
}

impl Outgoing {
    /// How many imports of snapshots are left out.
    pub fn left_out(&self) -> usize {
        match self {
            Self::Own => 0,
            Self::Rewritten(_, left_out) | Self::Withheld(_, left_out) => *left_out,
        }
    }

    /// What is sent of this statement, where these backends and snapshots are known.
    pub fn of(work: &Work, backends: &Backends, snapshots: &Snapshots) -> Self {
        let outline = &work.statement.outline;
        if !outline.signals_backend && !outline.imports_snapshot {
            return Self::Own;
        }
        let mut text = work.statement.sql.to_string();
        if outline.signals_backend {
            match backends.rewrite_backend_pids(&text) {
                Some(rewritten) => text = rewritten,
                None => return Self::Withheld(Skipped::UnknownPid, 0),
            }
        }
        // What failed on the source for want of the snapshot does so here.
        let code = match work.end().source {
            SourceEnd::Failed(code) => Some(code),
            _ => None,
        };
        if !outline.imports_snapshot || code.is_some_and(is_want_of_snapshot) {
            return Self::Rewritten(text, 0);
        }
        let Rewritten { sql, left_out } = snapshots.rewrite(&text, &Outline::of(&text));
        match left_out {
            1.. if code.is_some() => Self::Rewritten(text, 0),
            1.. if outline.parts.len() == 1 => Self::Withheld(Skipped::UnknownSnapshot, left_out),
            _ => Self::Rewritten(sql, left_out),
        }
    }
}

#[cfg(test)]
mod tests;
