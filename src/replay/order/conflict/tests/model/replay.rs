//! A replay of a log by the conflict order, in which everything happens that can.

use std::collections::VecDeque;
use std::time::Duration;

use smallvec::SmallVec;

use super::super::super::*;
use super::super::store::{Blocked, Op, Store};
use super::super::{Waited, footprint, session};
use super::history::{Dice, Record, Shape, TABLES};
use crate::replay::order::footprint::{Key, LockMode};
use crate::replay::order::permits::{self, ConnectionState, Permits, Quiet};
use crate::replay::order::stalls::{
    Activity, LockSnapshot, LockStalls, NextOf, OnTarget, PREPARED, StallAction, StallView,
};
use crate::replay::order::view::OrderView;

/// What happens beside the log.
#[derive(Debug, Clone)]
pub(super) struct Conditions {
    /// How many statements are in flight at most.
    pub(super) window: usize,
    /// Whether statements wait for a catalog to be read before they get their place in the order.
    pub(super) catalog_pauses: bool,
    /// How many sessions have a connection at once.
    pub(super) connections: usize,
    /// Whether transactions lose their connections, or fall victim to deadlocks, and are run again.
    pub(super) victims: bool,
}

pub(super) fn accesses(record: &Record) -> Vec<Access> {
    let row = |table, key, mode| vec![Access::Row(Table(table), Key(key), mode)];
    let prepared = |gid: u64| Access::Advance(Object::prepared_transaction(&gid.to_string()));
    let mut accesses = match record.op {
        Op::Read(table, key) => row(table, key, Mode::Read),
        Op::Reference(table, key) => row(table, key, Mode::Reference),
        Op::Update(table, key) => row(table, key, Mode::Update),
        Op::Replace(table, key) => row(table, key, Mode::Write),
        Op::ReadTable(table) => vec![Access::Table(Table(table), Mode::Read)],
        Op::UpdateTable(table) => vec![Access::Table(Table(table), Mode::Update)],
        Op::Append(table) => vec![Access::Append(Table(table))],
        Op::AppendDrawn(table) => vec![Access::Append(Table(table)), Access::Advance(Object(1))],
        Op::Lock(table, mode) => vec![Access::Lock(Table(table), mode)],
        Op::Anything => vec![Access::Everything],
        Op::Prepare(gid) | Op::FinishPrepared(gid, _) => return vec![prepared(gid)],
        _ => Vec::new(),
    };
    if record.is_stale && !accesses.is_empty() && record.op != Op::Anything {
        accesses.push(Access::Everything);
    }
    accesses
}

/// The locks on tables that a statement surely takes.
fn locks(record: &Record) -> SmallVec<[TableLock; 2]> {
    let is_sure = !record.is_in_body && !matches!(record.op, Op::Reference(..));
    let lock = record.op.table_lock().filter(|_| is_sure);
    let lock = lock.map(|(table, mode)| TableLock { relation: Table(table), mode });
    lock.into_iter().collect()
}

fn arrival(at: usize, record: &Record) -> Arrival {
    let name = |gid: u64| gid.to_string().into_boxed_str();
    let step = match record.op {
        Op::Begin => Some(Step::Begin),
        Op::Commit => Some(Step::Commit),
        Op::Rollback => Some(Step::Rollback),
        Op::Savepoint => Some(Step::Savepoint("s".into())),
        Op::RollbackTo => Some(Step::RollbackTo("s".into())),
        Op::Prepare(gid) => Some(Step::Prepare(name(gid))),
        Op::FinishPrepared(gid, kept) => {
            Some(Step::FinishPrepared { name: name(gid), undone: !kept })
        }
        _ => None,
    };
    Arrival {
        seq: seq(at),
        session: session(record.session as u32),
        footprint: Footprint { locks: locks(record), ..footprint(&accesses(record)) },
        steps: step.into_iter().collect(),
        ..Arrival::default()
    }
}

/// The place of a line of the log.
fn seq(at: usize) -> Seq {
    Seq(at as u64 + 1)
}

fn line(seq: Seq) -> usize {
    seq.0 as usize - 1
}

/// A session is its own backend.
fn backend(session: usize) -> i32 {
    session as i32 + 1
}

