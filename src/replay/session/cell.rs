//! A session that several actors share, each of which may touch a part of it.
//!
//! The lock is taken here alone, for a step and never over an await. Who takes it says in which role,
//! and gets no more than that role needs.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use super::logins::{Blocker, Change, LogIn};
use super::waits::Waits;
use super::{Amended, Closing, Session};
use crate::pglog::SessionId;
use crate::pglog::statement::{Amendment, Statement};
use crate::replay::order::permits::ConnectionState;
use crate::replay::order::stalls::OnTarget;
use crate::replay::pace::Moment;
use crate::replay::work::{Seq, Work};

/// One session's decisions, which outlive the actor that acts on them.
#[derive(Debug, Clone)]
pub struct SessionCell(Arc<Mutex<Session>>);

impl SessionCell {
    /// Shares a session.
    pub fn new(session: Session) -> Self {
        Self(Arc::new(Mutex::new(session)))
    }

    /// For the supervisor: what comes for the session, and how its log-in stands to others'.
    pub fn inbox(&self) -> Inbox<'_> {
        Inbox(self.0.lock())
    }

    /// For the session's actor: everything.
    pub fn driver(&self) -> Driver<'_> {
        Driver(self.0.lock())
    }

    /// For the sequencer and admission: what it does and would do next.
    pub fn view(&self) -> View<'_> {
        View(self.0.lock())
    }
}

/// The session as its actor moves it on.
#[derive(Debug)]
pub struct Driver<'a>(MutexGuard<'a, Session>);

impl Deref for Driver<'_> {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.0
    }
}

impl DerefMut for Driver<'_> {
    fn deref_mut(&mut self) -> &mut Session {
        &mut self.0
    }
}

/// The session as the supervisor hands it work, looks after it and ends it. Each method does what
/// the session's method with its name does.
#[derive(Debug)]
pub struct Inbox<'a>(MutexGuard<'a, Session>);

impl Inbox<'_> {
    /// See [`Session::advance_to`].
    pub fn advance_to(&mut self, now: Moment) {
        self.0.advance_to(now);
    }

    /// See [`Session::push`].
    pub fn push(&mut self, work: Arc<Work>) {
        self.0.push(work);
    }

    /// See [`Session::remember`].
    pub fn remember(&mut self, statement: &Statement) {
        self.0.remember(statement);
    }

    /// See [`Session::amend`].
    pub fn amend(&mut self, amendment: Amendment) -> Amended {
        self.0.amend(amendment)
    }

    /// See [`Session::close`].
    pub fn close(&mut self, why: Closing) {
        self.0.close(why);
    }

    /// See [`Session::drop_queue`].
    pub fn drop_queue(&mut self) -> Vec<Arc<Work>> {
        self.0.drop_queue()
    }

    /// See [`Session::newest`].
    pub fn newest(&self) -> Option<Seq> {
        self.0.newest()
    }

    /// See [`Session::take_waits`].
    pub fn take_waits(&mut self) -> Waits {
        self.0.take_waits()
    }

    /// See [`Session::is_busy`].
    pub fn is_busy(&self) -> bool {
        self.0.is_busy()
    }

    /// See [`Session::is_running`].
    pub fn is_running(&self) -> bool {
        self.0.is_running()
    }

    /// See [`Session::is_connected`].
    pub fn is_connected(&self) -> bool {
        self.0.is_connected()
    }

    /// See [`Session::in_transaction`].
    pub fn in_transaction(&self) -> bool {
        self.0.in_transaction()
    }

    /// See [`Session::not_before`].
    pub fn not_before(&self) -> Option<Moment> {
        self.0.not_before()
    }

    /// See [`Session::has_memory`].
    pub fn has_memory(&self) -> bool {
        self.0.has_memory()
    }

    /// See [`Session::log_in`].
    pub fn log_in(&self) -> Option<LogIn> {
        self.0.log_in()
    }

    /// See [`Session::log_in_tried_again`].
    pub fn log_in_tried_again(&mut self) {
        self.0.log_in_tried_again();
    }

    /// See [`Session::is_log_in_awaited`].
    pub fn is_log_in_awaited(&self) -> bool {
        self.0.is_log_in_awaited()
    }

    /// See [`Session::login_blocker`].
    pub fn login_blocker(&self) -> Blocker {
        self.0.login_blocker()
    }

    /// See [`Session::holds_up`].
    pub fn holds_up(&self, change: &Change) -> bool {
        self.0.holds_up(change)
    }

    /// See [`Session::await_log_in`].
    pub fn await_log_in(&mut self, change: Seq, prevents: bool) -> bool {
        self.0.await_log_in(change, prevents)
    }

    /// See [`Session::is_log_in_put_off`].
    pub fn is_log_in_put_off(&self) -> bool {
        self.0.is_log_in_put_off()
    }

    /// See [`Session::keep_log_in`].
    pub fn keep_log_in(&mut self) {
        self.0.keep_log_in();
    }
}

/// The session as those see it who grant it turns and connections. What they grant they send to its
/// actor.
#[derive(Debug)]
pub struct View<'a>(MutexGuard<'a, Session>);

impl View<'_> {
    /// See [`Session::connection_state`].
    pub fn connection_state(&self) -> ConnectionState {
        self.0.connection_state()
    }

    /// See [`Session::on_target`].
    pub fn on_target(&self, session: SessionId, backend: i32, prepared: &[String]) -> OnTarget {
        self.0.on_target(session, backend, prepared)
    }

    /// See [`Session::head`].
    pub fn head(&self) -> Option<&Arc<Work>> {
        self.0.head()
    }

    /// See [`Session::running`].
    pub fn running(&self) -> Option<&Arc<Work>> {
        self.0.running()
    }

    /// See [`Session::doubtful`].
    pub fn doubtful(&self) -> Option<&Arc<Work>> {
        self.0.doubtful()
    }

    /// See [`Session::used`].
    pub fn used(&self) -> Seq {
        self.0.used()
    }

    /// See [`Session::is_running`].
    pub fn is_running(&self) -> bool {
        self.0.is_running()
    }

    /// See [`Session::in_transaction`].
    pub fn in_transaction(&self) -> bool {
        self.0.in_transaction()
    }

    /// See [`Session::not_before`].
    pub fn not_before(&self) -> Option<Moment> {
        self.0.not_before()
    }
}

#[cfg(test)]
mod tests;
