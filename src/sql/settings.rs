//! What a statement does to its session's settings.
//!
//! `SET` and `RESET` are read by PostgreSQL's grammar (`VariableSetStmt` in `gram.y`). Calls of
//! `set_config` are read as far as constants and parameters go; what a server would have to
//! evaluate is said to be unknown, and the server can be asked for it.

use std::ops::Range;

use super::lexer::{Lexer, Token, joined_parts};
use super::{Command, identifier};

/// A change of one setting that outlives its statement, or of all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingChange<'a> {
    /// The session's value is set.
    Set {
        /// The setting: its whole name, in lower case.
        name: String,
        /// To what.
        value: SettingValue<'a>,
    },
    /// It is set until the end of the transaction.
    SetLocal {
        /// The setting: its whole name, in lower case.
        name: String,
        /// To what, where that is known.
        value: Option<SettingValue<'a>>,
    },
    /// It gets the value that it had when the session began.
    Reset(String),
    /// All get it, but for the role and the session's user.
    ResetAll,
    /// Something is set that only the server knows.
    Unknown,
}

/// A value of a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingValue<'a> {
    /// What this statement sets it to, a `SET` that does nothing else.
    Of(&'a str),
    /// This text.
    Text(String),
}

/// The setting that says as whom a session acts.
pub const ROLE: &str = "role";
/// The setting that says who a session is.
pub const SESSION_AUTHORIZATION: &str = "session_authorization";
/// The setting that says how a session's text is encoded.
pub const CLIENT_ENCODING: &str = "client_encoding";

/// What one statement changes. `parameters` are those of an extended statement.
pub fn setting_changes<'a>(
    statement: &'a str,
    command: Command,
    parameters: &[Option<Box<str>>],
) -> Vec<SettingChange<'a>> {
    match command {
        Command::Set | Command::SetLocal => set(statement),
        _ => set_config(statement, parameters),
    }
}

/// The words, names and constants of a statement.
struct Tokens<'a> {
    text: &'a str,
    tokens: Vec<(Token, Range<usize>)>,
    at: usize,
}

impl<'a> Tokens<'a> {
    fn of(text: &'a str) -> Self {
        let tokens = Lexer::new(text).filter(|(token, _)| *token != Token::Semicolon);
        Self { text, tokens: tokens.collect(), at: 0 }
    }

    fn peek(&self) -> Option<(Token, &'a str)> {
        let (token, range) = self.tokens.get(self.at)?;
        Some((*token, &self.text[range.clone()]))
    }

    /// Whether these keywords stand here.
    fn are(&self, keywords: &[&str]) -> bool {
        keywords.iter().enumerate().all(|(ahead, keyword)| {
            self.tokens.get(self.at + ahead).is_some_and(|(token, range)| {
                *token == Token::Word && self.text[range.clone()].eq_ignore_ascii_case(keyword)
            })
        })
    }

    /// Passes these keywords over, if they stand here.
    fn pass(&mut self, keywords: &[&str]) -> bool {
        let found = self.are(keywords);
        if found {
            self.at += keywords.len();
        }
        found
    }

    /// Passes this sign over, if it stands here.
    fn pass_sign(&mut self, sign: &str) -> bool {
        let found = self.peek().is_some_and(|(_, text)| text == sign);
        self.at += usize::from(found);
        found
    }

    /// A setting's name, whose parts may be quoted: `app.tenant_id`. Settings' names know no case.
    fn name(&mut self) -> Option<String> {
        let mut name = self.name_part()?;
        while self.pass_sign(".") {
            name.push('.');
            name.push_str(&self.name_part()?);
        }
        Some(name)
    }

    fn name_part(&mut self) -> Option<String> {
        let (token, text) = self.peek()?;
        let part = match token {
            Token::Word | Token::Quoted => identifier(text).to_ascii_lowercase(),
            _ => return None,
        };
        self.at += 1;
        Some(part)
    }

    fn is_at_end(&self) -> bool {
        self.at >= self.tokens.len()
    }
}

