//! The consumer actor: reads the source, turns records into statements, gives each its place in the
//! order, and keeps the account of what became of them. The only place that knows arrival order.
//!
//! - `account`: what became of statements;
//! - `commits`: how far the replay is, for the next start;
//! - `damage`: records that can't be read, files that are not one log;
//! - `partitions`: one order out of several partitions, and how they are given away;
//! - `progress`: how far the replay is, for whoever watches;
//! - `stall_probe`: what it does when nothing ends any more.

mod account;
mod commits;
mod damage;
mod partitions;
mod progress;
mod stall_probe;

use parking_lot::{Mutex, MutexGuard};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use futures_util::future::LocalBoxFuture;
use tokio::sync::{Notify, oneshot};
use tracing::{error, info, warn};

pub use self::commits::CommitNow;
use self::partitions::Partitions;
use super::load::{Load, Threads};
use super::messages::{
    Arrived, BreakStall, CloseAll, Deliver, Fatal, InputEnded, Progress, ReadOn, Stop,
};
use super::overview::Overview;
use super::panic_guard::PanicGuard;
use super::sequencer::Sequencer;
use super::stopwatch::Stopwatch;
use super::supervisor::Supervisor;
use crate::health::{Condition, Health, MonitoredActor};
use crate::metrics;
use crate::pglog::{LogRecord, RecordKind, RecordReader};
use crate::replay::account::policy::Tally;
use crate::replay::intake::file_order::FileWatch;
use crate::replay::intake::in_flight_limit::{StallTimer, Window};
use crate::replay::intake::lookahead::LookaheadLimits;
use crate::replay::intake::{
    Delivery, Intake, IntakeResult, IntakeSettings, Released, SessionEvent, StartLogging,
};
use crate::replay::order::backends::Backends;
use crate::replay::order::stall_watch::StallWatch;
use crate::replay::pace::Moment;
use crate::replay::report::Shapes;
use crate::replay::settings::{Order, ReplaySettings};
use crate::replay::work::{Position, Work};
use crate::source::dead_letters::DeadLetters;
use crate::source::{Chunk, Committer, Event, Resume, Source, SourceError, SourceNames};

/// Where statements go; nowhere in a dry run.
#[derive(Clone)]
pub struct Downstream {
    /// Who owns the sessions.
    pub supervisor: Addr<Supervisor>,
    /// Who knows what statements wait for.
    pub sequencer: Addr<Sequencer>,
    /// Which sessions are connected to the target.
    pub backends: Arc<Backends>,
}

/// What the consumer is given.
pub struct ConsumerParts {
    /// What is read.
    pub source: Source,
    /// What it is called in messages: `topic orders`, or the file's name for a partition.
    pub names: SourceNames,
    /// Where offsets are committed; files have none.
    pub committer: Option<Committer>,
    /// How records are read.
    pub reader: RecordReader,
    /// Where records go that can't be read.
    pub dead_letters: Option<DeadLetters>,
    /// What is replayed, and how.
    pub settings: Arc<ReplaySettings>,
    /// When the replay began: its schedule counts from there.
    pub began: Instant,
    /// Where statements go.
    pub downstream: Option<Downstream>,
    /// The account.
    pub tally: Arc<Mutex<Tally>>,
    /// The account by query shape.
    pub shapes: Arc<Mutex<Shapes>>,
    /// Who hears that the replay can't go on.
    pub fatal: Recipient<Fatal>,
    /// Told when everything has been read and has ended.
    pub done: oneshot::Sender<()>,
    /// Whether the process is well.
    pub health: Health,
    /// What the status page shows.
    pub overview: Arc<Overview>,
    /// The threads that carry the replay.
    pub threads: Threads,
}

