//! Random histories of random transactions, replayed in random interleavings.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::store::{Blocked, Op, Store};
use super::*;
use crate::replay::footprint::{Key, Mode};
use crate::replay::order::stalls::{Ahead, Locks, OutOfTurnStart, overtaking};

const TABLES: u32 = 2;

/// What histories are made of.
#[derive(Debug, Clone)]
struct Shape {
    sessions: usize,
    transactions: usize,
    keys: u64,
    /// Whether COMMITs are logged after their locks are gone.
    late_commits: bool,
    /// Whether there is more than rows of a key.
    wide: bool,
    /// Whether rows are referenced, and deleted and added again.
    foreign_keys: bool,
    /// How many statements are in flight at the most.
    window: usize,
}

/// As much of a random number generator as two runs with the same seed need.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % sides.max(1)
    }
}

/// A line of the log.
#[derive(Debug, Clone, Copy)]
struct Record {
    session: usize,
    op: Op,
    number: u64,
}

/// What a session does, transaction by transaction. Rows are locked in the order of their keys, and
/// a whole table before any of its rows, so that no two transactions wait for each other.
fn program(shape: &Shape, dice: &mut Dice) -> VecDeque<Op> {
    let mut ops = VecDeque::new();
    for _ in 0..shape.transactions {
        let block = dice.roll(4) > 0;
        let mut places: Vec<(u32, u64)> = (0..1 + dice.roll(if block { 4 } else { 1 }))
            .map(|_| (dice.roll(TABLES as usize) as u32, dice.roll(shape.keys as usize) as u64))
            .collect();
        places.sort_unstable();
        if block {
            ops.push_back(Op::Begin);
        }
        let (mut saved, mut locked) = (false, None);
        for (at, (table, key)) in places.iter().copied().enumerate() {
            let wide = shape.wide && dice.roll(4) == 0;
            let first_of_table = at == 0 || places[at - 1].0 < table;
            let is_again = at > 0 && places[at - 1] == (table, key);
            if block && !saved && shape.wide && dice.roll(8) == 0 {
                saved = true;
                ops.push_back(Op::Savepoint);
            }
            // What a statement saw of rows that a transaction added whose COMMIT it overtook, no log
            // tells: nobody looks at them.
            let added_to = if shape.late_commits { table + TABLES } else { table };
            let op = match dice.roll(8) {
                0 if wide && !block && !shape.late_commits => Op::Anything,
                0 | 1 if wide && first_of_table => Op::UpdateTable(table),
                2 if wide => Op::Append(added_to),
                3 | 4 if wide => Op::AppendDrawn(added_to),
                5 if wide => Op::ReadTable(table),
                7 if shape.foreign_keys && !is_again => Op::Reference(table, key),
                6 | 7 => Op::Read(table, key),
                _ if !shape.foreign_keys => Op::Update(table, key),
                // What a transaction has locked it only looks at again.
                _ if is_again => Op::Read(table, key),
                // Of a row that it has locked, others may look at the key meanwhile.
                0 | 1 if locked != Some(table) => Op::Replace(table, key),
                _ => Op::Update(table, key),
            };
            ops.push_back(op);
            if let Op::UpdateTable(table) = op {
                locked = Some(table);
            }
            if saved && dice.roll(4) == 0 {
                ops.push_back(Op::RollbackTo);
                break;
            }
        }
        if block {
            ops.push_back(if dice.roll(6) == 0 { Op::Rollback } else { Op::Commit });
        }
    }
    ops
}

/// Runs the sessions side by side on the source. Returns its log and its state.
fn history(shape: &Shape, dice: &mut Dice) -> (Vec<Record>, Store) {
    let mut programs: Vec<_> = (0..shape.sessions).map(|_| program(shape, dice)).collect();
    let mut unlogged: Vec<Option<Record>> = vec![None; shape.sessions];
    let mut store = Store::new(TABLES, shape.keys);
    let mut log: Vec<Record> = Vec::new();
    let mut number = 0;
    while programs.iter().any(|ops| !ops.is_empty()) || unlogged.iter().any(Option::is_some) {
        let session = dice.roll(shape.sessions);
        if let Some(record) = unlogged[session].take() {
            log.push(record);
            continue;
        }
        let Some(op) = programs[session].front().copied() else { continue };
        if store.run(session, op, number + 1).is_err() {
            continue;
        }
        number += 1;
        programs[session].pop_front();
        let record = Record { session, op, number };
        if op == Op::Commit && shape.late_commits {
            unlogged[session] = Some(record);
        } else {
            log.push(record);
        }
    }
    (log, store)
}

