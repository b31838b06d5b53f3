//! What the report tells of a time in which nothing went on.

use serde::Serialize;

use crate::replay::order::stall_watch::ReportedStall;
use crate::replay::order::wait_chain::{Link, Remedy};
use crate::replay::work::Position;

/// A time in which nothing went on, though the target did not work and no input was missing.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StallReport {
    /// Whether something has gone on since.
    pub is_over: bool,
    /// For how long nothing had ended when it was told last.
    pub seconds: f64,
    /// Who waited for whom, from the first statement in the log on.
    pub chain: Vec<WaitReport>,
    /// How many such chains there were.
    pub chains: usize,
    /// What was done, in words.
    pub given_up: Vec<String>,
}

/// One wait of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WaitReport {
    /// The session, as the log calls it.
    pub session: String,
    /// Where its statement stands.
    pub place: Option<String>,
    /// What it waits for, in words.
    pub waits_for: &'static str,
    /// Who holds it up, in words.
    pub held_up_by: Option<String>,
}

impl StallReport {
    /// What is told; `place` says where a record stands.
    pub fn new(told: &ReportedStall, place: impl Fn(Position) -> String) -> Self {
        let wait = |link: &Link| WaitReport {
            session: link.session.to_string(),
            place: link.statement.map(|statement| place(statement.at)),
            waits_for: link.wait_state.in_words(),
            held_up_by: link.holder.as_ref().map(|holder| holder.in_words()),
        };
        Self {
            is_over: false,
            seconds: told.still_for.as_secs_f64(),
            chain: told.stall.links.iter().map(wait).collect(),
            chains: told.chains,
            given_up: told.remedies.iter().filter_map(Remedy::in_words).collect(),
        }
    }

    /// The chain in a line.
    pub fn in_words(&self) -> String {
        let waits = self.chain.iter().map(|wait| {
            let place = wait.place.as_ref().map_or_else(String::new, |place| format!(" ({place})"));
            let held = wait.held_up_by.as_ref();
            let held = held.map_or_else(String::new, |holder| format!(", held up by {holder}"));
            format!("session {}{place} waits for {}{held}", wait.session, wait.waits_for)
        });
        waits.collect::<Vec<_>>().join("; ")
    }
}

#[cfg(test)]
mod tests;
