//! The actors of a running replay, and what runs beside them: started as one, stopped upstream first.

mod explaining;
mod round_trip;
mod spending;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use actix::prelude::*;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tracing::warn;

use self::explaining::Explaining;
use self::round_trip::Measuring;
use self::spending::SpendingReader;
use crate::actors::admission::{Admission, Pressure};
use crate::actors::consumer::{CommitNow, Consumer, ConsumerParts, Downstream};
use crate::actors::load::Threads;
use crate::actors::messages::{Drain, Fatal, Stop};
use crate::actors::overview::Overview;
use crate::actors::panic_guard::PanicGuard;
use crate::actors::sequencer::{Sequencer, SequencerSettings};
use crate::actors::session::SessionDeps;
use crate::actors::supervisor::{LogInGate, Supervisor, SupervisorSettings};
use crate::actors::target_reachability::TargetReachability;
use crate::actors::vacated::VacatedDatabases;
use crate::config::Config;
use crate::health::{Condition, Health};
use crate::metrics;
use crate::pglog::{Encodings, RecordReader};
use crate::postgres::Target;
use crate::probe::{self, Probe, ProbeError};
use crate::replay::account::policy::Tally;
use crate::replay::order::backends::Backends;
use crate::replay::order::dispatch::DispatchSettings;
use crate::replay::report::{Shapes, Spending};
use crate::replay::session::SessionSettings;
use crate::replay::settings::Login;
use crate::source::dead_letters::DeadLetters;
use crate::source::{Opened, SourceError};

/// How long a run's end may wait for what the target is asked last.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// What the actors account to and are seen by. Cheap to clone: what it holds is shared.
#[derive(Debug, Clone)]
pub(crate) struct Telemetry {
    /// Whether the process is well.
    pub health: Health,
    /// What became of the records.
    pub tally: Arc<Mutex<Tally>>,
    /// The same by query shape.
    pub shapes: Arc<Mutex<Shapes>>,
    /// What the target spent.
    pub spending: Arc<Mutex<Spending>>,
    /// What the status page shows.
    pub overview: Arc<Overview>,
}

/// A running replay.
pub(crate) struct Pipeline {
    consumer: Addr<Consumer>,
    downstream: Option<Downstream>,
    done: oneshot::Receiver<()>,
    beside: Option<Beside>,
    spending: Option<SpendingReader>,
}

/// What runs beside the actors.
struct Beside {
    _round_trip: Measuring,
    explaining: Option<Explaining>,
}

/// Why a replay could not begin.
#[derive(Debug)]
pub(crate) enum StartFailure {
    Target(String),
    Source(SourceError),
    Other(anyhow::Error),
}

impl From<ProbeError> for StartFailure {
    fn from(error: ProbeError) -> Self {
        match error {
            ProbeError::Target(reason) => Self::Target(reason),
            ProbeError::Other(error) => Self::Other(error),
        }
    }
}

impl From<SourceError> for StartFailure {
    fn from(error: SourceError) -> Self {
        Self::Source(error)
    }
}

/// A target that was reached.
struct Reached {
    target: Target,
    probe: Probe,
    reachability: Arc<TargetReachability>,
    pressure: Pressure,
    /// Who can log in, once that is known.
    known_login: Arc<OnceLock<Arc<Login>>>,
    /// Tells that nobody may be on a database for a while.
    vacated: VacatedDatabases,
}

impl Reached {
    /// Before anything is sent to it.
    async fn read_spending(&self, telemetry: &Telemetry) -> SpendingReader {
        SpendingReader::start(
            self.target.clone(),
            self.probe.login.clone(),
            self.known_login.clone(),
            self.pressure.clone(),
            &self.vacated,
            telemetry.spending.clone(),
        )
        .await
    }
}

impl Pipeline {
    /// Finds the input, reaches the target, opens the input, and starts the actors. `fatal` hears
    /// what the replay can't go on after.
    ///
    /// # Errors
    ///
    /// What waiting does not mend; a target that can't be reached within `--connect-timeout`.
    pub(crate) async fn start(
        config: &Config,
        telemetry: &Telemetry,
        fatal: Recipient<Fatal>,
    ) -> Result<Self, StartFailure> {
        // What is wrong with a file is told before anything is waited for.
        let found = config.source.find(config.replay.format)?;
        let reached = match config.replay.dry_run {
            true => {
                telemetry.health.target(Condition::Unused);
                None
            }
            false => Some(reach(config, &telemetry.health).await?),
        };
        let opened = found.open().await?;
        if opened.committer.is_none() {
            telemetry.health.source(Condition::Connected);
        }
        let dead_letters = config.dead_letter.as_ref();
        let dead_letters = dead_letters.map(|to| DeadLetters::open(to, &config.source)).transpose();
        let dead_letters = dead_letters.map_err(|error| StartFailure::Other(error.into()))?;
        let spending = match &reached {
            Some(reached) => Some(reached.read_spending(telemetry).await),
            None => None,
        };
        let starting = Starting {
            config,
            telemetry,
            fatal,
            threads: Threads::default(),
            began: Instant::now(),
        };
        let pipeline = starting.actors(opened, dead_letters.flatten(), reached);
        Ok(Pipeline { spending, ..pipeline })
    }

