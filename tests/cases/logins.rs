//! Log-ins that find what the log has made of roles and databases by then.

use super::{Case, Replayed};

impl Replayed {
    /// Checks the rows of a query in another database.
    #[track_caller]
    fn rows_in(&self, database: &str, sql: &str, right: &[&str]) -> &Self {
        let rows = self.server.query_in(database, sql);
        assert_eq!(rows.lines().collect::<Vec<_>>(), right, "{database}: {sql}\n{}", self.finished);
        self
    }
}

#[test]
fn a_session_finds_the_database_that_was_made_before_it() {
    Case::new("10-database-made-in-the-log").orders(&["serial", "conflict", "session"]).check(
        |it| {
            it.all_same()
                .rows("select count(*) from pg_database where datname like 'test_%'", &["1"])
                .rows("select count(*) from x", &["3"])
                .rows_in("test_3", "select count(*) from t", &["1"]);
        },
    );
}

#[test]
fn a_role_that_was_made_before_can_log_in() {
    let case = Case::new("01-create-database-then-connect").database("postgres");
    case.orders(&["serial", "conflict", "session"]).check(|it| {
        it.all_same().rows("select count(*) from u", &["2"]).rows_in(
            "shop",
            "select count(*) from t",
            &["1"],
        );
    });
}
