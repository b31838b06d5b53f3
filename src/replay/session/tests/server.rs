//! A model of a server: transactions, savepoints and prepared statements, and effects that show what
//! was committed, how often and in which order.

use crate::replay::session::request::{ParseMode, Took};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use super::*;
use crate::sql::prepared_name;

/// `insert N` or `insert … (N)` has the effect N; `fail CODE` fails; `defer CODE` fails at the commit;
/// `export N` has the effect N, but fails behind a savepoint;
/// `become other` acts as a role that may set nothing of kreplay's, `become oneself` ends that;
/// `call N` commits what is open and its own effect N; `untypable …`
/// can't be parsed without types, `unparsable` never. What
/// [`Server::clashes`] with others fails so many times before it does what it says.
#[derive(Debug, Default)]
pub(super) struct Server {
    /// The effects of committed transactions.
    pub committed: Vec<u64>,
    /// The effects of all inserts that ran, which drew from a sequence.
    pub drawn: Vec<u64>,
    status: Status,
    /// Whether a pipeline waits for its Sync, and whether everything up to that is skipped.
    is_pipelining: bool,
    skips: bool,
    /// The effects of the open one.
    open: Vec<u64>,
    deferred: Option<SqlState>,
    savepoints: Vec<usize>,
    prepared: HashMap<String, String>,
    /// Prepared statements whose result has changed since.
    stale: HashSet<String>,
    /// How statements fail for what happens around them, and how often they still will.
    clashes: HashMap<String, (SqlState, usize)>,
    /// The settings by which durations are told.
    settings: Settings,
    /// What each statement that shows `client_min_messages` saw last, by its place.
    pub shown: BTreeMap<u64, String>,
    /// Whether a temporary table is there, or something else that is gone with the connection.
    pub bound: bool,
}

type Failed = (SqlState, bool);

impl Server {
    /// The connection ends: what was not committed is gone.
    pub(super) fn disconnect(&mut self) {
        *self = Self {
            committed: std::mem::take(&mut self.committed),
            drawn: std::mem::take(&mut self.drawn),
            clashes: std::mem::take(&mut self.clashes),
            shown: std::mem::take(&mut self.shown),
            ..Self::default()
        };
    }

    /// This statement fails so many times before it does what it says.
    pub(super) fn clashes(&mut self, sql: &str, code: &str, times: usize) {
        self.clashes.insert(sql.to_owned(), (state(code), times));
    }

    /// What this text gives has changed: who has it prepared is refused.
    pub(super) fn stale(&mut self, sql: &str) {
        let prepared = self.prepared.iter().filter(|(_, text)| *text == sql);
        self.stale.extend(prepared.map(|(name, _)| name.clone()));
    }

    pub(super) fn answer(&mut self, request: &Request) -> Answer {
        let (result, stays_open) = match request {
            Request::Sync => (Ok(()), false),
            Request::Pipelined { request, syncs } => {
                assert!(!self.skips, "it is skipped, and nothing answers: {request:?}");
                (self.run(request), !syncs)
            }
            request => {
                assert!(!self.is_pipelining, "a pipeline is open: {request:?}");
                (self.run(request), false)
            }
        };
        self.is_pipelining = stays_open;
        self.skips = stays_open && result.is_err();
        let result = match result {
            Ok(()) if !stays_open => self.implicit_commit(),
            result => result,
        };
        if result.is_err() {
            match self.status {
                Status::Idle => {
                    self.open.clear();
                    self.deferred = None;
                }
                _ => self.status = Status::Failed,
            }
        }
        // Of a pipeline that is open, nothing is told.
        let status = if stays_open { Status::default() } else { self.status };
        let rows = match request {
            Request::Inspect(_) => self.state(),
            _ => Vec::new(),
        };
        let error = result.err();
        let tells = error.is_none() && !stays_open && self.settings.tells();
        let took = Took { on_server: tells.then_some(Duration::ZERO), ..Took::default() };
        Answer { status, error, rows, took, ..Answer::default() }
    }

    fn run(&mut self, request: &Request) -> Result<(), Failed> {
        match request {
            Request::Text(text) => self.string(text),
            Request::Simple(work) => {
                let result = self.string(&work.statement.sql);
                if result.is_ok() && work.statement.sql.starts_with("SHOW") {
                    self.shown.insert(work.seq.0, self.settings.now.client.clone());
                }
                result
            }
            Request::ParseOnly(work) | Request::BindOnly(work) => {
                self.parse(&work.statement.sql, &[])
            }
            Request::Extended { work, parse, types } => self.extended(work, *parse, types),
            Request::DrawOnly { work, types, limits, failure } => self
                .string(limits)
                .and_then(|()| self.parse(&work.statement.sql, types))
                .and_then(|()| self.statement(&work.statement.sql))
                .and_then(|()| self.string(failure)),
            Request::Restore(Restore::Text(text)) => self.string(text),
            Request::Restore(Restore::Setting { .. } | Restore::Placeholder(_))
            | Request::Inspect(_) => Ok(()),
            Request::Restore(Restore::Parse { name, sql }) => {
                self.prepared.insert(name.to_string(), sql.to_string());
                self.parse(sql, &[])
            }
            Request::Pipelined { .. } | Request::Sync => panic!("within another: {request:?}"),
        }
    }

