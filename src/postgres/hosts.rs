//! Which of several servers is taken: libpq's `host` lists, `target_session_attrs` and
//! `load_balance_hosts`.

use super::error::ConnectError;
use super::settings::{Host, TargetSessionAttrs, TargetSettings};
use super::transport::{Encryption, Endpoint, Network};

impl Network {
    /// Connects to the first server that can be reached and is what is wanted, in libpq's order:
    /// every address of every host. A server that refuses the log-in ends the search.
    pub(super) async fn connect_to_first<T>(
        &self,
        connect: impl AsyncFn(&Endpoint, Encryption, TargetSessionAttrs) -> Result<T, ConnectError>,
    ) -> Result<T, ConnectError> {
        let settings = self.settings();
        match settings.target_session_attrs {
            TargetSessionAttrs::PreferStandby => {
                match self.first_of(TargetSessionAttrs::Standby, &connect).await {
                    Err(error) if may_be_elsewhere(&error) => {
                        self.first_of(TargetSessionAttrs::Any, &connect).await
                    }
                    result => result,
                }
            }
            wanted => self.first_of(wanted, &connect).await,
        }
    }

    async fn first_of<T>(
        &self,
        wanted: TargetSessionAttrs,
        connect: &impl AsyncFn(&Endpoint, Encryption, TargetSessionAttrs) -> Result<T, ConnectError>,
    ) -> Result<T, ConnectError> {
        let mut hosts: Vec<&Host> = self.settings().hosts.iter().collect();
        if self.settings().load_balance {
            fastrand::shuffle(&mut hosts);
        }
        let mut failures = Vec::new();
        for host in hosts {
            match self.connect_to(host, wanted, connect).await {
                Err(error) if may_be_elsewhere(&error) => failures.push(error),
                result => return result,
            }
        }
        Err(match failures.pop() {
            Some(only) if failures.is_empty() => only,
            last => ConnectError::NoHost { failures: failures.into_iter().chain(last).collect() },
        })
    }

    /// Tries the addresses of a host one after the other.
    async fn connect_to<T>(
        &self,
        host: &Host,
        wanted: TargetSessionAttrs,
        connect: &impl AsyncFn(&Endpoint, Encryption, TargetSessionAttrs) -> Result<T, ConnectError>,
    ) -> Result<T, ConnectError> {
        let mut endpoints = self.endpoints(host).await?;
        if self.settings().load_balance {
            fastrand::shuffle(&mut endpoints);
        }
        let mut failure = None;
        for endpoint in &endpoints {
            let connected = self.in_time(
                host,
                self.encrypted_or_not(async |encryption| {
                    connect(endpoint, encryption, wanted).await
                }),
            );
            match connected.await {
                Err(error) if may_be_elsewhere(&error) => failure = Some(error),
                result => return result,
            }
        }
        Err(failure.unwrap_or_else(|| ConnectError::NoHost { failures: Vec::new() }))
    }

    /// A server may insist on a connection with TLS, or without (`hostssl` and `hostnossl` in its
    /// `pg_hba.conf`), which shows only when it refuses the log-in.
    async fn encrypted_or_not<T>(
        &self,
        connect: impl AsyncFn(Encryption) -> Result<T, ConnectError>,
    ) -> Result<T, ConnectError> {
        let (first, second) = self.settings().sslmode.encryptions();
        let result = connect(first).await;
        match (&result, second) {
            (Err(ConnectError::Refused { error, .. }), Some(second))
                if error.sqlstate.as_str() == "28000" =>
            {
                connect(second).await.or(result)
            }
            _ => result,
        }
    }
}

/// Whether another server may do what this one did not.
fn may_be_elsewhere(error: &ConnectError) -> bool {
    match error {
        ConnectError::Unreachable { .. }
        | ConnectError::Timeout { .. }
        | ConnectError::Ended { .. }
        | ConnectError::Unsuitable { .. }
        | ConnectError::NoHost { .. } => true,
        // It is starting up or shutting down.
        ConnectError::Refused { error, .. } => error.sqlstate.as_str() == "57P03",
        _ => false,
    }
}

impl TargetSettings {
    /// A query that gives a row where the server is what is wanted, if there is anything to ask.
    pub(super) fn suitability(&self, wanted: TargetSessionAttrs) -> Option<&'static str> {
        match wanted {
            TargetSessionAttrs::Any => None,
            // Whether writes are refused is our own doing then, not the server's.
            TargetSessionAttrs::ReadWrite if self.read_only => Some(PRIMARY),
            TargetSessionAttrs::ReadWrite => Some(READ_WRITE),
            TargetSessionAttrs::ReadOnly => Some(READ_ONLY),
            TargetSessionAttrs::Primary => Some(PRIMARY),
            TargetSessionAttrs::Standby | TargetSessionAttrs::PreferStandby => Some(STANDBY),
        }
    }
}

const READ_WRITE: &str = "SELECT 1 WHERE NOT \
                          pg_catalog.current_setting('transaction_read_only')::pg_catalog.bool";
const READ_ONLY: &str =
    "SELECT 1 WHERE pg_catalog.current_setting('transaction_read_only')::pg_catalog.bool";
const PRIMARY: &str = "SELECT 1 WHERE NOT pg_catalog.pg_is_in_recovery()";
const STANDBY: &str = "SELECT 1 WHERE pg_catalog.pg_is_in_recovery()";
