use super::*;
use crate::pglog::statement::{Protocol, SourceEnd, Statement};
use crate::replay::work::{End, Position, Work};
use crate::sql::Outline;

fn start(pid: u32, seq: u64) -> Start {
    Start { session: SessionId { start: 1, pid }, seq: Seq(seq) }
}

const END: u64 = 9;

#[test]
fn an_end_runs_when_all_that_wait_for_it_are_held_and_these_run_again_one_by_one() {
    let mut withdrawals = Withdrawals::default();
    let (end, first, second) = (start(9, END), start(1, 4), start(2, 6));
    let begun = withdrawals.begin(end, vec![second, first]);
    assert_eq!(begun, [Direction::Withdraw(second), Direction::Withdraw(first)]);
    assert!(withdrawals.has_end(end.seq) && withdrawals.has_waiter(first.seq));
    assert_eq!(withdrawals.held(second), []);
    assert_eq!(withdrawals.held(first), [Direction::RunAhead(end)]);
    assert_eq!(withdrawals.finished(Seq(3)), []);
    assert_eq!(withdrawals.finished(end.seq), [Direction::RunAgain(first)]);
    assert!(!withdrawals.has_end(end.seq) && !withdrawals.has_waiter(first.seq));
    assert_eq!(withdrawals.finished(first.seq), [Direction::RunAgain(second)]);
    assert_eq!(withdrawals.finished(second.seq), []);
    assert!(withdrawals.0.is_empty());
}

#[test]
fn one_that_ends_before_it_is_canceled_or_can_not_be_withdrawn_is_not_waited_for() {
    let mut withdrawals = Withdrawals::default();
    let (end, first, second) = (start(9, END), start(1, 4), start(2, 6));
    withdrawals.begin(end, vec![first, second]);
    assert_eq!(withdrawals.finished(first.seq), []);
    assert_eq!(withdrawals.held(second), [Direction::RunAhead(end)]);
    assert_eq!(withdrawals.finished(end.seq), [Direction::RunAgain(second)]);
}

#[test]
fn whoever_is_held_for_an_end_that_does_not_come_any_more_runs_again() {
    let mut withdrawals = Withdrawals::default();
    let (end, first, second) = (start(9, END), start(1, 4), start(2, 6));
    withdrawals.begin(end, vec![first, second]);
    withdrawals.held(first);
    assert_eq!(withdrawals.disconnected(end.session), [Direction::RunAgain(first)]);
    assert_eq!(withdrawals.held(second), [], "it is held until the first has run");
    assert_eq!(withdrawals.disconnected(first.session), [Direction::RunAgain(second)]);
    assert_eq!(withdrawals.finished(second.seq), []);
    assert_eq!(withdrawals.held(first), [Direction::RunAgain(first)], "of which nothing is known");
}

#[test]
fn what_can_not_be_canceled_in_time_is_left() {
    let mut withdrawals = Withdrawals::default();
    let (end, first) = (start(9, END), start(1, 4));
    withdrawals.begin(end, vec![first]);
    assert_eq!(withdrawals.give_up(end.seq), [Direction::RunAhead(end)]);
    assert_eq!(withdrawals.finished(end.seq), []);
    assert_eq!(withdrawals.held(first), [Direction::RunAgain(first)]);
}

#[test]
fn what_has_failed_runs_again_behind_the_end_that_frees_it() {
    let mut withdrawals = Withdrawals::default();
    let (end, failed) = (start(9, END), start(1, 4));
    assert_eq!(withdrawals.begin_for_failed(end, failed), [Direction::RunAhead(end)]);
    assert_eq!(withdrawals.finished(end.seq), [Direction::RunAgain(failed)]);
}

// ---- What the times tell ----

fn work(seq: u64, sql: &str, logged_ms: i64, duration_ms: Option<f64>) -> Work {
    let statement = Statement {
        sql: sql.into(),
        protocol: Protocol::Simple,
        outline: Outline::of(sql),
        duration_ms,
        exporter: None,
        logged_ms,
    };
    let at = Position { partition: 0, offset: 0, line: 0 };
    let end = End { source: SourceEnd::Succeeded, ..End::default() };
    Work::new(Seq(seq), at, SessionId::default(), statement, end)
}

fn update(logged_ms: i64, duration_ms: impl Into<Option<f64>>) -> Work {
    work(4, "update t set a = 1", logged_ms, duration_ms.into())
}

fn commit(logged_ms: i64, duration_ms: f64) -> Work {
    work(END, "commit", logged_ms, Some(duration_ms))
}

#[test]
fn a_short_statement_within_the_same_millisecond_had_not_waited() {
    assert!(began_behind(&update(288, 0.042), &commit(288, 0.011)));
    assert!(!began_behind(&update(288, 0.7), &commit(288, 0.011)));
}

#[test]
fn times_that_lie_apart_tell_more_than_the_duration() {
    assert!(!began_behind(&update(280, 0.042), &commit(288, 3.0)), "it had ended before");
    assert!(!began_behind(&update(288, 20.0), &commit(288, 0.011)), "it had begun before");
    // The commit's record came late.
    assert!(began_behind(&update(290, 1.5), &commit(287, 0.011)));
}

#[test]
fn without_durations_a_record_stands_where_its_statement_began() {
    assert!(!began_behind(&update(288, None), &commit(288, 0.011)));
    assert!(!may_have_begun_behind(&update(288, None), &commit(288, 0.011)));
}

#[test]
fn an_end_that_began_when_the_statement_had_ended_did_not_come_before_it() {
    assert!(may_have_begun_behind(&update(288, 0.1), &commit(288, 0.011)));
    assert!(may_have_begun_behind(&update(288, 0.1), &commit(291, 2.5)));
    assert!(may_have_begun_behind(&update(288, 0.1), &commit(294, 0.5)), "times run backwards");
    assert!(!may_have_begun_behind(&update(288, 0.1), &commit(296, 0.5)));
    assert!(!may_have_begun_behind(&commit(288, 0.1), &update(288, 0.5)), "it stands before it");
}

#[test]
fn a_commit_shows_more_to_others_and_a_rollback_does_not() {
    for (sql, shows) in [
        ("COMMIT;", true),
        ("end", true),
        ("commit and chain", true),
        ("update t set a = 1; commit", true),
        ("commit prepared 'x'", true),
        ("rollback", false),
        ("rollback and chain", false),
        ("rollback prepared 'x'", false),
        ("prepare transaction 'x'", false),
        ("rollback to a", false),
        ("update t set a = 1", false),
    ] {
        assert_eq!(shows_more(&work(1, sql, 0, None)), shows, "{sql}");
    }
}
