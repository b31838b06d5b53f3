//! What a session's earlier statements make of its later ones: where names lead, what EXECUTE runs,
//! which tables are its own, what its transaction sees. In the order of the log.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::catalog::Catalog;
use super::literals::{Call, Read, Value};
use super::values;

/// What a statement changes of its session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    /// `BEGIN`; whether the transaction keeps its snapshot, where that is said.
    Begin(Option<bool>),
    Commit {
        chains: bool,
    },
    Rollback {
        chains: bool,
    },
    Savepoint(Box<str>),
    Release(Box<str>),
    RollbackTo(Box<str>),
    /// `SET TRANSACTION ISOLATION LEVEL`.
    Isolate(bool),
    /// `SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL`.
    IsolateAll(bool),
    /// `SET`; no values: to the default.
    Set {
        setting: Setting,
        values: Vec<Value>,
        is_local: bool,
    },
    /// `set_config`.
    SetConfig {
        name: Value,
        value: Value,
        is_local: Value,
    },
    ResetAll,
    DiscardAll,
    DiscardTemporary,
    Prepare {
        name: Box<str>,
    },
    Execute {
        name: Box<str>,
        arguments: Vec<Option<Value>>,
    },
    /// No name: all.
    Deallocate(Option<Box<str>>),
    CreateTemporary {
        name: Box<str>,
        until_commit: bool,
    },
    DropTemporary(Box<str>),
}

/// A setting that footprints depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Setting {
    Path,
    /// The isolation of the transactions to come.
    DefaultIsolation,
    /// The isolation of this one.
    Isolation,
    /// `role` and `session_authorization`, which `"$user"` stands for.
    User,
    /// `standard_conforming_strings`: whether a backslash in a literal stands for itself.
    Backslashes,
}

impl Setting {
    pub(super) fn named(name: &str) -> Option<Self> {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if is("search_path") {
            Some(Self::Path)
        } else if is("default_transaction_isolation") {
            Some(Self::DefaultIsolation)
        } else if is("transaction_isolation") {
            Some(Self::Isolation)
        } else if is("role") || is("session_authorization") {
            Some(Self::User)
        } else if is(BACKSLASHES) {
            Some(Self::Backslashes)
        } else {
            None
        }
    }
}

/// The schema that a name leads to which can't be read: there is none, so what is looked up in it is
/// a barrier.
const NOWHERE: &str = "\0";

const BACKSLASHES: &str = "standard_conforming_strings";

/// Settings that differ from those of a new session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Settings {
    path: Option<Vec<Box<str>>>,
    keeps_snapshot: Option<bool>,
    user: Option<Box<str>>,
    /// Whether backslashes in literals stand for themselves.
    plain_backslashes: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Temporary {
    name: Box<str>,
    until_commit: bool,
}

#[derive(Debug)]
struct Transaction {
    keeps_snapshot: bool,
    has_failed: bool,
    /// Whether it has exported a snapshot, which lasts as long as it does.
    has_exported: bool,
    /// What a rollback brings back.
    before: (Settings, Vec<Temporary>),
    savepoints: Vec<Savepoint>,
}

/// What a rollback to it brings back.
#[derive(Debug)]
struct Savepoint {
    name: Box<str>,
    settings: Settings,
    lasting: Settings,
    temporary: Vec<Temporary>,
}

/// One session of the source.
#[derive(Debug)]
pub(super) struct Session {
    user: Box<str>,
    pub(super) database: u32,
    /// What holds now, and what of it outlasts the transaction.
    settings: Settings,
    lasting: Settings,
    temporary: Vec<Temporary>,
    prepared: HashMap<Box<str>, Arc<str>>,
    transaction: Option<Transaction>,
    /// The schemas that names are looked up in.
    path: Vec<Box<str>>,
    /// Whether one of them has the user's own name.
    follows_user: bool,
    /// A hash of everything that a text's meaning depends on.
    environment: u64,
    /// The catalog that the path was made with.
    generation: Option<u64>,
}

