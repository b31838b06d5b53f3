//! What functions and procedures do, by their bodies.

use super::shop::{Made, rows_with};
use super::{Footprint, Widening, World};
use crate::replay::order::footprint::catalog::Volatility;

fn world(made: &[Made]) -> World {
    World::of_rows(rows_with(made, &[]))
}

fn plpgsql(name: &str, arguments: &str, body: &str) -> Made {
    Made::new("plpgsql", name, arguments, body)
}

fn sql(name: &str, arguments: &str, body: &str) -> Made {
    Made::new("sql", name, arguments, body)
}

/// Asserts that a call of one function does what this statement does.
#[track_caller]
fn assert_same(made: Made, call: &str, statement: &str) {
    let mut world = world(std::slice::from_ref(&made));
    let (found, expected) = (world.of(call), world.of(statement));
    assert_eq!(found.accesses, expected.accesses, "{call}: {}", made.row.body);
}

/// Asserts what the bodies of functions of one argument do.
#[track_caller]
fn assert_bodies(cases: &[(&str, &[&str])]) {
    for (body, expected) in cases {
        let mut world = world(&[plpgsql("f", "a int4", body)]);
        assert_eq!(world.told("SELECT f(7)"), *expected, "{body}");
    }
}

#[track_caller]
fn assert_barriers(why: Widening, bodies: &[&str]) {
    for body in bodies {
        let mut world = world(&[plpgsql("f", "a int4", body)]);
        assert_eq!(world.of("SELECT f(7)"), Footprint::everything(why), "{body}");
    }
}

#[test]
fn an_argument_is_followed_into_the_key() {
    let pay = "BEGIN UPDATE orders SET note = n WHERE id = o; END";
    let update = "UPDATE orders SET note = 'x' WHERE id = 5";
    let made = || plpgsql("pay", "o int8, n text", pay);
    assert_same(made(), "SELECT pay(5, 'x')", update);
    assert_same(made(), "SELECT pay(n => 'x', o => 5)", update);
    assert_same(made(), "SELECT * FROM pay('5', 'x')", update);
    assert_same(made(), "SELECT public.pay(5::int8, $$x$$)", update);
    assert_same(made(), "SELECT pay(2 + 3, 'x')", update);
    for body in [
        "UPDATE orders SET note = n WHERE id = o",
        "UPDATE orders SET note = $2 WHERE id = $1",
        "UPDATE orders AS t SET note = n WHERE t.id = pay.o",
        "SELECT 1; UPDATE orders SET note = n WHERE orders.id = o::int8",
    ] {
        assert_same(sql("pay", "o int8, n text", body), "SELECT pay(5, 'x')", update);
    }
    for body in [
        "<<b>> BEGIN UPDATE orders SET note = $2 WHERE id = $1; END",
        "BEGIN UPDATE orders SET note = n WHERE id = pay.o; END",
        "DECLARE k CONSTANT int8 := o; BEGIN UPDATE orders SET note = n WHERE id = k; END",
        "DECLARE k int4 = o; BEGIN UPDATE orders SET note = n WHERE id = k; END;",
        "BEGIN BEGIN UPDATE orders SET note = n WHERE id = o; EXCEPTION WHEN others THEN NULL; END; END",
    ] {
        assert_same(plpgsql("pay", "o int8, n text", body), "SELECT pay(5, 'x')", update);
    }
}

#[test]
fn a_bound_parameter_is_followed_into_the_key() {
    let body = "BEGIN PERFORM 1 FROM orders WHERE id = ANY (os) FOR UPDATE; END";
    let mut world = world(&[plpgsql("f", "os _int8", body)]);
    let found = world.of_bound("SELECT f($1)", &[Some("{5,6}")]);
    let expected = world.of("SELECT 1 FROM orders WHERE id IN (5, 6) FOR UPDATE");
    assert_eq!(found.accesses, expected.accesses);
    assert_eq!(world.of_bound("SELECT f($1)", &[None]).accesses, []);
}

