//! What is found out about the target before the first record is read.

use std::time::Duration;

use tracing::{info, warn};

use crate::actors::target_reachability::TargetReachability;
use crate::config::Config;
use crate::pglog::Encodings;
use crate::postgres::{ConnectError, ObserveError, Observer, Target};
use crate::replay::settings::{Login, TargetDurations};

/// Connections that are left to others when `--max-sessions` is not given: our observer, the one that
/// measures the round trip, the one that explains, the one that reads the statistics and its second one to
/// the database that has pg_stat_statements, cancel requests, and somebody who looks at the target
/// meanwhile.
pub(crate) const RESERVED_CONNECTIONS: usize = 7;
const RETRY: Duration = Duration::from_secs(1);

/// Why the target can't be replayed on.
pub(crate) enum ProbeError {
    /// It refuses, or can't be reached in time.
    Target(String),
    /// It was reached, and could not be asked.
    Other(anyhow::Error),
}

/// What was found out about the target before the first record is read.
pub(crate) struct Probe {
    /// Who looks at it from outside the sessions; `None`: as the first session logs in.
    pub login: Option<Login>,
    /// How many sessions it has room for.
    pub max_sessions: usize,
    /// The source's databases' encodings, as the target's databases have them.
    pub encodings: Encodings,
}

/// Probes the target, for as long as a start may wait for it.
pub(crate) async fn probe_in_time(
    target: &Target,
    config: &Config,
    reachability: &TargetReachability,
) -> Result<Probe, ProbeError> {
    let probing = probe(target, config, reachability);
    let Some(limit) = config.connect_timeout else { return probing.await };
    tokio::time::timeout(limit, probing).await.unwrap_or_else(|_| {
        let why =
            reachability.last_failure().map_or_else(String::new, |failure| format!(": {failure}"));
        Err(ProbeError::Target(format!(
            "the target {} could not be reached within {limit:?} (--connect-timeout){why}",
            target.address()
        )))
    })
}

/// Waits until the target can be reached, and finds out what it can tell.
async fn probe(
    target: &Target,
    config: &Config,
    reachability: &TargetReachability,
) -> Result<Probe, ProbeError> {
    let identity = &config.replay.identity;
    let login = Login {
        user: identity.one_user().unwrap_or("postgres").to_owned(),
        database: identity.one_database().unwrap_or("postgres").to_owned(),
        application_name: "kreplay".to_owned(),
    };
    let observer = loop {
        match target.observe(&login).await {
            Ok(observer) => {
                reachability.reached();
                break Some(observer);
            }
            Err(error) if !error.is_permanent() => {
                reachability.failed(&error);
                tokio::time::sleep(RETRY).await;
            }
            Err(error) if is_final(&error, config) => {
                return Err(ProbeError::Target(error.to_string()));
            }
            Err(error) => {
                info!(
                    "the target can be reached, but not as the user that asks it for its limits and \
                    its locks (-u and -d, else postgres): that waits for the first session, and text is \
                    read as UTF-8 whatever its database is in: {error}"
                );
                reachability.answered();
                break None;
            }
        }
    };
    let Some(observer) = observer else {
        return Ok(Probe {
            login: None,
            max_sessions: usize::MAX,
            encodings: Encodings::default(),
        });
    };
    if let Some(why) = withholds_durations(&observer, config, &login).await? {
        return Err(ProbeError::Target(why));
    }
    match look(&observer, config).await {
        Ok((max_sessions, encodings)) => {
            info!(address = target.address(), max_sessions, "connected to the target");
            Ok(Probe { login: Some(login), max_sessions, encodings })
        }
        Err(error) => Err(ProbeError::Other(error)),
    }
}

/// Why the target can't be replayed on by --target-durations server, if it can't.
async fn withholds_durations(
    observer: &Observer,
    config: &Config,
    login: &Login,
) -> Result<Option<String>, ProbeError> {
    if config.replay.target_durations != TargetDurations::Server {
        return Ok(None);
    }
    let asked = async {
        let tells = observer.tells_durations().await?;
        Ok::<_, ObserveError>((tells, observer.server_version().await?))
    };
    let (tells, version) = asked.await.map_err(|error| ProbeError::Other(error.into()))?;
    let remedy = TargetDurations::remedy(&login.user, version);
    Ok((!tells).then(|| {
        format!(
            "the target does not let {} have its durations, and --target-durations is server: \
             {remedy}; --target-durations auto does without",
            login.user
        )
    }))
}

async fn look(observer: &Observer, config: &Config) -> anyhow::Result<(usize, Encodings)> {
    let connections = observer.connection_limit().await?;
    let known = observer.encodings().await?;
    let (encodings, unreadable) = config.replay.identity.encodings(&known);
    for (database, encoding) in unreadable {
        warn!(
            database,
            encoding,
            "kreplay cannot read text in this encoding: such records of this database are rejected \
             (undecodable); --source-db can leave it out"
        );
    }
    Ok((connections.saturating_sub(RESERVED_CONNECTIONS).max(1), encodings))
}

/// Whether a refusal at the start is the user's to mend: it is about what was given, and not about
/// the user or database that the observer made do with.
fn is_final(error: &ConnectError, config: &Config) -> bool {
    let identity = &config.replay.identity;
    match error {
        ConnectError::Refused { error, .. } => match error.sqlstate.as_str() {
            "3D000" => identity.one_database().is_some(),
            code if code.starts_with("28") => identity.one_user().is_some(),
            _ => identity.one_user().is_some() && identity.one_database().is_some(),
        },
        ConnectError::PasswordMissing { .. } | ConnectError::Authentication { .. } => {
            identity.one_user().is_some()
        }
        // TLS is the same for every user.
        _ => true,
    }
}