impl Session {
    pub(super) fn new(user: &str, database: u32) -> Self {
        Self {
            user: user.into(),
            database,
            settings: Settings::default(),
            lasting: Settings::default(),
            temporary: Vec::new(),
            prepared: HashMap::new(),
            transaction: None,
            path: Vec::new(),
            follows_user: false,
            environment: 0,
            generation: None,
        }
    }

    /// Brings the path up to date with a catalog.
    pub(super) fn look_at(&mut self, catalog: &Catalog, generation: u64) {
        if self.generation == Some(generation) {
            return;
        }
        self.generation = Some(generation);
        let user = self.settings.user.as_ref().unwrap_or(&self.user);
        let schemas = match &self.settings.path {
            Some(path) => path.clone(),
            // A setting of the role that logged in.
            None => {
                schemas(catalog.setting(&self.user, "search_path").unwrap_or("\"$user\", public"))
            }
        };
        let own = |schema: Box<str>| if &*schema == "$user" { user.clone() } else { schema };
        self.path = schemas.into_iter().map(own).collect();
        let mut hasher = values::hasher();
        let user = self.settings.user.as_ref().unwrap_or(&self.user);
        self.follows_user = self.path.contains(user) && catalog.has_schema(user);
        (self.database, generation, &self.path).hash(&mut hasher);
        (self.follows_user, self.escapes_by_backslash(catalog)).hash(&mut hasher);
        self.temporary.iter().for_each(|table| table.name.hash(&mut hasher));
        self.environment = hasher.finish();
    }

    pub(super) fn path(&self) -> &[Box<str>] {
        &self.path
    }

    pub(super) fn follows_user(&self) -> bool {
        self.follows_user
    }

    pub(super) fn environment(&self) -> u64 {
        self.environment
    }

    pub(super) fn is_temporary(&self, name: &str) -> bool {
        self.temporary.iter().any(|table| &*table.name == name)
    }

    pub(super) fn prepared(&self, name: &str) -> Option<Arc<str>> {
        self.prepared.get(name).cloned()
    }

    pub(super) fn prepare(&mut self, name: &str, sql: &str) {
        self.prepared.insert(name.into(), sql.into());
    }

    /// Whether backslashes escape in literals that do not say so (`E''`), which no text is read by.
    pub(super) fn escapes_by_backslash(&self, catalog: &Catalog) -> bool {
        let default = || catalog.setting(&self.user, BACKSLASHES).is_none_or(is_on);
        !self.settings.plain_backslashes.unwrap_or_else(default)
    }

    /// A statement failed: the transaction is aborted.
    pub(super) fn fail(&mut self) {
        if let Some(transaction) = &mut self.transaction {
            transaction.has_failed = true;
        }
    }

    /// Whether it matters to this statement which transactions have been committed before: the first
    /// one fixes what its transaction sees from now on, and of a serializable one each may fail for
    /// what others have committed meanwhile, whatever it reads.
    pub(super) fn uses_fixed_snapshot(&self) -> bool {
        self.transaction.as_ref().is_some_and(|transaction| transaction.keeps_snapshot)
    }

    /// Whether its transaction has exported a snapshot.
    pub(super) fn has_exported(&self) -> bool {
        self.transaction.as_ref().is_some_and(|transaction| transaction.has_exported)
    }

    /// Its transaction has exported a snapshot.
    pub(super) fn export(&mut self) {
        if let Some(transaction) = &mut self.transaction {
            transaction.has_exported = true;
        }
    }

    /// A request has been dealt with: what was local to it goes, unless a transaction is open.
    pub(super) fn end_request(&mut self) {
        if self.transaction.is_none() && self.settings != self.lasting {
            self.settings = self.lasting.clone();
            self.generation = None;
        }
    }

