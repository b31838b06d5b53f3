//! Transactions that the target alone failed.

use super::*;

#[test]
fn a_victim_of_the_targets_own_choice_is_run_again_from_its_beginning() {
    for (victim, code, times) in
        [("insert 1", "40P01", 1), ("insert 2", "40001", 2), ("commit", "40001", 1)]
    {
        let mut replay = Replay::new(settings());
        replay.server.clashes(victim, code, times);
        for sql in ["begin", "insert 1", "insert 2", "insert 3", "commit"] {
            replay.simple(sql, ok());
            replay.run();
        }
        assert_eq!(replay.results(), ["ok"; 5], "{victim}");
        assert_eq!(replay.retried, vec![code; times], "{victim}");
        assert_eq!(replay.server.committed, [1, 2, 3], "{victim}");
        assert_eq!(replay.settled, [1, 2, 3, 4, 5], "{victim}");
    }
}

#[test]
fn what_was_sent_behind_a_victim_is_run_again_with_it_and_told_once() {
    let mut replay = Replay::new(SessionSettings { takes_turns: true, ..settings() });
    replay.server.clashes("insert 1", "40P01", 1);
    for sql in ["begin", "insert 1", "insert 2", "commit"] {
        replay.simple(sql, ok());
    }
    replay.session.grant(Seq(4));
    replay.send();
    assert_eq!(replay.wire.len(), 4);
    let once = ["begin", "insert 1", "insert 2", "commit"];
    assert_eq!(replay.ran(), [once, once].concat());
    replay.simple("insert 3", ok());
    replay.run();
    assert_eq!(replay.results(), ["ok"; 5]);
    assert_eq!(replay.retried, ["40P01"]);
    assert_eq!(replay.server.committed, [1, 2, 3]);
    assert_eq!(replay.settled, [1, 2, 3, 4, 5]);
}

#[test]
fn where_the_order_foresees_all_locks_the_next_transaction_is_sent_behind_an_end() {
    let mut replay = Replay::new(SessionSettings { takes_turns: true, ..settings() });
    replay.server.clashes("insert 1", "40P01", 1);
    for sql in ["begin", "insert 1", "commit", "begin", "insert 2", "commit"] {
        replay.simple(sql, ok());
    }
    replay.session.grant(Seq(6));
    replay.send();
    assert_eq!(replay.wire.len(), 6);
    replay.run();
    for sql in ["begin", "insert 3", "commit", "insert 4"] {
        replay.simple(sql, ok());
    }
    replay.session.grant(Seq(10));
    replay.send();
    assert_eq!(replay.wire.len(), 3, "there was a victim all the same");
}

#[test]
fn nothing_is_sent_behind_the_end_of_what_may_have_to_be_prepared_again() {
    let granted = SessionSettings { takes_turns: true, ..settings() };
    for changes in [false, true] {
        for (protocol, right) in [(extended("q", &["1"]), 4), (extended("", &["1"]), 3)] {
            let mut replay = Replay::new(granted);
            replay.push("insert 7", protocol.clone(), ok());
            replay.session.grant(Seq(1));
            replay.run();
            if changes {
                replay.session.database.schema_changed();
            }
            replay.simple("begin", ok());
            replay.push("insert 7", protocol, ok());
            replay.simple("commit", ok());
            replay.simple("insert 2", ok());
            replay.session.grant(Seq(5));
            replay.send();
            assert_eq!(replay.wire.len(), if changes { 3 } else { right });
        }
    }
}

#[test]
fn the_turn_of_a_victim_is_over_when_it_has_been_run_again() {
    let mut replay = Replay::new(SessionSettings { takes_turns: true, ..settings() });
    replay.server.clashes("insert 1", "40P01", 1);
    replay.simple("begin", ok());
    replay.simple("insert 1", ok());
    replay.session.grant(Seq(2));
    replay.send();
    replay.answer();
    replay.answer();
    assert_eq!(replay.finished, [1]);
    assert!(replay.session.is_running(), "nobody takes it for one that rests");
    assert_eq!(replay.run(), Next::Idle);
    assert_eq!(replay.finished, [1, 1, 2]);
}

