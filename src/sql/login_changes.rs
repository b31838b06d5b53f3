//! Statements that change what a log-in finds.

use super::lexer::{Lexer, Token};
use super::names::name;

/// Whether a statement that begins with these words may change what a log-in finds: whether a role or
/// a database is there, under which name, who may use it, and the settings that a session begins with.
pub(super) fn begins_so(first: &str, second: &str) -> bool {
    // Most statements are told apart by the length of their first word alone.
    let verb = match first.len() {
        4 => first.eq_ignore_ascii_case("drop"),
        5 => first.eq_ignore_ascii_case("alter") || is_grant(first),
        6 => first.eq_ignore_ascii_case("create") || is_grant(first),
        _ => false,
    };
    let objects = ["role", "user", "group", "database", "system"];
    verb && (is_grant(first) || objects.iter().any(|object| second.eq_ignore_ascii_case(object)))
}

/// Whether such a statement leaves what was there as it was. A new database is a copy of another one,
/// that nobody may be connected to.
pub(super) fn only_adds(first: &str, second: &str) -> bool {
    first.eq_ignore_ascii_case("grant")
        || first.eq_ignore_ascii_case("create") && !second.eq_ignore_ascii_case("database")
}

/// Rights on a database, or membership in a role, decide who may log in.
fn is_grant(word: &str) -> bool {
    word.eq_ignore_ascii_case("grant") || word.eq_ignore_ascii_case("revoke")
}

/// Whether such a statement may be in this text: a routine's body, which may put it together from
/// strings.
pub(super) fn are_in(text: &str) -> bool {
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
    let mut before = "";
    for word in words.filter(|word| !word.is_empty()) {
        if begins_so(before, word) {
            return true;
        }
        before = word;
    }
    false
}

/// The database that a statement can't be run on while anybody is connected to it: one that it drops,
/// renames, moves or takes as a template.
pub fn vacated_database(sql: &str) -> Option<String> {
    let words: Vec<_> = Lexer::new(sql).map(|(token, range)| (token, &sql[range])).collect();
    let is = |at: usize, word: &str| {
        words
            .get(at)
            .is_some_and(|(token, text)| *token == Token::Word && text.eq_ignore_ascii_case(word))
    };
    let name = |at: usize| words.get(at).and_then(|(token, text)| name(*token, text));
    if !is(1, "database") {
        return None;
    }
    match () {
        () if is(0, "drop") => name(if is(2, "if") { 4 } else { 2 }),
        () if is(0, "alter") && (is(3, "rename") || is(4, "tablespace")) => name(2),
        () if is(0, "create") => {
            let template = (3..words.len()).find(|at| is(*at, "template"))?;
            let has_sign = words.get(template + 1).is_some_and(|(_, text)| *text == "=");
            name(template + if has_sign { 2 } else { 1 })
        }
        () => None,
    }
}

/// Whose log-ins statements alter: see [`super::Outline::alters_logins`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlteredLogins {
    /// Anybody's, as far as can be told.
    pub of_all: bool,
    /// Those as these roles.
    pub roles: Vec<String>,
    /// Those to these databases.
    pub databases: Vec<String>,
    /// Whether it may be that they can't be made any more. Otherwise they find other settings.
    pub prevents: bool,
}

impl AlteredLogins {
    /// Whether a log-in as this role to this database is among them.
    pub fn has(&self, role: &str, database: &str) -> bool {
        let is = |names: &[String], wanted: &str| names.iter().any(|name| name == wanted);
        self.of_all || is(&self.roles, role) || is(&self.databases, database)
    }
}

/// Whose log-ins a string of statements alters.
pub fn altered_logins(sql: &str) -> AlteredLogins {
    let mut altered = AlteredLogins::default();
    let mut words = Vec::new();
    for (token, range) in Lexer::new(sql) {
        if token == Token::Semicolon {
            altered.add(&std::mem::take(&mut words));
        } else {
            words.push((token, &sql[range]));
        }
    }
    altered.add(&words);
    altered
}

impl AlteredLogins {
    /// Adds those that a statement alters.
    fn add(&mut self, words: &[(Token, &str)]) {
        let is = |at: usize, word: &str| {
            words.get(at).is_some_and(|(token, text)| {
                *token == Token::Word && text.eq_ignore_ascii_case(word)
            })
        };
        let is_any = |at: usize, among: &[&str]| among.iter().any(|word| is(at, word));
        let has = |wanted: &str| (0..words.len()).any(|at| is(at, wanted));
        // A list ends before a keyword that no name of it is.
        let names = |from: usize| -> Vec<String> {
            let listed = words.iter().skip(from).step_by(2);
            let listed = listed.map_while(|(token, text)| name(*token, text));
            let commas = words.iter().skip(from + 1).step_by(2);
            let commas = commas.take_while(|(_, text)| *text == ",").count();
            listed.take(commas + 1).collect()
        };
        let first = if is(2, "if") { 4 } else { 2 };
        match () {
            () if is(0, "revoke") => {
                let on = (1..words.len()).find(|at| is(*at, "on"));
                let Some(on) = on else { return self.of_all = true };
                if is(on + 1, "database") {
                    self.databases.extend(names(on + 2));
                    self.prevents = true;
                }
            }
            () if is(0, "do") => (self.of_all, self.prevents) = (true, true),
            () if !is_any(0, &["alter", "drop"]) => {}
            () if is_any(1, &["role", "user", "group"]) => {
                let is_general =
                    is_any(2, &["all", "current_user", "current_role", "session_user"]);
                self.of_all |= is_general;
                self.roles.extend(names(first));
                self.prevents |= !has("set") && !has("reset");
            }
            () if is(1, "database") => {
                self.databases.extend(names(first));
                self.prevents |= !has("set") && !has("reset");
            }
            () => {}
        }
    }
}

#[cfg(test)]
mod tests;
