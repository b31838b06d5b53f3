//! Who waits for whom when nothing ends any more, and what is done about the one that all wait for.
//!
//! A last resort: what a stall is, and how it is broken where the log says how, is decided in
//! [`stalls`](super::stalls). What is left is told here as a chain of waits, from a statement to who holds
//! it up in the end. A chain that ends at a statement which the target works on, at a time that has not
//! come or at a record that may still be read is no stall.

use std::collections::HashMap;

use crate::pglog::SessionId;
use crate::replay::order::Start;
use crate::replay::work::{Position, Seq};

/// Where a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitState {
    /// Its next record has not been read.
    Silent,
    /// Its next statement is not due.
    Schedule,
    /// Its log-in waits for statements before it.
    LogIn,
    /// It may not connect yet: there are as many connections as there may be.
    Connection,
    /// Its connection is being opened.
    Connecting,
    /// A request of it is under way on this backend.
    Request(i32),
    /// It has asked for the turn of its next statement.
    Turn(Seq),
    /// Its next statement waits for the log-ins before it, which it changes.
    Change(Seq),
    /// Nothing that is known holds it up.
    Ready,
}

/// A session, and what holds it up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiter {
    /// Which.
    pub session: SessionId,
    /// Its first statement that has not finished.
    pub statement: Option<Place>,
    /// Where it stands.
    pub wait_state: WaitState,
    /// Whether it has a connection.
    pub is_connected: bool,
    /// Who holds it up, as far as that is known: it goes on when all of them have gone on. Who waits for
    /// a connection waits for any session that has one; those need not be named.
    pub holders: Vec<Holder>,
    /// The prepared transactions that it finishes further on.
    pub finishes: Vec<Box<str>>,
}

/// Where a statement stands, in the order and in the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// In the order.
    pub seq: Seq,
    /// In the source.
    pub at: Position,
}

/// Who holds a session up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// Another session.
    Session(SessionId),
    /// A prepared transaction.
    Prepared {
        /// Its identifier.
        gid: String,
        /// The session that finishes it, if that has been read.
        finisher: Option<SessionId>,
    },
    /// A connection to the target that is no session's.
    Foreign(ForeignBackend),
    /// The catalog of this database, which has not been read.
    Catalog(String),
    /// A transaction whose end has not been read.
    Unread,
}

/// A connection to the target that is no session's, as the target tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ForeignBackend {
    /// Its process id.
    pub pid: i32,
    /// What its program calls itself; where it does not, the kind of process.
    pub application: String,
    /// What it is about; empty where that is not to be seen.
    pub state: String,
}

/// One wait of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Who waits.
    pub session: SessionId,
    /// For which statement.
    pub statement: Option<Place>,
    /// For what.
    pub wait_state: WaitState,
    /// Who holds it up.
    pub holder: Option<Holder>,
}

/// What frees the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// Nothing that is kreplay's to do.
    None,
    /// The statement is given up.
    GiveUpStatement(Start),
    /// The session's connection is closed, and what it had open is rolled back.
    CloseSession(SessionId),
    /// The statement is started.
    Start(Start),
    /// The session logs in.
    LogIn(SessionId),
    /// The statement changes log-ins.
    Change(Start),
    /// Statements go on without the catalog of this database.
    GoWithoutCatalog(String),
}

/// A chain of waits that nothing ends by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stall {
    /// From the first statement in the log that waits to the head that all the others wait for.
    pub links: Vec<Link>,
    /// What frees the others.
    pub remedy: Remedy,
    /// Whether a record that may still be read would free them as well.
    pub may_be_read: bool,
}

impl Stall {
    /// The head of the chain: who everything waits for in the end.
    pub fn head(&self) -> Option<(SessionId, Option<Seq>)> {
        let last = self.links.last()?;
        Some((last.session, last.statement.map(|place| place.seq)))
    }

    /// Whether everything waits for a record that may still be read: the source may be as silent.
    pub fn is_silence(&self) -> bool {
        self.may_be_read
            && self.links.last().is_some_and(|last| {
                last.wait_state == WaitState::Silent || last.holder == Some(Holder::Unread)
            })
    }
}

