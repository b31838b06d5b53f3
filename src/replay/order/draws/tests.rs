use super::*;

fn draws(sql: &str) -> Draws {
    of_text(sql, &|name| {
        (name == "p").then(|| "prepare p (text) as insert into t(a) values ($1)".into())
    })
}

#[test]
fn an_insert_of_values_draws_the_same_each_time() {
    for sql in [
        "insert into t(a) values ($1), ($2)",
        "INSERT INTO \"T\" AS x (a) OVERRIDING USER VALUE VALUES (1) ON CONFLICT DO NOTHING RETURNING id",
        "insert into s.t default values",
        "with x as (select 1) insert into t values ((select * from x))",
        "with x as (insert into t values (1) returning id) select id from x",
        "/* c */ select nextval('s')",
        "select pg_catalog.\"nextval\" ('s')",
        "update t set n = nextval('s') where id = 1",
        "execute p('a')",
    ] {
        assert_eq!(draws(sql), Draws::Repeatable, "{sql}");
    }
}

#[test]
fn how_often_a_query_or_a_routine_draws_is_not_in_the_text() {
    for sql in [
        "insert into t select * from u",
        "insert into t(a) (select 1)",
        "with x as (insert into t select 1 returning id) select id from x",
        "merge into t using u on true when not matched then insert values (1)",
        "call p(1)",
        "do $$ begin perform nextval('s'); end $$",
        "select create_order(1)",
        "select * from app.create_order(1)",
        "create table x as select nextval('s')",
        "create table x as select create_order(1)",
        "create materialized view x as select * from app.create_order(1)",
        "explain analyze insert into t select 1",
    ] {
        assert_eq!(draws(sql), Draws::Varying, "{sql}");
    }
    for sql in ["copy t from '/file'", "copy t from program 'x'", "copy t from stdin"] {
        assert_eq!(draws(sql), Draws::Unknown, "{sql}");
    }
}

#[test]
fn what_only_reads_or_changes_rows_draws_nothing() {
    for sql in [
        "select count(*) from t",
        "select pg_sleep(1)",
        "select 'nextval(' from t",
        "update t set a = 1",
        "delete from t",
        "with x as (delete from t returning 1) select * from x",
        "alter table t add x int",
        "explain insert into t values (1)",
        "create table x as select * from t",
        "execute unknown",
        "prepare q as insert into t default values",
        "not sql",
        "",
    ] {
        assert_eq!(draws(sql), Draws::No, "{sql}");
    }
}
