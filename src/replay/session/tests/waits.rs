//! What a session's statements wait for.

use super::*;
use crate::replay::session::waits::Wait;

fn at(ms: u64) -> Moment {
    Moment::after(Duration::from_millis(ms))
}

/// The milliseconds waited since the last time, but for those of nothing.
fn waited(session: &mut Session, now: u64) -> Vec<(Wait, u128)> {
    session.advance_to(at(now));
    let waits = session.take_waits();
    let waits = waits.iter().map(|(wait, time)| (wait, time.as_millis()));
    waits.filter(|(_, ms)| *ms > 0).collect()
}

#[test]
fn each_statement_of_a_pipeline_but_the_first_waits_for_its_session() {
    let mut replay = Replay::new(settings());
    (0..3).for_each(|_| replay.simple("select 1", ok()));
    assert_eq!(replay.send(), Next::Wait);
    assert_eq!(waited(&mut replay.session, 10), [(Wait::Session, 20), (Wait::Target, 10)]);
    replay.answer();
    replay.answer();
    assert_eq!(waited(&mut replay.session, 15), [(Wait::Target, 5)]);
    replay.answer();
    assert_eq!(waited(&mut replay.session, 100), []);
}

#[test]
fn a_statement_waits_for_the_order_from_when_it_asks_until_its_turn() {
    let mut replay = Replay::new(SessionSettings { takes_turns: true, ..settings() });
    replay.simple("select 1", ok());
    replay.simple("select 2", ok());
    assert_eq!(waited(&mut replay.session, 1), [(Wait::Session, 1)], "it has not asked");
    assert_eq!(replay.send(), Next::Ask(Seq(1)));
    assert_eq!(waited(&mut replay.session, 8), [(Wait::Order, 7), (Wait::Session, 7)]);
    replay.session.grant(Seq(2));
    assert_eq!(replay.send(), Next::Wait);
    assert_eq!(waited(&mut replay.session, 10), [(Wait::Session, 2), (Wait::Target, 2)]);
}

#[test]
fn without_a_connection_the_next_statement_waits_for_one() {
    let mut replay = Replay::new(settings());
    replay.simple("select 1", ok());
    replay.simple("select 2", ok());
    replay.send();
    replay.session.advance_to(at(5));
    replay.session.take_waits();
    replay.session.lost();
    assert_eq!(waited(&mut replay.session, 8), [(Wait::Session, 3), (Wait::Connection, 3)]);
}

#[test]
fn a_statement_that_is_not_due_waits_for_the_schedule_and_for_no_connection() {
    let mut session = Session::new(settings(), Arc::default());
    let due = work(1, "select 1", Protocol::Simple, ok());
    let due = Arc::into_inner(due).expect("just made").due_at(Some(at(20)));
    session.push(Arc::new(due));
    assert_eq!(waited(&mut session, 20), [(Wait::Schedule, 20)]);
    assert_eq!(waited(&mut session, 21), [(Wait::Connection, 1)]);
}
