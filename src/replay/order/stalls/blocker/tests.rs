use super::*;

const A: SessionId = SessionId { start: 1, pid: 1 };
const SHORT: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_secs(60);
const HEAD: Start = Start { session: A, seq: Seq(7) };

fn waiting(waited: Duration, no_more: bool) -> Waiting {
    Waiting { waited, patience: LONG, no_more, first_waiting: None }
}

fn blocked_by(next: NextOf, waited: Duration, no_more: bool) -> Option<StallAction> {
    let blocker = Blocker::Session { session: A, rests: true, next };
    against(blocker, &waiting(waited, no_more))
}

#[test]
fn a_blocker_ends_its_transaction_early_or_goes_on_alone() {
    let end = blocked_by(NextOf::End(HEAD.seq), SHORT, false);
    assert_eq!(end, Some(StallAction::EndEarly(HEAD)));
    let statement = blocked_by(NextOf::Statement(HEAD.seq), SHORT, false);
    assert_eq!(statement, Some(StallAction::Advance(HEAD)));
}

#[test]
fn a_blocker_whose_next_statement_is_not_due_is_waited_for() {
    assert_eq!(blocked_by(NextOf::Later, LONG, true), None);
}

#[test]
fn a_blocker_that_has_moved_since_the_target_was_asked_is_left_alone() {
    for next in [NextOf::Statement(HEAD.seq), NextOf::End(HEAD.seq), NextOf::Nothing] {
        let moved = Blocker::Session { session: A, rests: false, next };
        assert_eq!(against(moved, &waiting(LONG, true)), None);
    }
}

#[test]
fn a_blocker_without_a_record_left_is_read_on_for_and_given_up_in_the_end() {
    assert_eq!(blocked_by(NextOf::Nothing, SHORT, false), Some(StallAction::ReadOn));
    assert_eq!(blocked_by(NextOf::Nothing, LONG, false), Some(StallAction::GiveUp(A)));
    assert_eq!(blocked_by(NextOf::Nothing, SHORT, true), Some(StallAction::GiveUp(A)));
}

#[test]
fn a_prepared_transaction_without_a_known_finisher_is_read_on_for_and_then_the_next_starts() {
    let prepared = |still, waited, no_more| {
        let waiting = Waiting { first_waiting: Some(HEAD), ..waiting(waited, no_more) };
        against(Blocker::Prepared { still, is_end_ahead: false }, &waiting)
    };
    assert_eq!(prepared(true, SHORT, false), Some(StallAction::ReadOn));
    assert_eq!(prepared(true, SHORT, true), Some(StallAction::Advance(HEAD)));
    assert_eq!(prepared(true, LONG, false), Some(StallAction::Advance(HEAD)));
    assert_eq!(prepared(false, LONG, true), None, "what has finished may have been its end");
    let unfinished = Blocker::Prepared { still: true, is_end_ahead: false };
    assert_eq!(against(unfinished, &waiting(LONG, true)), None, "nobody waits for a turn");
}

#[test]
fn the_end_of_a_prepared_transaction_that_is_on_its_way_is_waited_for() {
    let waiting = Waiting { first_waiting: Some(HEAD), ..waiting(LONG, true) };
    let ahead = Blocker::Prepared { still: true, is_end_ahead: true };
    assert_eq!(against(ahead, &waiting), None);
}

#[test]
fn a_backend_that_is_not_ours_is_reported_and_never_given_up() {
    let foreign = against(Blocker::ForeignBackend(77), &waiting(LONG, true));
    assert_eq!(foreign, Some(StallAction::ReportForeign(77)));
    assert!(!foreign.is_some_and(|action| action.breaks_stall()));
}
