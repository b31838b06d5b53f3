//! Connections that are lost, sessions that are given up and go on after all.

use super::*;

#[test]
fn what_was_not_settled_is_run_again_in_order_and_told_once() {
    let mut replay = Replay::new(settings());
    replay.simple("insert 1", ok());
    replay.simple("begin", ok());
    replay.simple("insert 2", ok());
    replay.run();
    replay.simple("insert 3", ok());
    replay.simple("commit", ok());
    replay.simple("insert 4", ok());
    replay.send();
    replay.log.clear();
    assert_eq!(replay.lose(), 2, "the commit, and what followed it");
    assert_eq!(replay.ran(), ["begin", "insert 2", "insert 3", "commit", "insert 4"]);
    assert_eq!(replay.server.committed, [1, 2, 3, 4]);
    assert_eq!(replay.ended.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    assert_eq!(replay.settled, [1, 2, 3, 4, 5, 6]);
}

#[test]
fn what_is_cut_off_is_handed_back_and_never_settled_by_what_comes_of_it() {
    let mut replay = Replay::new(settings());
    replay.simple("insert 1", ok());
    replay.run();
    replay.simple("insert 2", ok());
    replay.simple("begin", ok());
    replay.send();
    replay.session.close(Closing::Revoked);
    // The partition has come back meanwhile, and with it what follows.
    replay.simple("insert 4", ok());
    let left = replay.session.cut_off(Seq(3));
    assert_eq!(left.iter().map(|work| work.seq.0).collect::<Vec<_>>(), [2, 3]);
    let canceled =
        Answer { status: Status::Idle, error: Some((state("57014"), false)), ..Answer::default() };
    assert!(replay.session.answered(canceled).settled.is_empty());
    assert_eq!(replay.session.next(), Some(Seq(4)));
}

#[test]
fn only_what_may_have_been_committed_is_in_doubt() {
    for (statements, expected) in [
        (&["insert 1", "insert 2"][..], 2),
        (&["begin", "insert 1", "insert 2"], 0),
        (&["begin", "insert 1", "commit"], 1),
        (&["begin; insert 1; commit"], 1),
    ] {
        let mut replay = Replay::new(settings());
        for sql in statements {
            replay.simple(sql, ok());
        }
        replay.send();
        assert_eq!(replay.lose(), expected, "{statements:?}");
    }
}

#[test]
fn a_pipeline_is_in_doubt_only_at_its_sync() {
    for (answers, expected) in [(0, 0), (1, 1)] {
        let mut replay = Replay::new(settings());
        replay.extended("insert 1", ok().joined());
        replay.extended("insert 2", ok());
        replay.send();
        for _ in 0..answers {
            replay.answer();
            replay.send();
        }
        assert_eq!(replay.lose(), expected);
        replay.run();
        assert_eq!(replay.server.committed, [1, 2]);
        assert_eq!(replay.settled, [1, 2]);
    }
}

#[test]
fn a_new_connection_gets_the_context_first_and_then_the_transaction() {
    let mut replay = Replay::new(settings());
    replay.simple("set search_path = a", ok());
    replay.push("insert 1", extended("s", &[]), ok());
    replay.simple("listen ch", ok());
    replay.simple("begin", ok());
    replay.simple("set search_path = b", ok());
    replay.push("insert 2", extended("s2", &[]), ok());
    replay.ran();
    replay.lose();
    replay.push("insert 1", extended("s", &[]), ok());
    assert_eq!(
        replay.ran(),
        [
            "restore set search_path = a",
            "restore statement s",
            "restore listen ch",
            "restore set search_path = b",
            "restore statement s2",
            "restore set search_path = a",
            "begin",
            "set search_path = b",
            "Prepared: insert 2",
            "Prepared: insert 1",
        ]
    );
}

#[test]
fn a_statement_that_can_not_be_restored_is_prepared_again() {
    let mut replay = Replay::new(settings());
    replay.push("insert 1", extended("s", &[]), ok());
    replay.run();
    replay.lose();
    replay.send();
    let request = replay.wire.pop_front().expect("the restored statement");
    assert!(matches!(request, Request::Restore(Restore::Parse { .. })));
    replay.session.answered(Answer {
        status: Status::Idle,
        error: Some((state("42P01"), true)),
        ..Answer::default()
    });
    replay.log.clear();
    replay.push("insert 1", extended("s", &[]), ok());
    assert_eq!(replay.ran(), ["Named: insert 1"]);
}

#[test]
fn what_is_run_again_has_had_its_turn() {
    let mut replay = Replay::new(SessionSettings { takes_turns: true, ..settings() });
    replay.simple("begin", ok());
    replay.simple("insert 1", ok());
    replay.session.grant(Seq(3));
    replay.run();
    replay.simple("insert 2", ok());
    replay.send();
    replay.log.clear();
    replay.lose();
    assert_eq!(replay.send(), Next::Wait);
    replay.answer();
    replay.answer();
    assert_eq!(replay.send(), Next::Wait);
    assert_eq!(replay.log, ["begin", "insert 1", "insert 2"]);
}

#[test]
fn a_turn_that_was_asked_for_is_asked_for_again_on_a_new_connection() {
    let mut replay = Replay::new(SessionSettings { takes_turns: true, ..settings() });
    replay.seq = 4;
    replay.simple("insert 1", ok());
    assert_eq!(replay.send(), Next::Ask(Seq(5)));
    replay.lose();
    assert_eq!(replay.send(), Next::Ask(Seq(5)));
}

#[test]
fn a_chained_commit_settles_its_transaction_and_begins_the_next_again() {
    for chain in ["commit and chain", "rollback and chain"] {
        let mut replay = Replay::new(settings());
        replay.simple("begin", ok());
        replay.simple("insert 1", ok());
        replay.simple(chain, ok());
        replay.simple("insert 2", ok());
        replay.ran();
        assert_eq!(replay.settled, [1, 2], "{chain}");
        replay.lose();
        replay.simple("commit", ok());
        assert_eq!(replay.ran(), ["BEGIN", "insert 2", "commit"], "{chain}");
        let expected: &[u64] = if chain.starts_with("commit") { &[1, 2] } else { &[2] };
        assert_eq!(replay.server.committed, expected);
        assert_eq!(replay.settled, [1, 2, 3, 4, 5]);
    }
}

#[test]
fn a_chain_ends_what_its_transaction_set() {
    for (chain, restored) in [("commit and chain", true), ("rollback and chain", false)] {
        let mut replay = Replay::new(settings());
        for sql in ["begin", "set a = 1", chain, "set b = 1", "rollback"] {
            replay.simple(sql, ok());
        }
        replay.ran();
        replay.lose();
        let expected: &[&str] = if restored { &["restore set a = 1"] } else { &[] };
        assert_eq!(replay.ran(), expected, "{chain}");
    }
}

#[test]
fn a_transaction_that_was_given_up_is_run_again_if_its_session_goes_on() {
    let mut replay = Replay::new(settings());
    replay.simple("begin", ok());
    replay.simple("insert 1", ok());
    replay.ran();
    let left = replay.leave(Leave::Idle).expect("nothing is under way");
    assert_eq!((left.kept, left.rolled_back), (false, 2));
    assert!(replay.session.has_memory() && !replay.session.is_busy());
    assert_eq!(replay.leave(Leave::Idle), None, "it was before");
    replay.log.clear();
    replay.simple("commit", ok());
    replay.session.connected();
    assert_eq!(replay.ran(), ["begin", "insert 1", "commit"]);
    assert_eq!(replay.server.committed, [1]);
    assert_eq!(replay.settled, [1, 2, 3], "not before its end: a restart would make it again too");
    assert_eq!(replay.ended.len(), 3);
}

#[test]
fn a_transaction_that_was_given_up_is_settled_when_its_session_ends() {
    let mut replay = Replay::new(settings());
    replay.simple("begin", ok());
    replay.simple("insert 1", ok());
    replay.ran();
    replay.leave(Leave::Idle).expect("nothing is under way");
    assert!(replay.settled.is_empty());
    replay.close();
    assert_eq!(replay.settled, [1, 2]);
    assert!(replay.server.committed.is_empty());
}

#[test]
fn a_question_that_ends_by_limits_of_the_session_is_asked_without_them() {
    for (first, second, kept) in [
        (Some(SqlState::QUERY_CANCELED), None, false),
        (Some(SqlState::QUERY_CANCELED), Some(SqlState::QUERY_CANCELED), true),
        (Some(SqlState::INSUFFICIENT_PRIVILEGE), None, true),
    ] {
        let mut replay = Replay::new(settings());
        replay.simple("create temp table t ()", ok());
        replay.ran();
        assert!(replay.session.leave(Leave::Idle));
        let mut lifted = Vec::new();
        let mut answers = [None, first, second].into_iter();
        let left = loop {
            match replay.session.next_step() {
                Next::Send(Request::Inspect(sql)) => {
                    lifted.push(sql.contains("SET LOCAL statement_timeout"));
                    let error = answers.next().flatten().map(|code| (code, false));
                    replay.session.answered(Answer { error, ..Answer::default() });
                }
                Next::Leave(left) => break left,
                next => panic!("{next:?}"),
            }
        };
        // About the database's routines, and then about the session.
        let again = first == Some(SqlState::QUERY_CANCELED);
        assert_eq!(lifted, if again { vec![false, false, true] } else { vec![false, false] });
        assert_eq!(left.kept, kept, "{first:?} {second:?}");
    }
}

#[test]
fn a_statement_that_takes_its_connection_with_it_each_time_is_not_sent_for_ever() {
    let mut replay = Replay::new(settings());
    replay.simple("crash", ok());
    replay.simple("insert 2", ok());
    let mut losses = 0;
    let poison_statement = loop {
        while let Next::Send(_) = replay.session.next_step() {}
        losses += 1;
        let interrupted = replay.session.lost();
        replay.session.connected();
        if let Some(poison_statement) = interrupted.poison_statement {
            break poison_statement;
        }
    };
    assert_eq!((losses, poison_statement.seq), (5, Seq(1)));
    assert_eq!(replay.ran(), ["insert 2"]);
}

#[test]
fn an_abort_that_was_due_is_made_again_on_a_new_connection() {
    let failure = Failure { code: state("57014"), after_ms: None, part: None };
    let mut replay = Replay::new(settings());
    replay.simple("begin", ok());
    replay.simple("insert 1", End::default());
    replay.run();
    replay.session.amend(Amendment::Failed(failure));
    replay.lose();
    replay.simple("commit", ok());
    replay.run();
    assert!(replay.server.committed.is_empty());
}

#[test]
fn what_is_refused_for_good_is_handed_back_once() {
    let mut replay = Replay::new(settings());
    replay.simple("begin", ok());
    replay.run();
    replay.simple("insert 1", ok());
    replay.lose();
    let seqs: Vec<u64> = replay.session.drop_queue().iter().map(|work| work.seq.0).collect();
    assert_eq!(seqs, [1, 2]);
    assert!(!replay.session.is_busy());
}

#[test]
fn a_session_that_is_handed_over_ends_behind_its_last_transaction() {
    let mut replay = Replay::new(settings());
    for sql in ["insert 1", "begin", "insert 2"] {
        replay.simple(sql, ok());
    }
    replay.send();
    replay.simple("insert 3", ok());
    assert_eq!(replay.session.drop_queue().len(), 1, "what has not started");
    replay.session.close(Closing::Revoked);
    assert_eq!(replay.run(), Next::Close(Closing::Revoked));
    assert_eq!(replay.settled, [1], "the open transaction is the next owner's");
    let open: Vec<u64> = replay.session.closed().iter().map(|work| work.seq.0).collect();
    assert_eq!(open, [2, 3]);
}

#[test]
fn what_a_session_that_is_handed_over_had_under_way_is_not_run_again_here() {
    let mut replay = Replay::new(settings());
    replay.simple("begin", ok());
    replay.run();
    replay.simple("insert 1", ok());
    replay.send();
    replay.session.close(Closing::Revoked);
    let left = replay.session.lost().left;
    assert_eq!(left.iter().map(|work| work.seq.0).collect::<Vec<_>>(), [1, 2]);
    assert!(replay.session.has_only_to_stop());
}

#[test]
fn what_was_under_way_when_the_connection_was_lost_is_sent_alone_the_next_time() {
    let mut replay = Replay::new(settings());
    replay.simple("insert 1", ok());
    replay.simple("insert 2", ok());
    replay.send();
    assert_eq!(replay.wire.len(), 2);
    replay.lose();
    replay.send();
    assert_eq!(replay.wire.len(), 1, "what was sent behind it may have been the cause");
    replay.run();
    assert_eq!(replay.server.committed, [1, 2]);
}

#[test]
fn who_may_not_become_another_any_more_goes_on_as_itself() {
    let mut replay = Replay::new(settings());
    replay.simple("set session authorization a", ok());
    replay.simple("set role b", ok());
    replay.simple("set c = 1", ok());
    replay.run();
    replay.lose();
    replay.log.clear();
    let refused = || Answer { error: Some((state("42501"), false)), ..Answer::default() };
    while replay.send() == Next::Wait {
        replay.wire.pop_front().expect("a request under way");
        replay.session.answered(refused());
        assert!(replay.log.len() < 10, "for ever: {:?}", replay.log);
    }
    let restored = ["set c = 1", "set session authorization a", "set role b", "set c = 1"];
    assert_eq!(replay.log, restored.map(|text| format!("restore {text}")));
}
