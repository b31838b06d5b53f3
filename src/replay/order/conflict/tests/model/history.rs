//! Random logs of random transactions, as a source writes them.

use std::collections::VecDeque;

use super::super::store::{Op, Store};
use crate::replay::order::footprint::LockMode;

pub(super) const TABLES: u32 = 2;

/// What histories are made of.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub(super) sessions: usize,
    pub(super) transactions: usize,
    pub(super) keys: u64,
    /// Whether COMMITs are logged after their locks are gone.
    pub(super) late_commits: bool,
    /// Whether there is more than rows of a key.
    pub(super) wide: bool,
    /// Whether rows are referenced, and deleted and added again.
    pub(super) foreign_keys: bool,
    /// Whether tables are locked as a whole.
    pub(super) table_locks: bool,
    /// Whether transactions are prepared, and finished by any session.
    pub(super) two_phase: bool,
    /// Whether catalogs become stale: for a while each statement is a barrier beside what it touches.
    pub(super) stale_catalogs: bool,
}

/// What decides: the same for the same seed.
pub(super) struct Dice(fastrand::Rng);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    pub(super) fn roll(&mut self, sides: usize) -> usize {
        self.0.usize(..sides.max(1))
    }
}

/// A line of the log.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record {
    pub(super) session: usize,
    pub(super) op: Op,
    pub(super) number: u64,
    /// Whether a function runs it: which tables it surely locks, its text does not tell.
    pub(super) is_in_body: bool,
    /// Whether the catalog is stale when the order learns of it.
    pub(super) is_stale: bool,
}

/// What a session does, transaction by transaction. Rows are locked in the order of their keys, and
/// a whole table before any of its rows, so that no two transactions wait for each other.
fn program(shape: &Shape, first_gid: u64, dice: &mut Dice) -> VecDeque<Op> {
    let mut ops = VecDeque::new();
    for transaction in 0..shape.transactions {
        let block = dice.roll(4) > 0;
        let mut places: Vec<(u32, u64)> = (0..1 + dice.roll(if block { 4 } else { 1 }))
            .map(|_| (dice.roll(TABLES as usize) as u32, dice.roll(shape.keys as usize) as u64))
            .collect();
        places.sort_unstable();
        if block {
            ops.push_back(Op::Begin);
        }
        let (mut saved, mut locked) = (false, None);
        // Two that share a table would wait for each other if both changed it.
        let mut shared = None;
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
            if block && shape.table_locks && first_of_table && dice.roll(3) == 0 {
                let mode = LockMode::ALL[dice.roll(LockMode::ALL.len())];
                ops.push_back(Op::Lock(table, mode));
                shared = (mode == LockMode::Share).then_some(table);
            }
            let op = match dice.roll(8) {
                _ if shared == Some(table) => Op::Read(table, key),
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
            ops.push_back(match dice.roll(6) {
                0 => Op::Rollback,
                1..4 if shape.two_phase => Op::Prepare(first_gid + transaction as u64),
                _ => Op::Commit,
            });
        }
    }
    ops
}

/// Runs the sessions side by side on the source. Returns its log and its state.
pub(super) fn history(shape: &Shape, dice: &mut Dice) -> (Vec<Record>, Store) {
    let first_gid = |session| (session * shape.transactions) as u64;
    let sessions = 0..shape.sessions;
    let mut programs: Vec<_> =
        sessions.map(|session| program(shape, first_gid(session), dice)).collect();
    let mut unlogged: Vec<Option<Record>> = vec![None; shape.sessions];
    let mut store = Store::new(TABLES, shape.keys);
    let mut log: Vec<Record> = Vec::new();
    let (mut number, mut is_stale) = (0, false);
    while programs.iter().any(|ops| !ops.is_empty()) || unlogged.iter().any(Option::is_some) {
        is_stale ^= shape.stale_catalogs && dice.roll(8) == 0;
        let session = dice.roll(shape.sessions);
        if let Some(record) = unlogged[session].take() {
            log.push(Record { is_stale, ..record });
            continue;
        }
        let Some(op) = programs[session].front().copied() else { continue };
        if store.run(session, op, number + 1).is_err() {
            continue;
        }
        number += 1;
        programs[session].pop_front();
        if let Op::Prepare(gid) = op {
            let finisher = finisher(&store, shape.sessions, dice);
            programs[finisher].push_front(Op::FinishPrepared(gid, dice.roll(4) > 0));
        }
        let is_in_body = shape.wide && shape.table_locks && dice.roll(4) == 0;
        let record = Record { session, op, number, is_in_body, is_stale };
        let is_late = matches!(op, Op::Commit | Op::FinishPrepared(_, true));
        if is_late && shape.late_commits {
            unlogged[session] = Some(record);
        } else {
            log.push(record);
        }
    }
    (log, store)
}

/// A session that finishes a prepared transaction before it does anything else: one that is in no
/// transaction, so that it waits for nobody.
fn finisher(store: &Store, sessions: usize, dice: &mut Dice) -> usize {
    let idle: Vec<usize> = (0..sessions).filter(|session| !store.in_block(*session)).collect();
    idle[dice.roll(idle.len())]
}
