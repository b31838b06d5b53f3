use proptest::prelude::*;

use super::lexer::Lexer;
use super::shape::Shape;
use super::*;

fn commands(sql: &str) -> Vec<Command> {
    Outline::of(sql).parts.iter().map(|part| part.command).collect()
}

fn texts(sql: &str) -> Vec<&str> {
    Outline::of(sql).parts.into_iter().map(|part| &sql[part.range]).collect()
}

#[test]
fn a_string_is_cut_only_at_semicolons_that_end_a_statement() {
    assert_eq!(texts("select 1; select ';'"), ["select 1", "select ';'"]);
    assert_eq!(texts("select E'\\';' ; b"), ["select E'\\';'", "b"]);
    assert_eq!(texts("select E'a'\n'\\';' ; b"), ["select E'a'\n'\\';'", "b"]);
    assert_eq!(texts("do $$ a; b $$; c"), ["do $$ a; b $$", "c"]);
    assert_eq!(texts("do $x$ $$;$x $x$; c"), ["do $x$ $$;$x $x$", "c"]);
    assert_eq!(texts("/* ; /* ; */ ; */ a; -- ;\nb"), ["a", "b"]);
    assert_eq!(texts("create rule r as on insert to t do (a; b); c").len(), 2);
    assert_eq!(texts(r#"select "a;""b"; c"#), [r#"select "a;""b""#, "c"]);
    assert_eq!(texts(" ; ;; "), [""; 0]);
    assert_eq!(texts("-- only a comment"), [""; 0]);
}

#[test]
fn a_routine_body_in_sql_is_one_statement() {
    let sql = "create function f() returns int begin atomic select case when true then 1 end; \
                   select 2; end; select 3";
    assert_eq!(texts(sql).len(), 2);
    assert_eq!(texts(sql)[1], "select 3");
}

#[test]
fn transaction_control_is_seen_in_every_spelling() {
    use Command::{Begin, Chain, Commit, FinishPrepared, PrepareTransaction, Rollback, Savepoint};
    let cases = [
        ("BEGIN;", Begin),
        ("begin isolation level serializable", Begin),
        ("/* x */ start transaction read only", Begin),
        ("COMMIT", Commit),
        ("end;", Commit),
        ("commit work", Commit),
        ("commit and no chain", Commit),
        ("COMMIT AND CHAIN", Chain),
        ("rollback transaction and chain", Chain),
        ("ABORT", Rollback),
        ("rollback to savepoint a", Savepoint),
        ("rollback work to a", Savepoint),
        ("ROLLBACK TO \"_pg3_2\"", Savepoint),
        ("release a", Savepoint),
        ("prepare transaction 'x'", PrepareTransaction),
        ("commit prepared 'x'", FinishPrepared),
        ("rollback prepared 'x'", FinishPrepared),
    ];
    for (sql, command) in cases {
        assert_eq!(commands(sql), [command], "{sql}");
    }
    assert_eq!(
        commands("begin; insert into t values (1); commit"),
        [Begin, Command::Other, Commit]
    );
}

#[test]
fn what_changes_a_session_is_told_from_what_ends_with_its_transaction() {
    assert_eq!(commands("set search_path = x"), [Command::Set]);
    assert_eq!(commands("SET SESSION AUTHORIZATION bob"), [Command::Set]);
    assert_eq!(commands("set local x = 1"), [Command::SetLocal]);
    assert_eq!(commands("reset all"), [Command::Set]);
    assert_eq!(commands("select set_config('a', 'b', false)"), [Command::SetConfig]);
    assert_eq!(commands("prepare q as select 1"), [Command::Prepare]);
}

#[test]
fn what_only_its_connection_has_is_seen() {
    for sql in [
        "create temp table t (i int)",
        "CREATE LOCAL TEMPORARY TABLE t AS SELECT 1",
        "create or replace temp view v as select 1",
        "select * into temporary t from u",
        "select pg_advisory_lock(1)",
        "select pg_try_advisory_lock_shared(1, 2)",
        "declare c cursor with hold for select 1",
    ] {
        assert!(Outline::of(sql).binds_connection, "{sql}");
    }
    for sql in [
        "create table t (temp int)",
        "select temp from t",
        "select pg_advisory_xact_lock(1)",
        "declare c cursor for select 1",
        "select 'create temp table t'",
    ] {
        assert!(!Outline::of(sql).binds_connection, "{sql}");
    }
}

#[test]
fn a_copy_from_the_client_is_told_from_one_that_the_server_reads() {
    assert_eq!(commands("copy t(a, b) from stdin with (format csv)"), [Command::CopyFromStdin]);
    for sql in [
        "COPY t FROM stdout",
        "copy binary s.\"from\" (a, \"stdin\") from /* c */ STDIN using delimiters ',' with null as ''",
        "copy t from -- c\n stdin where a is distinct from 'x'",
        "COPY t FROM STDIN BINARY",
    ] {
        assert_eq!(commands(sql), [Command::CopyFromStdin], "{sql}");
    }
    for sql in [
        "copy t from '/tmp/stdin'",
        "copy t from program 'cat' where a is distinct from stdin",
        "copy t to stdin",
        "copy (select * from stdin) to stdout",
        "copy \"from\" to stdout",
        "select * from stdin",
    ] {
        assert!(!commands(sql).contains(&Command::CopyFromStdin), "{sql}");
    }
    assert_eq!(commands("copy t to stdout"), [Command::Other]);
}

#[test]
fn a_select_that_writes_is_not_a_read() {
    assert_eq!(commands("select 1"), [Command::Read]);
    assert_eq!(commands("select * into t2 from t"), [Command::Other]);
    assert_eq!(commands("select * from t for update"), [Command::Other]);
    assert_eq!(commands("select * from t for no key update"), [Command::Other]);
    assert_eq!(commands("select nextval('s')"), [Command::Other]);
    assert_eq!(commands("explain select 1"), [Command::Read]);
    assert_eq!(commands("explain analyze delete from t"), [Command::Other]);
    assert_eq!(commands("with d as (delete from t returning *) select * from d"), [Command::Other]);
}

#[test]
fn signaled_backends_are_found_with_the_place_of_their_process_id() {
    let sql = "select pg_cancel_backend(12415), 'pg_cancel_backend(1)'";
    assert!(Outline::of(sql).signals_backend);
    let found = signals(sql);
    let [Signal::Pid(12415, place)] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(&sql[place.clone()], "12415");
    assert_eq!(signals("select PG_TERMINATE_BACKEND(pg_backend_pid())"), [Signal::Own]);
    assert_eq!(
        signals("select pg_terminate_backend(pid) from pg_stat_activity"),
        [Signal::Unknown]
    );
    assert_eq!(signals("select pg_terminate_backend($1)"), [Signal::Unknown]);
    assert!(matches!(signals("select pg_terminate_backend(7, 100)")[..], [Signal::Pid(7, _)]));
    assert!(!Outline::of("select 'pg_cancel_backend'").signals_backend);
}

#[test]
fn names_of_prepared_statements_fold_as_the_server_folds_them() {
    assert_eq!(prepared_name("prepare Q(int) as select $1").as_deref(), Some("q"));
    assert_eq!(prepared_name("deallocate prepare \"A\"\"b\"").as_deref(), Some("A\"b"));
    assert_eq!(prepared_name("DEALLOCATE ALL"), None);
    assert_eq!(key("SET /* c */ Search_Path = x", 2), "set search_path");
}

#[test]
fn parameters_are_found_outside_of_constants_only() {
    assert!(has_parameters("select $1"));
    assert!(!has_parameters("select '$1', $$ $1 $$"));
}

#[test]
fn a_backslash_is_astray_outside_of_constants_names_and_comments() {
    assert!(has_stray_backslash(r"select 1,\n  2"));
    assert!(has_stray_backslash(r"\nselect 1"));
    for sql in [r"select '\n', E'\n', $$\n$$", r#"select "\n" /* \n */ -- \n"#, "select\n1", ""] {
        assert!(!has_stray_backslash(sql), "{sql}");
    }
}

#[test]
fn a_colon_that_no_sql_has_tells_a_name_from_a_text() {
    assert!(has_stray_colon("delete from t: select 1"));
    assert!(has_stray_colon("r: select 'a: b'"));
    for sql in ["select 'a: b'", "select $$a: b$$ -- c: d", "select a[1: 2], b:: int", ""] {
        assert!(!has_stray_colon(sql), "{sql}");
    }
}

// ---- Constants that go on in another line ----

/// Two constants of every kind, and what may stand between them.
fn pairs_of_constants() -> impl Iterator<Item = String> {
    const CONSTANTS: [&str; 13] = [
        "'a'", "''", "'a''b'", "E'a'", "e'\\''", "B'1'", "x'1F'", "N'a'", "U&'a'", "u&\"a\"",
        "\"a\"", "$$a$$", "$x$'$x$",
    ];
    const GAPS: [&str; 12] = [
        "",
        " ",
        "\t\x0c",
        "\n",
        "\r",
        " \n\t",
        "-- c\n",
        "\n-- c\r\n",
        " -- it's\n -- c\n ",
        "/*\n*/",
        "\n/* c */",
        "/* c */\n",
    ];
    let gaps = CONSTANTS.iter().flat_map(|first| GAPS.iter().map(move |gap| (first, gap)));
    gaps.flat_map(|(first, gap)| {
        CONSTANTS.iter().map(move |second| format!("{first}{gap}{second}"))
    })
}

#[test]
fn constants_are_joined_where_the_servers_own_scanner_joins_them() {
    use pg_query::protobuf::Token;
    let is_counted = |token: &i32| {
        // `N'a'` is a keyword and a constant there.
        let others = [Token::SqlComment, Token::CComment, Token::Nchar];
        !others.iter().any(|other| *other as i32 == *token)
    };
    for sql in pairs_of_constants() {
        let scanned = pg_query::scan(&sql).expect("it can be scanned").tokens;
        let theirs = scanned.iter().filter(|token| is_counted(&token.token)).count();
        assert_eq!(Lexer::new(&sql).count(), theirs, "{sql:?}");
    }
}

#[test]
fn a_constant_in_several_parts_means_what_it_means_in_one() {
    for (constant, joined) in [
        ("'a'\n'b'", "'ab'"),
        ("'it'-- it's\n'''s'\n''", "'it''s'"),
        ("E'\\''\r'\\'b'", "E'\\'\\'b'"),
        ("U&'\\00'\n'61'", "U&'\\0061'"),
        ("'a\nb'", "'a\nb'"),
        ("$$a'\n'b$$", "$$a'\n'b$$"),
        ("'a'\n'b", "'ab"),
        ("'a\n", "'a\n"),
    ] {
        assert_eq!(joined_parts(constant), joined, "{constant:?}");
    }
}

#[test]
fn two_texts_have_one_shape_only_if_their_constants_are_joined_alike() {
    let hash = |sql: &str| {
        let mut shape = Shape::default();
        shape.read(sql);
        shape.hash()
    };
    let one = hash("SELECT 'a' FROM t");
    for sql in
        ["SELECT 'a'\n'b' FROM t", "SELECT E'a' -- c\n 'b\\'c'\n'' FROM t", "SELECT $$a$$ FROM t"]
    {
        assert_eq!(hash(sql), one, "{sql:?}");
    }
    let two = hash("SELECT $$a$$ 'b' FROM t");
    assert_ne!(one, two);
    for sql in
        ["SELECT $$a$$\n'b' FROM t", "SELECT 'a'\nE'b' FROM t", "SELECT 'a' /*\n*/ 'b' FROM t"]
    {
        assert_eq!(hash(sql), two, "{sql:?}");
    }
}

proptest! {
    #[test]
    fn no_text_panics_and_parts_lie_within_it_in_order(sql in ".{0,200}") {
        let mut end = 0;
        for part in Outline::of(&sql).parts {
            prop_assert!(part.range.start >= end && part.range.end <= sql.len());
            end = part.range.end;
            let _ = &sql[part.range];
        }
        let _ = signals(&sql);
        let _ = prepared_name(&sql);
    }

    #[test]
    fn pieces_of_sql_never_panic(pieces in prop::collection::vec(prop::sample::select(vec![
        "'", "\"", "$$", "$a$", ";", "/*", "*/", "--", "\n", "E'", "\\", "(", ")", "begin",
        "atomic", "end", "case", "create", "$1", "é", "u&'", "pg_cancel_backend(",
    ]), 0..30)) {
        let sql = pieces.concat();
        let _ = Outline::of(&sql);
        let _ = signals(&sql);
    }
}
