//! What a string of statements holds, from one pass over its tokens.

use std::ops::Range;

use smallvec::SmallVec;

use super::command::{Command, Part};
use super::lexer::{Lexer, Token};
use super::scan::mentions;
use super::shape::hasher::ShapeHasher;
use super::signals::is_signal;
use super::verb::Verb;
use super::words::StatementWords;

/// What a string of statements holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outline {
    /// Its statements, in order; none where it is empty or only a comment. Nearly always one.
    pub parts: SmallVec<[Part; 1]>,
    /// Whether it calls `pg_cancel_backend` or `pg_terminate_backend`.
    pub signals_backend: bool,
    /// Whether it calls `pg_export_snapshot`.
    pub exports_snapshot: bool,
    /// Whether it may say `SET TRANSACTION SNAPSHOT`: [`snapshot_imports`](super::snapshot_imports) tells.
    pub imports_snapshot: bool,
    /// Whether it may make its session or transaction able to write where the default is that it is
    /// not: [`kept_read_only`](super::kept_read_only) gives it without that.
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
    /// [`setting_changes`](super::setting_changes) and [`custom_names`](super::custom_names).
    pub names_settings: bool,
    /// Whether its words name a setting by which a server tells durations, or what shows all settings:
    /// see [`duration_settings_use`](super::duration_settings_use).
    pub names_duration_settings: bool,
    /// Whether it belongs to those whose transactions servers choose as victims: it skips locked rows,
    /// or asks for a transaction that keeps its snapshot and may write. As far as its words tell.
    pub contends: bool,
    /// A hash of the text without its literals: texts that differ in these, in blanks or comments
    /// alone have the same. Made here since every token passes by.
    pub shape: u64,
}

impl Outline {
    /// Reads it word by word; `seen` gets each token. Tells whether the outline is that of all texts
    /// with the same tokens but other literals.
    pub(super) fn read(sql: &str, mut seen: impl FnMut(Token, Range<usize>)) -> (Self, bool) {
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
        self.names_duration_settings |= statement.names_duration_settings(sql);
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