/// Reads the source.
pub struct Consumer {
    source: Option<Source>,
    names: SourceNames,
    committer: Option<Committer>,
    /// Taken out while a record borrows from it.
    reader: Option<RecordReader>,
    dead_letters: Option<DeadLetters>,
    settings: Arc<ReplaySettings>,
    downstream: Option<Downstream>,
    tally: Arc<Mutex<Tally>>,
    shapes: Arc<Mutex<Shapes>>,
    fatal: Recipient<Fatal>,
    done: Option<oneshot::Sender<()>>,
    /// Whether those downstream know that nothing more will come.
    end_told: bool,
    health: Health,
    overview: Arc<Overview>,
    records: metrics::Records,
    load: Load,
    /// For how long no statement has been in flight.
    empty: Stopwatch,
    /// For how long nothing has been read for want of room; and how much of that has been told.
    backpressure: Stopwatch,
    backpressure_told: Duration,

    partitions: Partitions,
    intake: Intake,
    file_watch: FileWatch,
    /// The statements delivered and not ended.
    window: Window,
    deliveries: Vec<Delivery>,
    /// What sessions have told and the account does not hold yet.
    unaccounted: Vec<Progress>,
    /// What has to be committed before the source is asked for more: partitions are going.
    commit_first: Option<LocalBoxFuture<'static, ()>>,
    /// Wakes the reading from its waiting for a record, or for room.
    interrupt: Arc<Notify>,
    phase: Phase,
    caught_up: bool,
    /// How much the files hold, where that is known.
    bytes: Option<u64>,
    /// How much of them has been read.
    bytes_read: u64,
    began: Instant,
    /// When the last statement is due of those that were delivered.
    newest_due: Option<Moment>,
    first_statement: Option<Instant>,
    start_logging: StartLogging,
    last_progress: Instant,
    standstill: StallTimer,
    stall_watch: Option<StallWatch>,
    /// The broker is being asked where the partitions end.
    look_at_ends: Option<tokio::task::JoinHandle<()>>,
    /// When offsets were last committed whether or not they had changed.
    committed_all: Instant,
    /// When the newest statement that has ended was logged, in Unix milliseconds.
    newest_ended_ms: i64,
    /// How often each kind of trouble was met: see [`Consumer::should_log`].
    told: HashMap<&'static str, u64>,
    /// Query shapes of which it was told that they may have drawn from sequences.
    draws_told: HashSet<u64>,
    _vital: PanicGuard,
}

/// What the consumer is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Reading,
    /// The source has ended; statements may be under way.
    Ended,
    Stopped,
}

/// How many records may be read behind a statement that waits for its session's next record.
const LOOKAHEAD_RECORDS: usize = 4096;
/// Nor more than this, which a few statements may be.
const LOOKAHEAD_BYTES: usize = 32 << 20;
/// How long nothing may be due before it is worth a line in the log.
const LONG_SILENCE: Duration = Duration::from_secs(60);
/// How often a bar can move.
const SHOW_INTERVAL: Duration = Duration::from_millis(200);
const COMMIT_INTERVAL: Duration = Duration::from_secs(1);

