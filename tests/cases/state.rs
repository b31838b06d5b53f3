//! What a session has set up is there again on its next connection.

use super::Case;
use testkit::kreplay::Kreplay;
use testkit::log::Log;
use testkit::postgres::Server;

const NOTES: &str = "select id, tenant, actor, body, who from note order by id";

/// A case in which another session needs the only connection after each statement.
fn with_one_connection(name: &'static str) -> Case {
    Case::new(name).setup("notes").args(&["--max-sessions", "1"])
}

#[test]
fn settings_of_one_prefix_are_two() {
    with_one_connection("settings_of_one_prefix").check(|replayed| {
        let right = ["1|north|u7|first|shop", "2|north|u7|second|shop"];
        replayed.all_same().rows(NOTES, &right);
    });
}

#[test]
fn settings_by_parameter_are_made_again_by_name_and_local_ones_are_not() {
    with_one_connection("settings_by_parameter").check(|replayed| {
        let right = [
            "1|north|u7|first|shop",
            "2|north|u7|second|shop",
            "3|south|u7|local|shop",
            "4|north|u7|third|shop",
        ];
        replayed.all_same().rows(NOTES, &right);
    });
}

#[test]
fn the_text_is_the_logs_whatever_encoding_its_client_spoke() {
    let case = Case::new("client_encodings").orders(&["serial", "conflict", "session"]);
    case.check(|replayed| {
        let guests = "select * from guest order by id";
        replayed.all_same().rows(guests, &["1|Renée", "2|plain", "3|price 5 €"]);
    });
}

#[test]
fn what_a_function_has_set_is_made_again() {
    with_one_connection("settings_made_by_a_function").check(|replayed| {
        let right = ["1|north||first|shop", "2|north||second|shop"];
        replayed.all_same().rows(NOTES, &right);
    });
}

#[test]
fn a_statement_that_writes_and_sets_is_not_run_twice() {
    with_one_connection("set_by_a_statement_that_writes").check(|replayed| {
        let notes = "select id, actor, body from note order by id";
        replayed.all_same().rows(notes, &["1||login", "2|1|first", "3|1|second"]);
    });
}

#[test]
fn what_a_savepoint_undoes_is_not_made_again() {
    with_one_connection("set_undone_by_a_savepoint").check(|replayed| {
        let right = ["1||one|first|shop", "2||one|second|shop"];
        replayed.all_same().rows(NOTES, &right);
    });
}

#[test]
fn reset_all_keeps_the_role_and_the_end_of_an_authorization_does_not() {
    with_one_connection("role_kept_by_reset_all").check(|replayed| {
        let right = ["first|web_user", "second|web_user", "first|postgres", "second|postgres"];
        replayed.all_same().rows("select body, who from note order by id", &right);
    });
}

/// Notes in which session it is, and what that has set.
const NOTE: &str = "insert into seen select pg_backend_pid(), current_setting('app.a', true), \
    current_setting('app.b', true), current_setting('work_mem'), current_user";

const SET_UP: &str = "
    create role other; create table seen (pid int, a text, b text, mem text, who text);
    grant all on seen to other;
    create table touched (n int);
    create function touch() returns trigger language plpgsql as
        $$ begin perform set_config('app.' || 'b', 'touched', false); return new; end $$;
    create trigger touch before insert on touched for each row execute function touch();";