    fn state(&self) -> Vec<ResultRow> {
        let row = |kind: &str, name: &str| vec![Some(kind.into()), Some(name.into()), None];
        let prepared = self.prepared.keys().map(|name| row("parsed", name));
        prepared.chain(self.bound.then(|| row("bound", "temporary objects"))).collect()
    }

    fn implicit_commit(&mut self) -> Result<(), Failed> {
        if self.status == Status::Idle { self.commit() } else { Ok(()) }
    }

    fn roll_back(&mut self) {
        self.status = Status::Idle;
        self.open.clear();
        self.savepoints.clear();
        self.deferred = None;
        self.settings.end(false);
    }

    fn commit(&mut self) -> Result<(), Failed> {
        let open = std::mem::take(&mut self.open);
        let failed = std::mem::replace(&mut self.status, Status::Idle) == Status::Failed;
        self.savepoints.clear();
        self.settings.end(!failed && self.deferred.is_none());
        match self.deferred.take() {
            Some(code) if !failed => Err((code, false)),
            _ => {
                self.committed.extend(open.into_iter().filter(|_| !failed));
                Ok(())
            }
        }
    }

    fn parse(&self, sql: &str, types: &[u32]) -> Result<(), Failed> {
        if self.status == Status::Failed && !Outline::of(sql).has(Command::ends_transaction) {
            return Err((SqlState::IN_FAILED_TRANSACTION, true));
        }
        match sql.split_once(' ').unwrap_or((sql, "")) {
            ("untypable", _) if types.is_empty() => Err((state("42P18"), true)),
            ("unparsable", _) => Err((state("42601"), true)),
            ("fail", "42601") => Err((state("42601"), true)),
            _ => Ok(()),
        }
    }

    fn extended(&mut self, work: &Work, parse: ParseMode, types: &[u32]) -> Result<(), Failed> {
        let Protocol::Extended { name, .. } = &work.statement.protocol else { panic!("{work:?}") };
        let sql = &*work.statement.sql;
        match parse {
            ParseMode::Prepared if !self.prepared.contains_key(&**name) => {
                return Err((state("26000"), true));
            }
            ParseMode::Prepared if self.stale.contains(&**name) => {
                return Err((SqlState::FEATURE_NOT_SUPPORTED, true));
            }
            ParseMode::Prepared => {}
            ParseMode::Named | ParseMode::Unnamed => {
                self.prepared.remove(&**name);
                self.parse(sql, types)?;
                self.prepared.insert(name.to_string(), sql.to_owned());
                self.stale.remove(&**name);
            }
        }
        if self.status == Status::Failed && !work.statement.outline.has(Command::ends_transaction) {
            return Err((SqlState::IN_FAILED_TRANSACTION, true));
        }
        self.statement(sql)
    }

    fn string(&mut self, sql: &str) -> Result<(), Failed> {
        for part in Outline::of(sql).parts {
            self.statement(&sql[part.range])?;
        }
        Ok(())
    }

    fn statement(&mut self, sql: &str) -> Result<(), Failed> {
        let sql = sql.strip_prefix("untypable ").unwrap_or(sql);
        let outline = Outline::of(sql);
        let command = outline.single().expect("one statement");
        let back = sql.to_ascii_lowercase().starts_with("rollback");
        if self.status == Status::Failed
            && !command.ends_transaction()
            && !(command == Command::Savepoint && back)
        {
            return Err((SqlState::IN_FAILED_TRANSACTION, false));
        }
        if let Some((code, times)) = self.clashes.get_mut(sql)
            && *times > 0
        {
            *times -= 1;
            let code = *code;
            if command.ends_transaction() {
                self.roll_back();
            }
            return Err((code, false));
        }
        match command {
            Command::Begin => {
                self.status = Status::InTransaction;
                self.settings.begin();
            }
            Command::Chain if self.status == Status::Idle => return Err((state("25P01"), false)),
            Command::Commit | Command::Rollback | Command::Chain => {
                if back {
                    self.open.clear();
                    self.deferred = None;
                    self.settings.end(false);
                }
                self.commit()?;
                if command == Command::Chain {
                    self.status = Status::InTransaction;
                    self.settings.begin();
                }
            }
            Command::Savepoint if back => {
                self.open.truncate(*self.savepoints.last().expect("a savepoint"));
                self.status = Status::InTransaction;
                self.settings.roll_back_to_savepoint();
            }
            Command::Savepoint if sql.starts_with("RELEASE") => {
                self.savepoints.pop().expect("a savepoint");
                self.settings.saved.pop();
            }
            Command::Savepoint => {
                assert_eq!(self.status, Status::InTransaction, "a savepoint needs a transaction");
                self.savepoints.push(self.open.len());
                self.settings.begin();
            }
            Command::Deallocate => match prepared_name(sql) {
                Some(name) => drop(self.prepared.remove(&name)),
                None => self.prepared.clear(),
            },
            Command::Prepare => {
                let name = prepared_name(sql).expect("a name");
                if self.prepared.insert(name, sql.to_owned()).is_some() {
                    return Err((state("42P05"), false));
                }
            }
            Command::Discard => self.prepared.clear(),
            Command::Set | Command::SetLocal => return self.set(sql),
            _ => return self.other(sql),
        }
        Ok(())
    }

