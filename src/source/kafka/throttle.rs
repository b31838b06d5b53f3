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
mod tests {
    use super::*;

    #[test]
    fn a_repeated_message_passes_every_ten_seconds_with_the_number_held_back() {
        let mut throttle = Throttle::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(throttle.pass("down", at(0)), Some(0));
        assert_eq!(throttle.pass("down", at(1)), None);
        assert_eq!(throttle.pass("down", at(9)), None);
        assert_eq!(throttle.pass("other", at(9)), Some(0));
        assert_eq!(throttle.pass("down", at(10)), Some(2));
        assert_eq!(throttle.pass("down", at(11)), None);
    }

    #[test]
    fn an_endless_number_of_messages_takes_bounded_memory() {
        let mut throttle = Throttle::default();
        let now = Instant::now();
        let passed = (0..10_000).filter(|n| throttle.pass(&n.to_string(), now).is_some()).count();
        assert_eq!(passed, REMEMBERED);
        assert_eq!(throttle.pass("later", now + EVERY), Some(0));
    }
}
