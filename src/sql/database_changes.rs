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
mod tests {
    use super::{DatabaseChange, NewEncoding, database_changes};

    fn created(database: &str, encoding: Option<&str>, template: &str) -> DatabaseChange {
        let (database, template) = (database.to_owned(), template.to_owned());
        let encoding = encoding.map(|encoding| match encoding.parse() {
            Ok(number) => NewEncoding::Numbered(number),
            Err(_) => NewEncoding::Named(encoding.to_owned()),
        });
        DatabaseChange::Create { database, encoding, template }
    }

    fn renamed(from: &str, to: &str) -> DatabaseChange {
        DatabaseChange::Rename { from: from.to_owned(), to: to.to_owned() }
    }

    #[test]
    fn a_new_database_has_its_own_encoding_or_its_templates() {
        for (sql, change) in [
            ("create database a", created("a", None, "template1")),
            (
                "CREATE DATABASE Old ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C';",
                created("old", Some("LATIN1"), "template0"),
            ),
            (
                "/* dump */ create database \"A b\" with template = template0 encoding = 'EUC_JP'",
                created("A b", Some("EUC_JP"), "template0"),
            ),
            ("create database a encoding latin9", created("a", Some("latin9"), "template1")),
            (
                "create database U&\"d\\0061ta\" encoding 8 template E'template0'",
                created("data", Some("8"), "template0"),
            ),
            ("create database a encoding E'EUC_JP'", created("a", Some("EUC_JP"), "template1")),
            ("create database a encoding default template \"T\"", created("a", None, "T")),
            ("create database a template default", created("a", None, "template1")),
        ] {
            assert_eq!(database_changes(sql), [change], "{sql}");
        }
    }

    #[test]
    fn a_database_keeps_what_it_is_under_another_name() {
        assert_eq!(
            database_changes("begin; alter database a rename to b; alter database c rename to a"),
            [renamed("a", "b"), renamed("c", "a")]
        );
    }

    #[test]
    fn other_statements_change_no_database() {
        for sql in [
            "",
            "create table database (a int)",
            "alter database a set work_mem = '1MB'",
            "select 'create database a'",
            "drop database a",
            "create database",
            "alter database a rename to",
        ] {
            assert_eq!(database_changes(sql), [], "{sql}");
        }
    }
}
