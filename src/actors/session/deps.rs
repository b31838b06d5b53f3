//! What all session actors share: whom they tell, and what they ask.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use actix::prelude::*;
use parking_lot::Mutex;

use crate::actors::admission::{Admission, Pressure};
use crate::actors::messages::{
    AskChange, AskLogIn, Fatal, Finished, Gone, StatementsEnded, VacateDatabase,
};
use crate::actors::sequencer::Sequencer;
use crate::actors::supervisor::LogInGate;
use crate::actors::target_reachability::TargetReachability;
use crate::actors::vacated::VacatedDatabases;
use crate::metrics;
use crate::postgres::Target;
use crate::replay::account::ledger::{Fate, Filtered};
use crate::replay::account::settlement::{SessionProgress, Settlement};
use crate::replay::order::backends::Backends;
use crate::replay::pace::Moment;
use crate::replay::report::Spending;
use crate::replay::session::snapshots::Snapshots;
use crate::replay::settings::Login;
use crate::replay::work::Work;

/// What all sessions share.
#[derive(Clone)]
pub(crate) struct SessionDeps {
    /// The server that is replayed on.
    pub target: Target,
    /// Which backend serves which session.
    pub backends: Arc<Backends>,
    /// Which snapshot of the target stands for which of the source.
    pub snapshots: Arc<Snapshots>,
    /// Who gives turns.
    pub sequencer: Addr<Sequencer>,
    /// Who says which session may have a connection.
    pub admission: Addr<Admission>,
    /// Whether others wait for connections.
    pub pressure: Pressure,
    /// Who hears how statements ended.
    pub progress: Recipient<SessionProgress>,
    /// Who hears that the actor ended.
    pub gone: Recipient<Gone>,
    /// Who says when a session may log in.
    pub log_ins: Recipient<AskLogIn>,
    /// Who says when a statement may start that changes what log-ins find.
    pub changes: Recipient<AskChange>,
    /// Whether that has to be asked, and whether anybody waits for it.
    pub log_in_gate: LogInGate,
    /// Who disconnects sessions from a database.
    pub vacate: Recipient<VacateDatabase>,
    /// Who hears that statements have ended, if anybody does.
    pub ended: Recipient<StatementsEnded>,
    /// Who hears that the replay can't go on.
    pub fatal: Recipient<Fatal>,
    /// Whether the target can be reached.
    pub reachability: Arc<TargetReachability>,
    /// Who can log in, as the first session to do so shows.
    pub known_login: Arc<OnceLock<Arc<Login>>>,
    /// What the target spends, on the databases that sessions log in to.
    pub spending: Arc<Mutex<Spending>>,
    /// Tells whoever is connected beside the sessions that nobody may be to a database.
    pub vacated: VacatedDatabases,
    /// Where statements are measured.
    pub statements: metrics::Statements,
    /// Whether statements wait for turns.
    pub takes_turns: bool,
    /// How long an answer is polled for before it is slept for.
    pub spin: Duration,
    /// When the replay began.
    pub began: Instant,
    /// Whether statements are due some time after that.
    pub paced: bool,
    /// Whether the target is asked for the plans that statements use.
    pub explain: bool,
}

impl SessionDeps {
    /// Tells everybody of statements that will not be run. What goes to another process is not
    /// settled: the other one begins with it.
    pub(crate) fn give_back(&self, works: Vec<Arc<Work>>, fate: Fate) {
        if works.is_empty() {
            return;
        }
        if self.takes_turns {
            for work in &works {
                self.sequencer.do_send(Finished(work.seq));
            }
        }
        let ended = works.iter().filter(|work| work.mark_reported());
        let ended = ended.map(|work| (work.clone(), Settlement::Not(fate))).collect();
        if works.iter().any(|work| work.statement.outline.imports_snapshot) {
            self.snapshots.import_ended();
        }
        let settled = if fate == Fate::Filtered(Filtered::HandedOver) { Vec::new() } else { works };
        let mut progress = SessionProgress { ended, ..SessionProgress::default() };
        progress.settle(&settled);
        self.progress.do_send(progress);
        self.tell_log_ins();
    }

    /// Something has ended that log-ins may wait for, or changes of them.
    pub(super) fn tell_log_ins(&self) {
        if self.log_in_gate.has_waiting() {
            self.ended.do_send(StatementsEnded);
        }
    }

    /// A moment as the replay counts them.
    pub(super) fn moment(&self, at: Instant) -> Moment {
        Moment::after(at.saturating_duration_since(self.began))
    }
}
