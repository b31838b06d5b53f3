//! The sessions of a sample: each read as a replay would read it, with how long it lived.

use std::collections::{BTreeMap, HashMap};

use super::{Logging, Sample, Sampled};
use crate::pglog::session_log::{NoEffect, PriorUpdate, Reading, RecordEffect, SessionLog};
use crate::pglog::statement::{SourceEnd, Statement};
use crate::pglog::{LogRecord, SessionId};
use crate::replay::intake::lines::{Line, LineSequence};
use crate::replay::report::plan::logged::LoggedPlan;
use crate::sql::Command;

#[derive(Debug, Default)]
pub(super) struct Sessions {
    /// By stretch: what lies between two stretches is not known.
    sessions: HashMap<(usize, SessionId), Session>,
    /// The times that each stretch of each partition covers.
    stretches: BTreeMap<(usize, i32), Span>,
    /// The partition that a session was seen on first, and whether it was on others.
    homes: HashMap<SessionId, (i32, bool)>,
}

#[derive(Debug, Default)]
struct Session {
    partition: i32,
    log: SessionLog,
    lines: LineSequence,
    facts: Option<Span>,
    /// It had begun before its first record here.
    joined: bool,
    ended: bool,
    /// Whether it is in a transaction block; `None` where that is not known (yet).
    in_block: Option<bool>,
}

/// From the earliest to the latest log time, in Unix milliseconds.
#[derive(Debug, Clone, Copy)]
struct Span {
    from: i64,
    to: i64,
}

impl Span {
    fn with(span: Option<Self>, ms: i64) -> Self {
        span.map_or(Self { from: ms, to: ms }, |span| Self {
            from: span.from.min(ms),
            to: span.to.max(ms),
        })
    }
}

impl Sessions {
    /// Reads the session's next record.
    pub(super) fn see(
        &mut self,
        sampled: &Sampled,
        record: &LogRecord<'_>,
        logging: &mut Logging,
    ) -> (Line, Reading) {
        let ms = record.log_time.unix_ms;
        let stretch = (sampled.stretch, sampled.partition);
        let span = Span::with(self.stretches.get(&stretch).copied(), ms);
        self.stretches.insert(stretch, span);
        let home = self.homes.entry(record.session).or_insert((sampled.partition, false));
        home.1 |= home.0 != sampled.partition;

        let session = self.sessions.entry((sampled.stretch, record.session)).or_default();
        let line = session.lines.observe(record.line);
        if session.facts.is_none() {
            session.partition = sampled.partition;
            // `connection received` (not looked at here), `authenticated`, `authorized`.
            session.joined = record.line > 3;
            // The first record of a connection that is logged has no user yet.
            if record.line == 1 {
                logging.unannounced += 1;
            }
            session.in_block = (!session.joined).then_some(false);
        }
        session.facts = Some(Span::with(session.facts, ms));
        if matches!(line, Line::Repeat | Line::Early) {
            let this = RecordEffect::NoEffect(NoEffect::Noise);
            return (line, Reading { previous: PriorUpdate::Open, this });
        }
        if matches!(line, Line::Gap(_)) {
            session.in_block = None;
        }
        let reading = session.log.read(record);
        match &reading.this {
            RecordEffect::Closed(_) => session.ended = true,
            RecordEffect::Statement { statement, end, .. } => {
                session.pair(statement, *end, logging)
            }
            RecordEffect::Plan(text) => {
                logging.plans += 1;
                logging.unread_plans += u64::from(LoggedPlan::read(text).is_none());
            }
            _ => {}
        }
        (line, reading)
    }

    /// Adds up what only all of the sample tells.
    pub(super) fn close(self, sample: &mut Sample) {
        sample.spread = self.homes.values().filter(|(_, spread)| *spread).count();
        sample.sessions = self.homes.len();
        let mut by_stretch: BTreeMap<usize, Vec<Span>> = BTreeMap::new();
        for ((stretch, _), session) in &self.sessions {
            let (Some(facts), Some(all)) =
                (session.facts, self.stretches.get(&(*stretch, session.partition)))
            else {
                continue;
            };
            by_stretch.entry(*stretch).or_default().push(Span {
                from: if session.joined { all.from } else { facts.from },
                to: if session.ended { facts.to } else { all.to },
            });
        }
        sample.at_once = by_stretch.into_values().map(at_once).max().unwrap_or_default();
    }
}

impl Session {
    /// Whether transactions have both their ends.
    fn pair(&mut self, statement: &Statement, end: SourceEnd, logging: &mut Logging) {
        if matches!(end, SourceEnd::Failed(_)) {
            return;
        }
        for part in &statement.outline.parts {
            let (paired, after) = match (part.command, self.in_block) {
                (Command::Begin, Some(true)) => (Some(false), true),
                (Command::Begin, _) => (None, true),
                (Command::Commit, Some(false)) => (Some(false), false),
                // Pools roll back what may not be there.
                (Command::Rollback, Some(false)) => (None, false),
                (Command::Commit | Command::Rollback, Some(true)) => (Some(true), false),
                (Command::Commit | Command::Rollback | Command::PrepareTransaction, _) => {
                    (None, false)
                }
                _ => continue,
            };
            match paired {
                Some(true) => logging.paired += 1,
                Some(false) => logging.unpaired += 1,
                None => {}
            }
            self.in_block = Some(after);
        }
    }
}

/// How many of these overlap at the most.
fn at_once(spans: Vec<Span>) -> usize {
    // At the same moment the next begins before the last one ends: it may have.
    let starts = spans.iter().map(|span| (span.from, 0));
    let ends = spans.iter().map(|span| (span.to, 1));
    let mut events: Vec<(i64, u8)> = starts.chain(ends).collect();
    events.sort_unstable();
    let (mut now, mut most) = (0_usize, 0);
    for (_, event) in events {
        if event == 0 {
            now += 1;
            most = most.max(now);
        } else {
            now -= 1;
        }
    }
    most
}
