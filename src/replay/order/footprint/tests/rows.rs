//! What is told by rows.

use super::{World, assert_told};
use crate::replay::order::footprint::{Access, Mode, Widening};

/// Asserts that all of these mean one row, and the ones after it others.
#[track_caller]
fn assert_one_row(same: &[&str], others: &[&str]) {
    let mut world = World::new();
    let first = world.of(same[0]);
    assert!(matches!(first.accesses[..], [Access::Row(..)]), "{}: {first:?}", same[0]);
    for sql in same {
        assert_eq!(world.of(sql), first, "{sql}");
    }
    for sql in others {
        let other = world.of(sql);
        assert_ne!(other, first, "{sql}");
        assert_eq!(world.tell(&other), world.tell(&first), "{sql}");
    }
}

#[test]
fn a_statement_whose_where_pins_the_key_touches_that_row() {
    assert_told(&[
        ("SELECT * FROM orders WHERE id = 5", &["read orders row"]),
        ("SELECT * FROM orders o WHERE o.id = 5 AND note LIKE 'x%'", &["read orders row"]),
        ("SELECT * FROM public.orders WHERE public.orders.id = 5", &["read orders row"]),
        ("SELECT * FROM orders WHERE 5 = id", &["read orders row"]),
        ("UPDATE accounts SET balance = balance + 1 WHERE id = 5", &["update accounts row"]),
        ("DELETE FROM notes WHERE id = 'a'", &["write notes row"]),
        ("SELECT * FROM orders WHERE id = 5 FOR UPDATE", &["write orders row"]),
        ("SELECT * FROM orders WHERE id = 5 FOR NO KEY UPDATE NOWAIT", &["update orders row"]),
        ("SELECT * FROM orders WHERE id = 5 FOR NO KEY UPDATE FOR UPDATE", &["write orders row"]),
        ("SELECT * FROM orders WHERE id = 5 FOR SHARE", &["read orders row"]),
        ("SELECT * FROM lines WHERE order_id = 1 AND number = 2", &["read lines row"]),
        ("SELECT * FROM lines WHERE (number, order_id) = (2, 1)", &["read lines row"]),
        ("SELECT * FROM orders WHERE id IN (1, 2, 2)", &["read orders row"; 2]),
        ("SELECT * FROM orders WHERE id = ANY ('{1,2,NULL}')", &["read orders row"; 2]),
        ("SELECT * FROM orders WHERE id = ANY (ARRAY[1, 2])", &["read orders row"; 2]),
        (
            "SELECT * FROM lines WHERE order_id IN (1, 2) AND number IN (3, 4)",
            &["read lines row"; 4],
        ),
        ("SELECT * FROM orders WHERE id = NULL", &[]),
    ]);
}

#[test]
fn what_does_not_pin_the_whole_key_touches_the_table() {
    assert_told(&[
        ("SELECT * FROM orders", &["read orders"]),
        ("SELECT * FROM orders WHERE id > 5", &["read orders"]),
        ("SELECT * FROM orders WHERE id = 5 OR note = 'x'", &["read orders"]),
        ("SELECT * FROM orders WHERE NOT (id = 5)", &["read orders"]),
        ("SELECT * FROM orders WHERE id = 5 + random()", &["read orders"]),
        ("SELECT * FROM orders WHERE id::text = '5'", &["read orders"]),
        ("SELECT * FROM orders WHERE id = 5::numeric(3, 1)", &["read orders"]),
        ("SELECT * FROM orders o(a, id) WHERE id = 5", &["read orders"]),
        (
            "SELECT * FROM (orders JOIN loose ON true) j(a, id) WHERE id = 5",
            &["read loose", "read orders"],
        ),
        ("SELECT * FROM lines WHERE order_id = 1", &["read lines"]),
        ("UPDATE orders SET note = 'x'", &["update orders"]),
        ("UPDATE orders SET note = 'x' WHERE CURRENT OF c", &["update orders"]),
        ("SELECT * FROM orders FOR UPDATE", &["write orders"]),
        ("SELECT * FROM orders WHERE id = 5 FOR UPDATE SKIP LOCKED", &["write orders"]),
        ("UPDATE orders SET note = NULL WHERE id = (SELECT 5)", &["update orders"]),
        ("TABLE history", &["read history"]),
        ("SELECT * FROM stamps WHERE k = '2026-11-22'", &["read stamps"]),
        ("SELECT * FROM folded WHERE k = 'x'", &["read folded"]),
        ("SELECT * FROM heirs WHERE id = 1", &["read heirs"]),
        ("SELECT * FROM accounts WHERE email = 'a@b.c'", &["read accounts"]),
    ]);
    let mut world = World::new();
    for (sql, why) in [
        ("SELECT * FROM orders", Widening::NotPinned),
        ("SELECT * FROM history", Widening::NoKey),
        ("SELECT * FROM folded WHERE k = 'x'", Widening::KeyType),
        ("SELECT * FROM accounts WHERE email = 'a@b.c'", Widening::OtherKey),
        ("SELECT * FROM orders WHERE id = '5.0'", Widening::KeyValue),
        ("SELECT * FROM orders FOR UPDATE SKIP LOCKED", Widening::SkipLocked),
    ] {
        assert_eq!(world.of(sql).widened, Some(why), "{sql}");
    }
}

