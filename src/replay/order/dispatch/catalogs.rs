//! What is done about what was read of catalogs.

use std::time::Duration;

use super::super::conflict::Wanted;
use super::catalog_pace::May;
use super::{DispatchAction, DispatchContext, Dispatcher};
use crate::replay::order::footprint::Catalog;

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
    pub(super) fn read_catalogs(&mut self, cx: &mut DispatchContext<'_>) {
        let Some(arrivals) = self.order.arrivals_mut() else { return };
        let Some(Wanted { login, is_waited_for }) = arrivals.wanted() else { return };
        match self.catalog_pace.may_read(is_waited_for, cx.now) {
            May::Read => {}
            May::Rest(rest) => return cx.out.push(DispatchAction::RestCatalogs(rest)),
            May::Wait => return,
        }
        arrivals.reads(&login);
        self.catalog_pace.begin();
        cx.out.push(DispatchAction::ReadCatalog { login, is_waited_for });
    }

    /// The rest that was asked for is over.
    pub fn catalogs_rested(&mut self, cx: &mut DispatchContext<'_>) {
        self.catalog_pace.rested();
        self.read_catalogs(cx);
    }

    /// The catalog of a database was read, or was not, and that took so long.
    pub fn catalog_read(
        &mut self,
        database: &str,
        reading: CatalogReading,
        took: Duration,
        cx: &mut DispatchContext<'_>,
    ) {
        let running = self.order.conflict_order().map_or(0, |order| order.in_flight().1);
        match reading {
            CatalogReading::Unchanged => {
                self.catalog_pace.read(took, cx.now);
                self.order.confirm(database);
            }
            CatalogReading::Read(catalog) => {
                self.catalog_pace.read(took, cx.now);
                self.unread_reported.remove(database);
                self.order.know(database, Some(*catalog));
            }
            CatalogReading::Refused(error) if running > 0 => {
                self.catalog_pace.failed(cx.now);
                let database = database.to_owned();
                self.order.go_without(&database);
                cx.out.push(DispatchAction::CatalogNotYet { database, error });
            }
            CatalogReading::Failed(error) => {
                self.catalog_pace.failed(cx.now);
                self.report_unread(database, error, cx);
                self.order.go_without(database);
            }
            CatalogReading::Refused(error) | CatalogReading::Unreadable(error) => {
                self.catalog_pace.failed(cx.now);
                self.report_unread(database, error, cx);
                self.order.know(database, None);
            }
        }
        self.advance(cx);
    }

    fn report_unread(&mut self, database: &str, error: String, cx: &mut DispatchContext<'_>) {
        if self.unread_reported.insert(database.to_owned()) {
            let database = database.to_owned();
            cx.out.push(DispatchAction::CatalogUnread { database, error });
        }
    }

    /// Nothing waits for the catalogs of these databases any longer.
    pub fn go_without_catalogs<'a>(
        &mut self,
        databases: impl IntoIterator<Item = &'a str>,
        cx: &mut DispatchContext<'_>,
    ) {
        databases.into_iter().for_each(|database| self.order.go_without(database));
        self.advance(cx);
    }
}
