//! Reads the catalogs that the conflict order goes by, over connections that stay open, so that it never
//! waits for one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use actix::prelude::*;

use super::Sequencer;
use crate::postgres::{CatalogReader, CatalogRows, Target};
use crate::replay::order::dispatch::CatalogReading;
use crate::replay::order::footprint::Catalog;
use crate::replay::settings::Login;

/// What reads catalogs.
#[derive(Default)]
pub(super) struct Catalogs {
    /// Connections to read over again, each with its login; the last one used comes last.
    connections: Vec<(Login, CatalogReader)>,
    /// By database, over which of these what is known of it was read.
    known_over: HashMap<String, Login>,
    /// The database that is being read, unless nobody may be connected to it meanwhile: then what is read
    /// there is not kept open.
    under_way: Option<String>,
}

/// How many connections are kept: a target has few databases under load at once.
const CONNECTIONS: usize = 4;

/// How a catalog is read.
struct Way {
    login: Login,
    reader: Option<CatalogReader>,
    /// Whether what is known of the database was read in this way.
    is_known: bool,
}

impl Catalogs {
    /// Nobody may be connected to this database.
    pub(super) fn vacate(&mut self, database: &str) {
        self.connections.retain(|(login, _)| login.database != database);
        self.known_over.remove(database);
        self.under_way.take_if(|under_way| *under_way == *database);
    }

    fn take_way(&mut self, login: Login) -> Way {
        let at = self.connections.iter().position(|(known, _)| *known == login);
        let reader = at.map(|at| self.connections.remove(at).1);
        let is_known = self.known_over.get(&login.database) == Some(&login);
        Way { reader: reader.filter(|reader| !reader.is_closed()), login, is_known }
    }

    fn keep(&mut self, login: Login, reader: CatalogReader) {
        if self.under_way.take().is_none() {
            return;
        }
        if self.connections.len() == CONNECTIONS {
            let (gone, _) = self.connections.remove(0);
            self.known_over.remove(&gone.database);
        }
        self.known_over.insert(login.database.clone(), login.clone());
        self.connections.push((login, reader));
    }
}

impl Sequencer {
    /// `anew`: nothing is known of it, or not any more.
    pub(super) fn read_catalog(&mut self, login: &Arc<Login>, anew: bool, ctx: &mut Context<Self>) {
        self.catalogs.under_way = Some(login.database.clone());
        if anew {
            self.catalogs.known_over.remove(&login.database);
        }
        let observer = self.settings.observer.as_ref();
        let user = observer.map_or(&login.user, |observer| &observer.user).clone();
        let as_session = login.for_kreplay();
        // The observer's user need not be let into every database.
        let mut logins = vec![Login { user, ..as_session.clone() }, as_session];
        logins.dedup();
        let ways = logins.into_iter().map(|login| self.catalogs.take_way(login)).collect();
        let reading = read_in_some_way(self.settings.target.clone(), ways);
        let (database, began) = (login.database.clone(), Instant::now());
        ctx.spawn(reading.into_actor(self).map(move |(reading, kept), actor, ctx| {
            actor.settings.pressure.awaits_catalog(false);
            match kept {
                Some((login, reader)) => actor.catalogs.keep(login, reader),
                None => drop(actor.catalogs.known_over.remove(&database)),
            }
            let took = began.elapsed();
            actor.decide(ctx, |dispatcher, round| {
                dispatcher.catalog_read(&database, reading, took, round);
            });
        }));
    }
}

/// Reads in the first of these ways in which that can be done, and gives the connection back.
async fn read_in_some_way(
    target: Target,
    ways: Vec<Way>,
) -> (CatalogReading, Option<(Login, CatalogReader)>) {
    let mut unread = CatalogReading::Failed(String::new());
    for Way { login, reader, is_known } in ways {
        match read(&target, &login, reader, is_known).await {
            Ok((reading, reader)) => return (reading, Some((login, reader))),
            Err(why) => unread = why,
        }
        if matches!(unread, CatalogReading::Failed(_)) {
            break;
        }
    }
    (unread, None)
}

/// Reads over this connection, or over a new one.
async fn read(
    target: &Target,
    login: &Login,
    reader: Option<CatalogReader>,
    is_known: bool,
) -> Result<(CatalogReading, CatalogReader), CatalogReading> {
    if let Some(mut reader) = reader
        && let Ok(CatalogRows { rows, has_changed }) = reader.read().await
    {
        let reading = match is_known && !has_changed {
            true => CatalogReading::Unchanged,
            false => CatalogReading::Read(Box::new(Catalog::new(rows))),
        };
        return Ok((reading, reader));
    }
    let observer = target.observe(login).await.map_err(|error| {
        let text = error.to_string();
        match error.is_permanent() {
            true => CatalogReading::Refused(text),
            false => CatalogReading::Failed(text),
        }
    })?;
    let reader = CatalogReader::new(observer).await;
    let mut reader = reader.map_err(|error| CatalogReading::Failed(error.to_string()))?;
    let error = match reader.read().await {
        Ok(CatalogRows { rows, .. }) => {
            let catalog = Box::new(Catalog::new(rows));
            return Ok((CatalogReading::Read(catalog), reader));
        }
        Err(error) => error.to_string(),
    };
    Err(match reader.is_closed() {
        true => CatalogReading::Failed(error),
        false => CatalogReading::Unreadable(error),
    })
}