/// A session of the replay.
#[derive(Debug, Default)]
struct Line {
    /// Its statements that have not been run, by their place in the log.
    queue: VecDeque<usize>,
    /// Those of its open transaction that have been run.
    transaction: Vec<usize>,
    /// Those of a transaction that was rolled back, while nothing more has come of the session.
    suspended: Vec<usize>,
    /// Its statement that was let ahead of its turn.
    ahead: Option<usize>,
    is_connected: bool,
    /// How many of its statements have finished.
    answers: u64,
    /// The last statement that it ran.
    used: Seq,
}

/// A replay of a log.
pub(super) struct Replay<'a> {
    log: &'a [Record],
    conditions: &'a Conditions,
    /// Whether nothing happens but what the log tells.
    is_at_peace: bool,
    order: ConflictOrder,
    pub(super) store: Store,
    /// How much of the log has been read, and how much of that has a place in the order.
    read: usize,
    arrived: usize,
    /// Whether a catalog is read.
    is_paused: bool,
    lines: Vec<Line>,
    /// Statements that have been run and have not finished.
    running: Vec<usize>,
    /// Statements that were sent and wait for locks, and whose.
    blocked: Vec<(usize, Blocked)>,
    permits: Permits,
    locks: LockStalls,
    pub(super) seen: Vec<Option<i64>>,
    /// Which statements have finished.
    finished: Vec<bool>,
    /// How many statements were let ahead of their turn.
    pub(super) stalls: usize,
    /// How many transactions were run again.
    pub(super) run_again: usize,
}

impl<'a> Replay<'a> {
    pub(super) fn of(shape: &Shape, conditions: &'a Conditions, log: &'a [Record]) -> Self {
        Self {
            log,
            conditions,
            is_at_peace: !shape.two_phase
                && !shape.stale_catalogs
                && !conditions.victims
                && conditions.connections >= shape.sessions,
            order: ConflictOrder::default(),
            store: Store::new(TABLES, shape.keys),
            read: 0,
            arrived: 0,
            is_paused: false,
            lines: (0..shape.sessions).map(|_| Line::default()).collect(),
            running: Vec::new(),
            blocked: Vec::new(),
            permits: Permits::new(conditions.connections, false),
            locks: LockStalls::new(Duration::ZERO, Duration::MAX),
            seen: vec![None; log.len()],
            finished: vec![false; log.len()],
            stalls: 0,
            run_again: 0,
        }
    }

    /// Replays in an order that the dice decide. Fails where nothing can go on.
    pub(super) fn run_to_the_end(&mut self, dice: &mut Dice) -> Result<(), String> {
        for _ in 0..1000 * (self.log.len() + 10) {
            if self.read == self.log.len() && !self.is_paused && self.order.in_flight().0 == 0 {
                return Ok(());
            }
            self.connect(Quiet::Not);
            if self.something_happens(dice)? || self.run_any(dice) || self.break_stalls()? {
                continue;
            }
            if self.running.is_empty() && !self.connect(Quiet::Long) {
                self.go_on_beyond()?;
            }
        }
        Err(format!("it never ends: {:?}", self.lines))
    }

    /// Nothing runs and nothing can: a catalog has been read, or more of the log is.
    fn go_on_beyond(&mut self) -> Result<(), String> {
        if self.is_paused {
            return self.end_pause();
        }
        if self.read == self.log.len() {
            return Err(format!("nothing goes on: {:?}", self.lines));
        }
        if !self.has_room() && self.blocked.is_empty() && !self.order.is_stuck() {
            return Err("the window is full, and the order does not ask for more".to_owned());
        }
        self.read_next()
    }

    /// What comes from outside, or from the target. Returns whether something has.
    fn something_happens(&mut self, dice: &mut Dice) -> Result<bool, String> {
        if self.read < self.log.len() && self.has_room() && dice.roll(3) == 0 {
            self.read_next()?;
            return Ok(true);
        }
        if self.conditions.catalog_pauses && dice.roll(12) == 0 {
            if self.is_paused {
                self.end_pause()?;
            }
            self.is_paused = self.read < self.log.len() && dice.roll(2) == 0;
        }
        if self.conditions.victims && dice.roll(12) == 0 {
            let victim = dice.roll(self.lines.len());
            self.fall_victim(victim, dice.roll(2) == 0);
        }
        if !self.running.is_empty() && dice.roll(2) == 0 {
            let session = self.log[self.running[dice.roll(self.running.len())]].session;
            // A session's answers come in the order of its statements.
            let its = self.running.iter().copied().filter(|at| self.log[*at].session == session);
            let at = its.min().ok_or("it runs")?;
            self.running.retain(|running| *running != at);
            self.lines[session].answers += 1;
            self.finished[at] = true;
            self.order.finish(seq(at), &mut Vec::new());
            self.locks.note_finished();
            return Ok(true);
        }
        Ok(false)
    }

