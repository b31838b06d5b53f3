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

#[test]
fn a_session_that_was_connected_before_a_change_has_what_stood_before_it() {
    Case::new("log_ins_before_changes").database("postgres").check(|it| {
        it.all_same()
            .rows("select i from s1.t order by 1", &["1", "2"])
            .rows("select i from s2.t order by 1", &["3", "4", "5", "6"]);
    });
}

#[test]
fn sessions_find_databases_that_were_swapped_dropped_and_made_again() {
    let case = Case::new("databases_swapped").database("postgres");
    case.orders(&["serial", "conflict", "session"]).check(|it| {
        it.all_same()
            .rows(
                "select datname from pg_database where datname in ('a', 'b', 'old') order by 1",
                &["a", "b"],
            )
            .rows_in("a", "select x from t order by 1", &["a2", "b"])
            .rows_in("b", "select relname from pg_class where relname in ('n', 't')", &["n"]);
    });
}

#[test]
fn sessions_find_roles_that_were_made_renamed_and_dropped() {
    let case = Case::new("roles_made_and_dropped").database("postgres");
    case.orders(&["serial", "conflict", "session"]).check(|it| {
        it.all_same().rows("select rolname from pg_roles where rolname ~ '^c[0-9]$'", &["c4"]);
    });
}

#[test]
fn log_ins_that_the_source_refused_are_no_loss() {
    let case = Case::new("log_ins_that_the_source_refused").database("postgres");
    case.orders(&["serial", "conflict", "session"]).check(|it| {
        it.all_same().rows("select i from lt order by 1", &["1", "2"]);
    });
}

#[test]
fn kreplay_itself_leaves_a_database_that_is_copied_or_renamed() {
    let case = Case::new("database_of_the_observer").database("postgres");
    case.orders(&["serial", "conflict", "session"]).check(|it| {
        it.all_same().rows("select count(*) from q", &["0"]).rows_in(
            "c",
            "select count(*) from t",
            &["0"],
        );
    });
}

#[test]
fn with_few_connections_those_are_kept_whose_role_may_not_log_in_again() {
    let case = Case::new("roles_made_and_dropped").database("postgres");
    case.args(&["--max-sessions", "2"]).check(|it| {
        it.all_same().rows("select rolname from pg_roles where rolname ~ '^c[0-9]$'", &["c4"]);
    });
}
