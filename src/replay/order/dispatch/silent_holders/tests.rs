use super::*;

const A: SessionId = SessionId { start: 1, pid: 1 };
const B: SessionId = SessionId { start: 1, pid: 2 };
const S: Duration = Duration::from_secs(1);

#[test]
fn who_has_held_others_up_for_long_without_a_pause_is_due() {
    let mut silent = SilentHolders::default();
    let mut at = |seconds: u32, holders: &[SessionId]| {
        silent.silent_for(holders.iter().copied(), 10 * S, seconds * S)
    };
    assert_eq!(at(1, &[A, B]), []);
    assert_eq!(at(5, &[B]), [], "the first has done something");
    assert_eq!(at(11, &[A, B]), [B]);
    assert_eq!(at(20, &[A]), []);
    assert_eq!(at(21, &[A]), [A]);
    silent.forget(A);
    assert_eq!(silent.silent_for([A].into_iter(), 10 * S, 22 * S), []);
}
