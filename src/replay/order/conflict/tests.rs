mod locks;
mod model;
mod store;
mod victims;

use smallvec::smallvec;

use super::*;
use crate::replay::order::footprint::{Key, LockMode, Mode};

const T: Table = Table(1);
const U: Table = Table(2);

fn session(pid: u32) -> SessionId {
    SessionId { start: 1, pid }
}

fn row(key: u64) -> Access {
    Access::Row(T, Key(key), Mode::Write)
}

fn read(key: u64) -> Access {
    Access::Row(T, Key(key), Mode::Read)
}

/// An order that is told one statement after the other.
#[derive(Default)]
struct Told {
    order: ConflictOrder,
    seq: u64,
}

impl Told {
    fn arrive(&mut self, pid: u32, arrival: Arrival) -> u64 {
        self.seq += 1;
        let arrival = Arrival { seq: Seq(self.seq), session: session(pid), ..arrival };
        self.order.arrive(&arrival, &mut Vec::new());
        self.seq
    }

    /// A statement, in a transaction or on its own.
    fn runs(&mut self, pid: u32, accesses: &[Access]) -> u64 {
        self.arrive(pid, Arrival { footprint: footprint(accesses), ..Arrival::default() })
    }

    /// A statement that names a table, and touches nothing of it that is told.
    fn locks(&mut self, pid: u32, relation: Table, mode: LockMode) -> u64 {
        let lock = TableLock { relation, mode };
        let footprint = Footprint { locks: smallvec![lock], ..Footprint::default() };
        self.arrive(pid, Arrival { footprint, ..Arrival::default() })
    }

    fn fails(&mut self, pid: u32, accesses: &[Access]) -> u64 {
        let footprint = footprint(accesses);
        self.arrive(pid, Arrival { footprint, failed: true, ..Arrival::default() })
    }

    fn steps(&mut self, pid: u32, step: Step) -> u64 {
        self.arrive(pid, Arrival { steps: vec![step], ..Arrival::default() })
    }

    fn finish(&mut self, seq: u64) {
        self.order.finish(Seq(seq), &mut Vec::new());
    }

    fn may_start(&self, seq: u64) -> bool {
        self.order.may_start(Seq(seq))
    }
}

fn footprint(accesses: &[Access]) -> Footprint {
    Footprint { accesses: accesses.to_vec(), ..Footprint::default() }
}

#[test]
fn what_does_not_conflict_starts_at_once() {
    let mut told = Told::default();
    let statements = [
        told.runs(1, &[row(1)]),
        told.runs(2, &[row(2)]),
        told.runs(3, &[read(3)]),
        told.runs(4, &[Access::Append(T)]),
        told.runs(5, &[Access::Append(T)]),
        told.runs(6, &[Access::Table(U, Mode::Write)]),
    ];
    let waiting = statements.iter().filter(|seq| !told.may_start(**seq)).collect::<Vec<_>>();
    assert!(waiting.is_empty() || waiting == [&4, &5], "{waiting:?}: rows may be among the added");
}

#[test]
fn nothing_is_kept_of_sessions_that_have_ended() {
    let mut told = Told::default();
    for pid in 0..100 {
        let statements = [told.steps(pid, Step::Begin), told.runs(pid, &[row(pid.into())])];
        statements.into_iter().for_each(|seq| told.finish(seq));
        told.order.close(session(pid), &mut Vec::new());
    }
    assert!(told.order.sessions.is_empty() && told.order.statements.is_empty());
}

#[test]
fn what_a_barrier_did_in_a_transaction_is_seen_with_its_end() {
    let mut told = Told::default();
    let begin = told.steps(1, Step::Begin);
    let barrier = told.runs(1, &[Access::Everything]);
    let commit = told.steps(1, Step::Commit);
    let read = told.runs(2, &[read(1)]);
    told.finish(begin);
    told.finish(barrier);
    assert!(!told.may_start(read));
    told.finish(commit);
    assert!(told.may_start(read));
}