fn accesses(op: Op) -> Vec<Access> {
    let row = |table, key, mode| vec![Access::Row(Table(table), Key(key), mode)];
    match op {
        Op::Read(table, key) => row(table, key, Mode::Read),
        Op::Reference(table, key) => row(table, key, Mode::Reference),
        Op::Update(table, key) => row(table, key, Mode::Update),
        Op::Replace(table, key) => row(table, key, Mode::Write),
        Op::ReadTable(table) => vec![Access::Table(Table(table), Mode::Read)],
        Op::UpdateTable(table) => vec![Access::Table(Table(table), Mode::Update)],
        Op::Append(table) => vec![Access::Append(Table(table))],
        Op::AppendDrawn(table) => vec![Access::Append(Table(table)), Access::Draw(Object(1))],
        Op::Anything => vec![Access::Everything],
        _ => Vec::new(),
    }
}

fn arrival(seq: usize, record: &Record) -> Arrival {
    let step = match record.op {
        Op::Begin => Some(Step::Begin),
        Op::Commit => Some(Step::Commit),
        Op::Rollback => Some(Step::Rollback),
        Op::Savepoint => Some(Step::Savepoint("s".into())),
        Op::RollbackTo => Some(Step::RollbackTo("s".into())),
        _ => None,
    };
    Arrival {
        draws_only: false,
        seq: Seq(seq as u64 + 1),
        session: session(record.session as u32),
        footprint: footprint(&accesses(record.op)),
        steps: step.into_iter().collect(),
        ..Arrival::default()
    }
}

/// A replay of a log.
struct Replay<'a> {
    log: &'a [Record],
    order: ConflictOrder,
    store: Store,
    /// How much of the log has been read.
    read: usize,
    /// Each session's statements that have not been run, by their place in the log.
    queues: Vec<VecDeque<usize>>,
    /// Statements that have been run and have not finished.
    running: Vec<usize>,
    /// Each session's statement that was let ahead of its turn, and waits for a lock.
    ahead: Vec<Option<usize>>,
    seen: Vec<Option<i64>>,
    stalls: usize,
}

impl<'a> Replay<'a> {
    fn of(shape: &Shape, log: &'a [Record]) -> Self {
        Self {
            log,
            order: ConflictOrder::default(),
            store: Store::new(TABLES, shape.keys),
            read: 0,
            queues: vec![VecDeque::new(); shape.sessions],
            running: Vec::new(),
            ahead: vec![None; shape.sessions],
            seen: vec![None; log.len()],
            stalls: 0,
        }
    }

    fn read_next(&mut self) {
        let record = &self.log[self.read];
        self.order.arrive(&arrival(self.read, record), &mut Vec::new());
        self.queues[record.session].push_back(self.read);
        self.read += 1;
    }

    fn run(&mut self, at: usize) -> Result<(), Blocked> {
        let Record { session, op, number, .. } = self.log[at];
        let seen = self.store.run(session, op, number)?;
        self.seen[at] = Some(seen);
        self.queues[session].pop_front();
        self.running.push(at);
        Ok(())
    }

    /// Replays in an order that the dice decide. Fails where nothing can go on.
    fn run_to_the_end(&mut self, window: usize, dice: &mut Dice) -> Result<(), String> {
        loop {
            let (in_flight, _) = self.order.in_flight();
            let may_read = self.read < self.log.len() && in_flight < window;
            if may_read && dice.roll(3) == 0 {
                self.read_next();
                self.check_waits()?;
                self.check_passed()?;
                if self.read.is_multiple_of(8) {
                    self.order.check_notes()?;
                }
                continue;
            }
            if !self.running.is_empty() && dice.roll(2) == 0 {
                let at = self.running.swap_remove(dice.roll(self.running.len()));
                self.order.finish(Seq(at as u64 + 1), &mut Vec::new());
                continue;
            }
            let may_run = |at: &usize| self.may_run(*at);
            let heads = self.queues.iter().filter_map(|queue| queue.front().copied());
            let mut heads: Vec<usize> = heads.filter(may_run).collect();
            let mut blocked = Vec::new();
            let mut ran = false;
            while !heads.is_empty() && !ran {
                let at = heads.swap_remove(dice.roll(heads.len()));
                match self.run(at) {
                    Ok(()) => ran = true,
                    Err(Blocked(by)) => blocked.push((at, by)),
                }
            }
            if ran || self.relieve(&blocked) || !self.running.is_empty() {
                continue;
            }
            if self.read == self.log.len() && self.order.in_flight().0 == 0 {
                return Ok(());
            }
            if self.read == self.log.len() {
                return Err(format!("nothing goes on: {:?}", self.queues));
            }
            if !may_read && blocked.is_empty() && !self.order.is_stuck() {
                return Err("the window is full, and the order does not ask for more".to_owned());
            }
            self.read_next();
        }
    }

    fn may_run(&self, at: usize) -> bool {
        self.order.may_start(Seq(at as u64 + 1)) || self.ahead.contains(&Some(at))
    }

