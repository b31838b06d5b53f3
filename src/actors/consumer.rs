//! The consumer actor: asks the source for what [`Feed`] wants, and does what it decides. The only place
//! that knows the order of arrival.
//!
//! - `actions`: does what the feed asks for;
//! - `commits`: commits how far the replay is;
//! - `notices`: the log lines;
//! - `parts`: what it is given;
//! - `progress`: how far the replay is, for whoever watches;
//! - `revoking`: gives partitions away.

mod actions;
mod commits;
mod notices;
mod parts;
mod progress;
mod revoking;

use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use futures_util::future::LocalBoxFuture;
use tokio::sync::{Notify, oneshot};
use tracing::{error, info};

pub(crate) use self::commits::CommitNow;
pub(crate) use self::parts::{ConsumerParts, Downstream};
use super::load::Load;
use super::messages::{Fatal, ReadOn, StallProbed, Stop};
use super::overview::Overview;
use super::panic_guard::PanicGuard;
use crate::health::{Condition, Health, MonitoredActor};
use crate::metrics;
use crate::replay::account::policy::Tally;
use crate::replay::account::settlement::SessionProgress;
use crate::replay::feed::{Demand, Feed, FeedAction, FeedSettings, InputKind, Round, SourceRecord};
use crate::replay::report::Shapes;
use crate::replay::settings::ReplaySettings;
use crate::replay::work::Position;
use crate::source::dead_letters::DeadLetters;
use crate::source::{Chunk, Committer, Event, Resume, Source, SourceError, SourceNames};

/// Reads the source.
pub(crate) struct Consumer {
    feed: Feed,
    /// What the feed asks for; empty while it is not asked anything.
    actions: Vec<FeedAction>,
    /// `None` while it is asked for something.
    source: Option<Source>,
    names: Arc<SourceNames>,
    committer: Option<Committer>,
    dead_letters: Option<DeadLetters>,
    settings: Arc<ReplaySettings>,
    downstream: Option<Downstream>,
    tally: Arc<Mutex<Tally>>,
    shapes: Arc<Mutex<Shapes>>,
    fatal: Recipient<Fatal>,
    done: Option<oneshot::Sender<()>>,
    health: Health,
    overview: Arc<Overview>,
    records: metrics::Records,
    load: Load,
    /// What sessions have reported and the account does not hold yet.
    unaccounted: Vec<SessionProgress>,
    /// What has to be committed before the source is asked for more: partitions are going.
    commit_first: Option<LocalBoxFuture<'static, ()>>,
    /// Wakes the reading from waiting for a record, or for room.
    interrupt: Arc<Notify>,
    began: Instant,
    /// How much the files hold, where that is known; and how much of them has been read.
    bytes: Option<u64>,
    bytes_read: u64,
    /// The broker is being asked where the partitions end.
    look_at_ends: Option<tokio::task::JoinHandle<()>>,
    _panic_guard: PanicGuard,
}

/// How often a bar can move.
const SHOW_INTERVAL: Duration = Duration::from_millis(200);
const COMMIT_INTERVAL: Duration = Duration::from_secs(1);
/// How many reports of sessions are put off at most.
const UNACCOUNTED: usize = 64;