    // ---- The log ----

    fn has_room(&self) -> bool {
        let held = self.read - self.arrived;
        self.order.in_flight().0 + held < self.conditions.window
    }

    fn read_next(&mut self) -> Result<(), String> {
        let line = &mut self.lines[self.log[self.read].session];
        line.queue.extend(line.suspended.drain(..));
        line.queue.push_back(self.read);
        self.read += 1;
        if self.is_paused { Ok(()) } else { self.arrive() }
    }

    fn end_pause(&mut self) -> Result<(), String> {
        self.is_paused = false;
        self.arrive()
    }

    /// Gives what has been read its place in the order.
    fn arrive(&mut self) -> Result<(), String> {
        while self.arrived < self.read {
            let at = self.arrived;
            self.order.arrive(&arrival(at, &self.log[at]), &mut Vec::new());
            self.arrived += 1;
            self.check_waits(at)?;
            if self.is_at_peace {
                self.check_passed()?;
            }
            if self.arrived.is_multiple_of(8) {
                self.order.check_notes()?;
            }
        }
        Ok(())
    }

    // ---- Statements ----

    /// Runs a statement that may run. Returns whether there was one that no lock held up.
    fn run_any(&mut self, dice: &mut Dice) -> bool {
        self.blocked.clear();
        let connected = self.lines.iter().filter(|line| line.is_connected);
        let heads = connected.filter_map(|line| line.queue.front().copied());
        let mut heads: Vec<usize> = heads.filter(|at| self.may_run(*at)).collect();
        while !heads.is_empty() {
            let at = heads.swap_remove(dice.roll(heads.len()));
            match self.run(at) {
                Ok(()) => return true,
                Err(by) => self.blocked.push((at, by)),
            }
        }
        false
    }

    fn may_run(&self, at: usize) -> bool {
        let is_ahead = self.lines[self.log[at].session].ahead == Some(at);
        is_ahead || self.order.may_start(seq(at))
    }

    fn run(&mut self, at: usize) -> Result<(), Blocked> {
        let Record { session, op, number, .. } = self.log[at];
        let seen = self.store.run(session, op, number)?;
        self.seen[at] = Some(seen);
        let line = &mut self.lines[session];
        line.queue.pop_front();
        line.used = seq(at);
        line.transaction.push(at);
        if !self.store.in_block(session) {
            line.transaction.clear();
        }
        self.running.push(at);
        Ok(())
    }

    /// The session falls victim to a deadlock, or its connection is lost: its open transaction is run again.
    /// What was drawn is not given back, so that such a transaction is spared.
    fn fall_victim(&mut self, session: usize, loses_connection: bool) {
        let draws = |at: &usize| matches!(self.log[*at].op, Op::AppendDrawn(_));
        if !self.lines[session].transaction.iter().any(draws) {
            self.roll_back(session);
            if loses_connection {
                self.disconnect(session);
            }
        }
    }

    /// Rolls the session's open transaction back, to be run again when the session goes on.
    fn roll_back(&mut self, session: usize) {
        let line = &mut self.lines[session];
        self.run_again += usize::from(!line.transaction.is_empty());
        self.running.retain(|running| !line.transaction.contains(running));
        line.suspended.append(&mut line.transaction);
        if line.suspended.iter().any(|at| !self.finished[*at]) || !line.queue.is_empty() {
            line.suspended.drain(..).rev().for_each(|at| line.queue.push_front(at));
        }
        self.store.roll_back(session);
    }

    // ---- Connections ----

    fn disconnect(&mut self, of: usize) {
        if !self.running.iter().any(|at| self.log[*at].session == of) {
            self.lines[of].is_connected = false;
            self.permits.release(session(of as u32));
        }
    }

