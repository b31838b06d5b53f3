//! What is told by no table.

use super::{SESSION, World, assert_barriers, assert_told, unlocked, work};
use crate::pglog::statement::{Protocol, SourceEnd};
use crate::replay::order::footprint::{Access, Footprint, Footprints, Widening};

#[test]
fn functions_are_what_the_catalog_says() {
    assert_told(&[
        ("SELECT now(), lower('A'), count(*), random(), clock_timestamp(), pg_sleep(1)", &[]),
        ("SELECT add_tax(1)", &[]),
        ("SELECT total_of(1)", &["read all"]),
        ("SELECT current_user, current_timestamp, coalesce(1, 2), greatest(1, 2)", &[]),
        ("SELECT pg_catalog.lower('x') FROM orders WHERE id = 1", &["read orders row"]),
    ]);
    assert_barriers(
        Widening::VolatileFunction,
        &[
            "SELECT book(1)",
            "SELECT public.book(1) FROM orders",
            "SELECT * FROM book(1)",
            "SELECT 1 FROM orders WHERE id = 1 AND book(2)",
            "UPDATE orders SET note = book(1) WHERE id = 1",
            "INSERT INTO notes VALUES ('a', book(1))",
            "SELECT lo_unlink(1)",
            "SELECT query_to_xml('DELETE FROM t', true, true, '')",
            "SELECT count(*) FILTER (WHERE book(1)) FROM orders",
            "SELECT count(*) OVER (ORDER BY book(1)) FROM orders",
            "SELECT CASE WHEN true THEN book(1) END",
            "SELECT ARRAY[book(1)]",
            "EXPLAIN ANALYZE SELECT book(1)",
        ],
    );
    assert_barriers(Widening::UnknownName, &["SELECT nobody_knows(1)", "SELECT tidy()"]);
    assert_barriers(Widening::VolatileOperator, &["SELECT 1 <~> 2", "SELECT 'x'::booked"]);
}

#[test]
fn advisory_locks_are_drawn_by_their_keys() {
    let mut world = World::new();
    let one = world.of("SELECT pg_advisory_xact_lock(5)");
    assert!(matches!(one.accesses[..], [Access::Advance(_)]), "{one:?}");
    assert_eq!(world.of("SELECT pg_try_advisory_lock(5)"), one);
    assert_eq!(world.of_bound("SELECT pg_advisory_xact_lock($1)", &[Some("5")]), one);
    assert_ne!(world.of("SELECT pg_advisory_xact_lock(6)"), one);
    assert_ne!(world.of("SELECT pg_advisory_xact_lock(0, 5)"), one);
    let unknown = world.of("SELECT pg_advisory_xact_lock(id) FROM orders WHERE id = 1");
    assert_eq!(world.tell(&unknown), ["draw", "read orders row"]);
}

#[test]
fn triggers_and_rules_may_do_anything_where_they_apply() {
    assert_told(&[
        ("UPDATE audited SET b = 1 WHERE id = 1", &["update audited row"]),
        ("INSERT INTO audited VALUES (1, 2, 3)", &["insert audited", "write audited row"]),
        ("DELETE FROM audited WHERE id = 1", &["write audited row"]),
    ]);
    assert_barriers(
        Widening::Trigger,
        &[
            "UPDATE audited SET a = 1 WHERE id = 1",
            "INSERT INTO audited VALUES (1, 2, 3) ON CONFLICT (id) DO UPDATE SET a = 1",
        ],
    );
    assert_barriers(Widening::Rule, &["INSERT INTO ruled VALUES (1)"]);
}

#[test]
fn views_are_what_they_are_made_of() {
    assert_told(&[
        ("SELECT * FROM rich WHERE id = 1", &["read accounts"]),
        ("SELECT * FROM richest", &["read accounts"]),
        ("UPDATE rich SET balance = 1 WHERE id = 1", &["read history", "write accounts"]),
        ("SELECT * FROM pg_class, pg_catalog.pg_class c, information_schema.tables", &[]),
    ]);
    assert_barriers(Widening::Foreign, &["SELECT * FROM elsewhere"]);
}

#[test]
fn what_controls_a_session_touches_nothing() {
    let mut world = World::new();
    for sql in [
        "",
        "-- nothing",
        "BEGIN",
        "SAVEPOINT a",
        "ROLLBACK TO a",
        "COMMIT",
        "SET work_mem = '1MB'",
        "SHOW all",
        "LISTEN x",
        "NOTIFY x, 'y'",
        "UNLISTEN *",
        "DISCARD PLANS",
        "FETCH 1 FROM c",
        "CLOSE c",
        "EXPLAIN DELETE FROM orders",
        "EXPLAIN (ANALYZE false) DELETE FROM orders",
        "PREPARE q AS DELETE FROM orders",
        "COPY orders FROM STDIN",
        "SET CONSTRAINTS ALL DEFERRED",
    ] {
        assert_eq!(unlocked(world.of(sql)), Footprint::default(), "{sql}");
    }
    assert_told(&[
        ("DECLARE c CURSOR WITH HOLD FOR SELECT * FROM orders", &["read orders"]),
        ("EXPLAIN ANALYZE DELETE FROM notes WHERE id = 'a'", &["write notes row"]),
        ("COPY orders TO STDOUT", &["read orders"]),
        ("COPY (SELECT * FROM orders WHERE id = 1) TO STDOUT", &["read orders row"]),
        ("LOCK orders, notes", &["lock notes", "lock orders"]),
        ("VACUUM orders", &["lock orders"]),
        ("ANALYZE measured_1 (value)", &["lock measured"]),
    ]);
}

