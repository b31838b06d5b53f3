//! A whole run: starts the pipeline, shows how it goes, waits for the end, stops it, says how it ended.
//!
//! - `serving`: HTTP, where the port is to be had.
//! - `service`: what systemd is told.
//! - `log`: what a line of the log looks like.
//! - `screen`: standard error, shared by the log and the progress bar.
//! - `status`: how the replay goes, in the bar and the log.
//! - `reporting`: the report.

mod log;
mod reporting;
mod screen;
mod service;
mod serving;
mod status;

use std::sync::Arc;

use actix::prelude::*;
use anyhow::Context as _;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tracing::{info, warn};

pub use self::log::start_log;
use self::reporting::Reporting;
pub use self::screen::Screen;
use self::status::Gauges;
use crate::actors::messages::Fatal;
use crate::cli::VERSION;
use crate::config::Config;
use crate::exit::Exit;
use crate::health::Health;
use crate::metrics;
use crate::pipeline::{Pipeline, StartFailure, Telemetry};
use crate::replay::report::{Report, Shapes};
use crate::signals::Signals;
use crate::source::{Fault, SourceError};

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

/// Replays until the input ends, a signal comes or something can't go on; says on the screen how it
/// goes. To be called in an actix system.
///
/// # Errors
///
/// What is neither the source's nor the target's refusal: a port that is taken, a file that can't be
/// written.
pub async fn run(config: Config, screen: Screen) -> anyhow::Result<Ended> {
    let recorder = metrics::install().context("metrics")?;
    let replay = &config.replay;
    let shapes = Shapes::new(config.report_shapes).with_rules(
        replay.rules,
        replay.pace().is_some(),
        replay.lookahead,
    );
    let telemetry = Telemetry {
        health: Health::default(),
        tally: Arc::default(),
        shapes: Arc::new(Mutex::new(shapes)),
        spending: Arc::default(),
        overview: Arc::default(),
    };
    let health = telemetry.health.clone();
    let reporting = Reporting::new(&config, &telemetry);
    serving::serve(&config, recorder, &telemetry, &reporting)?;
    let gauges = Gauges::new(&telemetry);
    actix_rt::spawn(service::tell_systemd(health.clone(), gauges.clone()));
    let _shown = status::show(&config, gauges, &screen);
    let (fatal, mut failures) = mpsc::unbounded_channel();
    let fatal = FatalForwarder { to: fatal }.start().recipient();
    let mut signals = Signals::new().context("signals")?;

    let starting = Pipeline::start(&config, &telemetry, fatal);
    let mut pipeline = tokio::select! {
        started = starting => match started {
            Ok(pipeline) => pipeline,
            Err(failure) => {
                let (exit, reason) = exit_of_start(failure)?;
                return Ok(Ended { exit, reason: Some(reason), report: reporting.report() });
            }
        },
        () = signals.next() => {
            return Ok(Ended { exit: Exit::Done, reason: None, report: reporting.report() });
        }
    };
    let failure = tokio::select! {
        () = pipeline.wait() => None,
        failure = failures.recv() => failure,
        () = signals.next() => {
            info!("stopping: what runs is finished, the rest is left for the next start; a second \
                signal stops at once");
            None
        }
    };
    health.drain();
    service::stopping(config.replay.shutdown_timeout);
    tokio::select! {
        () = pipeline.stop(config.replay.shutdown_timeout) => {}
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
        Some(fatal) => {
            let (exit, reason) = exit_of(fatal);
            (exit, Some(reason))
        }
    };
    Ok(Ended { exit, reason, report })
}

/// How a replay ends that could not go on.
fn exit_of(fatal: Fatal) -> (Exit, String) {
    match fatal {
        Fatal::TargetRefused(reason) => (Exit::TargetRefused, reason),
        Fatal::StatementFailed(reason) => (Exit::StatementFailed, reason),
        Fatal::ActorFailed(name) => (
            Exit::Unexpected,
            format!(
                "the {name} failed: a defect of kreplay, see the log; nothing is lost, \
                 and the next start continues where this one was"
            ),
        ),
        Fatal::Source(error) => (source_exit(&error), error.to_string()),
    }
}

/// How one ends that could not begin.
fn exit_of_start(failure: StartFailure) -> anyhow::Result<(Exit, String)> {
    match failure {
        StartFailure::Target(reason) => Ok((Exit::TargetRefused, reason)),
        StartFailure::Source(error) => Ok((source_exit(&error), error.to_string())),
        StartFailure::Other(error) => Err(error),
    }
}

fn source_exit(error: &SourceError) -> Exit {
    match error.fault() {
        Fault::Gone => Exit::OffsetGone,
        Fault::Refused => Exit::KafkaRefused,
        Fault::Usage => Exit::Usage,
        Fault::Unexpected => Exit::Unexpected,
    }
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

/// Prints the version at the start of a log, and what the user should know.
pub fn log_startup(config: &Config) {
    info!("kreplay {VERSION}: {}", config.redacted_command_line());
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
