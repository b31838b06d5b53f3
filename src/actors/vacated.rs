//! Tells whoever is connected to the target beside the sessions that nobody may be on a database for a
//! while.

use std::time::{Duration, Instant};

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

/// How many databases may have to be left before somebody has looked.
const KEPT: usize = 16;
/// For how long nobody who was told comes back.
const AWAY: Duration = Duration::from_secs(1);

/// Announces databases that have to be left. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct VacatedDatabases(broadcast::Sender<Announced>);

/// A database, and when it had to be left.
type Announced = (String, Instant);

impl Default for VacatedDatabases {
    fn default() -> Self {
        Self(broadcast::channel(KEPT).0)
    }
}

impl VacatedDatabases {
    /// This one has to be left.
    pub(crate) fn announce(&self, database: &str) {
        // Nobody need be there.
        let _ = self.0.send((database.to_owned(), Instant::now()));
    }

    /// Hears of those that are announced from now on.
    pub(crate) fn listen(&self) -> Announcements {
        Announcements { receiver: self.0.subscribe(), recent: Vec::new() }
    }
}

/// What somebody hears of.
#[derive(Debug)]
pub(crate) struct Announcements {
    receiver: broadcast::Receiver<Announced>,
    /// What was heard a short while ago.
    recent: Vec<Announced>,
}

impl Announcements {
    /// Hears of those that are announced from now on, for another connection.
    pub(crate) fn again(&self) -> Self {
        Self { receiver: self.receiver.resubscribe(), recent: Vec::new() }
    }

    /// Resolves when this database has to be left, since it was looked last.
    pub(crate) async fn must_leave(&mut self, database: &str) {
        loop {
            match self.receiver.recv().await {
                Ok(announced) => {
                    let is_this = announced.0 == database;
                    self.hear(announced);
                    if is_this {
                        return;
                    }
                }
                // It may have been among them.
                Err(RecvError::Lagged(_)) => return,
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    /// Whether this database has to be left alone, as it had to be left just now. What was announced
    /// before that has been looked at with this, and resolves nothing any more.
    pub(crate) fn was_left(&mut self, database: &str) -> bool {
        loop {
            match self.receiver.try_recv() {
                Ok(announced) => self.hear(announced),
                // Those that are left are the newest.
                Err(TryRecvError::Lagged(_)) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        self.recent.iter().any(|(left, when)| left == database && when.elapsed() < AWAY)
    }

    fn hear(&mut self, announced: Announced) {
        self.recent.retain(|(_, when)| when.elapsed() < AWAY);
        self.recent.push(announced);
    }
}

#[cfg(test)]
mod tests;