    /// Resolves when everything has been read and has ended.
    pub(crate) async fn wait(&mut self) {
        // A consumer that is gone has said why.
        let _ = (&mut self.done).await;
    }

    /// Stops upstream first: no new statements, then no sessions, then the last offsets. What the
    /// target is asked after that has what is left of the time, and a few seconds at most.
    pub(crate) async fn stop(&self, patience: Duration) {
        let began = Instant::now();
        // An actor that is gone has nothing left to stop.
        let _ = self.consumer.send(Stop).await;
        if let Some(downstream) = &self.downstream {
            let drained = downstream.supervisor.send(Drain);
            if tokio::time::timeout(patience, drained).await.is_err() {
                warn!(
                    "statements still ran after {patience:?} (--shutdown-timeout): the target rolls \
                     them back, and the next start repeats them"
                );
            }
        }
        let _ = self.consumer.send(CommitNow).await;
        self.ask_last(patience.saturating_sub(began.elapsed()).min(LAST_ANSWERS)).await;
    }

    /// Asks the target for the last time what it spent and how it plans.
    async fn ask_last(&self, within: Duration) {
        let spending = async {
            if let Some(spending) = &self.spending {
                spending.finish(within).await;
            }
        };
        let explaining = async {
            let beside = self.beside.as_ref();
            if let Some(explaining) = beside.and_then(|beside| beside.explaining.as_ref()) {
                explaining.finish(within).await;
            }
        };
        tokio::join!(spending, explaining);
    }
}

fn unix_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

/// Waits until the target can be reached, and finds out what it can tell.
async fn reach(config: &Config, health: &Health) -> Result<Reached, StartFailure> {
    let target = Target::new(config.target.clone())
        .map_err(|error| StartFailure::Target(error.to_string()))?;
    let reachability = Arc::new(TargetReachability::new(health.clone()));
    let probe = probe::probe_in_time(&target, config, &reachability).await?;
    let known_login = probe.login.clone().map(Arc::new);
    let known_login = Arc::new(known_login.map(OnceLock::from).unwrap_or_default());
    let (pressure, vacated) = (Pressure::default(), VacatedDatabases::default());
    Ok(Reached { target, probe, reachability, pressure, known_login, vacated })
}

/// What those downstream of the consumer share.
struct Shared {
    target: Target,
    reachability: Arc<TargetReachability>,
    backends: Arc<Backends>,
    pressure: Pressure,
    /// Who can log in, once that is known.
    known_login: Arc<OnceLock<Arc<Login>>>,
    /// Tells that nobody may be on a database for a while.
    vacated: VacatedDatabases,
}

/// What all actors are started with.
struct Starting<'a> {
    config: &'a Config,
    telemetry: &'a Telemetry,
    fatal: Recipient<Fatal>,
    threads: Threads,
    began: Instant,
}

