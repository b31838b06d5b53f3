//! What a statement has to do with the settings by which a server tells its client durations: a replay
//! has values of its own for them, which a session is not to see.

use super::lexer::{Lexer, Token};
use super::{Command, Outline, Part, Verb, key, mentions, prepared_name};

/// The settings by which a server tells its client durations, and keeps that out of its own log.
pub const DURATION_SETTINGS: [&str; 3] =
    ["client_min_messages", "log_duration", "log_min_messages"];

/// What shows all settings.
const SHOW_ALL: [&str; 2] = ["pg_settings", "pg_show_all_settings"];

/// What a statement does with them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SettingsUse {
    /// Whether it may read one of them.
    pub reads: bool,
    /// Whether it may change one of them.
    pub changes: bool,
}

/// What a string of statements does with [`DURATION_SETTINGS`], as far as its text, its parameters and
/// what SQL's `PREPARE` has prepared (`prepared`, by name) tell.
pub fn duration_settings_use<'a>(
    sql: &str,
    outline: &Outline,
    parameters: &[Option<Box<str>>],
    prepared: impl Fn(&str) -> Option<&'a str>,
) -> SettingsUse {
    let mut found = SettingsUse::default();
    for part in &outline.parts {
        let text = &sql[part.range.clone()];
        match part.command {
            Command::Set | Command::SetLocal => {
                found.changes |= (outline.names_duration_settings && names_one(text))
                    || (part.command == Command::Set && key(text, 2) == "reset all");
            }
            Command::Discard => found.changes |= key(text, 2) == "discard all",
            _ if part.verb == Verb::PrepareExecute => {
                let name = prepared_name(text);
                if let Some(text) = name.and_then(|name| prepared(&name)) {
                    found = found.or(of_prepared(text));
                }
            }
            _ => found = found.or(of_words(text, part, outline, parameters)),
        }
    }
    found
}

impl SettingsUse {
    fn or(self, other: Self) -> Self {
        Self { reads: self.reads || other.reads, changes: self.changes || other.changes }
    }
}

/// What a statement does that SQL's `PREPARE` has prepared: its parameters stand elsewhere.
fn of_prepared(text: &str) -> SettingsUse {
    let outline = Outline::of(text);
    let names = outline.names_settings || outline.names_duration_settings && names_any(text);
    SettingsUse { reads: names, changes: outline.names_settings }
}

fn of_words(
    text: &str,
    part: &Part,
    outline: &Outline,
    parameters: &[Option<Box<str>>],
) -> SettingsUse {
    if !outline.names_settings && !outline.names_duration_settings {
        return SettingsUse::default();
    }
    let names = names_any(text) || parameters.iter().flatten().any(|value| names_any(value));
    let shows_all = part.command == Command::Read && key(text, 2) == "show all";
    SettingsUse {
        reads: names || shows_all || (outline.names_settings && computes_name(text)),
        changes: names && outline.names_settings,
    }
}

fn names_one(text: &str) -> bool {
    DURATION_SETTINGS.iter().any(|name| mentions(text, name))
}

fn names_any(text: &str) -> bool {
    names_one(text) || SHOW_ALL.iter().any(|name| mentions(text, name))
}

/// Whether it calls `current_setting` with what is neither a constant nor a parameter.
fn computes_name(text: &str) -> bool {
    let mut tokens = Lexer::new(text).map(|(token, range)| (token, &text[range]));
    while let Some((token, word)) = tokens.next() {
        if token == Token::Word
            && word.eq_ignore_ascii_case("current_setting")
            && let Some((Token::Open, _)) = tokens.next()
            && let Some((token, first)) = tokens.next()
            && token != Token::Text
            && !first.starts_with('$')
        {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests;
