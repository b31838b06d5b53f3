//! Statements that make a session able to write which was opened so that it is not.
//!
//! `default_transaction_read_only` is a default: any session may set it back. A replay that must not
//! write sends those statements without that.

use super::lexer::{Lexer, Token, joined_parts};
use super::{Command, Outline};

const SETTING: &str = "transaction_read_only";
const DEFAULT: &str = "default_transaction_read_only";

/// Whether a word is one of the two settings.
pub(super) fn is_setting(word: &str) -> bool {
    // Most words are told apart by their length alone.
    (word.len() == DEFAULT.len() && word.eq_ignore_ascii_case(DEFAULT))
        || (word.len() == SETTING.len() && word.eq_ignore_ascii_case(SETTING))
}

/// Whether a constant names one of the two settings, perhaps among other text.
pub fn names_setting(text: &str) -> bool {
    // The one's name ends the other's.
    text.as_bytes().windows(SETTING.len()).any(|at| at.eq_ignore_ascii_case(SETTING.as_bytes()))
}

/// The string without what makes its session or transaction able to write: `READ WRITE` becomes
/// `READ ONLY`, and a statement that changes the setting itself is left out. `None` where there is
/// nothing of the kind.
pub fn kept_read_only(sql: &str, outline: &Outline) -> Option<String> {
    if !outline.lifts_read_only {
        return None;
    }
    let mut kept = String::with_capacity(sql.len());
    let mut copied = 0;
    for part in &outline.parts {
        let text = &sql[part.range.clone()];
        let modes = matches!(part.command, Command::Begin | Command::Set | Command::SetLocal);
        let mut after_read = false;
        for (token, range) in Lexer::new(text).filter(|_| modes) {
            let word = &text[range.clone()];
            if after_read && token == Token::Word && word.eq_ignore_ascii_case("write") {
                kept.push_str(&sql[copied..part.range.start + range.start]);
                kept.push_str("ONLY");
                copied = part.range.start + range.end;
            }
            after_read = token == Token::Word && word.eq_ignore_ascii_case("read");
        }
        if !matches!(part.command, Command::Read | Command::Begin) && changes_setting(text) {
            kept.push_str(&sql[copied..copied.max(part.range.start)]);
            copied = part.range.end;
        }
    }
    if copied == 0 {
        return None;
    }
    kept.push_str(&sql[copied..]);
    Some(kept)
}

/// Whether a statement that is no query names one of the settings where that changes it.
fn changes_setting(text: &str) -> bool {
    let mut tokens = Lexer::new(text).map(|(token, range)| (token, &text[range]));
    let Some((_, first)) = tokens.next() else { return false };
    let first_is = |word: &str| first.eq_ignore_ascii_case(word);
    if first_is("set") || first_is("reset") {
        return tokens.any(|(token, word)| {
            matches!(token, Token::Word | Token::Quoted) && names_setting(word)
        });
    }
    // A DO block, set_config: the name stands in a constant.
    (first_is("do") || first_is("select") || first_is("with"))
        && tokens.any(|(token, word)| token == Token::Text && names_setting(&joined_parts(word)))
}

#[cfg(test)]
mod tests;
