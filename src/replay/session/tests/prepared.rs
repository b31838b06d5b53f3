//! Prepared statements, and failures that their names and types explain.

use super::*;

#[test]
fn a_named_statement_is_prepared_once() {
    let mut replay = Replay::new(settings());
    for _ in 0..2 {
        replay.push("insert 1", extended("s", &[]), ok());
    }
    replay.push("insert 2", extended("s", &[]), ok());
    replay.push("fail 23505", extended("t", &[]), failed("23505"));
    replay.push("fail 23505", extended("t", &[]), failed("23505"));
    assert_eq!(
        replay.ran(),
        [
            "Named: insert 1",
            "Prepared: insert 1",
            "Named: insert 2",
            "Named: fail 23505",
            "Prepared: fail 23505"
        ]
    );
}

#[test]
fn a_named_statement_is_prepared_again_after_it_is_gone() {
    for (gone, end) in [("deallocate s", ok()), ("deallocate all", ok()), ("discard all", ok())] {
        let mut replay = Replay::new(settings());
        replay.push("insert 1", extended("s", &[]), ok());
        replay.simple(gone, end);
        replay.push("insert 1", extended("s", &[]), ok());
        assert_eq!(replay.ran(), ["Named: insert 1", gone, "Named: insert 1"]);
        assert_eq!(replay.results(), ["ok"; 3]);
    }
    let mut replay = Replay::new(settings());
    replay.push("unparsable", extended("s", &[]), ok());
    replay.push("unparsable", extended("s", &[]), ok());
    assert_eq!(replay.ran(), ["Named: unparsable", "Named: unparsable"]);
}

#[test]
fn a_bind_to_what_sql_prepared_does_not_prepare_it_again() {
    let mut replay = Replay::new(settings());
    replay.simple("prepare qs as insert 1", ok());
    replay.push("prepare qs as insert 1", extended("qs", &[]), ok());
    assert_eq!(replay.ran()[1], "Prepared: prepare qs as insert 1");
}

fn anew(name: &str) -> Protocol {
    let (name, portal) = (name.into(), "".into());
    Protocol::Extended { name, portal, parameters: Vec::new(), prepared_anew: true }
}

#[test]
fn a_name_that_was_prepared_anew_on_the_source_is_so_here() {
    let mut replay = Replay::new(settings());
    for protocol in [anew("s"), extended("s", &[]), anew("s"), extended("s", &[])] {
        replay.push("insert 1", protocol, ok());
    }
    assert_eq!(
        replay.ran(),
        ["Named: insert 1", "Prepared: insert 1", "Named: insert 1", "Prepared: insert 1"]
    );
}

#[test]
fn a_plan_that_has_become_stale_is_made_again_at_once_outside_of_a_transaction() {
    let mut replay = Replay::new(settings());
    replay.push("insert 1", extended("s", &[]), ok());
    replay.run();
    replay.server.stale("insert 1");
    replay.push("insert 1", extended("s", &[]), ok());
    replay.run();
    assert_eq!(
        std::mem::take(&mut replay.log),
        ["Named: insert 1", "Prepared: insert 1", "Named: insert 1"]
    );
    assert_eq!(replay.results(), ["ok"; 2]);
}

#[test]
fn a_plan_that_has_become_stale_has_its_transaction_run_again() {
    let mut replay = Replay::new(settings());
    for name in ["s", "t"] {
        replay.push(&format!("insert {}", name.len()), extended(name, &[]), ok());
    }
    replay.run();
    replay.log.clear();
    replay.server.stale("insert 1");
    replay.simple("begin", ok());
    replay.simple("insert 2", ok());
    replay.push("insert 1", extended("s", &[]), ok());
    replay.push("insert 1", extended("t", &[]), ok());
    replay.simple("commit", ok());
    replay.run();
    assert_eq!(replay.results(), ["ok"; 7]);
    assert_eq!(replay.server.committed, [1, 1, 2, 1, 1]);
    assert_eq!(replay.retried, ["0A000"], "what made one stale may have done so to the other");
}

