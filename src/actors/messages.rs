//! What crosses mailboxes.

use std::sync::Arc;

use actix::{Message, MessageResponse, Recipient};

use crate::pglog::SessionId;
use crate::replay::account::settlement::SessionProgress;
use crate::replay::intake::Delivery;
use crate::replay::order::Start;
use crate::replay::order::wait_chain::{Remedy, Stall, Waiter};
use crate::replay::session::SessionCell;
use crate::replay::settings::Login;
use crate::replay::work::{Seq, Work};
use crate::sql::AlteredLogins;

/// Consumer → supervisor: what came, in the order of the log.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Deliver(pub Vec<Delivery>);

/// Consumer → supervisor: the source's server ended all its sessions.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct CloseAll;

/// Consumer → supervisor → sequencer: nothing more will be read.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub(crate) struct InputEnded;

/// Daemon → supervisor: finish what runs, drop what has not started, roll back and disconnect.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Drain;

/// Consumer → supervisor: these partitions go to another process. Finish what runs of their sessions,
/// hand back what has not started, roll back and disconnect.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct RevokePartitions(pub Vec<i32>);

/// Consumer → supervisor: cut off what still runs of these partitions' sessions.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Abort(pub Vec<i32>);

/// Daemon → consumer: read no more, and commit what is settled when the sessions have ended.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub(crate) struct Stop;

/// Supervisor → session: there is something in its queue, or to be seen to.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Wake;

/// Supervisor → session: this statement was amended while it ran; cancel it.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Cancel(pub Seq);

/// Supervisor, sequencer or admission → session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub(crate) enum Turn {
    /// It may start its statements up to this place.
    Start(Seq),
    /// It may start this statement ahead of its turn, if it has not had it meanwhile.
    RunAhead(Seq),
    /// Cancel this statement if it still runs, undo its transaction and hold it: it would go on with a
    /// snapshot from before what it saw on the source.
    Withdraw(Seq),
    /// This statement, which was held or has failed, may run again.
    RunAgain(Seq),
    /// The failure of this statement counts: nothing is to come that would free it.
    AcceptFailure(Seq),
    /// This statement, which runs, has waited for an end that has come now.
    SeesLess(Seq),
    /// Close the connection; nothing more is expected of the session.
    GiveUp,
    /// Cancel this statement if it still runs: it would hold everything up for ever.
    GiveUpStatement(Seq),
    /// It may log in, as soon as it may have a connection.
    LogIn {
        /// Whether nothing before it can mend a refusal any more.
        is_final: bool,
    },
    /// The log-ins before its statement with this place have been made, which it changes.
    Change(Seq),
    /// It may connect.
    Connect,
    /// It may not: it has nothing to do yet, and there is no connection to spare.
    NoneToSpare,
    /// Its partition goes to another process: what is under way is not waited for. Up to this
    /// statement.
    Abort(Seq),
    /// Another session needs its connection: close it, unless there is something to do.
    Evict {
        /// Whether an open transaction is rolled back for it.
        roll_back: bool,
    },
}

/// Session → supervisor: it would log in. In the log that may come behind statements that are
/// unfinished and change what it finds.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub(crate) struct AskLogIn {
    /// The session.
    pub session: SessionId,
    /// Whether the target has refused it.
    pub refused: bool,
}

/// Session → supervisor: its next statement changes what log-ins find. Those before it in the log come
/// first.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub(crate) struct AskChange {
    /// The session.
    pub session: SessionId,
    /// The statement.
    pub seq: Seq,
    /// Whose log-ins it changes.
    pub logins: AlteredLogins,
}

/// Session → supervisor → sequencer: a statement that is sent can't be run while anybody is connected to
/// a database. On the source nobody was. The server waits some seconds for that.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub(crate) struct VacateDatabase {
    /// The database.
    pub database: String,
    /// The session.
    pub session: SessionId,
    /// Whether the statement is known to have succeeded on the source: whoever was connected to the
    /// database had ended by then.
    pub succeeded: bool,
}

/// Session → supervisor, while log-ins wait, or changes of them: statements have ended, or a log-in.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub(crate) struct StatementsEnded;

/// Session → admission: it would have a connection.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct AcquireConnection {
    /// The session.
    pub session: SessionId,
    /// The place of the statement that it is for; `None`: if there is one to spare.
    pub needed_by: Option<Seq>,
    /// Its decisions.
    pub cell: SessionCell,
    /// Where it is told.
    pub turns: Recipient<Turn>,
}