#[test]
fn what_cannot_be_told_is_a_barrier() {
    assert_barriers(Widening::Unparsable, &["SELEC 1", "SELECT (", "'"]);
    assert_barriers(
        Widening::Command,
        &["DO $$ BEGIN END $$", "CALL p()", "COPY orders FROM '/f'"],
    );
    assert_barriers(
        Widening::Ddl,
        &[
            "CREATE TABLE t (id int)",
            "ALTER TABLE orders ADD x int",
            "DROP TABLE orders",
            "CREATE INDEX ON orders (note)",
            "TRUNCATE orders",
            "VACUUM FULL orders",
            "VACUUM (FULL) orders",
            "SELECT * INTO t FROM orders",
            "CREATE TABLE t AS SELECT 1",
            "GRANT SELECT ON orders TO bob",
            "REFRESH MATERIALIZED VIEW v",
        ],
    );
    assert_barriers(Widening::UnknownName, &["SELECT * FROM nowhere", "EXECUTE nothing(1)"]);
    let deep = format!("SELECT {}1", "1 + ".repeat(60));
    let long = format!("SELECT '{}'", "x".repeat(2 << 20));
    assert_barriers(Widening::TooLong, &[&deep, &long]);
    // The parser guards its own stack.
    let deeper = ["(", "1 + ", "NOT ", "f(", "CASE WHEN "];
    let deeper = deeper.map(|piece| format!("SELECT {}1", piece.repeat(100_000)));
    assert_barriers(Widening::Unparsable, &deeper.each_ref().map(String::as_str));
}

#[test]
fn a_text_with_several_statements_does_all_of_them() {
    assert_told(&[
        ("BEGIN; UPDATE orders SET note = 'x' WHERE id = 1; COMMIT", &["update orders row"]),
        (
            "SELECT 1 FROM orders WHERE id = 1; SELECT 1 FROM notes;",
            &["read notes", "read orders row"],
        ),
        ("SET search_path TO other; SELECT 1 FROM things", &["read other.things"]),
    ]);
}

#[test]
fn without_a_catalog_every_statement_is_a_barrier() {
    let mut footprints = Footprints::default();
    let work = work(SESSION, "SELECT 1", Protocol::Simple, SourceEnd::Succeeded);
    let found = footprints.of(SESSION, &super::login(), &work);
    assert_eq!(found, Footprint::everything(Widening::NoCatalog));
}

#[test]
fn only_what_runs_to_its_end_is_told() {
    let mut world = World::new();
    // Its lock was not given in time: it is not run.
    assert_eq!(world.failed("DELETE FROM orders", "55P03"), Footprint::default());
    // These are, and undone, for what they draw.
    let drawn = world.failed("INSERT INTO accounts (balance) VALUES (1)", "55P03");
    assert_eq!(world.tell(&drawn), ["draw"]);
    let drawn = world.failed("INSERT INTO notes VALUES ('a', nextval('account_ids'))", "40P01");
    assert_eq!(world.tell(&drawn), ["draw", "insert notes", "read notes row"]);
    let query = "INSERT INTO accounts (balance) SELECT 1";
    let drawn = world.failed(query, "57014");
    assert_eq!(world.tell(&drawn), ["draw"]);
    let failed = world.failed("DELETE FROM notes WHERE id = 'a'", "23503");
    assert_eq!(world.tell(&failed), ["write notes row"]);
    assert_eq!(world.of_protocol("DELETE FROM notes", Protocol::ParseOnly), Footprint::default());
}

#[test]
fn changes_of_the_schema_are_recognized_wherever_they_stand() {
    let changes = |sql: &str| {
        Footprints::changes_catalog(&work(SESSION, sql, Protocol::Simple, SourceEnd::Unknown))
    };
    for sql in [
        "CREATE TABLE t ()",
        "/* x */ alter table t add c int",
        "BEGIN; DROP TABLE t; COMMIT",
        "SELECT 1 INTO t",
        "WITH x AS (SELECT 1) SELECT * INTO t FROM x",
    ] {
        assert!(changes(sql), "{sql}");
    }
    for sql in [
        "SELECT 1",
        "INSERT INTO t VALUES (1)",
        "WITH x AS (INSERT INTO t VALUES (1)) SELECT 1",
        "CREATE TEMP TABLE t ()",
        "CREATE TEMPORARY TABLE t ()",
        "TRUNCATE t",
        "",
    ] {
        assert!(!changes(sql), "{sql}");
    }
}

#[test]
fn the_worst_shapes_are_shown_without_their_literals() {
    let mut world = World::new();
    for n in 0..3 {
        world.of(&format!("SELECT * FROM orders WHERE note = 'secret {n}' LIMIT {n}"));
    }
    world.of("SELECT book(1e7)");
    world.of("SELECT 1 FROM orders WHERE id = 1");
    let worst = world.footprints.worst(1);
    assert_eq!(worst.len(), 1);
    assert_eq!(worst[0].shape, "SELECT * FROM orders WHERE note = ? LIMIT ?");
    assert_eq!((worst[0].widening, worst[0].count), (Widening::NotPinned, 3));
    let all = world.footprints.worst(100);
    assert!(all.iter().any(|costly| costly.shape == "SELECT book(?)"), "{all:?}");
}
