//! The consumer actor: reads the source, turns records into statements, gives each its place in the
//! order, and keeps the account of what became of them. The only place that knows arrival order.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use actix::prelude::*;
use tokio::sync::{Notify, oneshot};
use tracing::{error, info, warn};

use super::messages::{
    CloseAll, Deliver, Delivery, Fatal, InputEnded, Parcel, Progress, ReadOn, Relieve, Settlement,
    Stop,
};
use super::overview::Overview;
use super::sequencer::Sequencer;
use super::supervisor::Supervisor;
use super::vital::Vital;
use crate::http::{Beating, Condition, Health};
use crate::metrics;
use crate::pglog::session_log::{Lost, Nothing, Previous, SessionLog, This};
use crate::pglog::sql::Command;
use crate::pglog::statement::{Amendment, SourceEnd, Statement, SyncEnd};
use crate::pglog::{LogRecord, RecordReader, SessionId, SqlState};
use crate::replay::checkpoint::Checkpoint;
use crate::replay::ledger::{Fate, Filtered, Skipped};
use crate::replay::lines::{Line, Lines};
use crate::replay::lookahead::{Lookahead, Patience};
use crate::replay::policy::{self, Outcome, Tally, Verdict};
use crate::replay::settings::ReplaySettings;
use crate::replay::work::{End, Position, Seq, Work};
use crate::source::dead_letters::DeadLetters;
use crate::source::kafka::{Commit, CommitMode, Offsets};
use crate::source::{Chunk, Event, Resume, Source, SourceError};
use crate::target::Login;

/// Where statements go; nowhere in a dry run.
#[derive(Clone)]
pub struct Downstream {
    /// Who owns the sessions.
    pub supervisor: Addr<Supervisor>,
    /// Who knows what statements wait for.
    pub sequencer: Addr<Sequencer>,
}

/// What the consumer is given.
pub struct ConsumerParts {
    /// What is read.
    pub source: Source,
    /// What it is called in messages: `topic orders`, or the file's name for a partition.
    pub names: SourceNames,
    /// Where offsets are committed; files have none.
    pub offsets: Option<Offsets>,
    /// How records are read.
    pub reader: RecordReader,
    /// Where records go that can't be read.
    pub dead_letters: Option<DeadLetters>,
    /// What is replayed, and how.
    pub settings: Arc<ReplaySettings>,
    /// Where statements go.
    pub downstream: Option<Downstream>,
    /// The account.
    pub tally: Arc<Mutex<Tally>>,
    /// Who hears that the replay can't go on.
    pub fatal: Recipient<Fatal>,
    /// Told when everything has been read and has ended.
    pub done: oneshot::Sender<()>,
    /// Whether the process is well.
    pub health: Health,
    /// What the status page shows.
    pub overview: Arc<Overview>,
}

/// How a source is called in messages.
#[derive(Debug, Clone)]
pub enum SourceNames {
    /// A topic.
    Topic(String),
    /// Files, by partition.
    Files(Vec<String>),
}

impl SourceNames {
    /// Where a record stands, for people.
    pub fn place(&self, at: Position) -> String {
        match self {
            Self::Topic(topic) => {
                format!("topic {topic}, partition {}, offset {}", at.partition, at.offset)
            }
            Self::Files(files) => {
                let file = usize::try_from(at.partition).ok().and_then(|index| files.get(index));
                format!("{}, line {}", file.map_or("?", String::as_str), at.line)
            }
        }
    }
}

/// Reads the source.
pub struct Consumer {
    source: Option<Source>,
    names: SourceNames,
    offsets: Option<Offsets>,
    /// Taken out while a record borrows from it.
    reader: Option<RecordReader>,
    dead_letters: Option<DeadLetters>,
    settings: Arc<ReplaySettings>,
    downstream: Option<Downstream>,
    tally: Arc<Mutex<Tally>>,
    fatal: Recipient<Fatal>,
    done: Option<oneshot::Sender<()>>,
    health: Health,
    overview: Arc<Overview>,

