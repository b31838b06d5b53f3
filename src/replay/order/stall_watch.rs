//! When the sessions are asked what they wait for, and when the answer is reported and acted on.
//!
//! The watchdog of last resort. It probes when nothing has ended for half of its time-out, and reports a
//! stall at the next probe: by then nothing has ended for the whole of it, and the same statement has
//! been at the head of the chain for half of it at least.

use std::collections::HashMap;
use std::time::Duration;

use crate::pglog::SessionId;
use crate::replay::order::wait_chain::{Holder, Remedy, Stall};
use crate::replay::work::Seq;

/// Watches over a replay. All times count from its start.
#[derive(Debug)]
pub struct StallWatch {
    timeout: Duration,
    /// For how long a record is waited for that may still be read.
    patience: Duration,
    /// Since when nothing has ended.
    since: Duration,
    next_probe: Duration,
    /// How many probes there have been.
    probes: u64,
    /// Since when each has been seen at the head of a chain.
    heads: HashMap<Head, Duration>,
    /// When a stall was reported last, since nothing has ended.
    reported: Option<Duration>,
}

type Head = (SessionId, Option<Seq>);

/// How long it may take to read a catalog before that is a stall: a large one takes seconds.
const CATALOG_READING: Duration = Duration::from_secs(3);

/// A stall that is to be reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportedStall {
    /// For how long nothing has ended.
    pub still_for: Duration,
    /// The chain of waits; of several, that of the first statement in the log.
    pub stall: Stall,
    /// How many chains there are.
    pub chains: usize,
    /// What is done, for all of them.
    pub remedies: Vec<Remedy>,
}

impl StallWatch {
    /// Nothing has begun by now. `patience`: for how long what may still be read is waited for.
    pub fn new(timeout: Duration, patience: Duration, now: Duration) -> Self {
        Self {
            timeout,
            patience,
            since: now,
            next_probe: now + timeout / 2,
            probes: 0,
            heads: HashMap::new(),
            reported: None,
        }
    }

    /// Something has ended, or nothing is in flight. Returns whether that is the end of a stall that was
    /// reported.
    pub fn progressed(&mut self, now: Duration) -> bool {
        self.since = now;
        self.next_probe = now + self.timeout / 2;
        self.heads.clear();
        self.reported.take().is_some()
    }

    /// The probe that is due, by its number.
    pub fn due(&mut self, now: Duration) -> Option<u64> {
        if now < self.next_probe {
            return None;
        }
        self.next_probe = now + self.timeout / 2;
        self.probes += 1;
        Some(self.probes)
    }

    /// What a probe has found. Returns what is to be reported.
    pub fn on_probe(
        &mut self,
        probe: u64,
        stalls: Vec<Stall>,
        now: Duration,
    ) -> Option<ReportedStall> {
        if probe != self.probes || self.since + self.timeout / 2 > now {
            // Something has ended meanwhile, or it has come too late.
            return None;
        }
        let before = std::mem::take(&mut self.heads);
        for head in stalls.iter().filter_map(Stall::head) {
            self.heads.insert(head, before.get(&head).copied().unwrap_or(now));
        }
        let still_for = now - self.since;
        let rests = self.reported.is_some_and(|reported| now < reported + self.timeout);
        if still_for < self.timeout || rests {
            return None;
        }
        let held: Vec<(Stall, Duration)> = stalls
            .into_iter()
            .filter_map(|stall| {
                let since = self.heads.get(&stall.head()?)?;
                Some((stall, now - *since))
            })
            .filter(|(stall, held)| self.is_stall(stall, *held))
            .collect();
        let may_act = |(stall, held): &&(Stall, Duration)| {
            stall.remedy != Remedy::None && (!stall.may_be_read || *held >= self.patience)
        };
        let remedies = held.iter().filter(may_act).map(|(stall, _)| stall.remedy.clone());
        let mut remedies: Vec<Remedy> = remedies.collect();
        remedies.dedup();
        let chains = held.len();
        let (stall, _) = held.into_iter().next()?;
        self.reported = Some(now);
        Some(ReportedStall { still_for, stall, chains, remedies })
    }

    /// Whether a chain has stood for so long that it is reported.
    fn is_stall(&self, stall: &Stall, held: Duration) -> bool {
        held >= match stall.links.last().and_then(|last| last.holder.as_ref()) {
            _ if stall.is_silence() => self.patience,
            Some(Holder::Catalog(_)) => (self.timeout / 3).max(CATALOG_READING),
            _ => self.timeout / 3,
        }
    }
}

#[cfg(test)]
mod tests;
