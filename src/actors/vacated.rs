//! Tells whoever is connected to the target beside the sessions that nobody may be on a database for a
//! while.

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

/// How many databases may have to be left before somebody has looked.
const KEPT: usize = 16;

/// Announces databases that have to be left. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct VacatedDatabases(broadcast::Sender<String>);

impl Default for VacatedDatabases {
    fn default() -> Self {
        Self(broadcast::channel(KEPT).0)
    }
}

impl VacatedDatabases {
    /// This one has to be left.
    pub(crate) fn announce(&self, database: &str) {
        // Nobody need be there.
        let _ = self.0.send(database.to_owned());
    }

    /// Hears of those that are announced from now on.
    pub(crate) fn listen(&self) -> Announcements {
        Announcements(self.0.subscribe())
    }
}

/// What somebody hears of.
#[derive(Debug)]
pub(crate) struct Announcements(broadcast::Receiver<String>);

impl Announcements {
    /// Resolves when this database has to be left, since it was looked last.
    pub(crate) async fn must_leave(&mut self, database: &str) {
        loop {
            match self.0.recv().await {
                Ok(announced) if announced == database => return,
                Ok(_) => {}
                // It may have been among them.
                Err(RecvError::Lagged(_)) => return,
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}