/// What a session has set in every way, between which another one takes its connection.
#[test]
fn whatever_has_set_something_and_whatever_has_undone_it_is_as_on_the_source() {
    let own = |log: Log, statements: &[&str]| {
        let log = log.ended(1, statements.iter().copied().chain([NOTE]));
        log.ended(2, ["select count(*) from seen"])
    };
    let mut log = Log::new();
    log = own(log, &["begin", "set local app.a = 'gone'", "commit"]);
    log = own(log, &["set work_mem = '5MB'; set app.a = 'kept'"]);
    log = own(log, &["begin", "savepoint s", "set app.a = 'x'", "rollback to s", "commit"]);
    log = own(log, &["begin; set app.a = 'y'; rollback"]);
    log = own(log, &["insert into touched values (1)"]);
    log = own(
        log,
        &["do $$ begin perform set_config('app.a', 'done', false); end $$", "set role other"],
    );
    log = own(log, &["reset all"]);
    let right = [
        "||4MB|postgres",
        "kept||5MB|postgres",
        "kept||5MB|postgres",
        "kept||5MB|postgres",
        "kept|touched|5MB|postgres",
        "done|touched|5MB|other",
        "||4MB|other",
    ];
    for order in ["serial", "conflict"] {
        let server = Server::start(15);
        server.query("create database app");
        server.query_in("app", SET_UP);
        let file = log.file();
        let kreplay =
            Kreplay::new().target(&server).args(["--order", order, "--max-sessions", "1"]);
        let finished = kreplay.arg("--input").arg(file.path()).run().well();
        let seen = "select a, b, mem, who from seen";
        let rows = server.query_in("app", seen);
        assert_eq!(rows.lines().collect::<Vec<_>>(), right, "{order}\n{finished}");
        let connections = server.query_in("app", "select count(distinct pid) from seen");
        assert_eq!(connections, "7", "each time another connection\n{finished}");
    }
}

/// What a session does to its own limits, and to how a text is read.
const HINDRANCES: &str = "
    create table seen (pid int, n serial, what text);
    create function note(what text) returns void language sql as
        $$ insert into public.seen values (pg_backend_pid(), default,
            what || ' ' || pg_catalog.current_setting('app.a', true)) $$;
    create function limit_to(t text) returns void language sql as
        $$ select set_config('app.a', 'limited', false);
           select set_config('statement_timeout', t, false) $$;
    create schema evil;
    create domain evil.text as pg_catalog.text check (value = 'evil');
    create function evil.current_setting(pg_catalog.text, bool) returns pg_catalog.text
        language sql as $$ select 'evil' $$;";

#[test]
fn a_session_is_asked_and_made_again_whatever_its_settings_do_to_that() {
    let sessions: &[&[&str]] = &[
        &["select limit_to('1ms')", "set statement_timeout = 0", "select note('no time')"],
        &[
            "set search_path = evil, pg_catalog, public",
            "select limit_to('1min')",
            "select note('hidden')",
        ],
        &[
            "set session characteristics as transaction read only, isolation level serializable, \
             deferrable",
            "select limit_to('1min')",
            "begin read write; select note('only reads'); commit",
        ],
        &[
            "set standard_conforming_strings = off; set escape_string_warning = off",
            r"prepare p as select note('a\\b')",
            r"set app.a = 'c\\d'",
            "set standard_conforming_strings = on",
            r"prepare q as select note('a\\b')",
            "execute p",
            "execute q",
            "set standard_conforming_strings = off",
            "execute p",
        ],
        &[
            "set datestyle = dmy",
            "set app.a = 'days'",
            "prepare p as select note(('01/02/2024'::date - '2024-01-01'::date)::text)",
            "set datestyle = mdy",
            "execute p",
        ],
    ];
    let mut log = Log::new();
    for (statements, pid) in sessions.iter().zip(10..) {
        for statement in *statements {
            log = log.ended(pid, [statement]).ended(1, ["select count(*) from seen"]);
        }
    }
    let right = [
        "no time limited",
        "hidden limited",
        "only reads limited",
        r"a\b c\d",
        r"a\\b c\d",
        r"a\b c\d",
        "31 days",
    ];
    for version in [15, 18] {
        let server = Server::start(version);
        server.query("create database app");
        server.query_in("app", HINDRANCES);
        let file = log.file();
        let kreplay =
            Kreplay::new().target(&server).args(["--order", "serial", "--max-sessions", "1"]);
        let finished = kreplay.arg("--input").arg(file.path()).run().well();
        let rows = server.query_in("app", "select what from seen order by n");
        assert_eq!(rows.lines().collect::<Vec<_>>(), right, "{version}\n{finished}");
    }
}