    /// A session is its own backend.
    fn ahead(&self, awaited: Awaited) -> Ahead {
        let Awaited::Statement(Start { seq, .. }) = awaited else { return Ahead::Unread };
        let at = seq.0 as usize - 1;
        let session = self.log[at].session;
        match self.queues[session].front() {
            Some(next) if *next <= at => Ahead::Runs(session as i32 + 1),
            _ => Ahead::Unsent,
        }
    }

    /// Lets statements ahead of their turn for those that wait for locks in the database. Returns
    /// whether any was.
    fn relieve(&mut self, blocked: &[(usize, usize)]) -> bool {
        let mut locks = Locks::default();
        for (at, by) in blocked {
            locks.note(self.log[*at].session as i32 + 1, vec![*by as i32 + 1]);
        }
        let rests = |holder: &usize| {
            let head = self.queues[*holder].front();
            let runs = |at: &usize| self.log[*at].session == *holder;
            head.is_some_and(|at| !self.may_run(*at)) && !self.running.iter().any(runs)
        };
        let holders = (0..self.queues.len()).filter(rests);
        let all = holders.filter_map(|holder| {
            let waiter = blocked.iter().filter(|(_, by)| *by == holder).map(|(at, _)| *at).min()?;
            let seq = Seq(*self.queues[holder].front()? as u64 + 1);
            Some(OutOfTurnStart {
                start: Start { session: session(holder as u32), seq },
                ends: self.log[seq.0 as usize - 1].op == Op::Commit,
                blocker: holder as i32 + 1,
                waiter: Seq(waiter as u64 + 1),
                ahead: self.order.awaited_by(seq).into_iter().map(|it| self.ahead(it)).collect(),
            })
        });
        let waits_for = |one, other| self.order.waits_for(one, other);
        let starts = overtaking(all.collect(), &locks, waits_for);
        for OutOfTurnStart { start, .. } in &starts {
            let at = start.seq.0 as usize - 1;
            self.ahead[self.log[at].session] = Some(at);
        }
        self.stalls += starts.len();
        !starts.is_empty()
    }

    /// No session has been let go on behind an end that is not answered while another's locks are there
    /// that can't be told: a victim's transaction could not be run again.
    fn check_passed(&self) -> Result<(), String> {
        let seq = |at: usize| Seq(at as u64 + 1);
        let of = |session| move |record: &Record| record.session == session;
        let mut lockers = Vec::new();
        let mut passed = Vec::new();
        for (at, record) in self.log[..self.read].iter().enumerate() {
            let its = of(record.session);
            match record.op {
                Op::UpdateTable(_) | Op::Anything if self.order.may_start(seq(at)) => {
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
                    let holds = |end| end >= self.read || self.order.is_unfinished(seq(end));
                    lockers.extend(end.filter(|end| holds(*end)).map(|_| record.session));
                }
                Op::Commit | Op::Rollback if self.order.is_unfinished(seq(at)) => {
                    let next = (at + 1..self.read).find(|i| its(&self.log[*i]));
                    let is_passed = next.is_some_and(|next| self.order.may_start(seq(next)));
                    passed.extend(is_passed.then_some(record.session));
                }
                _ => {}
            }
        }
        let meets = |locker: &usize| passed.iter().any(|session| session != locker);
        match lockers.iter().find(|locker| meets(locker)) {
            Some(locker) => Err(format!("{passed:?} went on while {locker} holds locks")),
            None => Ok(()),
        }
    }

    /// The statement that came last waits for nothing that it does not conflict with.
    fn check_waits(&self) -> Result<(), String> {
        let at = self.read - 1;
        let record = &self.log[at];
        let mut touched = accesses(record.op);
        let same = |other: &&Record| other.session == record.session;
        if record.op == Op::Commit {
            let before = self.log[..at].iter().rev().filter(same);
            let transaction = before.take_while(|other| other.op != Op::Begin);
            touched.extend(transaction.flat_map(|other| accesses(other.op)));
        }
        for waited in self.order.waits_of(Seq(at as u64 + 1)) {
            // An end that its session has passed.
            if let Waited::Statement(seq) = waited
                && matches!(record.op, Op::UpdateTable(_) | Op::Anything)
                && matches!(self.log[seq.0 as usize - 1].op, Op::Commit | Op::Rollback)
            {
                continue;
            }
            let others: Vec<Access> = match waited {
                Waited::Statement(seq) => accesses(self.log[seq.0 as usize - 1].op),
                Waited::Transaction(holder) => {
                    let before = self.log[..at].iter();
                    let its = before.filter(|other| session(other.session as u32) == holder);
                    its.flat_map(|other| accesses(other.op)).collect()
                }
            };
            let barrier = others.iter().chain(&touched).any(|any| *any == Access::Everything);
            let meets = others.iter().any(|other| touched.iter().any(|own| meet(*own, *other)));
            if !meets && !barrier {
                return Err(format!("{record:?} waits for {waited:?} without a conflict"));
            }
        }
        Ok(())
    }
}

