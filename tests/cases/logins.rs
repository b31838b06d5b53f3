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
    Case::new("databases_made_for_tests").orders(&["serial", "conflict", "session"]).check(|it| {
        it.all_same()
            .rows("select count(*) from pg_database where datname like 'test_%'", &["1"])
            .rows("select count(*) from x", &["3"])
            .rows_in("test_3", "select count(*) from t", &["1"]);
    });
}

#[test]
fn a_role_that_was_made_before_can_log_in() {
    let case = Case::new("database_and_role_made_before").database("postgres");
    case.orders(&["serial", "conflict", "session"]).check(|it| {
        it.all_same().rows("select count(*) from u", &["2"]).rows_in(
            "shop",
            "select count(*) from t",
            &["1"],
        );
    });
}

#[test]
fn a_database_is_dropped_though_the_log_does_not_tell_that_its_sessions_have_ended() {
    Case::new("databases_without_disconnections").database("postgres").check(|it| {
        it.all_same()
            .rows("select datname from pg_database where datname like 'g%'", &["g2"])
            .rows("select i from o order by 1", &["1", "2", "3"]);
    });
}

#[test]
fn a_session_has_the_defaults_of_the_moment_of_its_log_in() {
    Case::new("roles_with_other_defaults").database("postgres").check(|it| {
        it.all_same()
            .rows("select i from s1.t order by 1", &["1", "10", "11"])
            .rows("select i from s2.t order by 1", &["2", "12", "100"])
            .rows("select i from s3.t order by 1", &["3"])
            .rows(
                "select rolname from pg_roles where rolname in ('r', 'q') order by 1",
                &["q", "r"],
            );
    });
}

#[test]
fn a_role_that_a_function_made_can_log_in() {
    let case = Case::new("roles_made_by_functions").database("postgres");
    case.orders(&["serial", "conflict", "session"]).check(|it| {
        it.all_same().rows("select count(*) from pg_roles where rolname in ('f1', 'f2')", &["2"]);
    });
}

#[test]
fn a_database_that_the_log_makes_is_read_in_its_own_encoding() {
    let stored = "select encode(convert_to(name, 'LATIN1'), 'hex') from names order by 1";
    Case::new("database_made_in_latin1").database("postgres").check(|it| {
        it.all_same()
            .rows_in("older", stored, &["4dfc6c6c6572", "5a6feb", "c3a9", "c96c697365"])
            .rows_in(
                "copied",
                stored,
                &["4dfc6c6c6572", "4e6feb6c", "5a6feb", "c3a9", "c96c697365"],
            );
    });
}
