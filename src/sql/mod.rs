//! As much of SQL as a replay has to understand without a server: where a statement string is cut,
//! what each statement commands, and which backends it signals.
//!
//! The rules are PostgreSQL's own lexical rules (`scan.l`, and psql's `psqlscan.l` for where a
//! statement ends) with `standard_conforming_strings` on. Nothing here parses a grammar.

use std::cell::RefCell;
use std::ops::Range;

mod database_changes;
mod known;
pub(crate) mod lexer;
mod login_changes;
mod names;
mod read_only;
mod settings;
pub mod shape;
mod snapshots;
mod verb;
mod words;

pub use database_changes::{DatabaseChange, NewEncoding, database_changes};
use known::Known;
use lexer::{Lexer, Token};
pub use login_changes::{AlteredLogins, altered_logins, vacated_database};
pub use read_only::{kept_read_only, names_setting};
pub use settings::{
    CLIENT_ENCODING, ROLE, SESSION_AUTHORIZATION, SettingChange, SettingValue, custom_names,
    setting_changes,
};
use shape::hasher::ShapeHasher;
use smallvec::SmallVec;
pub use snapshots::{SnapshotImport, VirtualTransaction, snapshot_imports, snapshot_number};
pub use verb::Verb;
use words::StatementWords;

/// What a statement commands, as far as a replay treats it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Command {
    /// `BEGIN`, `START TRANSACTION`.
    Begin,
    /// `COMMIT`, `END`, without a chain.
    Commit,
    /// `ROLLBACK`, `ABORT`, without a chain.
    Rollback,
    /// `COMMIT AND CHAIN`, `ROLLBACK AND CHAIN`: ends a transaction and begins the next.
    Chain,
    /// `PREPARE TRANSACTION`: the transaction leaves its session.
    PrepareTransaction,
    /// `COMMIT PREPARED`, `ROLLBACK PREPARED`.
    FinishPrepared,
    /// `SAVEPOINT`, `RELEASE`, `ROLLBACK TO`.
    Savepoint,
    /// `SET`, `RESET`: changes a setting of the session.
    Set,
    /// `SET LOCAL`, `SET TRANSACTION`, `SET CONSTRAINTS`: ends with the transaction.
    SetLocal,
    /// `DISCARD`.
    Discard,
    /// `PREPARE name AS …`.
    Prepare,
    /// `DEALLOCATE`.
    Deallocate,
    /// `LISTEN`.
    Listen,
    /// `UNLISTEN`.
    Unlisten,
    /// `COPY … FROM STDIN` (or `STDOUT`, which the grammar takes for it): needs data that no log holds.
    CopyFromStdin,
    /// Reads and nothing else, as far as its words tell: `SELECT` without `INTO`, `FOR UPDATE` or a
    /// function known to write; `SHOW`, `VALUES`, `TABLE`, `EXPLAIN` without `ANALYZE`.
    Read,
    /// `SELECT set_config(…)` and its like: changes a setting of the session.
    SetConfig,
    /// Anything else.
    Other,
}

impl Command {
    /// Whether it opens or ends a transaction block.
    pub fn controls_transaction(self) -> bool {
        matches!(
            self,
            Self::Begin | Self::Commit | Self::Rollback | Self::Chain | Self::PrepareTransaction
        )
    }

    /// Whether it ends a transaction block.
    pub fn ends_transaction(self) -> bool {
        matches!(self, Self::Commit | Self::Rollback | Self::Chain | Self::PrepareTransaction)
    }

    /// Whether it sets up something that later statements of its session may rely on.
    pub fn sets_up_session(self) -> bool {
        use Command::{Deallocate, Discard, Listen, Prepare, Set, SetConfig, Unlisten};
        matches!(self, Set | SetConfig | Prepare | Deallocate | Discard | Listen | Unlisten)
    }
}

/// One statement of a string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Where it stands, without the semicolon.
    pub range: Range<usize>,
    /// What it commands.
    pub command: Command,
    /// What it is counted as.
    pub verb: Verb,
}

