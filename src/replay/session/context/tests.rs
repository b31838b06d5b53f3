use super::*;
use crate::pglog::statement::Protocol;
use crate::replay::session::request::ResultRow;
use crate::sql::Outline;

fn statement(sql: &str, parameters: &[&str]) -> Statement {
    let parameters: Vec<_> = parameters.iter().map(|value| Some((*value).into())).collect();
    let protocol = match parameters.as_slice() {
        [] => Protocol::Simple,
        _ => Protocol::Extended {
            name: "".into(),
            portal: "".into(),
            parameters,
            prepared_anew: false,
        },
    };
    Statement::new(sql, protocol)
}

fn ran(context: &mut Context, sql: &str) {
    let statement = statement(sql, &[]);
    context.ran(&statement, statement.outline.parts.len(), false);
}

fn shown(context: &Context) -> Vec<String> {
    let texts = context.restore().into_iter().map(|restore| match restore {
        Restore::Text(text) => text.to_string(),
        Restore::Setting { name, value } => format!("{name} = {value}"),
        Restore::Placeholder(name) => format!("{name} exists"),
        Restore::Parse { name, sql } => format!("parse {name}: {sql}"),
    });
    texts.collect()
}

/// What is restored after these, each a string of its own in autocommit or in a block.
fn after(statements: &[&str]) -> Vec<String> {
    let mut context = Context::default();
    let mut in_block = false;
    for sql in statements {
        ran(&mut context, sql);
        for part in Outline::of(sql).parts {
            in_block = match part.command {
                Command::Begin | Command::Chain => true,
                command if command.ends_transaction() => false,
                _ => in_block,
            };
        }
        if !in_block {
            context.commit();
        }
    }
    shown(&context)
}

#[test]
fn the_last_value_of_each_setting_is_restored_in_order() {
    assert_eq!(
        after(&[
            "set search_path = a; set timezone = 'UTC'",
            "set session search_path = b",
            "prepare q as select 1",
            "listen ch",
            "set app.tenant_id = 1",
            "set app.user_id = 2",
            "select set_config('app.tenant_id', '3', false)",
        ]),
        [
            "set timezone = 'UTC'",
            "set session search_path = b",
            "set app.user_id = 2",
            "app.tenant_id = 3",
            "prepare q as select 1",
            "listen ch"
        ]
    );
}

#[test]
fn what_is_local_to_a_transaction_leaves_nothing_but_an_empty_custom_setting() {
    assert_eq!(
        after(&["set local work_mem = 1", "select set_config('jit', 'off', true)"]),
        [""; 0]
    );
    assert_eq!(
        after(&["set app.a = 1", "begin", "select set_config('app.a', '2', true)", "commit"]),
        ["set app.a = 1"]
    );
    assert_eq!(after(&["begin", "set local app.a = 1", "commit"]), ["app.a exists"]);
    assert_eq!(after(&["set app.a = 1", "reset app.a"]), ["app.a exists"]);
}

#[test]
fn a_rollback_undoes_settings_and_channels_and_keeps_prepared_statements() {
    let begun = ["set a = 1", "listen x", "begin", "set a = 2", "unlisten x", "listen y"];
    let more = ["prepare q as select 1", "rollback"];
    assert_eq!(
        after(&[&begun[..], &more].concat()),
        ["set a = 1", "listen x", "prepare q as select 1"]
    );
    assert_eq!(
        after(&["prepare q as select 1", "begin", "deallocate q", "rollback"]),
        [""; 0],
        "neither is part of the transaction"
    );
    assert_eq!(after(&["begin", "set a = 2", "prepare transaction 'x'"]), ["set a = 2"]);
}

#[test]
fn a_rollback_to_a_savepoint_undoes_what_followed_it() {
    let begun = ["begin", "set a = 1", "savepoint S", "set a = 2", "set b = 2"];
    for (ends, expected) in [
        (&["rollback to s", "commit"][..], vec!["set a = 1"]),
        (&["rollback to savepoint \"s\"", "set a = 3", "commit"], vec!["set a = 3"]),
        (&["release s", "commit"], vec!["set a = 2", "set b = 2"]),
        (
            &["savepoint t", "set a = 4", "release t", "rollback work to s", "commit"],
            vec!["set a = 1"],
        ),
        (&["savepoint t", "set a = 4", "rollback to t", "commit"], vec!["set a = 2", "set b = 2"]),
        (&["release s", "rollback"], vec![]),
        (&["rollback to s", "set b = 5", "rollback to s", "commit"], vec!["set a = 1"]),
    ] {
        assert_eq!(after(&[&begun[..], ends].concat()), expected, "{ends:?}");
    }
}

