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
mod tests {
    use super::{AlteredLogins, altered_logins, vacated_database};
    use crate::sql::Outline;

    #[test]
    fn a_database_that_nobody_may_be_connected_to_is_told_by_its_name() {
        for (sql, database) in [
            ("drop database Shop", Some("shop")),
            ("/* x */ DROP DATABASE IF EXISTS \"a\"\"B\" WITH (FORCE)", Some("a\"B")),
            ("alter database a rename to b", Some("a")),
            ("alter database a set tablespace t", Some("a")),
            ("alter database a set search_path = b", None),
            ("create database a template b", Some("b")),
            ("create database a with owner = o template = 'B' encoding 'UTF8'", Some("B")),
            ("create database a", None),
            ("drop table database", None),
            ("drop database", None),
            ("", None),
        ] {
            assert_eq!(vacated_database(sql).as_deref(), database, "{sql}");
        }
    }

    #[test]
    fn whose_log_ins_are_altered_is_told_by_names() {
        let of = |sql| {
            let AlteredLogins { of_all, roles, databases, prevents } = altered_logins(sql);
            (of_all, roles.join("|"), databases.join("|"), prevents)
        };
        for (sql, all, roles, databases, prevents) in [
            ("alter role Shop set search_path = a, b", false, "shop", "", false),
            ("alter user \"A\" in database d reset all", false, "A", "", false),
            ("alter role r rename to q", false, "r", "", true),
            ("alter role r nologin", false, "r", "", true),
            ("alter role all set work_mem = '8MB'", true, "all", "", false),
            ("drop role if exists a, \"b c\", d", false, "a|b c|d", "", true),
            ("alter database x rename to y; drop database z with (force)", false, "", "x|z", true),
            ("alter database x set timezone = 'UTC'", false, "", "x", false),
            ("revoke connect on database a, b from public", false, "", "a|b", true),
            ("revoke all on t from r", false, "", "", false),
            ("revoke staff from r", true, "", "", false),
            ("do $$ begin execute 'drop role ' || x; end $$", true, "", "", true),
            ("create database d", false, "", "", false),
            ("alter system set work_mem = '8MB'", false, "", "", false),
            ("", false, "", "", false),
        ] {
            let right = (all, roles.to_owned(), databases.to_owned(), prevents);
            assert_eq!(of(sql), right, "{sql}");
        }
        let altered = altered_logins("alter role r rename to q; drop database d");
        assert!(altered.has("r", "x") && altered.has("x", "d") && !altered.has("d", "r"));
    }

    #[test]
    fn what_changes_a_log_in_is_told_by_its_words() {
        let (adds, alters, neither) = ((true, false), (true, true), (false, false));
        for (sql, changes) in [
            ("create database shop", alters),
            ("/* by hand */ CREATE ROLE clerk LOGIN", adds),
            ("create user clerk", adds),
            ("alter user clerk password 'x'", alters),
            ("alter role all set search_path = a", alters),
            ("alter database a rename to b", alters),
            ("drop group g", alters),
            ("alter system set work_mem = '8MB'", alters),
            ("grant staff to clerk", adds),
            ("revoke connect on database shop from public", alters),
            ("begin; drop role clerk; commit", alters),
            ("do $$ begin execute 'create role ' || x; end $$", alters),
            ("do $$ begin perform 1; end $$", neither),
            ("create table role (a int)", neither),
            ("select 'create role x'", neither),
            ("insert into t values ('do', 'create role x')", neither),
            ("create \"role\" x", neither),
            ("", neither),
        ] {
            let outline = Outline::of(sql);
            assert_eq!((outline.changes_logins, outline.alters_logins), changes, "{sql}");
        }
    }
}
