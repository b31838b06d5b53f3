//! What a session has set up on its connection, to set it up again on a new one.

use crate::pglog::sql::{self, Command};
use crate::pglog::statement::{Protocol, Statement};

/// Settings, prepared statements and channels of one session, in the order they were made.
#[derive(Debug, Default)]
pub struct Context {
    entries: Vec<Entry>,
    /// Changes of the open transaction: settings are undone when it is rolled back.
    staged: Vec<Change>,
    /// Whether the connection holds what can't be made again: see [`Context::is_bound`].
    bound: bool,
}

#[derive(Debug, Clone, PartialEq)]
struct Entry {
    key: Key,
    restore: Restore,
}

/// What one entry is about: a later one of the same key replaces it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Key {
    Setting(String),
    Prepared(String),
    Channel(String),
}

/// How an entry is made again.
#[derive(Debug, Clone, PartialEq)]
pub enum Restore {
    /// By this text, as a simple query.
    Text(Box<str>),
    /// By this request with parameters (`select set_config($1, …)`).
    Execute {
        /// Its text.
        sql: Box<str>,
        /// Its parameters.
        parameters: Vec<Option<Box<str>>>,
    },
    /// By a Parse message.
    Parse {
        /// The statement's name.
        name: Box<str>,
        /// Its text.
        sql: Box<str>,
    },
}

impl Restore {
    /// What a statement sets up, without the rest of it.
    pub fn of(statement: &Statement) -> impl Iterator<Item = Self> {
        changes(statement).map(|(text, _)| Self::by(text, statement))
    }