#[test]
fn an_argument_that_may_be_another_is_not_followed() {
    let whole: &[&str] = &["update orders"];
    assert_bodies(&[
        // It is changed.
        ("BEGIN a := 8; UPDATE orders SET note = '' WHERE id = a; END", whole),
        ("BEGIN a = a + 1; UPDATE orders SET note = '' WHERE id = $1; END", whole),
        ("BEGIN SELECT 8 INTO a; UPDATE orders SET note = '' WHERE id = a; END", whole),
        (
            "BEGIN GET DIAGNOSTICS a = ROW_COUNT; UPDATE orders SET note = '' WHERE id = a; END",
            whole,
        ),
        (
            "BEGIN FOREACH a IN ARRAY ARRAY[1] LOOP UPDATE orders SET note = '' WHERE id = a; END LOOP; END",
            whole,
        ),
        // It is hidden, or may be.
        ("DECLARE a int := 8; BEGIN UPDATE orders SET note = '' WHERE id = a; END", whole),
        ("BEGIN FOR a IN 1..3 LOOP UPDATE orders SET note = '' WHERE id = a; END LOOP; END", whole),
        ("BEGIN UPDATE orders AS a SET note = '' WHERE id = a; END", whole),
        (
            "DECLARE orders record; BEGIN UPDATE orders SET note = '' WHERE orders.id = a; END",
            whole,
        ),
        // The column is a variable.
        ("DECLARE id int := 3; BEGIN UPDATE orders SET note = '' WHERE id = a; END", whole),
        ("DECLARE id ALIAS FOR $1; BEGIN UPDATE orders SET note = '' WHERE id = a; END", whole),
        (
            "#variable_conflict use_variable\nDECLARE id int; BEGIN UPDATE orders SET note = '' WHERE id = a; END",
            whole,
        ),
        // A column of that name, or what could be one, is in sight.
        (
            "BEGIN UPDATE orders SET note = '' FROM loose WHERE orders.id = a; END",
            &["read loose", "update orders"],
        ),
        (
            "BEGIN UPDATE orders SET note = '' FROM generate_series(1, 2) AS s(x) WHERE orders.id = a; END",
            whole,
        ),
        (
            "DECLARE r public.orders%ROWTYPE; s days%rowtype; BEGIN r.id := a; SELECT * INTO s FROM days; \
             s.v := 'x'; UPDATE orders SET note = '' WHERE id = r.id; END",
            &["read days", "update orders"],
        ),
        // Its value changes on the way.
        ("BEGIN UPDATE notes SET body = '' WHERE id = a::text; END", &["update notes"]),
        ("DECLARE k numeric := a; BEGIN UPDATE orders SET note = '' WHERE id = k; END", whole),
    ]);
}

#[test]
fn a_body_does_what_all_its_branches_do() {
    assert_bodies(&[
        (
            "BEGIN IF a > 1 THEN DELETE FROM notes WHERE id = 'x'; ELSIF a > 0 THEN PERFORM 1 FROM days; \
          ELSE INSERT INTO loose VALUES (a, 1); END IF; END",
            &["append loose", "read days", "write notes row"],
        ),
        (
            "BEGIN CASE a WHEN 1 THEN PERFORM 1 FROM days; ELSE PERFORM 1 FROM uuids; END CASE; END",
            &["read days", "read uuids"],
        ),
        (
            "DECLARE r record; BEGIN FOR r IN SELECT * FROM days LOOP DELETE FROM orders WHERE id = a; END LOOP; END",
            &["read days", "write lines", "write orders row", "write parcels"],
        ),
        ("DECLARE c CURSOR FOR SELECT * FROM days; BEGIN OPEN c; CLOSE c; END", &["read days"]),
        (
            "DECLARE n int := (SELECT count(*) FROM days); BEGIN RAISE NOTICE '% %', n, (SELECT 1 FROM flags); END",
            &["read days", "read flags"],
        ),
        (
            "DECLARE n int; BEGIN n := count(*) FROM days; EXCEPTION WHEN others THEN PERFORM 1 FROM flags; END",
            &["read days", "read flags"],
        ),
        (
            "BEGIN WHILE EXISTS (SELECT FROM days) LOOP EXIT WHEN (SELECT true FROM flags); END LOOP; END",
            &["read days", "read flags"],
        ),
        (
            "BEGIN PERFORM nextval('account_ids'); PERFORM pg_advisory_xact_lock(a); END",
            &["draw", "draw"],
        ),
        (
            "BEGIN PERFORM set_config('app.user', 'x', true); SET LOCAL lock_timeout = 1; NOTIFY n; END",
            &[],
        ),
        ("BEGIN NULL; END", &[]),
    ]);
}