#[test]
fn a_literal_means_the_same_however_it_is_written() {
    assert_one_row(
        &[
            "SELECT 1 FROM orders WHERE id = 5",
            "SELECT 1 FROM orders WHERE id = '5'",
            "SELECT 1 FROM orders WHERE id = ' 5 '",
            "SELECT 1 FROM orders WHERE id = $$5$$",
            "SELECT 1 FROM orders WHERE id = $x$5$x$",
            "SELECT 1 FROM orders WHERE id = E'5'",
            "SELECT 1 FROM orders WHERE id = ' '\n'5'",
            "SELECT 1 FROM orders WHERE id = E'' -- five\n'5'",
            "SELECT 1 FROM orders WHERE id = 5::bigint",
            "SELECT 1 FROM orders WHERE id = '5'::int4::int8",
            "SELECT 1 FROM orders WHERE id = CAST('5' AS smallint)",
            "SELECT 1 FROM orders WHERE id = - -5",
            "SELECT 1 FROM orders WHERE id = -(-5)",
            "SELECT 1 FROM orders WHERE id = /* six */ 05 -- seven",
            "select 1 from orders where id in (5)",
        ],
        &[
            "SELECT 1 FROM orders WHERE id = -5",
            "SELECT 1 FROM orders WHERE id = '-5'",
            "SELECT 1 FROM orders WHERE id = 55",
            "SELECT 1 FROM orders WHERE id = '5'\n'5'",
            "SELECT 1 FROM orders WHERE id = 0",
        ],
    );
    assert_one_row(
        &[
            "SELECT 1 FROM notes WHERE id = 'it''s'",
            "SELECT 1 FROM notes WHERE id = E'it\\'s'",
            "SELECT 1 FROM notes WHERE id = E'it''s'",
            "SELECT 1 FROM notes WHERE id = $$it's$$",
            "SELECT 1 FROM notes WHERE id = 'it'\n'''s'",
            "SELECT 1 FROM notes WHERE id = 'it''s'::text",
        ],
        &["SELECT 1 FROM notes WHERE id = 'it''s '", "SELECT 1 FROM notes WHERE id = 'It''s'"],
    );
}

#[test]
fn a_value_that_cannot_be_read_widens_its_own_statement_alone() {
    assert_told(&[
        ("SELECT 1 FROM notes WHERE id = 'ab'", &["read notes row"]),
        ("SELECT 1 FROM notes WHERE id = E'\\x41b'", &["read notes"]),
        ("SELECT 1 FROM notes WHERE id = E'\\u0041b'", &["read notes"]),
        ("SELECT 1 FROM notes WHERE id = E'ab'", &["read notes row"]),
        ("SELECT 1 FROM notes WHERE id = 'a'\n'b'", &["read notes row"]),
        ("SELECT 1 FROM notes WHERE id = E'a'\n'\\x62'", &["read notes"]),
        ("SELECT 1 FROM notes WHERE id = N'ab'", &["read notes"]),
        ("SELECT 1 FROM orders WHERE id = 1.5", &["read orders"]),
        ("SELECT 1 FROM orders WHERE id = .5", &["read orders"]),
        ("SELECT 1 FROM orders WHERE id = 1e2", &["read orders"]),
        ("SELECT 1 FROM orders WHERE id = 1", &["read orders row"]),
        ("SELECT 1 FROM orders WHERE id = ANY ('{\"1\"}')", &["read orders"]),
        ("SELECT 1 FROM codes WHERE k = 'toolong'", &["read codes"]),
        ("SELECT 1 FROM amounts WHERE k = 1.005", &["read amounts"]),
        ("SELECT 1 FROM days WHERE k = '22.11.2026'", &["read days"]),
        ("SELECT 1 FROM days WHERE k = 'today'", &["read days"]),
    ]);
}

