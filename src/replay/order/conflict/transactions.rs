//! A session's transaction as the log tells it: its savepoints, what it holds, what ends when.

use foldhash::{HashMap, HashSet};
use smallvec::SmallVec;

use super::graph::{Id, TransactionId};
use super::steps::Step;
use super::victims::takes_untold_locks;
use super::{Access, Arrival, Mode, TableLock};

/// What a transaction has written since it began, or since a savepoint: a lock span of the graph.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) span: Id,
    pub(super) written: HashSet<Access>,
    locked: SmallVec<[TableLock; 2]>,
}

#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) id: TransactionId,
    /// Whether a BEGIN opened it.
    explicit: bool,
    aborted: bool,
    /// Whether a statement of it may have done anything.
    has_barrier: bool,
    /// Whether a statement of it may have taken locks that can't be told.
    pub(super) has_untold_locks: bool,
    /// The levels of its savepoints; the first is the transaction itself.
    levels: Vec<Level>,
}

#[derive(Debug, Default)]
struct Level {
    name: Box<str>,
    /// The last of them takes what comes.
    spans: SmallVec<[Held; 1]>,
}

/// What a statement ends.
#[derive(Debug, Default)]
pub(super) struct Ending {
    /// Whether others may see anything else from then on.
    pub(super) is_barrier: bool,
    /// Holds of which others see what they wrote.
    pub(super) kept: Vec<Held>,
    /// Holds that are undone.
    pub(super) undone: Vec<Held>,
    /// Transactions.
    pub(super) transactions: Vec<TransactionId>,
    /// A transaction that was prepared.
    pub(super) prepared: Option<TransactionId>,
    /// Whether the statement is the first of its transaction that takes locks which can't be told.
    pub(super) takes_untold_locks: bool,
    /// How many transactions end that may have taken such.
    pub(super) releases: usize,
}

impl Ending {
    fn end(&mut self, transaction: Transaction, undone: bool) {
        let undone = undone || transaction.aborted;
        self.is_barrier |= transaction.has_barrier && !undone;
        self.transactions.push(transaction.id);
        self.releases += usize::from(transaction.has_untold_locks);
        let ending = if undone { &mut self.undone } else { &mut self.kept };
        ending.extend(transaction.into_holds());
    }

    fn end_all(&mut self, open: &mut Option<Transaction>, undone: bool) {
        if let Some(open) = open.take() {
            self.end(open, undone);
        }
    }

    /// What others see from now on.
    pub(super) fn written(&self) -> impl Iterator<Item = Access> {
        self.kept.iter().flat_map(|held| &held.written).copied()
    }
}

/// Takes a session's open transaction to where it is after the statement `id`. Returns what ends.
pub(super) fn step(
    open: &mut Option<Transaction>,
    prepared: &mut HashMap<Box<str>, Transaction>,
    id: Id,
    arrival: &Arrival,
) -> Ending {
    let mut ending = Ending::default();
    // What failed has done none of its steps but, in its transaction, the undoing.
    let steps = if arrival.failed { &[][..] } else { &arrival.steps };
    for step in steps {
        match step {
            Step::Begin => open.get_or_insert_with(|| Transaction::begun(id)).explicit = true,
            Step::Commit => ending.end_all(open, false),
            Step::Rollback => ending.end_all(open, true),
            Step::Chain { undone } => {
                ending.end_all(open, *undone);
                *open = Some(Transaction { explicit: true, ..Transaction::begun(id) });
            }
            Step::Prepare(name) => {
                match open.take() {
                    // It is rolled back.
                    Some(transaction) if transaction.aborted => ending.end(transaction, true),
                    Some(transaction) => {
                        ending.prepared = Some(transaction.id);
                        // The end of the one before by that name was lost.
                        let before = prepared.insert(name.clone(), transaction);
                        before.into_iter().for_each(|it| ending.end(it, true));
                    }
                    None => {}
                }
            }
            Step::FinishPrepared { name, undone } => {
                if let Some(transaction) = prepared.remove(name) {
                    ending.end(transaction, *undone);
                }
            }
            Step::Savepoint(_) | Step::Release(_) | Step::RollbackTo(_) => {
                if let Some(open) = open {
                    open.step(step, &mut ending);
                }
            }
        }
    }
    if arrival.failed
        && let Some(open) = open
    {
        open.aborted = true;
        if let Some(level) = open.levels.last_mut() {
            ending.undone.extend(level.spans.drain(..));
        }
    }
    let is_barrier = arrival.footprint.accesses.contains(&Access::Everything);
    let takes_untold_locks = takes_untold_locks(&arrival.footprint.accesses);
    if let Some(open) = open {
        open.has_barrier |= is_barrier;
        ending.takes_untold_locks = takes_untold_locks && !open.has_untold_locks;
        open.has_untold_locks |= takes_untold_locks;
    } else {
        ending.takes_untold_locks = takes_untold_locks;
    }
    match open {
        Some(implicit) if !implicit.explicit && !arrival.joined => ending.end_all(open, false),
        None if arrival.joined => {
            *open = Some(Transaction {
                has_barrier: is_barrier,
                has_untold_locks: takes_untold_locks,
                ..Transaction::begun(id)
            });
        }
        None => ending.releases += usize::from(takes_untold_locks),
        Some(_) => {}
    }
    if arrival.failed && arrival.steps.iter().any(Step::ends_transaction) {
        // A COMMIT that was refused; or a string that failed behind its COMMIT.
        ending.end_all(open, arrival.steps.len() == 1);
    }
    ending
}

