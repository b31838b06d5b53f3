//! Reading the catalogs that the conflict order goes by: over connections that stay open, so that it
//! never waits for one, and not so often that the target feels it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use tracing::{debug, warn};

use super::Sequencer;
use crate::postgres::{CatalogReader, Login, Target};
use crate::replay::order::conflict::Wanted;
use crate::replay::order::footprint::Catalog;

/// What reads catalogs.
#[derive(Default)]
pub(super) struct Catalogs {
    /// Connections to read over again, each with its login; the last one used comes last.
    connections: Vec<(Login, CatalogReader)>,
    pace: Pace,
    /// Databases that nobody may be connected to for now: what is read there is not kept open.
    vacated: HashSet<String>,
    /// Databases whose catalog could not be read, and whose user has been told so.
    told: HashSet<String>,
}

/// When a catalog is read.
#[derive(Debug, Default)]
struct Pace {
    is_reading: bool,
    /// Whether the end of its rest is waited for.
    is_resting: bool,
    /// Until when no catalog is read that nothing waits for.
    rests_until: Option<Instant>,
    /// How long it rests when the target has not let it read.
    backoff: Duration,
}

/// How many connections are kept: a target has few databases under load at once.
const CONNECTIONS: usize = 4;

/// A reading is followed by a rest of so many times its duration: where schemas change all the time,
/// they cost the target a quarter of a core.
const REST: u32 = 3;

const FIRST_BACKOFF: Duration = Duration::from_millis(10);
const LONGEST_BACKOFF: Duration = Duration::from_secs(1);

impl Pace {
    /// Whether a reading may begin; else how long it rests.
    fn may_read(&self, is_waited_for: bool, now: Instant) -> Result<bool, Duration> {
        let rest = self.rests_until.map_or(Duration::ZERO, |it| it.saturating_duration_since(now));
        match (self.is_reading, rest.is_zero() || is_waited_for) {
            (true, _) => Ok(false),
            (false, true) => Ok(true),
            (false, false) => Err(rest),
        }
    }

    fn read(&mut self, took: Duration, now: Instant) {
        self.is_reading = false;
        self.rests_until = Some(now + took * REST);
        self.backoff = Duration::ZERO;
    }

    fn failed(&mut self, now: Instant) {
        self.is_reading = false;
        self.backoff = (self.backoff * 2).clamp(FIRST_BACKOFF, LONGEST_BACKOFF);
        self.rests_until = Some(now + self.backoff);
    }
}

/// A catalog, and over which connection it was read.
type Read = (Catalog, Login, CatalogReader);

/// Why a catalog was not read.
enum Unread {
    ForNow(String),
    /// The target lets nobody in who asks.
    Refused(String),
    ForGood(String),
}

impl Catalogs {
    /// Nobody may be connected to this database.
    pub(super) fn vacate(&mut self, database: &str) {
        self.connections.retain(|(login, _)| login.database != database);
        self.vacated.insert(database.to_owned());
    }

    fn take_connection(&mut self, login: &Login) -> Option<CatalogReader> {
        let at = self.connections.iter().position(|(known, _)| known == login)?;
        Some(self.connections.remove(at).1).filter(|reader| !reader.is_closed())
    }

    fn keep_connection(&mut self, login: Login, reader: CatalogReader) {
        if self.vacated.contains(&login.database) {
            return;
        }
        if self.connections.len() == CONNECTIONS {
            self.connections.remove(0);
        }
        self.connections.push((login, reader));
    }

    fn tell_unread(&mut self, database: &str, error: &str) {
        if self.told.insert(database.to_owned()) {
            warn!(
                database,
                "its catalog can't be read, so that each statement in it waits for every other, as \
                with --order serial; let the user of --db-user, or the sessions' own, read it: {error}"
            );
        }
    }
}

impl Sequencer {
    /// Reads the catalog that is wanted, if one is and its time has come.
    pub(super) fn read_catalogs(&mut self, ctx: &mut Context<Self>) {
        let Some(arrivals) = self.order.arrivals_mut() else { return };
        let Some(Wanted { login, is_waited_for }) = arrivals.wanted() else { return };
        match self.catalogs.pace.may_read(is_waited_for, Instant::now()) {
            Ok(true) => {}
            Ok(false) => return,
            Err(rest) => {
                if !std::mem::replace(&mut self.catalogs.pace.is_resting, true) {
                    ctx.run_later(rest, |actor, ctx| {
                        actor.catalogs.pace.is_resting = false;
                        actor.read_catalogs(ctx);
                    });
                }
                return;
            }
        }
        arrivals.reads(&login);
        self.catalogs.pace.is_reading = true;
        self.settings.pressure.awaits_catalog(is_waited_for);
        self.catalogs.vacated.remove(&login.database);
        self.read_catalog(&login, ctx);
    }