#[test]
fn values_that_are_equal_to_the_server_are_one_key() {
    assert_one_row(
        &[
            "SELECT 1 FROM uuids WHERE k = '0f8fad5b-d9cb-469f-a165-70867728950e'",
            "SELECT 1 FROM uuids WHERE k = '{0F8FAD5B-D9CB-469F-A165-70867728950E}'::uuid",
            "SELECT 1 FROM uuids WHERE k = '0f8fad5bd9cb469fa16570867728950e'",
        ],
        &["SELECT 1 FROM uuids WHERE k = '1f8fad5b-d9cb-469f-a165-70867728950e'"],
    );
    assert_one_row(
        &[
            "SELECT 1 FROM amounts WHERE k = 1.5",
            "SELECT 1 FROM amounts WHERE k = 1.50",
            "SELECT 1 FROM amounts WHERE k = '+01.5000'",
        ],
        &["SELECT 1 FROM amounts WHERE k = -1.5", "SELECT 1 FROM amounts WHERE k = 15"],
    );
    assert_one_row(
        &["SELECT 1 FROM padded WHERE k = 'a'", "SELECT 1 FROM padded WHERE k = 'a  '"],
        &["SELECT 1 FROM padded WHERE k = ' a'"],
    );
    assert_one_row(
        &[
            "SELECT 1 FROM flags WHERE k = true",
            "SELECT 1 FROM flags WHERE k = 'yes'",
            "SELECT 1 FROM flags WHERE k = 'TR'",
            "SELECT 1 FROM flags WHERE k = '1'",
        ],
        &["SELECT 1 FROM flags WHERE k = FALSE", "SELECT 1 FROM flags WHERE k = 'of'"],
    );
    assert_one_row(
        &[
            "SELECT 1 FROM days WHERE k = '2026-11-22'",
            "SELECT 1 FROM days WHERE k = DATE '2026-11-22'",
        ],
        &["SELECT 1 FROM days WHERE k = '2026-11-23'"],
    );
}

#[test]
fn parameters_pin_as_literals_do() {
    let mut world = World::new();
    let literal = world.of("SELECT 1 FROM orders WHERE id = 5");
    assert_eq!(world.of_bound("SELECT 1 FROM orders WHERE id = $1", &[Some("5")]), literal);
    assert_eq!(
        world.of_bound("SELECT 1 FROM orders WHERE id = $2::int8", &[None, Some("5")]),
        literal
    );
    let many = "SELECT 1 FROM orders WHERE id = ANY ($1::bigint[])";
    assert_eq!(world.of_bound(many, &[Some("{5}")]), literal);
    assert_eq!(world.of_bound(many, &[Some("{}")]).accesses, []);
    assert_eq!(world.of_bound("SELECT 1 FROM orders WHERE id = $1", &[None]).accesses, []);
    let unknown = world.of_bound("SELECT 1 FROM orders WHERE id = $1", &[]);
    assert_eq!(unknown.accesses, [Access::Table(world.table("orders"), Mode::Read)]);
    assert_eq!(unknown.widened, Some(Widening::KeyValue));
}

#[test]
fn an_insert_writes_the_rows_whose_keys_it_gives() {
    assert_told(&[
        (
            "INSERT INTO notes VALUES ('a', 'x'), ('b', 'y')",
            &["insert notes", "write notes row", "write notes row"],
        ),
        ("INSERT INTO notes (body, id) VALUES ('x', 'a')", &["insert notes", "write notes row"]),
        (
            "INSERT INTO notes VALUES ('a') ON CONFLICT DO NOTHING",
            &["insert notes", "write notes row"],
        ),
        (
            "INSERT INTO notes VALUES ('a') ON CONFLICT (id) DO UPDATE SET body = excluded.body",
            &["insert notes", "write notes row"],
        ),
        (
            "INSERT INTO notes VALUES ('a') ON CONFLICT (id) DO UPDATE SET id = 'b'",
            &["insert notes", "write notes", "write notes row"],
        ),
        ("INSERT INTO notes VALUES (lower('A'))", &["insert notes", "write notes"]),
        ("INSERT INTO loose VALUES (1, 2)", &["append loose"]),
        ("INSERT INTO notes SELECT 'a', 'b'", &["append notes"]),
        ("INSERT INTO notes SELECT note FROM orders", &["append notes", "read orders"]),
        (
            "INSERT INTO notes SELECT note FROM orders ON CONFLICT DO NOTHING",
            &["read orders", "write notes"],
        ),
        ("INSERT INTO uuids VALUES (gen_random_uuid(), 'x')", &["append uuids"]),
        ("INSERT INTO uuids VALUES (uuid_generate_v4(), 'x')", &["append uuids"]),
    ]);
    let mut world = World::new();
    let inserted = world.of("INSERT INTO notes VALUES ('a')");
    let deleted = world.of("DELETE FROM notes WHERE id = 'a'");
    assert!(inserted.accesses.contains(&deleted.accesses[0]), "{inserted:?}, {deleted:?}");
}

