//! Ends of transactions that need not be answered before their sessions send on.

use super::*;

const WIDE: Access = Access::Table(U, Mode::Update);

/// A transaction that writes a row, and the statement behind it.
fn passes(told: &mut Told, pid: u32) -> (u64, u64) {
    told.steps(pid, Step::Begin);
    told.runs(pid, &[row(pid.into())]);
    (told.steps(pid, Step::Commit), told.steps(pid, Step::Begin))
}

#[test]
fn where_all_rows_are_told_a_session_goes_on_behind_its_commit_at_once() {
    let mut told = Told::default();
    let (_, next) = passes(&mut told, 1);
    assert!(told.may_start(next));
}

#[test]
fn an_end_is_seen_first_while_rows_that_can_not_be_told_are_locked() {
    for lock in [WIDE, Access::Table(U, Mode::Reference)] {
        let mut told = Told::default();
        let begin = told.steps(9, Step::Begin);
        let locks = told.runs(9, &[lock]);
        let (end, next) = passes(&mut told, 1);
        assert!(told.may_start(end) && !told.may_start(next), "{lock:?}");
        let rollback = told.steps(9, Step::Rollback);
        [begin, locks].into_iter().for_each(|seq| told.finish(seq));
        let (_, other) = passes(&mut told, 2);
        assert!(!told.may_start(other), "the locks are there until it has ended: {lock:?}");
        told.finish(rollback);
        let (_, third) = passes(&mut told, 3);
        assert!(told.may_start(third), "{lock:?}");
        told.finish(end);
        assert!(told.may_start(next), "{lock:?}");
    }
}

#[test]
fn rows_that_can_not_be_told_are_locked_when_the_ends_that_were_passed_are_answered() {
    let mut told = Told::default();
    let (end, next) = passes(&mut told, 1);
    let locks = told.runs(2, &[WIDE]);
    assert!(told.may_start(next) && !told.may_start(locks));
    told.finish(end);
    assert!(told.may_start(locks));
}

#[test]
fn locks_that_can_not_be_told_go_with_their_transaction_however_it_ends() {
    type End = fn(&mut Told) -> Vec<u64>;
    let ways: [(&str, End); 6] =
        [
            ("a statement of its own", |told| vec![told.runs(9, &[WIDE])]),
            ("an implicit transaction", |told| {
                let joined =
                    Arrival { footprint: footprint(&[WIDE]), joined: true, ..Arrival::default() };
                vec![told.arrive(9, joined), told.runs(9, &[WIDE])]
            }),
            ("a string", |told| {
                let steps = vec![Step::Begin, Step::Commit];
                vec![told.arrive(
                    9,
                    Arrival { footprint: footprint(&[WIDE]), steps, ..Arrival::default() },
                )]
            }),
            ("a failure", |told| {
                let begin = told.steps(9, Step::Begin);
                vec![begin, told.fails(9, &[WIDE]), told.steps(9, Step::Commit)]
            }),
            ("a prepared transaction", |told| {
                let begin = told.steps(9, Step::Begin);
                let prepare = [told.runs(9, &[WIDE]), told.steps(9, Step::Prepare("p".into()))];
                let finish = Step::FinishPrepared { name: "p".into(), undone: false };
                [&[begin][..], &prepare, &[told.steps(8, finish)]].concat()
            }),
            ("a lost connection", |told| {
                let all = vec![told.steps(9, Step::Begin), told.runs(9, &[WIDE])];
                all.iter().for_each(|seq| told.finish(*seq));
                told.order.close(session(9), &mut Vec::new());
                all
            }),
        ];
    for (way, locks) in ways {
        let mut told = Told::default();
        for seq in locks(&mut told) {
            told.finish(seq);
        }
        let (_, next) = passes(&mut told, 1);
        assert!(told.may_start(next), "{way}");
    }
}
