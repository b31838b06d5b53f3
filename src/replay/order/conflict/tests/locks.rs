//! Locks on whole tables.

use super::*;

/// Whether what takes this lock waits for a transaction that is open and has taken that one.
fn waits(held: LockMode, wanted: LockMode) -> bool {
    let mut told = Told::default();
    told.steps(1, Step::Begin);
    let first = told.locks(1, T, held);
    let second = told.locks(2, T, wanted);
    let elsewhere = told.locks(3, U, wanted);
    (1..=first).for_each(|seq| told.finish(seq));
    let waits = !told.may_start(second);
    assert!(told.may_start(elsewhere));
    let commit = told.steps(1, Step::Commit);
    assert!(told.may_start(commit));
    told.finish(commit);
    assert!(told.may_start(second));
    waits
}

#[test]
fn a_lock_waits_for_the_ends_of_those_in_its_way_and_for_no_others() {
    for held in LockMode::ALL {
        for wanted in LockMode::ALL {
            let conflict = held.conflicts().contains(&wanted);
            assert_eq!(waits(held, wanted), conflict, "{held:?}, {wanted:?}");
        }
    }
}

#[test]
fn a_table_is_locked_behind_the_reads_that_stand_before_it() {
    let lock = [Access::Lock(T, LockMode::AccessExclusive)];
    for touches in [
        Access::Table(T, Mode::Read),
        read(1),
        row(1),
        Access::Row(T, Key(1), Mode::Reference),
        Access::Append(T),
        Access::InsertGiven(T),
    ] {
        let mut told = Told::default();
        // A function reads it, say: whether it does, its text does not tell.
        let before = told.runs(1, &[touches]);
        told.steps(2, Step::Begin);
        let locks = told.runs(2, &lock);
        let prepare = told.steps(2, Step::Prepare("p".into()));
        let behind = told.runs(3, &[touches]);
        assert!(told.may_start(before) && !told.may_start(locks), "{touches:?}");
        told.finish(before);
        assert!(told.may_start(locks) && !told.may_start(behind), "{touches:?}");
        (2..=prepare).for_each(|seq| told.finish(seq));
        assert!(told.may_start(behind), "{touches:?}: the server knows");
    }
}

#[test]
fn a_lock_of_a_weaker_mode_lets_reads_pass() {
    let mut told = Told::default();
    let read = told.runs(1, &[read(1)]);
    told.steps(2, Step::Begin);
    let locks = told.runs(2, &[Access::Lock(T, LockMode::Exclusive)]);
    let other = told.runs(3, &[Access::Table(T, Mode::Read)]);
    let write = told.runs(4, &[row(1)]);
    assert!([read, locks, other].iter().all(|seq| told.may_start(*seq)));
    assert!(!told.may_start(write));
}

#[test]
fn what_a_prepared_transaction_has_locked_is_locked_until_that_is_finished() {
    let mut told = Told::default();
    told.steps(1, Step::Begin);
    told.locks(1, T, LockMode::AccessExclusive);
    let prepare = told.steps(1, Step::Prepare("p".into()));
    let read = told.locks(2, T, LockMode::AccessShare);
    (1..=prepare).for_each(|seq| told.finish(seq));
    assert!(!told.may_start(read));
    assert_eq!(told.order.prepared_awaited_by(Seq(read)), ["p"]);
    let end = told.steps(3, Step::FinishPrepared { name: "p".into(), undone: false });
    told.finish(end);
    assert!(told.may_start(read));
}

#[test]
fn nobody_waits_for_locks_of_its_own_transaction() {
    let mut told = Told::default();
    let first = Arrival { steps: vec![Step::Begin], ..Arrival::default() };
    let lock = TableLock { relation: T, mode: LockMode::AccessExclusive };
    let footprint = Footprint { locks: smallvec![lock], ..Footprint::default() };
    let mut own = vec![told.arrive(1, Arrival { footprint, ..first })];
    for mode in LockMode::ALL {
        own.extend([told.locks(1, T, mode), told.locks(1, T, LockMode::AccessShare)]);
    }
    own.push(told.steps(1, Step::Commit));
    assert!(own.iter().all(|seq| told.may_start(*seq)));
    own.iter().for_each(|seq| told.finish(*seq));
    assert_eq!(told.order.graph.len(), 0);
}

#[test]
fn nobody_waits_for_a_reference_of_its_own_string_that_began_its_transaction() {
    let mut told = Told::default();
    let accesses = [Access::Append(U), Access::Row(T, Key(1), Mode::Reference)];
    let steps = vec![Step::Begin];
    let first = Arrival { steps, footprint: footprint(&accesses), ..Arrival::default() };
    told.arrive(1, first);
    let delete = told.runs(1, &[row(1)]);
    assert!(told.may_start(delete));
}

#[test]
fn a_lock_that_overtook_the_commit_which_freed_it_does_not_hold_that_up() {
    let mut told = Told::default();
    told.steps(1, Step::Begin);
    let write = told.locks(1, T, LockMode::RowExclusive);
    let elsewhere = told.runs(1, &[Access::Row(U, Key(1), Mode::Write)]);
    told.steps(2, Step::Begin);
    let locks = told.locks(2, T, LockMode::Share);
    let reads = told.runs(2, &[Access::Row(U, Key(1), Mode::Read)]);
    let commit = told.steps(1, Step::Commit);
    [1, write, elsewhere].iter().for_each(|seq| told.finish(*seq));
    assert!(told.may_start(commit) && !told.may_start(locks) && !told.may_start(reads));
    told.finish(commit);
    assert!(told.may_start(locks) && told.may_start(reads));
}

#[test]
fn a_lock_that_was_taken_since_a_savepoint_is_free_with_the_rollback_to_it() {
    let mut told = Told::default();
    told.steps(1, Step::Begin);
    told.locks(1, T, LockMode::AccessShare);
    told.steps(1, Step::Savepoint("a".into()));
    told.locks(1, T, LockMode::AccessExclusive);
    let read = told.locks(2, T, LockMode::AccessShare);
    let locks = told.locks(3, T, LockMode::AccessExclusive);
    let back = told.steps(1, Step::RollbackTo("a".into()));
    (1..=4).for_each(|seq| told.finish(seq));
    assert!(!told.may_start(read));
    told.finish(back);
    assert!(told.may_start(read) && !told.may_start(locks));
}

#[test]
fn nothing_is_kept_of_locks_however_often_a_transaction_takes_them() {
    let mut told = Told::default();
    told.steps(1, Step::Begin);
    told.steps(2, Step::Begin);
    for _ in 0..1000 {
        told.locks(1, T, LockMode::AccessShare);
        told.locks(2, T, LockMode::AccessShare);
    }
    assert!(told.order.noted() < 10, "{}", told.order.noted());
    let ends = [told.steps(1, Step::Commit), told.steps(2, Step::Commit)];
    (1..=ends[1]).for_each(|seq| told.finish(seq));
    assert_eq!(told.order.graph.len(), 0);
}