#[test]
fn a_key_from_a_sequence_is_drawn() {
    assert_told(&[
        ("INSERT INTO accounts (balance) VALUES (1), (2)", &["append accounts", "draw"]),
        ("INSERT INTO accounts VALUES (DEFAULT, NULL, 1)", &["append accounts", "draw"]),
        ("INSERT INTO accounts DEFAULT VALUES", &["append accounts", "draw"]),
        (
            "INSERT INTO accounts (id) OVERRIDING USER VALUE VALUES (7)",
            &["append accounts", "draw"],
        ),
        (
            "INSERT INTO accounts (balance) VALUES (1) ON CONFLICT DO NOTHING",
            &["append accounts", "draw"],
        ),
        ("INSERT INTO accounts (id) VALUES (7)", &["insert accounts", "write accounts row"]),
        ("SELECT nextval('account_ids')", &["draw"]),
        ("SELECT currval('account_ids')", &[]),
        ("SELECT nextval('nowhere')", &["everything"]),
    ]);
    let mut world = World::new();
    let drawn = world.of("SELECT nextval('account_ids')");
    assert_eq!(world.of("SELECT nextval('public.Account_Ids'::regclass)"), drawn);
    assert_eq!(world.of("SELECT pg_catalog.setval('account_ids', 5)"), drawn);
    assert_ne!(world.of("SELECT nextval('\"Ticket Numbers\"')"), drawn);
    let insert = world.of("INSERT INTO accounts (balance) VALUES (1)");
    assert!(insert.accesses.contains(&drawn.accesses[0]));
}

#[test]
fn another_unique_index_is_a_row_of_its_own_to_inserts() {
    let mut world = World::new();
    let one = world.of("INSERT INTO accounts VALUES (1, 'a@b.c')");
    let two = world.of("INSERT INTO accounts VALUES (2, 'a@b.c')");
    assert_eq!(world.tell(&one), ["insert accounts", "write accounts row", "write accounts row"]);
    let shared = one.accesses.iter().filter(|access| two.accesses.contains(access));
    assert_eq!(shared.filter(|access| access.is_write()).count(), 1, "{one:?}, {two:?}");
    assert_told(&[
        ("INSERT INTO accounts VALUES (1, NULL)", &["insert accounts", "write accounts row"]),
        (
            "INSERT INTO accounts VALUES (1, lower('A'))",
            &["insert accounts", "write accounts", "write accounts row"],
        ),
        (
            "INSERT INTO accounts (email) VALUES ('a') ON CONFLICT (email) DO NOTHING",
            &["append accounts", "draw", "write accounts row"],
        ),
        (
            "INSERT INTO accounts VALUES (1, 'a') ON CONFLICT (email) DO UPDATE SET balance = 1",
            &["insert accounts", "write accounts", "write accounts row", "write accounts row"],
        ),
        // The address that goes is free for others.
        ("DELETE FROM accounts WHERE id = 1", &["read history", "write accounts"]),
        ("UPDATE accounts SET email = 'x' WHERE id = 1", &["write accounts"]),
        ("UPDATE accounts SET balance = 1 WHERE id = 1", &["update accounts row"]),
        // One over an expression can't be told.
        (
            "INSERT INTO emails VALUES (1, 'A', 1)",
            &["insert emails", "write emails", "write emails row"],
        ),
        ("UPDATE emails SET address = 'x' WHERE id = 1", &["write emails"]),
        ("UPDATE emails SET seen = 1 WHERE id = 1", &["update emails row"]),
    ]);
}