/// What a string of statements holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outline {
    /// Its statements, in order; none where it is empty or only a comment. Nearly always one.
    pub parts: SmallVec<[Part; 1]>,
    /// Whether it calls `pg_cancel_backend` or `pg_terminate_backend`.
    pub signals_backend: bool,
    /// Whether it calls `pg_export_snapshot`.
    pub exports_snapshot: bool,
    /// Whether it may say `SET TRANSACTION SNAPSHOT`: [`snapshot_imports`] tells.
    pub imports_snapshot: bool,
    /// Whether it may make its session or transaction able to write where the default is that it is
    /// not: [`kept_read_only`] gives it without that.
    pub lifts_read_only: bool,
    /// Whether it makes something that lives and dies with its connection: a temporary table, an
    /// advisory lock of the session, a cursor WITH HOLD. As far as its words tell.
    pub binds_connection: bool,
    /// Whether it may change what a log-in finds: roles, databases, their settings and rights. As far
    /// as its words, and those of a `DO` block, tell.
    pub changes_logins: bool,
    /// The same, for what was there before: it may change what a log-in before it had found. What only
    /// adds roles and rights does not.
    pub alters_logins: bool,
    /// Whether it calls `set_config` or `current_setting`, or is a DO block that may: see
    /// [`setting_changes`] and [`custom_names`].
    pub names_settings: bool,
    /// Whether it belongs to those whose transactions servers choose as victims: it skips locked rows,
    /// or asks for a transaction that keeps its snapshot and may write. As far as its words tell.
    pub contends: bool,
    /// A hash of the text without its literals: texts that differ in these, in blanks or comments
    /// alone have the same. Made here since every token passes by.
    pub shape: u64,
}

impl Outline {
    /// Reads a string of statements.
    pub fn of(sql: &str) -> Self {
        thread_local! {
            /// A thread's own: what it saves is less than a lock costs.
            static KNOWN: RefCell<Known> = RefCell::default();
        }
        KNOWN.with_borrow_mut(|known| known.outline(sql))
    }

    /// Reads it word by word; `seen` gets each token. Tells whether the outline is that of all texts
    /// with the same tokens but other literals.
    fn read(sql: &str, mut seen: impl FnMut(Token, Range<usize>)) -> (Self, bool) {
        let mut outline = Self::default();
        let mut by_tokens = true;
        let mut statement = StatementWords::default();
        let mut shape = ShapeHasher::default();
        let mut before = 0..0;
        let mut reads_only = false;
        for (token, range) in Lexer::new(sql) {
            seen(token, range.clone());
            match token {
                Token::Text | Token::Number => shape.literal(token),
                _ => shape.token(&sql.as_bytes()[range.clone()]),
            }
            if token == Token::Semicolon && !statement.is_nested() {
                outline.end(sql, std::mem::take(&mut statement));
                continue;
            }
            let text = &sql[range.clone()];
            if token == Token::Word {
                outline.signals_backend |= is_signal(text);
                let follows = |word: &str| sql[before.clone()].eq_ignore_ascii_case(word);
                outline.imports_snapshot |=
                    text.eq_ignore_ascii_case("snapshot") && follows("transaction");
                outline.contends |= text.eq_ignore_ascii_case("serializable")
                    || text.eq_ignore_ascii_case("locked") && follows("skip")
                    || text.eq_ignore_ascii_case("read") && follows("repeatable");
                reads_only |= text.eq_ignore_ascii_case("only") && follows("read");
            }
            outline.exports_snapshot |= is_export(token, text);
            before = range.clone();
            statement.add(sql, token, range);
            by_tokens &= !statement.looks_into_texts();
        }
        outline.end(sql, statement);
        outline.contends &= !reads_only;
        outline.shape = shape.finish();
        (outline, by_tokens)
    }

    fn end(&mut self, sql: &str, statement: StatementWords) {
        self.lifts_read_only |= statement.lifts_read_only();
        self.binds_connection |= statement.binds_connection();
        self.changes_logins |= statement.changes_logins(sql);
        self.alters_logins |= statement.alters_logins(sql);
        self.names_settings |= statement.names_settings();
        self.parts.extend(statement.finish(sql));
    }

