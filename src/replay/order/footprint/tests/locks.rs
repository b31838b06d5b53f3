//! The locks that statements take on tables.

use super::{World, shop};
use crate::replay::order::footprint::{Access, LockMode, Table};

/// What is locked, and how: `AccessShare orders`.
fn locks(world: &mut World, sql: &str) -> Vec<String> {
    let all = ["measured_1", "heir", "rich", "richest"].into_iter().chain(shop::TABLES);
    let number = |world: &mut World, name| {
        let locked = world.of(&format!("LOCK TABLE ONLY {name}")).locks;
        // A view's own number comes behind those of what it names, which are smaller.
        locked.iter().map(|lock| lock.relation).max().expect("it is locked")
    };
    let names: Vec<(Table, &str)> = all.map(|name| (number(world, name), name)).collect();
    let name = |table| names.iter().find(|(number, _)| *number == table).map_or("?", |it| it.1);
    let found = world.of(sql).locks;
    let mut told: Vec<String> =
        found.iter().map(|lock| format!("{:?} {}", lock.mode, name(lock.relation))).collect();
    told.sort();
    told
}

#[track_caller]
fn assert_locks(cases: &[(&str, &[&str])]) {
    let mut world = World::new();
    for (sql, expected) in cases {
        assert_eq!(locks(&mut world, sql), *expected, "{sql}");
    }
}

#[test]
fn queries_lock_what_they_name_as_postgresql_does() {
    assert_locks(&[
        ("SELECT 1", &[]),
        ("SELECT * FROM orders WHERE id = 1", &["AccessShare orders"]),
        (
            "SELECT (SELECT max(id) FROM notes) FROM orders a, orders b",
            &["AccessShare notes", "AccessShare orders"],
        ),
        ("SELECT * FROM orders WHERE id = 1 FOR UPDATE", &["RowShare orders"]),
        ("SELECT * FROM orders FOR KEY SHARE SKIP LOCKED", &["RowShare orders"]),
        ("SELECT * FROM orders o, notes FOR SHARE OF o", &["AccessShare notes", "RowShare orders"]),
        ("SELECT * FROM (SELECT * FROM orders) x FOR SHARE", &["RowShare orders"]),
        (
            "INSERT INTO orders SELECT 1, body FROM notes",
            &["AccessShare notes", "RowExclusive orders"],
        ),
        ("UPDATE orders SET note = 'a' WHERE id = 1", &["RowExclusive orders"]),
        (
            "DELETE FROM orders USING notes WHERE body = note",
            &["AccessShare notes", "RowExclusive orders"],
        ),
        ("COPY orders TO STDOUT", &["AccessShare orders"]),
        ("EXPLAIN UPDATE orders SET note = 'a'", &["RowExclusive orders"]),
        ("EXPLAIN ANALYZE SELECT * FROM orders", &["AccessShare orders"]),
        ("PREPARE q AS SELECT * FROM orders", &["AccessShare orders"]),
        ("SELECT * FROM measured_1", &["AccessShare measured_1"]),
        ("SELECT * FROM measured", &["AccessShare measured"]),
        (
            "SELECT * FROM richest",
            &["AccessShare accounts", "AccessShare rich", "AccessShare richest"],
        ),
    ]);
}

#[test]
fn lock_table_takes_the_mode_that_it_names_on_partitions_and_tables_of_views_too() {
    assert_locks(&[
        ("LOCK orders", &["AccessExclusive orders"]),
        ("LOCK TABLE ONLY orders IN ACCESS SHARE MODE NOWAIT", &["AccessShare orders"]),
        ("LOCK orders IN ROW SHARE MODE", &["RowShare orders"]),
        ("LOCK orders IN ROW EXCLUSIVE MODE", &["RowExclusive orders"]),
        ("LOCK orders IN SHARE UPDATE EXCLUSIVE MODE", &["ShareUpdateExclusive orders"]),
        ("LOCK orders IN SHARE MODE", &["Share orders"]),
        ("LOCK orders IN SHARE ROW EXCLUSIVE MODE", &["ShareRowExclusive orders"]),
        ("LOCK orders, notes IN EXCLUSIVE MODE", &["Exclusive notes", "Exclusive orders"]),
        ("LOCK measured IN SHARE MODE", &["Share measured", "Share measured_1"]),
        ("LOCK ONLY measured IN SHARE MODE", &["Share measured"]),
        ("LOCK measured_1 IN SHARE MODE", &["Share measured_1"]),
        ("LOCK heirs IN SHARE MODE", &["Share heir", "Share heirs"]),
        ("LOCK rich IN SHARE MODE", &["Share accounts", "Share rich"]),
    ]);
}

#[test]
fn a_partition_counts_for_the_rows_of_its_table() {
    let mut world = World::new();
    let measured = world.table("measured");
    let found = world.of("LOCK measured_1 IN SHARE MODE");
    assert_eq!(found.accesses, [Access::Lock(measured, LockMode::Share)]);
    assert_eq!(found.widened, None);
}

#[test]
fn vacuum_and_analyze_keep_each_other_out() {
    assert_locks(&[
        ("VACUUM orders, notes", &["ShareUpdateExclusive notes", "ShareUpdateExclusive orders"]),
        ("VACUUM (ANALYZE, FULL off) orders", &["ShareUpdateExclusive orders"]),
        ("ANALYZE orders (note)", &["ShareUpdateExclusive orders"]),
        ("VACUUM (SKIP_LOCKED) orders", &[]),
    ]);
}

#[test]
fn a_vacuum_of_everything_may_lock_any_table() {
    let mut world = World::new();
    let orders = world.table("orders");
    let found = world.of("VACUUM");
    assert!(found.accesses.contains(&Access::Lock(orders, LockMode::ShareUpdateExclusive)));
    assert!(found.locks.is_empty(), "each but for a while");
    assert_eq!(world.of("VACUUM (SKIP_LOCKED)").accesses, []);
}
