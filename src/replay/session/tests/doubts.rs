//! Failures that may be for what is to come.

use super::*;

/// A replay of one block after the other, whose statement `victim` fails with this so many times.
fn failing(victim: &str, code: &str, times: usize) -> Replay {
    let mut replay = Replay::new(SessionSettings { takes_turns: true, ..settings() });
    for sql in ["begin", "update 1", "update 2", "commit", "update 3"] {
        replay.simple(sql, ok());
    }
    // Behind the end of what may fail like this, the order lets nothing start.
    replay.session.findings.expect_victims();
    replay.session.grant(Seq(4));
    replay.server.clashes(victim, code, times);
    replay
}

#[test]
fn it_does_not_count_before_it_is_known_whether_an_end_is_to_come() {
    for code in ["55P03", "57014", "23505", "23503", "23P01"] {
        let mut replay = failing("update 1", code, 1);
        assert_eq!(replay.run(), Next::AskEarlyEnd(Seq(2)), "{code}");
        assert_eq!(replay.send(), Next::Wait, "it asks once");
        assert_eq!(replay.results(), ["ok"]);
        assert_eq!(replay.finished, [1]);
        assert!(replay.session.is_running() && replay.session.is_busy());
        assert_eq!(replay.session.first_unfinished(), Some(Seq(2)));
        replay.session.run_again_behind(Seq(2));
        assert_eq!(replay.run(), Next::Idle);
        assert_eq!(replay.results(), ["ok"; 5]);
        assert_eq!(replay.settled, [1, 2, 3, 4, 5]);
    }
}

#[test]
fn where_none_is_to_come_it_counts_and_so_does_what_was_sent_behind_it() {
    let mut replay = failing("update 1", "55P03", 1);
    assert_eq!(replay.run(), Next::AskEarlyEnd(Seq(2)));
    for answered in replay.session.accept_failure(Seq(2)) {
        replay.note(answered);
    }
    assert_eq!(replay.run(), Next::Idle);
    assert_eq!(replay.results(), ["ok", "55P03", "25P02", "ok", "ok"]);
    assert_eq!(replay.settled, [1, 2, 3, 4, 5]);
}

#[test]
fn each_failure_is_asked_about_until_none_is_to_come() {
    let mut replay = failing("update 2", "55P03", 3);
    for _ in 0..3 {
        assert_eq!(replay.run(), Next::AskEarlyEnd(Seq(3)));
        replay.session.run_again_behind(Seq(3));
    }
    assert_eq!(replay.run(), Next::Idle);
    assert_eq!(replay.results(), ["ok"; 5]);
}

#[test]
fn nothing_is_asked_of_what_another_end_does_not_free() {
    for (code, end) in [("22012", ok()), ("55P03", failed("23505")), ("55P03", End::default())] {
        let mut replay = Replay::new(SessionSettings { takes_turns: true, ..settings() });
        replay.simple("update 1", end);
        replay.server.clashes("update 1", code, 1);
        assert_eq!(replay.run(), Next::Idle, "{code}");
        assert_eq!(replay.results(), [code]);
    }
    let mut replay = failing("update 1", "57014", 1);
    replay.session.grant(Seq(5));
    replay.send();
    assert!(!replay.session.give_up(Seq(2)), "it does not run yet");
    replay.answer();
    assert!(replay.session.give_up(Seq(2)));
    assert_eq!(replay.run(), Next::Idle);
    assert_eq!(replay.given_up, [2]);
    let mut replay = Replay::new(settings());
    replay.simple("update 1", ok());
    replay.server.clashes("update 1", "55P03", 1);
    assert_eq!(replay.run(), Next::Idle, "nothing has an order");
}

#[test]
fn a_statement_that_was_given_up_and_ends_by_itself_before_counts_as_it_ended() {
    for (code, given_up) in [("57014", vec![1]), ("22012", vec![])] {
        let mut replay = Replay::new(settings());
        replay.simple("update 1", ok());
        replay.server.clashes("update 1", code, 1);
        replay.send();
        assert!(replay.session.give_up(Seq(1)));
        assert_eq!(replay.run(), Next::Idle);
        assert_eq!(replay.results(), [code]);
        assert_eq!(replay.given_up, given_up);
    }
}

#[test]
fn with_its_connection_gone_the_transaction_is_run_again() {
    let mut replay = failing("update 1", "55P03", 1);
    assert_eq!(replay.run(), Next::AskEarlyEnd(Seq(2)));
    replay.session.lost();
    replay.server.disconnect();
    replay.session.connected();
    assert_eq!(replay.run(), Next::Idle);
    assert_eq!(replay.results(), ["ok"; 5]);
}

#[test]
fn a_transaction_that_may_have_seen_less_than_on_the_source_is_run_again_when_it_fails() {
    let mut replay = failing("update 2", "22012", 2);
    replay.session.grant(Seq(5));
    replay.send();
    replay.session.may_see_less(Seq(1));
    assert_eq!(replay.run(), Next::Idle);
    assert_eq!(replay.retried, ["22012"], "once");
    assert_eq!(replay.results(), ["ok", "ok", "22012", "ok", "ok"]);
}