    sessions: HashMap<SessionId, SourceSession>,
    lookahead: Lookahead<Held>,
    checkpoint: Checkpoint,
    /// The place of the last statement.
    seq: Seq,
    /// Statements delivered and not ended.
    in_flight: usize,
    /// How many may be delivered past the bound: everything in flight waits for one of them.
    beyond: usize,
    /// Statements that --skip-count still leaves out.
    to_skip: u64,
    deliveries: Vec<Delivery>,
    /// Wakes the reading from its waiting for a record, or for room.
    interrupt: Arc<Notify>,
    phase: Phase,
    caught_up: bool,
    began: Instant,
    first_statement: Option<Instant>,
    last_progress: Instant,
    /// When the newest statement that has ended was logged, in Unix milliseconds.
    newest_ended_ms: i64,
    warned: HashMap<&'static str, u64>,
    zone_warned: bool,
    _vital: Vital,
}

/// What the consumer is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Reading,
    /// The source has ended; statements may be under way.
    Ended,
    Stopped,
}

/// One session of the source, as its log shows it.
struct SourceSession {
    log: SessionLog,
    lines: Lines,
    login: Option<Arc<Login>>,
    /// Whether the supervisor knows it.
    delivered: bool,
    /// Whether its last statement was delivered: what is told of one that was left out must not
    /// amend the one before.
    amends: bool,
    /// Whether its last delivered statement shares its Sync with what follows.
    joins: bool,
    seen: Instant,
}

/// What waits until the log has told all of it.
enum Held {
    Statement { at: Position, statement: Box<Statement>, end: End },
    Close { code: Option<SqlState> },
}

impl Held {
    fn amend(&mut self, amendment: Amendment) {
        if let Self::Statement { end, .. } = self {
            end.amend(amendment);
        }
    }
}

/// How many records may be read behind a statement that waits for its session's next record.
const LOOKAHEAD_RECORDS: usize = 4096;
/// How many statements may be delivered beyond the bound at once.
const BEYOND: usize = 256;
/// How long the state of a silent session's log is kept.
const SESSION_LOG_KEPT: Duration = Duration::from_secs(3600);
const COMMIT_INTERVAL: Duration = Duration::from_secs(1);