/// What a `SET` or `RESET` changes.
fn set(statement: &str) -> Vec<SettingChange<'_>> {
    let mut tokens = Tokens::of(statement);
    if tokens.pass(&["reset"]) {
        return reset(&mut tokens).into_iter().collect();
    }
    if !tokens.pass(&["set"]) {
        return Vec::new();
    }
    let local = tokens.pass(&["local"]);
    // SESSION is a noise word, but where AUTHORIZATION or CHARACTERISTICS follows.
    if !local && !is_about_session(&tokens) {
        tokens.pass(&["session"]);
    }
    if tokens.are(&["transaction"]) || tokens.are(&["constraints"]) {
        return Vec::new();
    }
    if tokens.pass(&["session", "characteristics", "as", "transaction"]) {
        return characteristics(&mut tokens);
    }
    let Some((name, value)) = assignment(&mut tokens) else { return Vec::new() };
    vec![match value {
        _ if local => SettingChange::SetLocal { name, value: Some(SettingValue::Of(statement)) },
        Assigned::Default => SettingChange::Reset(name),
        Assigned::Value => SettingChange::Set { name, value: SettingValue::Of(statement) },
    }]
}

fn is_about_session(tokens: &Tokens<'_>) -> bool {
    tokens.are(&["session", "authorization"]) || tokens.are(&["session", "characteristics"])
}

fn reset<'a>(tokens: &mut Tokens<'_>) -> Option<SettingChange<'a>> {
    if tokens.pass(&["all"]) {
        return Some(SettingChange::ResetAll);
    }
    if tokens.are(&["transaction"]) {
        return None;
    }
    let name = if tokens.pass(&["time", "zone"]) {
        "timezone".to_owned()
    } else if tokens.pass(&["session", "authorization"]) {
        SESSION_AUTHORIZATION.to_owned()
    } else {
        tokens.name()?
    };
    Some(SettingChange::Reset(name))
}

enum Assigned {
    Default,
    Value,
}

/// What stands behind `SET [LOCAL | SESSION]`: a setting, by its name or in words of its own.
fn assignment(tokens: &mut Tokens<'_>) -> Option<(String, Assigned)> {
    let words: [(&[&str], &str); 6] = [
        (&["time", "zone"], "timezone"),
        (&["session", "authorization"], SESSION_AUTHORIZATION),
        (&["xml", "option"], "xmloption"),
        (&["names"], CLIENT_ENCODING),
        (&["schema"], "search_path"),
        (&["role"], ROLE),
    ];
    let named = |tokens: &Tokens<'_>| {
        let mut ahead = Tokens { text: tokens.text, tokens: tokens.tokens.clone(), at: tokens.at };
        ahead.name()?;
        (ahead.pass_sign("=") || ahead.pass(&["to"])).then_some(())
    };
    let name = if named(tokens).is_some() {
        let name = tokens.name()?;
        tokens.at += 1;
        name
    } else {
        let (_, name) = words.into_iter().find(|(words, _)| tokens.pass(words))?;
        name.to_owned()
    };
    let is_local_zone = name == "timezone" && tokens.are(&["local"]);
    let is_default = tokens.is_at_end() || tokens.are(&["default"]) || is_local_zone;
    Some((name, if is_default { Assigned::Default } else { Assigned::Value }))
}

/// `SET SESSION CHARACTERISTICS AS TRANSACTION`: the defaults of the transactions to come.
fn characteristics<'a>(tokens: &mut Tokens<'_>) -> Vec<SettingChange<'a>> {
    const MODES: [(&[&str], &str, &str); 8] = [
        (&["isolation", "level", "serializable"], "isolation", "serializable"),
        (&["isolation", "level", "repeatable", "read"], "isolation", "repeatable read"),
        (&["isolation", "level", "read", "committed"], "isolation", "read committed"),
        (&["isolation", "level", "read", "uncommitted"], "isolation", "read uncommitted"),
        (&["read", "only"], "read_only", "on"),
        (&["read", "write"], "read_only", "off"),
        (&["deferrable"], "deferrable", "on"),
        (&["not", "deferrable"], "deferrable", "off"),
    ];
    let mut changes = Vec::new();
    while !tokens.is_at_end() {
        match MODES.iter().find(|(words, ..)| tokens.pass(words)) {
            Some((_, name, value)) => changes.push(SettingChange::Set {
                name: format!("default_transaction_{name}"),
                value: SettingValue::Text((*value).to_owned()),
            }),
            // A comma.
            None => tokens.at += 1,
        }
    }
    changes
}