#[test]
fn a_key_that_is_given_keeps_its_order_with_keys_that_are_drawn() {
    let mut told = Told::default();
    let given = [Access::InsertGiven(T), row(4)];
    told.steps(1, Step::Begin);
    let drawn = told.runs(1, &[Access::Append(T)]);
    told.steps(1, Step::Rollback);
    let behind = told.runs(2, &given);
    let other = told.runs(3, &[Access::InsertGiven(T), row(5)]);
    let drawn_again = told.runs(4, &[Access::Append(T)]);
    assert!(!told.may_start(behind), "the number that was drawn may be this one");
    told.finish(1);
    told.finish(drawn);
    assert!(told.may_start(behind), "if it is, the server makes it wait for the ROLLBACK");
    assert!(told.may_start(other));
    told.finish(behind);
    assert!(!told.may_start(drawn_again));
    told.finish(other);
    assert!(told.may_start(drawn_again));
}

#[test]
fn a_write_waits_for_the_end_of_the_transaction_that_wrote_the_row_even_if_it_is_not_read_yet() {
    let mut told = Told::default();
    told.steps(1, Step::Begin);
    let first = told.runs(1, &[row(1)]);
    let overtook = told.runs(2, &[row(1)]);
    told.finish(first);
    assert!(!told.may_start(overtook));
    let commit = told.steps(1, Step::Commit);
    assert!(told.may_start(commit));
    told.finish(1);
    told.finish(commit);
    assert!(told.may_start(overtook));
}

#[test]
fn a_read_waits_for_the_writers_whose_end_stands_before_it_and_for_no_other() {
    let mut told = Told::default();
    told.steps(1, Step::Begin);
    told.runs(1, &[row(1)]);
    let before = told.runs(2, &[read(1)]);
    let commit = told.steps(1, Step::Commit);
    let after = told.runs(3, &[read(1)]);
    assert!(told.may_start(before), "it saw the old version");
    assert!(!told.may_start(commit), "which is there until the COMMIT");
    assert!(!told.may_start(after));
    told.finish(before);
    assert!(told.may_start(commit));
    told.finish(commit);
    assert!(told.may_start(after));
}

#[test]
fn a_commit_does_not_wait_for_a_read_that_waits_for_it() {
    let mut told = Told::default();
    told.steps(1, Step::Begin);
    told.runs(1, &[row(1), row(2)]);
    // It waited for row 1, read row 2 and overtook the COMMIT's record.
    let overtook = told.runs(2, &[row(1), read(2)]);
    let commit = told.steps(1, Step::Commit);
    assert!(told.may_start(commit));
    assert!(!told.may_start(overtook));
    assert_eq!(told.order.waived(), 1);
}

#[test]
fn what_was_written_since_a_savepoint_is_free_with_the_rollback_to_it() {
    let mut told = Told::default();
    told.steps(1, Step::Begin);
    told.runs(1, &[row(1)]);
    told.steps(1, Step::Savepoint("a".into()));
    told.runs(1, &[row(2)]);
    let back = told.steps(1, Step::RollbackTo("a".into()));
    let free = told.runs(2, &[row(2)]);
    let held = told.runs(3, &[row(1)]);
    (1..=4).for_each(|seq| told.finish(seq));
    assert!(!told.may_start(free));
    told.finish(back);
    assert!(told.may_start(free));
    assert!(!told.may_start(held));
    told.finish(free);
    let commit = told.steps(1, Step::Commit);
    told.finish(commit);
    assert!(told.may_start(held));
}

#[test]
fn what_was_written_since_a_released_savepoint_is_held_to_the_end() {
    let mut told = Told::default();
    told.steps(1, Step::Begin);
    told.steps(1, Step::Savepoint("a".into()));
    told.runs(1, &[row(1)]);
    let release = told.steps(1, Step::Release("a".into()));
    let waiter = told.runs(2, &[row(1)]);
    (1..=release).for_each(|seq| told.finish(seq));
    assert!(!told.may_start(waiter));
    let rollback = told.steps(1, Step::Rollback);
    told.finish(rollback);
    assert!(told.may_start(waiter));
}

#[test]
fn a_failure_frees_what_its_transaction_held() {
    let mut told = Told::default();
    told.steps(1, Step::Begin);
    told.runs(1, &[row(1)]);
    let failure = told.fails(1, &[row(2)]);
    let waiters = [told.runs(2, &[row(1)]), told.runs(3, &[row(2)])];
    told.finish(1);
    told.finish(2);
    assert!(waiters.iter().all(|seq| !told.may_start(*seq)));
    told.finish(failure);
    assert!(waiters.iter().all(|seq| told.may_start(*seq)), "its ROLLBACK may come much later");
}