#[test]
fn of_a_string_that_failed_what_ran_before_counts_as_far_as_it_stays() {
    let sql = "set a = 1; prepare q as select 1; commit; set b = 1; select 1/0";
    let mut context = Context::default();
    let failed = statement(sql, &[]);
    context.ran(&failed, 4, false);
    context.roll_back();
    assert_eq!(shown(&context), ["set a = 1", "prepare q as select 1"]);
}

#[test]
fn the_end_of_an_aborted_transaction_rolls_it_back() {
    let mut context = Context::default();
    ran(&mut context, "begin; set a = 1");
    let commit = statement("commit", &[]);
    context.ran(&commit, 1, true);
    assert_eq!(shown(&context), [""; 0]);
}

#[test]
fn reset_all_leaves_the_role_and_the_sessions_user_takes_it_along() {
    assert_eq!(
        after(&["set role r", "set a = 1", "set b.c = 1", "reset all"]),
        ["b.c exists", "set role r"]
    );
    assert_eq!(
        after(&["set session authorization u", "set role r", "set a = 1"]),
        ["set a = 1", "set session authorization u", "set role r"]
    );
    assert_eq!(
        after(&["set session authorization u", "set role r", "reset session authorization"]),
        [""; 0]
    );
    assert_eq!(
        after(&["set role r", "set session authorization u"]),
        ["set session authorization u"]
    );
    let all = ["set a = 1", "set role r", "prepare q as select 1", "listen x", "discard all"];
    assert_eq!(after(&all), [""; 0]);
    assert_eq!(after(&["set a = 1", "discard plans", "discard temp"]), ["set a = 1"]);
}

#[test]
fn the_encoding_of_the_connection_is_not_the_sessions() {
    assert_eq!(after(&["set names 'latin1'", "set client_encoding = 'SJIS'"]), [""; 0]);
}

#[test]
fn what_only_the_server_knows_it_is_asked_for() {
    let is_unknown = |statements: &[&str]| {
        let mut context = Context::default();
        statements.iter().for_each(|sql| ran(&mut context, sql));
        context.is_unknown()
    };
    assert!(is_unknown(&["with v as (insert into t default values returning id) \
        select set_config('app.id', id::text, false) from v"]));
    assert!(is_unknown(&["do $$ begin perform set_config('a.b', '1', false); end $$"]));
    assert!(is_unknown(&["prepare p as select set_config('a.b', $1, false)", "execute p('x')"]));
    assert!(!is_unknown(&["prepare p as select set_config('a.b', $1, false)"]));
    assert!(!is_unknown(&["select set_config('a.b', random()::text, true)"]));
    assert!(!is_unknown(&["select current_setting('a.b')", "update t set a = 1"]));
}

#[test]
fn settings_by_parameter_are_kept_by_name() {
    let mut context = Context::default();
    for values in [["app.a", "1", "f"], ["app.b", "2", "off"], ["app.a", "3", "t"]] {
        let one = statement("select set_config($1, $2, $3)", &values);
        context.ran(&one, 1, false);
        context.commit();
    }
    assert_eq!(shown(&context), ["app.a = 1", "app.b = 2"]);
}

#[test]
fn what_grows_with_the_statements_is_nothing() {
    let mut context = Context::default();
    ran(&mut context, "begin");
    for n in 0..10_000 {
        ran(&mut context, &format!("select set_config('request.id', 'r{n}', true)"));
        ran(&mut context, &format!("select set_config('request.user', 'u{n}', false)"));
    }
    assert_eq!(shown(&context), ["request.id exists", "request.user = u9999"]);
    context.roll_back();
    assert_eq!(shown(&context), ["request.id exists", "request.user exists"]);
}

#[test]
fn a_session_is_not_asked_about_what_nothing_can_have_made_unseen() {
    let harmless = Routines::read(&[vec![Some("name".into()), Some("app.one".into())]]);
    let changing = Routines::read(&[vec![Some("changes".into()), None]]);
    let mut context = Context::default();
    ran(&mut context, "set a = 1; prepare q as select 1");
    assert!(!context.is_to_be_asked_for(&harmless));
    assert!(
        context.is_to_be_asked_for(&changing) && context.is_to_be_asked_for(&Routines::unknown())
    );
    ran(&mut context, "create temp table t ()");
    assert!(context.is_to_be_asked_for(&harmless));
}

fn row(kind: &str, name: Option<&str>, value: Option<&str>) -> ResultRow {
    vec![Some(kind.into()), name.map(Into::into), value.map(Into::into)]
}

