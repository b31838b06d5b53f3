//! Reads what the target counts of itself: at the start, now and then, and at the end.
//!
//! Each reading has a connection of its own, and only for as long as it takes: it takes none away from a
//! session, and is in nobody's way who needs a database to himself.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, timeout};
use tracing::debug;

use crate::actors::admission::Pressure;
use crate::postgres::{ObserveError, Observer, StatementsView, Target};
use crate::replay::report::Spending;
use crate::replay::settings::Login;

/// Between readings.
const INTERVAL: Duration = Duration::from_secs(10);
/// How long one may take: a start and an end wait for it.
const LONGEST: Duration = Duration::from_secs(5);
/// How long the server may take to write down what it has counted, and how often it is asked.
const WRITTEN_WITHIN: Duration = Duration::from_secs(2);
const ASKED_EVERY: Duration = Duration::from_millis(50);
/// In how many databases pg_stat_statements is looked for: it counts for all of them wherever it is.
const SEARCHED: usize = 32;

const STATISTICS: &str = "statistics";
const STATEMENTS: &str = "pg_stat_statements";

/// Reads, until it is dropped.
pub(super) struct SpendingReader {
    reader: Arc<tokio::sync::Mutex<Reader>>,
    task: JoinHandle<()>,
}

struct Reader {
    target: Target,
    /// Who asks the target for its limits, if anybody may.
    observer: Option<Login>,
    /// Who can log in, once that is known.
    known_login: Arc<OnceLock<Arc<Login>>>,
    spending: Arc<Mutex<Spending>>,
    /// Where pg_stat_statements is installed.
    statements: Option<(String, StatementsView)>,
    /// Whether it has been looked for in all databases.
    has_searched: bool,
}

impl SpendingReader {
    /// Reads for the first time, and from then on until this is dropped. A server that had no connection
    /// left for a session is not asked again before the end.
    pub(super) async fn start(
        target: Target,
        observer: Option<Login>,
        known_login: Arc<OnceLock<Arc<Login>>>,
        pressure: Pressure,
        spending: Arc<Mutex<Spending>>,
    ) -> Self {
        let (statements, has_searched) = (None, false);
        let mut reader =
            Reader { target, observer, known_login, spending, statements, has_searched };
        reader.read(false).await;
        let reader = Arc::new(tokio::sync::Mutex::new(reader));
        let again = reader.clone();
        let task = actix_rt::spawn(async move {
            let mut ticks = tokio::time::interval(INTERVAL);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks.tick().await;
            while !pressure.was_refused() {
                ticks.tick().await;
                again.lock().await.read(false).await;
            }
        });
        Self { reader, task }
    }

    /// Reads for the last time: the sessions have ended.
    pub(super) async fn finish(&self) {
        self.task.abort();
        self.reader.lock().await.read(true).await;
    }
}

impl Drop for SpendingReader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Reader {
    async fn read(&mut self, is_last: bool) {
        let read = timeout(LONGEST, self.try_read(is_last)).await;
        let missing = match read {
            Ok(Ok(())) => return self.spending.lock().has(STATISTICS),
            Ok(Err(missing)) => missing,
            Err(_) => format!("the target did not answer within {LONGEST:?}"),
        };
        debug!("what the target spends is not read: {missing}");
        self.spending.lock().misses(STATISTICS, missing);
    }

    async fn try_read(&mut self, is_last: bool) -> Result<(), String> {
        let Some(login) = self.login() else {
            return Err("nobody could log in by then who could read them".to_owned());
        };
        let observer = self.observe(&login).await?;
        if is_last {
            await_written(&observer).await.map_err(|error| error.to_string())?;
        }
        let rows = observer.statistics().await.map_err(|error| error.to_string())?;
        self.spending.lock().read(rows);
        match self.read_statements(&login, observer).await {
            Ok(()) => self.spending.lock().has(STATEMENTS),
            Err(missing) => self.spending.lock().misses(STATEMENTS, missing),
        }
        Ok(())
    }

    fn login(&self) -> Option<Login> {
        let login = self.observer.clone();
        login.or_else(|| self.known_login.get().map(|login| Login::clone(login)))
    }

    async fn observe(&self, login: &Login) -> Result<Observer, String> {
        let login = Login { application_name: "kreplay".to_owned(), ..login.clone() };
        self.target.observe(&login).await.map_err(|error| error.to_string())
    }

    // ---- Statement by statement ----

    async fn read_statements(&mut self, login: &Login, observer: Observer) -> Result<(), String> {
        let observer = self.where_statements_are(login, observer).await?;
        let Some((_, view)) = &self.statements else {
            return Err("not installed on the target; with it (shared_preload_libraries, CREATE \
                        EXTENSION) the report says what each query shape spent"
                .to_owned());
        };
        let words = |error: ObserveError| error.to_string();
        let rows = observer.statements(view).await.map_err(words)?;
        let unknown = {
            let mut spending = self.spending.lock();
            spending.read_statements(rows);
            spending.unknown_statements()
        };
        if !unknown.is_empty() {
            let texts = observer.statement_texts(view, &unknown).await.map_err(words)?;
            let mut spending = self.spending.lock();
            texts.iter().for_each(|(query_id, text)| spending.note_text(*query_id, text));
        }
        match observer.reads_all_statistics().await.map_err(words)? {
            true => Ok(()),
            false => Err(format!(
                "{0} is shown its own statements alone: GRANT pg_read_all_stats TO {0} on the target",
                login.user
            )),
        }
    }

    /// Looks for pg_stat_statements, in this database and in others. Returns the connection to the one
    /// that has it, if one does.
    async fn where_statements_are(
        &mut self,
        login: &Login,
        observer: Observer,
    ) -> Result<Observer, String> {
        let words = |error: ObserveError| error.to_string();
        if let Some((database, _)) = &self.statements {
            if *database == login.database {
                return Ok(observer);
            }
            return self.observe(&Login { database: database.clone(), ..login.clone() }).await;
        }
        if let Some(view) = observer.statements_view().await.map_err(words)? {
            self.statements = Some((login.database.clone(), view));
            return Ok(observer);
        }
        if std::mem::replace(&mut self.has_searched, true) {
            return Ok(observer);
        }
        for database in observer.databases().await.map_err(words)?.into_iter().take(SEARCHED) {
            if database == login.database {
                continue;
            }
            let other = Login { database: database.clone(), ..login.clone() };
            // It may be closed to this one.
            let Ok(there) = self.observe(&other).await else { continue };
            if let Some(view) = there.statements_view().await.map_err(words)? {
                self.statements = Some((database, view));
                return Ok(there);
            }
        }
        Ok(observer)
    }
}

/// Waits until what is read holds all that was counted so far, for a short while at most.
async fn await_written(observer: &Observer) -> Result<(), ObserveError> {
    let now = observer.server_time().await?;
    let written = async {
        while !observer.statistics_hold(&now).await? {
            tokio::time::sleep(ASKED_EVERY).await;
        }
        Ok(())
    };
    timeout(WRITTEN_WITHIN, written).await.unwrap_or(Ok(()))
}