/// Whether the order of two accesses can matter, by their definition.
fn meet(one: Access, other: Access) -> bool {
    use Access::{Append, Draw, Everything, ReadAll};
    let table = |access: Access| match access {
        Access::Row(table, _, mode) | Access::Table(table, mode) => Some((table, mode)),
        // What is added is there for foreign keys too.
        Append(table) => Some((table, Mode::Write)),
        Access::InsertGiven(_) | Draw(_) | Everything | ReadAll => None,
    };
    match (one, other) {
        (Everything, _) | (_, Everything) => true,
        (Draw(a), Draw(b)) => a == b,
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

/// One statement after the other, in the order of the log. A session that another waits for goes on
/// ahead of its turn. Returns the state, what was read, and how often that was so.
fn serially(shape: &Shape, log: &[Record]) -> (Store, Vec<i64>, usize) {
    let mut store = Store::new(TABLES, shape.keys);
    let mut seen: Vec<Option<i64>> = vec![None; log.len()];
    let mut ahead = 0;
    for at in 0..log.len() {
        let mut next = at;
        while seen[at].is_none() {
            let Record { session, op, number, .. } = log[next];
            match store.run(session, op, number) {
                Ok(read) => {
                    seen[next] = Some(read);
                    next = at;
                }
                Err(Blocked(by)) => {
                    let of_blocker =
                        |later: &usize| log[*later].session == by && seen[*later].is_none();
                    next = (at..log.len()).find(of_blocker).expect("a blocker goes on");
                    ahead += 1;
                }
            }
        }
    }
    (store, seen.into_iter().flatten().collect(), ahead)
}

fn replayed(shape: &Shape, seed: u64) -> Result<(), TestCaseError> {
    let mut dice = Dice(seed | 1);
    let (log, source) = history(shape, &mut dice);
    let (serial, reads, ahead) = serially(shape, &log);
    prop_assert_eq!(serial.state(), source.state(), "{:#?}", log);
    for _ in 0..4 {
        let mut replay = Replay::of(shape, &log);
        let outcome = replay.run_to_the_end(shape.window, &mut dice);
        prop_assert!(outcome.is_ok(), "{outcome:?}\n{log:#?}");
        prop_assert_eq!(replay.store.state(), serial.state(), "{:#?}", log);
        if ahead == 0 {
            let differs = |(serially, seen): &(&i64, &Option<i64>)| Some(**serially) != **seen;
            let other = reads.iter().zip(&replay.seen).position(|pair| differs(&pair));
            prop_assert!(other.is_none(), "{:?} read otherwise\n{:#?}", other, log);
        }
        if !shape.wide {
            prop_assert_eq!(replay.stalls, 0, "{:#?}", log);
        }
    }
    Ok(())
}

fn shapes() -> impl Strategy<Value = Shape> {
    let sizes = (2usize..7, 1usize..7, 1u64..6, 1usize..40);
    let kinds = (any::<bool>(), any::<bool>(), any::<bool>());
    (sizes, kinds).prop_map(|(sizes, (late_commits, wide, foreign_keys))| {
        let (sessions, transactions, keys, window) = sizes;
        Shape { sessions, transactions, keys, late_commits, wide, foreign_keys, window }
    })
}

/// Histories in which a blocker was let ahead that another stall, or reading on, would have freed.
#[test]
fn a_stall_breaks_the_order_of_no_other_statements() {
    let shape = |sessions, transactions, keys, window| Shape {
        sessions,
        transactions,
        keys,
        late_commits: true,
        wide: true,
        foreign_keys: false,
        window,
    };
    for (shape, seed) in [
        (shape(5, 5, 4, 14), 10_274_693_493_475_810_768),
        (shape(6, 2, 3, 1), 11_001_946_237_326_962_920),
        (shape(6, 3, 4, 12), 10_765_158_178_487_873_652),
        (shape(6, 3, 1, 1), 14_880_549_852_326_788_490),
    ] {
        replayed(&shape, seed).expect("the same state");
    }
}

/// So many histories at least; `PROPTEST_CASES` asks for more.
fn cases() -> ProptestConfig {
    let asked = ProptestConfig::default();
    ProptestConfig { cases: asked.cases.max(1000), ..asked }
}

proptest! {
    #![proptest_config(cases())]
    #[test]
    fn every_interleaving_ends_in_the_source_s_state(shape in shapes(), seed in any::<u64>()) {
        replayed(&shape, seed)?;
    }
}
