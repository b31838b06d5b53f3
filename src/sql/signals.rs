//! Which backends a string signals.

use std::ops::Range;

use super::lexer::{Lexer, Token};

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

/// Whether it is one of the two functions.
pub(super) fn is_signal(word: &str) -> bool {
    // Both names have 17 and 20 letters: most words are told apart by their length alone.
    matches!(word.len(), 17 | 20)
        && (word.eq_ignore_ascii_case("pg_cancel_backend")
            || word.eq_ignore_ascii_case("pg_terminate_backend"))
}
