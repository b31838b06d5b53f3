//! Measures what it takes to ask the target anything at all.
//!
//! The source's log has the server's durations alone; what kreplay measures has the way to the server
//! and back in it, and how busy kreplay is. So an empty query is sent now and then, on a connection
//! like a session's and measured in the same place, on the thread that serves the sessions.

use parking_lot::Mutex;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tracing::debug;

use crate::actors::admission::Pressure;
use crate::actors::target_reachability::TargetReachability;
use crate::actors::vacated::VacatedDatabases;
use crate::postgres::{Request, Target};
use crate::replay::report::Shapes;
use crate::replay::settings::Login;

/// Between the first empty queries: a short replay has a few, too.
const AT_FIRST: Duration = Duration::from_millis(50);
/// How many those are.
const FIRST: usize = 60;
/// Between those that follow.
const LATER: Duration = Duration::from_secs(1);

/// Measures, until what this gives is dropped. `login` is who can log in, once that is known. A server
/// that had no connection left for a session gets ours back, for good; one that has to have nobody on
/// our database for a while, as `vacated` tells, gets it back for that long.
pub(super) fn measure(
    target: Target,
    login: Arc<OnceLock<Arc<Login>>>,
    pressure: Pressure,
    vacated: &VacatedDatabases,
    shapes: Arc<Mutex<Shapes>>,
    reachability: Arc<TargetReachability>,
) -> Measuring {
    let mut announcements = vacated.listen();
    Measuring(actix_rt::spawn(async move {
        let mut measured = 0;
        let mut connection = None;
        let mut ticks = tokio::time::interval(AT_FIRST);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !pressure.was_refused() {
            let database = login.get().map_or("", |login| &login.database);
            tokio::select! {
                _ = ticks.tick() => {}
                () = announcements.must_leave(database) => {
                    connection = None;
                    ticks.reset_after(LATER);
                    continue;
                }
            }
            let Some(login) = login.get() else { continue };
            if connection.is_none() {
                // Where it can't be had, the sessions say so.
                connection = target
                    .connect(login)
                    .await
                    .inspect_err(|error| debug!("the round trip is not measured: {error}"))
                    .ok();
            }
            let Some(connected) = &connection else {
                ticks.reset_after(LATER);
                continue;
            };
            match connected.run(Request::Simple("")).await {
                Ok(reply) => {
                    let mut shapes = shapes.lock();
                    shapes.round_trip(reply.took.at_most);
                    reachability.took(reply.took.at_most);
                    measured += 1;
                }
                Err(lost) => {
                    debug!("the round trip is not measured: {}", lost.reason);
                    connection = None;
                }
            }
            if measured >= FIRST {
                ticks.reset_after(LATER);
            }
        }
    }))
}

/// What measures; it ends when this is dropped.
pub(super) struct Measuring(JoinHandle<()>);

impl Drop for Measuring {
    fn drop(&mut self) {
        self.0.abort();
    }
}
