//! What becomes of statements when their sessions report them.

use super::*;
use crate::replay::account::ledger::Skipped;

fn failed(work: &Work, code: SqlState) -> Ended {
    Ended { target: Err(code), ..succeeded(work) }
}

/// The first statement that runs ends like this.
fn end(fed: &mut Fed, ended: impl FnOnce(&Work) -> Ended) {
    let work = fed.running.remove(0);
    let settlement = Settlement::Ran(ended(&work), Duration::ZERO);
    let settled = vec![Settled { at: work.at, is_last: true }];
    let ended = vec![(work, settlement)];
    fed.report(SessionProgress { ended, settled, ..SessionProgress::default() });
}

fn with_policy(errors: ErrorPolicy, statements: u64) -> Fed {
    let mut fed = fed(InputKind::Files, ReplaySettings { errors, ..settings() });
    let lines: Vec<_> = (1..=statements).map(|n| statement(1, n, "a")).collect();
    fed.read(0, &lines);
    fed.asked();
    fed
}

#[test]
fn a_statement_that_fails_on_the_target_alone_is_reported_and_stops_the_replay_where_it_should() {
    for on_error in [OnError::Continue, OnError::Stop] {
        let mut fed = with_policy(ErrorPolicy { tolerance: Tolerance::Never, on_error }, 2);
        end(&mut fed, |work| failed(work, SqlState(*b"42P01")));
        let expected: &[&str] = match on_error {
            OnError::Stop => &["notice Difference", "stop at a"],
            OnError::Continue => &["notice Difference"],
        };
        assert_eq!(fed.asked(), expected);
        end(&mut fed, succeeded);
        assert_eq!(fed.asked(), [""; 0]);
        assert_eq!(fed.tally.records.count(Fate::Failed), 1);
    }
}

#[test]
fn integrity_errors_are_tolerated_for_a_while_after_the_first_statement() {
    let tolerance = Tolerance::ForMs(10_000);
    let mut fed = with_policy(ErrorPolicy { tolerance, on_error: OnError::Stop }, 2);
    let duplicate_key = |work: &Work| failed(work, SqlState(*b"23505"));
    fed.now = 9 * S;
    end(&mut fed, duplicate_key);
    let FeedAction::Notice(Notice::Difference { news, .. }) = fed.out.remove(0) else {
        panic!("{:?}", fed.out)
    };
    assert_eq!((news, fed.asked().len()), (None, 0), "it is no news");
    fed.now = 10 * S;
    end(&mut fed, duplicate_key);
    assert_eq!(fed.asked(), ["notice Difference", "stop at a"]);
}

#[test]
fn a_transaction_that_is_not_final_holds_back_its_offset_and_not_the_account() {
    let mut fed =
        with_policy(ErrorPolicy { tolerance: Tolerance::Never, on_error: OnError::Continue }, 3);
    let ran: Vec<_> = std::mem::take(&mut fed.running);
    let settlements = ran.iter().map(|work| (work.clone(), Settlement::Ran(succeeded(work), MS)));
    let report = SessionProgress { ended: settlements.collect(), ..SessionProgress::default() };
    fed.report(report);
    assert_eq!((fed.tally.records.pending(), fed.feed.in_flight()), (0, 0));
    assert_eq!(fed.feed.all_watermarks()[0].offset, 0);
    let mut report = SessionProgress::default();
    report.settle(&ran);
    fed.report(report);
    assert_eq!(fed.feed.all_watermarks()[0].offset, 3);
}

#[test]
fn a_statement_that_was_not_run_gives_its_room_back_and_keeps_its_reason() {
    let mut fed = fed(InputKind::Files, ReplaySettings { max_in_flight: 1, ..settings() });
    fed.read(0, &[statement(1, 1, "a"), statement(1, 2, "b")]);
    let work = fed.running.remove(0);
    let fate = Fate::Skipped(Skipped::CopyData);
    let ended = vec![(work, Settlement::Not(fate))];
    fed.report(SessionProgress { ended, ..SessionProgress::default() });
    assert_eq!(fed.tally.records.count(fate), 1);
    assert_eq!(fed.asked(), ["a", "b"]);
}

#[test]
fn draws_that_the_log_does_not_tell_are_counted_and_reported_once_for_each_query_shape() {
    let mut fed =
        with_policy(ErrorPolicy { tolerance: Tolerance::Never, on_error: OnError::Continue }, 3);
    for _ in 0..3 {
        end(&mut fed, |work| Ended { may_have_drawn: true, ..succeeded(work) });
    }
    assert_eq!(fed.asked(), ["notice UnknownDraws"]);
    assert_eq!(fed.feed.take_counts().unknown_draws, 3);
    assert_eq!(fed.tally.unknown_draws, 3);
}

#[test]
fn the_replay_is_behind_the_source_by_the_age_of_what_has_ended_unless_nothing_is_left() {
    let mut fed = fed(InputKind::Topic, settings());
    fed.feed.assign(0, None, Duration::ZERO);
    fed.read(0, &[statement(1, 1, "a"), statement(1, 2, "b")]);
    // The second line was logged at 2026-01-01 00:00:02.
    let today = Duration::from_secs(1_767_225_600 + 12);
    assert_eq!(fed.feed.replay_lag(today), Duration::ZERO, "nothing has ended");
    fed.finish(1);
    assert_eq!(fed.feed.replay_lag(today), 11 * S);
    fed.finish(1);
    assert_eq!(fed.feed.replay_lag(today), Duration::ZERO, "all that there was has ended");
}