#[test]
fn statements_that_share_a_sync_are_one_transaction() {
    let mut told = Told::default();
    let footprint = footprint(&[row(1)]);
    let first = told.arrive(1, Arrival { footprint, joined: true, ..Arrival::default() });
    let waiter = told.runs(2, &[row(1)]);
    told.finish(first);
    assert!(!told.may_start(waiter));
    let last = told.runs(1, &[]);
    told.finish(last);
    assert!(told.may_start(waiter));
}

#[test]
fn a_prepared_transaction_holds_its_rows_until_any_session_finishes_it() {
    let mut told = Told::default();
    told.steps(1, Step::Begin);
    told.runs(1, &[row(1)]);
    let prepare = told.steps(1, Step::Prepare("'x'".into()));
    let waiter = told.runs(2, &[row(1)]);
    (1..=prepare).for_each(|seq| told.finish(seq));
    assert!(!told.may_start(waiter));
    let finish = Step::FinishPrepared { name: "'x'".into(), undone: false };
    let finish = told.steps(3, finish);
    assert!(told.may_start(finish));
    told.finish(finish);
    assert!(told.may_start(waiter));
}

#[test]
fn the_end_of_a_prepared_transaction_is_ahead_from_its_arrival_until_it_has_finished() {
    let mut told = Told::default();
    told.steps(1, Step::Begin);
    told.steps(1, Step::Prepare("x".into()));
    let end = |name: &str| Step::FinishPrepared { name: name.into(), undone: true };
    let other = told.steps(2, end("y"));
    assert!(!told.order.is_prepared_end_ahead("x"));
    assert!(told.order.is_prepared_end_ahead("y"), "it was prepared before the log begins");
    let last = told.steps(3, end("x"));
    assert!(told.order.is_prepared_end_ahead("x"));
    (1..=last).for_each(|seq| told.finish(seq));
    let is_ahead = |name| told.order.is_prepared_end_ahead(name);
    assert!(other < last && !is_ahead("x") && !is_ahead("y"));
}

#[test]
fn what_a_prepared_transaction_wrote_is_read_behind_its_end() {
    let mut told = Told::default();
    told.steps(1, Step::Begin);
    told.runs(1, &[row(1)]);
    let prepare = told.steps(1, Step::Prepare("'x'".into()));
    (1..=prepare).for_each(|seq| told.finish(seq));
    let finish = told.steps(2, Step::FinishPrepared { name: "'x'".into(), undone: false });
    let read = told.runs(3, &[read(1)]);
    assert!(told.may_start(finish) && !told.may_start(read));
}

#[test]
fn a_row_that_was_written_again_since_a_savepoint_is_held_behind_the_rollback_to_it() {
    let mut told = Told::default();
    told.steps(1, Step::Begin);
    told.runs(1, &[row(1)]);
    told.steps(1, Step::Savepoint("a".into()));
    told.runs(1, &[row(1)]);
    let before = told.runs(2, &[row(1)]);
    let back = told.steps(1, Step::RollbackTo("a".into()));
    let behind = told.runs(3, &[row(1)]);
    (1..=4).for_each(|seq| told.finish(seq));
    told.finish(back);
    assert!(!told.may_start(before) && !told.may_start(behind));
    let commit = told.steps(1, Step::Commit);
    told.finish(commit);
    assert!(told.may_start(before));
}

#[test]
fn those_who_reference_a_row_and_those_who_update_it_do_not_wait_for_each_other() {
    let reference = [Access::Append(U), Access::Row(T, Key(1), Mode::Reference)];
    let update = [Access::Row(T, Key(1), Mode::Update)];
    let mut told = Told::default();
    told.steps(1, Step::Begin);
    let first = told.runs(1, &reference);
    told.steps(2, Step::Begin);
    let updates = told.runs(2, &update);
    let second = told.runs(3, &reference);
    let commit = told.steps(2, Step::Commit);
    let third = told.runs(4, &reference);
    for seq in [first, updates, second, commit, third] {
        assert!(told.may_start(seq), "{seq}");
    }
    let widely = told.runs(5, &[Access::Table(T, Mode::Reference)]);
    assert!(told.may_start(widely));
}