/// The stalls among these sessions, each once, that of the first statement in the log first.
/// `no_more` says that nothing more will be read.
pub fn stalls(waiters: &[Waiter], no_more: bool) -> Vec<Stall> {
    let mut chains = Chains {
        waiters: waiters.iter().map(|waiter| (waiter.session, waiter)).collect(),
        no_more,
        known: HashMap::new(),
        path: Vec::new(),
    };
    let mut in_flight: Vec<&Waiter> =
        waiters.iter().filter(|waiter| waiter.statement.is_some()).collect();
    in_flight.sort_unstable_by_key(|waiter| waiter.statement.map(|place| place.seq));
    let mut stalls: Vec<Stall> = Vec::new();
    for waiter in in_flight {
        if let Some(stall) = chains.of(waiter.session)
            && stalls.iter().all(|known| known.head() != stall.head())
        {
            stalls.push(stall);
        }
    }
    stalls
}

struct Chains<'a> {
    waiters: HashMap<SessionId, &'a Waiter>,
    no_more: bool,
    known: HashMap<SessionId, Option<Stall>>,
    /// The sessions on the way to the one that is looked at.
    path: Vec<SessionId>,
}

impl Chains<'_> {
    /// The chain from this session on; `None` where it goes on by itself.
    fn of(&mut self, session: SessionId) -> Option<Stall> {
        if let Some(known) = self.known.get(&session) {
            return known.clone();
        }
        if let Some(at) = self.path.iter().position(|known| *known == session) {
            return Some(self.circle(at));
        }
        // Who is gone holds nothing any more.
        let waiter = *self.waiters.get(&session)?;
        self.path.push(session);
        let stall = self.follow(waiter);
        self.path.pop();
        self.known.insert(session, stall.clone());
        stall
    }

    fn follow(&mut self, waiter: &Waiter) -> Option<Stall> {
        let session = waiter.session;
        let start = waiter.statement.map(|place| Start { session, seq: place.seq });
        let remedy = match waiter.wait_state {
            WaitState::Schedule => return None,
            WaitState::Silent => {
                let end = waiter.ends(None, Remedy::CloseSession(session));
                return Some(Stall { may_be_read: !self.no_more, ..end });
            }
            WaitState::Connection => return self.of_any_connection(waiter),
            WaitState::Connecting => Remedy::None,
            // The target works on it.
            WaitState::Request(_) if waiter.holders.is_empty() => return None,
            WaitState::Request(_) | WaitState::Ready => start.map_or(Remedy::None, Remedy::Start),
            WaitState::Turn(seq) => Remedy::Start(Start { session, seq }),
            WaitState::Change(seq) => Remedy::Change(Start { session, seq }),
            WaitState::LogIn => Remedy::LogIn(session),
        };
        if waiter.holders.is_empty() {
            return Some(waiter.ends(None, remedy));
        }
        self.of_all_holders(waiter, &remedy)
    }

    /// It stands still only where all that hold it up do: when one of them has gone on, more is known.
    /// The chain goes on with a session, if one holds it up: what is done about it must not overtake that.
    fn of_all_holders(&mut self, waiter: &Waiter, unheld: &Remedy) -> Option<Stall> {
        let stalls: Option<Vec<Stall>> =
            waiter.holders.iter().map(|holder| self.held(waiter, holder, unheld)).collect();
        let stalls = stalls?;
        let may_be_read = stalls.iter().any(|stall| stall.may_be_read);
        let stall = stalls.into_iter().min_by_key(|stall| stall.links.len() == 1)?;
        Some(Stall { may_be_read, ..stall })
    }

    /// The chain of a session that this one holds up; `None` where it goes on by itself.
    /// `unheld`: what would be done about this one if nobody held it up.
    fn held(&mut self, waiter: &Waiter, holder: &Holder, unheld: &Remedy) -> Option<Stall> {
        let ends = |remedy| Some(waiter.ends(Some(holder.clone()), remedy));
        let next = match holder {
            Holder::Session(session) | Holder::Prepared { finisher: Some(session), .. } => *session,
            Holder::Prepared { finisher: None, .. } => {
                // What has not been sent need not meet its locks.
                let end = ends(match (waiter.wait_state, unheld) {
                    (WaitState::Request(_), Remedy::Start(start)) => {
                        Remedy::GiveUpStatement(*start)
                    }
                    _ => unheld.clone(),
                })?;
                return Some(Stall { may_be_read: !self.no_more, ..end });
            }
            Holder::Foreign(_) => return ends(Remedy::None),
            Holder::Catalog(database) => return ends(Remedy::GoWithoutCatalog(database.clone())),
            Holder::Unread => {
                let end = ends(unheld.clone())?;
                return Some(Stall { may_be_read: !self.no_more, ..end });
            }
        };
        let mut stall = self.of(next)?;
        stall.links.insert(0, waiter.link(Some(holder.clone())));
        Some(stall)
    }

    /// It has to wait only where nobody gives up a connection by and by.
    fn of_any_connection(&mut self, waiter: &Waiter) -> Option<Stall> {
        let mut connected: Vec<SessionId> = self
            .waiters
            .values()
            .filter(|other| other.is_connected && other.session != waiter.session)
            .map(|other| other.session)
            .collect();
        connected.sort_unstable();
        let mut first = None;
        for session in connected {
            let stall = self.of(session)?;
            first.get_or_insert((session, stall));
        }
        let Some((session, mut stall)) = first else {
            return Some(waiter.ends(None, Remedy::None));
        };
        stall.links.insert(0, waiter.link(Some(Holder::Session(session))));
        Some(stall)
    }

    /// They wait for each other, from this one of the path on: whoever waits on the target is given up.
    fn circle(&self, at: usize) -> Stall {
        let circle = self.path[at..].iter().filter_map(|session| self.waiters.get(session));
        let placed = circle.filter_map(|waiter| {
            let seq = waiter.statement?.seq;
            Some((!matches!(waiter.wait_state, WaitState::Request(_)), seq, waiter.session))
        });
        let remedy = placed.min().map_or(Remedy::None, |(is_unsent, seq, session)| {
            let start = Start { session, seq };
            if is_unsent { Remedy::Start(start) } else { Remedy::GiveUpStatement(start) }
        });
        Stall { links: Vec::new(), remedy, may_be_read: false }
    }
}