#[test]
fn constant_expressions_are_computed() {
    assert_one_row(
        &[
            "SELECT * FROM orders WHERE id = 13",
            "SELECT * FROM orders WHERE id = 12 + 1",
            "SELECT * FROM orders WHERE id = 26/2",
            "SELECT * FROM orders WHERE id = ((1 + 2) * 4 + 53 % -10 - 2)",
            "SELECT * FROM orders WHERE id = -(-12 - 1)",
            "SELECT * FROM orders WHERE id = '12' + 1",
            "SELECT * FROM orders WHERE id = (12::int8 + '1'::smallint)::int",
            "SELECT * FROM orders WHERE 2147483647 + 1::bigint - 2147483635 = id",
        ],
        &["SELECT * FROM orders WHERE id = 12 + 2", "SELECT * FROM orders WHERE id = -7 / 2"],
    );
    assert_one_row(
        &["SELECT * FROM orders WHERE id = -3", "SELECT * FROM orders WHERE id = -7 / 2"],
        &["SELECT * FROM orders WHERE id = 7 / 2"],
    );
    assert_one_row(
        &[
            "SELECT * FROM notes WHERE id = 'ab1'",
            "SELECT * FROM notes WHERE id = 'a' || 'b' || 1",
            "SELECT * FROM notes WHERE id = ('a'::text || ('b1'))::varchar",
        ],
        &["SELECT * FROM notes WHERE id = 'b' || 'a' || 1"],
    );
    let mut world = World::new();
    let found = world.of("SELECT * FROM orders WHERE id = 13");
    assert_eq!(world.of_bound("SELECT * FROM orders WHERE id = $1 + 1", &[Some("12")]), found);
    assert_eq!(world.told("SELECT * FROM orders WHERE id = 12 + NULL"), [""; 0]);
}

#[test]
fn what_can_not_be_computed_exactly_stays_with_its_table() {
    assert_told(&[
        ("SELECT * FROM orders WHERE id = 2147483647 + 1", &["read orders"]),
        ("SELECT * FROM orders WHERE id = 1 / 0", &["read orders"]),
        ("SELECT * FROM orders WHERE id = 2 ^ 3", &["read orders"]),
        ("SELECT * FROM orders WHERE id = 70000::int2", &["read orders"]),
        ("SELECT * FROM orders WHERE id = 7.5::int", &["read orders"]),
        ("SELECT * FROM notes WHERE id = 'a'::char(3) || 'b'", &["read notes"]),
        ("SELECT * FROM notes WHERE id = 'a' COLLATE \"C\" || 'b'", &["read notes"]),
    ]);
    let mut world = World::new();
    for (sql, value) in [
        // An integer or a decimal: each is divided otherwise.
        ("SELECT * FROM orders WHERE id = $1 / 2", "7"),
        ("SELECT * FROM orders WHERE id = $1 + 1", "9007199254740993"),
        ("SELECT * FROM orders WHERE id = $1 + 1", "1.5"),
    ] {
        let found = world.of_bound(sql, &[Some(value)]);
        assert_eq!(world.tell(&found), ["read orders"], "{sql} {value}");
    }
    // A boolean is written out, a `character(n)` loses its blanks.
    for value in ["t", "a "] {
        let found = world.of_bound("SELECT * FROM notes WHERE id = $1 || 'b'", &[Some(value)]);
        assert_eq!(world.tell(&found), ["read notes"], "{value:?}");
    }
}

#[test]
fn an_update_of_the_key_writes_the_table() {
    let mut world = World::new();
    let found = world.of("UPDATE notes SET id = 'b' WHERE id = 'a'");
    assert_eq!(found.accesses, [Access::Table(world.table("notes"), Mode::Write)]);
    assert_eq!(found.widened, Some(Widening::KeyChanged));
}

