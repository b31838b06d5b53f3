use super::*;

const UNIQUE: SqlState = SqlState(*b"23505");
const SYNTAX: SqlState = SqlState(*b"42601");

fn judge(policy: ErrorPolicy, source: SourceEnd, target: SqlState, after_ms: u64) -> Verdict {
    policy.judge(Outcome::compare(source, Err(target)), Err(target), after_ms)
}

#[test]
fn what_failed_on_the_source_too_never_stops_a_replay() {
    let policy = ErrorPolicy { tolerance: Tolerance::Never, on_error: OnError::Stop };
    assert_eq!(judge(policy, SourceEnd::Failed(SYNTAX), SYNTAX, 0), Verdict::Fine);
    assert_eq!(judge(policy, SourceEnd::Failed(SYNTAX), UNIQUE, 0), Verdict::News);
    assert_eq!(judge(policy, SourceEnd::Succeeded, UNIQUE, 0), Verdict::Stop);
    assert_eq!(judge(policy, SourceEnd::Unknown, UNIQUE, 0), Verdict::Stop);
}

#[test]
fn integrity_errors_are_tolerated_for_as_long_as_asked() {
    let policy = |tolerance| ErrorPolicy { tolerance, on_error: OnError::Stop };
    let at = |tolerance, ms| judge(policy(tolerance), SourceEnd::Succeeded, UNIQUE, ms);
    assert_eq!(at(Tolerance::ForMs(1000), 999), Verdict::Tolerated);
    assert_eq!(at(Tolerance::ForMs(1000), 1000), Verdict::Stop);
    assert_eq!(at(Tolerance::ForEver, u64::MAX), Verdict::Tolerated);
    assert_eq!(judge(policy(Tolerance::ForEver), SourceEnd::Succeeded, SYNTAX, 0), Verdict::Stop);
}

#[test]
fn what_the_sources_log_holds_too_little_of_is_neither_fixed_nor_an_error() {
    let ended = |target, beyond_log| Ended {
        source: SourceEnd::Failed(SqlState(*b"42804")),
        target,
        guessed: false,
        may_have_drawn: false,
        beyond_log,
        took: None,
    };
    let untyped = Err(SqlState(*b"42P18"));
    assert_eq!(Outcome::of(ended(Ok(()), true)), Outcome::CannotTell);
    assert_eq!(Outcome::of(ended(untyped, true)), Outcome::CannotTell);
    assert_eq!(Outcome::of(ended(Err(SqlState(*b"42804")), true)), Outcome::Same);
    assert_eq!(Outcome::of(ended(Err(UNIQUE), true)), Outcome::OtherError);
    assert_eq!(Outcome::of(ended(Ok(()), false)), Outcome::FixedError);
}

#[test]
fn the_first_failure_of_a_transaction_is_told_from_those_that_follow() {
    let policy = ErrorPolicy { tolerance: Tolerance::Never, on_error: OnError::Stop };
    let follows = SqlState::IN_FAILED_TRANSACTION;
    assert_eq!(judge(policy, SourceEnd::Succeeded, follows, 0), Verdict::Consequence);
}

#[test]
fn a_log_that_invents_codes_is_counted_in_full_and_takes_no_more_room() {
    let mut tally = Tally::default();
    let codes =
        || (0..2 * CODES).map(|at| SqlState(format!("{at:05}").into_bytes().try_into().unwrap()));
    codes().chain(codes()).for_each(|code| tally.session_ended(code));
    for errors in [&tally.source_errors, &tally.target_errors] {
        assert_eq!(errors.len(), CODES + 1);
        assert_eq!((errors["00001"], errors["other"]), (2, 2 * CODES as u64));
    }
}
