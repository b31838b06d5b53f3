//! Who holds up whom when nothing ends any more.

use std::collections::{HashMap, HashSet};

use actix::prelude::*;
use tracing::warn;

use super::Sequencer;
use crate::actors::messages::{GiveUpHeads, SessionWaitState, StallProbed, WaitStates};
use crate::pglog::SessionId;
use crate::replay::order::Start;
use crate::replay::order::conflict::Awaited;
use crate::replay::order::wait_chain::{ForeignBackend, Holder, Remedy, WaitState, Waiter, stalls};
use crate::replay::stall::PREPARED;
use crate::replay::work::Seq;
use crate::target::{Login, Target};

/// What the target says of who waits for locks.
#[derive(Default)]
struct LocksHeld {
    /// By backend, those that it waits for; 0 for a prepared transaction.
    blockers: HashMap<i32, Vec<i32>>,
    /// By backend, the prepared transactions among them.
    prepared: HashMap<i32, Vec<String>>,
    /// What connections are that are not ours.
    foreign: HashMap<i32, ForeignBackend>,
}

impl Sequencer {
    /// Who holds up the turn of a session's statement.
    fn holders_of_turn(&self, session: SessionId, seq: Seq) -> Vec<Holder> {
        let Some(arrivals) = self.order.arrivals() else { return Vec::new() };
        let order = arrivals.order();
        if !order.is_unfinished(seq)
            && let Some(wanted) = arrivals.wanted()
            && wanted.is_waited_for
        {
            return vec![Holder::Catalog(wanted.login.database.clone())];
        }
        if let Some(turn) = self.order.turn()
            && order.may_start(seq)
        {
            let is_other = turn.session != session;
            return is_other.then_some(Holder::Session(turn.session)).into_iter().collect();
        }
        let prepared = order.prepared_awaited_by(seq).into_iter();
        let prepared = prepared.map(|gid| Holder::Prepared { gid: gid.to_owned(), finisher: None });
        let awaited = order.awaited_by(seq).into_iter().map(|awaited| match awaited {
            Awaited::Statement(Start { session, .. }) => Holder::Session(session),
            Awaited::Unread => Holder::Unread,
        });
        let holders = prepared.chain(awaited);
        holders.filter(|holder| *holder != Holder::Session(session)).collect()
    }

    /// Who holds the locks that a backend waits for.
    fn holders_of_lock(
        &self,
        backend: i32,
        locks: &LocksHeld,
        finishers: &HashMap<Box<str>, SessionId>,
    ) -> Vec<Holder> {
        let mut holders = Vec::new();
        for blocker in locks.blockers.get(&backend).into_iter().flatten() {
            if *blocker == PREPARED {
                let gids = locks.prepared.get(&backend).into_iter().flatten();
                holders.extend(gids.map(|gid| Holder::Prepared {
                    gid: gid.clone(),
                    finisher: finishers.get(&**gid).copied(),
                }));
            } else if let Some(session) = self.backends.session(*blocker) {
                holders.push(Holder::Session(session));
            } else {
                let unknown = || ForeignBackend { pid: *blocker, ..ForeignBackend::default() };
                let foreign = locks.foreign.get(blocker).cloned();
                holders.push(Holder::Foreign(foreign.unwrap_or_else(unknown)));
            }
        }
        holders
    }
}

impl Handler<WaitStates> for Sequencer {
    type Result = ();

    fn handle(&mut self, WaitStates { look, sessions }: WaitStates, ctx: &mut Self::Context) {
        if self.stays_away() {
            return;
        }
        let asked: Vec<i32> = sessions
            .iter()
            .filter_map(|it| match it.waiter.wait_state {
                WaitState::Request(backend) => Some(backend),
                _ => None,
            })
            .collect();
        let (target, login) = (self.settings.target.clone(), self.settings.observer.clone());
        let backends = self.backends.clone();
        let asking = async move {
            let is_ours = |backend: i32| backends.session(backend).is_some();
            locks_held(&target, login, &asked, is_ours).await
        };
        ctx.spawn(asking.into_actor(self).map(move |locks, actor, _| {
            let locks = match locks {
                Ok(locks) => locks,
                Err(error) => {
                    warn!("nothing has ended for long, and the target can't be asked why: {error}");
                    return;
                }
            };
            let stalls = stalls(&actor.waiters(sessions, &locks), look.no_more);
            look.answer.do_send(StallProbed { look: look.look, stalls });
        }));
    }
}

impl Sequencer {
    /// The sessions, each with who holds it up.
    fn waiters(&self, sessions: Vec<SessionWaitState>, locks: &LocksHeld) -> Vec<Waiter> {
        let finishers = sessions
            .iter()
            .flat_map(|it| it.finishes.iter().map(|gid| (gid.clone(), it.waiter.session)));
        let finishers: HashMap<Box<str>, SessionId> = finishers.collect();
        let mut waiters: Vec<Waiter> = sessions.into_iter().map(|it| it.waiter).collect();
        let holders: Vec<Vec<Holder>> = waiters
            .iter()
            .map(|it| match it.wait_state {
                WaitState::Request(backend) => self.holders_of_lock(backend, locks, &finishers),
                WaitState::Turn(seq) => self.holders_of_turn(it.session, seq),
                _ => Vec::new(),
            })
            .collect();
        for (waiter, holders) in waiters.iter_mut().zip(holders) {
            waiter.holders.extend(holders);
        }
        waiters
    }
}

impl Handler<GiveUpHeads> for Sequencer {
    type Result = ();

    fn handle(&mut self, GiveUpHeads(remedies): GiveUpHeads, ctx: &mut Self::Context) {
        for remedy in remedies {
            if let Remedy::GoWithoutCatalog(database) = remedy {
                self.order.go_without(&database);
            }
        }
        self.go_on(ctx);
    }
}

/// Asks the target whose locks these backends wait for, over a connection of its own: another question
/// may be under way over the one that is kept.
async fn locks_held(
    target: &Target,
    login: Option<Login>,
    backends: &[i32],
    is_ours: impl Fn(i32) -> bool,
) -> Result<LocksHeld, String> {
    let mut held = LocksHeld::default();
    if backends.is_empty() {
        return Ok(held);
    }
    let login = login.ok_or("no session has logged in")?;
    let observer = target.observe(&login).await.map_err(|error| error.to_string())?;
    let mut foreign = HashSet::new();
    for (waiter, blockers) in observer.locks(backends).await.map_err(|e| e.to_string())? {
        if blockers.contains(&PREPARED) {
            let prepared = observer.prepared_blockers(&[waiter]).await;
            held.prepared.insert(waiter, prepared.map_err(|error| error.to_string())?);
        }
        let others = blockers.iter().filter(|it| **it != PREPARED && !is_ours(**it));
        foreign.extend(others.copied());
        held.blockers.insert(waiter, blockers);
    }
    let foreign: Vec<i32> = foreign.into_iter().collect();
    let foreign = observer.clients(&foreign).await.map_err(|error| error.to_string())?;
    held.foreign = foreign.into_iter().map(|client| (client.pid, client)).collect();
    Ok(held)
}