impl Consumer {
    /// A consumer that has not begun to read.
    pub fn new(parts: ConsumerParts) -> Self {
        let patience = Patience {
            entries: LOOKAHEAD_RECORDS,
            wait_ms: u64::try_from(parts.settings.lookahead.as_millis()).unwrap_or(u64::MAX),
        };
        let now = Instant::now();
        let vital = Vital::new("consumer", parts.fatal.clone());
        Self {
            source: Some(parts.source),
            names: parts.names,
            offsets: parts.offsets,
            reader: Some(parts.reader),
            dead_letters: parts.dead_letters,
            to_skip: parts.settings.filters.skip_count,
            settings: parts.settings,
            downstream: parts.downstream,
            tally: parts.tally,
            fatal: parts.fatal,
            done: Some(parts.done),
            health: parts.health,
            overview: parts.overview,
            sessions: HashMap::new(),
            lookahead: Lookahead::new(patience),
            checkpoint: Checkpoint::default(),
            seq: Seq(0),
            in_flight: 0,
            beyond: 0,
            deliveries: Vec::new(),
            interrupt: Arc::default(),
            phase: Phase::Reading,
            caught_up: false,
            began: now,
            first_statement: None,
            last_progress: now,
            newest_ended_ms: 0,
            warned: HashMap::new(),
            zone_warned: false,
            _vital: vital,
        }
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    // ---- Reading ----

    fn may_deliver(&self) -> bool {
        self.in_flight < self.settings.max_in_flight || self.beyond > 0
    }

    /// Reads on for as long as there is room for what may come.
    fn read(&mut self, ctx: &mut Context<Self>) {
        if self.phase != Phase::Reading {
            return;
        }
        let Some(mut source) = self.source.take() else { return };
        let room = self.may_deliver() || !self.lookahead.is_full();
        let interrupt = self.interrupt.clone();
        let reading = async move {
            let event = tokio::select! {
                event = async { if room { source.next().await } else { source.idle().await } } => {
                    Some(event)
                }
                () = interrupt.notified() => None,
            };
            (source, event)
        };
        ctx.spawn(reading.into_actor(self).map(|(source, event), actor, ctx| {
            actor.source = Some(source);
            match event {
                Some(Ok(event)) => actor.heard(event),
                Some(Err(error)) => actor.failed(error),
                None => {}
            }
            actor.release();
            actor.read(ctx);
        }));
    }

    fn heard(&mut self, event: Event) {
        match event {
            Event::Records(chunk) => self.records(&chunk),
            Event::Assigned(partitions) => self.assigned(&partitions),
            Event::Revoked(partitions) => self.revoked(&partitions),
            Event::Lost(gap) => {
                metrics::offset_gap(gap.lost());
                warn!("records are lost, going on from the oldest there is: {gap}");
            }
            Event::End => self.ended(),
        }
    }

    fn failed(&mut self, failure: SourceError) {
        error!("the source failed: {failure}");
        self.health.source(Condition::Disconnected(failure.to_string()));
        self.phase = Phase::Stopped;
        self.fatal.do_send(Fatal::Source(Arc::new(failure)));
    }

    fn assigned(&mut self, partitions: &[Resume]) {
        self.health.source(Condition::Connected);
        for Resume { partition, offset, metadata } in partitions {
            if let Some(offset) = *offset {
                self.checkpoint.resume(*partition, offset, metadata);
                // A restart goes on where it was: what --skip-count leaves out was left out before.
                self.to_skip = 0;
            }
        }
        info!(partitions = partitions.len(), "reading");
    }

    fn revoked(&mut self, partitions: &[i32]) {
        self.commit(CommitMode::Sync);
        for partition in partitions {
            self.checkpoint.forget(*partition);
            metrics::partition_revoked(*partition);
        }
    }

    fn ended(&mut self) {
        self.phase = Phase::Ended;
        self.caught_up = true;
        if let Some(downstream) = &self.downstream {
            downstream.supervisor.do_send(InputEnded);
        }
    }

    fn records(&mut self, chunk: &Chunk) {
        self.health.source(Condition::Connected);
        self.caught_up = chunk.caught_up;
        let Some(mut reader) = self.reader.take() else { return };
        self.tally().records.consume(chunk.records.len() as u64);
        for (arrival, payload) in chunk.iter() {
            let (partition, offset) = (arrival.partition, arrival.offset);
            let at = Position { partition, offset, line: arrival.line };
            match reader.read(payload) {
                Ok(record) => self.record(at, &record),
                Err(malformed) => {
                    let (reason, remedy) = (malformed.reason(), malformed.remedy());
                    self.reject(at, reason, &malformed.to_string(), remedy, payload);
                }
            }
        }
        self.reader = Some(reader);
    }

    fn reject(
        &mut self,
        at: Position,
        reason: &'static str,
        error: &str,
        remedy: Option<&str>,
        payload: &[u8],
    ) {
        let seen = self.warned.entry(reason).or_default();
        *seen += 1;
        // The first few and then ever fewer: a broken shipper must not flood the log.
        if *seen <= 10 || seen.is_power_of_two() {
            let place = self.names.place(at);
            let remedy = remedy.unwrap_or("none known");
            warn!(reason, count = *seen, remedy, "rejected a record ({place}): {error}");
        }
        if let Some(dead_letters) = &mut self.dead_letters {
            dead_letters.put(at.partition, at.offset, at.line, reason, error, payload);
        }
        self.leave(at, Fate::Rejected(reason));
    }

    /// A record that needs no replay.
    fn leave(&mut self, at: Position, fate: Fate) {
        self.checkpoint.pass(at.partition, at.offset);
        self.tally().records.settle(fate);
    }

    fn record(&mut self, at: Position, record: &LogRecord<'_>) {
        let filters = &self.settings.filters;
        let databases = &filters.source_databases;
        if !databases.is_empty()
            && !record.database.is_empty()
            && !databases.iter().any(|database| **database == *record.database)
        {
            return self.leave(at, Fate::Filtered(Filtered::OtherDatabase));
        }
        if filters.after_unix_ms.is_some_and(|after| record.log_time.unix_ms < after) {
            return self.leave(at, Fate::Filtered(Filtered::BeforeAfter));
        }
        self.check_zone(record);
        let session = record.session;
        let known = self.sessions.entry(session).or_insert_with(SourceSession::new);
        known.seen = Instant::now();
        match known.lines.see(record.line) {
            Line::Next | Line::Late => {}
            Line::Joined => metrics::session_joined_midway(),
            Line::Gap(missing) => {
                metrics::sequence_gap();
                let place = self.names.place(at);
                warn!(%session, missing, "records of a session are missing before {place}");
            }
            Line::Repeat => return self.leave(at, Fate::Filtered(Filtered::Duplicate)),
        }
        let reading = known.log.read(record);
        if known.login.is_none() && !record.user.is_empty() && !record.database.is_empty() {
            known.login = Some(Arc::new(login(&self.settings, record)));
        }
        let (login, delivered) = (known.login.clone(), known.delivered);
        self.previous(session, reading.previous);
        match reading.this {
            This::Statement { statement, end, failure } if login.is_some() => {
                let end = End { source: end, failure, ..End::default() };
                self.statement(at, session, statement, end);
            }
            This::Statement { .. } => self.leave(at, Fate::Filtered(Filtered::Noise)),
            This::Opened => {
                if let Some(login) = login {
                    self.deliver(session, login, Parcel::Open);
                }
                self.leave(at, Fate::Filtered(Filtered::Connection));
            }
            This::Closed(code) => {
                if let Some(code) = code {
                    self.tally().session_ended(code);
                }
                if delivered || login.is_some() {
                    self.lookahead.push(session, Held::Close { code }, false, self.now_ms());
                }
                self.leave(at, Fate::Filtered(Filtered::Connection));
            }
            This::Nothing(nothing) => self.leave(at, Fate::Filtered(nothing.into())),
            This::Lost(lost) => self.leave(at, Fate::Skipped(lost.into())),
            This::ServerEnded => {
                self.server_ended();
                self.leave(at, Fate::Filtered(Filtered::Noise));
            }
            This::BackendDied(pid) => {
                self.backend_died(pid);
                self.leave(at, Fate::Filtered(Filtered::Noise));
            }
        }
    }

    fn check_zone(&mut self, record: &LogRecord<'_>) {
        if !record.log_time.zone_known && !self.zone_warned {
            self.zone_warned = true;
            warn!(
                "the source logs times with a zone abbreviation, which is ambiguous, and they are \
                 read as UTC: set log_timezone = 'UTC' on the source"
            );
        }
    }

    fn previous(&mut self, session: SessionId, previous: Previous) {
        let (amendment, held) = match previous {
            Previous::Open => return,
            Previous::Ended => {
                self.lookahead.end(session, |_| {});
                return;
            }
            Previous::Noted(amendment) => {
                (amendment, self.lookahead.amend(session, |held| held.amend(amendment)))
            }
            Previous::Amended(amendment) => {
                (amendment, self.lookahead.end(session, |held| held.amend(amendment)))
            }
        };
        if !held
            && let Some(known) = self.sessions.get_mut(&session)
            && known.amends
            && let Some(login) = known.login.clone()
        {
            known.joins |= amendment == Amendment::Joined;
            self.deliver(session, login, Parcel::Amend(amendment));
        }
    }

    fn statement(&mut self, at: Position, session: SessionId, statement: Box<Statement>, end: End) {
        if self.to_skip > 0 {
            self.to_skip -= 1;
            if let Some(known) = self.sessions.get_mut(&session) {
                known.amends = false;
            }
            return self.leave(at, Fate::Filtered(Filtered::SkipCount));
        }
        self.checkpoint.begin(at.partition, at.offset);
        let held = Held::Statement { at, statement, end };
        self.lookahead.push(session, held, true, self.now_ms());
    }

    /// The server crashed, was stopped or begins: no session of it goes on.
    fn server_ended(&mut self) {
        self.lookahead.end_all();
        self.release_all();
        self.flush();
        if let Some(downstream) = &self.downstream {
            downstream.supervisor.do_send(CloseAll);
        }
        self.sessions.clear();
    }

    fn backend_died(&mut self, pid: Option<u32>) {
        let Some(pid) = pid else { return };
        let dead: Vec<SessionId> =
            self.sessions.keys().filter(|session| session.pid == pid).copied().collect();
        for session in dead {
            self.previous(session, Previous::Amended(Amendment::Terminated));
            self.lookahead.push(session, Held::Close { code: None }, false, self.now_ms());
        }
    }

    // ---- Delivering ----

    /// Delivers what need not wait any longer, as far as there is room.
    fn release(&mut self) {
        while self.may_deliver() {
            let held = match self.phase {
                Phase::Reading => self.lookahead.pop(self.now_ms()),
                // Nothing more can be said of anything.
                Phase::Ended => self.lookahead.take(),
                Phase::Stopped => None,
            };
            let Some((session, held)) = held else { break };
            self.release_one(session, held);
        }
        self.flush();
        self.check_done();
    }

    fn release_all(&mut self) {
        while let Some((session, held)) = self.lookahead.take() {
            self.release_one(session, held);
        }
    }

    fn release_one(&mut self, session: SessionId, held: Held) {
        let Some(known) = self.sessions.get_mut(&session) else { return };
        let Some(login) = known.login.clone() else { return };
        match held {
            Held::Close { code } => {
                if known.delivered {
                    self.deliver(session, login, Parcel::Close(code));
                }
            }
            Held::Statement { at, statement, end } => {
                let left_out = self.not_replayed(at, &statement, end);
                let Some(known) = self.sessions.get_mut(&session) else { return };
                known.amends = left_out.is_none();
                let joined = known.joins;
                known.joins = end.sync == SyncEnd::Joined && (joined || left_out.is_none());
                if let Some(fate) = left_out {
                    if joined && end.sync == SyncEnd::Synced {
                        let synced = Parcel::Amend(Amendment::Synced);
                        self.deliver(session, login.clone(), synced);
                    }
                    if fate == Fate::Filtered(Filtered::AlreadyDone)
                        && statement.outline.has(Command::sets_up_session)
                    {
                        self.deliver(session, login, Parcel::Remember(statement));
                    }
                    self.checkpoint.settle(at.partition, at.offset);
                    self.tally().records.settle(fate);
                    return;
                }
                self.seq = self.seq.next();
                self.in_flight += 1;
                self.beyond = self.beyond.saturating_sub(1);
                self.first_statement.get_or_insert_with(Instant::now);
                let work = Work::new(self.seq, at, session, *statement, end);
                self.deliver(session, login, Parcel::Work(Arc::new(work)));
            }
        }
    }

    /// What becomes of a statement that is not replayed; `None` if it is.
    fn not_replayed(&self, at: Position, statement: &Statement, end: End) -> Option<Fate> {
        let failed = matches!(end.source, SourceEnd::Failed(_));
        let only = |what: fn(Command) -> bool| {
            !statement.outline.parts.is_empty() && !statement.outline.has(|c| !what(c))
        };
        if self.checkpoint.is_settled(at.partition, at.offset) {
            Some(Fate::Filtered(Filtered::AlreadyDone))
        } else if self.downstream.is_none() {
            Some(Fate::Filtered(Filtered::DryRun))
        } else if self.settings.filters.skip_selects
            && !failed
            && only(|command| command == Command::Read)
        {
            Some(Fate::Filtered(Filtered::Select))
        } else if !failed && only(|command| command == Command::CopyFromStdin) {
            Some(Fate::Skipped(Skipped::CopyData))
        } else {
            None
        }
    }

    fn deliver(&mut self, session: SessionId, login: Arc<Login>, parcel: Parcel) {
        if let Some(known) = self.sessions.get_mut(&session) {
            known.delivered = true;
        }
        if self.downstream.is_some() {
            self.deliveries.push(Delivery { session, login, parcel });
        }
    }

    fn flush(&mut self) {
        if let Some(downstream) = &self.downstream
            && !self.deliveries.is_empty()
        {
            downstream.supervisor.do_send(Deliver(std::mem::take(&mut self.deliveries)));
        }
    }

    fn check_done(&mut self) {
        if self.phase == Phase::Ended
            && self.in_flight == 0
            && self.lookahead.is_empty()
            && let Some(done) = self.done.take()
        {
            // The daemon may have stopped waiting: it is stopping then.
            let _ = done.send(());
        }
    }

    // ---- What comes back ----

    fn progress(&mut self, progress: Progress) {
        self.last_progress = Instant::now();
        let tally = self.tally.clone();
        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        for (work, settlement) in progress.ended {
            self.in_flight = self.in_flight.saturating_sub(1);
            self.newest_ended_ms = self.newest_ended_ms.max(work.statement.logged_ms);
            match settlement {
                Settlement::Not(fate) => tally.records.settle(fate),
                Settlement::Ran(ended) => {
                    tally.records.settle(policy::fate(&work.statement, ended));
                    let outcome = tally.ended(ended);
                    if outcome != Outcome::Same {
                        self.differs(&work, outcome, ended.source, ended.target);
                    }
                    if ended.guessed {
                        metrics::types_guessed();
                    }
                }
            }
        }
        drop(tally);
        for work in progress.settled {
            self.checkpoint.settle(work.at.partition, work.at.offset);
        }
    }

    fn differs(
        &mut self,
        work: &Work,
        outcome: Outcome,
        source: SourceEnd,
        target: Result<(), SqlState>,
    ) {
        let elapsed = self.first_statement.map_or(Duration::ZERO, |first| first.elapsed());
        let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        let verdict = self.settings.errors.judge(outcome, target, elapsed_ms);
        if !matches!(verdict, Verdict::News | Verdict::Stop) {
            return;
        }
        let place = self.names.place(work.at);
        let target = target.err().map_or("success".to_owned(), |code| code.to_string());
        let source = match source {
            SourceEnd::Failed(code) => code.to_string(),
            _ => "success".to_owned(),
        };
        let session = work.session;
        let seen = self.warned.entry(outcome.label()).or_default();
        *seen += 1;
        if *seen <= 10 || seen.is_power_of_two() {
            warn!(%session, outcome = outcome.label(), count = *seen, source, target,
                "a statement ended otherwise than on the source ({place})");
        }
        if verdict == Verdict::Stop {
            self.fatal.do_send(Fatal::StatementFailed(format!(
                "session {session} ({place}): SQLSTATE {target} on the target, {source} on the \
                 source (--on-error stop)"
            )));
        }
    }

    // ---- Now and then ----

    fn commit(&mut self, mode: CommitMode) {
        let Some(offsets) = &self.offsets else { return };
        let commits: Vec<Commit> = self
            .checkpoint
            .watermarks()
            .into_iter()
            .map(|w| Commit { partition: w.partition, offset: w.offset, metadata: w.metadata })
            .collect();
        if !commits.is_empty()
            && let Err(error) = offsets.commit(&commits, mode)
        {
            warn!("offsets are not committed: {error}");
        }
    }

    fn every_second(&mut self) {
        self.health.beat(Beating::Consumer);
        self.commit(CommitMode::Async);
        metrics::statements_in_flight(self.in_flight);
        self.show_lag();
        if !self.may_deliver()
            && self.last_progress.elapsed() >= Duration::from_secs(1)
            && let Some(downstream) = &self.downstream
        {
            downstream.sequencer.do_send(Relieve);
        }
        self.sessions.retain(|_, known| known.seen.elapsed() < SESSION_LOG_KEPT);
    }

    fn show_lag(&self) {
        let positions = self.offsets.iter().flat_map(Offsets::positions);
        let partitions = positions.map(|at| metrics::Partition {
            partition: at.partition,
            position: Some(at.position),
            committed: at.committed,
            high_watermark: Some(at.high_watermark),
        });
        let nothing_left = self.in_flight == 0 && self.lookahead.is_empty() && self.caught_up;
        let behind = if nothing_left || self.newest_ended_ms == 0 {
            Duration::ZERO
        } else {
            let logged = u64::try_from(self.newest_ended_ms)
                .map_or(UNIX_EPOCH, |ms| UNIX_EPOCH + Duration::from_millis(ms));
            SystemTime::now().duration_since(logged).unwrap_or_default()
        };
        self.overview.lag(partitions.collect(), behind);
    }
}

impl SourceSession {
    fn new() -> Self {
        Self {
            log: SessionLog::default(),
            lines: Lines::default(),
            login: None,
            delivered: false,
            amends: false,
            joins: false,
            seen: Instant::now(),
        }
    }
}

/// Who a session is on the target.
fn login(settings: &ReplaySettings, record: &LogRecord<'_>) -> Login {
    // At its authorization the column is still empty, and the message tells.
    let announced = record.message.split_once(" application_name=").map(|(_, rest)| {
        let end = [" SSL enabled (", " GSS ("].iter().filter_map(|mark| rest.find(mark)).min();
        &rest[..end.unwrap_or(rest.len())]
    });
    let announced = announced.filter(|_| record.message.starts_with("connection authorized"));
    Login {
        user: settings.identity.user(&record.user).to_owned(),
        database: settings.identity.database(&record.database).to_owned(),
        application_name: announced.unwrap_or(&record.application_name).to_owned(),
    }
}

impl From<Nothing> for Filtered {
    fn from(nothing: Nothing) -> Self {
        match nothing {
            Nothing::Noise => Self::Noise,
            Nothing::Step => Self::Protocol,
            Nothing::Outcome => Self::Outcome,
            Nothing::Connection => Self::Connection,
            Nothing::ParallelWorker => Self::ParallelWorker,
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

impl Actor for Consumer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.health.beat(Beating::Consumer);
        ctx.run_interval(COMMIT_INTERVAL, |actor, _| actor.every_second());
        let wait = self.settings.lookahead / 4;
        let tick = wait.clamp(Duration::from_millis(2), Duration::from_millis(50));
        ctx.run_interval(tick, |actor, _| {
            if actor.phase == Phase::Reading && !actor.lookahead.is_empty() {
                actor.release();
            }
        });
        self.read(ctx);
    }
}

impl Handler<Progress> for Consumer {
    type Result = ();

    fn handle(&mut self, progress: Progress, _: &mut Self::Context) {
        let had_room = self.may_deliver();
        self.progress(progress);
        self.release();
        if !had_room && self.may_deliver() {
            self.interrupt.notify_one();
        }
    }
}

impl Handler<ReadOn> for Consumer {
    type Result = ();

    fn handle(&mut self, _: ReadOn, _: &mut Self::Context) {
        if !self.may_deliver() {
            metrics::read_beyond();
            self.beyond = BEYOND;
            self.release();
            self.interrupt.notify_one();
        }
    }
}

/// Reads no more. What has been delivered goes on.
impl Handler<Stop> for Consumer {
    type Result = ();

    fn handle(&mut self, _: Stop, _: &mut Self::Context) {
        self.phase = Phase::Stopped;
        self.interrupt.notify_one();
    }
}

/// Daemon → consumer: commit what is settled, now.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct CommitNow;

impl Handler<CommitNow> for Consumer {
    type Result = ();

    fn handle(&mut self, _: CommitNow, _: &mut Self::Context) {
        self.commit(CommitMode::Sync);
    }
}
