//! Asks the target how it runs the statements that matter: EXPLAIN, which runs nothing.
//!
//! Each statement is explained as its session would have it run: by its user, in its database, under its
//! settings and with its parameters, in a transaction that can't write and is rolled back. Locks are
//! waited for briefly and held for as long as planning takes.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};
use tracing::debug;

use super::unix_ms;
use crate::actors::admission::Pressure;
use crate::actors::session::restore;
use crate::actors::vacated::{Announcements, VacatedDatabases};
use crate::pglog::SqlState;
use crate::pglog::statement::Protocol;
use crate::postgres::{Batch, Connection, Lost, Reply, Request, Target};
use crate::replay::report::Shapes;
use crate::replay::report::plan::{PlanNode, read_json, read_text};
use crate::replay::report::plans::{Due, Occasion, TypicalCall};
use crate::replay::settings::Login;

/// When shapes are looked at for the first time, and how often later.
const FIRST: Duration = Duration::from_secs(2);
const ROUND: Duration = Duration::from_secs(10);
/// Between two statements.
const PACE: Duration = Duration::from_millis(250);

const BEGIN: &str = "BEGIN READ ONLY";
const LIMITS: &str = "SET LOCAL lock_timeout = '100ms'; SET LOCAL statement_timeout = '1s'";

/// Explains, until it is dropped.
pub(super) struct Explaining {
    explainer: Arc<tokio::sync::Mutex<Explainer>>,
    task: JoinHandle<()>,
}

struct Explainer {
    target: Target,
    shapes: Arc<Mutex<Shapes>>,
    announcements: Announcements,
}

impl Explaining {
    /// Explains shapes now and then, a few a second, until this is dropped. A server that had no
    /// connection left for a session is left alone until the end.
    pub(super) fn start(
        target: Target,
        shapes: Arc<Mutex<Shapes>>,
        pressure: Pressure,
        vacated: &VacatedDatabases,
    ) -> Self {
        let explainer = Explainer { target, shapes, announcements: vacated.listen() };
        let explainer = Arc::new(tokio::sync::Mutex::new(explainer));
        let again = explainer.clone();
        let task = actix_rt::spawn(async move {
            tokio::time::sleep(FIRST).await;
            let mut ticks = interval(ROUND);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while !pressure.was_refused() {
                ticks.tick().await;
                again.lock().await.explain_due(Occasion::NowAndThen, &pressure).await;
            }
        });
        Self { explainer, task }
    }

    /// Explains for the last time, within this time: the sessions have ended.
    pub(super) async fn finish(&self, within: Duration) {
        self.task.abort();
        let explaining = async {
            let mut explainer = self.explainer.lock().await;
            explainer.explain_due(Occasion::End, &Pressure::default()).await;
        };
        if timeout(within, explaining).await.is_err() {
            debug!("not all shapes could be explained within {within:?}");
        }
    }
}

impl Drop for Explaining {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Explainer {
    async fn explain_due(&mut self, occasion: Occasion, pressure: &Pressure) {
        let due = self.shapes.lock().to_explain(unix_ms(), occasion);
        let mut pace = interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for (login, due) in by_login(due) {
            // After the end there is nobody left to make room for.
            if self.announcements.was_left(&login.database) && occasion == Occasion::NowAndThen {
                continue;
            }
            let round = Round { target: &self.target, shapes: &self.shapes, occasion, pressure };
            tokio::select! {
                () = round.explain(&login, due, &mut pace) => {}
                () = self.announcements.must_leave(&login.database) => {}
            }
        }
    }
}

/// What is explained at one time.
struct Round<'a> {
    target: &'a Target,
    shapes: &'a Mutex<Shapes>,
    occasion: Occasion,
    pressure: &'a Pressure,
}

impl Round<'_> {
    /// Explains these, over a connection of their user to their database.
    async fn explain(&self, login: &Login, due: Vec<Due>, pace: &mut Interval) {
        if self.pressure.was_refused() {
            return;
        }
        let login = login.for_kreplay();
        // Where it can't be had, the sessions say so.
        let Ok(connection) = self.target.connect(&login).await else { return };
        for due in due {
            if self.occasion == Occasion::NowAndThen {
                pace.tick().await;
            }
            if self.pressure.was_refused() {
                break;
            }
            match explain(&connection, &due.call).await {
                Ok(plan) => self.shapes.lock().explained(due, unix_ms(), plan),
                Err(lost) => {
                    debug!("a shape is not explained: {}", lost.reason);
                    break;
                }
            }
        }
        connection.close().await;
    }
}

