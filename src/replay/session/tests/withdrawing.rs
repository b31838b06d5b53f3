//! Statements that are taken back while they run.

use super::*;

/// A replay whose last statement is under way, and is taken back.
fn withdrawn(statements: &[(&str, End)]) -> Replay {
    let mut replay = Replay::new(settings());
    for (sql, end) in statements {
        replay.run();
        replay.extended(sql, *end);
        replay.send();
    }
    assert!(replay.session.withdraw(Seq(replay.seq)), "{statements:?}");
    assert_eq!(replay.send(), Next::Wait);
    let (sql, _) = statements[statements.len() - 1];
    replay.server.clashes(sql, "57014", 1);
    replay.answer();
    replay
}

/// Goes on until the session tells that it holds the statement back.
fn held(replay: &mut Replay) -> Seq {
    for _ in 0..100 {
        match replay.send() {
            Next::ReportHeld(seq) => return seq,
            Next::Wait if !replay.wire.is_empty() => replay.answer(),
            other => panic!("{other:?}"),
        }
    }
    panic!("it is not held")
}

#[test]
fn it_is_canceled_undone_and_held_until_it_may_run_again() {
    for statements in [
        &[("update 1", ok())][..],
        &[("begin", ok()), ("update 1", ok()), ("update 2", ok())],
        &[("update 1", ok().joined()), ("update 2", ok())],
        &[("update 1", ok().joined())],
    ] {
        let mut replay = withdrawn(statements);
        let last = replay.seq;
        assert_eq!(held(&mut replay), Seq(last));
        assert_eq!(replay.send(), Next::Wait, "{statements:?}");
        assert_eq!(replay.retried, ["withdrawn"]);
        assert!(!replay.finished.contains(&last));
        replay.session.run_again_behind(Seq(last));
        replay.log.clear();
        replay.run();
        assert_eq!(replay.results(), vec!["ok"; statements.len()]);
        assert!(replay.finished.contains(&last), "{statements:?}");
    }
}

#[test]
fn what_was_sent_behind_it_in_its_transaction_runs_again_with_it() {
    let mut replay = Replay::new(settings());
    for sql in ["begin", "update 1", "update 2", "commit"] {
        replay.simple(sql, ok());
    }
    replay.send();
    replay.answer();
    assert!(replay.session.withdraw(Seq(2)));
    replay.server.clashes("update 1", "57014", 1);
    assert_eq!(held(&mut replay), Seq(2));
    replay.session.run_again_behind(Seq(2));
    replay.run();
    assert_eq!(replay.results(), ["ok"; 4]);
}

#[test]
fn what_is_not_undone_by_a_rollback_is_not_taken_back() {
    for (before, last, behind) in [
        (&[][..], "call p()", None),
        (&["begin", "select pg_advisory_lock(1)"], "update 1", None),
        (&["begin", "deallocate all"], "update 1", None),
        // That would run before it does.
        (&[], "update 1", Some("update 2")),
    ] {
        let mut replay = Replay::new(settings());
        for sql in before {
            replay.simple(sql, ok());
        }
        replay.run();
        replay.simple(last, ok());
        let seq = Seq(replay.seq);
        if let Some(behind) = behind {
            replay.simple(behind, ok());
        }
        replay.send();
        assert!(!replay.session.withdraw(seq), "{last}");
    }
}

#[test]
fn one_that_ends_before_it_is_canceled_has_ended() {
    let mut replay = Replay::new(settings());
    replay.simple("update 1", ok());
    replay.send();
    assert!(!replay.session.withdraw(Seq(7)), "it does not run");
    assert!(replay.session.withdraw(Seq(1)));
    replay.simple("update 2", ok());
    assert_eq!(replay.send(), Next::Wait, "the cancellation could hit it");
    replay.answer();
    replay.run();
    assert_eq!(replay.results(), ["ok", "ok"]);
    assert!(replay.retried.is_empty());
}

#[test]
fn with_its_connection_gone_it_is_not_held() {
    let mut replay = withdrawn(&[("begin", ok()), ("update 1", ok())]);
    held(&mut replay);
    replay.session.lost();
    replay.server.disconnect();
    replay.session.connected();
    replay.run();
    assert_eq!(replay.results(), ["ok"; 2]);
}
