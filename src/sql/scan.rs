//! Questions about a text that its tokens answer.

use super::lexer::{Lexer, Token};

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