    fn read_catalog(&mut self, login: &Arc<Login>, ctx: &mut Context<Self>) {
        let observer = self.settings.observer.as_ref();
        let user = observer.map_or(&login.user, |observer| &observer.user).clone();
        let as_session = Login { application_name: "kreplay".to_owned(), ..(**login).clone() };
        // The observer's user need not be let into every database.
        let mut logins = vec![Login { user, ..as_session.clone() }, as_session];
        logins.dedup();
        let ways: Vec<(Login, Option<CatalogReader>)> = logins
            .into_iter()
            .map(|login| {
                let connection = self.catalogs.take_connection(&login);
                (login, connection)
            })
            .collect();
        let target = self.settings.target.clone();
        let began = Instant::now();
        let reading = async move {
            let mut unread = Unread::ForNow(String::new());
            for (login, connection) in ways {
                match read(&target, &login, connection).await {
                    Ok((catalog, reader)) => return Ok((catalog, login, reader)),
                    Err(why) => unread = why,
                }
                if matches!(unread, Unread::ForNow(_)) {
                    break;
                }
            }
            Err(unread)
        };
        let database = login.database.clone();
        ctx.spawn(reading.into_actor(self).map(move |read, actor, ctx| {
            actor.catalog_read(&database, read, began, ctx);
        }));
    }

    fn catalog_read(
        &mut self,
        database: &str,
        read: Result<Read, Unread>,
        began: Instant,
        ctx: &mut Context<Self>,
    ) {
        let running = self.order.conflict_order().map_or(0, |order| order.in_flight().1);
        let now = Instant::now();
        self.settings.pressure.awaits_catalog(false);
        match read {
            Ok((catalog, login, reader)) => {
                self.catalogs.pace.read(now - began, now);
                self.catalogs.keep_connection(login, reader);
                self.catalogs.told.remove(database);
                self.order.know(database, Some(catalog));
            }
            Err(Unread::Refused(error)) if running > 0 => {
                debug!(database, "its catalog can't be read yet: {error}");
                self.catalogs.pace.failed(now);
                self.order.go_without(database);
            }
            Err(Unread::ForNow(error)) => {
                self.catalogs.pace.failed(now);
                self.catalogs.tell_unread(database, &error);
                self.order.go_without(database);
            }
            Err(Unread::Refused(error) | Unread::ForGood(error)) => {
                self.catalogs.pace.failed(now);
                self.catalogs.tell_unread(database, &error);
                self.order.know(database, None);
            }
        }
        self.go_on(ctx);
    }
}

/// Reads over this connection, or over a new one.
async fn read(
    target: &Target,
    login: &Login,
    connection: Option<CatalogReader>,
) -> Result<(Catalog, CatalogReader), Unread> {
    if let Some(mut reader) = connection
        && let Ok(rows) = reader.read().await
    {
        return Ok((Catalog::new(rows), reader));
    }
    let observer = target.observe(login).await.map_err(|error| {
        let text = error.to_string();
        if error.is_permanent() { Unread::Refused(text) } else { Unread::ForNow(text) }
    })?;
    let reader = CatalogReader::new(observer).await;
    let mut reader = reader.map_err(|error| Unread::ForNow(error.to_string()))?;
    let error = match reader.read().await {
        Ok(rows) => return Ok((Catalog::new(rows), reader)),
        Err(error) => error.to_string(),
    };
    Err(if reader.is_closed() { Unread::ForNow(error) } else { Unread::ForGood(error) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_is_followed_by_a_rest_unless_somebody_waits() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        let took = Duration::from_millis(10);
        assert_eq!(pace.may_read(false, now), Ok(true));
        pace.is_reading = true;
        assert_eq!(pace.may_read(true, now), Ok(false));
        pace.read(took, now);
        assert_eq!(pace.may_read(true, now), Ok(true));
        assert_eq!(pace.may_read(false, now), Err(took * REST));
        assert_eq!(pace.may_read(false, now + took * REST), Ok(true));
    }

    #[test]
    fn a_target_that_does_not_let_it_read_is_asked_less_and_less_often() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        let mut rest = || {
            pace.failed(now);
            pace.may_read(false, now)
        };
        assert_eq!(rest(), Err(FIRST_BACKOFF));
        assert_eq!(rest(), Err(FIRST_BACKOFF * 2));
        let last = (0..10).map(|_| rest()).last();
        assert_eq!(last, Some(Err(LONGEST_BACKOFF)));
    }
}
