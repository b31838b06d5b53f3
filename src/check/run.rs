//! Sees everything that is judged, each step at most some seconds.

use super::print::Report;
use super::{broker, sample, target};
use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;

use crate::check::findings::sample::{Sample, Sampled};
use crate::check::findings::target::{LoginFacts, Refused, ServerFacts, TargetFacts, Why};
use crate::check::findings::{Area, CheckPlan, Facts, Finding, InputFacts, Level, findings};
use crate::config::Config;
use crate::pglog::{Encodings, RecordReader};
use crate::postgres::{Target, TargetSettings};
use crate::probe::RESERVED_CONNECTIONS;
use crate::replay::settings::Login;
use crate::source::SourceSettings;
use crate::source::files::LogFiles;
use crate::source::kafka::OnGap;

/// How long a log-in may take, and a question to the target.
const ANSWER: Duration = Duration::from_secs(5);
/// How many pairs of a user and a database are tried, and how many of them at once.
const LOGINS: usize = 40;
const LOGINS_AT_ONCE: usize = 5;

/// Looks at the input and the target.
pub async fn run(config: &Config) -> Report {
    let plan = plan(config);
    let (input, records, cut_short) = look_at_input(config).await;
    let (mut target, encodings) = match config.replay.dry_run {
        true => (None, Encodings::default()),
        false => {
            let (target, encodings) = look_at_target(config).await;
            (Some(target), encodings)
        }
    };
    let sample = (!records.is_empty()).then(|| Sample {
        cut_short,
        files: matches!(input, InputFacts::Files(_)),
        ..read(config, encodings, &input, &records)
    });
    if let Some(facts) = &mut target {
        log_in(config, sample.as_ref(), facts).await;
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now_ms = now.map_or(0, |now| i64::try_from(now.as_millis()).unwrap_or(i64::MAX));
    let warnings = config.warnings.iter().map(|warning| Finding {
        area: Area::Settings,
        level: Level::Warning,
        what: warning.clone(),
        remedy: None,
    });
    let found = findings(&Facts { now_ms, input, sample, target }, &plan);
    Report(warnings.chain(found).collect())
}

fn plan(config: &Config) -> CheckPlan {
    CheckPlan {
        identity: config.replay.identity.clone(),
        filters: config.replay.filters.clone(),
        pace: config.replay.pace(),
        lookahead_ms: i64::try_from(config.replay.lookahead.as_millis()).unwrap_or(i64::MAX),
        max_sessions: config.replay.max_sessions,
        read_only: config.target.read_only,
        target_durations: config.replay.target_durations,
        explain: config.explain,
        skips_gaps: matches!(&config.source, SourceSettings::Kafka(it) if it.on_gap == OnGap::Continue),
    }
}

// ---- The input ----

async fn look_at_input(config: &Config) -> (InputFacts, Vec<Sampled>, bool) {
    match &config.source {
        SourceSettings::Kafka(settings) => {
            let broker::Inspection { facts, sample, cut_short } = broker::inspect(settings).await;
            (InputFacts::Kafka(Box::new(facts)), sample, cut_short)
        }
        SourceSettings::Files(paths) => {
            let (paths, format) = (paths.clone(), config.replay.format);
            let look = move || sample::of_files(&LogFiles::find(&paths, format)?);
            let taken = tokio::task::spawn_blocking(look).await;
            match taken.expect("a sample does not panic") {
                Ok((facts, sample)) => (InputFacts::Files(Ok(facts)), sample, false),
                Err(error) => (InputFacts::Files(Err(error.to_string())), Vec::new(), false),
            }
        }
    }
}

fn read(config: &Config, encodings: Encodings, input: &InputFacts, records: &[Sampled]) -> Sample {
    let mut reader = RecordReader::new(config.replay.format, encodings);
    let name = |sampled: &Sampled| match input {
        InputFacts::Files(Ok(facts)) => {
            let name = usize::try_from(sampled.partition).ok().and_then(|it| facts.names.get(it));
            format!("{} byte {}", name.map_or("?", String::as_str), sampled.offset)
        }
        _ => format!("partition {} offset {}", sampled.partition, sampled.offset),
    };
    let (identity, filters) = (&config.replay.identity, &config.replay.filters);
    Sample::read(records, &mut reader, identity, filters, name)
}

// ---- The target ----

/// Looks at the target as kreplay does when it starts, and tells the source's encodings by it.
async fn look_at_target(config: &Config) -> (TargetFacts, Encodings) {
    let mut facts = TargetFacts { reserved: RESERVED_CONNECTIONS, ..TargetFacts::default() };
    let target = match target_of(config) {
        Ok(target) => target,
        Err(refused) => {
            facts.server = Some(Err(refused));
            return (facts, Encodings::default());
        }
    };
    facts.address = target.address();
    let identity = &config.replay.identity;
    let login = login(
        identity.one_user().unwrap_or("postgres"),
        identity.one_database().unwrap_or("postgres"),
    );
    let mut encodings = Encodings::default();
    match look_as(&target, &login).await {
        Ok(server) => {
            encodings = identity.encodings(&server.databases).0;
            facts.server = Some(Ok(server));
        }
        Err(refused) => {
            facts.observer =
                Some((format!("{} on {}", login.user, login.database), refused.clone()));
            facts.server = Some(Err(refused));
        }
    }
    (facts, encodings)
}

fn target_of(config: &Config) -> Result<Target, Refused> {
    let settings = TargetSettings { connect_timeout: ANSWER, ..config.target.clone() };
    Target::new(settings).map_err(|error| Refused { why: Why::Tls, words: error.to_string() })
}

fn login(user: &str, database: &str) -> Login {
    let application_name = "kreplay check".to_owned();
    Login { user: user.to_owned(), database: database.to_owned(), application_name }
}

async fn look_as(target: &Target, login: &Login) -> Result<ServerFacts, Refused> {
    let look = async {
        let observer = target.observe(login).await.map_err(|error| Refused::from(&error))?;
        target::server(&observer).await.map_err(|error| Refused::from(&error))
    };
    in_time(look).await
}

/// The target may take a connection and then say nothing.
async fn in_time<T>(look: impl Future<Output = Result<T, Refused>>) -> Result<T, Refused> {
    tokio::time::timeout(2 * ANSWER, look).await.unwrap_or_else(|_| {
        let words = format!("the target has not answered within {:?}", 2 * ANSWER);
        Err(Refused { why: Why::Unreachable, words })
    })
}

/// Tries the log-ins of the sample's sessions.
async fn log_in(config: &Config, sample: Option<&Sample>, facts: &mut TargetFacts) {
    let no_use = |refused: &Refused| matches!(refused.why, Why::Unreachable | Why::Tls);
    if matches!(&facts.server, Some(Err(refused)) if no_use(refused)) {
        return;
    }
    let Ok(postgres) = target_of(config) else { return };
    let none = BTreeMap::new();
    let mut logins: Vec<_> = sample.map_or(&none, |sample| &sample.logins).iter().collect();
    logins.sort_by_key(|(_, statements)| std::cmp::Reverse(**statements));
    facts.untried = logins.len().saturating_sub(LOGINS);
    logins.truncate(LOGINS);
    let logins: Vec<Login> =
        logins.into_iter().map(|((user, database), _)| login(user, database)).collect();
    for some in logins.chunks(LOGINS_AT_ONCE) {
        let tries = some.iter().map(|login| async {
            let tried = target::try_login(&postgres, login, config.explain);
            let tried = in_time(async { Ok(tried.await) }).await;
            tried.unwrap_or_else(|refused| LoginFacts {
                user: login.user.clone(),
                database: login.database.clone(),
                outcome: Err(refused),
            })
        });
        facts.logins.extend(join_all(tries).await);
    }
    // As the replay does: whoever is let in first looks at the target for all.
    let first = facts.logins.iter().find(|login| login.outcome.is_ok());
    if let (Some(Err(_)), Some(first)) = (&facts.server, first)
        && let Ok(server) = look_as(&postgres, &login(&first.user, &first.database)).await
    {
        facts.server = Some(Ok(server));
    }
}