/// What a statement's calls of `set_config` change. Their arguments count as they stand where the
/// statement is a `SELECT` of nothing but such calls: each of them is run, and once.
fn set_config<'a>(statement: &str, parameters: &[Option<Box<str>>]) -> Vec<SettingChange<'a>> {
    let mut tokens = Tokens::of(statement);
    let mut plain = tokens.pass(&["select"]);
    let mut changes = Vec::new();
    while let Some((token, text)) = tokens.peek() {
        tokens.at += 1;
        let calls = token == Token::Word && text.eq_ignore_ascii_case("set_config");
        if calls && tokens.pass_sign("(") {
            let arguments = arguments(&mut tokens, parameters);
            changes.push(config_change(&arguments));
            plain &= passes_alias(&mut tokens);
        } else if token == Token::Text {
            // The body of a DO block, or a text that only a server understands.
            plain = false;
            if sets_within(text) {
                changes.push(SettingChange::Unknown);
            }
        } else {
            plain &= text == "," || text == "." || text.eq_ignore_ascii_case("pg_catalog");
        }
    }
    if !plain {
        let lasts = |change: &SettingChange<'_>| !matches!(change, SettingChange::SetLocal { .. });
        if changes.iter().any(lasts) {
            changes.retain(|change| !lasts(change));
            changes.push(SettingChange::Unknown);
        }
    }
    changes
}

/// Whether a text may be code that sets something.
fn sets_within(text: &str) -> bool {
    let text = joined_parts(text);
    let inner = text.trim_matches(['$', '\'']);
    text.len() > 8
        && Lexer::new(inner).any(|(token, range)| {
            let word = &inner[range];
            token == Token::Word
                && (word.eq_ignore_ascii_case("set_config") || word.eq_ignore_ascii_case("set"))
        })
}

/// An argument of a call, as far as it can be told without a server.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Argument {
    /// A constant or the value of a parameter; `None` is NULL.
    Value(Option<String>),
    Computed,
}

/// The arguments up to the closing parenthesis, behind which it leaves off.
fn arguments(tokens: &mut Tokens<'_>, parameters: &[Option<Box<str>>]) -> Vec<Argument> {
    let mut arguments = Vec::new();
    let (mut begin, mut depth) = (tokens.at, 0usize);
    while let Some((token, text)) = tokens.peek() {
        let ends = depth == 0 && (token == Token::Close || text == ",");
        if ends {
            arguments.push(argument(&tokens.tokens[begin..tokens.at], tokens.text, parameters));
            begin = tokens.at + 1;
        }
        tokens.at += 1;
        match token {
            Token::Close if depth == 0 => break,
            Token::Close => depth -= 1,
            Token::Open => depth += 1,
            _ => {}
        }
    }
    arguments
}

fn argument(
    tokens: &[(Token, Range<usize>)],
    text: &str,
    parameters: &[Option<Box<str>>],
) -> Argument {
    let word = |at: usize| tokens.get(at).map_or("", |(_, range)| &text[range.clone()]);
    // A cast to a built-in type changes no text and no boolean: `'x'::text`.
    let cast = match tokens.len() {
        1 => true,
        4 => word(1) == ":" && word(2) == ":" && is_neutral_type(word(3)),
        3 => word(1) == "::" && is_neutral_type(word(2)),
        _ => false,
    };
    let Some((token, _)) = tokens.first().filter(|_| cast) else { return Argument::Computed };
    let first = word(0);
    match token {
        Token::Text => {
            constant(first).map_or(Argument::Computed, |text| Argument::Value(Some(text)))
        }
        Token::Number => Argument::Value(Some(first.to_owned())),
        Token::Word if first.eq_ignore_ascii_case("null") => Argument::Value(None),
        Token::Word
            if first.eq_ignore_ascii_case("true") || first.eq_ignore_ascii_case("false") =>
        {
            Argument::Value(Some(first.to_ascii_lowercase()))
        }
        Token::Other => {
            let number = first.strip_prefix('$').and_then(|number| number.parse::<usize>().ok());
            let value = number.and_then(|number| parameters.get(number.checked_sub(1)?));
            value.map_or(Argument::Computed, |value| {
                Argument::Value(value.as_deref().map(str::to_owned))
            })
        }
        _ => Argument::Computed,
    }
}

