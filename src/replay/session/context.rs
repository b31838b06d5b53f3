//! What a session has set up on its connection, as PostgreSQL has it, to set it up again on a new one.
//!
//! Settings and channels follow the session's transactions: what a rollback undoes is undone here.
//! Prepared statements outlive it, as in PostgreSQL. Everything is made again by its value; no
//! statement is run again that may do anything else. What only the server knows it is asked for
//! (`inspection`).

use std::collections::{HashMap, HashSet};

use crate::pglog::statement::Statement;
use crate::sql::{
    self, CLIENT_ENCODING, Command, DURATION_SETTINGS, DurationSettings, Part, ROLE,
    SESSION_AUTHORIZATION, SettingChange, SettingValue, Verb,
};

mod inspection;
mod reading;
mod undo;

use inspection::LIMITS;
pub use inspection::{Limits, Routines};
use reading::ReadUnder;
use undo::UndoLog;

/// Settings, prepared statements and channels of one session.
#[derive(Debug, Default)]
pub struct Context {
    entries: HashMap<Key, Entry>,
    /// What the open transaction has changed of it.
    undo: UndoLog,
    /// How many entries have been made.
    made: u64,
    /// How often entries have changed.
    changes: u64,
    /// The names of custom settings that its statements mention: no list of the server has them.
    names: HashSet<Box<str>>,
    /// Something has been set whose value only the server knows.
    unknown: bool,
    /// Whether the connection holds what can't be made again: see [`Context::is_bound`].
    bound: bool,
    /// Whether there are entries of the open transaction alone.
    has_local: bool,
}

/// How many names of custom settings are remembered for a session. One that makes up a new name for
/// each of its statements never reads them again.
const NAMES: usize = 1000;

#[derive(Debug, Clone)]
struct Entry {
    /// Entries are made again in this order.
    order: u64,
    restore: Restore,
    /// Of a prepared statement: the settings that it was read under.
    under: ReadUnder,
}

/// What one entry is about: a later one of the same key replaces it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    /// By the setting's whole name, in lower case.
    Setting(Box<str>),
    /// One of [`DURATION_SETTINGS`] that the open transaction has set for itself.
    Local(Box<str>),
    Channel(Box<str>),
    Prepared(Box<str>),
}

impl Key {
    /// Whether it is a setting of an extension or an application. Once it has been mentioned it
    /// exists: nothing undoes that.
    fn is_custom(&self) -> bool {
        matches!(self, Self::Setting(name) if name.contains('.'))
    }

    /// Where it comes in a restore: first the settings, which the user who logged in could make, then
    /// who the session is and as whom it acts, then what it did as that one, and in what time.
    fn stage(&self) -> u8 {
        match self {
            Self::Setting(name) if **name == *SESSION_AUTHORIZATION => 1,
            Self::Setting(name) if **name == *ROLE => 2,
            // They would end what is made again behind them.
            Self::Setting(name) if LIMITS.contains(&&**name) => 4,
            Self::Setting(_) | Self::Local(_) => 0,
            Self::Prepared(_) | Self::Channel(_) => 3,
        }
    }
}

/// How an entry is made again.
#[derive(Debug, Clone, PartialEq)]
pub enum Restore {
    /// By this text, which does nothing else, as a simple query.
    Text(Box<str>),
    /// By giving a setting this value.
    Setting {
        /// Its whole name.
        name: Box<str>,
        /// Its value.
        value: Box<str>,
    },
    /// By making a custom setting exist: with the value that it has when a session begins, or else
    /// empty.
    Placeholder(Box<str>),
    /// By a Parse message.
    Parse {
        /// The statement's name.
        name: Box<str>,
        /// Its text.
        sql: Box<str>,
    },
}

impl Restore {
    /// Whether it changes who the session is or as whom it acts.
    pub fn sets_role(&self) -> bool {
        let sets = |name: &str| matches!(name, ROLE | SESSION_AUTHORIZATION);
        match self {
            Self::Setting { name, .. } => sets(name),
            Self::Text(text) => sql::setting_changes(text, Command::Set, &[])
                .iter()
                .any(|change| matches!(change, SettingChange::Set { name, .. } if sets(name))),
            Self::Placeholder(_) | Self::Parse { .. } => false,
        }
    }

    /// Which of [`DURATION_SETTINGS`] it sets.
    pub fn sets_durations(&self) -> DurationSettings {
        match self {
            Self::Setting { name: text, .. } | Self::Text(text) => DurationSettings::named_in(text),
            Self::Placeholder(_) | Self::Parse { .. } => DurationSettings::default(),
        }
    }