#[test]
fn what_is_not_understood_stays_a_barrier() {
    assert_barriers(
        Widening::DynamicSql,
        &[
            "BEGIN EXECUTE 'DELETE FROM orders WHERE id = ' || a; END",
            "DECLARE r record; BEGIN FOR r IN EXECUTE 'SELECT 1' LOOP NULL; END LOOP; END",
            "DECLARE c refcursor; BEGIN OPEN c FOR EXECUTE 'SELECT 1'; END",
        ],
    );
    assert_barriers(
        Widening::VolatileFunction,
        &[
            "BEGIN CREATE TEMP TABLE t (id int); END",
            "BEGIN CREATE TABLE t (id int); END",
            "BEGIN DROP TABLE orders; END",
            "BEGIN COMMIT; END",
            "BEGIN PERFORM book(a); END",
            "BEGIN PERFORM nobody_knows(a); END",
            "BEGIN DELETE FROM nothing; END",
            "BEGIN PERFORM set_config('search_path', 'other', true); END",
            "BEGIN SET LOCAL search_path = other; END",
            "BEGIN PERFORM nextval(a::text); END",
            "BEGIN this is no statement; END",
            "no body",
            "",
        ],
    );
    for body in ["", "CREATE TABLE t (id int)", "SELECT * INTO t FROM orders", "SELECT book(1)"] {
        let mut world = world(&[sql("f", "", body)]);
        assert_eq!(world.told("SELECT f()"), ["everything"], "{body}");
    }
}

#[test]
fn a_function_that_only_reads_is_no_barrier() {
    let mut reads =
        plpgsql("f", "a int4", "BEGIN RETURN (SELECT note FROM orders WHERE id = a); END");
    reads.row.returns = "text".to_owned();
    reads.volatility = Volatility::Stable;
    assert_same(reads.clone(), "SELECT f(5)", "SELECT note FROM orders WHERE id = 5");
    reads.row.body = "BEGIN EXECUTE 'SELECT'; END".to_owned();
    assert_eq!(world(&[reads]).told("SELECT f(5)"), ["read all"]);
}

#[test]
fn all_functions_that_a_call_may_mean_count() {
    let one = plpgsql("f", "a int4", "BEGIN DELETE FROM days; END");
    let other = plpgsql("f", "a text", "BEGIN DELETE FROM flags; END");
    let mut two = plpgsql("f", "a int4, b int4", "BEGIN DELETE FROM uuids; END");
    two.row.defaults = 1;
    let none = plpgsql("f", "", "BEGIN DELETE FROM notes; END");
    let mut world = world(&[one, other, two, none]);
    assert_eq!(world.told("SELECT f(1)"), ["write days", "write flags", "write uuids"]);
    assert_eq!(world.told("SELECT f(1, 2)"), ["write uuids"]);
    assert_eq!(world.told("SELECT f()"), ["write notes"]);
    assert_eq!(world.told("SELECT f(1, 2, 3)"), ["everything"]);
}

#[test]
fn calls_in_bodies_are_followed() {
    let outer = plpgsql("outer_one", "a int8", "BEGIN PERFORM inner_one(a); END");
    let inner = sql("inner_one", "b int8", "UPDATE orders SET note = '' WHERE id = b");
    let mut shop = world(&[outer, inner]);
    let expected = shop.of("UPDATE orders SET note = '' WHERE id = 5");
    assert_eq!(shop.of("SELECT outer_one(5)").accesses, expected.accesses);
    // What calls itself does it with other arguments.
    let body = "BEGIN DELETE FROM notes WHERE id = a; PERFORM f('y'); END";
    let mut shop = world(&[plpgsql("f", "a text", body)]);
    assert_eq!(shop.told("SELECT f('x')"), ["write notes", "write notes row"]);
    let one = plpgsql("one", "a text", "BEGIN PERFORM two(a); DELETE FROM days; END");
    let two = plpgsql("two", "a text", "BEGIN PERFORM one(a); DELETE FROM notes WHERE id = a; END");
    let mut shop = world(&[one, two]);
    assert_eq!(shop.told("SELECT one('x')"), ["write days", "write notes", "write notes row"]);
}

