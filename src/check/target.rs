//! What `kreplay check` asks the target. Nothing here writes.

use crate::check::findings::target::{LoginFacts, Refused, ServerFacts, SessionFacts, Why};
use crate::postgres::{ConnectError, ObserveError, Observer, Target};
use crate::replay::settings::Login;

/// Logs in as a session would, has a look and leaves.
pub(super) async fn try_login(target: &Target, login: &Login, explain: bool) -> LoginFacts {
    let outcome = match target.observe(login).await {
        Ok(observer) => session(&observer, explain).await.map_err(|error| Refused::from(&error)),
        Err(error) => Err(Refused::from(&error)),
    };
    LoginFacts { user: login.user.clone(), database: login.database.clone(), outcome }
}

/// What the server is, as far as a replay has to know.
pub(super) async fn server(observer: &Observer) -> Result<ServerFacts, ObserveError> {
    let row = observer.client().query_one(SERVER, &[]).await?;
    let roles = observer.client().query(ROLES, &[]).await?;
    let in_use: i64 = row.try_get("in_use")?;
    Ok(ServerFacts {
        version: observer.server_version().await?,
        tls: row.try_get("tls")?,
        in_recovery: row.try_get("in_recovery")?,
        connections: observer.connection_limit().await?,
        in_use: usize::try_from(in_use).unwrap_or(0),
        sees_blockers: row.try_get("sees_blockers")?,
        reads_all_statistics: observer.reads_all_statistics().await?,
        databases: observer.encodings().await?,
        roles: roles.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?,
    })
}

/// What a session finds that logs in as this one. auto_explain is loaded only where it is wanted.
async fn session(observer: &Observer, explain: bool) -> Result<SessionFacts, ObserveError> {
    let tables: i64 = observer.client().query_one(TABLES, &[]).await?.try_get(0)?;
    let limits = observer.client().query(LIMITS, &[]).await?;
    let read_only = "SELECT pg_catalog.current_setting('default_transaction_read_only')::bool";
    Ok(SessionFacts {
        tables: tables.unsigned_abs(),
        limits: limits
            .iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
            .collect::<Result<_, ObserveError>>()?,
        read_only: observer.client().query_one(read_only, &[]).await?.try_get(0)?,
        counts_statements: observer.statements_view().await?.is_some(),
        tells_durations: observer.tells_durations().await?,
        plans_refused: if explain { observer.plans_refused().await? } else { None },
    })
}

/// Our own connection is not counted among those in use.
const SERVER: &str = "
    SELECT pg_catalog.pg_is_in_recovery() AS in_recovery,
           coalesce((SELECT ssl FROM pg_catalog.pg_stat_ssl
                     WHERE pid = pg_catalog.pg_backend_pid()), false) AS tls,
           (SELECT pg_catalog.sum(numbackends)::int8 - 1 FROM pg_catalog.pg_stat_database) AS in_use,
           pg_catalog.has_function_privilege('pg_catalog.pg_blocking_pids(int4)', 'execute')
               AS sees_blockers";

const ROLES: &str = "
    SELECT rolname::text FROM pg_catalog.pg_roles WHERE rolcanlogin ORDER BY rolname";

const TABLES: &str = "
    SELECT pg_catalog.count(*)
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'f') AND c.relpersistence <> 't'
      AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')";

/// As the session has them: what `ALTER ROLE` and `ALTER DATABASE` say counts.
const LIMITS: &str = "
    SELECT name::text, pg_catalog.current_setting(name)::text
    FROM pg_catalog.pg_settings
    WHERE name IN ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout',
                   'idle_session_timeout', 'transaction_timeout') AND setting <> '0'
    ORDER BY name";

impl From<&ConnectError> for Refused {
    fn from(error: &ConnectError) -> Self {
        let why = match error {
            ConnectError::Unreachable { .. }
            | ConnectError::Timeout { .. }
            | ConnectError::Ended { .. }
            | ConnectError::Unsuitable { .. }
            | ConnectError::NoHost { .. } => Why::Unreachable,
            ConnectError::TlsUnsupported { .. } | ConnectError::Tls { .. } => Why::Tls,
            ConnectError::PasswordMissing { .. } => Why::NoPassword,
            ConnectError::Authentication { .. } => Why::Password,
            ConnectError::Refused { error, .. } => match error.sqlstate.as_str() {
                "28P01" => Why::Password,
                code if code.starts_with("28") => Why::NotAllowed,
                "3D000" => Why::NoDatabase,
                "42501" => Why::NoPrivilege,
                "53300" => Why::Full,
                _ => Why::Other,
            },
        };
        Self { why, words: error.to_string() }
    }
}

impl From<&ObserveError> for Refused {
    fn from(error: &ObserveError) -> Self {
        Self { why: Why::Other, words: error.to_string() }
    }
}
