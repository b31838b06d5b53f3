//! Statements that give a database its encoding or its name.

use super::lexer::{Lexer, Token};
use super::names::name;

/// How a statement says which encoding a new database has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewEncoding {
    /// By its name.
    Named(String),
    /// By PostgreSQL's number of it (`pg_enc` in `pg_wchar.h`).
    Numbered(usize),
}

/// What a statement does to the names or encodings of databases, if it succeeds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseChange {
    /// `CREATE DATABASE`.
    Create {
        /// The new database.
        database: String,
        /// The encoding, as it is written there; `None`: the template's.
        encoding: Option<NewEncoding>,
        /// The database that it is copied from.
        template: String,
    },
    /// `ALTER DATABASE … RENAME TO`.
    Rename {
        /// The old name.
        from: String,
        /// The new one.
        to: String,
    },
}

/// What these statements do to databases, in order. Nearly every text is told by its first word.
pub fn database_changes(sql: &str) -> Vec<DatabaseChange> {
    let mut tokens = Lexer::new(sql).map(|(token, range)| (token, &sql[range])).peekable();
    let may_change = tokens.peek().is_some_and(|(_, first)| {
        let beginnings = ["create", "alter", "begin", "start"];
        beginnings.iter().any(|beginning| first.eq_ignore_ascii_case(beginning))
    });
    if !may_change {
        return Vec::new();
    }
    let tokens: Vec<_> = tokens.collect();
    tokens.split(|(token, _)| *token == Token::Semicolon).filter_map(change).collect()
}

fn change(tokens: &[(Token, &str)]) -> Option<DatabaseChange> {
    let is = |at: usize, word: &str| {
        tokens
            .get(at)
            .is_some_and(|(token, text)| *token == Token::Word && text.eq_ignore_ascii_case(word))
    };
    let name = |at: usize| tokens.get(at).and_then(|(token, text)| name(*token, text));
    if !is(1, "database") {
        return None;
    }
    if is(0, "alter") && is(3, "rename") && is(4, "to") {
        return Some(DatabaseChange::Rename { from: name(2)?, to: name(5)? });
    }
    // Where an option's value stands.
    let option = |word: &str| {
        let at = (3..tokens.len()).find(|at| is(*at, word))? + 1;
        let at = if tokens.get(at).is_some_and(|(_, text)| *text == "=") { at + 1 } else { at };
        (!is(at, "default")).then_some(at)
    };
    is(0, "create").then_some(())?;
    let encoding = |at: usize| match tokens.get(at)? {
        (Token::Number, number) => number.parse().ok().map(NewEncoding::Numbered),
        _ => name(at).map(NewEncoding::Named),
    };
    let template = option("template").and_then(name);
    Some(DatabaseChange::Create {
        database: name(2)?,
        encoding: option("encoding").and_then(encoding),
        template: template.unwrap_or_else(|| "template1".to_owned()),
    })
}

#[cfg(test)]
mod tests;
