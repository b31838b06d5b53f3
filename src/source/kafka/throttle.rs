//! Keeps a message that comes again and again from filling the log. Pure: the clock is passed in.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How often one message may be repeated.
const EVERY: Duration = Duration::from_secs(10);
/// How many different messages are remembered.
const REMEMBERED: usize = 256;

/// Lets each message through at most every ten seconds.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    logged: HashMap<String, Logged>,
}

#[derive(Debug)]
struct Logged {
    at: Instant,
    since: u64,
}

impl Throttle {
    /// Whether `message` is to be logged now; if so, how often it was held back since it last was.
    pub(super) fn pass(&mut self, message: &str, now: Instant) -> Option<u64> {
        if let Some(logged) = self.logged.get_mut(message) {
            if now.duration_since(logged.at) < EVERY {
                logged.since += 1;
                return None;
            }
            logged.at = now;
            return Some(std::mem::take(&mut logged.since));
        }
        if self.logged.len() >= REMEMBERED {
            self.logged.retain(|_, logged| now.duration_since(logged.at) < EVERY);
        }
        if self.logged.len() >= REMEMBERED {
            return None;
        }
        self.logged.insert(message.to_owned(), Logged { at: now, since: 0 });
        Some(0)
    }
}

#[cfg(test)]
mod tests;
