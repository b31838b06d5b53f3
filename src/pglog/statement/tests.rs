use super::*;

#[test]
fn a_routine_and_what_is_done_concurrently_may_commit_midway() {
    let may = |sql: &str| {
        let statement = Statement::new(sql, Protocol::Simple);
        statement.may_commit_midway()
    };
    for sql in [
        "CALL load(100);",
        "do $$ begin commit; end $$",
        "create unique index concurrently on t (a)",
        "/* nightly */ REINDEX TABLE CONCURRENTLY t",
        "alter table t detach partition p concurrently",
    ] {
        assert!(may(sql), "{sql}");
    }
    for sql in ["call p(); call p()", "create index concurrent on t (a)", "select f()"] {
        assert!(!may(sql), "{sql}");
    }
}