    /// The session is asked to give up its connection.
    fn evict(&mut self, of: usize) {
        let state = self.connection_state(of);
        if state.running || state.in_transaction {
            return self.permits.stays(session(of as u32));
        }
        self.disconnect(of);
    }

    fn connection_state(&self, of: usize) -> ConnectionState {
        let line = &self.lines[of];
        let is_its = |at: usize| self.log[at].session == of;
        let waits = self.blocked.iter().any(|(at, _)| is_its(*at));
        ConnectionState {
            connected: line.is_connected,
            running: waits || self.running.iter().any(|at| is_its(*at)),
            in_transaction: self.store.in_block(of),
            bound: false,
            next: self.next(line),
            used: line.used,
        }
    }

    /// The next statement of a session that something may wait for.
    fn next(&self, line: &Line) -> Option<Seq> {
        line.queue.iter().find(|at| !self.finished[**at]).map(|at| seq(*at))
    }

    /// Gives connections to sessions that have something to do. Returns whether anything has changed.
    fn connect(&mut self, quiet: Quiet) -> bool {
        for (of, line) in self.lines.iter().enumerate() {
            if !line.is_connected && !line.queue.is_empty() {
                let needed_by = self.next(line).unwrap_or(Seq(u64::MAX));
                self.permits.want(session(of as u32), needed_by);
            }
        }
        let states: Vec<ConnectionState> =
            (0..self.lines.len()).map(|of| self.connection_state(of)).collect();
        let steps = self.permits.steps(|of| states[of.pid as usize], quiet);
        for step in &steps {
            match *step {
                permits::Step::Connect(of) | permits::Step::Exceed(of) => {
                    self.lines[of.pid as usize].is_connected = true;
                }
                permits::Step::Evict { session: of, .. } => self.evict(of.pid as usize),
            }
        }
        !steps.is_empty()
    }

    // ---- Stalls ----

    /// Does what is decided about statements that wait for locks. Returns whether anything was set going.
    fn break_stalls(&mut self) -> Result<bool, String> {
        if self.blocked.is_empty() {
            return Ok(false);
        }
        let ahead: Vec<Option<usize>> = self.lines.iter().map(|line| line.ahead).collect();
        let mut locks =
            std::mem::replace(&mut self.locks, LockStalls::new(Duration::ZERO, Duration::MAX));
        let probe = locks.no_progress(Duration::ZERO, self).ok_or("who is blocked runs")?;
        let mut answer = LockSnapshot::of(probe);
        let mut gids = Vec::new();
        for (at, by) in &self.blocked {
            let blocker = match by {
                Blocked::Session(session) => backend(*session),
                Blocked::Prepared(gid) => {
                    gids.push(gid.to_string());
                    PREPARED
                }
            };
            answer.note(backend(self.log[*at].session), vec![blocker]);
        }
        answer.note_prepared(gids);
        let actions = locks.probed(&mut answer, Duration::ZERO, self);
        self.locks = locks;
        for action in actions {
            match action {
                StallAction::EndEarly(start) | StallAction::Advance(start) => {
                    self.lines[start.session.pid as usize].ahead = Some(line(start.seq));
                    self.stalls += 1;
                }
                StallAction::ReadOn => {}
                StallAction::GiveUp(_) | StallAction::ReportForeign(_) => {
                    return Err(format!("{action:?}, though all that is needed stands in the log"));
                }
            }
        }
        Ok(ahead.iter().zip(&self.lines).any(|(ahead, line)| *ahead != line.ahead))
    }

    // ---- What has to hold ----

