//! What is read, and what becomes of it before and after the sessions: everything that the consumer
//! decides.
//!
//! Records go in by [`Feed::read`], in the order of their arrival; what sessions report comes back by
//! [`Feed::account`]. What has to be done for either is pushed to [`Round::out`]. [`Feed::demand`] says
//! what the source is asked for next.
//!
//! Each thing that can happen is a method and not a variant of one event: what it takes and gives
//! differs (records borrow from the chunk that they came in, partitions that go give back what to
//! commit), and the caller has one call site for each anyway.
//!
//! - `account`: what became of statements;
//! - `actions`: what it asks for;
//! - `notices`: what an operator should know of the input;
//! - `offsets`: how far the replay is, for the next start;
//! - `partitions`: one order out of several partitions;
//! - `records`: one record at a time;
//! - `stalls`: what is done when nothing ends any more;
//! - `stopwatch`: for how long something has been so.

mod account;
mod actions;
mod notices;
mod offsets;
mod partitions;
mod records;
mod stalls;
mod stopwatch;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

pub use self::actions::{Demand, FeedAction, FeedCounts, InputFault};
use self::notices::LogLimit;
pub use self::notices::Notice;
use self::partitions::Partitions;
use self::stalls::Stalls;
use self::stopwatch::Stopwatch;
use crate::pglog::{RecordReader, SessionId};
use crate::replay::account::policy::Tally;
use crate::replay::intake::file_order::FileWatch;
use crate::replay::intake::in_flight_limit::InFlightLimit;
use crate::replay::intake::lookahead::LookaheadLimits;
use crate::replay::intake::{
    Delivery, Intake, IntakeSettings, Released, SessionEvent, StartLogging,
};
use crate::replay::pace::Moment;
use crate::replay::settings::ReplaySettings;
use crate::replay::work::Position;

/// The input of a replay on its way to the sessions. All times count from the replay's start.
#[derive(Debug)]
pub struct Feed {
    settings: Arc<ReplaySettings>,
    input: InputKind,
    keeps_rejected: bool,
    /// Taken out while a record borrows from it.
    reader: Option<RecordReader>,
    partitions: Partitions,
    intake: Intake,
    file_watch: FileWatch,
    in_flight: InFlightLimit,
    /// What is delivered when it has decided everything else.
    deliveries: Vec<Delivery>,
    phase: Phase,
    /// Whether partitions are being given up: the source is not listened to meanwhile.
    is_revoking: bool,
    /// Whether the source had nothing more at hand when it was read last.
    caught_up: bool,
    /// For how long no statement has been in flight.
    empty: Stopwatch,
    /// For how long nothing has been read for want of room; and how much of that has been reported.
    backpressure: Stopwatch,
    backpressure_reported: Duration,
    /// When the last statement is due of those that were delivered.
    newest_due: Option<Moment>,
    first_statement: Option<Duration>,
    start_logging: StartLogging,
    stalls: Stalls,
    /// When offsets were last committed whether or not they had changed.
    committed_all: Duration,
    /// When the newest statement that has ended was logged, in Unix milliseconds.
    newest_ended_ms: i64,
    logged: LogLimit,
    /// Query shapes that may have drawn from sequences, as far as they were reported.
    draws_reported: HashSet<u64>,
    counts: FeedCounts,
}

/// How a feed begins.
pub struct FeedSettings {
    /// What is replayed, and how.
    pub replay: Arc<ReplaySettings>,
    /// What is read.
    pub input: InputKind,
    /// Whether records that can't be read are kept somewhere.
    pub keeps_rejected: bool,
    /// Whether statements are only counted.
    pub dry_run: bool,
}

/// What is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputKind {
    /// A topic, whose partitions come and go, and each record may come from elsewhere.
    Topic,
    /// Files, which are one log in the order given.
    Files,
}

/// What the input is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Reading,
    /// The source has ended; records may be held.
    Draining,
    /// Sessions have got everything.
    Delivered,
    /// And all of it has ended.
    Done,
    /// Nothing more is read, whatever is held.
    Stopped,
}

/// One round of decisions: when something happens, where its records are counted, and what has to be done
/// for it.
pub struct Round<'a> {
    /// So long after the replay's start.
    pub now: Duration,
    /// The account of all records.
    pub tally: &'a mut Tally,
    /// What has to be done, in this order.
    pub out: &'a mut Vec<FeedAction>,
}

