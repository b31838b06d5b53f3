use super::Verb;
use crate::sql::Outline;

#[test]
fn a_statement_is_counted_by_what_it_does() {
    for (sql, verb) in [
        ("select 1", Verb::Select),
        ("/* by hand */ SELECT 1", Verb::Select),
        ("(select 1) union select 2", Verb::Select),
        ("values (1)", Verb::Select),
        ("select nextval('s')", Verb::Select),
        ("insert into t select 1", Verb::Insert),
        ("with x as (delete from t returning a) insert into u select a from x", Verb::Insert),
        ("WITH RECURSIVE x AS (SELECT 1) SELECT * FROM x", Verb::Select),
        ("with x as (select 1) update t set a = 1", Verb::Update),
        ("delete from t", Verb::Delete),
        ("merge into t using u on true when matched then delete", Verb::Merge),
        ("START TRANSACTION", Verb::Begin),
        ("end", Verb::Commit),
        ("commit and chain", Verb::Commit),
        ("rollback prepared 'x'", Verb::Rollback),
        ("rollback work to s", Verb::Savepoint),
        ("release s", Verb::Savepoint),
        ("set local x = 1", Verb::Set),
        ("copy t from stdin", Verb::Copy),
        ("copy t to '/tmp/t'", Verb::Copy),
        ("create table update (a int)", Verb::Ddl),
        ("do $$ begin end $$", Verb::CallOrDo),
        ("prepare p as insert into t values (1)", Verb::PrepareExecute),
        ("prepare transaction 'x'", Verb::Other),
        ("fetch 10 from c", Verb::Cursor),
        ("explain analyze select 1", Verb::Other),
        ("vacuum", Verb::Other),
        ("\"select\"", Verb::Other),
        ("", Verb::Other),
        ("begin; insert into t values (1); commit", Verb::Begin),
    ] {
        assert_eq!(Outline::of(sql).verb(), verb, "{sql}");
    }
}