    /// No session has been let go on behind an end that is not answered while another's locks are there
    /// that can't be told: a victim's transaction could not be run again.
    fn check_passed(&self) -> Result<(), String> {
        let of = |session| move |record: &Record| record.session == session;
        let mut lockers = Vec::new();
        let mut passed = Vec::new();
        for (at, record) in self.log[..self.arrived].iter().enumerate() {
            let its = of(record.session);
            match record.op {
                op if takes_untold_locks(op) && self.order.may_start(seq(at)) => {
                    let block = self.log[..at].iter().rev().filter(|other| its(other));
                    let begins = |other: &Record| matches!(other.op, Op::Begin);
                    let ends = |other: &Record| matches!(other.op, Op::Commit | Op::Rollback);
                    let is_open = block.copied().find(|it| begins(it) || ends(it));
                    let end = match is_open.is_some_and(|it| begins(&it)) {
                        true => {
                            (at..self.log.len()).find(|i| its(&self.log[*i]) && ends(&self.log[*i]))
                        }
                        false => Some(at),
                    };
                    let spans = |end| end >= self.arrived || self.order.is_unfinished(seq(end));
                    lockers.extend(end.filter(|end| spans(*end)).map(|_| record.session));
                }
                Op::Commit | Op::Rollback if self.order.is_unfinished(seq(at)) => {
                    let next = (at + 1..self.arrived).find(|i| its(&self.log[*i]));
                    let is_passed = next.is_some_and(|next| self.order.may_start(seq(next)));
                    passed.extend(is_passed.then_some(record.session));
                }
                _ => {}
            }
        }
        let meets = |locker: &usize| passed.iter().any(|session| session != locker);
        match lockers.iter().find(|locker| meets(locker)) {
            Some(locker) => Err(format!("{passed:?} went on while {locker} spans locks")),
            None => Ok(()),
        }
    }

    /// The statement at this place waits for nothing that it does not conflict with.
    fn check_waits(&self, at: usize) -> Result<(), String> {
        let record = &self.log[at];
        let (touched, own_locks) = (self.touched(at), locks(record));
        let locks_untold = record.is_stale || takes_untold_locks(record.op);
        let is_end = |record: &Record| {
            matches!(record.op, Op::Commit | Op::Rollback | Op::Prepare(_) | Op::FinishPrepared(..))
        };
        for waited in self.order.waits_of(seq(at)) {
            // An end that its session has passed.
            if let Waited::Statement(seq) = waited
                && locks_untold
                && is_end(&self.log[line(seq)])
            {
                continue;
            }
            let (others, locked): (Vec<Access>, Vec<TableLock>) = match waited {
                Waited::Statement(seq) => {
                    (self.touched(line(seq)), locks(&self.log[line(seq)]).to_vec())
                }
                Waited::Transaction(holder) => {
                    let before = self.log[..at].iter();
                    let its = before.filter(|other| session(other.session as u32) == holder);
                    (its.clone().flat_map(accesses).collect(), its.flat_map(locks).collect())
                }
            };
            let barrier = others.iter().chain(&touched).any(|any| *any == Access::Everything);
            let meets = others.iter().any(|other| touched.iter().any(|own| meet(*own, *other)))
                || locked.iter().any(|lock| own_locks.iter().any(|own| are_at_odds(*own, *lock)));
            // What ran ahead of its turn stands for what it waited for.
            if !meets && !barrier && self.stalls == 0 {
                return Err(format!("{record:?} waits for {waited:?} without a conflict"));
            }
        }
        Ok(())
    }

    /// What a statement touches, and the transaction that it ends.
    fn touched(&self, at: usize) -> Vec<Access> {
        let mut touched = accesses(&self.log[at]);
        let end = match self.log[at].op {
            Op::Commit => Some(at),
            Op::FinishPrepared(gid, _) => {
                self.log[..at].iter().position(|record| record.op == Op::Prepare(gid))
            }
            _ => None,
        };
        if let Some(end) = end {
            let before = self.log[..end].iter().rev();
            let same = before.filter(|other| other.session == self.log[end].session);
            let transaction = same.take_while(|other| other.op != Op::Begin);
            touched.extend(transaction.flat_map(accesses));
        }
        touched
    }
}

impl OrderView for Replay<'_> {
    fn takes_turns(&self) -> bool {
        true
    }

    fn is_serial(&self) -> bool {
        false
    }

    fn turn(&self) -> Option<Start> {
        None
    }

    fn is_waited_for(&self) -> bool {
        true
    }

    fn may_start(&self, seq: Seq) -> bool {
        self.order.may_start(seq)
    }

    fn first_waiting(&self) -> Option<Start> {
        self.order.first_waiting()
    }

    fn is_held(&self, seq: Seq) -> bool {
        self.order.is_held(seq)
    }

    fn awaited_by(&self, seq: Seq, runs: &dyn Fn(Start) -> bool) -> Vec<Awaited> {
        self.order.awaited_by(seq, runs)
    }

    fn waits_for(&self, seq: Seq, other: Seq) -> bool {
        self.order.waits_for(seq, other)
    }

    fn is_prepared_end_ahead(&self, gid: &str) -> bool {
        self.order.is_prepared_end_ahead(gid)
    }

    fn prepared_awaited_by(&self, seq: Seq) -> Vec<&str> {
        self.order.prepared_awaited_by(seq)
    }

    fn catalog_awaited_by(&self, _: Seq) -> Option<String> {
        None
    }
}

