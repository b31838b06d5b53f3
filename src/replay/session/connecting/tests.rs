use std::sync::Arc;

use super::*;
use crate::pglog::statement::Protocol;
use crate::replay::session::SessionSettings;
use crate::replay::work::End;

fn session() -> Session {
    let settings = SessionSettings {
        depth: 1,
        takes_turns: false,
        replay_cancels: false,
        read_only: false,
        server_durations: false,
        explain: false,
    };
    Session::new(settings, Arc::default())
}

/// A session whose statement with this place waits to be run.
fn busy(seq: u64) -> Session {
    let mut session = session();
    session.push(crate::replay::session::tests::work(
        seq,
        "select 1",
        Protocol::Simple,
        End::default(),
    ));
    session
}

fn at(ms: u64) -> Moment {
    Moment::after(Duration::from_millis(ms))
}

/// One that may connect, and does.
fn connecting(session: &mut Session) -> ConnectionSetup {
    let mut setup = ConnectionSetup::new(false);
    assert!(matches!(setup.step(session, false), SetupStep::Acquire(Some(_))));
    assert!(setup.admitted(at(0)).connects);
    setup.connecting();
    setup
}

#[test]
fn a_session_asks_for_a_permit_once_and_connects_when_it_has_one() {
    let (mut session, mut setup) = (busy(7), ConnectionSetup::new(false));
    session.advance_to(at(10));
    assert_eq!(setup.step(&mut session, false), SetupStep::Acquire(Some(Seq(7))));
    assert_eq!(setup.step(&mut session, false), SetupStep::Wait);
    assert_eq!(setup.wait_state(&session, None), WaitState::Connection);
    let waited = Some(Duration::from_millis(25));
    assert_eq!(setup.admitted(at(35)), Admitted { waited, connects: true });
    assert_eq!(setup.step(&mut session, false), SetupStep::Connect);
}

#[test]
fn a_session_with_nothing_to_do_takes_what_is_to_spare_and_asks_in_earnest_later() {
    let mut setup = ConnectionSetup::new(false);
    assert_eq!(setup.connect_ahead(&session(), false), SetupStep::Acquire(None));
    assert!(setup.not_admitted());
    assert_eq!(setup.admitted(at(1)), Admitted { waited: None, connects: false }, "too late");
    assert_eq!(setup.step(&mut busy(3), false), SetupStep::Acquire(Some(Seq(3))));
    assert!(setup.admitted(at(2)).connects && !setup.not_admitted(), "it has one meanwhile");
}

#[test]
fn where_log_ins_are_guarded_one_is_asked_for_before_the_permit() {
    let (mut session, mut setup) = (busy(7), ConnectionSetup::new(false));
    assert!(!setup.log_in_came(true), "nobody has asked");
    assert_eq!(setup.step(&mut session, true), SetupStep::AskLogIn);
    assert_eq!(setup.step(&mut session, true), SetupStep::Wait);
    assert_eq!(setup.wait_state(&session, None), WaitState::LogIn);
    assert!(setup.log_in_came(false) && !setup.connects_ahead(&session));
    assert_eq!(setup.step(&mut session, true), SetupStep::Acquire(Some(Seq(7))));
}

#[test]
fn what_is_refused_ahead_of_its_turn_asks_again_and_what_is_refused_in_it_is_given_up() {
    let mut session = busy(7);
    let mut setup = connecting(&mut session);
    assert_eq!(setup.refused(&session), Refusal::AheadOfTurn);
    assert!(setup.return_permit() && !setup.is_refused());
    assert_eq!(setup.phase(), Phase::Disconnected);
    assert!(setup.log_in_came(true));
    assert_eq!(setup.refused(&session), Refusal::Final);
    assert!(setup.is_refused());
}

#[test]
fn a_session_without_a_statement_that_is_refused_is_not_given_up_for_that() {
    let (session, mut setup) = (session(), ConnectionSetup::new(false));
    setup.connect_ahead(&session, false);
    assert_eq!(setup.refused(&session), Refusal::WithoutStatement);
    assert!(!setup.is_refused());
}

#[test]
fn attempts_come_ever_later_until_a_statement_ends() {
    let mut session = busy(1);
    let mut setup = connecting(&mut session);
    let waits: Vec<_> = (0..9).map(|_| setup.retries_after().as_millis()).collect();
    assert_eq!(waits, [50, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
    assert_eq!(setup.phase(), Phase::Connecting);
    assert!(!setup.connected(), "it had none before");
    setup.progressed();
    assert_eq!(setup.lost(), None, "at once");
    assert!(setup.connected());
    assert_eq!(setup.lost(), Some(FIRST_BACKOFF), "nothing has ended on that one");
    assert_eq!(setup.wait_state(&session, None), WaitState::Connecting);
}

#[test]
fn a_statement_that_is_not_due_for_long_needs_no_connection_yet() {
    let mut setup = ConnectionSetup::new(true);
    let work = crate::replay::session::tests::work(1, "select 1", Protocol::Simple, End::default());
    let mut work = Arc::into_inner(work).expect("nobody else has it");
    work.due = Some(at(5_000));
    let mut session = session();
    session.push(Arc::new(work));
    assert_eq!(setup.step(&mut session, false), SetupStep::ConnectAt(at(4_000)));
    session.advance_to(at(4_000));
    assert_eq!(setup.wait_state(&session, None), WaitState::Schedule);
    assert_eq!(setup.step(&mut session, false), SetupStep::Acquire(Some(Seq(1))));
}

#[test]
fn a_session_that_has_nothing_to_do_rests_and_one_that_is_over_closes() {
    let (mut session, mut setup) = (session(), ConnectionSetup::new(false));
    assert_eq!(setup.step(&mut session, false), SetupStep::Rest);
    assert_eq!(setup.wait_state(&session, None), WaitState::Silent);
    session.close(Closing::ServerEnded);
    assert_eq!(setup.step(&mut session, false), SetupStep::Close(Closing::ServerEnded));
}

#[test]
fn a_change_that_waits_for_the_log_in_hurries_it() {
    let mut setup = ConnectionSetup::new(false);
    let mut session = session();
    session.logs_in_before(Seq(3));
    assert!(session.await_log_in(Seq(5), false));
    assert_eq!(setup.step(&mut session, true), SetupStep::AskLogIn);
    assert!(setup.log_in_came(false));
    assert_eq!(
        setup.step(&mut session, true),
        SetupStep::Acquire(None),
        "if there is one to spare"
    );
    setup.not_admitted();
    session.log_in_put_off();
    assert!(session.await_log_in(Seq(5), true));
    assert_eq!(setup.step(&mut session, true), SetupStep::Acquire(Some(Seq(0))));
}
