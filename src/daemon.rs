//! Starts everything, downstream first; waits for the end; stops everything, upstream first.
//!
//! - `serving`: HTTP, where the port is to be had.
//! - `service`: what systemd is told.
//! - `screen`: standard error, shared by the log and the progress bar.
//! - `status`: how the replay goes, in the bar and the log.

mod reporting;
mod round_trip;
mod screen;
mod service;
mod serving;
mod status;

use parking_lot::Mutex;
use std::future::pending;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use actix::prelude::*;
use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, mpsc, oneshot};
use tracing::{info, warn};

use self::reporting::Reporting;
use self::round_trip::Measuring;
pub use self::screen::Screen;
use self::status::Gauges;
use crate::actors::admission::{Admission, Pressure};
use crate::actors::consumer::{CommitNow, Consumer, ConsumerParts, Downstream, SourceNames};
use crate::actors::load::Threads;
use crate::actors::messages::{Drain, Fatal, Stop};
use crate::actors::overview::Overview;
use crate::actors::panic_guard::PanicGuard;
use crate::actors::sequencer::{ReadsOn, Sequencer, SequencerSettings};
use crate::actors::session::SessionDeps;
use crate::actors::supervisor::{LogInGate, SetSessionDeps, Supervisor, SupervisorSettings};
use crate::actors::target_reachability::TargetReachability;
use crate::cli::{DeadLetter, Exit, VERSION};
use crate::config::{self, Config, Order};
use crate::health::{Condition, Health};
use crate::metrics;
use crate::pglog::{Encodings, Format, RecordReader};
use crate::postgres::{ConnectError, Login, Observer, Target};
use crate::replay::account::policy::Tally;
use crate::replay::order::backends::Backends;
use crate::replay::report::Report;
use crate::replay::session::SessionSettings;
use crate::source::dead_letters::DeadLetters;
use crate::source::files::LogFiles;
use crate::source::kafka::KafkaSettings;
use crate::source::{FileSource, KafkaSource, Source, SourceError};

/// How a run ended: with which code, and why if not well.
#[derive(Debug)]
pub struct Ended {
    /// The process's exit code.
    pub exit: Exit,
    /// What to tell the user, if anything went wrong.
    pub reason: Option<String>,
    /// The account, and what changed.
    pub report: Report,
}

/// Connections that are left to others when `--max-sessions` is not given: our observer, the one that
/// measures the round trip, cancel requests, and somebody who looks at the target meanwhile.
pub(crate) const RESERVED_CONNECTIONS: usize = 5;
const RETRY: Duration = Duration::from_secs(1);

/// Replays until the input ends, a signal comes or something can't go on; says on the screen how it
/// goes. To be called in an actix system.
///
/// # Errors
///
/// What is neither the source's nor the target's refusal: a port that is taken, a file that can't be
/// written.
pub async fn run(config: Config, screen: Screen) -> anyhow::Result<Ended> {
    let recorder = metrics::install().context("metrics")?;
    let health = Health::default();
    let tally: Arc<Mutex<Tally>> = Arc::default();
    let overview: Arc<Overview> = Arc::default();
    let reporting = Reporting::new(&config, &tally, &overview);
    serving::serve(&config, recorder, &health, &overview, &reporting)?;
    let gauges = Gauges { tally: tally.clone(), overview: overview.clone(), began: Instant::now() };
    actix_rt::spawn(service::tell_systemd(health.clone(), gauges.clone()));
    let _shown = status::show(&config, gauges, &screen);
    let (fatal, mut failures) = mpsc::unbounded_channel();
    let fatal = FatalForwarder { to: fatal }.start().recipient();
    let mut signals = Signals::new().context("signals")?;

    let starting = start(&config, &health, &reporting, fatal);
    let replay = tokio::select! {
        started = starting => match started {
            Ok(replay) => replay,
            Err(failure) => return Ok(Ended { report: reporting.report(), ..failure.ended()? }),
        },
        () = signals.next() => {
            return Ok(Ended { exit: Exit::Done, reason: None, report: reporting.report() });
        }
    };
    let Replay { consumer, downstream, done, measuring: _measuring } = replay;
    let failure = tokio::select! {
        _ = done => None,
        failure = failures.recv() => failure,
        () = signals.next() => {
            info!("stopping: what runs is finished, the rest is left for the next start; a second \
                signal stops at once");
            None
        }
    };
    health.drain();
    service::stopping(config.replay.shutdown_timeout);
    let stopping = stop(&consumer, downstream.as_ref(), config.replay.shutdown_timeout);
    tokio::select! {
        () = stopping => {}
        () = signals.next() => warn!("stopped at once by a second signal: the next start repeats what ran"),
    }
    // The last statement's failure and the end of the input come at the same moment.
    let failure = failure.or_else(|| failures.try_recv().ok());
    let report = reporting.report();
    if let Some(path) = &config.report {
        reporting::write(&report, path)?;
    }
    let (exit, reason) = match failure {
        None => ended_well(&config, &report),
        Some(Fatal::TargetRefused(reason)) => (Exit::TargetRefused, Some(reason)),
        Some(Fatal::StatementFailed(reason)) => (Exit::StatementFailed, Some(reason)),
        Some(Fatal::ActorFailed(name)) => (
            Exit::Unexpected,
            Some(format!(
                "the {name} failed: a defect of kreplay, see the log; nothing is lost, \
                and the next start goes on where this one was"
            )),
        ),
        Some(Fatal::Source(error)) => (source_exit(&error), Some(error.to_string())),
    };
    Ok(Ended { exit, reason, report })
}