    /// Takes note of what a statement changed, those of prepared statements aside.
    pub(super) fn apply(&mut self, effect: &Effect, call: Call<'_>, catalog: &Catalog) {
        self.generation = None;
        match effect {
            Effect::Begin(keeps) => self.begin(*keeps, catalog),
            Effect::Commit { chains } => self.end(true, *chains),
            Effect::Rollback { chains } => self.end(false, *chains),
            Effect::Savepoint(name) => self.savepoint(name),
            Effect::Release(name) => {
                if let Some(open) = &mut self.transaction
                    && let Some(at) = open.savepoint(name)
                {
                    open.savepoints.truncate(at);
                }
            }
            Effect::RollbackTo(name) => self.roll_back_to(name),
            Effect::Isolate(keeps) => self.isolate(*keeps),
            Effect::IsolateAll(keeps) => {
                self.settings.keeps_snapshot = Some(*keeps);
                self.lasting.keeps_snapshot = Some(*keeps);
            }
            Effect::Set { setting, values, is_local } => {
                let values: Vec<String> = values
                    .iter()
                    .map(|value| match call.read(value) {
                        Read::Text(text) => text.into_owned(),
                        Read::Null | Read::Unknown => NOWHERE.to_owned(),
                    })
                    .collect();
                self.set(*setting, values, *is_local);
            }
            Effect::SetConfig { name, value, is_local } => {
                let text = |value| match call.read(value) {
                    Read::Text(text) => Some(text.into_owned()),
                    Read::Null => None,
                    Read::Unknown => Some(NOWHERE.to_owned()),
                };
                let setting = text(name).and_then(|name| Setting::named(&name));
                if let (Some(setting), Some(value)) = (setting, text(value)) {
                    let values = match setting {
                        Setting::Path => schemas(&value).into_iter().map(String::from).collect(),
                        _ => vec![value],
                    };
                    let is_local =
                        text(is_local).is_some_and(|local| local.starts_with(['t', '1']));
                    self.set(setting, values, is_local);
                }
            }
            Effect::ResetAll => self.reset(),
            Effect::DiscardAll => {
                self.reset();
                self.settings.user = None;
                self.lasting.user = None;
                self.prepared.clear();
                self.temporary.clear();
            }
            Effect::DiscardTemporary => self.temporary.clear(),
            Effect::Deallocate(None) => self.prepared.clear(),
            Effect::Deallocate(Some(name)) => {
                self.prepared.remove(name);
            }
            Effect::CreateTemporary { name, until_commit } => {
                // Outside of a transaction, one that goes at the commit is gone at once.
                let stays = !*until_commit || self.transaction.is_some();
                if stays && !self.is_temporary(name) {
                    let table = Temporary { name: name.clone(), until_commit: *until_commit };
                    self.temporary.push(table);
                }
            }
            Effect::DropTemporary(name) => self.temporary.retain(|table| table.name != *name),
            Effect::Prepare { .. } | Effect::Execute { .. } => {}
        }
    }

    fn begin(&mut self, keeps: Option<bool>, catalog: &Catalog) {
        if self.transaction.is_some() {
            // BEGIN inside of a transaction is but warned of.
            return keeps.into_iter().for_each(|keeps| self.isolate(keeps));
        }
        let default = || {
            self.settings.keeps_snapshot.unwrap_or_else(|| {
                let name = "default_transaction_isolation";
                catalog.setting(&self.user, name).is_some_and(keeps_snapshot)
            })
        };
        self.transaction = Some(Transaction {
            keeps_snapshot: keeps.unwrap_or_else(default),
            has_failed: false,
            has_exported: false,
            before: (self.lasting.clone(), self.temporary.clone()),
            savepoints: Vec::new(),
        });
    }

    fn end(&mut self, commits: bool, chains: bool) {
        let Some(transaction) = self.transaction.take() else { return };
        if commits && !transaction.has_failed {
            self.temporary.retain(|table| !table.until_commit);
        } else {
            (self.lasting, self.temporary) = transaction.before;
        }
        self.settings = self.lasting.clone();
        if chains {
            self.transaction = Some(Transaction {
                keeps_snapshot: transaction.keeps_snapshot,
                has_failed: false,
                has_exported: false,
                before: (self.lasting.clone(), self.temporary.clone()),
                savepoints: Vec::new(),
            });
        }
    }

