//! Whether the process is alive, and whether it is ready.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What the actors say of themselves and their connections; every clone is the same.
///
/// A `parking_lot::Mutex`: it is held for a few assignments, never over an await.
#[derive(Debug, Clone, Default)]
pub(crate) struct Health {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    source: Condition,
    target: Condition,
    draining: bool,
    beats: BTreeMap<MonitoredActor, Instant>,
}

/// How a connection is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Condition {
    /// It has not been tried, or the answer is still to come.
    #[default]
    Unknown,
    /// It is there.
    Connected,
    /// It is not needed: a dry run has no target.
    Unused,
    /// It is not there, for this reason (which is shown to everybody: no secrets).
    Disconnected(String),
}

/// The actors without which nothing goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, strum::Display)]
#[strum(serialize_all = "lowercase")]
pub(crate) enum MonitoredActor {
    /// Reads the source.
    Consumer,
    /// Gives the order.
    Sequencer,
    /// Owns the sessions.
    Supervisor,
    /// Gives the connections.
    Admission,
}

impl Condition {
    /// Whether nothing is missing: it is there, or nobody needs it.
    pub(crate) fn is_met(&self) -> bool {
        matches!(self, Self::Connected | Self::Unused)
    }

    /// In a few words, on one line.
    pub(crate) fn in_words(&self) -> String {
        match self {
            Self::Unknown => "not connected yet".into(),
            Self::Connected => "connected".into(),
            Self::Unused => "not used".into(),
            Self::Disconnected(reason) => reason.split_whitespace().collect::<Vec<_>>().join(" "),
        }
    }
}

impl Health {
    /// How long an actor may be silent before it counts as stuck. A beat every few seconds is
    /// plenty.
    pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

    /// The source is so from now on.
    pub(crate) fn source(&self, condition: Condition) {
        self.state.lock().source = condition;
    }

    /// The target is so from now on.
    pub(crate) fn target(&self, condition: Condition) {
        self.state.lock().target = condition;
    }

    /// The process stops: it is ready for nothing more.
    pub(crate) fn drain(&self) {
        self.state.lock().draining = true;
    }

    /// Whether the process stops.
    pub(crate) fn is_draining(&self) -> bool {
        self.state.lock().draining
    }

    /// The actor lives; from the first beat on it has to go on beating.
    pub(crate) fn beat(&self, actor: MonitoredActor) {
        self.state.lock().beats.insert(actor, Instant::now());
    }

    /// Whether every actor answers at this moment; otherwise which does not.
    pub(crate) fn alive(&self, now: Instant) -> Result<(), String> {
        for (actor, beat) in &self.state.lock().beats {
            let silent = now.saturating_duration_since(*beat);
            if silent > Self::PATIENCE {
                return Err(format!("{actor}: silent for {} s", silent.as_secs()));
            }
        }
        Ok(())
    }

    /// Whether records are read and statements can be sent; otherwise why not.
    pub(crate) fn ready(&self) -> Result<(), String> {
        let state = self.state.lock();
        if state.draining {
            return Err("stopping".into());
        }
        for (side, condition) in [("source", &state.source), ("target", &state.target)] {
            if !condition.is_met() {
                return Err(format!("{side}: {}", condition.in_words()));
            }
        }
        Ok(())
    }

    /// How the source and the target are.
    pub(crate) fn conditions(&self) -> (Condition, Condition) {
        let state = self.state.lock();
        (state.source.clone(), state.target.clone())
    }
}