    fn set(&mut self, sql: &str) -> Result<(), Failed> {
        if sql == "RESET log_duration" && (self.settings.refuses || self.settings.other_role) {
            return Err((SqlState::INSUFFICIENT_PRIVILEGE, false));
        }
        self.settings.set(sql, self.status != Status::Idle);
        Ok(())
    }

    /// Whether it measures durations.
    pub(super) fn measures(&self) -> bool {
        self.settings.now.duration == "on"
    }

    /// Whoever logs in may have neither durations measured nor auto_explain set.
    pub(super) fn refuses_durations(&mut self) {
        self.settings.refuses = true;
    }

    fn other(&mut self, sql: &str) -> Result<(), Failed> {
        if let Some((_, code)) = sql.split_once("ERRCODE = '") {
            return Err((state(&code[..5]), false));
        }
        match sql.split_once(' ') {
            Some(("insert", rest)) => {
                let number = rest.trim_end_matches(')').rsplit([' ', '(']).next();
                let number = number.and_then(|number| number.parse().ok()).expect("a number");
                self.drawn.push(number);
                self.open.push(number);
            }
            Some(("export", number)) => {
                if !self.savepoints.is_empty() {
                    return Err((SqlState::ACTIVE_SQL_TRANSACTION, false));
                }
                self.open.push(number.parse().expect("a number"));
            }
            Some(("fail", code)) => return Err((state(code), false)),
            Some(("call", number)) => {
                let Ok(number) = number.parse() else { return Ok(()) };
                if self.status != Status::Idle {
                    return Err((state("2D000"), false));
                }
                self.open.push(number);
                self.committed.append(&mut self.open);
            }
            Some(("DO", _)) if self.settings.refuses || self.settings.other_role => {
                return Err((SqlState::INSUFFICIENT_PRIVILEGE, false));
            }
            Some(("become", role)) => self.settings.other_role = role == "other",
            Some(("hush", _)) => self.settings.now.client = "error".into(),
            Some(("defer", code)) => self.deferred = Some(state(code)),
            _ => {}
        }
        Ok(())
    }
}

/// A model of the settings by which durations are told, as PostgreSQL keeps them.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub now: Values,
    /// What the session has beside a `SET LOCAL`; `None` where there is none.
    behind_local: Option<Values>,
    /// As of the open transaction's beginning, and of its savepoints.
    saved: Vec<(Values, Option<Values>)>,
    refuses: bool,
    /// Whether a function has made the session act as a role that may not measure.
    other_role: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Values {
    pub client: String,
    pub duration: String,
}

impl Default for Settings {
    fn default() -> Self {
        let now = Values { client: "notice".into(), duration: "off".into() };
        Self { now, behind_local: None, saved: Vec::new(), refuses: false, other_role: false }
    }
}

impl Settings {
    fn tells(&self) -> bool {
        self.now.client == "log" && self.now.duration == "on"
    }

    pub(super) fn begin(&mut self) {
        self.saved.push((self.now.clone(), self.behind_local.clone()));
    }

    pub(super) fn end(&mut self, commits: bool) {
        let began = self.saved.drain(..).next();
        if let Some((now, _)) = began.filter(|_| !commits) {
            self.now = now;
        } else if let Some(behind) = self.behind_local.take() {
            self.now = behind;
        }
        self.behind_local = None;
    }

    pub(super) fn roll_back_to_savepoint(&mut self) {
        if let Some((now, behind_local)) = self.saved.last().cloned() {
            (self.now, self.behind_local) = (now, behind_local);
        }
    }

    /// `SET [LOCAL] name TO value`, `RESET name`, `RESET ALL`.
    pub(super) fn set(&mut self, sql: &str, in_block: bool) {
        let words: Vec<&str> = sql.split_whitespace().collect();
        let (local, name, value) = match words.as_slice() {
            ["RESET", "ALL"] => {
                self.set("RESET client_min_messages", in_block);
                return self.set("RESET log_duration", in_block);
            }
            ["RESET", name] => {
                (false, *name, if *name == "log_duration" { "off" } else { "notice" })
            }
            ["SET", "LOCAL", name, "TO", value] => (true, *name, *value),
            ["SET", name, "TO", value] => (false, *name, *value),
            _ => return,
        };
        if local && !in_block {
            return;
        }
        if local {
            self.behind_local.get_or_insert_with(|| self.now.clone());
        } else if let Some(behind) = &mut self.behind_local {
            behind.set(name, value);
        }
        self.now.set(name, value);
    }
}

impl Values {
    fn set(&mut self, name: &str, value: &str) {
        match name {
            "client_min_messages" => value.clone_into(&mut self.client),
            "log_duration" => value.clone_into(&mut self.duration),
            _ => {}
        }
    }
}
