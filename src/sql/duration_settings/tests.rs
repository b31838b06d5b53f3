use super::*;

fn of(sql: &str, parameters: &[&str]) -> SettingsUse {
    let parameters: Vec<_> = parameters.iter().map(|value| Some((*value).into())).collect();
    let prepared = |name: &str| match name {
        "shows" => Some("PREPARE shows AS SELECT setting FROM pg_settings"),
        "plain" => Some("PREPARE plain AS SELECT 1"),
        _ => None,
    };
    duration_settings_use(sql, &Outline::of(sql), &parameters, prepared)
}

#[test]
fn a_statement_reads_them_that_names_one_or_shows_all() {
    for sql in [
        "SHOW client_min_messages",
        "show ALL",
        "SHOW \"log_duration\"",
        "SELECT current_setting('log_min_messages')",
        "SELECT pg_catalog.current_setting('CLIENT_MIN_MESSAGES', true)",
        "SELECT name, setting FROM pg_settings",
        "SELECT * FROM pg_catalog.pg_show_all_settings()",
        "SELECT current_setting(name) FROM names",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql SET client_min_messages FROM CURRENT AS '1'",
        "ALTER ROLE app SET log_duration FROM CURRENT",
        "DO $$ BEGIN RAISE NOTICE '%', current_setting('client_min_messages'); END $$",
        "EXECUTE shows",
    ] {
        assert!(of(sql, &[]).reads.any(), "{sql}");
    }
    assert!(of("SELECT current_setting($1)", &["client_min_messages"]).reads.any());
}

#[test]
fn a_statement_changes_them_that_sets_one_or_all() {
    for sql in [
        "SET client_min_messages TO warning",
        "set SESSION client_min_messages = 'error'",
        "SET LOCAL client_min_messages = error",
        "RESET log_duration",
        "RESET ALL",
        "DISCARD ALL",
        "SELECT set_config('client_min_messages', 'warning', false)",
        "DO $$ BEGIN SET client_min_messages TO error; END $$",
        "BEGIN; SET LOCAL log_duration TO off",
    ] {
        assert!(of(sql, &[]).changes.any(), "{sql}");
    }
    assert!(of("SELECT set_config($1, $2, false)", &["log_duration", "off"]).changes.any());
}

#[test]
fn other_statements_do_neither() {
    for sql in [
        "SET search_path TO app",
        "RESET search_path",
        "DISCARD TEMP",
        "SELECT current_setting('app.tenant')",
        "SELECT set_config('app.tenant', '1', true)",
        "SHOW server_version",
        "SELECT 'client_min_messages'",
        "EXECUTE plain",
        "EXECUTE unknown(1)",
        "UPDATE t SET v = 1",
        "",
    ] {
        assert_eq!(of(sql, &[]), SettingsUse::default(), "{sql}");
    }
    assert_eq!(of("SELECT current_setting($1)", &["app.tenant"]), SettingsUse::default());
}

#[test]
fn a_name_that_is_put_together_may_be_that_of_one() {
    for sql in [
        "SELECT current_setting('client_' || 'min_messages')",
        "SELECT current_setting($1 || 'messages', true)",
        "SELECT current_setting('app.a'), current_setting(lower('X'))",
    ] {
        assert_eq!(of(sql, &[]).reads, DurationSettings::ALL, "{sql}");
    }
}

#[test]
fn a_statement_that_only_sets_one_does_not_read_it() {
    let telling = DurationSettings { telling: true, measuring: false };
    let set = of("SET client_min_messages TO warning", &[]);
    assert_eq!(set, SettingsUse { changes: telling, ..SettingsUse::default() });
    let both = of("SET client_min_messages TO warning; SHOW client_min_messages", &[]);
    assert_eq!(both, SettingsUse { reads: telling, changes: telling, stores: false });
}

#[test]
fn what_is_taken_from_current_is_stored() {
    let stores = |sql: &str| of(sql, &[]).stores;
    for sql in [
        "ALTER ROLE app SET log_min_messages FROM CURRENT",
        "alter database d set \"log_duration\" from current",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql SET log_duration FROM CURRENT AS '1'",
        "SET log_duration FROM CURRENT",
    ] {
        assert!(stores(sql) && of(sql, &[]).reads.measuring, "{sql}");
    }
    for sql in [
        "ALTER ROLE app SET client_min_messages FROM CURRENT",
        "ALTER ROLE app SET log_duration TO off",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'set log_duration from current'",
        "SHOW log_duration",
    ] {
        assert!(!stores(sql), "{sql}");
    }
}