impl Round<'_> {
    fn now_ms(&self) -> u64 {
        millis(self.now)
    }
}

/// A record as its source gives it.
#[derive(Debug, Clone, Copy)]
pub struct SourceRecord<'a> {
    /// Where it stands there.
    pub at: Position,
    /// The record.
    pub payload: &'a [u8],
    /// Where its shipper read it, as the record's header says; empty without one.
    pub place: &'a [u8],
}

/// How many records may be read behind a statement that waits for its session's next record.
const LOOKAHEAD_RECORDS: usize = 4096;
/// Nor more than this, which a few statements may be.
const LOOKAHEAD_BYTES: usize = 32 << 20;
/// While so much waits for other partitions, those that are ahead are not read.
const MERGE_BYTES: usize = 64 << 20;
/// How long nothing may be due before it is worth a line in the log.
const LONG_SILENCE: Duration = Duration::from_secs(60);

impl Feed {
    /// One that has read nothing by now.
    pub fn new(settings: FeedSettings, reader: RecordReader, now: Duration) -> Self {
        let FeedSettings { replay, input, keeps_rejected, dry_run } = settings;
        let intake = Intake::new(IntakeSettings {
            filters: replay.filters.clone(),
            identity: replay.identity.clone(),
            patience: LookaheadLimits {
                entries: LOOKAHEAD_RECORDS,
                bytes: LOOKAHEAD_BYTES.min(replay.max_in_flight_bytes),
                wait_ms: millis(replay.lookahead),
            },
            pace: replay.pace(),
            dry_run,
        });
        let patience = replay.patience_with_silence();
        // Until the source has anything, nothing is in flight.
        let mut empty = Stopwatch::default();
        empty.switch(true, now);
        Self {
            input,
            keeps_rejected,
            reader: Some(reader),
            partitions: Partitions::new(replay.merge_idle, MERGE_BYTES),
            intake,
            file_watch: FileWatch::default(),
            in_flight: InFlightLimit::new(replay.max_in_flight, replay.max_in_flight_bytes),
            deliveries: Vec::new(),
            phase: Phase::Reading,
            is_revoking: false,
            caught_up: false,
            empty,
            backpressure: Stopwatch::default(),
            backpressure_reported: Duration::ZERO,
            newest_due: None,
            first_statement: None,
            start_logging: StartLogging::default(),
            stalls: Stalls::new(replay.stall_timeout, patience, now),
            committed_all: now,
            newest_ended_ms: 0,
            logged: LogLimit::default(),
            draws_reported: HashSet::new(),
            counts: FeedCounts::default(),
            settings: replay,
        }
    }

    // ---- Reading ----