/// How a replay that nothing stopped ends: by default, one with an end that lost something does not
/// end like one that did not.
fn ended_well(config: &Config, report: &Report) -> (Exit, Option<String>) {
    let counts = config.source.has_end() && !config.allow_losses;
    match report.tally.records.losses().filter(|_| counts) {
        None => (Exit::Done, None),
        Some(losses) => {
            let reason = format!(
                "ended, but not everything could be replayed (--allow-losses ends with 0 all the \
                 same): {losses}"
            );
            (Exit::Incomplete, Some(reason))
        }
    }
}

fn take(tally: &Mutex<Tally>) -> Tally {
    tally.lock().clone()
}

/// The actors of a running replay, and what runs beside them.
struct Replay {
    consumer: Addr<Consumer>,
    downstream: Option<Downstream>,
    done: oneshot::Receiver<()>,
    measuring: Option<Measuring>,
}

/// Why a replay could not begin.
enum StartFailure {
    Target(String),
    Source(SourceError),
    Other(anyhow::Error),
}

impl StartFailure {
    fn ended(self) -> anyhow::Result<Ended> {
        let (exit, reason) = match self {
            Self::Target(reason) => (Exit::TargetRefused, reason),
            Self::Source(error) => (source_exit(&error), error.to_string()),
            Self::Other(error) => return Err(error),
        };
        Ok(Ended { exit, reason: Some(reason), report: Report::default() })
    }
}

fn source_exit(error: &SourceError) -> Exit {
    match error {
        SourceError::Gap { .. } => Exit::OffsetGone,
        SourceError::UnknownTopic { .. }
        | SourceError::Authentication { .. }
        | SourceError::Authorization { .. } => Exit::KafkaRefused,
        SourceError::BadProperty { .. }
        | SourceError::Columns { .. }
        | SourceError::OutOfOrder { .. } => Exit::Usage,
        SourceError::Io { source, .. } if is_wrong_file(source.kind()) => Exit::Usage,
        _ => Exit::Unexpected,
    }
}

/// Whether a file can't be read since another one was meant, or it is of another kind.
fn is_wrong_file(kind: io::ErrorKind) -> bool {
    use io::ErrorKind as K;
    matches!(kind, K::NotFound | K::PermissionDenied | K::IsADirectory | K::Unsupported)
}

