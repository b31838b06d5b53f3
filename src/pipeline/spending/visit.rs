//! A connection for one reading, which leaves its database as soon as nobody may be there.

use std::time::Duration;

use tokio::time::timeout;
use tracing::debug;

use crate::actors::vacated::{Announcements, VacatedDatabases};
use crate::postgres::{ObserveError, Observer, Target};
use crate::replay::settings::Login;

/// How long the server may take to stop what it runs.
const STOPPED_WITHIN: Duration = Duration::from_secs(1);

/// Who connects for readings.
pub(super) struct Visitor {
    target: Target,
    announcements: Announcements,
}

/// A connection for a reading.
pub(super) struct Visit {
    observer: Observer,
    database: String,
    announcements: Announcements,
}

impl Visitor {
    pub(super) fn new(target: Target, vacated: &VacatedDatabases) -> Self {
        Self { target, announcements: vacated.listen() }
    }

    /// Connects as this login. `is_last`: the sessions have ended, and there is nobody left to make room for.
    pub(super) async fn visit(&mut self, login: &Login, is_last: bool) -> Result<Visit, String> {
        let database = login.database.clone();
        // Before it looks: what is announced behind that is heard of.
        let mut announcements = self.announcements.again();
        if self.announcements.was_left(&database) && !is_last {
            return Err(left(&database));
        }
        let login = login.for_kreplay();
        tokio::select! {
            observer = self.target.observe(&login) => {
                let observer = observer.map_err(|error| error.to_string())?;
                Ok(Visit { observer, database, announcements })
            }
            () = announcements.must_leave(&database) => Err(left(&database)),
        }
    }
}

impl Visit {
    /// Asks the server, and has it stop where the database has to be left.
    pub(super) async fn ask<T>(
        &mut self,
        question: impl AsyncFnOnce(&Observer) -> Result<T, ObserveError>,
    ) -> Result<T, String> {
        tokio::select! {
            answer = question(&self.observer) => return answer.map_err(|error| error.to_string()),
            () = self.announcements.must_leave(&self.database) => {}
        }
        // A connection that is closed ends with what it runs, and not before.
        match timeout(STOPPED_WITHIN, self.observer.cancel()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!("a reading of the statistics is not stopped: {error}"),
            Err(_) => {
                debug!("a reading of the statistics is not stopped within {STOPPED_WITHIN:?}")
            }
        }
        Err(left(&self.database))
    }
}

fn left(database: &str) -> String {
    format!("a statement needed the database {database:?} to itself")
}