#[test]
fn a_row_is_not_taken_away_before_the_transactions_that_reference_it_have_ended() {
    let mut told = Told::default();
    told.steps(1, Step::Begin);
    let first = told.runs(1, &[Access::Append(U), Access::Row(T, Key(1), Mode::Reference)]);
    let delete = told.runs(2, &[row(1)]);
    let behind = told.runs(3, &[Access::Append(U), Access::Row(T, Key(1), Mode::Reference)]);
    told.finish(1);
    told.finish(first);
    assert!(!told.may_start(delete) && !told.may_start(behind));
    let commit = told.steps(1, Step::Commit);
    assert!(told.may_start(commit));
    told.finish(commit);
    assert!(told.may_start(delete) && !told.may_start(behind));
    told.finish(delete);
    assert!(told.may_start(behind));
}

#[test]
fn a_reference_that_failed_does_not_wait_for_a_row_that_is_not_there_yet() {
    let reference = [Access::Append(U), Access::Row(T, Key(1), Mode::Reference)];
    let mut told = Told::default();
    told.steps(1, Step::Begin);
    told.runs(1, &[row(1)]);
    let failed = told.fails(2, &reference);
    let overtook = told.runs(3, &reference);
    assert!(told.may_start(failed), "it saw that the row was missing");
    assert!(!told.may_start(overtook), "it saw the row: its COMMIT is only logged late");
}

#[test]
fn a_barrier_waits_for_all_and_all_wait_for_it() {
    let mut told = Told::default();
    let before = told.runs(1, &[read(1)]);
    let barrier = told.runs(2, &[Access::Everything]);
    let after = told.runs(3, &[Access::Table(U, Mode::Read)]);
    assert!(!told.may_start(barrier) && !told.may_start(after));
    told.finish(before);
    assert!(told.may_start(barrier) && !told.may_start(after));
    told.finish(barrier);
    assert!(told.may_start(after));
}

#[test]
fn a_transaction_that_holds_others_back_passes_a_barrier_that_waits_for_them() {
    let mut told = Told::default();
    told.steps(1, Step::Begin);
    told.runs(1, &[row(1)]);
    told.runs(2, &[row(1)]);
    let barrier = told.runs(3, &[Access::Everything]);
    let commit = told.steps(1, Step::Commit);
    assert!(!told.may_start(barrier));
    assert!(told.may_start(commit));
}

#[test]
fn what_ran_ahead_of_what_it_stands_for_still_stands_for_that() {
    for all in [Access::Everything, Access::Advance(Object(7))] {
        let mut told = Told::default();
        let waiter = told.runs(1, &[all]);
        let holder = told.runs(2, &[all]);
        let behind = told.runs(3, &[all]);
        told.finish(holder);
        assert!(!told.may_start(behind), "{all:?}: the first of them runs");
        let later = told.runs(4, &[all]);
        told.finish(waiter);
        assert!(told.may_start(behind) && !told.may_start(later));
        told.finish(behind);
        assert!(told.may_start(later));
        told.finish(later);
        assert_eq!(told.order.graph.len(), 0);
    }
}

#[test]
fn draws_from_a_sequence_keep_their_order_statement_by_statement() {
    let draw = Access::Advance(Object(7));
    let mut told = Told::default();
    told.steps(1, Step::Begin);
    let first = told.runs(1, &[draw]);
    let second = told.runs(2, &[draw]);
    assert!(!told.may_start(second));
    told.finish(first);
    assert!(told.may_start(second), "no transaction holds a sequence");
}

#[test]
fn a_session_goes_on_as_far_as_nothing_holds_it() {
    let mut told = Told::default();
    told.runs(1, &[row(1)]);
    let mut starts = Vec::new();
    let mut arrive = |seq, accesses: &[Access]| {
        let footprint = footprint(accesses);
        let arrival =
            Arrival { seq: Seq(seq), session: session(2), footprint, ..Arrival::default() };
        told.order.arrive(&arrival, &mut starts);
    };
    arrive(2, &[row(1)]);
    arrive(3, &[row(3)]);
    assert!(starts.is_empty(), "the third goes behind the second");
    told.order.finish(Seq(1), &mut starts);
    assert_eq!(starts, [Start { session: session(2), seq: Seq(3) }], "both at once");
}

