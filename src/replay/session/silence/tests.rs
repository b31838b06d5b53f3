use super::*;

const HOUR: u64 = 3600;

fn silent(pid: u32, seconds: u64, is_connected: bool, has_memory: bool) -> SilentSession {
    let session = SessionId { start: 1, pid };
    SilentSession { session, silent: Duration::from_secs(seconds), is_connected, has_memory }
}

fn pids(sessions: Vec<SilentSession>) -> Vec<u32> {
    let mut forgettable = Forgettable::default();
    sessions.into_iter().for_each(|session| forgettable.note(session));
    let mut pids: Vec<u32> = forgettable.forgotten().iter().map(|session| session.pid).collect();
    pids.sort_unstable();
    pids
}

#[test]
fn what_has_set_something_is_kept_for_a_day_and_the_rest_for_an_hour() {
    let sessions = vec![
        silent(1, HOUR - 1, false, false),
        silent(2, HOUR, false, false),
        silent(3, HOUR, false, true),
        silent(4, 24 * HOUR, false, true),
    ];
    assert_eq!(pids(sessions), [2, 4]);
}

#[test]
fn what_is_connected_is_kept_for_ever() {
    let sessions = vec![silent(1, 99 * HOUR, true, true), silent(2, 99 * HOUR, true, false)];
    assert_eq!(pids(sessions), [0; 0]);
}

#[test]
fn of_too_many_those_go_first_that_have_been_silent_for_longest() {
    let all = 0..MOST_KEPT as u32 + 2;
    let sessions = all.map(|pid| silent(pid, 2 * HOUR + u64::from(pid), false, true));
    let last = MOST_KEPT as u32 + 1;
    assert_eq!(pids(sessions.collect()), [last - 1, last]);
}
