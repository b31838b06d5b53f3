use super::*;
use crate::sql::Outline;

fn shown(change: SettingChange<'_>) -> String {
    match change {
        SettingChange::Set { name, value: SettingValue::Of(_) } => format!("{name} as said"),
        SettingChange::Set { name, value: SettingValue::Text(text) } => {
            format!("{name} = {text}")
        }
        SettingChange::SetLocal { name, .. } => format!("{name} locally"),
        SettingChange::Reset(name) => format!("{name} reset"),
        SettingChange::ResetAll => "all reset".to_owned(),
        SettingChange::Unknown => "unknown".to_owned(),
    }
}

fn changes(sql: &str, parameters: &[Option<Box<str>>]) -> Vec<String> {
    let outline = Outline::of(sql);
    let of = |part: &super::super::Part| {
        setting_changes(&sql[part.range.clone()], part.command, parameters)
            .into_iter()
            .map(shown)
            .collect::<Vec<_>>()
    };
    outline.parts.iter().flat_map(of).collect()
}

#[test]
fn every_way_to_set_and_reset_names_its_setting() {
    for (sql, change) in [
        ("SET app.tenant_id = '7'", "app.tenant_id as said"),
        ("set App . \"Tenant_ID\" to x", "app.tenant_id as said"),
        ("set session search_path to a, b", "search_path as said"),
        ("SET LOCAL work_mem = 1", "work_mem locally"),
        ("SET TIME ZONE 'UTC'", "timezone as said"),
        ("set session time zone interval '1' hour to minute", "timezone as said"),
        ("set time zone local", "timezone reset"),
        ("set time zone default", "timezone reset"),
        ("SET NAMES 'latin1'", "client_encoding as said"),
        ("set names", "client_encoding reset"),
        ("SET ROLE web_user", "role as said"),
        ("set role none", "role as said"),
        ("set local role x", "role locally"),
        ("set role = x", "role as said"),
        ("SET SESSION AUTHORIZATION bob", "session_authorization as said"),
        ("set session session authorization bob", "session_authorization as said"),
        ("set session authorization default", "session_authorization reset"),
        ("set local session authorization bob", "session_authorization locally"),
        ("set schema 'x'", "search_path as said"),
        ("set xml option document", "xmloption as said"),
        ("set x.y to default", "x.y reset"),
        ("set x = DEFAULT", "x reset"),
        ("RESET app.tenant_id", "app.tenant_id reset"),
        ("reset time zone", "timezone reset"),
        ("reset session authorization", "session_authorization reset"),
        ("reset role", "role reset"),
        ("RESET ALL", "all reset"),
        ("/* a */ set -- b\n names.x = 1", "names.x as said"),
    ] {
        assert_eq!(changes(sql, &[]), [change], "{sql}");
    }
    for sql in [
        "set transaction isolation level serializable",
        "set session transaction read only",
        "set constraints all deferred",
        "reset transaction isolation level",
    ] {
        assert_eq!(changes(sql, &[]), [""; 0], "{sql}");
    }
    assert_eq!(
        changes(
            "set session characteristics as transaction isolation level repeatable read, \
             read only not deferrable",
            &[]
        ),
        [
            "default_transaction_isolation = repeatable read",
            "default_transaction_read_only = on",
            "default_transaction_deferrable = off"
        ]
    );
}

#[test]
fn set_config_is_read_by_constants_and_parameters() {
    let parameters = [Some("app.User".into()), Some("7".into()), Some("f".into()), None];
    for (sql, expected) in [
        ("select set_config('a.b', 'it''s', false)", vec!["a.b = it's"]),
        ("SELECT pg_catalog.set_config('a.b', 'x', true)", vec!["a.b locally"]),
        ("select set_config($1, $2, $3)", vec!["app.user = 7"]),
        ("select set_config($1::text, $2::varchar, false) as done", vec!["app.user = 7"]),
        ("select set_config('role', $4, false)", vec!["role reset"]),
        (
            "select set_config('a', '1', false), set_config('b', '2', true) x, \
             set_config('c', '3', 'no')",
            vec!["a = 1", "b locally", "c = 3"],
        ),
    ] {
        assert_eq!(changes(sql, &parameters), expected, "{sql}");
    }
}

#[test]
fn what_only_a_server_can_evaluate_is_unknown() {
    for sql in [
        "select set_config('a', 'b' || 'c', false)",
        "select set_config('a', E'\\n', false)",
        "select set_config(name, '1', false) from names",
        "select set_config('a', '1', false) from t where k = 7",
        "select set_config('a', '1', false) where false",
        "select case when x then set_config('a', '1', false) end",
        "select coalesce(set_config('a', '1', false), 'b')",
        "with v as (insert into t default values returning id) \
         select set_config('a', id::text, false) from v",
        "do $$ begin perform set_config('a', '1', false); end $$",
        "do $$ begin set a.b = 1; end $$",
        "select set_config('a', '1', $9)",
        "insert into t select set_config('a', '1', false)",
    ] {
        assert_eq!(changes(sql, &[]), ["unknown"], "{sql}");
    }
    for sql in [
        "select set_config('a', x, true) from t",
        "with v as (select set_config('a', '1', true)) select * from v",
    ] {
        assert_eq!(changes(sql, &[]), ["a locally"], "{sql}");
    }
    assert_eq!(changes("select 'set_config is fine'", &[]), ["unknown"]);
}

#[test]
fn custom_names_are_found_wherever_they_are_mentioned() {
    let parameters = [Some("app.Two".into()), Some("no name".into())];
    let names = custom_names(
        "do $$ begin perform set_config('app.one', 'x.y z', false); end $$; \
         select current_setting('app.three'), $1, 'app.four '",
        &parameters,
    );
    assert_eq!(names, ["app.one", "x.y", "app.three", "app.four", "app.two"]);
}
