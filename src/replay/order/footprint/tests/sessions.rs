//! What earlier statements of a session make of later ones.

use super::{SESSION, World, login, work};
use crate::pglog::SessionId;
use crate::pglog::statement::{Protocol, SourceEnd};
use crate::replay::order::footprint::{Access, Footprint, Widening};
use crate::replay::settings::Login;

#[test]
fn the_path_is_the_sessions_own_and_follows_its_transactions() {
    let mut world = World::new();
    let things = "SELECT 1 FROM things";
    for (sql, leads_there) in [
        ("SET search_path = other", true),
        ("RESET search_path", false),
        ("SELECT set_config('search_path', 'public, other', false)", true),
        ("DISCARD ALL", false),
        ("BEGIN", false),
        ("SET LOCAL search_path TO other, public", true),
        ("COMMIT", false),
        ("BEGIN", false),
        ("SET search_path TO 'other'", true),
        ("ROLLBACK", false),
        ("BEGIN", false),
        ("SET search_path TO OTHER", true),
        ("COMMIT", true),
        ("RESET ALL", false),
        ("SET LOCAL search_path TO other", false),
        ("SET ROLE other", true),
        ("RESET ROLE", false),
    ] {
        world.of(sql);
        let expected = if leads_there { "read other.things" } else { "everything" };
        assert_eq!(world.told(things), [expected], "{sql}");
    }
    world.of("SET search_path = other");
    let other = SessionId { start: 2, pid: 2 };
    let statement = work(other, things, Protocol::Simple, SourceEnd::Succeeded);
    let found = world.footprints.of(other, &login(), &statement);
    assert_eq!(found, Footprint::everything(Widening::UnknownName));
}

#[test]
fn a_rollback_to_a_savepoint_brings_back_what_was_set_then() {
    let mut world = World::new();
    let things = "SELECT 1 FROM things";
    for (sql, leads_there) in [
        ("BEGIN", false),
        ("SAVEPOINT a", false),
        ("SET search_path = other", true),
        ("SAVEPOINT b", true),
        ("RESET search_path", false),
        ("ROLLBACK TO b", true),
        ("RESET search_path", false),
        ("ROLLBACK TO SAVEPOINT b", true),
        ("ROLLBACK TO a", false),
        ("SET search_path = other", true),
        ("RELEASE a", true),
        ("COMMIT", true),
    ] {
        world.of(sql);
        let expected = if leads_there { "read other.things" } else { "everything" };
        assert_eq!(world.told(things), [expected], "{sql}");
    }
    world.of("BEGIN");
    world.of("SAVEPOINT a");
    world.failed("SELECT 1 / 0", "22012");
    world.of("ROLLBACK TO a");
    world.of("RESET search_path");
    world.of("COMMIT");
    assert_eq!(world.told(things), ["everything"], "the transaction did commit");
}

#[test]
fn where_backslashes_escape_a_text_with_one_can_be_anything() {
    let mut world = World::new();
    let text = r"UPDATE orders SET note = 'a\' WHERE id = 5";
    assert_eq!(world.told(text), ["update orders row"]);
    world.of("BEGIN");
    world.of("SET standard_conforming_strings = off");
    assert_eq!(world.of(text), Footprint::everything(Widening::Construct));
    assert_eq!(world.told("UPDATE orders SET note = 'a' WHERE id = 5"), ["update orders row"]);
    world.of("ROLLBACK");
    assert_eq!(world.told(text), ["update orders row"]);
    world.of("SELECT set_config('standard_conforming_strings', 'off', false)");
    assert_eq!(world.of(text), Footprint::everything(Widening::Construct));
}

#[test]
fn what_failed_changes_nothing() {
    let mut world = World::new();
    world.failed("SET search_path = other", "42501");
    assert_eq!(world.told("SELECT 1 FROM things"), ["everything"]);
    // COMMIT rolls an aborted transaction back.
    world.of("BEGIN");
    world.of("SET search_path = other");
    world.failed("SELECT 1 / 0", "22012");
    world.of("COMMIT");
    assert_eq!(world.told("SELECT 1 FROM things"), ["everything"]);
}

#[test]
fn execute_does_what_was_prepared_with_its_arguments() {
    let mut world = World::new();
    let direct = world.of("UPDATE orders SET note = 'x' WHERE id = 5");
    world.of("PREPARE q (text, int) AS UPDATE orders SET note = $1 WHERE id = $2");
    assert_eq!(world.of("EXECUTE q ('x', 5)"), direct);
    assert_eq!(world.of("EXECUTE q ('x', '5'::int)"), direct);
    assert_ne!(world.of("EXECUTE q ('x', 6)"), direct);
    assert_eq!(world.of("EXECUTE q ('x', 2 + 3)"), direct);
    assert_eq!(world.told("EXPLAIN ANALYZE EXECUTE q ('x', 5)"), ["update orders row"]);
    world.of("DEALLOCATE q");
    assert_eq!(world.of("EXECUTE q ('x', 5)"), Footprint::everything(Widening::UnknownName));
}

