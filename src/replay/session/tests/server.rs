//! A model of a server: transactions, savepoints and prepared statements, and effects that show what
//! was committed, how often and in which order.

use crate::replay::session::request::ParseMode;
use std::collections::{HashMap, HashSet};

use super::*;
use crate::sql::prepared_name;

/// `insert N` or `insert … (N)` has the effect N; `fail CODE` fails; `defer CODE` fails at the commit;
/// `export N` has the effect N, but fails behind a savepoint;
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
        Answer { status, error: result.err(), rows, ..Answer::default() }
    }

    fn run(&mut self, request: &Request) -> Result<(), Failed> {
        match request {
            Request::Text(text) => self.string(text),
            Request::Simple(work) => self.string(&work.statement.sql),
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
    }

    fn commit(&mut self) -> Result<(), Failed> {
        let open = std::mem::take(&mut self.open);
        let failed = std::mem::replace(&mut self.status, Status::Idle) == Status::Failed;
        self.savepoints.clear();
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
            Command::Begin => self.status = Status::InTransaction,
            Command::Chain if self.status == Status::Idle => return Err((state("25P01"), false)),
            Command::Commit | Command::Rollback | Command::Chain => {
                if back {
                    self.open.clear();
                    self.deferred = None;
                }
                self.commit()?;
                if command == Command::Chain {
                    self.status = Status::InTransaction;
                }
            }
            Command::Savepoint if back => {
                self.open.truncate(*self.savepoints.last().expect("a savepoint"));
                self.status = Status::InTransaction;
            }
            Command::Savepoint if sql.starts_with("RELEASE") => {
                self.savepoints.pop().expect("a savepoint");
            }
            Command::Savepoint => {
                assert_eq!(self.status, Status::InTransaction, "a savepoint needs a transaction");
                self.savepoints.push(self.open.len());
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
            _ => return self.other(sql),
        }
        Ok(())
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
            Some(("defer", code)) => self.deferred = Some(state(code)),
            _ => {}
        }
        Ok(())
    }
}
