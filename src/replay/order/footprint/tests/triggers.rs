//! What triggers do, by the bodies of their functions.

use super::shop::{Made, rows_with};
use super::{Footprint, Widening, World, unlocked};

/// BEFORE and AFTER, for each row: INSERT 4, DELETE 8, UPDATE 16.
const BEFORE: i16 = 1 | 2;
const AFTER: i16 = 1;
const ALL: i16 = 4 | 8 | 16;

fn world(table: &str, kind: i16, body: &str) -> World {
    let made = Made::trigger("fired", body);
    World::of_rows(rows_with(&[made], &[(table, kind, "fired")]))
}

/// Asserts what a statement on a table with this trigger does.
#[track_caller]
fn assert_fired(table: &str, kind: i16, body: &str, sql: &str, expected: &[&str]) {
    assert_eq!(world(table, kind, body).told(sql), expected, "{body}: {sql}");
}

#[test]
fn a_trigger_that_touches_the_row_at_hand_alone_adds_nothing() {
    let update = "UPDATE orders SET note = 'x' WHERE id = 5";
    for body in [
        "BEGIN NEW.note := 'y'; RETURN NEW; END",
        "BEGIN new.note = now(); return new; END;",
        "BEGIN IF NEW.note IS DISTINCT FROM OLD.note THEN NEW.note := upper(NEW.note); END IF; RETURN NEW; END",
        "BEGIN IF TG_OP = 'DELETE' THEN RETURN OLD; END IF; RETURN coalesce(NEW, OLD); END",
        "BEGIN RETURN NULL; END; -- nothing",
        "#variable_conflict use_column\nBEGIN SELECT lower(NEW.note) INTO NEW.note; RETURN NEW; END",
    ] {
        let body = body.replace("upper", "lower");
        assert_fired("orders", BEFORE | ALL, &body, update, &["update orders row"]);
    }
}

#[test]
fn a_trigger_that_changes_the_key_of_the_row_widens_it() {
    let update = "UPDATE notes SET body = 'x' WHERE id = 'a'";
    let insert = "INSERT INTO notes VALUES ('a', 'b')";
    for body in [
        "BEGIN NEW.id := 'y'; RETURN NEW; END",
        "BEGIN SELECT 'a', 'b' INTO NEW; RETURN NEW; END",
        "DECLARE r record; BEGIN r := NEW; RETURN r; END",
        "BEGIN NEW := OLD; RETURN NEW; END",
        "BEGIN RETURN ROW('x', 'y'); END",
    ] {
        assert_fired("notes", BEFORE | ALL, body, update, &["write notes"]);
        assert_fired("notes", BEFORE | ALL, body, insert, &["insert notes", "write notes"]);
        // Behind the write it changes nothing.
        assert_fired("notes", AFTER | ALL, body, update, &["update notes row"]);
    }
}

#[test]
fn a_trigger_that_changes_a_reference_reads_any_parent() {
    let body = "BEGIN NEW.account := 3; RETURN NEW; END";
    let insert = "INSERT INTO history VALUES (1, 2)";
    assert_fired("history", BEFORE | 4, body, insert, &["append history", "reference accounts"]);
}

#[test]
fn the_columns_of_the_row_are_followed_into_keys() {
    let body = "BEGIN UPDATE orders SET note = '' WHERE id = NEW.order_id; RETURN NULL; END";
    let mut shop = world("lines", AFTER | ALL, body);
    let order = shop.of("UPDATE orders SET note = '' WHERE id = 5").accesses;
    for sql in [
        "INSERT INTO lines (order_id, number) VALUES (5, 1)",
        "UPDATE lines SET note = '' WHERE order_id = 5 AND number = 1",
        "UPDATE lines SET order_id = 5 WHERE number = 1",
    ] {
        let found = shop.of(sql);
        assert!(order.iter().all(|access| found.accesses.contains(access)), "{sql}: {found:?}");
        assert!(!shop.tell(&found).contains(&"update orders".to_owned()), "{sql}");
    }
    // There is no NEW.
    assert_eq!(
        shop.told("DELETE FROM lines WHERE order_id = 5 AND number = 1"),
        ["write lines row"]
    );
    let widened = shop.told("UPDATE lines SET note = '' WHERE number = 1");
    assert_eq!(widened, ["update lines", "update orders"]);
    let body = "BEGIN UPDATE orders SET note = '' WHERE id = OLD.order_id; RETURN NULL; END";
    let mut shop = world("lines", AFTER | ALL, body);
    let found = shop.told("DELETE FROM lines WHERE order_id = 5 AND number = 1");
    assert_eq!(found, ["update orders row", "write lines row"]);
    let found = shop.told("INSERT INTO lines (order_id, number) VALUES (5, 1)");
    assert_eq!(found, ["insert lines", "reference orders row", "write lines row"]);
}