#[test]
fn what_a_statement_looks_at_beside_is_read() {
    assert_told(&[
        (
            "UPDATE notes SET body = o.note FROM orders o WHERE notes.id = 'a' AND o.id = 1",
            &["read orders row", "update notes row"],
        ),
        ("DELETE FROM notes n USING orders WHERE n.id = 'a'", &["read orders", "write notes row"]),
        (
            "SELECT * FROM orders o JOIN notes n ON n.id = 'a' WHERE o.id = 1",
            &["read notes row", "read orders row"],
        ),
        ("SELECT * FROM orders o LEFT JOIN notes n ON o.id = 1", &["read notes", "read orders"]),
        (
            "SELECT * FROM orders o, notes n WHERE o.id = 1 FOR UPDATE OF o",
            &["read notes", "write orders row"],
        ),
        ("SELECT * FROM (SELECT * FROM orders) s FOR UPDATE", &["write orders"]),
        (
            "SELECT (SELECT max(amount) FROM history) FROM orders WHERE id = 1",
            &["read history", "read orders row"],
        ),
        (
            "SELECT 1 FROM orders WHERE id = 1 AND EXISTS (SELECT FROM notes WHERE notes.id = 'a')",
            &["read notes row", "read orders row"],
        ),
        (
            "WITH o AS (SELECT * FROM orders WHERE id = 1) SELECT * FROM o, notes",
            &["read notes", "read orders row"],
        ),
        (
            "WITH d AS (DELETE FROM notes WHERE id = 'a' RETURNING *) INSERT INTO loose SELECT 1 FROM d",
            &["append loose", "write notes row"],
        ),
        (
            "WITH RECURSIVE r AS (SELECT 1 UNION ALL SELECT 1 FROM r, orders) SELECT FROM r",
            &["read orders"],
        ),
        (
            "SELECT 1 FROM orders WHERE id = 1 UNION SELECT 2 FROM notes ORDER BY 1",
            &["read notes", "read orders row"],
        ),
        ("SELECT * FROM generate_series(1, 2) g, orders WHERE id = 1", &["read orders row"]),
        (
            "MERGE INTO notes USING orders ON notes.id = note WHEN MATCHED THEN DELETE",
            &["read orders", "write notes"],
        ),
    ]);
}

#[test]
fn a_partition_stands_for_its_root() {
    let mut world = World::new();
    let root = world.of("UPDATE measured SET value = 1 WHERE id = 7");
    assert_eq!(root.accesses.len(), 1);
    assert!(matches!(root.accesses[0], Access::Row(table, ..) if table == world.table("measured")));
    let of_partition = world.of("UPDATE measured_1 SET value = 1 WHERE id = 7");
    assert_eq!(of_partition.accesses, root.accesses);
    let table = world.table("measured");
    let [Access::Row(_, key, Mode::Update)] = root.accesses[..] else { panic!("{root:?}") };
    let inserted = world.of("INSERT INTO measured_1 VALUES (7, 1)");
    assert!(inserted.accesses.contains(&Access::Row(table, key, Mode::Write)), "{inserted:?}");
}

#[test]
fn names_lead_where_the_path_leads() {
    let mut world = World::new();
    assert_eq!(world.told("SELECT 1 FROM things"), ["everything"]);
    assert_eq!(world.told("SELECT 1 FROM other.things"), ["read other.things"]);
    world.of("SET search_path TO other, \"$user\"");
    assert_eq!(world.told("SELECT 1 FROM things"), ["read other.things"]);
    assert_eq!(world.told("SELECT 1 FROM orders"), ["everything"]);
    assert_eq!(world.told("SELECT tidy()"), ["everything"]);
}

#[test]
fn foreign_keys_are_followed_both_ways() {
    assert_told(&[
        ("INSERT INTO history VALUES (5, 1)", &["append history", "reference accounts row"]),
        ("INSERT INTO history VALUES (NULL, 1)", &["append history"]),
        ("INSERT INTO history (amount) VALUES (1)", &["append history"]),
        (
            "INSERT INTO history SELECT id FROM orders",
            &["append history", "read orders", "reference accounts"],
        ),
        (
            "INSERT INTO lines VALUES (1, 2)",
            &["insert lines", "reference orders row", "write lines row"],
        ),
        (
            "UPDATE parcels SET order_id = 3 WHERE id = 1",
            &["reference orders row", "update parcels row"],
        ),
        (
            "UPDATE parcels SET order_id = id WHERE id = 1",
            &["reference orders", "update parcels row"],
        ),
        ("UPDATE history SET amount = 1", &["update history"]),
        // Of its lines and parcels, some go and some lose it.
        ("DELETE FROM orders WHERE id = 1", &["write lines", "write orders row", "write parcels"]),
        ("UPDATE orders SET note = 'x' WHERE id = 1", &["update orders row"]),
        ("UPDATE orders SET id = 2 WHERE id = 1", &["read lines", "read parcels", "write orders"]),
    ]);
    let mut world = World::new();
    let parent = world.of("SELECT 1 FROM accounts WHERE id = 5");
    let child = world.of("INSERT INTO history VALUES ('5', 1)");
    let [Access::Row(table, key, Mode::Read)] = parent.accesses[..] else { panic!("{parent:?}") };
    let reference = Access::Row(table, key, Mode::Reference);
    assert!(child.accesses.contains(&reference), "{child:?}");
}