#[test]
fn a_statement_of_its_own_and_an_implicit_transaction_are_run_again() {
    let mut replay = Replay::new(settings());
    for (victim, code) in [("insert 1", "40001"), ("insert 3", "40P01"), ("insert 4", "40001")] {
        replay.server.clashes(victim, code, 1);
    }
    replay.simple("insert 1", ok());
    replay.run();
    replay.extended("insert 2", ok().joined());
    replay.extended("insert 3", ok().joined());
    replay.extended("insert 4", ok());
    replay.run();
    assert_eq!(replay.results(), ["ok"; 4]);
    assert_eq!(replay.retried, ["40001", "40P01", "40001"]);
    assert_eq!(replay.server.committed, [1, 2, 3, 4]);
    assert_eq!(replay.settled, [1, 2, 3, 4]);
}

#[test]
fn a_string_that_ends_with_its_commit_is_run_again() {
    for victim in ["insert 1", "insert 2", "commit"] {
        let mut replay = Replay::new(settings());
        replay.server.clashes(victim, "40001", 1);
        replay.simple("begin; insert 1; insert 2; commit", ok());
        replay.run();
        assert_eq!(replay.results(), ["ok"], "{victim}");
        assert_eq!(replay.server.committed, [1, 2], "{victim}");
    }
}

#[test]
fn a_victim_is_run_again_a_bounded_number_of_times_and_then_told() {
    let mut replay = Replay::new(settings());
    replay.server.clashes("insert 1", "40P01", 99);
    replay.server.clashes("insert 2", "40P01", 99);
    replay.simple("begin", ok());
    replay.simple("insert 1", ok());
    replay.run();
    replay.simple("rollback", ok());
    replay.run();
    replay.simple("insert 2", ok());
    replay.run();
    assert_eq!(replay.results(), ["ok", "40P01", "ok", "40P01"]);
    assert_eq!(replay.retried.len(), 10, "five times each");
}

#[test]
fn a_failure_that_the_source_had_too_is_no_victim_of_the_target() {
    let mut replay = Replay::new(settings());
    replay.simple("begin", ok());
    replay.simple("insert 1", failed("40P01"));
    replay.run();
    assert_eq!(replay.results(), ["ok", "40P01"]);
    assert!(replay.retried.is_empty());
}

#[test]
fn what_may_have_been_committed_is_not_run_twice() {
    for (string, victim) in [
        ("insert 1; commit; insert 2", "insert 2"),
        ("call p()", "call p()"),
        ("do 'begin commit; end'", "do 'begin commit; end'"),
        ("create index concurrently on t (a)", "create index concurrently on t (a)"),
        ("vacuum", "vacuum"),
    ] {
        let mut replay = Replay::new(settings());
        replay.server.clashes(victim, "40P01", 1);
        replay.simple(string, ok());
        replay.run();
        assert_eq!(replay.results(), ["40P01"], "{string}");
        assert!(replay.server.committed.len() <= 1, "{string}");
    }
}

#[test]
fn what_was_sent_past_the_end_is_not_run_twice_and_nothing_is_from_then_on() {
    let mut replay = Replay::new(settings());
    for (victim, code) in [("insert 1", "40P01"), ("insert 3", "40P01"), ("insert 4", "40001")] {
        replay.server.clashes(victim, code, 1);
    }
    for sql in ["begin", "insert 1", "commit", "insert 2"] {
        replay.simple(sql, ok());
    }
    replay.run();
    assert_eq!(replay.results(), ["ok", "40P01", "ok", "ok"]);
    assert_eq!(replay.server.committed, [2]);
    for sql in ["begin", "insert 3", "commit", "insert 4", "insert 5"] {
        replay.simple(sql, ok());
    }
    replay.run();
    assert_eq!(replay.server.committed, [2, 3, 4, 5]);
    assert_eq!(replay.retried, ["40P01", "40001"]);
}