    fn by(text: &str, statement: &Statement) -> Self {
        match &statement.protocol {
            // The parameters of a PREPARE are those of its execution by a Bind message.
            Protocol::Extended { parameters, .. }
                if !parameters.is_empty()
                    && statement.outline.single() != Some(Command::Prepare) =>
            {
                Self::Execute { sql: statement.sql.clone(), parameters: parameters.clone() }
            }
            _ => Self::Text(text.into()),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Change {
    Put(Entry),
    Remove(Key),
    RemoveSettings,
    RemovePrepared,
    RemoveChannels,
    RemoveAll,
}

impl Context {
    /// Notes what a statement that succeeded on the target set up.
    pub fn note(&mut self, statement: &Statement) {
        self.bound |= statement.outline.binds_connection;
        self.staged.extend(changes(statement).map(|(_, change)| change));
    }

    /// Notes a statement that was prepared by a Parse message.
    pub fn note_parse(&mut self, name: &str, sql: &str) {
        let restore = Restore::Parse { name: name.into(), sql: sql.into() };
        self.apply(Change::Put(Entry { key: Key::Prepared(name.into()), restore }));
    }

    /// The transaction was committed, or the statement stood alone.
    pub fn commit(&mut self) {
        for change in std::mem::take(&mut self.staged) {
            self.apply(change);
        }
    }

    /// The transaction was rolled back. Prepared statements outlive that.
    pub fn roll_back(&mut self) {
        for change in std::mem::take(&mut self.staged) {
            let prepared = match &change {
                Change::Put(entry) => matches!(entry.key, Key::Prepared(_)),
                Change::Remove(key) => matches!(key, Key::Prepared(_)),
                Change::RemovePrepared => true,
                _ => false,
            };
            if prepared {
                self.apply(change);
            }
        }
    }

    /// The statement prepared under a name, as it was prepared: by SQL's PREPARE or a Parse message.
    pub fn prepared(&self, name: &str) -> Option<&str> {
        let staged = self.staged.iter().filter_map(|change| match change {
            Change::Put(entry) => Some(entry),
            _ => None,
        });
        let mut known = staged.rev().chain(self.entries.iter().rev());
        let key = Key::Prepared(name.to_owned());
        known.find(|entry| entry.key == key).map(|entry| match &entry.restore {
            Restore::Text(text) => &**text,
            Restore::Parse { sql, .. } | Restore::Execute { sql, .. } => &**sql,
        })
    }

    /// What to do on a new connection, in this order.
    pub fn restore(&self) -> impl Iterator<Item = &Restore> {
        self.entries.iter().map(|entry| &entry.restore)
    }

    /// Whether there is nothing to restore.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether the session may have made what is gone with its connection: temporary tables,
    /// advisory locks, cursors WITH HOLD. They may be gone by now; DISCARD ALL alone is sure.
    pub fn is_bound(&self) -> bool {
        self.bound
    }

    /// The connection is gone: so is the open transaction, and what can't be made again.
    pub fn disconnected(&mut self) {
        self.roll_back();
        self.bound = false;
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Put(entry) => {
                self.entries.retain(|known| known.key != entry.key);
                self.entries.push(entry);
            }
            Change::Remove(key) => self.entries.retain(|known| known.key != key),
            Change::RemoveSettings => {
                self.entries.retain(|known| !matches!(known.key, Key::Setting(_)));
            }
            Change::RemovePrepared => {
                self.entries.retain(|known| !matches!(known.key, Key::Prepared(_)));
            }
            Change::RemoveChannels => {
                self.entries.retain(|known| !matches!(known.key, Key::Channel(_)));
            }
            Change::RemoveAll => {
                self.entries.clear();
                self.bound = false;
            }
        }
    }
}

/// What a statement sets up, each with the part of its text that does. Few do anything, and the text of the
/// others is not looked at again.
fn changes(statement: &Statement) -> impl Iterator<Item = (&str, Change)> {
    let parts = statement.outline.parts.iter().filter(|part| part.command.sets_up_session());
    parts.filter_map(|part| {
        let text = &statement.sql[part.range.clone()];
        Some((text, change(text, part.command, statement)?))
    })
}

fn change(text: &str, command: Command, statement: &Statement) -> Option<Change> {
    let put = |key| Some(Change::Put(Entry { key, restore: Restore::by(text, statement) }));
    let words = sql::key(text, 3);
    let word = |at: usize| words.split(' ').nth(at).unwrap_or_default().to_owned();
    match command {
        Command::Set if word(0) == "reset" => match word(1).as_str() {
            "all" => Some(Change::RemoveSettings),
            name => Some(Change::Remove(Key::Setting(name.to_owned()))),
        },
        Command::Set => match word(1).as_str() {
            // SET SESSION AUTHORIZATION sets something; SESSION before a name is a noise word.
            "session" if word(2) != "authorization" => put(Key::Setting(word(2))),
            name => put(Key::Setting(name.to_owned())),
        },
        Command::SetConfig => put(Key::Setting(text.to_owned())),
        Command::Discard if word(1) == "all" => Some(Change::RemoveAll),
        Command::Prepare => sql::prepared_name(text).and_then(|name| put(Key::Prepared(name))),
        Command::Deallocate => Some(match sql::prepared_name(text) {
            Some(name) => Change::Remove(Key::Prepared(name)),
            None => Change::RemovePrepared,
        }),
        Command::Listen => put(Key::Channel(word(1))),
        Command::Unlisten if word(1) == "*" => Some(Change::RemoveChannels),
        Command::Unlisten => Some(Change::Remove(Key::Channel(word(1)))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pglog::sql::Outline;

    fn simple(sql: &str) -> Statement {
        Statement {
            sql: sql.into(),
            protocol: Protocol::Simple,
            outline: Outline::of(sql),
            duration_ms: None,
            exporter: None,
            logged_ms: 0,
        }
    }

    fn after(statements: &[&str]) -> Vec<String> {
        let mut context = Context::default();
        for sql in statements {
            match *sql {
                "COMMIT" => context.commit(),
                "ROLLBACK" => context.roll_back(),
                sql => context.note(&simple(sql)),
            }
        }
        let texts = context.restore().map(|restore| match restore {
            Restore::Text(text) => text.to_string(),
            other => format!("{other:?}"),
        });
        texts.collect()
    }

    #[test]
    fn the_last_of_each_setting_is_restored_in_order() {
        assert_eq!(
            after(&[
                "set search_path = a; set timezone = 'UTC'",
                "set session search_path = b",
                "prepare q as select 1",
                "listen ch",
                "COMMIT",
            ]),
            [
                "set timezone = 'UTC'",
                "set session search_path = b",
                "prepare q as select 1",
                "listen ch"
            ]
        );
    }

    #[test]
    fn a_rollback_undoes_settings_and_keeps_prepared_statements() {
        assert_eq!(
            after(&["set a = 1", "COMMIT", "set a = 2", "prepare q as select 1", "ROLLBACK"]),
            ["set a = 1", "prepare q as select 1"]
        );
    }

    #[test]
    fn what_is_reset_or_discarded_is_not_restored() {
        assert_eq!(after(&["set a = 1", "set b = 1", "reset a", "COMMIT"]), ["set b = 1"]);
        assert_eq!(after(&["set a = 1", "listen x", "reset all", "COMMIT"]), ["listen x"]);
        assert_eq!(after(&["prepare q as select 1", "deallocate all", "COMMIT"]), [""; 0]);
        assert_eq!(
            after(&["set a = 1", "prepare q as select 1", "discard all", "COMMIT"]),
            [""; 0]
        );
        assert_eq!(after(&["set local a = 1", "COMMIT"]), [""; 0]);
    }
}