#[test]
fn what_the_server_says_takes_the_place_of_what_was_read() {
    let mut context = Context::default();
    for sql in [
        "set work_mem = 1",
        "set jit = off",
        "set log_duration = on",
        "set app.a = 1",
        "set role old",
        "prepare q as select 1",
        "listen x",
        "create temp table t ()",
    ] {
        ran(&mut context, sql);
    }
    assert!(context.is_bound());
    context.adopt(&[
        row("setting", Some("work_mem"), Some("64")),
        row("setting", Some("client_encoding"), Some("LATIN1")),
        row("visible", Some("work_mem"), None),
        row("visible", Some("jit"), None),
        row("custom", Some("app.a"), Some("7")),
        row("custom", Some("app.b"), Some("")),
        row("custom", Some("app.c"), None),
        row("role", None, Some("none")),
        row("parsed", Some("p"), Some("select $1")),
        row("prepared", Some("r"), Some("prepare r as select 2")),
        row("channel", Some("Y"), None),
    ]);
    assert!(!context.is_bound());
    assert_eq!(
        shown(&context),
        [
            "set log_duration = on",
            "work_mem = 64",
            "app.a = 7",
            "app.b = ",
            "LISTEN \"Y\"",
            "parse p: select $1",
            "prepare r as select 2"
        ]
    );
    context.adopt(&[row("bound", Some("cursors"), None)]);
    assert!(context.is_bound());
}

#[test]
fn the_question_names_what_was_mentioned_and_no_more_than_names() {
    let mut context = Context::default();
    ran(&mut context, "select current_setting('app.one')");
    ran(&mut context, "set \"app.o'ne\" = 1");
    let sql = context.inspection(
        &Routines::read(&[vec![Some("name".into()), Some("app.two".into())]]),
        Limits::Kept,
        &["log_duration"],
    );
    assert!(sql.contains("name <> ALL (ARRAY['log_duration']::"), "{sql}");
    assert!(sql.contains("ARRAY['app.one','app.two']::pg_catalog.text[]"), "{sql}");
    assert!(
        !sql.contains("o'ne") && !sql.contains("(tracked)") && !sql.contains("(custom)"),
        "{sql}"
    );
}

#[test]
fn the_question_about_routines_locks_no_table_of_the_application() {
    // pg_get_viewdef, and later versions' pg_get_expr, wait for an open transaction's ALTER TABLE.
    let question = Routines::question(Limits::Kept);
    assert!(!question.contains("pg_get_") && !question.contains("::reg"), "{question}");
}

#[test]
fn a_prepared_statement_is_read_again_as_it_was() {
    assert_eq!(
        after(&[
            "set standard_conforming_strings = off",
            "prepare a as select 'x\\y'",
            "reset standard_conforming_strings",
            "set datestyle = dmy",
            "prepare b as select 'x\\y'",
            "prepare c as select 1",
        ]),
        [
            "set datestyle = dmy",
            "set standard_conforming_strings = off",
            "RESET datestyle",
            "prepare a as select 'x\\y'",
            "RESET standard_conforming_strings",
            "set datestyle = dmy",
            "prepare b as select 'x\\y'",
            "prepare c as select 1",
        ]
    );
    assert_eq!(
        after(&["set standard_conforming_strings = off; prepare a as select 'x\\y'"]),
        [
            "set standard_conforming_strings = off",
            "RESET standard_conforming_strings",
            "prepare a as select 'x\\y'",
            "set standard_conforming_strings = off",
        ],
        "its string was read before it was run"
    );
}

#[test]
fn what_a_backslash_means_in_a_setting_the_server_is_asked() {
    let mut context = Context::default();
    ran(&mut context, "set app.a = 'plain'");
    assert!(!context.is_unknown());
    ran(&mut context, r"set app.a = 'a\b'");
    assert!(context.is_unknown());
}

#[test]
fn the_time_that_statements_may_take_is_limited_last() {
    assert_eq!(
        after(&["set statement_timeout = 1", "set role other", "prepare a as select 1"]),
        ["set role other", "prepare a as select 1", "set statement_timeout = 1"]
    );
}

#[test]
fn a_question_lifts_the_limits_that_the_session_has_and_takes_them_over() {
    let mut context = Context::default();
    assert_eq!(context.limits(), Limits::Kept);
    ran(&mut context, "set transaction_timeout = 1");
    assert_eq!(context.limits(), Limits::Lifted);
    context.adopt(&[
        row("limit", Some("statement_timeout"), Some("1s")),
        row("limit", Some("transaction_timeout"), None),
        row("setting", Some("statement_timeout"), Some("0")),
        row("setting", Some("transaction_isolation"), Some("serializable")),
    ]);
    assert_eq!(shown(&context), ["statement_timeout = 1s"]);
}
