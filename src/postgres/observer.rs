//! Looks at the target from outside the replayed sessions.

use std::sync::Arc;

use tokio_postgres::{Client, Statement};

use super::error::{CancelError, ConnectError, ObserveError, chain};
use super::transport::{Encryption, Endpoint, Network, Opened};
use crate::replay::order::holders::LocksHeld;
use crate::replay::order::stalls::{LockSnapshot, PREPARED, Probe};
use crate::replay::order::wait_chain::ForeignBackend;
use crate::replay::session::auto_explain::set_up;
use crate::replay::session::durations::MEASURE;

/// A connection of our own that asks the server about itself.
pub struct Observer {
    client: Client,
    route: Box<Route>,
    locks: Statement,
}

/// Where a connection leads, for whoever wants to cancel.
pub(super) struct Route {
    pub network: Arc<Network>,
    pub endpoint: Endpoint,
    pub encryption: Encryption,
}

const PREPARED_BLOCKERS: &str = "
    SELECT DISTINCT p.gid
    FROM pg_catalog.pg_locks w
    JOIN pg_catalog.pg_locks h ON h.granted AND h.pid IS NULL AND h.locktype = w.locktype
        AND (h.database, h.relation, h.page, h.tuple, h.transactionid, h.classid, h.objid, h.objsubid)
            IS NOT DISTINCT FROM
            (w.database, w.relation, w.page, w.tuple, w.transactionid, w.classid, w.objid, w.objsubid)
    JOIN pg_catalog.pg_locks own ON own.pid IS NULL AND own.locktype = 'transactionid'
        AND own.virtualtransaction = h.virtualtransaction
    JOIN pg_catalog.pg_prepared_xacts p ON p.transaction = own.transactionid
    WHERE NOT w.granted AND w.pid = ANY ($1::int4[])
    ORDER BY p.gid";

// What draws from a sequence holds a lock on it until its transaction ends.
const DRAWN_NOTHING: &str = "
    SELECT pid FROM pg_catalog.unnest($1::int4[]) waiter(pid)
    WHERE NOT EXISTS (
        SELECT FROM pg_catalog.pg_locks l
        JOIN pg_catalog.pg_database d ON d.oid = l.database
        JOIN pg_catalog.pg_class c ON c.oid = l.relation
        WHERE l.pid = waiter.pid AND d.datname = pg_catalog.current_database()
            AND c.relkind = 'S')";

const CLIENTS: &str = "
    SELECT pid, COALESCE(NULLIF(application_name, ''), backend_type, '')::text,
        COALESCE(state, '')::text
    FROM pg_catalog.pg_stat_activity WHERE pid = ANY ($1::int4[])";

impl Observer {
    pub(super) async fn new(client: Client, route: Box<Route>) -> Result<Self, ObserveError> {
        // Prepared: it is asked whenever a replay stalls.
        let locks = client
            .prepare(
                "SELECT pid, pg_catalog.pg_blocking_pids(pid) FROM pg_catalog.unnest($1::int4[]) pid",
            )
            .await?;
        Ok(Self { client, route, locks })
    }

