//! What the consumer is given.

use std::sync::Arc;
use std::time::Instant;

use actix::prelude::*;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::actors::load::Threads;
use crate::actors::messages::Fatal;
use crate::actors::overview::Overview;
use crate::actors::sequencer::Sequencer;
use crate::actors::supervisor::Supervisor;
use crate::health::Health;
use crate::pglog::RecordReader;
use crate::replay::account::policy::Tally;
use crate::replay::order::backends::Backends;
use crate::replay::report::Shapes;
use crate::replay::settings::ReplaySettings;
use crate::source::dead_letters::DeadLetters;
use crate::source::{Committer, Source, SourceNames};

/// Where statements go; nowhere in a dry run.
#[derive(Clone)]
pub(crate) struct Downstream {
    /// Who owns the sessions.
    pub supervisor: Addr<Supervisor>,
    /// Who knows what statements wait for.
    pub sequencer: Addr<Sequencer>,
    /// Which sessions are connected to the target.
    pub backends: Arc<Backends>,
}

/// What the consumer is given.
pub(crate) struct ConsumerParts {
    /// What is read.
    pub source: Source,
    /// What it is called in messages: `topic orders`, or the file's name for a partition.
    pub names: SourceNames,
    /// Where offsets are committed; files have none.
    pub committer: Option<Committer>,
    /// How records are read.
    pub reader: RecordReader,
    /// Where records go that can't be read.
    pub dead_letters: Option<DeadLetters>,
    /// What is replayed, and how.
    pub settings: Arc<ReplaySettings>,
    /// When the replay began: its schedule counts from there.
    pub began: Instant,
    /// Where statements go.
    pub downstream: Option<Downstream>,
    /// The account.
    pub tally: Arc<Mutex<Tally>>,
    /// The account by query shape.
    pub shapes: Arc<Mutex<Shapes>>,
    /// Who learns that the replay can't continue.
    pub fatal: Recipient<Fatal>,
    /// Who learns that everything has been read and has ended.
    pub done: oneshot::Sender<()>,
    /// Whether the process is well.
    pub health: Health,
    /// What the status page shows.
    pub overview: Arc<Overview>,
    /// The threads that carry the replay.
    pub threads: Threads,
}
