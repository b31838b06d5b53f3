//! From records to what sessions get: classification, filters, places in the order.
//!
//! Records go in by [`Intake::record`], in the order of their arrival; deliveries come out by
//! [`Intake::release`], in the same order, as soon as the log has told enough.

mod ended;
pub mod file_order;
pub mod in_flight_limit;
pub mod lines;
pub mod lookahead;
pub mod merge;
mod sessions;
mod start_logging;

use std::collections::VecDeque;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use ended::EndedSessions;
use foldhash::HashMap;
use sessions::SourceSession;
pub use start_logging::StartLogging;

use crate::pglog::session_log::{Lost, NoEffect, PriorUpdate, RecordEffect};
use crate::pglog::statement::{Amendment, SourceEnd, Statement, SyncEnd};
use crate::pglog::{LogRecord, RecordKind, SessionId, SqlState};
use crate::replay::account::checkpoint::Checkpoint;
use crate::replay::account::ledger::{Fate, Filtered, Skipped};
use crate::replay::intake::lines::Line;
use crate::replay::intake::lookahead::{Lookahead, LookaheadLimits};
use crate::replay::pace::{Moment, Pace, Schedule};
use crate::replay::settings::{Filters, Identity, Login};
use crate::replay::work::{End, Position, Seq, Work};
use crate::sql::Command;

/// Turns records into deliveries.
#[derive(Debug)]
pub struct Intake {
    settings: IntakeSettings,
    /// Sessions that go on, as far as the log tells.
    sessions: HashMap<SessionId, SourceSession>,
    ended_sessions: EndedSessions,
    lookahead: Lookahead<Held>,
    /// What need not wait: news of a statement that has left.
    at_once: VecDeque<Delivery>,
    /// How far each partition is.
    pub checkpoint: Checkpoint,
    /// The place of the last statement.
    seq: Seq,
    schedule: Option<Schedule>,
    /// Statements that --skip-count still leaves out.
    to_skip: u64,
    ended: bool,
}

/// What is let in.
#[derive(Debug, Clone)]
pub struct IntakeSettings {
    /// What is left out.
    pub filters: Filters,
    /// As whom and to which database a session is replayed.
    pub identity: Identity,
    /// How long a statement waits for what the log may still tell of it.
    pub patience: LookaheadLimits,
    /// The pace that is kept, if any.
    pub pace: Option<Pace>,
    /// Whether statements are only counted.
    pub dry_run: bool,
}

/// Something for one session.
#[derive(Debug)]
pub struct Delivery {
    /// The session.
    pub session: SessionId,
    /// The partition that its records come from.
    pub partition: i32,
    /// Who the session is on the target.
    pub login: Arc<Login>,
    /// What it gets.
    pub event: SessionEvent,
}

/// What a session gets.
#[derive(Debug)]
pub enum SessionEvent {
    /// It logs in, before the statement with this place.
    Open(Seq),
    /// Its next statement.
    Work(Arc<Work>),
    /// A statement that an earlier run of kreplay replayed, for the sake of what it set up.
    Remember(Box<Statement>),
    /// More about its last statement.
    Amend(Amendment),
    /// It ended on the source; with this error if the server ended it.
    Close(Option<SqlState>),
}

/// What comes out.
#[derive(Debug)]
pub enum Released {
    /// Something for a session.
    Delivery(Delivery),
    /// A statement that is not replayed, and why.
    Left(Fate),
}

/// What a record turned out to be.
#[derive(Debug, Default, PartialEq)]
pub struct IntakeResult {
    /// What becomes of it; `None` for a statement, whose fate is open.
    pub fate: Option<Fate>,
    /// What it is; `None` where it was left out unread.
    pub kind: Option<RecordKind>,
    /// What its line number tells of it; `None` where it was left out unread.
    pub line: Option<Line>,
    /// The partition (or file) that holds the record of its session before it.
    pub read_in: Option<i32>,
    /// Whether its session was joined after its beginning.
    pub joined: bool,
    /// How many records of its session are missing before it.
    pub missing: u64,
    /// The error that the source's server ended the session with.
    pub session_error: Option<SqlState>,
    /// The plan of one of its session's statements, as auto_explain writes it.
    pub plan: Option<Box<str>>,
    /// Whether the server ended all its sessions: what is held has to be released, then they close.
    pub server_ended: bool,
}