    /// What the string is counted as: its first statement.
    pub fn verb(&self) -> Verb {
        self.parts.first().map_or(Verb::Other, |part| part.verb)
    }

    /// The command of a string that is one statement.
    pub fn single(&self) -> Option<Command> {
        match self.parts.as_slice() {
            [part] => Some(part.command),
            _ => None,
        }
    }

    /// Whether any statement of the string commands `what`.
    pub fn has(&self, what: impl Fn(Command) -> bool) -> bool {
        self.parts.iter().any(|part| what(part.command))
    }
}

fn is_signal(word: &str) -> bool {
    // Both names have 17 and 20 letters: most words are told apart by their length alone.
    matches!(word.len(), 17 | 20)
        && (word.eq_ignore_ascii_case("pg_cancel_backend")
            || word.eq_ignore_ascii_case("pg_terminate_backend"))
}

/// Whether the text calls `pg_export_snapshot`.
pub fn exports_snapshot(text: &str) -> bool {
    mentions(text, EXPORT) && Outline::of(text).exports_snapshot
}

const EXPORT: &str = "pg_export_snapshot";

fn is_export(token: Token, word: &str) -> bool {
    match token {
        Token::Word => word.len() == EXPORT.len() && word.eq_ignore_ascii_case(EXPORT),
        Token::Quoted => word.len() == EXPORT.len() + 2 && word[1..].starts_with(EXPORT),
        _ => false,
    }
}

/// Whom a call of `pg_cancel_backend` or `pg_terminate_backend` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// A process id as a constant, and where it stands.
    Pid(u32, Range<usize>),
    /// `pg_backend_pid()`: the session itself.
    Own,
    /// Something that only a server can evaluate, or a parameter.
    Unknown,
}

/// The backends that a string signals, in the order of the calls.
pub fn signals(sql: &str) -> Vec<Signal> {
    let tokens: Vec<_> = Lexer::new(sql).collect();
    let text = |at: usize| tokens.get(at).map_or("", |(_, range)| &sql[range.clone()]);
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        if tokens[at].0 != Token::Word || !is_signal(text(at)) || text(at + 1) != "(" {
            continue;
        }
        // `pg_terminate_backend(pid, timeout)` exists since PostgreSQL 14.
        let ends = |at: usize| matches!(text(at), ")" | ",");
        found.push(match tokens.get(at + 2) {
            Some((Token::Number, range)) if ends(at + 3) => match text(at + 2).parse() {
                Ok(pid) => Signal::Pid(pid, range.clone()),
                Err(_) => Signal::Unknown,
            },
            Some((Token::Word, _))
                if text(at + 2).eq_ignore_ascii_case("pg_backend_pid")
                    && text(at + 3) == "("
                    && text(at + 4) == ")"
                    && ends(at + 5) =>
            {
                Signal::Own
            }
            _ => Signal::Unknown,
        });
    }
    found
}

/// The first words of a statement in lower case without comments, quotes kept: `set search_path`.
///
/// Two statements with the same key set the same thing of a session.
pub fn key(statement: &str, words: usize) -> String {
    let mut key = String::new();
    for (_, range) in Lexer::new(statement).take(words) {
        if !key.is_empty() {
            key.push(' ');
        }
        key.push_str(&statement[range].to_ascii_lowercase());
    }
    key
}

/// Whether a text holds a word, in any case, which begins with a letter.
pub fn mentions(text: &str, word: &str) -> bool {
    let (text, word) = (text.as_bytes(), word.as_bytes());
    let Some(first) = word.first() else { return true };
    memchr::memchr2_iter(first.to_ascii_lowercase(), first.to_ascii_uppercase(), text).any(|at| {
        text.get(at..at + word.len()).is_some_and(|found| found.eq_ignore_ascii_case(word))
    })
}

/// The last word, name or constant of a statement as it stands there.
pub fn last_token(statement: &str) -> &str {
    let last = Lexer::new(statement).filter(|(token, _)| *token != Token::Semicolon).last();
    last.map_or("", |(_, range)| &statement[range])
}

