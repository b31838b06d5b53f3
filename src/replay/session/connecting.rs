//! How a session comes to its connection: its log-in comes in the order of the log, then it needs a
//! permit, then it connects.

use std::time::Duration;

use super::{Closing, Next, Session};
use crate::replay::order::wait_chain::WaitState;
use crate::replay::pace::Moment;
use crate::replay::work::Seq;

/// How long before its next statement is due a session connects.
const LEAD: Duration = Duration::from_secs(1);
const FIRST_BACKOFF: Duration = Duration::from_millis(50);
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);

/// How far a session's actor is with its connection.
#[derive(Debug)]
pub struct ConnectionSetup {
    phase: Phase,
    permit: Permit,
    log_in: LogInState,
    /// Whether statements are due at some time.
    is_paced: bool,
    /// How long until the next attempt, if one fails.
    backoff: Duration,
    lost_before: bool,
    /// A statement has ended on this connection that had not before.
    made_progress: bool,
    /// The target has refused the session for good.
    refused: bool,
}

/// What the actor is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// There is no connection, and none is made.
    Disconnected,
    /// One is made, or will be when a timer says so.
    Connecting,
    /// It is there.
    Connected,
    /// It is being closed.
    Closing,
}

/// Whether it may have a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Permit {
    None,
    /// Requested in case there is one to spare.
    SpareRequested,
    /// Requested for a statement, since then.
    Requested(Moment),
    Held,
}

/// Whether its log-in has come, in the order of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LogInState {
    NotRequested,
    /// It waits for statements before it.
    Requested,
    /// It may log in; `is_final`: if it is refused, nothing can mend that any more.
    Allowed {
        is_final: bool,
    },
}

/// What a session without a connection does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetupStep {
    /// Wait for what it has asked for.
    Wait,
    /// Ask whether its log-in has come.
    AskLogIn,
    /// Ask for a permit: for the statement with this place, or if there is one to spare.
    Acquire(Option<Seq>),
    /// Connect.
    Connect,
    /// Return its permit, if it has one, and connect then.
    ConnectAt(Moment),
    /// Return its permit: it has nothing to do.
    Rest,
    /// Return its permit: the session is over.
    Close(Closing),
}

/// What a refusal by the target means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Something earlier is unfinished that may mend it: the log-in has to be asked for again.
    AheadOfTurn,
    /// The same, and no statement has come yet that it would be made for.
    WithoutStatement,
    /// What the session holds can't be replayed.
    Final,
}

/// What a permit means to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admitted {
    /// How long a statement has waited for it.
    pub waited: Option<Duration>,
    /// Whether to connect now.
    pub connects: bool,
}

impl ConnectionSetup {
    /// Of a session without a connection.
    pub fn new(is_paced: bool) -> Self {
        Self {
            phase: Phase::Disconnected,
            permit: Permit::None,
            log_in: LogInState::NotRequested,
            is_paced,
            backoff: FIRST_BACKOFF,
            lost_before: false,
            made_progress: false,
            refused: false,
        }
    }

    /// What the actor is about.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// What the session does next while it is disconnected. `is_guarded`: log-ins have to be asked for.
    pub fn step(&mut self, session: &mut Session, is_guarded: bool) -> SetupStep {
        if session.is_log_in_awaited() {
            return if session.is_log_in_needed() {
                self.connect_for_statement(session, is_guarded)
            } else {
                self.connect_ahead(session, is_guarded)
            };
        }
        // What was under way on a connection that is gone has been put back already.
        let due = if self.is_paced { session.not_before() } else { None };
        let connect_at = due.map(|due| due.before(LEAD));
        if let Some(at) = connect_at.filter(|at| *at > session.now) {
            return SetupStep::ConnectAt(at);
        }
        if session.is_busy() {
            return self.connect_for_statement(session, is_guarded);
        }
        match session.next_step() {
            Next::Close(why) => SetupStep::Close(why),
            _ => SetupStep::Rest,
        }
    }

    /// There is nothing to do yet, or nothing that is due: connects if there is a connection to spare.
    pub fn connect_ahead(&mut self, session: &Session, is_guarded: bool) -> SetupStep {
        if let Some(step) = self.log_in_step(session, is_guarded) {
            return step;
        }
        match self.permit {
            Permit::Held => return SetupStep::Connect,
            Permit::None => self.permit = Permit::SpareRequested,
            Permit::SpareRequested | Permit::Requested(_) => {}
        }
        SetupStep::Acquire(None)
    }

    /// There is something to do and no connection to do it on.
    fn connect_for_statement(&mut self, session: &Session, is_guarded: bool) -> SetupStep {
        if let Some(step) = self.log_in_step(session, is_guarded) {
            return step;
        }
        match self.permit {
            Permit::Held => SetupStep::Connect,
            Permit::Requested(_) if !session.is_log_in_needed() => SetupStep::Wait,
            Permit::Requested(_) | Permit::None | Permit::SpareRequested => {
                self.permit = Permit::Requested(session.now);
                SetupStep::Acquire(Some(session.needs_connection_by()))
            }
        }
    }

