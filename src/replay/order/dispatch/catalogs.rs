//! What is done about what was read of catalogs.

use std::time::Duration;

use super::super::conflict::Wanted;
use super::catalog_pace::May;
use super::{DispatchAction, Dispatcher, Round};
use crate::replay::order::footprint::Catalog;

/// Of so many databases it is said that their catalog can't be read.
const UNREAD_REPORTED: usize = 1000;

/// What came of reading a database's catalog.
#[derive(Debug)]
pub enum CatalogReading {
    /// It is what was read last, over the same connection.
    Unchanged,
    /// It is this.
    Read(Box<Catalog>),
    /// It could not be read now.
    Failed(String),
    /// The target lets nobody in who asks: later statements may change that.
    Refused(String),
    /// It can't be read.
    Unreadable(String),
}

impl Dispatcher {
    /// Has the catalog read that is wanted, if one is and its time has come.
    pub(super) fn read_catalogs(&mut self, round: &mut Round<'_>) {
        let Some(arrivals) = self.order.arrivals_mut() else { return };
        let Some(Wanted { login, is_waited_for }) = arrivals.wanted() else { return };
        match self.catalog_pace.may_read(is_waited_for, round.now) {
            May::Read => {}
            May::Rest(rest) => return round.out.push(DispatchAction::RestCatalogs(rest)),
            May::Wait => return,
        }
        arrivals.reads(&login);
        self.catalog_pace.begin();
        round.out.push(DispatchAction::ReadCatalog { login, is_waited_for });
    }

    /// The rest that was asked for is over.
    pub fn catalogs_rested(&mut self, round: &mut Round<'_>) {
        self.catalog_pace.rested();
        self.read_catalogs(round);
    }

    /// The catalog of a database was read, or was not, and that took so long.
    pub fn catalog_read(
        &mut self,
        database: &str,
        reading: CatalogReading,
        took: Duration,
        round: &mut Round<'_>,
    ) {
        let running = self.order.conflict_order().map_or(0, |order| order.in_flight().1);
        match reading {
            CatalogReading::Unchanged => {
                self.catalog_pace.read(took, round.now);
                self.order.confirm(database);
            }
            CatalogReading::Read(catalog) => {
                self.catalog_pace.read(took, round.now);
                self.unread_reported.remove(database);
                self.order.know(database, Some(*catalog));
            }
            CatalogReading::Refused(error) if running > 0 => {
                self.catalog_pace.failed(round.now);
                let database = database.to_owned();
                self.order.go_without(&database);
                round.out.push(DispatchAction::CatalogNotYet { database, error });
            }
            CatalogReading::Failed(error) => {
                self.catalog_pace.failed(round.now);
                self.report_unread(database, error, round);
                self.order.go_without(database);
            }
            CatalogReading::Refused(error) | CatalogReading::Unreadable(error) => {
                self.catalog_pace.failed(round.now);
                self.report_unread(database, error, round);
                self.order.know(database, None);
            }
        }
        self.advance(round);
    }

    fn report_unread(&mut self, database: &str, error: String, round: &mut Round<'_>) {
        if self.unread_reported.len() < UNREAD_REPORTED
            && self.unread_reported.insert(database.to_owned())
        {
            let database = database.to_owned();
            round.out.push(DispatchAction::CatalogUnread { database, error });
        }
    }

    /// Nothing waits for the catalogs of these databases any longer.
    pub fn go_without_catalogs<'a>(
        &mut self,
        databases: impl IntoIterator<Item = &'a str>,
        round: &mut Round<'_>,
    ) {
        databases.into_iter().for_each(|database| self.order.go_without(database));
        self.advance(round);
    }
}