/// Session → admission: its connection is closed, or it needs none any more.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub(crate) struct ReleaseConnection(pub SessionId);

/// Session → admission: it can't close its connection now.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub(crate) struct KeepConnection(pub SessionId);

/// Session → admission, while others wait: it has nothing under way now.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub(crate) struct BecameIdle {
    /// Whether that is because it has just been let in.
    pub connected: bool,
}

/// Session → admission: the server had no connection left.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub(crate) struct Refused {
    /// The session.
    pub session: SessionId,
    /// What the server said.
    pub error: String,
}

/// Session → sequencer: may this statement start?
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub(crate) struct Ask {
    /// The statement.
    pub seq: Seq,
    /// Its session.
    pub session: SessionId,
}

/// Session → sequencer: a statement that was to be withdrawn is undone and held, or can't be.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub(crate) struct Withdrawn {
    /// The statement.
    pub start: Start,
    /// Whether it is held, to run again when it may.
    pub is_held: bool,
}

/// Session → sequencer: this statement has failed on the target alone. Is it to be run again behind an
/// end that stands behind it in the log?
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub(crate) struct AskEarlyEnd(pub Start);

/// Session → sequencer: this statement's turn is over.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub(crate) struct Finished(pub Seq);

/// Consumer → sequencer: the statements that sessions are about to get, in the order of the log,
/// each with who its session is on the target. In conflict order alone.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Arrived(pub Vec<(Arc<Work>, Arc<Login>)>);

/// Session → sequencer: its connection is closed, and what it had open is rolled back.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub(crate) struct Left {
    /// The session.
    pub session: SessionId,
    /// Whether the source's session has ended, or goes on in another process.
    pub ended: bool,
}

/// Session → sequencer: it has a connection.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Connected {
    /// The session.
    pub session: SessionId,
    /// The process id of its backend on the target.
    pub backend: i32,
    /// Its decisions.
    pub cell: SessionCell,
    /// Where it takes turns.
    pub turns: Recipient<Turn>,
    /// Who it is on the target.
    pub login: Arc<Login>,
}

/// Session → sequencer: it has none any more.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub(crate) struct Disconnected(pub SessionId);

/// Session → consumer.
impl Message for SessionProgress {
    type Result = ();
}

/// Sequencer → consumer: statements wait for a session whose next record has not been read; read on,
/// even past the bound on what is in flight.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub(crate) struct ReadOn;

/// Consumer → sequencer: there is no room for more and nothing has finished for a while. Is it that
/// everything in flight waits for something that has not been read?
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub(crate) struct BreakStall;

/// Consumer → supervisor → sequencer: nothing has ended for long. What does everybody wait for?
#[derive(Clone, Message)]
#[rtype(result = "()")]
pub(crate) struct ProbeStall {
    /// Which probe it is.
    pub probe: u64,
    /// Whether nothing more will be read.
    pub no_more: bool,
    /// Who hears what was found.
    pub answer: Recipient<StallProbed>,
}

/// Supervisor → session: where does it stand?
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "SessionWaitState")]
pub(crate) struct AskWaitState;

/// Where a session stands, as far as it knows itself.
#[derive(Debug, Clone, MessageResponse)]
pub(crate) struct SessionWaitState(pub Waiter);

/// Supervisor → sequencer: where the sessions stand, for it to say who holds up whom.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct WaitStates {
    /// Why they were asked.
    pub probe: ProbeStall,
    /// The sessions that have a connection or something to do.
    pub sessions: Vec<Waiter>,
}

/// Sequencer → consumer: the chains of waits that nothing ends by itself.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct StallProbed {
    /// By which probe.
    pub probe: u64,
    /// The chains.
    pub stalls: Vec<Stall>,
}

/// Consumer → supervisor → sequencer: the heads of chains of waits are given up.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct GiveUpHeads(pub Vec<Remedy>);

/// Session → supervisor: its actor has ended.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub(crate) struct Gone {
    /// The session.
    pub session: SessionId,
    /// Which of the actors that the session has had.
    pub actor: u64,
    /// Whether it panicked.
    pub panicked: bool,
}

/// Session → supervisor, supervisor → daemon: the replay can't go on.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub(crate) enum Fatal {
    /// The target refuses every connection for a reason that will not pass.
    TargetRefused(String),
    /// A statement failed where the source's had not, and the user wants to stop at that.
    StatementFailed(String),
    /// An actor without which nothing goes on panicked: a defect of kreplay.
    ActorFailed(&'static str),
    /// The source failed.
    Source(Arc<crate::source::SourceError>),
}