/// Starts the actors, downstream first.
async fn start(
    config: &Config,
    health: &Health,
    reporting: &Reporting,
    fatal: Recipient<Fatal>,
) -> Result<Replay, StartFailure> {
    let Reporting { tally, shapes, overview, .. } = reporting;
    let settings = Arc::new(config.replay.clone());
    let (spin, began, paced) = (settings.spin, Instant::now(), settings.pace.is_some());
    let threads = Threads::default();
    threads.add_this();
    // What is wrong with a file is told before anything is waited for.
    let files = match &config.source {
        config::Source::Files(paths) => Some(open_files(paths, config.replay.format)?),
        config::Source::Kafka(_) => None,
    };
    let mut encodings = Encodings::default();
    let mut started = None;
    if settings.dry_run {
        health.target(Condition::Unused);
    } else {
        let target = Target::new(config.target.clone())
            .map_err(|error| StartFailure::Target(error.to_string()))?;
        let outage = Arc::new(TargetReachability::new(health.clone()));
        let probe = probe_in_time(&target, config, &outage).await?;
        encodings = probe.encodings;
        let known_login: Arc<OnceLock<Arc<Login>>> = Arc::default();
        if let Some(login) = &probe.login {
            known_login.get_or_init(|| Arc::new(login.clone()));
        }
        let backends = Arc::new(Backends::default());
        let pressure = Pressure::default();
        let sequencer = Sequencer::new(
            SequencerSettings {
                order: settings.order,
                is_paced: paced,
                stall_check: settings.stall_check,
                patience: settings.patience_with_silence(),
                target: target.clone(),
                observer: probe.login,
                pressure: pressure.clone(),
                outage: outage.clone(),
            },
            backends.clone(),
            health.clone(),
            overview.clone(),
            PanicGuard::new("sequencer", fatal.clone()),
        )
        .start();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let takes_turns = settings.order != Order::Session;
        let supervisor = Supervisor::new(
            SupervisorSettings {
                sessions: SessionSettings {
                    depth: settings.pipeline,
                    takes_turns,
                    replay_cancels: settings.replay_cancels,
                    read_only: config.target.read_only,
                },
                idle_timeout: settings.idle_timeout,
            },
            (1..settings.threads(cores)).map(|_| more_threads(&threads)).collect(),
            health.clone(),
            overview.clone(),
            PanicGuard::new("supervisor", fatal.clone()),
        )
        .start();
        let limit = settings.max_sessions.unwrap_or(probe.max_sessions);
        let one_by_one = settings.order == Order::Serial;
        let vital = PanicGuard::new("admission", fatal.clone());
        let admission = Admission::new(limit, one_by_one, pressure.clone(), vital).start();
        let admission = (admission, pressure);
        started = Some((
            target,
            backends,
            sequencer,
            supervisor,
            admission,
            takes_turns,
            outage,
            known_login,
        ));
    }

    let (source, names, offsets) = match (files, &config.source) {
        (Some(files), _) => files,
        (None, config::Source::Kafka(kafka)) => connect_kafka(kafka).await?,
        (None, config::Source::Files(paths)) => open_files(paths, config.replay.format)?,
    };
    if offsets.is_none() {
        health.source(Condition::Connected);
    }
    let dead_letters = dead_letters(config).map_err(|e| StartFailure::Other(e.into()))?;
    let downstream = started.as_ref().map(|(_, backends, sequencer, supervisor, ..)| Downstream {
        supervisor: supervisor.clone(),
        sequencer: sequencer.clone(),
        backends: backends.clone(),
    });
    let (done_sender, done) = oneshot::channel();
    let consumer = Consumer::new(ConsumerParts {
        source,
        names,
        offsets,
        reader: RecordReader::new(settings.format, encodings),
        dead_letters,
        settings,
        began,
        downstream: downstream.clone(),
        tally: tally.clone(),
        shapes: shapes.clone(),
        fatal: fatal.clone(),
        done: done_sender,
        health: health.clone(),
        overview: overview.clone(),
        threads,
    })
    .start();
    let mut measuring = None;
    if let Some((target, backends, sequencer, supervisor, admission, takes_turns, outage, login)) =
        started
    {
        let (admission, pressure) = admission;
        let shapes = shapes.clone();
        let vacated: Arc<Notify> = Arc::default();
        measuring = Some(round_trip::measure(
            target.clone(),
            login.clone(),
            pressure.clone(),
            vacated.clone(),
            shapes,
            outage.clone(),
        ));
        sequencer.do_send(ReadsOn(consumer.clone().recipient()));
        supervisor.do_send(SetSessionDeps(SessionDeps {
            target,
            backends,
            snapshots: Arc::default(),
            sequencer,
            progress: consumer.clone().recipient(),
            admission,
            pressure,
            gone: supervisor.clone().recipient(),
            log_ins: supervisor.clone().recipient(),
            changes: supervisor.clone().recipient(),
            vacate: supervisor.clone().recipient(),
            log_in_gate: LogInGate::default(),
            ended: supervisor.clone().recipient(),
            known_login: login,
            known_login_vacated: vacated,
            fatal,
            outage,
            statements: metrics::Statements::new(),
            takes_turns,
            spin,
            began,
            paced,
        }));
    }
    Ok(Replay { consumer, downstream, done, measuring })
}

/// One more thread for sessions.
fn more_threads(threads: &Threads) -> ArbiterHandle {
    let (arbiter, threads) = (Arbiter::new().handle(), threads.clone());
    arbiter.spawn_fn(move || threads.add_this());
    arbiter
}

/// Stops upstream first: no new statements, then no sessions, then the last offsets.
async fn stop(consumer: &Addr<Consumer>, downstream: Option<&Downstream>, patience: Duration) {
    // An actor that is gone has nothing left to stop.
    let _ = consumer.send(Stop).await;
    if let Some(downstream) = downstream {
        let drained = downstream.supervisor.send(Drain);
        if tokio::time::timeout(patience, drained).await.is_err() {
            warn!(
                "statements still ran after {patience:?} (--shutdown-timeout): the target rolls \
                 them back, and the next start repeats them"
            );
        }
    }
    let _ = consumer.send(CommitNow).await;
}

// ---- The target ----

/// What was found out about the target before the first record is read.
struct Probe {
    /// Who looks at it from outside the sessions; `None`: as the first session logs in.
    login: Option<Login>,
    /// How many sessions it has room for.
    max_sessions: usize,
    /// The source's databases' encodings, as the target's databases have them.
    encodings: Encodings,
}