impl Starting<'_> {
    fn actors(
        self,
        opened: Opened,
        dead_letters: Option<DeadLetters>,
        reached: Option<Reached>,
    ) -> Pipeline {
        self.threads.add_this();
        let settings = Arc::new(self.config.replay.clone());
        // Each actor has its address before it exists, so that all can be made knowing each other.
        let context = Context::<Consumer>::new();
        let mut encodings = Encodings::default();
        let mut downstream = None;
        let mut beside = None;
        if let Some(mut reached) = reached {
            encodings = std::mem::take(&mut reached.probe.encodings);
            let (started, running) = self.downstream(reached, &context.address());
            downstream = Some(started);
            beside = Some(running);
        }
        let (done_sender, done) = oneshot::channel();
        let Opened { source, names, committer } = opened;
        let consumer = Consumer::new(ConsumerParts {
            source,
            names,
            committer,
            reader: RecordReader::new(settings.format, encodings),
            dead_letters,
            settings,
            began: self.began,
            downstream: downstream.clone(),
            tally: self.telemetry.tally.clone(),
            shapes: self.telemetry.shapes.clone(),
            fatal: self.fatal,
            done: done_sender,
            health: self.telemetry.health.clone(),
            overview: self.telemetry.overview.clone(),
            threads: self.threads,
        });
        Pipeline { consumer: context.run(consumer), downstream, done, beside, spending: None }
    }

    /// Starts what replays, and what runs beside it.
    fn downstream(&self, reached: Reached, consumer: &Addr<Consumer>) -> (Downstream, Beside) {
        let Reached { target, probe, reachability, pressure, known_login, vacated } = reached;
        let settings = &self.config.replay;
        let shared = Shared {
            target,
            reachability,
            backends: Arc::default(),
            pressure,
            known_login,
            vacated,
        };
        let round_trip = round_trip::measure(
            shared.target.clone(),
            shared.known_login.clone(),
            shared.pressure.clone(),
            &shared.vacated,
            self.telemetry.shapes.clone(),
            shared.reachability.clone(),
        );
        let explaining = self.config.plans.then(|| {
            Explaining::start(
                shared.target.clone(),
                self.telemetry.shapes.clone(),
                shared.pressure.clone(),
                &shared.vacated,
            )
        });
        let sequencer = self.sequencer(&shared, probe.login, consumer);
        let admission = Admission::new(
            settings.max_sessions.unwrap_or(probe.max_sessions),
            settings.order.runs_one_at_a_time(),
            shared.pressure.clone(),
            self.telemetry.health.clone(),
            self.guard("admission"),
        )
        .start();
        let backends = shared.backends.clone();
        let context = Context::<Supervisor>::new();
        let supervisor = Supervisor::new(
            SupervisorSettings {
                sessions: SessionSettings {
                    depth: settings.pipeline,
                    takes_turns: settings.order.takes_turns(),
                    replay_cancels: settings.replay_cancels,
                    read_only: self.config.target.read_only,
                    server_durations: settings.target_durations.asks_server(),
                    explain: self.config.explain,
                },
                idle_timeout: settings.idle_timeout,
            },
            self.session_deps(shared, &sequencer, admission, consumer, &context.address()),
            self.session_threads(),
            self.telemetry.health.clone(),
            self.telemetry.overview.clone(),
            self.guard("supervisor"),
        );
        let downstream = Downstream { supervisor: context.run(supervisor), sequencer, backends };
        (downstream, Beside { _round_trip: round_trip, explaining })
    }

    fn sequencer(
        &self,
        shared: &Shared,
        observer: Option<Login>,
        consumer: &Addr<Consumer>,
    ) -> Addr<Sequencer> {
        let settings = &self.config.replay;
        Sequencer::new(
            SequencerSettings {
                dispatch: DispatchSettings {
                    order: settings.order,
                    is_paced: settings.pace().is_some(),
                    stall_check: settings.stall_check,
                    patience: settings.patience_with_silence(),
                },
                target: shared.target.clone(),
                observer,
                pressure: shared.pressure.clone(),
                reachability: shared.reachability.clone(),
                read_on: consumer.clone().recipient(),
            },
            shared.backends.clone(),
            self.telemetry.health.clone(),
            self.telemetry.overview.clone(),
            self.guard("sequencer"),
        )
        .start()
    }

    fn session_deps(
        &self,
        shared: Shared,
        sequencer: &Addr<Sequencer>,
        admission: Addr<Admission>,
        consumer: &Addr<Consumer>,
        supervisor: &Addr<Supervisor>,
    ) -> SessionDeps {
        let settings = &self.config.replay;
        SessionDeps {
            target: shared.target,
            backends: shared.backends,
            snapshots: Arc::default(),
            sequencer: sequencer.clone(),
            progress: consumer.clone().recipient(),
            admission,
            pressure: shared.pressure,
            gone: supervisor.clone().recipient(),
            log_ins: supervisor.clone().recipient(),
            changes: supervisor.clone().recipient(),
            vacate: supervisor.clone().recipient(),
            log_in_gate: LogInGate::default(),
            ended: supervisor.clone().recipient(),
            known_login: shared.known_login,
            spending: self.telemetry.spending.clone(),
            vacated: shared.vacated,
            fatal: self.fatal.clone(),
            reachability: shared.reachability,
            statements: metrics::Statements::new(),
            takes_turns: settings.order.takes_turns(),
            spin: settings.spin,
            began: self.began,
            paced: settings.pace().is_some(),
            explain: self.config.explain,
        }
    }

    fn guard(&self, actor: &'static str) -> PanicGuard {
        PanicGuard::new(actor, self.fatal.clone())
    }

    /// The threads for sessions beside this one.
    fn session_threads(&self) -> Vec<ArbiterHandle> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let one_more = |_| {
            let (arbiter, threads) = (Arbiter::new().handle(), self.threads.clone());
            arbiter.spawn_fn(move || threads.add_this());
            arbiter
        };
        (1..self.config.replay.threads(cores)).map(one_more).collect()
    }
}
