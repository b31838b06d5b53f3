use super::*;
use crate::pglog::statement::SourceEnd;

#[test]
fn a_statement_that_was_not_sent_is_skipped_and_one_that_was_given_up_is_not_counted_as_run() {
    let ended = Ended {
        source: SourceEnd::Succeeded,
        target: Ok(()),
        guessed: false,
        may_have_drawn: false,
        beyond_log: false,
        took: None,
    };
    let waited = Duration::from_millis(3);
    let settlement = |withheld, given_up| Settlement::of(ended, waited, withheld, given_up);
    assert!(matches!(settlement(None, false), Settlement::Ran(_, time) if time == waited));
    assert!(matches!(settlement(None, true), Settlement::Not(Fate::GivenUp(GivenUp::Stalled))));
    for given_up in [false, true] {
        assert!(matches!(
            settlement(Some(Skipped::UnknownPid), given_up),
            Settlement::Not(Fate::Skipped(Skipped::UnknownPid))
        ));
    }
}