#[test]
fn a_plan_that_was_stale_on_the_source_fails_alike_and_is_made_again() {
    for protocol in [Protocol::BindOnly { parameters: Vec::new() }, Protocol::Unknown] {
        let mut replay = Replay::new(settings());
        replay.push("insert 1", extended("s", &[]), ok());
        replay.simple("begin", ok());
        replay.push("insert 1", protocol, failed("0A000"));
        replay.simple("insert 2", failed("25P02"));
        replay.simple("rollback", ok());
        replay.push("insert 1", extended("s", &[]), ok());
        assert_eq!(
            replay.ran(),
            ["Named: insert 1", "begin", "raise", "insert 2", "rollback", "Named: insert 1"]
        );
        assert_eq!(replay.results(), ["ok", "ok", "0A000", "25P02", "ok", "ok"]);
    }
}

#[test]
fn what_types_or_names_may_explain_executes_nothing_and_aborts_its_transaction_all_the_same() {
    let bound = || Protocol::BindOnly { parameters: vec![Some("x".into())] };
    for (sql, protocol, code) in [
        ("select $1", Protocol::ParseOnly, "42804"),
        ("insert $1", bound(), "22P02"),
        ("insert 7", Protocol::ParseOnly, "42P05"),
    ] {
        let mut replay = Replay::new(settings());
        replay.simple("begin", ok());
        replay.simple("insert 1", ok());
        replay.push(sql, protocol.clone(), failed(code));
        replay.simple("insert 2", failed("25P02"));
        replay.simple("commit", ok());
        replay.run();
        assert_eq!(replay.results(), ["ok", "ok", "ok", "25P02", "ok"], "{sql}");
        assert!(replay.server.committed.is_empty(), "{sql}");
        // What shared its Sync with it is undone as well.
        replay.extended("insert 3", ok().joined());
        replay.push(sql, protocol, failed(code));
        replay.simple("insert 4", ok());
        replay.run();
        assert_eq!(replay.server.committed, [4], "{sql}");
    }
}

#[test]
fn a_guessed_type_gives_way_where_a_later_value_does_not_fit() {
    let mut replay = Replay::new(settings());
    let mut execute = |value: &str| {
        replay.push("untypable insert 1", extended("s", &[value]), ok());
        replay.ran()
    };
    assert_eq!(execute("4711"), ["Named: untypable insert 1", "Named typed: untypable insert 1"]);
    assert_eq!(execute("12"), ["Prepared typed: untypable insert 1"]);
    assert_eq!(execute("A-17"), ["Named typed: untypable insert 1"]);
    assert_eq!(execute("007"), ["Prepared typed: untypable insert 1"], "text fits all");
    // In a transaction a savepoint guards it.
    replay.push("untypable insert 2", extended("t", &["1"]), ok());
    replay.simple("begin", ok());
    replay.push("untypable insert 2", extended("t", &["x"]), ok());
    replay.simple("commit", ok());
    replay.run();
    assert_eq!(replay.server.committed, [1, 1, 1, 1, 2, 2]);
    assert!(replay.results().iter().all(|result| result == "ok"));
}

#[test]
fn a_transaction_that_known_types_alone_have_aborted_is_run_again_with_others() {
    let mut replay = Replay::new(settings());
    // What was found out elsewhere, with other values or in another schema, does not hold here.
    replay.session.findings.types.put("untypable insert 2", Default::default());
    for sql in ["begin", "insert 1"] {
        replay.simple(sql, ok());
    }
    replay.push("untypable insert 2", extended("", &["7"]), ok());
    replay.push("insert 3", extended("", &[]), ok());
    replay.simple("commit", ok());
    replay.run();
    assert_eq!(replay.results(), ["ok"; 5]);
    assert_eq!(replay.server.committed, [1, 2, 3]);
    assert_eq!(replay.retried, ["42P18"]);
}
