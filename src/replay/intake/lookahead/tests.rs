use super::*;

const A: SessionId = SessionId { start: 1, pid: 1 };
const B: SessionId = SessionId { start: 1, pid: 2 };

fn lookahead() -> Lookahead<String> {
    Lookahead::new(LookaheadLimits { entries: 3, bytes: 1000, wait_ms: 100 })
}

#[test]
fn a_statement_waits_for_the_next_record_of_its_session_and_holds_those_behind_it() {
    let mut held = lookahead();
    held.push(A, "a".into(), 1, true, 0);
    held.push(B, "b".into(), 1, false, 0);
    assert_eq!(held.pop(50), None);
    assert!(held.end(A, |item| item.push('!')));
    assert_eq!(held.pop(50), Some((A, "a!".into())));
    assert_eq!(held.pop(50), Some((B, "b".into())));
    assert!(held.is_empty());
}

#[test]
fn a_silent_session_is_not_waited_for_for_ever() {
    let mut held = lookahead();
    held.push(A, "a".into(), 1, true, 0);
    assert_eq!(held.pop(99), None);
    assert_eq!(held.pop(100), Some((A, "a".into())));
    assert!(!held.end(A, |_| panic!("it has left")));
}

#[test]
fn much_read_behind_it_lets_a_statement_go_and_a_large_one_is_held_alone() {
    let mut held = lookahead();
    held.push(A, "large".into(), 2000, true, 0);
    assert!(held.is_full());
    assert_eq!(held.pop(0), Some((A, "large".into())));
    assert!(!held.is_full());
    held.push(A, "a".into(), 600, true, 0);
    assert_eq!(held.pop(0), None);
    held.push(B, "b".into(), 600, true, 0);
    assert_eq!(held.pop(0), Some((A, "a".into())));
    assert_eq!(held.pop(0), None);
}

#[test]
fn what_is_dropped_of_some_sessions_does_not_touch_the_others() {
    let mut held = lookahead();
    held.push(A, "a".into(), 1, false, 0);
    held.push(B, "b".into(), 1, true, 0);
    held.push(A, "a".into(), 1, true, 0);
    assert_eq!(held.pop(0), Some((A, "a".into())));
    assert_eq!(held.drop_sessions(|session| session == A), ["a"]);
    assert!(!held.end(A, |_| panic!("it is gone")));
    assert!(held.end(B, |item| item.push('!')));
    assert_eq!(held.pop(0), Some((B, "b!".into())));
    assert!(held.is_empty());
}

#[test]
fn enough_read_behind_it_lets_a_statement_go() {
    let mut held = lookahead();
    for name in ["a", "b", "c", "d"] {
        held.push(SessionId { start: 1, pid: name.as_bytes()[0].into() }, name.into(), 1, true, 0);
    }
    assert!(held.is_full());
    assert_eq!(held.pop(0).map(|(_, item)| item).as_deref(), Some("a"));
    assert_eq!(held.pop(0), None);
}