    /// What comes before its log-in; `None`: it may log in.
    fn log_in_step(&mut self, session: &Session, is_guarded: bool) -> Option<SetupStep> {
        // What it waits for is less once a change waits for it.
        let asks_anew = self.log_in == LogInState::Requested && session.is_log_in_awaited();
        if self.log_in == LogInState::NotRequested || asks_anew {
            let is_over = session.log_in().is_none();
            if !is_over && is_guarded {
                self.log_in = LogInState::Requested;
                return Some(SetupStep::AskLogIn);
            }
            self.log_in = LogInState::Allowed { is_final: is_over };
        }
        (self.log_in == LogInState::Requested).then_some(SetupStep::Wait)
    }

    /// Its log-in has come. Returns whether that had been asked.
    pub fn log_in_came(&mut self, is_final: bool) -> bool {
        let is_asked = self.log_in == LogInState::Requested;
        if is_asked {
            self.log_in = LogInState::Allowed { is_final };
        }
        is_asked
    }

    /// Whether it connects without anything to do, now that its log-in has come.
    pub fn connects_ahead(&self, session: &Session) -> bool {
        self.phase == Phase::Disconnected
            && !self.is_paced
            && !session.is_busy()
            && !session.is_log_in_needed()
    }

    /// It may have a connection.
    pub fn admitted(&mut self, now: Moment) -> Admitted {
        let waited = match self.permit {
            // It was returned while the answer was on its way.
            Permit::None => return Admitted { waited: None, connects: false },
            Permit::Requested(since) => Some(now.since(since)),
            Permit::SpareRequested | Permit::Held => None,
        };
        self.permit = Permit::Held;
        Admitted { waited, connects: self.phase == Phase::Disconnected }
    }

    /// There is no connection to spare. Returns whether that still matters: it may have been let in
    /// before.
    pub fn not_admitted(&mut self) -> bool {
        if self.permit == Permit::SpareRequested {
            self.permit = Permit::None;
        }
        self.permit != Permit::Held
    }

    /// It needs no connection now. Returns whether it had a permit, or had asked for one.
    pub fn return_permit(&mut self) -> bool {
        let returns = matches!(self.permit, Permit::Requested(_) | Permit::Held);
        if returns {
            self.permit = Permit::None;
        }
        returns
    }

    /// It connects.
    pub fn connecting(&mut self) {
        self.phase = Phase::Connecting;
    }

    /// An attempt failed: how long until the next. It counts as connecting, so that the timer alone tries.
    pub fn retries_after(&mut self) -> Duration {
        self.phase = Phase::Connecting;
        let backoff = self.backoff;
        self.backoff = (backoff * 2).min(LONGEST_BACKOFF);
        backoff
    }

    /// The server had no connection left: its permit is gone.
    pub fn found_none_left(&mut self) {
        (self.phase, self.permit) = (Phase::Disconnected, Permit::None);
    }

    /// Its connection is there. Returns whether it had lost one before.
    pub fn connected(&mut self) -> bool {
        self.phase = Phase::Connected;
        self.log_in = LogInState::NotRequested;
        (self.made_progress, self.refused) = (false, false);
        std::mem::take(&mut self.lost_before)
    }

    /// The target refuses this session.
    pub fn refused(&mut self, session: &Session) -> Refusal {
        self.phase = Phase::Disconnected;
        let is_final = self.log_in == LogInState::Allowed { is_final: true };
        match session.log_in().filter(|_| !is_final).map(|log_in| log_in.first) {
            Some(Some(_)) => {
                self.log_in = LogInState::Requested;
                Refusal::AheadOfTurn
            }
            Some(None) => {
                self.log_in = LogInState::NotRequested;
                Refusal::WithoutStatement
            }
            None => {
                (self.refused, self.log_in) = (true, LogInState::NotRequested);
                Refusal::Final
            }
        }
    }

    /// Whether the target has refused the session for good.
    pub fn is_refused(&self) -> bool {
        self.refused
    }

    /// A statement has ended that had not before.
    pub fn progressed(&mut self) {
        self.made_progress = true;
        self.backoff = FIRST_BACKOFF;
    }

    /// The connection is gone, by whatever.
    pub fn disconnected(&mut self) {
        self.phase = Phase::Disconnected;
    }

    /// Its actor takes the place of one that panicked, which had a connection or had not.
    pub fn replaces_panicked(&mut self, was_connected: bool) {
        self.lost_before = was_connected;
    }

    /// The connection was lost. Returns how long until the next attempt, unless that comes at once.
    pub fn lost(&mut self) -> Option<Duration> {
        self.lost_before = true;
        // It may be our own doing: what is sent again ends the connection each time.
        (!self.made_progress).then(|| self.retries_after())
    }

    /// The connection is being closed.
    pub fn closing(&mut self) {
        self.phase = Phase::Closing;
    }

    /// What the session waits for, for whoever asks why nothing goes on; `backend` serves its
    /// connection.
    pub fn wait_state(&self, session: &Session, backend: Option<i32>) -> WaitState {
        match (self.phase, backend) {
            (Phase::Connected, Some(backend)) => session.wait_state(backend),
            (Phase::Connecting, _) => WaitState::Connecting,
            (Phase::Disconnected, _) if !session.is_busy() && !session.is_log_in_awaited() => {
                WaitState::Silent
            }
            (Phase::Disconnected, _) if session.not_before().is_some() => WaitState::Schedule,
            (Phase::Disconnected, _) if self.log_in == LogInState::Requested => WaitState::LogIn,
            (Phase::Disconnected, _) if self.permit != Permit::Held => WaitState::Connection,
            _ => WaitState::Ready,
        }
    }
}

#[cfg(test)]
mod tests;