fn is_neutral_type(name: &str) -> bool {
    ["text", "varchar", "bool", "boolean", "unknown"]
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known))
}

/// The value of a string constant without escapes. What a backslash means, a setting of the session says.
fn constant(text: &str) -> Option<String> {
    let text = joined_parts(text);
    let inner = text.strip_prefix('\'')?.strip_suffix('\'')?;
    if inner.contains('\\') {
        return None;
    }
    Some(inner.replace("''", "'"))
}

/// What a call with these arguments changes.
fn config_change<'a>(arguments: &[Argument]) -> SettingChange<'a> {
    let [name, value, local] = arguments else { return SettingChange::Unknown };
    let known = |argument: &Argument| match argument {
        Argument::Value(value) => Some(value.clone()),
        Argument::Computed => None,
    };
    let name = known(name).flatten().map(|name| name.to_ascii_lowercase());
    let local = known(local).flatten().and_then(|local| boolean(&local));
    match (name, local, known(value)) {
        (name, Some(true), value) => SettingChange::SetLocal {
            name: name.unwrap_or_default(),
            value: value.flatten().map(SettingValue::Text),
        },
        (Some(name), Some(false), Some(Some(value))) => {
            SettingChange::Set { name, value: SettingValue::Text(value) }
        }
        (Some(name), Some(false), Some(None)) => SettingChange::Reset(name),
        _ => SettingChange::Unknown,
    }
}

/// What PostgreSQL's boolean type takes a text for.
fn boolean(text: &str) -> Option<bool> {
    let text = text.trim().to_ascii_lowercase();
    let begins = |word: &str, least: usize| text.len() >= least && word.starts_with(&text);
    if begins("true", 1) || begins("yes", 1) || text == "on" || text == "1" {
        Some(true)
    } else if begins("false", 1) || begins("no", 1) || begins("off", 2) || text == "0" {
        Some(false)
    } else {
        None
    }
}

/// Passes the name of a result column over, if there is one. Whether what follows is another column
/// or nothing.
fn passes_alias(tokens: &mut Tokens<'_>) -> bool {
    if tokens.pass(&["as"]) {
        tokens.at += 1;
    } else if matches!(tokens.peek(), Some((Token::Quoted, _)))
        || (matches!(tokens.peek(), Some((Token::Word, _))) && !tokens.are(&["from"]))
    {
        // A word that begins a clause has more behind it, and is no column's name then.
        tokens.at += 1;
    }
    tokens.is_at_end() || tokens.peek().is_some_and(|(_, text)| text == ",")
}

/// The names of settings that a statement mentions in constants and parameters, where it calls
/// `set_config` or `current_setting`: those of extensions and applications alone, which have a dot.
/// No list of the server has them all.
pub fn custom_names(statement: &str, parameters: &[Option<Box<str>>]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut add = |text: &str| {
        let is_name = text.contains('.')
            && text.len() < 64
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'$'));
        if is_name {
            names.push(text.to_ascii_lowercase());
        }
    };
    let mut tokens =
        Lexer::new(statement).map(|(token, range)| (token, &statement[range])).peekable();
    let does = tokens.peek().is_some_and(|(_, first)| first.eq_ignore_ascii_case("do"));
    for (token, text) in tokens {
        match token {
            Token::Text if does => {
                // Code: its own constants and names.
                text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '$')))
                    .for_each(&mut add);
            }
            Token::Text => add(joined_parts(text).trim_matches(['\'', '$'])),
            _ => {}
        }
    }
    parameters.iter().flatten().for_each(|value| add(value));
    names
}

#[cfg(test)]
mod tests;