    /// A statement that sets it, and takes no snapshot.
    fn to_set(&self, how: &str) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.to_string()),
            Self::Setting { name, value } => {
                Some(format!("{how} {name} TO '{}'", value.replace('\'', "''")))
            }
            Self::Placeholder(_) | Self::Parse { .. } => None,
        }
    }
}

impl Context {
    /// Notes what the first `completed` statements of a string have set up. `failed` says that the
    /// transaction before it was aborted, so that ending it rolled it back.
    pub fn ran(&mut self, statement: &Statement, completed: usize, mut failed: bool) {
        if completed > 0 {
            self.bound |= statement.outline.binds_connection;
            self.note_names(statement);
        }
        // A string is split into tokens before the first of it is run.
        let prepares = statement.outline.has(|command| matches!(command, Command::Prepare));
        let lexed = if prepares { self.lexed_under() } else { ReadUnder::default() };
        for part in statement.outline.parts.iter().take(completed) {
            let text = &statement.sql[part.range.clone()];
            match part.command {
                Command::Savepoint => {
                    // A rollback to one makes the transaction a good one again.
                    failed &= sql::key(text, 1) != "rollback";
                    self.savepoint(text);
                }
                Command::Rollback => self.roll_back(),
                Command::Chain if statement.rolls_back() => self.roll_back(),
                Command::Commit | Command::PrepareTransaction | Command::Chain if failed => {
                    self.roll_back();
                }
                Command::Commit | Command::PrepareTransaction | Command::Chain => self.commit(),
                Command::Prepare => self.prepare(text, statement, &lexed),
                _ => self.note(text, part, statement),
            }
            failed &= !part.command.ends_transaction();
        }
    }

    /// What is needed to make again what this statement has set up, with nothing else of it.
    pub fn restore_of(statement: &Statement) -> Vec<Restore> {
        let mut one = Self::default();
        one.ran(statement, statement.outline.parts.len(), false);
        one.restore()
    }

    fn note_names(&mut self, statement: &Statement) {
        if !statement.outline.names_settings || self.names.len() >= NAMES {
            return;
        }
        for name in sql::custom_names(&statement.sql, statement.parameters()) {
            if !self.names.contains(name.as_str()) {
                self.names.insert(name.into());
            }
        }
    }

    fn note(&mut self, text: &str, part: &Part, statement: &Statement) {
        match part.command {
            Command::Deallocate => match sql::prepared_name(text) {
                Some(name) => self.forget(&Key::Prepared(name.into())),
                None => self.entries.retain(|key, _| !matches!(key, Key::Prepared(_))),
            },
            Command::Discard => self.discard(text),
            Command::Listen => {
                if let Some(channel) = sql::prepared_name(text) {
                    let restore = Restore::Text(text.into());
                    self.put(Key::Channel(channel.into()), restore);
                }
            }
            Command::Unlisten => match sql::prepared_name(text) {
                Some(channel) => self.remove(Key::Channel(channel.into())),
                None => self.remove_all(|key| matches!(key, Key::Channel(_))),
            },
            Command::Set | Command::SetLocal => self.change_settings(text, part, statement),
            _ if part.verb == Verb::PrepareExecute => self.execute(text),
            _ if statement.outline.names_settings => self.change_settings(text, part, statement),
            _ => {}
        }
    }

    fn change_settings(&mut self, text: &str, part: &Part, statement: &Statement) {
        for change in sql::setting_changes(text, part.command, statement.parameters()) {
            self.change_setting(change);
        }
    }

    fn change_setting(&mut self, change: SettingChange<'_>) {
        match change {
            SettingChange::Set { name, .. } if name == CLIENT_ENCODING => {}
            SettingChange::Set { name, value } => {
                if name == SESSION_AUTHORIZATION {
                    self.remove(Key::Setting(ROLE.into()));
                }
                let name: Box<str> = name.into();
                // What a backslash means, another setting may say by then.
                self.unknown |= matches!(value, SettingValue::Of(text) if text.contains('\\'));
                self.forget_local(&name);
                let restore = restore(name.clone(), value);
                self.put(Key::Setting(name), restore);
            }
            SettingChange::SetLocal { name, value } => {
                let name: Box<str> = name.into();
                self.exists(Key::Setting(name.clone()));
                if DURATION_SETTINGS.contains(&&*name)
                    && let Some(value) = value
                {
                    self.has_local = true;
                    self.put(Key::Local(name.clone()), restore(name, value));
                }
            }
            SettingChange::Reset(name) => {
                if name == SESSION_AUTHORIZATION {
                    self.remove(Key::Setting(ROLE.into()));
                }
                self.forget_local(&name);
                self.remove(Key::Setting(name.into()));
            }
            SettingChange::ResetAll => self.remove_all(|key| {
                matches!(key, Key::Setting(name) | Key::Local(name)
                    if **name != *ROLE && **name != *SESSION_AUTHORIZATION)
            }),
            SettingChange::Unknown => self.unknown = true,
        }
    }