#[test]
fn a_session_does_not_wait_for_its_own_statements_to_finish() {
    for access in [Access::Everything, Access::Table(T, Mode::Write), Access::Advance(Object(1))] {
        let mut told = Told::default();
        let first = told.runs(1, &[row(1), access]);
        let second = told.runs(1, &[row(1), access]);
        told.steps(1, Step::Begin);
        let third = told.runs(1, &[row(1), access]);
        let commit = told.steps(1, Step::Commit);
        let other = told.runs(2, &[row(1), access]);
        assert!([first, second, third, commit].iter().all(|seq| told.may_start(*seq)));
        (1..commit).for_each(|seq| told.finish(seq));
        assert!(!told.may_start(other), "{access:?}");
        told.finish(commit);
        assert!(told.may_start(other));
    }
}

#[test]
fn all_that_waits_for_what_has_not_been_read_is_stuck() {
    let mut told = Told::default();
    told.steps(1, Step::Begin);
    told.runs(1, &[row(1)]);
    told.runs(2, &[row(1)]);
    assert!(!told.order.is_stuck());
    told.finish(1);
    told.finish(2);
    assert!(told.order.is_stuck());
    assert_eq!(told.order.silent_holders().collect::<Vec<_>>(), [session(1)]);
    let mut starts = Vec::new();
    told.order.close(session(1), &mut starts);
    assert_eq!(starts, [Start { session: session(2), seq: Seq(3) }]);
}

#[test]
fn what_waits_for_an_end_that_runs_ahead_of_its_turn_waits_for_no_more_than_that() {
    let mut told = Told::default();
    told.steps(1, Step::Begin);
    let locks = told.runs(1, &[row(1), Access::Row(U, Key(1), Mode::Write)]);
    let wide = told.runs(2, &[Access::Table(T, Mode::Write)]);
    let commit = told.steps(1, Step::Commit);
    let waiter = told.runs(3, &[Access::Row(U, Key(1), Mode::Write)]);
    (1..=locks).for_each(|seq| told.finish(seq));
    let awaited = |runs: &dyn Fn(Start) -> bool| told.order.awaited_by(Seq(waiter), runs);
    let start = |pid, seq| Awaited::Statement(Start { session: session(pid), seq: Seq(seq) });
    assert_eq!(awaited(&|_| false), [start(2, wide)], "the COMMIT comes behind it");
    assert_eq!(awaited(&|start| start.seq == Seq(commit)), [start(1, commit)]);
}

#[test]
fn what_ran_ahead_of_its_arrival_is_finished_when_it_comes() {
    let mut told = Told::default();
    told.steps(1, Step::Begin);
    told.runs(1, &[row(1)]);
    let waiter = told.runs(2, &[row(1)]);
    (1..=2).for_each(|seq| told.finish(seq));
    told.finish(4);
    assert!(!told.may_start(waiter));
    told.steps(1, Step::Commit);
    assert!(told.may_start(waiter));
}

#[test]
fn nothing_is_kept_of_what_is_done() {
    let mut told = Told::default();
    for key in 0..1000 {
        let accesses = [row(key), read(key + 1), Access::Append(U), Access::Advance(Object(key))];
        let seq = told.runs(key as u32 % 7, &accesses);
        told.finish(seq);
    }
    assert_eq!(told.order.graph.len(), 0);
    assert_eq!(told.order.in_flight(), (0, 0));
    assert!(told.order.objects.len() < 200 && told.order.unfinished.is_done(&told.order.graph));
}

#[test]
fn a_rollback_waits_for_what_has_to_meet_its_locks() {
    let mut told = Told::default();
    let begin = told.steps(1, Step::Begin);
    let held = told.runs(1, &[row(1)]);
    let footprint = footprint(&[read(1)]);
    let failed = Arrival { footprint, failed: true, draws_only: true, ..Arrival::default() };
    let failed = told.arrive(2, failed);
    let rollback = told.steps(1, Step::Rollback);
    told.finish(begin);
    told.finish(held);
    assert!(told.may_start(failed) && !told.may_start(rollback));
    told.finish(failed);
    assert!(told.may_start(rollback));
}