    fn savepoint(&mut self, name: &str) {
        if let Some(transaction) = &mut self.transaction {
            transaction.savepoints.push(Savepoint {
                name: name.into(),
                settings: self.settings.clone(),
                lasting: self.lasting.clone(),
                temporary: self.temporary.clone(),
            });
        }
    }

    /// The savepoint stays, for the next rollback to it.
    fn roll_back_to(&mut self, name: &str) {
        let Some(transaction) = &mut self.transaction else { return };
        let Some(at) = transaction.savepoint(name) else { return };
        transaction.savepoints.truncate(at + 1);
        transaction.has_failed = false;
        let savepoint = &transaction.savepoints[at];
        self.settings = savepoint.settings.clone();
        self.lasting = savepoint.lasting.clone();
        self.temporary = savepoint.temporary.clone();
    }

    fn isolate(&mut self, keeps: bool) {
        if let Some(transaction) = &mut self.transaction {
            transaction.keeps_snapshot = keeps;
        }
    }

    fn set(&mut self, setting: Setting, mut values: Vec<String>, is_local: bool) {
        if setting == Setting::Isolation {
            return values.pop().into_iter().for_each(|level| self.isolate(keeps_snapshot(&level)));
        }
        let all = [&mut self.settings, &mut self.lasting];
        let settings = all.into_iter().take(if is_local { 1 } else { 2 });
        match setting {
            Setting::Path => {
                let path: Vec<Box<str>> = values.into_iter().map(Into::into).collect();
                settings.for_each(|settings| {
                    settings.path = (!path.is_empty()).then(|| path.clone());
                });
            }
            Setting::DefaultIsolation => {
                let keeps = values.pop().map(|level| keeps_snapshot(&level));
                settings.for_each(|settings| settings.keeps_snapshot = keeps);
            }
            Setting::Isolation => {}
            Setting::Backslashes => {
                let plain = values.pop().map(|value| is_on(&value));
                settings.for_each(|settings| settings.plain_backslashes = plain);
            }
            Setting::User => {
                let user = values.pop().filter(|user| user != "none" && user != "default");
                settings.for_each(|settings| settings.user = user.as_deref().map(Into::into));
            }
        }
    }

    fn reset(&mut self) {
        // RESET ALL leaves the role alone.
        for settings in [&mut self.settings, &mut self.lasting] {
            settings.path = None;
            settings.keeps_snapshot = None;
            settings.plain_backslashes = None;
        }
    }
}

impl Transaction {
    fn savepoint(&self, name: &str) -> Option<usize> {
        self.savepoints.iter().rposition(|savepoint| *savepoint.name == *name)
    }
}

/// Whether a setting's text surely means yes; it is the other way that has to be careful.
fn is_on(value: &str) -> bool {
    ["on", "true", "yes", "1"].iter().any(|on| value.eq_ignore_ascii_case(on))
}

/// Whether a transaction of this isolation level sees what was there at its first statement.
pub(super) fn keeps_snapshot(level: &str) -> bool {
    level.eq_ignore_ascii_case("repeatable read") || level.eq_ignore_ascii_case("serializable")
}

/// The schemas of a `search_path` as a setting's text holds it.
pub(super) fn schemas(path: &str) -> Vec<Box<str>> {
    // An empty path is written as one empty name.
    let name = |part: &str| -> Box<str> {
        let part = part.trim();
        match part.strip_prefix('"').and_then(|part| part.strip_suffix('"')) {
            Some(quoted) => quoted.replace("\"\"", "\"").into(),
            None => part.to_ascii_lowercase().into(),
        }
    };
    let mut parts = vec![String::new()];
    let mut is_quoted = false;
    for char in path.chars() {
        match char {
            ',' if !is_quoted => parts.push(String::new()),
            _ => {
                is_quoted ^= char == '"';
                parts.last_mut().expect("never empty").push(char);
            }
        }
    }
    parts.iter().map(|part| name(part)).collect()
}