/// In their order, those of one user and database together.
fn by_login(due: Vec<Due>) -> Vec<(Arc<Login>, Vec<Due>)> {
    let mut groups: Vec<(Arc<Login>, Vec<Due>)> = Vec::new();
    for due in due {
        let login = &due.call.context.login;
        let is_same =
            |other: &Login| (&other.user, &other.database) == (&login.user, &login.database);
        match groups.iter_mut().find(|(other, _)| is_same(other)) {
            Some((_, group)) => group.push(due),
            None => groups.push((login.clone(), vec![due])),
        }
    }
    groups
}

/// A call's plan, or the error for which there is none.
async fn explain(
    connection: &Connection,
    call: &TypicalCall,
) -> Result<Result<PlanNode, SqlState>, Lost> {
    let plan = ask_for_plan(connection, call, "").await?;
    let has_parameters = !call.work.statement.parameters().is_empty();
    // The types that its client had declared are not known, or a value is not whole. From 16 on.
    if let Err(code) = &plan
        && has_parameters
        && matches!(code.class(), "22" | "42" | "08")
    {
        let generic = ask_for_plan(connection, call, "GENERIC_PLAN, ").await?;
        return Ok(generic.or(plan));
    }
    Ok(plan)
}

/// A call's plan under these options, from JSON, or else from text.
async fn ask_for_plan(
    connection: &Connection,
    call: &TypicalCall,
    options: &str,
) -> Result<Result<PlanNode, SqlState>, Lost> {
    let rows = match ask(connection, call, &format!("{options}FORMAT JSON")).await? {
        Ok(rows) => rows,
        Err(code) => return Ok(Err(code)),
    };
    if let Some(plan) = read_json(&rows) {
        return Ok(Ok(plan));
    }
    // Of hundreds of partitions it is longer than an answer of one row may be; of some sixty nodes, each
    // below the one before, it nests deeper than JSON is read. Text has neither limit.
    let text = ask(connection, call, &format!("{options}FORMAT TEXT")).await?;
    Ok(text.and_then(|text| read_text(&text).ok_or(SqlState(*b"54000"))))
}

/// What EXPLAIN answers with these options, or the first error on the way to it.
async fn ask(
    connection: &Connection,
    call: &TypicalCall,
    options: &str,
) -> Result<Result<String, SqlState>, Lost> {
    connection.send(Request::Simple(BEGIN));
    for setting in &call.context.settings {
        let mut batch = Batch::new();
        restore(&mut batch, setting);
        connection.send(Request::Batch(batch));
    }
    // Behind those of the session.
    connection.send(Request::Simple(LIMITS));
    let text = format!("EXPLAIN ({options}) {}", call.work.statement.sql);
    match &call.work.statement.protocol {
        Protocol::Extended { parameters, .. } if !options.starts_with("GENERIC") => {
            let typing = call.context.findings.types.get(&call.work.statement.sql);
            let types = typing.map(|typing| typing.types(parameters, &call.work.statement.sql));
            let mut batch = Batch::new();
            batch.parse("", &text, &types.unwrap_or_default()).bind("", "", parameters);
            batch.execute("", 0);
            connection.send_for_rows(Request::Batch(batch));
        }
        _ => connection.send_for_rows(Request::Simple(&text)),
    }
    connection.send(Request::Simple("ROLLBACK"));
    let mut failure = None;
    for _ in 0..call.context.settings.len() + 2 {
        note(&connection.answer().await?, &mut failure);
    }
    let explained = connection.answer().await?;
    note(&explained, &mut failure);
    connection.answer().await?;
    let rows = explained.result.into_iter().filter_map(|row| row.into_iter().next().flatten());
    let lines: Vec<String> = rows.map(String::from).collect();
    Ok(failure.map_or_else(|| Ok(lines.join("\n")), Err))
}

fn note(reply: &Reply, failure: &mut Option<SqlState>) {
    if let Some(error) = &reply.error {
        failure.get_or_insert(error.sqlstate);
    }
}