#[test]
fn a_procedure_that_commits_nothing_is_followed() {
    let mut made = plpgsql("pay", "o int8", "BEGIN UPDATE orders SET note = '' WHERE id = o; END");
    made.row.is_procedure = true;
    assert_same(made.clone(), "CALL pay(5)", "UPDATE orders SET note = '' WHERE id = 5");
    made.row.body = "BEGIN UPDATE orders SET note = '' WHERE id = o; COMMIT; END".to_owned();
    assert_eq!(world(&[made]).of("CALL pay(5)"), Footprint::everything(Widening::Command));
}

#[test]
fn a_function_looks_its_names_up_where_it_says() {
    let mut made = plpgsql("f", "a int4", "BEGIN DELETE FROM things WHERE id = a; END");
    assert_eq!(world(std::slice::from_ref(&made)).told("SELECT f(1)"), ["everything"]);
    made.row.settings = vec!["search_path=other, pg_temp".to_owned()];
    made.row.runs_as = Some("boss".to_owned());
    let mut shop = world(std::slice::from_ref(&made));
    assert_eq!(shop.told("SELECT f(1)"), ["write other.things row"]);
    // Its own table of that name comes behind.
    shop.of("CREATE TEMP TABLE things (id int)");
    assert_eq!(shop.told("SELECT f(1)"), ["everything"]);
    made.row.settings = vec!["search_path=\"$user\", other".to_owned()];
    assert_eq!(world(&[made]).told("SELECT f(1)"), ["everything"]);
}

#[test]
fn a_function_of_another_user_keeps_the_path_that_does_not_depend_on_users() {
    let mut made = plpgsql("f", "a int8", "BEGIN DELETE FROM notes WHERE id = 'x'; END");
    made.row.runs_as = Some("boss".to_owned());
    assert_eq!(world(std::slice::from_ref(&made)).told("SELECT f(1)"), ["write notes row"]);
    made.row.runs_as = Some("other".to_owned());
    assert_eq!(world(&[made]).told("SELECT f(1)"), ["everything"]);
}

#[test]
fn a_setting_that_changes_what_statements_do_is_a_barrier() {
    for setting in
        ["role=boss", "session_replication_role=replica", "standard_conforming_strings=off"]
    {
        let mut made = plpgsql("f", "", "BEGIN NULL; END");
        made.row.settings = vec![setting.to_owned()];
        assert_eq!(world(&[made]).told("SELECT f()"), ["everything"], "{setting}");
    }
    let mut made = plpgsql("f", "", "BEGIN NULL; END");
    made.row.settings = vec!["statement_timeout=1s".to_owned()];
    assert_eq!(world(&[made]).of("SELECT f()").accesses, []);
}

#[test]
fn what_a_function_returns_does_not_matter() {
    let mut table = plpgsql(
        "f",
        "a int8, out b int4, out c text",
        "BEGIN RETURN QUERY SELECT 1, note FROM orders WHERE orders.id = a; b := 2; RETURN NEXT; END",
    );
    table.row.returns = "record".to_owned();
    table.row.returns_set = true;
    assert_same(table, "SELECT * FROM f(5)", "SELECT * FROM orders WHERE id = 5");
    let mut value = plpgsql(
        "f",
        "a int8",
        "DECLARE v text; BEGIN SELECT note INTO STRICT v FROM orders WHERE id = a; RETURN v; END",
    );
    value.row.returns = "text".to_owned();
    assert_same(value, "SELECT f(5)", "SELECT * FROM orders WHERE id = 5");
}