    /// What the source is asked for now.
    pub fn demand(&mut self, now: Duration) -> Demand<'_> {
        if self.phase != Phase::Reading {
            return Demand::Nothing;
        }
        let room = self.has_room();
        self.backpressure.switch(!room, now);
        let except = self.partitions.listen(room && !self.is_revoking, now);
        if room { Demand::Records { except } } else { Demand::ControlOnly { except } }
    }

    /// Whether there is room for what may come.
    fn has_room(&self) -> bool {
        self.in_flight.has_room() || !self.intake.is_full()
    }

    /// Nothing more will come of a partition.
    pub fn partition_ended(&mut self, partition: i32) {
        self.partitions.finish(partition);
    }

    /// Nothing more will come.
    pub fn input_ended(&mut self, now: Duration) {
        self.phase = Phase::Draining;
        self.backpressure.switch(false, now);
        self.caught_up = true;
        self.partitions.finish_all();
    }

    /// Nothing more is read. What has been delivered continues.
    pub fn stop(&mut self) {
        self.phase = Phase::Stopped;
    }

    fn refuse(&mut self, fault: InputFault, out: &mut Vec<FeedAction>) {
        self.stop();
        out.push(FeedAction::RefuseInput(fault));
    }

    // ---- Delivering ----

    /// Delivers what need not wait any longer, as far as there is room.
    pub fn release(&mut self, round: &mut Round<'_>) {
        self.release_held(round);
        if self.phase == Phase::Draining && self.partitions.is_empty() {
            if !self.intake.has_ended() {
                self.intake.end();
                self.release_held(round);
            }
            if self.intake.is_empty() {
                // Not before the last delivery: a session with a record still in here is not without one.
                self.phase = Phase::Delivered;
                round.out.push(FeedAction::InputEnded);
            }
        }
        if self.phase == Phase::Delivered && self.in_flight.in_flight() == 0 {
            self.phase = Phase::Done;
            round.out.push(FeedAction::Done);
        }
    }

    fn release_held(&mut self, round: &mut Round<'_>) {
        while self.phase != Phase::Stopped {
            self.release_intake(round);
            if !self.take_merged(round) {
                break;
            }
        }
        self.deliver(round.out);
        self.empty.switch(self.in_flight.in_flight() == 0, round.now);
        if self.partitions.have_caught_up() {
            round.out.push(FeedAction::DemandChanged);
        }
    }

    fn release_intake(&mut self, round: &mut Round<'_>) {
        let now_ms = round.now_ms();
        while let Some(released) = self.intake.release(now_ms, self.in_flight.has_room()) {
            self.released(released, round);
        }
    }

    fn released(&mut self, released: Released, round: &mut Round<'_>) {
        match released {
            Released::Left(fate) => round.tally.records.settle(fate),
            Released::Delivery(delivery) => {
                if let SessionEvent::Work(work) = &delivery.event {
                    round.tally.digest.add(work);
                    self.note_silence(work, round);
                    self.note_start_logging(work, round.out);
                    self.in_flight.enter(work.size());
                    self.first_statement.get_or_insert(round.now);
                }
                self.deliveries.push(delivery);
            }
        }
    }

    fn deliver(&mut self, out: &mut Vec<FeedAction>) {
        if !self.deliveries.is_empty() {
            out.push(FeedAction::Deliver(std::mem::take(&mut self.deliveries)));
        }
    }

    /// The server crashed, was stopped or begins: no session of it continues.
    fn server_ended(&mut self, round: &mut Round<'_>) {
        let now_ms = round.now_ms();
        while let Some(released) = self.intake.release(now_ms, true) {
            self.released(released, round);
        }
        self.deliver(round.out);
        round.out.push(FeedAction::CloseAll);
        self.intake.forget_sessions(now_ms);
    }

    // ---- Now and then ----

    /// Time has passed: delivers what has waited for its session's next record for long enough, and sees
    /// to it that nothing stands still for ever.
    pub fn tick(&mut self, round: &mut Round<'_>) {
        if self.phase == Phase::Reading && !self.holds_nothing() {
            self.release(round);
        }
        self.check_stall(round);
        self.watch_stall(round);
    }

    /// Forgets sessions of the source that have been silent for long, unless they are `connected` to the
    /// target. Returns how many are left.
    pub fn forget_silent(
        &mut self,
        now: Duration,
        connected: impl FnOnce() -> foldhash::HashSet<SessionId>,
    ) -> usize {
        self.intake.forget_silent(millis(now), connected);
        self.intake.sessions()
    }

    // ---- What it shows ----

    /// What was counted since this was called last.
    pub fn take_counts(&mut self) -> FeedCounts {
        std::mem::take(&mut self.counts)
    }

    /// How many statements are handed to sessions and not finished.
    pub fn in_flight(&self) -> usize {
        self.in_flight.in_flight()
    }

    /// Whether another statement may be handed to a session.
    pub fn has_room_in_flight(&self) -> bool {
        self.in_flight.has_room()
    }

    /// For how long no statement has been in flight so far.
    pub fn empty_for(&self, now: Duration) -> Duration {
        self.empty.elapsed(now)
    }

    /// For how long nothing has been read for want of room, since this was called last.
    pub fn take_backpressure(&mut self, now: Duration) -> Duration {
        let so_far = self.backpressure.elapsed(now);
        so_far - std::mem::replace(&mut self.backpressure_reported, so_far)
    }

    /// How far the replay is behind the source, at this time of the day.
    pub fn replay_lag(&self, since_epoch: Duration) -> Duration {
        let nothing_left = self.in_flight() == 0 && self.holds_nothing() && self.caught_up;
        match u64::try_from(self.newest_ended_ms) {
            Ok(logged_ms) if logged_ms > 0 && !nothing_left => {
                since_epoch.saturating_sub(Duration::from_millis(logged_ms))
            }
            _ => Duration::ZERO,
        }
    }

    fn holds_nothing(&self) -> bool {
        self.partitions.is_empty() && self.intake.is_empty()
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