/// What waits until the log has told all of it.
#[derive(Debug)]
enum Held {
    Open,
    Statement { at: Position, statement: Box<Statement>, end: End },
    Close { code: Option<SqlState> },
}

impl Intake {
    /// One that has seen nothing.
    pub fn new(settings: IntakeSettings) -> Self {
        Self {
            sessions: HashMap::default(),
            ended_sessions: EndedSessions::default(),
            lookahead: Lookahead::new(settings.patience),
            at_once: VecDeque::new(),
            checkpoint: Checkpoint::default(),
            seq: Seq(0),
            schedule: settings.pace.map(Schedule::new),
            to_skip: settings.filters.skip_count,
            ended: false,
            settings,
        }
    }

    /// A partition is read from where an earlier run had committed: --skip-count was done by then.
    pub fn resume(&mut self, partition: i32, offset: i64, metadata: &str) {
        self.checkpoint.resume(partition, offset, metadata);
        self.to_skip = 0;
    }

    /// Takes the next record. `now_ms` counts from any moment, but never backwards.
    pub fn record(&mut self, at: Position, record: &LogRecord<'_>, now_ms: u64) -> IntakeResult {
        let mut result = IntakeResult::default();
        result.fate = self.read(at, record, now_ms, &mut result);
        if result.fate.is_some() {
            self.checkpoint.pass(at.partition, at.offset);
        }
        result
    }

    /// Takes a record that can't be read.
    pub fn pass(&mut self, at: Position) {
        self.checkpoint.pass(at.partition, at.offset);
    }