    /// Asks the server to cancel what it is running for this connection, over another one.
    pub async fn cancel(&self) -> Result<(), CancelError> {
        let Route { network, endpoint, encryption } = &*self.route;
        let canceling = async {
            let transport = network.open(endpoint, *encryption).await?;
            let canceled = self.client.cancel_token().cancel_query_raw(transport, Opened).await;
            canceled.map_err(|error| ConnectError::Ended {
                address: endpoint.host.address(),
                reason: chain(&error),
            })
        };
        Ok(network.in_time(&endpoint.host, canceling).await?)
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Each of these backends with those that it waits for: none if it waits for none, or has gone. 0
    /// stands for a prepared transaction.
    pub async fn locks(&self, pids: &[i32]) -> Result<Vec<(i32, Vec<i32>)>, ObserveError> {
        let rows = self.client.query(&self.locks, &[&pids]).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    /// The identifiers of the prepared transactions whose locks these backends wait for. Its
    /// locks have no backend; that on its own number tells whose they are.
    pub async fn prepared_blockers(&self, pids: &[i32]) -> Result<Vec<String>, ObserveError> {
        let rows = self.client.query(PREPARED_BLOCKERS, &[&pids]).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    /// Those of these backends whose open transactions have drawn from no sequence. They are connected to
    /// the same database.
    pub async fn drawn_nothing(&self, pids: &[i32]) -> Result<Vec<i32>, ObserveError> {
        let rows = self.client.query(DRAWN_NOTHING, &[&pids]).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    /// What these backends are: who they call themselves, and what they are about.
    pub async fn clients(&self, pids: &[i32]) -> Result<Vec<ForeignBackend>, ObserveError> {
        let rows = self.client.query(CLIENTS, &[&pids]).await?;
        rows.iter()
            .map(|row| {
                let (pid, application, state) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
                Ok(ForeignBackend { pid, application, state })
            })
            .collect()
    }

    /// The answer to a probe: whose locks its backends wait for, and theirs in turn.
    pub async fn lock_snapshot(&self, probe: Probe) -> Result<LockSnapshot, ObserveError> {
        let mut snapshot = LockSnapshot::of(probe);
        loop {
            let backends = snapshot.next_to_ask();
            if backends.is_empty() {
                break;
            }
            for (waiter, blockers) in self.locks(&backends).await? {
                snapshot.note(waiter, blockers);
            }
        }
        let waiters = snapshot.wait_for_prepared();
        if !waiters.is_empty() {
            snapshot.note_prepared(self.prepared_blockers(&waiters).await?);
        }
        Ok(snapshot)
    }

    /// Who holds the locks that these backends wait for, by name where it is none of ours.
    pub async fn locks_held(
        &self,
        backends: &[i32],
        is_ours: impl Fn(i32) -> bool,
    ) -> Result<LocksHeld, ObserveError> {
        let mut held = LocksHeld::default();
        for (waiter, blockers) in self.locks(backends).await? {
            let prepared = if blockers.contains(&PREPARED) {
                self.prepared_blockers(&[waiter]).await?
            } else {
                Vec::new()
            };
            held.note(waiter, blockers, prepared);
        }
        let foreign: Vec<i32> = held.blockers().filter(|backend| !is_ours(*backend)).collect();
        if !foreign.is_empty() {
            self.clients(&foreign).await?.into_iter().for_each(|client| held.note_foreign(client));
        }
        Ok(held)
    }

    /// Every database with its encoding, by PostgreSQL's name of it (`UTF8`, `LATIN1`).
    pub async fn encodings(&self) -> Result<Vec<(String, String)>, ObserveError> {
        let rows = self
            .client
            .query(
                "SELECT datname::text, pg_catalog.pg_encoding_to_char(encoding)::text \
                 FROM pg_catalog.pg_database ORDER BY datname",
                &[],
            )
            .await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    /// Whether the server tells this login how long its statements took. What is tried is undone.
    pub async fn tells_durations(&self) -> Result<bool, ObserveError> {
        // Refused, it may still be so by what its owner has set.
        let refused = self.client.batch_execute(MEASURE).await.is_err();
        let measures = "SELECT pg_catalog.current_setting('log_duration') = 'on' \
            OR pg_catalog.current_setting('log_min_duration_statement') = '0'";
        let measures = self.client.query_one(measures, &[]).await?.try_get(0)?;
        if !refused {
            self.client.batch_execute("RESET log_duration; RESET log_min_messages").await?;
        }
        Ok(measures)
    }

    /// Why the server does not let this login have auto_explain tell plans, if it does not. What is tried
    /// is undone, but for that it is loaded.
    pub async fn plans_refused(&self) -> Result<Option<String>, ObserveError> {
        self.client.batch_execute("BEGIN").await?;
        let tried = self.client.batch_execute(&set_up()).await.map_err(ObserveError::from);
        self.client.batch_execute("ROLLBACK").await?;
        match tried {
            Ok(()) => Ok(None),
            Err(ObserveError::Refused(error)) => Ok(Some(error.message)),
            Err(lost) => Err(lost),
        }
    }

    /// The server's version as a number: `180006` is 18.6.
    pub async fn server_version(&self) -> Result<u32, ObserveError> {
        let sql = "SELECT pg_catalog.current_setting('server_version_num')::int4";
        let version: i32 = self.client.query_one(sql, &[]).await?.try_get(0)?;
        Ok(version.unsigned_abs())
    }

    /// How many connections the server allows to those who are not superusers.
    pub async fn connection_limit(&self) -> Result<usize, ObserveError> {
        let sql = "SELECT pg_catalog.current_setting('max_connections')::int4 \
                   - pg_catalog.current_setting('superuser_reserved_connections')::int4";
        let limit: i32 = self.client.query_one(sql, &[]).await?.try_get(0)?;
        Ok(usize::try_from(limit).unwrap_or(0))
    }

    /// Whether the connection has ended; another has to be opened then.
    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }
}