/// As many transactions as can be in flight: each updates a row and then rows that can't be told, in turn
/// with the others, and the records of the next overtake its COMMIT.
fn overtaken(transactions: u64) -> Told {
    let mut told = Told::default();
    for at in 0..transactions {
        let pid = (at % 8) as u32;
        told.steps(pid, Step::Begin);
        told.runs(pid, &[row(at % 3), read(at % 3), Access::Table(U, Mode::Read)]);
        if at >= 4 {
            told.runs(pid, &[Access::Table(U, Mode::Write)]);
            told.steps((pid + 4) % 8, Step::Commit);
        }
    }
    told
}

#[test]
fn what_a_statement_waits_for_stands_under_few_names_however_much_is_in_flight() {
    for transactions in [100, 1000, 4000] {
        let told = overtaken(transactions);
        let statements = told.order.in_flight().0;
        assert!(statements as u64 > 3 * transactions && told.order.waived() > transactions);
        let (nodes, waits, noted) = told.order.graph.size();
        assert!(nodes < 8 * statements, "{nodes} nodes for {statements} statements");
        assert!(waits < 30 * statements, "{waits} waits for {statements} statements");
        assert!(noted < 8 * nodes, "{noted} holds noted by {nodes} nodes");
    }
}

#[test]
fn a_savepoint_costs_the_same_however_many_there_are() {
    for (released, nested) in [(true, false), (false, true), (false, false)] {
        let mut told = Told::default();
        told.steps(1, Step::Begin);
        for key in 0..2000 {
            let name = if nested { format!("s{key}") } else { "s".to_owned() };
            told.steps(1, Step::Savepoint(name.as_str().into()));
            told.runs(1, &[row(key)]);
            if released {
                told.steps(1, Step::Release(name.into()));
            }
        }
        let commit = told.steps(1, Step::Commit);
        let (nodes, waits, noted) = told.order.graph.size();
        assert!(nodes < 5 * 2000 && waits < 1000 && noted < 1000, "{nodes}, {waits}, {noted}");
        assert!(told.order.noted() < 10 * 2000, "{}", told.order.noted());
        (1..=commit).for_each(|seq| told.finish(seq));
        assert_eq!(told.order.graph.len(), 0);
    }
}

#[derive(Debug, Clone, Copy)]
enum Waited {
    Statement(Seq),
    Transaction(SessionId),
}

impl ConflictOrder {
    /// What a statement waits for, its session's own statements left out.
    fn waits_of(&self, seq: Seq) -> Vec<Waited> {
        let id = self.statements.get(&seq);
        let waits = id.into_iter().flat_map(|id| self.graph.waits_for(*id));
        let named =
            waits.filter_map(|id| match (self.graph.statement(id), self.graph.lock_span(id)) {
                (Some(statement), _) => Some((Waited::Statement(statement.seq), statement.session)),
                (_, Some(span)) => Some((Waited::Transaction(span.session), span.session)),
                _ => None,
            });
        let own = id.and_then(|id| self.graph.statement(*id)).map(|statement| statement.session);
        named.filter(|(_, session)| Some(*session) != own).map(|(waited, _)| waited).collect()
    }

    /// How much is noted of tables.
    fn noted(&self) -> usize {
        self.tables.values().map(TableState::noted).sum()
    }

    /// Whether what is noted of each statement is what a walk from it finds: the open transactions that
    /// it waits for.
    fn check_notes(&mut self) -> Result<(), String> {
        let open = self.sessions.values().filter_map(|line| line.transaction.as_ref());
        let open: Vec<TransactionId> = open.map(|transaction| transaction.id).collect();
        for (seq, id) in &self.statements {
            for transaction in &open {
                let spans = |met| match self.graph.lock_span(met) {
                    Some(span) => span.transaction == *transaction && span.ended_by.is_none(),
                    None => false,
                };
                let waits = self.graph.meets(*id, spans);
                if self.graph.is_behind(*id, &[*transaction]) != waits {
                    return Err(format!("{seq:?} waits for {transaction:?}: {waits}"));
                }
            }
        }
        Ok(())
    }
}