impl Transaction {
    fn begun(id: TransactionId) -> Self {
        let levels = vec![Level::default()];
        Self {
            id,
            explicit: false,
            aborted: false,
            has_barrier: false,
            has_untold_locks: false,
            levels,
        }
    }

    /// A step of its savepoints.
    fn step(&mut self, step: &Step, ending: &mut Ending) {
        match step {
            Step::Savepoint(name) => {
                self.levels.push(Level { name: name.clone(), ..Level::default() });
            }
            Step::Release(name) => {
                if let Some(at) = self.level(name) {
                    self.release(at);
                }
            }
            Step::RollbackTo(name) => {
                if let Some(at) = self.level(name) {
                    let undone = self.levels.drain(at..).flat_map(|level| level.spans);
                    ending.undone.extend(undone);
                    self.levels.push(Level { name: name.clone(), ..Level::default() });
                    self.aborted = false;
                }
            }
            _ => {}
        }
    }

    /// The last level of that name. The transaction itself has none.
    fn level(&self, name: &str) -> Option<usize> {
        self.levels.iter().skip(1).rposition(|level| *level.name == *name).map(|at| at + 1)
    }

    /// What was done since that level began belongs to the one before it.
    fn release(&mut self, at: usize) {
        let released: Vec<Level> = self.levels.drain(at..).collect();
        let Some(outer) = self.levels.last_mut() else { return };
        for mut level in released {
            // The few go to the many: however deep they are nested, none moves often.
            if level.spans.len() > outer.spans.len() {
                std::mem::swap(&mut level.spans, &mut outer.spans);
            }
            outer.spans.append(&mut level.spans);
        }
    }

    /// The lock spans that it has, whichever its savepoints.
    pub(super) fn spans(&self) -> impl Iterator<Item = Id> {
        self.levels.iter().flat_map(|level| &level.spans).map(|held| held.span)
    }

    pub(super) fn into_holds(self) -> impl Iterator<Item = Held> {
        self.levels.into_iter().flat_map(|level| level.spans)
    }

    /// The lock span that takes the writes of a statement, made if there is none yet.
    pub(super) fn lock_span(&mut self, new: impl FnOnce(TransactionId) -> Id) -> Option<Id> {
        let level = self.levels.last_mut()?;
        if level.spans.is_empty() {
            let (written, locked) = (HashSet::default(), SmallVec::new());
            level.spans.push(Held { span: new(self.id), written, locked });
        }
        level.spans.last().map(|held| held.span)
    }

    /// Notes what that lock span takes. Returns whether it has not written just that before.
    pub(super) fn note(&mut self, access: Access) -> bool {
        let Some(held) = self.levels.last_mut().and_then(|level| level.spans.last_mut()) else {
            return true;
        };
        let is_noted = |mode| match access {
            Access::Row(table, key, _) => held.written.contains(&Access::Row(table, key, mode)),
            _ => false,
        };
        let is_first = !is_noted(Mode::Update) && !is_noted(Mode::Write);
        if access.is_write() {
            held.written.insert(access);
        }
        is_first
    }

    /// Notes that that lock span holds a lock. Returns whether it did not before.
    pub(super) fn note_lock(&mut self, lock: TableLock) -> bool {
        let Some(held) = self.levels.last_mut().and_then(|level| level.spans.last_mut()) else {
            return true;
        };
        let is_first = !held.locked.contains(&lock);
        if is_first {
            held.locked.push(lock);
        }
        is_first
    }
}