#[test]
fn temporary_tables_are_private() {
    let mut world = World::new();
    assert_eq!(world.told("CREATE TEMP TABLE tmp AS SELECT * FROM orders"), ["read orders"]);
    for sql in [
        "INSERT INTO tmp VALUES (1)",
        "UPDATE tmp SET a = 1",
        "SELECT * FROM tmp",
        "CREATE INDEX ON tmp (a)",
        "TRUNCATE tmp",
        "ALTER TABLE tmp ADD b int",
        "DROP TABLE tmp",
    ] {
        assert_eq!(world.of(sql), Footprint::default(), "{sql}");
    }
    assert_eq!(world.told("SELECT * FROM tmp"), ["everything"]);
    // It hides the table of that name.
    world.of("BEGIN");
    world.of("CREATE TEMP TABLE orders (id int) ON COMMIT DROP");
    assert_eq!(world.told("DELETE FROM orders"), [""; 0]);
    world.of("COMMIT");
    assert_eq!(world.told("SELECT * FROM orders"), ["read orders"]);
    world.of("SELECT 1 INTO TEMP tmp");
    world.of("DISCARD TEMP");
    assert_eq!(world.told("SELECT * FROM tmp"), ["everything"]);
}

#[test]
fn the_statements_of_a_transaction_that_keeps_its_snapshot_read_all() {
    let mut world = World::new();
    let row = "SELECT 1 FROM orders WHERE id = 1";
    for begin in [
        &["BEGIN ISOLATION LEVEL REPEATABLE READ"][..],
        &["BEGIN", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"],
        &["BEGIN", "SET transaction_isolation = 'serializable'"],
        &["SET default_transaction_isolation TO 'repeatable read'", "BEGIN"],
        &["SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ", "BEGIN"],
    ] {
        for sql in begin {
            assert_eq!(world.of(sql), Footprint::default(), "{sql}");
        }
        // The first one takes the snapshot; where it is serializable, any may fail for a commit.
        for statement in ["first", "second"] {
            let found = world.of(row);
            assert!(found.accesses.contains(&Access::ReadAll), "{begin:?}: the {statement}");
            assert_eq!(found.widened, Some(Widening::Snapshot));
        }
        world.of("COMMIT AND CHAIN");
        assert_eq!(world.told("SELECT 1"), ["read all"]);
        world.of("COMMIT");
        assert_eq!(world.told(row), ["read orders row"]);
        world.of("DISCARD ALL");
    }
    world.of("BEGIN ISOLATION LEVEL READ COMMITTED");
    assert_eq!(world.told(row), ["read orders row"]);
}

#[test]
fn an_exported_snapshot_is_seen_behind_its_export_and_before_its_transaction_ends() {
    let mut world = World::new();
    let export = "SELECT pg_export_snapshot()";
    for end in ["COMMIT", "ROLLBACK", "COMMIT AND CHAIN"] {
        assert_eq!(world.told("BEGIN"), [""; 0]);
        assert_eq!(world.told(export), ["draw", "read all"], "{end}");
        assert_eq!(world.told("SET TRANSACTION SNAPSHOT 'x'"), ["draw"]);
        assert_eq!(world.told("SAVEPOINT a"), [""; 0]);
        assert_eq!(world.told(end), ["draw"], "{end}");
        assert_eq!(world.told("COMMIT"), [""; 0], "{end}");
    }
    // Without a transaction nobody can see it.
    assert_eq!(world.told(export), ["draw", "read all"]);
    assert_eq!(world.told("BEGIN"), [""; 0]);
    assert_eq!(world.told("COMMIT"), [""; 0]);
}

#[test]
fn a_role_may_keep_its_snapshots_by_default() {
    let mut world = World::new();
    let strict = Login { user: "strict".into(), ..login() };
    let session = SessionId { start: 2, pid: 2 };
    let mut of = |sql| {
        let statement = work(session, sql, Protocol::Simple, SourceEnd::Succeeded);
        world.footprints.of(session, &strict, &statement).accesses
    };
    of("BEGIN");
    assert_eq!(of("SELECT 1"), [Access::ReadAll]);
}

#[test]
fn a_session_that_ended_is_forgotten() {
    let mut world = World::new();
    world.of("SET search_path = other");
    world.footprints.forget(SESSION);
    assert_eq!(world.told("SELECT 1 FROM things"), ["everything"]);
}

#[test]
fn a_new_catalog_replaces_the_old_one() {
    let mut world = World::new();
    assert_eq!(world.told("SELECT 1 FROM newcomers"), ["everything"]);
    let mut rows = super::shop::rows();
    let orders = rows.relations.iter_mut().find(|row| row.name == "orders").expect("orders");
    orders.name = "newcomers".to_owned();
    world.footprints.catalog("shop", crate::replay::order::footprint::Catalog::new(&rows).into());
    // The number stays.
    assert_eq!(world.told("SELECT 1 FROM newcomers"), ["read orders"]);
    assert_eq!(world.told("SELECT 1 FROM orders"), ["everything"]);
}
