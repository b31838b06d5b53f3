//! A session's turns: up to which place it may start its statements, and how long they waited for that.

use std::collections::VecDeque;
use std::time::Duration;

use crate::replay::pace::Moment;
use crate::replay::work::Seq;

/// What a session knows of its turn. All of it outlives a connection but what it has asked for: on the
/// next one it asks again.
#[derive(Debug)]
pub(super) struct TurnState {
    /// Whether a statement waits until it may start.
    takes_turns: bool,
    /// Up to here it may start.
    granted: Seq,
    /// The statement whose turn it has asked for.
    asked: Seq,
    /// The statement that a stall lets it run ahead of its turn.
    ahead: Option<Seq>,
    /// The turn that is waited for, and since when.
    since: Option<(Seq, Moment)>,
    /// How long statements waited that have not ended yet, in their order.
    waited: VecDeque<(Seq, Duration)>,
}

/// What a statement is to do about its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TurnStep {
    /// It may start.
    Start,
    /// It has to ask for its turn.
    Ask,
    /// It has asked, and waits.
    Wait,
}

impl TurnState {
    pub(super) fn new(takes_turns: bool) -> Self {
        Self {
            takes_turns,
            granted: Seq(0),
            asked: Seq(0),
            ahead: None,
            since: None,
            waited: VecDeque::new(),
        }
    }

    /// What the statement with this place, which is next, is to do about its turn now.
    pub(super) fn step(&mut self, seq: Seq, now: Moment) -> TurnStep {
        if self.has_come(seq) || self.ahead == Some(seq) {
            return TurnStep::Start;
        }
        if self.asked >= seq {
            return TurnStep::Wait;
        }
        self.asked = seq;
        self.since = Some((seq, now));
        TurnStep::Ask
    }

    /// Whether it waits for the turn that it has asked for.
    pub(super) fn is_awaited(&self, seq: Seq) -> bool {
        self.asked >= seq && !self.has_come(seq) && self.ahead != Some(seq)
    }

    fn has_come(&self, seq: Seq) -> bool {
        !self.takes_turns || seq <= self.granted
    }

    /// Statements up to this place may start.
    pub(super) fn grant(&mut self, seq: Seq, now: Moment) {
        self.came(now);
        self.granted = self.granted.max(seq);
    }

    /// This statement may start ahead of its turn.
    pub(super) fn run_ahead(&mut self, seq: Seq, now: Moment) {
        self.came(now);
        self.ahead = Some(seq);
    }

    fn came(&mut self, now: Moment) {
        if let Some((seq, since)) = self.since.take() {
            self.waited.push_back((seq, now.since(since)));
        }
    }

    /// The statement starts. One that was let ahead has used that up.
    pub(super) fn started(&mut self, seq: Seq) {
        if !self.has_come(seq) {
            self.ahead = None;
        }
    }

    /// How long a statement that has ended had waited for its turn.
    pub(super) fn take_waited(&mut self, ended: Seq) -> Duration {
        let mut waited = Duration::ZERO;
        while let Some(&(seq, wait)) = self.waited.front()
            && seq <= ended
        {
            self.waited.pop_front();
            if seq == ended {
                waited = wait;
            }
        }
        waited
    }

    /// The connection is gone: the turn is asked for again on the next one.
    pub(super) fn disconnected(&mut self) {
        self.asked = Seq(0);
        self.ahead = None;
    }
}

#[cfg(test)]
mod tests;
