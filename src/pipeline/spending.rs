//! Reads what the target counts of itself: at the start, now and then, and at the end.
//!
//! Each reading has a connection of its own, and only for as long as it takes: it takes none away from a
//! session, and is in nobody's way who needs a database to himself ([`visit`]).

mod visit;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout, timeout_at};
use tracing::debug;

use self::visit::{Visit, Visitor};
use super::unix_ms;
use crate::actors::admission::Pressure;
use crate::actors::vacated::VacatedDatabases;
use crate::postgres::{ObserveError, Observer, StatementsView, Target};
use crate::replay::report::Spending;
use crate::replay::report::resources::statements::fingerprint;
use crate::replay::settings::Login;

/// Between readings.
const INTERVAL: Duration = Duration::from_secs(10);
/// How often is looked whether somebody can log in by now, where nobody could at the start.
const SOON: Duration = Duration::from_millis(50);
/// How long one may take: a start waits for it.
const LONGEST: Duration = Duration::from_secs(5);
/// How long the server may take to write down what it has counted, and how often it is asked.
const WRITTEN_WITHIN: Duration = Duration::from_secs(2);
const ASKED_EVERY: Duration = Duration::from_millis(50);
/// In how many databases pg_stat_statements is looked for: it counts for all of them wherever it is.
const SEARCHED: usize = 32;

/// Reads, until it is dropped.
pub(super) struct SpendingReader {
    reader: Arc<tokio::sync::Mutex<Reader>>,
    task: JoinHandle<()>,
}

struct Reader {
    visitor: Visitor,
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
        vacated: &VacatedDatabases,
        spending: Arc<Mutex<Spending>>,
    ) -> Self {
        let visitor = Visitor::new(target, vacated);
        let (statements, has_searched) = (None, false);
        let mut reader =
            Reader { visitor, observer, known_login, spending, statements, has_searched };
        reader.read(false, LONGEST).await;
        let is_known = reader.login().is_some();
        let known_login = reader.known_login.clone();
        let reader = Arc::new(tokio::sync::Mutex::new(reader));
        let again = reader.clone();
        let task = actix_rt::spawn(async move {
            let mut ticks = interval(SOON);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while !is_known && known_login.get().is_none() {
                ticks.tick().await;
            }
            let mut ticks = interval(INTERVAL);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            if is_known {
                ticks.tick().await;
            }
            while !pressure.was_refused() {
                ticks.tick().await;
                again.lock().await.read(false, LONGEST).await;
            }
        });
        Self { reader, task }
    }

    /// Reads for the last time, within this time: the sessions have ended.
    pub(super) async fn finish(&self, within: Duration) {
        self.task.abort();
        self.reader.lock().await.read(true, within).await;
    }
}

impl Drop for SpendingReader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Reader {
    async fn read(&mut self, is_last: bool, within: Duration) {
        let deadline = Instant::now() + within;
        let late = || match within.is_zero() {
            true => "--shutdown-timeout left no time to ask the target".to_owned(),
            false => format!("the target did not answer within {within:.1?}"),
        };
        let read = timeout_at(deadline, self.read_statistics(is_last)).await;
        let read = read.unwrap_or_else(|_| Err(late()));
        let (login, visit, at_ms) = match read {
            Ok(read) => read,
            Err(missing) => {
                debug!("what the target spends is not read: {missing}");
                return self.spending.lock().fails(&missing);
            }
        };
        let reading = self.read_statements(&login, visit, at_ms, is_last);
        match timeout_at(deadline, reading).await.unwrap_or_else(|_| Err(late())) {
            Ok(mut visit) => {
                // What is not read of them is asked for again, and said.
                let texts = timeout_at(deadline, self.read_texts(&mut visit, is_last)).await;
                if let Err(missing) = texts.unwrap_or_else(|_| Err(late())) {
                    debug!("texts of statements are not read: {missing}");
                }
            }
            Err(missing) => self.spending.lock().fails_statements(&missing),
        }
    }