impl Consumer {
    /// A consumer that has not begun to read.
    pub(crate) fn new(parts: ConsumerParts) -> Self {
        let settings = FeedSettings {
            replay: parts.settings.clone(),
            input: if parts.committer.is_some() { InputKind::Topic } else { InputKind::Files },
            keeps_rejected: parts.dead_letters.is_some(),
            dry_run: parts.downstream.is_none(),
        };
        let bytes = parts.source.bytes();
        Self {
            feed: Feed::new(settings, parts.reader, parts.began.elapsed()),
            actions: Vec::new(),
            _panic_guard: PanicGuard::new("consumer", parts.fatal.clone()),
            source: Some(parts.source),
            names: Arc::new(parts.names),
            committer: parts.committer,
            dead_letters: parts.dead_letters,
            settings: parts.settings,
            downstream: parts.downstream,
            tally: parts.tally,
            shapes: parts.shapes,
            fatal: parts.fatal,
            done: Some(parts.done),
            health: parts.health,
            overview: parts.overview,
            records: metrics::Records::new(),
            load: Load::new(parts.threads, parts.began),
            unaccounted: Vec::new(),
            commit_first: None,
            interrupt: Arc::default(),
            began: parts.began,
            bytes,
            bytes_read: 0,
            look_at_ends: None,
        }
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Has the feed decide something, and does what it asks for.
    fn decide(&mut self, ctx: &mut Context<Self>, event: impl FnOnce(&mut Feed, &mut Round<'_>)) {
        let mut actions = std::mem::take(&mut self.actions);
        let mut tally = self.tally.lock();
        let (now, out) = (self.began.elapsed(), &mut actions);
        event(&mut self.feed, &mut Round { now, tally: &mut tally, out });
        drop(tally);
        let counts = self.feed.take_counts();
        self.records.read(&counts.records);
        metrics::fed(&counts);
        actions.drain(..).for_each(|action| self.act(action, ctx));
        self.actions = actions;
    }

    // ---- Reading ----

    /// Asks the source for what there is room for, again and again.
    fn read(&mut self, ctx: &mut Context<Self>) {
        let now = self.now();
        let Some(mut source) = self.source.take() else { return };
        let (room, held_back) = match self.feed.demand(now) {
            Demand::Records { except } => (true, source.hold_back(except)),
            Demand::ControlOnly { except } => (false, source.hold_back(except)),
            Demand::Nothing => {
                self.source = Some(source);
                return;
            }
        };
        if let Err(failure) = held_back {
            return self.failed(failure);
        }
        let (interrupt, commit) = (self.interrupt.clone(), self.commit_first.take());
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
                Some(Ok(event)) => actor.on_event(event, ctx),
                Some(Err(error)) => actor.failed(error),
                None => {}
            }
            actor.decide(ctx, Feed::release);
            actor.read(ctx);
        }));
    }

    fn on_event(&mut self, event: Event, ctx: &mut Context<Self>) {
        match event {
            Event::Records(chunk) => self.on_records(&chunk, ctx),
            Event::Assigned(partitions) => {
                self.health.source(Condition::Connected);
                let now = self.now();
                for Resume { partition, offset, metadata } in &partitions {
                    let resume = offset.map(|offset| (offset, metadata.as_str()));
                    self.feed.assign(*partition, resume, now);
                }
                info!(partitions = partitions.len(), "reading");
            }
            Event::Revoked(partitions) => self.revoke(partitions, ctx),
            Event::Lost(gap) => notices::log_lost(&gap),
            Event::PartitionEof(partition) => self.feed.partition_ended(partition),
            Event::End => self.feed.input_ended(self.began.elapsed()),
        }
    }

    fn on_records(&mut self, chunk: &Chunk, ctx: &mut Context<Self>) {
        self.health.source(Condition::Connected);
        self.bytes_read += chunk.read;
        let records = chunk.iter().map(|(arrival, payload)| SourceRecord {
            at: Position {
                partition: arrival.partition,
                offset: arrival.offset,
                line: arrival.line,
            },
            payload,
            place: chunk.place(arrival),
        });
        self.decide(ctx, |feed, round| feed.read(records, chunk.caught_up, round));
    }

    fn failed(&mut self, failure: SourceError) {
        self.feed.stop();
        error!("the source failed: {failure}");
        self.health.source(Condition::Disconnected(failure.to_string()));
        self.fatal.do_send(Fatal::Source(Arc::new(failure)));
    }

    // ---- What sessions report ----

    /// Accounts for what sessions have reported, and continues with the room that it made.
    fn account(&mut self, ctx: &mut Context<Self>) {
        if self.unaccounted.is_empty() {
            return;
        }
        let mut reports = std::mem::take(&mut self.unaccounted);
        let (shapes, names) = (self.shapes.clone(), self.names.clone());
        self.decide(ctx, |feed, round| {
            feed.account(reports.drain(..), &mut shapes.lock(), |at| names.place(at), round)
        });
        self.unaccounted = reports;
    }
}

impl Actor for Consumer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.health.beat(MonitoredActor::Consumer);
        ctx.run_interval(COMMIT_INTERVAL, |actor, ctx| {
            actor.health.beat(MonitoredActor::Consumer);
            actor.commit(ctx);
            actor.show();
        });
        ctx.run_interval(SHOW_INTERVAL, |actor, _| actor.show_extent());
        let wait = self.settings.lookahead / 4;
        let tick = wait.clamp(Duration::from_millis(2), Duration::from_millis(50));
        ctx.run_interval(tick, |actor, ctx| actor.decide(ctx, Feed::tick));
        self.read(ctx);
    }
}

impl Handler<SessionProgress> for Consumer {
    type Result = ();

    fn handle(&mut self, progress: SessionProgress, ctx: &mut Self::Context) {
        progress.retried.iter().for_each(|code| metrics::target_conflict_retried(*code));
        self.unaccounted.push(progress);
        match self.unaccounted.len() {
            // In serial order the next statement is on its way before the account is kept: the other
            // actors' turns come first.
            1 => {
                let others = tokio::task::yield_now().into_actor(self);
                ctx.spawn(others.map(|(), actor, ctx| actor.account(ctx)));
            }
            UNACCOUNTED => self.account(ctx),
            _ => {}
        }
    }
}

impl Handler<StallProbed> for Consumer {
    type Result = ();

    fn handle(&mut self, StallProbed { probe, stalls }: StallProbed, ctx: &mut Self::Context) {
        self.decide(ctx, |feed, round| feed.stall_probed(probe, stalls, round));
    }
}

impl Handler<ReadOn> for Consumer {
    type Result = ();

    fn handle(&mut self, _: ReadOn, ctx: &mut Self::Context) {
        self.decide(ctx, Feed::read_on);
    }
}

/// Reads no more. What has been delivered continues.
impl Handler<Stop> for Consumer {
    type Result = ();

    fn handle(&mut self, _: Stop, _: &mut Self::Context) {
        self.feed.stop();
        self.interrupt.notify_one();
    }
}