    fn prepare(&mut self, text: &str, statement: &Statement, lexed: &ReadUnder) {
        // A Bind to what SQL's PREPARE made is logged with the PREPARE as its text.
        self.unknown |= statement.is_extended() && statement.outline.names_settings;
        if let Some(name) = sql::prepared_name(text) {
            let under = self.read_under(lexed.clone());
            self.put_prepared(name.into(), Restore::Text(text.into()), under);
        }
    }

    /// SQL's EXECUTE: what it runs stands in the PREPARE.
    fn execute(&mut self, text: &str) {
        let name = sql::prepared_name(text).map(|name| Key::Prepared(name.into()));
        let prepared = name.and_then(|name| self.entries.get(&name));
        if let Some(Entry {
            restore: Restore::Text(text) | Restore::Parse { sql: text, .. }, ..
        }) = prepared
        {
            self.unknown |= sql::Outline::of(text).names_settings;
        }
    }

    fn discard(&mut self, text: &str) {
        // ALL can't be run in a transaction: nothing will undo it.
        if sql::key(text, 2) == "discard all" {
            self.changes += 1;
            self.entries.retain(|key, _| key.is_custom());
            for key in self.entries.keys().cloned().collect::<Vec<_>>() {
                self.remove(key);
            }
            self.bound = false;
        }
    }

    /// Notes a statement that was prepared by a Parse message.
    pub fn note_parse(&mut self, name: &str, sql: &str) {
        let restore = Restore::Parse { name: name.into(), sql: sql.into() };
        let under = self.read_under(self.lexed_under());
        self.put_prepared(name.into(), restore, under);
    }

    fn savepoint(&mut self, text: &str) {
        let name = sql::identifier(sql::last_token(text));
        match sql::key(text, 1).as_str() {
            "savepoint" => self.undo.savepoint(name),
            "release" => self.undo.release(&name),
            _ => {
                let undone = self.undo.roll_back_to(&name);
                self.undo_entries(undone);
            }
        }
    }

    /// The statement prepared under a name, as it was prepared: by SQL's PREPARE or a Parse message.
    pub fn prepared(&self, name: &str) -> Option<&str> {
        match &self.entries.get(&Key::Prepared(name.into()))?.restore {
            Restore::Text(text) => Some(text),
            Restore::Parse { sql, .. } => Some(sql),
            Restore::Setting { .. } | Restore::Placeholder(_) => None,
        }
    }

    /// A setting was set, which a `SET LOCAL` before is not seen behind.
    fn forget_local(&mut self, name: &str) {
        if self.has_local {
            self.remove(Key::Local(name.into()));
        }
    }

    /// Statements that give these settings the session's own values, without a question.
    pub fn own_settings(&self, names: &[&str]) -> String {
        let own = |name: &str| {
            let local = self.entries.get(&Key::Local(name.into()));
            let local = local.and_then(|entry| entry.restore.to_set("SET LOCAL"));
            let set = self.entries.get(&Key::Setting(name.into()));
            let set = || set.and_then(|entry| entry.restore.to_set("SET"));
            local.or_else(set).unwrap_or_else(|| format!("RESET {name}"))
        };
        names.iter().map(|name| own(name)).collect::<Vec<_>>().join("; ")
    }

    /// Whether the session has set this, as far as is known.
    pub fn has_set(&self, name: &str) -> bool {
        let entry = self.entries.get(&Key::Setting(name.into()));
        entry.is_some_and(|entry| !matches!(entry.restore, Restore::Placeholder(_)))
    }

    /// Whether the session acts as another role than the one who logged in, as far as is known.
    pub fn acts_as_another(&self) -> bool {
        let is_none = |text: &str| sql::last_token(text).eq_ignore_ascii_case("none");
        [ROLE, SESSION_AUTHORIZATION].into_iter().any(|name| {
            let entry = self.entries.get(&Key::Setting(name.into()));
            entry.is_some_and(|entry| match &entry.restore {
                Restore::Text(text) => !is_none(text),
                _ => true,
            })
        })
    }

