//! Statements that start ahead of their turn, and in which order.

use std::collections::HashSet;

use super::locks::Locks;
use crate::replay::order::Start;
use crate::replay::work::Seq;

/// A statement that could start ahead of its turn: others wait for locks of its session, or it is the
/// next in the order and they wait for a prepared transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutOfTurnStart {
    /// The statement.
    pub start: Start,
    /// Whether it ends its transaction, and with it the locks.
    pub ends: bool,
    /// Who blocks the others: its session's backend, or 0.
    pub blocker: i32,
    /// The first of the statements that wait for the blocker.
    pub waiter: Seq,
    /// What it waits for in the order, in the end.
    pub ahead: Vec<Ahead>,
}

/// What a statement waits for in the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ahead {
    /// A statement that this backend runs, or for which it has to end one that it runs.
    Runs(i32),
    /// One that may run and that no backend runs: it is about to be sent, or has just ended.
    Unsent,
    /// One that has not been read.
    Unread,
}

/// Which of these start ahead of their turn.
///
/// Those that nothing else brings on: all that the statement waits for in the order waits itself for
/// the locks that it is to free. Whatever else it waits for comes to an end without it, so the order of
/// the two is kept; and so is that among those that start. `waits_for(a, b)` tells whether a waits for b
/// in the order, directly or through others. Where they wait for nothing but what each other's locks
/// hold up, the waiter that is the first in the log decides, as with one statement after the other.
pub fn overtaking(
    mut all: Vec<OutOfTurnStart>,
    locks: &Locks,
    waits_for: impl Fn(Seq, Seq) -> bool,
) -> Vec<OutOfTurnStart> {
    all.sort_unstable_by_key(|it| it.start.seq);
    let mut starts: Vec<&OutOfTurnStart> = Vec::new();
    let all_ahead = |it: &OutOfTurnStart, freed: &dyn Fn(&HashSet<i32>) -> bool| {
        it.ahead.iter().all(|ahead| match ahead {
            Ahead::Runs(backend) => freed(&locks.ahead_of(*backend)),
            Ahead::Unsent | Ahead::Unread => false,
        })
    };
    for it in &all {
        let alone = all_ahead(it, &|blockers| blockers.contains(&it.blocker));
        if alone && !starts.iter().any(|earlier| waits_for(it.start.seq, earlier.start.seq)) {
            starts.push(it);
        }
    }
    if starts.is_empty() {
        let blocks = |backend: &i32| all.iter().any(|it| it.blocker == *backend);
        let together = |it: &&OutOfTurnStart| {
            all_ahead(it, &|blockers| {
                let last = |backend: &&i32| !locks.waits(**backend);
                !blockers.is_empty() && blockers.iter().filter(last).all(blocks)
            })
        };
        starts.extend(all.iter().filter(together).min_by_key(|it| it.waiter));
    }
    starts.into_iter().cloned().collect()
}

#[cfg(test)]
mod tests;