/// The name in `PREPARE name …`, `DEALLOCATE [PREPARE] name`: unquoted as PostgreSQL folds it.
///
/// `None` for `ALL` and where no name stands.
pub fn prepared_name(statement: &str) -> Option<String> {
    let mut tokens = Lexer::new(statement).skip(1);
    let (mut token, mut range) = tokens.next()?;
    if statement[range.clone()].eq_ignore_ascii_case("prepare") {
        (token, range) = tokens.next()?;
    }
    let text = &statement[range];
    match token {
        Token::Word if text.eq_ignore_ascii_case("all") => None,
        Token::Word | Token::Quoted => Some(identifier(text)),
        _ => None,
    }
}

/// The name that an identifier stands for: a quoted one as it is, another as PostgreSQL folds it.
pub fn identifier(text: &str) -> String {
    match text.strip_prefix('"') {
        Some(inner) => inner.strip_suffix('"').unwrap_or(inner).replace("\"\"", "\""),
        None => text.to_ascii_lowercase(),
    }
}

/// Whether the text has a parameter (`$1`).
pub fn has_parameters(sql: &str) -> bool {
    Lexer::new(sql).any(|(token, range)| {
        token == Token::Other && range.len() > 1 && sql.as_bytes()[range.start] == b'$'
    })
}

/// The numbers of the parameters that the text casts itself (`$1::int`, `CAST($1 AS int)`).
pub fn cast_parameters(sql: &str) -> Vec<usize> {
    let mut cast = Vec::new();
    let mut before = ["", ""];
    for (token, range) in Lexer::new(sql) {
        let (text, behind) = (&sql[range.clone()], &sql[range.end..]);
        if token == Token::Other
            && let Some(number) = text.strip_prefix('$').and_then(|number| number.parse().ok())
            && (behind.trim_start().starts_with("::")
                || before[1] == "(" && before[0].eq_ignore_ascii_case("cast"))
        {
            cast.push(number);
        }
        before = [before[1], text];
    }
    cast
}

/// Whether a backslash stands where SQL has none: outside of constants, names and comments.
pub fn has_stray_backslash(sql: &str) -> bool {
    sql.contains('\\')
        && Lexer::new(sql)
            .any(|(token, range)| token == Token::Other && sql.as_bytes()[range.start] == b'\\')
}

/// Where the text goes on behind the first such word (`as`) that is neither quoted nor in brackets.
pub fn after_keyword(sql: &str, word: &str) -> Option<usize> {
    let mut depth = 0usize;
    for (token, range) in Lexer::new(sql) {
        match token {
            Token::Open => depth += 1,
            Token::Close => depth = depth.saturating_sub(1),
            Token::Word if depth == 0 && sql[range.clone()].eq_ignore_ascii_case(word) => {
                return Some(range.end);
            }
            _ => {}
        }
    }
    None
}

/// Whether a colon stands before a blank, outside of constants, comments and brackets: in SQL that
/// happens nowhere (`a[1: 2]` has brackets), so such a text is more than one statement's.
pub fn has_stray_colon(sql: &str) -> bool {
    let mut depth = 0usize;
    let mut before = 0..0;
    for (token, range) in Lexer::new(sql) {
        match token {
            Token::Open => depth += 1,
            Token::Close => depth = depth.saturating_sub(1),
            Token::Other if depth == 0 && &sql[range.clone()] == ":" => {
                let cast = before.end == range.start && sql[before.clone()].ends_with(':');
                if !cast && sql[range.end..].starts_with(' ') {
                    return true;
                }
            }
            _ => {}
        }
        before = range;
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
        use Command::{
            Begin, Chain, Commit, FinishPrepared, PrepareTransaction, Rollback, Savepoint,
        };
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
        assert_eq!(
            commands("with d as (delete from t returning *) select * from d"),
            [Command::Other]
        );
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
        for sql in [r"select '\n', E'\n', $$\n$$", r#"select "\n" /* \n */ -- \n"#, "select\n1", ""]
        {
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
}