impl StallView for Replay<'_> {
    fn order(&self) -> &impl OrderView {
        self
    }

    fn sessions(&self, prepared: &[String]) -> Vec<OnTarget> {
        let finishes = |at: &usize| match self.log[*at].op {
            Op::FinishPrepared(gid, _) => prepared.contains(&gid.to_string()),
            _ => false,
        };
        let connected = self.lines.iter().enumerate().filter(|(_, line)| line.is_connected);
        let on_target = connected.map(|(of, line)| {
            let is_its = |at: usize| self.log[at].session == of;
            let waits = self.blocked.iter().map(|(at, _)| *at).find(|at| is_its(*at));
            let running = waits.or_else(|| self.running.iter().copied().find(|at| is_its(*at)));
            OnTarget {
                session: session(of as u32),
                backend: backend(of),
                running: running.map(seq),
                activity: Activity { running: running.is_some(), answers: line.answers },
                is_limited: false,
                next: match line.queue.front() {
                    None => NextOf::Nothing,
                    Some(at) if matches!(self.log[*at].op, Op::Commit | Op::Rollback) => {
                        NextOf::End(seq(*at))
                    }
                    Some(at) => NextOf::Statement(seq(*at)),
                },
                finishes: line.queue.iter().find(|at| finishes(at)).map(|at| seq(*at)),
            }
        });
        on_target.collect()
    }

    fn no_more(&self) -> bool {
        self.arrived == self.log.len()
    }
}

/// Whether nobody foresees which locks it waits for in the server.
fn takes_untold_locks(op: Op) -> bool {
    match op {
        Op::UpdateTable(_) | Op::Anything => true,
        Op::Lock(_, mode) => mode > LockMode::ShareUpdateExclusive,
        _ => false,
    }
}

fn are_at_odds(one: TableLock, other: TableLock) -> bool {
    one.relation == other.relation && one.mode.conflicts().contains(&other.mode)
}

/// The lock that an access takes on its table.
fn lock_of(access: Access) -> Option<TableLock> {
    let (relation, mode) = match access {
        Access::Row(table, _, mode) | Access::Table(table, mode) => (
            table,
            match mode {
                Mode::Read => LockMode::AccessShare,
                Mode::Reference => LockMode::RowShare,
                Mode::Update | Mode::Write => LockMode::RowExclusive,
            },
        ),
        Access::Append(table) | Access::InsertGiven(table) => (table, LockMode::RowExclusive),
        Access::Lock(table, mode) => (table, mode),
        Access::Advance(_) | Access::Everything | Access::ReadAll => return None,
    };
    Some(TableLock { relation, mode })
}

/// Whether the order of two accesses can matter, by their definition.
fn meet(one: Access, other: Access) -> bool {
    use Access::{Advance, Append, Everything, ReadAll};
    let table = |access: Access| match access {
        Access::Row(table, _, mode) | Access::Table(table, mode) => Some((table, mode)),
        // What is added is there for foreign keys too.
        Append(table) => Some((table, Mode::Write)),
        Access::InsertGiven(_) | Access::Lock(..) | Advance(_) | Everything | ReadAll => None,
    };
    match (one, other) {
        (Everything, _) | (_, Everything) => true,
        (Advance(a), Advance(b)) => a == b,
        (Access::Lock(..), _) | (_, Access::Lock(..)) => {
            lock_of(one).zip(lock_of(other)).is_some_and(|(one, other)| are_at_odds(one, other))
        }
        (Append(_), Append(_)) => false,
        (Access::Row(t, a, _), Access::Row(u, b, _)) if (t, a) != (u, b) => false,
        _ => match (table(one), table(other)) {
            (Some((t, one)), Some((u, other))) => t == u && excludes(one, other),
            _ => false,
        },
    }
}

fn excludes(one: Mode, other: Mode) -> bool {
    match (one, other) {
        (Mode::Reference, Mode::Update) | (Mode::Update, Mode::Reference) => false,
        _ => one.is_write() || other.is_write(),
    }
}