impl Consumer {
    /// A consumer that has not begun to read.
    pub fn new(parts: ConsumerParts) -> Self {
        let settings = IntakeSettings {
            filters: parts.settings.filters.clone(),
            identity: parts.settings.identity.clone(),
            patience: LookaheadLimits {
                entries: LOOKAHEAD_RECORDS,
                bytes: LOOKAHEAD_BYTES.min(parts.settings.max_in_flight_bytes),
                wait_ms: u64::try_from(parts.settings.lookahead.as_millis()).unwrap_or(u64::MAX),
            },
            pace: parts.settings.pace,
            dry_run: parts.downstream.is_none(),
        };
        let partitions = Partitions::new(parts.settings.merge_idle);
        let window = Window::new(parts.settings.max_in_flight, parts.settings.max_in_flight_bytes);
        let now = Instant::now();
        let bytes = parts.source.bytes();
        let vital = PanicGuard::new("consumer", parts.fatal.clone());
        let stall_timeout = parts.settings.stall_timeout;
        let patience = parts.settings.patience_with_silence();
        let watch = |timeout| StallWatch::new(timeout, patience, parts.began.elapsed());
        let stall_watch = stall_timeout.map(watch);
        Self {
            source: Some(parts.source),
            names: parts.names,
            committer: parts.committer,
            reader: Some(parts.reader),
            dead_letters: parts.dead_letters,
            settings: parts.settings,
            downstream: parts.downstream,
            tally: parts.tally,
            shapes: parts.shapes,
            fatal: parts.fatal,
            done: Some(parts.done),
            end_told: false,
            health: parts.health,
            overview: parts.overview,
            records: metrics::Records::new(),
            load: Load::new(parts.threads, parts.began),
            empty: Stopwatch::default(),
            backpressure: Stopwatch::default(),
            backpressure_told: Duration::ZERO,
            partitions,
            intake: Intake::new(settings),
            file_watch: FileWatch::default(),
            window,
            deliveries: Vec::new(),
            unaccounted: Vec::new(),
            commit_first: None,
            interrupt: Arc::default(),
            phase: Phase::Reading,
            caught_up: false,
            bytes,
            bytes_read: 0,
            began: parts.began,
            newest_due: None,
            first_statement: None,
            start_logging: StartLogging::default(),
            last_progress: now,
            standstill: StallTimer::default(),
            stall_watch,
            look_at_ends: None,
            committed_all: now,
            newest_ended_ms: 0,
            told: HashMap::new(),
            draws_told: HashSet::new(),
            _vital: vital,
        }
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock()
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    // ---- Reading ----

    /// Whether there is room for what may come.
    fn has_room(&self) -> bool {
        self.window.has_room() || !self.intake.is_full()
    }

    /// Reads on for as long as there is room for what may come.
    fn read(&mut self, ctx: &mut Context<Self>) {
        if self.phase != Phase::Reading {
            return;
        }
        let Some(mut source) = self.source.take() else { return };
        let room = self.has_room();
        self.backpressure.switch(!room);
        let interrupt = self.interrupt.clone();
        let commit = self.commit_first.take();
        let held_back = self.partitions.listen(room && commit.is_none());
        if let Err(failure) = source.hold_back(held_back) {
            return self.failed(failure);
        }
        let reading = async move {
            if let Some(commit) = commit {
                commit.await;
            }
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
                Some(Ok(event)) => actor.heard(event, ctx),
                Some(Err(error)) => actor.failed(error),
                None => {}
            }
            actor.release();
            actor.read(ctx);
        }));
    }

    fn heard(&mut self, event: Event, ctx: &mut Context<Self>) {
        match event {
            Event::Records(chunk) => self.records(&chunk),
            Event::Assigned(partitions) => self.assigned(&partitions),
            Event::Revoked(partitions) => self.revoked(partitions, ctx),
            Event::Lost(gap) => {
                metrics::offset_gap(gap.lost());
                warn!(
                    "records are lost, going on from the oldest there is (--on-gap continue); the \
                     topic's retention has to outlast kreplay's pauses: {gap}"
                );
            }
            Event::Through(partition) => self.partitions.finish(partition),
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
                self.intake.resume(*partition, offset, metadata);
            }
            // Files are one log, in the order given.
            if self.committer.is_some() {
                self.partitions.assign(*partition);
            }
        }
        info!(partitions = partitions.len(), "reading");
    }

    fn ended(&mut self) {
        self.phase = Phase::Ended;
        self.backpressure.switch(false);
        self.caught_up = true;
        self.partitions.finish_all();
    }

    fn records(&mut self, chunk: &Chunk) {
        self.health.source(Condition::Connected);
        self.caught_up = chunk.caught_up;
        self.bytes_read += chunk.read;
        self.tally().records.consume(chunk.records.len() as u64);
        if self.partitions.are_merged() {
            return self.merge(chunk);
        }
        let Some(mut reader) = self.reader.take() else { return };
        let now_ms = self.now_ms();
        for (arrival, payload) in chunk.iter() {
            let (partition, offset) = (arrival.partition, arrival.offset);
            let at = Position { partition, offset, line: arrival.line };
            self.payload(&mut reader, at, payload, now_ms);
            if self.phase == Phase::Stopped {
                break;
            }
        }
        self.reader = Some(reader);
    }

    fn payload(&mut self, reader: &mut RecordReader, at: Position, payload: &[u8], now_ms: u64) {
        match reader.read(payload) {
            Ok(record) => self.record(at, &record, now_ms),
            Err(malformed) => self.unreadable(at, &malformed, payload),
        }
    }

    /// How often something has been told by now, if it is worth telling again: the first few times
    /// and then ever fewer. A broken shipper must not flood the log.
    fn should_log(&mut self, what: &'static str) -> Option<u64> {
        let seen = self.told.entry(what).or_default();
        *seen += 1;
        (*seen <= 10 || seen.is_power_of_two()).then_some(*seen)
    }

    fn record(&mut self, at: Position, record: &LogRecord<'_>, now_ms: u64) {
        let noted = self.intake.record(at, record, now_ms);
        let IntakeResult {
            fate,
            kind,
            line,
            read_in,
            joined,
            missing,
            session_error,
            server_ended,
        } = noted;
        self.records.read(kind.unwrap_or(RecordKind::Excluded));
        if !record.log_time.zone_known && self.should_log("zone") == Some(1) {
            warn!(
                "the source logs times with a zone abbreviation, which is ambiguous, and they are \
                 read as UTC: set log_timezone = 'UTC' on the source"
            );
        }
        if let Some(line) = line.filter(|_| self.committer.is_none()) {
            self.watch_files(at, record, line, read_in);
        }
        if joined {
            metrics::session_joined_midway();
        }
        if missing > 0 {
            metrics::sequence_gap();
            if let Some(count) = self.should_log("gap") {
                let (session, place) = (record.session, self.names.place(at));
                warn!(%session, missing, count, "records of a session are missing before {place}, and \
                    what they did is missing on the target: the shipper lost them, or the topic \
                    dropped them (retention.ms)");
            }
        }
        let mut tally = self.tally.lock();
        if let Some(code) = session_error {
            tally.session_ended(code);
        }
        if let Some(fate) = fate {
            tally.records.settle(fate);
        }
        drop(tally);
        if server_ended {
            self.server_ended();
        }
    }

    /// The server crashed, was stopped or begins: no session of it goes on.
    fn server_ended(&mut self) {
        while let Some(released) = self.intake.release(self.now_ms(), true) {
            self.released(released);
        }
        self.flush();
        if let Some(downstream) = &self.downstream {
            downstream.supervisor.do_send(CloseAll);
        }
        self.intake.forget_sessions(self.now_ms());
    }

    // ---- Delivering ----

    /// Delivers what need not wait any longer, as far as there is room.
    fn release(&mut self) {
        let now_ms = self.now_ms();
        while self.phase != Phase::Stopped {
            while let Some(released) = self.intake.release(now_ms, self.window.has_room()) {
                self.released(released);
            }
            if !self.take_merged() {
                break;
            }
        }
        self.flush();
        self.empty.switch(self.window.in_flight() == 0);
        if self.partitions.have_caught_up() {
            self.interrupt.notify_one();
        }
        if self.phase != Phase::Ended || !self.partitions.is_empty() {
            return;
        }
        if !self.intake.has_ended() {
            self.intake.end();
            return self.release();
        }
        if !self.intake.is_empty() {
            return;
        }
        // Not before the last delivery: a session with a record still in here is not without one.
        if let Some(downstream) = self.downstream.as_ref().filter(|_| !self.end_told) {
            self.end_told = true;
            downstream.supervisor.do_send(InputEnded);
        }
        if self.window.in_flight() == 0
            && let Some(done) = self.done.take()
        {
            // The daemon may have stopped waiting: it is stopping then.
            let _ = done.send(());
        }
    }

    fn released(&mut self, released: Released) {
        match released {
            Released::Left(fate) => self.tally().records.settle(fate),
            Released::Delivery(delivery) => {
                if let SessionEvent::Work(work) = &delivery.event {
                    self.note_silence(work);
                    self.note_start_logging(work);
                    self.window.enter(work.size());
                    self.first_statement.get_or_insert_with(Instant::now);
                }
                self.deliveries.push(delivery);
            }
        }
    }

    /// Says what a log of starts costs, once.
    fn note_start_logging(&mut self, work: &Work) {
        if self.settings.order != Order::Session && self.start_logging.shows_with(work.end().source)
        {
            let place = self.names.place(work.at);
            warn!(
                "the log tells when statements started (log_statement), not when they ended ({place}): \
                the order between sessions that touch the same rows is often wrong in it, and their \
                data may come to differ; set log_min_duration_statement = 0 and log_statement = 'none' \
                on the source"
            );
        }
    }

    /// Says why nothing will happen for a while, where the log's pace is kept.
    fn note_silence(&mut self, work: &Work) {
        let Some(due) = work.due else { return };
        let before = self.newest_due.unwrap_or_else(|| Moment::after(self.began.elapsed()));
        let silence = due.since(before);
        if silence >= LONG_SILENCE && self.should_log("silence").is_some() {
            let place = self.names.place(work.at);
            info!(
                ?silence,
                "nothing is due for so long before a statement ({place}): --speed waits"
            );
        }
        self.newest_due = Some(due.max(before));
    }

    fn flush(&mut self) {
        let deliveries = std::mem::take(&mut self.deliveries);
        if let Some(downstream) = &self.downstream
            && !deliveries.is_empty()
        {
            if self.settings.order != Order::Session {
                // Before a session can ask for its turn, the order knows the statement.
                let arrived = deliveries.iter().filter_map(|delivery| match &delivery.event {
                    SessionEvent::Work(work) => Some((work.clone(), delivery.login.clone())),
                    _ => None,
                });
                downstream.sequencer.do_send(Arrived(arrived.collect()));
            }
            downstream.supervisor.do_send(Deliver(deliveries));
        }
    }

    // ---- Now and then ----

    fn every_second(&mut self) {
        self.health.beat(MonitoredActor::Consumer);
        self.commit();
        self.look_at_ends();
        self.show_lag();
        self.show_waits();
        self.forget_silent();
    }

    fn forget_silent(&mut self) {
        let now_ms = self.now_ms();
        let backends = self.downstream.as_ref().map(|downstream| &downstream.backends);
        let connected = || backends.map_or_else(Default::default, |backends| backends.sessions());
        self.intake.forget_silent(now_ms, connected);
        metrics::source_sessions(self.intake.sessions());
    }

    fn check_stall(&mut self) {
        // What waits for a record that is still to come goes on when it has been read.
        let in_flight = self.window.in_flight() > 0;
        let stuck = !self.window.has_room() || (self.phase == Phase::Ended && in_flight);
        if stuck && self.standstill.is_due(self.last_progress.elapsed()) {
            if self.phase == Phase::Reading && self.window.open() {
                self.release();
                self.interrupt.notify_one();
            } else if let Some(downstream) = &self.downstream {
                downstream.sequencer.do_send(BreakStall);
            }
        }
    }
}

impl Actor for Consumer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.health.beat(MonitoredActor::Consumer);
        ctx.run_interval(COMMIT_INTERVAL, |actor, _| actor.every_second());
        ctx.run_interval(SHOW_INTERVAL, |actor, _| actor.show_extent());
        let wait = self.settings.lookahead / 4;
        let tick = wait.clamp(Duration::from_millis(2), Duration::from_millis(50));
        ctx.run_interval(tick, |actor, ctx| {
            let nothing_held = actor.partitions.is_empty() && actor.intake.is_empty();
            if actor.phase == Phase::Reading && !nothing_held {
                actor.release();
            }
            actor.check_stall();
            actor.watch(ctx);
        });
        self.read(ctx);
    }
}

impl Handler<ReadOn> for Consumer {
    type Result = ();

    fn handle(&mut self, _: ReadOn, _: &mut Self::Context) {
        if !self.window.has_room() {
            if !self.window.open() {
                metrics::in_flight_limit_overridden();
                self.window.open_beyond();
            }
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