#[test]
fn a_do_without_a_commit_and_a_call_in_a_block_are_run_again() {
    let mut replay = Replay::new(settings());
    replay.server.clashes("do 'begin end'", "40P01", 1);
    replay.server.clashes("call p()", "40P01", 1);
    replay.simple("do 'begin end'", ok());
    replay.run();
    replay.simple("begin", ok());
    replay.simple("call p()", ok());
    replay.run();
    assert_eq!(replay.results(), ["ok"; 3]);
}

#[test]
fn what_a_victim_prepared_by_sql_is_gone_before_it_is_run_again() {
    let mut replay = Replay::new(settings());
    replay.server.clashes("insert 1", "40P01", 1);
    for sql in ["begin", "prepare q as select 1", "insert 1", "commit"] {
        replay.simple(sql, ok());
    }
    replay.run();
    assert_eq!(replay.results(), ["ok"; 4]);
    assert!(replay.log.contains(&"DEALLOCATE \"q\"".to_owned()), "{:?}", replay.log);
}

#[test]
fn what_a_victim_set_is_not_made_again_on_a_new_connection() {
    let mut replay = Replay::new(settings());
    replay.server.clashes("insert 1", "40P01", 99);
    for sql in ["begin", "set a = 1", "insert 1", "rollback"] {
        replay.simple(sql, ok());
        replay.run();
    }
    replay.log.clear();
    replay.lose();
    assert_eq!(replay.ran(), [""; 0]);
}

#[test]
fn a_connection_that_is_lost_while_a_victim_is_undone_has_it_run_again_all_the_same() {
    let mut replay = Replay::new(settings());
    replay.server.clashes("insert 2", "40P01", 1);
    for sql in ["begin", "insert 1", "insert 2", "insert 3"] {
        replay.simple(sql, ok());
    }
    replay.send();
    for _ in 0..3 {
        replay.answer();
    }
    replay.lose();
    replay.simple("commit", ok());
    replay.run();
    assert_eq!(replay.results(), ["ok"; 5]);
    assert_eq!(replay.server.committed, [1, 2, 3]);
}

#[test]
fn a_failure_that_is_told_while_a_victim_is_undone_is_met_when_it_is_run_again() {
    let mut replay = Replay::new(settings());
    replay.server.clashes("insert 1", "40P01", 1);
    replay.simple("begin", ok());
    replay.simple("insert 1", End::default());
    replay.send();
    replay.answer();
    replay.answer();
    let failure = Failure { code: state("57014"), after_ms: None, part: None };
    assert_eq!(replay.session.amend(Amendment::Failed(failure)), Amended::Nothing);
    replay.run();
    assert_eq!(replay.results(), ["ok", "57014"]);
    assert!(replay.retried.len() == 1 && replay.session.in_transaction());
}

#[test]
fn a_victim_before_a_rollback_to_a_savepoint_is_run_again_with_its_whole_transaction() {
    let mut replay = Replay::new(settings());
    replay.server.clashes("insert 2", "40P01", 1);
    let all =
        ["begin", "insert 1", "savepoint a", "insert 2", "rollback to a", "insert 3", "commit"];
    for sql in all {
        replay.simple(sql, ok());
    }
    replay.run();
    assert_eq!(replay.results(), ["ok"; 7]);
    assert_eq!(replay.retried, ["40P01"]);
    assert_eq!(replay.server.committed, [1, 3]);
}

#[test]
fn where_sessions_compete_nothing_is_sent_behind_a_statement_of_its_own() {
    for (competing, right) in [
        ("select id from job for update skip locked", 1),
        ("begin isolation level serializable", 1),
        ("start transaction isolation level repeatable read, read only", 2),
        ("select id from job for update", 2),
    ] {
        let mut other = Replay::new(settings());
        other.simple(competing, ok());
        let mut replay = Replay::new(settings());
        replay.session.findings = other.session.findings.clone();
        replay.simple("insert 1", ok());
        replay.simple("insert 2", ok());
        replay.send();
        assert_eq!(replay.wire.len(), right, "{competing}");
    }
}
