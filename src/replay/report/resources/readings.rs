//! When statistics were read, and what of the run is not between the readings.

use serde::{Deserialize, Serialize};

use crate::display::moment;

/// What the figures are of: from the first reading to the last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResourcePeriod {
    /// The first reading, RFC 3339.
    pub since: Option<String>,
    /// The last one; `None` where there was one alone, which tells nothing.
    pub until: Option<String>,
    /// Why that is not the whole run, if it is not.
    pub gap: Option<String>,
}

/// The readings of a run.
#[derive(Debug, Default)]
pub(super) struct Readings {
    first_ms: Option<i64>,
    /// The last one, if there was one after the first.
    last_ms: Option<i64>,
    /// Why the first one came late.
    late: Option<String>,
    /// Why there is none since the last one.
    failed: Option<String>,
}

impl Readings {
    /// It was read at this time. Returns whether that was the first time.
    pub(super) fn read(&mut self, at_ms: i64) -> bool {
        self.failed = None;
        match self.first_ms {
            Some(_) => self.last_ms = Some(at_ms),
            None => self.first_ms = Some(at_ms),
        }
        self.last_ms.is_none()
    }

    /// It could not be read.
    pub(super) fn fails(&mut self, why: &str) {
        if self.first_ms.is_none() {
            self.late.get_or_insert_with(|| why.to_owned());
        }
        self.failed = Some(why.to_owned());
    }

    pub(super) fn has_any(&self) -> bool {
        self.first_ms.is_some()
    }

    /// Whether there are two, whose difference tells something.
    pub(super) fn tell(&self) -> bool {
        self.last_ms.is_some()
    }

    pub(super) fn period(&self) -> ResourcePeriod {
        ResourcePeriod {
            since: self.first_ms.map(moment),
            until: self.last_ms.map(moment),
            gap: self.gap(),
        }
    }

    /// What is missing, in words.
    pub(super) fn note(&self) -> Option<String> {
        let gap = self.gap()?;
        Some(match (self.first_ms, self.last_ms) {
            (None, _) => gap,
            (Some(once), None) => format!("read at {} alone: {gap}", moment(once)),
            (Some(first), Some(last)) => {
                format!("only from {} to {}: {gap}", moment(first), moment(last))
            }
        })
    }

    fn gap(&self) -> Option<String> {
        match (&self.late, &self.failed) {
            (Some(late), Some(failed)) if late != failed => {
                Some(format!("at first, {late}; at last, {failed}"))
            }
            (late, failed) => late.as_ref().or(failed.as_ref()).cloned(),
        }
    }
}
