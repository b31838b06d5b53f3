//! Who holds up whom: each session with those that it waits for, by what the order and the target say.

use std::collections::HashMap;

use super::Start;
use super::conflict::Awaited;
use super::stalls::PREPARED;
use super::view::OrderView;
use super::wait_chain::{ForeignBackend, Holder, WaitState, Waiter};
use crate::pglog::SessionId;
use crate::replay::work::Seq;

/// What the target says of who waits for locks.
#[derive(Debug, Default)]
pub struct LocksHeld {
    /// By backend, those that it waits for; [`PREPARED`] for a prepared transaction.
    blockers: HashMap<i32, Vec<i32>>,
    /// By backend, the prepared transactions among them.
    prepared: HashMap<i32, Vec<String>>,
    /// What connections are that are not ours.
    foreign: HashMap<i32, ForeignBackend>,
}

impl LocksHeld {
    /// This backend waits for those, and for these prepared transactions.
    pub fn note(&mut self, waiter: i32, blockers: Vec<i32>, prepared: Vec<String>) {
        self.blockers.insert(waiter, blockers);
        self.prepared.insert(waiter, prepared);
    }

    /// This is what a connection is that is not ours.
    pub fn note_foreign(&mut self, backend: ForeignBackend) {
        self.foreign.insert(backend.pid, backend);
    }

    /// The backends that hold locks which others wait for.
    pub fn blockers(&self) -> impl Iterator<Item = i32> {
        let blockers = self.blockers.values().flatten().copied();
        blockers.filter(|blocker| *blocker != PREPARED)
    }
}

/// Notes with each session who holds up its turn or the lock that it waits for. `served_by` tells the
/// session of a backend.
pub fn note_holders(
    waiters: &mut [Waiter],
    order: &impl OrderView,
    locks: &LocksHeld,
    served_by: impl Fn(i32) -> Option<SessionId>,
) {
    let finishers: HashMap<String, SessionId> = waiters
        .iter()
        .flat_map(|it| it.finishes.iter().map(|gid| (gid.to_string(), it.session)))
        .collect();
    let holders: Vec<Vec<Holder>> = waiters
        .iter()
        .map(|it| match it.wait_state {
            WaitState::Request(backend) => of_lock(backend, locks, &finishers, &served_by),
            WaitState::Turn(seq) => of_turn(it.session, seq, order),
            _ => Vec::new(),
        })
        .collect();
    for (waiter, holders) in waiters.iter_mut().zip(holders) {
        waiter.holders.extend(holders);
    }
}

/// Who holds up the turn of a session's statement.
fn of_turn(session: SessionId, seq: Seq, order: &impl OrderView) -> Vec<Holder> {
    if let Some(database) = order.catalog_awaited_by(seq) {
        return vec![Holder::Catalog(database)];
    }
    if let Some(turn) = order.turn().filter(|_| order.may_start(seq)) {
        let is_other = turn.session != session;
        return is_other.then_some(Holder::Session(turn.session)).into_iter().collect();
    }
    let prepared = order.prepared_awaited_by(seq).into_iter();
    let prepared = prepared.map(|gid| Holder::Prepared { gid: gid.to_owned(), finisher: None });
    let awaited = order.awaited_by(seq, &|_| false).into_iter().map(|awaited| match awaited {
        Awaited::Statement(Start { session, .. }) => Holder::Session(session),
        Awaited::Unread => Holder::Unread,
    });
    prepared.chain(awaited).filter(|holder| *holder != Holder::Session(session)).collect()
}

/// Who holds the locks that a backend waits for.
fn of_lock(
    backend: i32,
    locks: &LocksHeld,
    finishers: &HashMap<String, SessionId>,
    served_by: impl Fn(i32) -> Option<SessionId>,
) -> Vec<Holder> {
    let mut holders = Vec::new();
    for blocker in locks.blockers.get(&backend).into_iter().flatten() {
        if *blocker == PREPARED {
            let gids = locks.prepared.get(&backend).into_iter().flatten();
            holders.extend(gids.map(|gid| Holder::Prepared {
                gid: gid.clone(),
                finisher: finishers.get(gid).copied(),
            }));
        } else if let Some(session) = served_by(*blocker) {
            holders.push(Holder::Session(session));
        } else {
            let unknown = || ForeignBackend { pid: *blocker, ..ForeignBackend::default() };
            let foreign = locks.foreign.get(blocker).cloned();
            holders.push(Holder::Foreign(foreign.unwrap_or_else(unknown)));
        }
    }
    holders
}

#[cfg(test)]
mod tests;