    fn read(
        &mut self,
        at: Position,
        record: &LogRecord<'_>,
        now_ms: u64,
        result: &mut IntakeResult,
    ) -> Option<Fate> {
        if let Some(reason) = self.settings.filters.leaves_out(record) {
            return Some(Fate::Filtered(reason));
        }
        let session = record.session;
        let known = match self.sessions.entry(session) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let ended = self.ended_sessions.take(session);
                new.insert(ended.map_or_else(SourceSession::default, SourceSession::known_again))
            }
        };
        known.seen_ms = now_ms;
        result.read_in = known.lines.have_begun().then_some(known.partition);
        known.partition = at.partition;
        let line = known.lines.observe(record.line);
        result.line = Some(line);
        match line {
            Line::Next | Line::Late => {}
            Line::Joined => result.joined = true,
            Line::Gap(missing) => result.missing = missing,
            Line::Repeat | Line::Early => {
                if known.ended {
                    self.forget_ended(session, now_ms);
                }
                return Some(Fate::Filtered(Filtered::Duplicate));
            }
        }
        let reading = known.log.read(record);
        result.kind = Some(known.log.kind());
        if known.login.is_none() && !record.user.is_empty() && !record.database.is_empty() {
            known.login = Some(Arc::new(self.settings.identity.login(record)));
        }
        match reading.this {
            RecordEffect::Closed(_) => known.ended = true,
            // It comes late: what it does may go on.
            RecordEffect::Statement { .. } => known.ended = false,
            _ => {}
        }
        let has_ended = known.ended;
        self.previous(session, reading.previous);
        let fate = self.effect(at, session, reading.this, now_ms, result);
        if has_ended {
            self.forget_ended(session, now_ms);
        }
        fate
    }

    /// Does what a record means beside its session's statement before. Returns what becomes of the record;
    /// `None`: that is open.
    fn effect(
        &mut self,
        at: Position,
        session: SessionId,
        effect: RecordEffect,
        now_ms: u64,
        result: &mut IntakeResult,
    ) -> Option<Fate> {
        let known = self.sessions.get_mut(&session)?;
        let has_login = known.login.is_some();
        match effect {
            RecordEffect::Statement { .. } if !has_login => {
                return Some(Fate::Filtered(Filtered::Noise));
            }
            RecordEffect::Statement { statement, end, failure } => {
                if self.to_skip > 0 {
                    self.to_skip -= 1;
                    known.amends = false;
                    return Some(Fate::Filtered(Filtered::SkipCount));
                }
                let end = End { source: end, failure, ..End::default() };
                self.checkpoint.begin(at.partition, at.offset);
                self.hold(session, Held::Statement { at, statement, end }, now_ms);
                return None;
            }
            RecordEffect::Opened => {
                if has_login && !known.ended && !self.settings.dry_run {
                    self.hold(session, Held::Open, now_ms);
                }
            }
            RecordEffect::Closed(code) => {
                result.session_error = code;
                if has_login {
                    self.hold(session, Held::Close { code }, now_ms);
                }
            }
            RecordEffect::Plan(plan) => {
                result.plan = Some(plan);
                return Some(Fate::Filtered(Filtered::Plan));
            }
            RecordEffect::NoEffect(nothing) => return Some(Fate::Filtered(nothing.into())),
            RecordEffect::Lost(lost) => return Some(Fate::Skipped(lost.into())),
            RecordEffect::ServerEnded => {
                result.server_ended = true;
                self.lookahead.end_all();
                return Some(Fate::Filtered(Filtered::Noise));
            }
            RecordEffect::BackendDied(pid) => {
                self.backend_died(pid, now_ms);
                return Some(Fate::Filtered(Filtered::Noise));
            }
        }
        Some(Fate::Filtered(Filtered::Connection))
    }

    /// Holds something of a session until the log has told all of it.
    fn hold(&mut self, session: SessionId, held: Held, now_ms: u64) {
        let Some(known) = self.sessions.get_mut(&session) else { return };
        known.held += 1;
        let open = matches!(held, Held::Statement { .. }) && known.log.may_tell_more();
        let bytes = held.size();
        self.lookahead.push(session, held, bytes, open, now_ms);
    }

    fn previous(&mut self, session: SessionId, previous: PriorUpdate) {
        let (amendment, held) = match previous {
            PriorUpdate::Open => return,
            PriorUpdate::Ended => {
                self.lookahead.end(session, |_| {});
                return;
            }
            PriorUpdate::AmendedOpen(amendment) => {
                (amendment, self.lookahead.amend(session, |held| held.amend(amendment)))
            }
            PriorUpdate::AmendedFinal(amendment) => {
                (amendment, self.lookahead.end(session, |held| held.amend(amendment)))
            }
        };
        if !held
            && let Some(known) = self.sessions.get_mut(&session)
            && known.amends
            && let Some(login) = known.login.clone()
        {
            known.joins |= amendment == Amendment::Joined;
            self.deliver_at_once(session, login, SessionEvent::Amend(amendment));
        }
    }

    /// Nothing more will be read: nothing held has to wait any longer.
    pub fn end(&mut self) {
        self.ended = true;
        self.lookahead.end_all();
    }

    /// Whether nothing more will be read.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    // ---- What comes out ----

    /// The next thing that need not wait, if there is room for a statement; without room, what needs
    /// none. Statements are due by a schedule that counts from when `now_ms` does.
    pub fn release(&mut self, now_ms: u64, room: bool) -> Option<Released> {
        if let Some(delivery) = self.at_once.pop_front() {
            return Some(Released::Delivery(delivery));
        }
        loop {
            let (session, held) = if room { self.lookahead.pop(now_ms)? } else { return None };
            let Some(known) = self.sessions.get_mut(&session) else { continue };
            known.held -= 1;
            let (login, partition) = (known.login.clone(), known.partition);
            let delivered = known.delivered;
            known.delivered |= matches!(held, Held::Open);
            if let Held::Close { .. } = held {
                self.forget_ended(session, now_ms);
            }
            let Some(login) = login else { continue };
            let released = match held {
                Held::Open => {
                    let event = SessionEvent::Open(self.seq.next());
                    Released::Delivery(Delivery { session, partition, login, event })
                }
                Held::Close { .. } if !delivered => continue,
                Held::Close { code } => {
                    let event = SessionEvent::Close(code);
                    Released::Delivery(Delivery { session, partition, login, event })
                }
                Held::Statement { at, statement, end } => {
                    self.release_statement(session, login, at, statement, end, now_ms)
                }
            };
            return Some(released);
        }
    }

    fn release_statement(
        &mut self,
        session: SessionId,
        login: Arc<Login>,
        at: Position,
        statement: Box<Statement>,
        end: End,
        now_ms: u64,
    ) -> Released {
        let left_out = self.not_replayed(at, &statement, end);
        let mut joined = false;
        if let Some(known) = self.sessions.get_mut(&session) {
            joined = known.joins;
            known.amends = left_out.is_none();
            known.joins = end.sync == SyncEnd::Joined && (joined || left_out.is_none());
        }
        let event = match left_out {
            None => {
                self.seq = self.seq.next();
                let now = Moment::after(Duration::from_millis(now_ms));
                let due = self.schedule.as_mut().map(|schedule| schedule.due(&statement, now));
                let work = Work::new(self.seq, at, session, *statement, end);
                SessionEvent::Work(Arc::new(work.due_at(due)))
            }
            Some(fate) => {
                if joined && end.sync == SyncEnd::Synced {
                    let event = SessionEvent::Amend(Amendment::Synced);
                    self.deliver_at_once(session, login.clone(), event);
                }
                if fate == Fate::Filtered(Filtered::AlreadyDone)
                    && statement.outline.has(Command::sets_up_session)
                {
                    self.deliver_at_once(session, login, SessionEvent::Remember(statement));
                }
                self.checkpoint.settle(at.partition, at.offset);
                return Released::Left(fate);
            }
        };
        if let Some(known) = self.sessions.get_mut(&session) {
            known.delivered = true;
        }
        Released::Delivery(Delivery { session, partition: at.partition, login, event })
    }

    /// What becomes of a statement that is not replayed; `None` if it is.
    fn not_replayed(&self, at: Position, statement: &Statement, end: End) -> Option<Fate> {
        let failed = matches!(end.source, SourceEnd::Failed(_));
        let only = |what: Command| {
            !statement.outline.parts.is_empty() && !statement.outline.has(|c| c != what)
        };
        if self.checkpoint.is_settled(at.partition, at.offset) {
            Some(Fate::Filtered(Filtered::AlreadyDone))
        } else if self.settings.dry_run {
            Some(Fate::Filtered(Filtered::DryRun))
        } else if self.settings.filters.skip_selects && !failed && only(Command::Read) {
            Some(Fate::Filtered(Filtered::Select))
        } else if !failed && only(Command::CopyFromStdin) {
            Some(Fate::Skipped(Skipped::CopyData))
        } else {
            None
        }
    }

    fn deliver_at_once(&mut self, session: SessionId, login: Arc<Login>, event: SessionEvent) {
        if self.settings.dry_run {
            return;
        }
        let Some(known) = self.sessions.get_mut(&session) else { return };
        known.delivered = true;
        let partition = known.partition;
        self.at_once.push_back(Delivery { session, partition, login, event });
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.lookahead.is_empty() && self.at_once.is_empty()
    }

    /// Whether so much is held that nothing more need be read to release the oldest.
    pub fn is_full(&self) -> bool {
        self.lookahead.is_full()
    }
}

impl Held {
    /// About how much memory it takes; of what is small, nothing.
    fn size(&self) -> usize {
        match self {
            Self::Statement { statement, .. } => size_of::<Statement>() + statement.size(),
            Self::Open | Self::Close { .. } => 0,
        }
    }

    fn amend(&mut self, amendment: Amendment) {
        if let Self::Statement { end, .. } = self {
            end.amend(amendment);
        }
    }
}

impl From<NoEffect> for Filtered {
    fn from(nothing: NoEffect) -> Self {
        match nothing {
            NoEffect::Noise => Self::Noise,
            NoEffect::Step => Self::Protocol,
            NoEffect::Outcome => Self::Outcome,
            NoEffect::Connection => Self::Connection,
            NoEffect::ParallelWorker => Self::ParallelWorker,
        }
    }
}

impl From<Lost> for Skipped {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::Fastpath => Self::Fastpath,
            Lost::Replication => Self::Replication,
            Lost::NoText => Self::NoText,
            Lost::Truncated => Self::Truncated,
        }
    }
}

#[cfg(test)]
mod tests;