    /// Returns the connection on which, whose it is, and when.
    async fn read_statistics(&mut self, is_last: bool) -> Result<(Login, Visit, i64), String> {
        let Some(login) = self.login() else {
            return Err("nobody could log in by then who could read them".to_owned());
        };
        let mut visit = self.visitor.visit(&login, is_last).await?;
        if is_last {
            visit.ask(await_written).await?;
        }
        let rows = visit.ask(Observer::statistics).await?;
        let at_ms = unix_ms();
        self.spending.lock().read(rows, at_ms);
        Ok((login, visit, at_ms))
    }

    fn login(&self) -> Option<Login> {
        let login = self.observer.clone();
        login.or_else(|| self.known_login.get().map(|login| Login::clone(login)))
    }

    // ---- Statement by statement ----

    /// Returns the connection to the database that has them.
    async fn read_statements(
        &mut self,
        login: &Login,
        visit: Visit,
        at_ms: i64,
        is_last: bool,
    ) -> Result<Visit, String> {
        let mut visit = self.where_statements_are(login, visit, is_last).await?;
        let Some((_, view)) = &self.statements else {
            return Err("not installed on the target; with it (shared_preload_libraries, CREATE \
                        EXTENSION) the report says what each query shape spent"
                .to_owned());
        };
        let databases = self.spending.lock().databases_of_statements();
        let rows = visit.ask(async |it| it.statements(view, databases.as_deref()).await).await?;
        let hidden = match visit.ask(Observer::reads_all_statistics).await? {
            true => None,
            false => Some(format!(
                "{0} is shown its own statements alone: GRANT pg_read_all_stats TO {0} on the target",
                login.user
            )),
        };
        let mut spending = self.spending.lock();
        spending.read_statements(rows, at_ms);
        spending.hides_statements(hidden);
        drop(spending);
        Ok(visit)
    }

    /// Reads texts of statements that have none yet: the last time all of them.
    async fn read_texts(&self, visit: &mut Visit, is_last: bool) -> Result<(), String> {
        let Some((_, view)) = &self.statements else { return Ok(()) };
        loop {
            let unknown = self.spending.lock().next_unknown_statements();
            if unknown.is_empty() {
                return Ok(());
            }
            let texts = visit.ask(async |it| it.statement_texts(view, &unknown).await).await?;
            // That takes a while: not on the thread of the actors.
            let parse = move || {
                texts.iter().map(|(query_id, text)| (*query_id, fingerprint(text))).collect()
            };
            let found = spawn_blocking(parse).await.map_err(|error| error.to_string())?;
            self.spending.lock().note_fingerprints(&unknown, found);
            if !is_last {
                return Ok(());
            }
        }
    }

    /// Looks for pg_stat_statements, in this database and in others. Returns the connection to the one
    /// that has it, if one does.
    async fn where_statements_are(
        &mut self,
        login: &Login,
        mut visit: Visit,
        is_last: bool,
    ) -> Result<Visit, String> {
        if let Some((database, _)) = &self.statements {
            if *database == login.database {
                return Ok(visit);
            }
            let there = Login { database: database.clone(), ..login.clone() };
            return self.visitor.visit(&there, is_last).await;
        }
        if let Some(view) = visit.ask(Observer::statements_view).await? {
            self.statements = Some((login.database.clone(), view));
            return Ok(visit);
        }
        if std::mem::replace(&mut self.has_searched, true) {
            return Ok(visit);
        }
        for database in visit.ask(Observer::databases).await?.into_iter().take(SEARCHED) {
            if database == login.database {
                continue;
            }
            let other = Login { database: database.clone(), ..login.clone() };
            // It may be closed to this one, or have to be left.
            let Ok(mut there) = self.visitor.visit(&other, is_last).await else { continue };
            if let Ok(Some(view)) = there.ask(Observer::statements_view).await {
                self.statements = Some((database, view));
                return Ok(there);
            }
        }
        Ok(visit)
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