impl Waiter {
    fn link(&self, holder: Option<Holder>) -> Link {
        let Self { session, statement, wait_state, .. } = *self;
        Link { session, statement, wait_state, holder }
    }

    /// A chain that ends here.
    fn ends(&self, holder: Option<Holder>, remedy: Remedy) -> Stall {
        Stall { links: vec![self.link(holder)], remedy, may_be_read: false }
    }
}

// ---- In words ----

impl WaitState {
    /// What a session waits for that stands there.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Silent => "its next record",
            Self::Schedule => "the time when its statement is due",
            Self::LogIn => "statements before its log-in",
            Self::Connection => "one of the connections that --max-sessions or the target allows",
            Self::Connecting => "the target to log it in",
            Self::Request(_) => "a lock",
            Self::Turn(_) => "its turn",
            Self::Change(_) => "the log-ins before its change of roles or databases",
            Self::Ready => "kreplay itself",
        }
    }
}

impl Holder {
    /// Who holds a session up.
    pub fn in_words(&self) -> String {
        match self {
            Self::Session(session) => format!("session {session}"),
            Self::Prepared { gid, finisher: Some(session) } => {
                format!("the prepared transaction '{gid}', which session {session} finishes")
            }
            Self::Prepared { gid, finisher: None } => {
                format!("the prepared transaction '{gid}', which nothing that was read finishes")
            }
            Self::Foreign(ForeignBackend { pid, application, state }) => {
                let state = if state.is_empty() { "state unknown" } else { state };
                format!(
                    "backend {pid} of the target, which is not kreplay's (application \
                     '{application}', {state})"
                )
            }
            Self::Catalog(database) => format!("the reading of the catalog of database {database}"),
            Self::Unread => "a transaction whose end has not been read".to_owned(),
        }
    }
}

impl Remedy {
    /// What is done, in words; `None` where nothing is.
    pub fn in_words(&self) -> Option<String> {
        Some(match self {
            Self::None => return None,
            Self::GiveUpStatement(Start { session, .. }) => {
                format!("the statement of session {session} is canceled and given up")
            }
            Self::CloseSession(session) => format!(
                "the connection of session {session} is closed, what it has open is rolled back"
            ),
            Self::Start(Start { session, .. }) => {
                format!("the statement of session {session} is started")
            }
            Self::LogIn(session) => format!("session {session} logs in"),
            Self::Change(Start { session, .. }) => {
                format!("session {session} changes roles or databases")
            }
            Self::GoWithoutCatalog(database) => {
                format!("the catalog of database {database} is not waited for")
            }
        })
    }
}

#[cfg(test)]
mod tests;
