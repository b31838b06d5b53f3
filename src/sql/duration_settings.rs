//! What a statement has to do with the settings by which a server tells its client durations: a replay
//! has values of its own for them, which a session is not to see.

use super::lexer::{Lexer, Token};
use super::{Command, Outline, Part, Verb, identifier, key, mentions, prepared_name};

/// The settings by which a server tells its client durations, which is anybody's to set; and by which
/// it measures them and keeps that out of its own log, which is not.
pub const DURATION_SETTINGS: [&str; 3] =
    ["client_min_messages", "log_duration", "log_min_messages"];

/// What shows all settings.
const SHOW_ALL: [&str; 2] = ["pg_settings", "pg_show_all_settings"];

/// Some of [`DURATION_SETTINGS`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DurationSettings {
    /// `client_min_messages`.
    pub telling: bool,
    /// `log_duration` or `log_min_messages`.
    pub measuring: bool,
}

impl DurationSettings {
    /// All of them.
    pub const ALL: Self = Self { telling: true, measuring: true };
    const NONE: Self = Self { telling: false, measuring: false };

    /// Those that a text names.
    pub fn named_in(text: &str) -> Self {
        let [telling, measuring @ ..] = DURATION_SETTINGS;
        Self {
            telling: mentions(text, telling),
            measuring: measuring.iter().any(|name| mentions(text, name)),
        }
    }

    /// Whether it is one at least.
    pub fn any(self) -> bool {
        self.telling || self.measuring
    }

    /// Those that a text names or shows.
    fn shown_in(text: &str) -> Self {
        let shows_all = SHOW_ALL.iter().any(|name| mentions(text, name));
        if shows_all { Self::ALL } else { Self::named_in(text) }
    }

    fn or(self, other: Self) -> Self {
        Self {
            telling: self.telling || other.telling,
            measuring: self.measuring || other.measuring,
        }
    }
}

/// What a statement does with them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SettingsUse {
    /// Those that it may read.
    pub reads: DurationSettings,
    /// Those that it may change.
    pub changes: DurationSettings,
    /// Whether it stores, as of now, what not anybody may set: by `FROM CURRENT`, which takes the right
    /// to set it.
    pub stores: bool,
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
        found = found.or(match part.command {
            Command::Set | Command::SetLocal => of_set(text, part, outline),
            Command::Discard if key(text, 2) == "discard all" => changes(DurationSettings::ALL),
            Command::Discard => SettingsUse::default(),
            _ if part.verb == Verb::PrepareExecute => {
                let text = prepared_name(text).and_then(|name| prepared(&name));
                text.map(of_prepared).unwrap_or_default()
            }
            _ => of_words(text, part, outline, parameters),
        });
    }
    found
}

impl SettingsUse {
    fn or(self, other: Self) -> Self {
        Self {
            reads: self.reads.or(other.reads),
            changes: self.changes.or(other.changes),
            stores: self.stores || other.stores,
        }
    }
}

fn changes(changes: DurationSettings) -> SettingsUse {
    SettingsUse { changes, ..SettingsUse::default() }
}

fn of_set(text: &str, part: &Part, outline: &Outline) -> SettingsUse {
    if part.command == Command::Set && key(text, 2) == "reset all" {
        return changes(DurationSettings::ALL);
    }
    if !outline.names_duration_settings {
        return SettingsUse::default();
    }
    let reads = from_current(text);
    SettingsUse { reads, changes: DurationSettings::named_in(text), stores: reads.measuring }
}

/// What a statement does that SQL's `PREPARE` has prepared: its parameters stand elsewhere.
fn of_prepared(text: &str) -> SettingsUse {
    let outline = Outline::of(text);
    if outline.names_settings {
        let (reads, changes) = (DurationSettings::ALL, DurationSettings::ALL);
        return SettingsUse { reads, changes, stores: false };
    }
    let reads = match outline.names_duration_settings {
        true => DurationSettings::shown_in(text),
        false => DurationSettings::NONE,
    };
    SettingsUse { reads, ..SettingsUse::default() }
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
    let values = parameters.iter().flatten().map(|value| DurationSettings::shown_in(value));
    let named = values.fold(DurationSettings::shown_in(text), DurationSettings::or);
    let shows_all = part.command == Command::Read && key(text, 2) == "show all"
        || outline.names_settings && computes_name(text);
    SettingsUse {
        reads: if shows_all { DurationSettings::ALL } else { named },
        changes: if outline.names_settings { named } else { DurationSettings::NONE },
        stores: named.measuring && from_current(text).measuring,
    }
}

/// Those that a statement takes `FROM CURRENT`.
fn from_current(text: &str) -> DurationSettings {
    let mut found = DurationSettings::NONE;
    if !mentions(text, "current") {
        return found;
    }
    let is_word = |token| matches!(token, Token::Word | Token::Quoted);
    let words: Vec<&str> = Lexer::new(text)
        .filter(|(token, _)| is_word(*token))
        .map(|(_, range)| &text[range])
        .collect();
    for words in words.windows(3) {
        if words[1].eq_ignore_ascii_case("from") && words[2].eq_ignore_ascii_case("current") {
            found = found.or(DurationSettings::named_in(&identifier(words[0])));
        }
    }
    found
}

/// Whether it calls `current_setting` with what is neither a constant nor a parameter alone.
fn computes_name(text: &str) -> bool {
    let mut tokens = Lexer::new(text).map(|(token, range)| (token, &text[range]));
    while let Some((token, word)) = tokens.next() {
        if token == Token::Word
            && word.eq_ignore_ascii_case("current_setting")
            && let Some((Token::Open, _)) = tokens.next()
            && let Some((token, first)) = tokens.next()
        {
            let is_plain = token == Token::Text || first.starts_with('$');
            let behind = tokens.next();
            if !is_plain || !behind.is_some_and(|(token, it)| token == Token::Close || it == ",") {
                return true;
            }
        }
    }
    false
}

#[cfg(test)]
mod tests;
