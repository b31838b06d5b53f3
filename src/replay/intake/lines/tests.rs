use super::*;

#[test]
fn numbers_in_sequence_say_nothing() {
    let mut lines = LineSequence::default();
    assert_eq!([1, 2, 3, 0].map(|line| lines.observe(line)), [Line::Next; 4]);
}

#[test]
fn a_session_that_begins_late_was_joined() {
    let mut lines = LineSequence::default();
    assert_eq!(lines.observe(40), Line::Joined);
    assert_eq!(lines.observe(41), Line::Next);
}

#[test]
fn a_record_from_before_the_first_that_was_read_is_no_repeat() {
    let mut lines = LineSequence::default();
    lines.observe(40);
    lines.observe(41);
    assert_eq!(lines.observe(39), Line::Early);
    assert_eq!(lines.observe(40), Line::Repeat);
}

#[test]
fn a_missing_record_that_comes_late_is_no_repeat() {
    let mut lines = LineSequence::default();
    lines.observe(1);
    assert_eq!(lines.observe(4), Line::Gap(2));
    assert_eq!(lines.observe(3), Line::Late);
    assert_eq!(lines.observe(3), Line::Repeat);
    assert_eq!(lines.observe(4), Line::Repeat);
    assert_eq!(lines.observe(5), Line::Next);
}

#[test]
fn each_number_of_a_gap_may_come_once_in_any_order() {
    let mut lines = LineSequence::default();
    assert_eq!([1, 10].map(|line| lines.observe(line)), [Line::Next, Line::Gap(8)]);
    assert_eq!([5, 9, 2, 3, 4, 8, 6, 7].map(|line| lines.observe(line)), [Line::Late; 8]);
    assert_eq!([5, 9, 2, 3, 4, 8, 6, 7].map(|line| lines.observe(line)), [Line::Repeat; 8]);
    assert_eq!(lines.missing, []);
}

#[test]
fn a_gap_takes_as_much_however_many_are_missing_and_many_gaps_are_bounded() {
    let mut lines = LineSequence::default();
    assert_eq!([1, 1_000_000].map(|line| lines.observe(line)), [Line::Next, Line::Gap(999_998)]);
    assert_eq!(lines.missing.len(), 1);
    for line in (1_000_002..).step_by(2).take(LineSequence::GAPS) {
        lines.observe(line);
    }
    assert_eq!(lines.missing.len(), LineSequence::GAPS);
    assert_eq!(lines.observe(2), Line::Repeat, "it is not known any more");
    assert_eq!(lines.observe(1_000_001), Line::Late);
}