    /// The transaction was committed, or the statement stood alone.
    pub fn commit(&mut self) {
        self.undo.clear();
        if std::mem::take(&mut self.has_local) {
            self.entries.retain(|key, _| !matches!(key, Key::Local(_)));
        }
    }

    /// The transaction was rolled back. Prepared statements outlive that.
    pub fn roll_back(&mut self) {
        let undone = self.undo.roll_back();
        self.undo_entries(undone);
    }

    fn undo_entries(&mut self, undone: Vec<(Key, Option<Entry>)>) {
        self.changes += u64::from(!undone.is_empty());
        for (key, before) in undone {
            match before {
                Some(entry) => drop(self.entries.insert(key, entry)),
                None => {
                    self.entries.remove(&key);
                    self.exists(key);
                }
            }
        }
    }

    fn put(&mut self, key: Key, restore: Restore) {
        self.made += 1;
        self.changes += 1;
        let entry = Entry { order: self.made, restore, under: ReadUnder::default() };
        let before = self.entries.insert(key.clone(), entry);
        self.undo.note(key, before);
    }

    /// Nothing undoes a PREPARE.
    fn put_prepared(&mut self, name: Box<str>, restore: Restore, under: ReadUnder) {
        self.made += 1;
        self.entries.insert(Key::Prepared(name), Entry { order: self.made, restore, under });
    }

    fn remove(&mut self, key: Key) {
        self.changes += 1;
        let before = self.entries.remove(&key);
        self.exists(key.clone());
        self.undo.note(key, before);
    }

    fn remove_all(&mut self, which: impl Fn(&Key) -> bool) {
        let keys: Vec<Key> = self.entries.keys().filter(|key| which(key)).cloned().collect();
        keys.into_iter().for_each(|key| self.remove(key));
    }

    fn forget(&mut self, key: &Key) {
        self.entries.remove(key);
    }

    /// A custom setting that was mentioned exists from then on, and is empty where nothing has set it.
    fn exists(&mut self, key: Key) {
        if let Key::Setting(name) = &key
            && key.is_custom()
            && !self.entries.contains_key(&key)
        {
            self.made += 1;
            let restore = Restore::Placeholder(name.clone());
            let under = ReadUnder::default();
            self.entries.insert(key, Entry { order: self.made, restore, under });
        }
    }

    /// What to do on a new connection, in this order.
    pub fn restore(&self) -> Vec<Restore> {
        let mut entries: Vec<_> = self.entries.iter().collect();
        entries.sort_unstable_by_key(|(key, entry)| (key.stage(), entry.order));
        self.restore_as_read(entries.into_iter().map(|(_, entry)| entry))
    }

    /// How often its settings may have changed.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// What of it decides how a statement is planned, in the order in which it is to be made: settings,
    /// and as whom the session acts; not its limits on time.
    pub fn settings(&self) -> Vec<Restore> {
        let is_one = |(key, _): &(&Key, &Entry)| matches!(key, Key::Setting(_)) && key.stage() < 3;
        let mut entries: Vec<_> = self.entries.iter().filter(is_one).collect();
        entries.sort_unstable_by_key(|(key, entry)| (key.stage(), entry.order));
        entries.into_iter().map(|(_, entry)| entry.restore.clone()).collect()
    }

    /// Whether there is nothing to restore.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether the session may have made what is gone with its connection: temporary tables,
    /// advisory locks, cursors WITH HOLD. As far as its words tell, until the server is asked.
    pub fn is_bound(&self) -> bool {
        self.bound
    }

    /// Whether something has been set that only the server knows.
    pub fn is_unknown(&self) -> bool {
        self.unknown
    }

    /// The server can't be asked: what it alone knows stays so.
    pub fn give_up_unknown(&mut self) {
        self.unknown = false;
    }

    /// The connection is gone: so is the open transaction, and what can't be made again.
    pub fn disconnected(&mut self) {
        self.roll_back();
        (self.bound, self.unknown) = (false, false);
    }
}

/// How a setting is given a value.
fn restore(name: Box<str>, value: SettingValue<'_>) -> Restore {
    match value {
        SettingValue::Of(text) => Restore::Text(text.into()),
        SettingValue::Text(value) => Restore::Setting { name, value: value.into() },
    }
}

#[cfg(test)]
mod tests;