#[test]
fn a_column_that_is_changed_on_its_way_is_not_followed() {
    let update = "UPDATE lines SET note = '' WHERE order_id = 5 AND number = 1";
    for body in [
        "BEGIN NEW.order_id := 6; UPDATE orders SET note = '' WHERE id = NEW.order_id; RETURN NULL; END",
        "BEGIN SELECT 6 INTO NEW.order_id; UPDATE orders SET note = '' WHERE id = NEW.order_id; RETURN NULL; END",
        "DECLARE k int; BEGIN k := NEW.order_id; UPDATE orders SET note = '' WHERE id = k; RETURN NULL; END",
        "BEGIN UPDATE orders AS new SET note = '' WHERE new.id = new.order_id; RETURN NULL; END",
        "BEGIN UPDATE orders SET note = '' WHERE id = NEW.order_id + 1; RETURN NULL; END",
    ] {
        assert_fired("lines", AFTER | 16, body, update, &["update lines row", "update orders"]);
    }
    let body = "DECLARE k bigint := NEW.order_id; BEGIN UPDATE orders SET note = '' WHERE id = k; RETURN NULL; END";
    assert_fired("lines", AFTER | 16, body, update, &["update lines row", "update orders row"]);
}

#[test]
fn an_audit_trigger_appends() {
    let body = "BEGIN INSERT INTO loose VALUES (NEW.a, OLD.b); RETURN NULL; END";
    let update = "UPDATE audited SET b = 1 WHERE id = 7";
    assert_fired("audited", AFTER | 16, body, update, &["append loose", "update audited row"]);
    let statement = "BEGIN INSERT INTO loose SELECT a, b FROM added; RETURN NULL; END";
    assert_fired("audited", 16, statement, update, &["append loose", "update audited row"]);
}

#[test]
fn a_trigger_that_is_not_understood_stays_a_barrier() {
    let update = "UPDATE orders SET note = 'x' WHERE id = 5";
    for (why, body) in [
        (Widening::DynamicSql, "BEGIN EXECUTE format('SELECT %s', NEW.id); RETURN NEW; END"),
        (Widening::Trigger, "BEGIN CREATE TEMP TABLE t (id int); RETURN NEW; END"),
        (Widening::Trigger, "BEGIN PERFORM book(1); RETURN NEW; END"),
        (Widening::Trigger, "no body"),
    ] {
        let found = world("orders", BEFORE | 16, body).of(update);
        assert_eq!(unlocked(found), Footprint::everything(why), "{body}");
    }
    let mut rows = rows_with(
        &[Made::trigger("fired", "BEGIN RETURN NULL; END")],
        &[("orders", 1 | 16, "fired")],
    );
    rows.triggers.last_mut().expect("a trigger").is_plain = false;
    let found = World::of_rows(rows).of(update);
    assert_eq!(unlocked(found), Footprint::everything(Widening::Trigger));
}

#[test]
fn a_trigger_of_the_table_that_it_writes_is_followed_once() {
    let body = "BEGIN UPDATE notes SET body = '' WHERE id = 'z'; RETURN NULL; END";
    let update = "UPDATE notes SET body = 'x' WHERE id = 'a'";
    assert_fired("notes", AFTER | 16, body, update, &["update notes row", "update notes row"]);
}

#[test]
fn triggers_of_rows_that_go_with_others_fire() {
    let body = "BEGIN DELETE FROM notes WHERE id = 'x'; RETURN NULL; END";
    let mut shop = world("lines", AFTER | 8, body);
    let found = shop.told("DELETE FROM orders WHERE id = 5");
    assert_eq!(found, ["write lines", "write notes row", "write orders row", "write parcels"]);
}

#[test]
fn an_upsert_sets_off_the_triggers_of_both() {
    let body =
        "BEGIN IF TG_OP = 'UPDATE' THEN DELETE FROM flags WHERE k = true; END IF; RETURN NEW; END";
    let upsert = "INSERT INTO notes VALUES ('a') ON CONFLICT (id) DO UPDATE SET body = 'x'";
    assert_fired(
        "notes",
        AFTER | 16,
        body,
        upsert,
        &["insert notes", "write flags row", "write notes row"],
    );
}

#[test]
fn a_trigger_of_many_partitions_is_followed_once() {
    let made = Made::trigger("fired", "BEGIN INSERT INTO loose VALUES (NEW.id); RETURN NEW; END");
    let triggers = vec![("measured_1", AFTER | 16, "fired"); 300];
    let mut shop = World::of_rows(rows_with(&[made], &triggers));
    let found = shop.told("UPDATE measured SET value = 1 WHERE id = 7");
    assert_eq!(found, ["append loose", "update measured row"]);
}