/// Probes the target, for as long as a start may wait for it.
async fn probe_in_time(
    target: &Target,
    config: &Config,
    outage: &TargetReachability,
) -> Result<Probe, StartFailure> {
    let probing = probe(target, config, outage);
    let Some(limit) = config.connect_timeout else { return probing.await };
    tokio::time::timeout(limit, probing).await.unwrap_or_else(|_| {
        let why = outage.last_failure().map_or_else(String::new, |failure| format!(": {failure}"));
        Err(StartFailure::Target(format!(
            "the target {} could not be reached within {limit:?} (--connect-timeout){why}",
            target.address()
        )))
    })
}

/// Waits until the target can be reached, and finds out what it can tell.
async fn probe(
    target: &Target,
    config: &Config,
    outage: &TargetReachability,
) -> Result<Probe, StartFailure> {
    let identity = &config.replay.identity;
    let login = Login {
        user: identity.one_user().unwrap_or("postgres").to_owned(),
        database: identity.one_database().unwrap_or("postgres").to_owned(),
        application_name: "kreplay".to_owned(),
    };
    let observer = loop {
        match target.observe(&login).await {
            Ok(observer) => {
                outage.reached();
                break Some(observer);
            }
            Err(error) if !error.is_permanent() => {
                outage.failed(&error);
                tokio::time::sleep(RETRY).await;
            }
            Err(error) if is_final(&error, config) => {
                return Err(StartFailure::Target(error.to_string()));
            }
            Err(error) => {
                info!(
                    "the target can be reached, but not as the user that asks it for its limits and \
                    its locks (-u and -d, else postgres): that waits for the first session, and text is \
                    read as UTF-8 whatever its database is in: {error}"
                );
                outage.answered();
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
    match look(&observer, config).await {
        Ok((max_sessions, encodings)) => {
            info!(address = target.address(), max_sessions, "connected to the target");
            Ok(Probe { login: Some(login), max_sessions, encodings })
        }
        Err(error) => Err(StartFailure::Other(error)),
    }
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

// ---- The source ----

/// What is read, what it is called, and where its offsets are committed.
type Opened = (Source, SourceNames, Option<crate::source::kafka::Offsets>);

fn open_files(paths: &[PathBuf], format: Format) -> Result<Opened, StartFailure> {
    let files = LogFiles::find(paths, format).map_err(StartFailure::Source)?;
    let names = files.names();
    if files.reordered {
        info!("the files are read in the order of their first records: {}", names.join(", "));
    }
    let source = FileSource::open(files).map_err(StartFailure::Source)?;
    Ok((Source::Files(source), SourceNames::Files(names), None))
}

async fn connect_kafka(kafka: &KafkaSettings) -> Result<Opened, StartFailure> {
    let names = SourceNames::Topic(kafka.topic.clone());
    let source = KafkaSource::connect(kafka.clone()).await.map_err(StartFailure::Source)?;
    let offsets = source.offsets();
    Ok((Source::Kafka(source), names, Some(offsets)))
}

fn dead_letters(
    config: &Config,
) -> Result<Option<DeadLetters>, crate::source::dead_letters::DeadLetterError> {
    match (&config.dead_letter, &config.source) {
        (None, _) => Ok(None),
        (Some(DeadLetter::File(path)), _) => DeadLetters::to_file(path).map(Some),
        (Some(DeadLetter::Topic(topic)), config::Source::Kafka(kafka)) => {
            DeadLetters::to_topic(topic, &kafka.brokers, &kafka.properties).map(Some)
        }
        // The configuration refuses a topic without brokers.
        (Some(DeadLetter::Topic(_)), config::Source::Files(_)) => Ok(None),
    }
}

// ---- What shows it ----

/// Prints the version at the start of a log, and what the user should know.
pub fn log_startup(config: &Config) {
    info!("kreplay {VERSION}: {}", config.shown_command_line());
    for warning in &config.warnings {
        warn!("{warning}");
    }
}

/// Carries what ends a replay from the actors to here.
struct FatalForwarder {
    to: mpsc::UnboundedSender<Fatal>,
}

impl Actor for FatalForwarder {
    type Context = Context<Self>;
}

impl Handler<Fatal> for FatalForwarder {
    type Result = ();

    fn handle(&mut self, fatal: Fatal, _: &mut Self::Context) {
        // Nobody listens any more once the replay is ending.
        let _ = self.to.send(fatal);
    }
}

/// SIGTERM and SIGINT, one after the other.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        let came = tokio::select! {
            came = self.terminate.recv() => came,
            came = self.interrupt.recv() => came,
        };
        if came.is_none() {
            pending::<()>().await;
        }
    }
}
