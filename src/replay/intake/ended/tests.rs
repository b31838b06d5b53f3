use super::*;
use crate::replay::intake::lines::Line;

fn session(start: u64) -> SessionId {
    SessionId { start, pid: 1 }
}

fn ended(lines: &[u64], partition: i32) -> EndedSession {
    let mut seen = LineSequence::default();
    lines.iter().for_each(|line| {
        seen.observe(*line);
    });
    EndedSession { lines: seen, partition }
}

fn take(sessions: &mut EndedSessions, start: u64) -> Option<EndedSession> {
    sessions.take(session(start))
}

#[test]
fn the_lines_of_an_ended_session_are_known_until_it_is_handed_out() {
    let mut sessions = EndedSessions::default();
    sessions.add(session(1), ended(&[1, 4], 0), 0);
    let mut again = take(&mut sessions, 1).expect("it has just ended");
    assert_eq!(
        [4, 2, 5].map(|line| again.lines.observe(line)),
        [Line::Repeat, Line::Late, Line::Next]
    );
    assert!(take(&mut sessions, 1).is_none());
    assert_eq!(sessions.recent.bytes, 0);
}

#[test]
fn however_many_sessions_end_what_is_remembered_stays_as_large() {
    let mut sessions = EndedSessions::default();
    for start in 0..200_000 {
        sessions.add(session(start), ended(&[1, 2, 1000], 0), 0);
    }
    let kept = [&sessions.recent, &sessions.before].map(|generation| generation.sessions.len());
    assert!(kept.iter().sum::<usize>() <= 100_000, "{kept:?}");
    assert!(take(&mut sessions, 0).is_none());
    assert!(take(&mut sessions, 199_999 - 30_000).is_some());
}

#[test]
fn an_ended_session_is_remembered_for_an_hour_and_not_for_three() {
    let mut sessions = EndedSessions::default();
    sessions.add(session(1), ended(&[1], 0), GENERATION_MS - 1);
    sessions.forget_old(GENERATION_MS);
    sessions.add(session(2), ended(&[1], 0), GENERATION_MS);
    sessions.forget_old(2 * GENERATION_MS - 1);
    assert!(take(&mut sessions, 1).is_some());
    sessions.add(session(1), ended(&[1], 0), 2 * GENERATION_MS - 1);
    sessions.forget_old(2 * GENERATION_MS);
    sessions.forget_old(3 * GENERATION_MS);
    assert!(take(&mut sessions, 1).is_none() && take(&mut sessions, 2).is_none());
}

#[test]
fn sessions_of_a_partition_that_is_handed_over_are_not_known_any_more() {
    let mut sessions = EndedSessions::default();
    sessions.add(session(1), ended(&[1], 0), 0);
    sessions.add(session(2), ended(&[1], 1), 0);
    sessions.forget_partition(0);
    assert!(take(&mut sessions, 1).is_none() && take(&mut sessions, 2).is_some());
}

#[test]
fn a_session_without_line_numbers_leaves_nothing() {
    let mut sessions = EndedSessions::default();
    sessions.add(session(1), ended(&[0], 0), 0);
    assert!(take(&mut sessions, 1).is_none());
}
