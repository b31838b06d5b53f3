//! Sees to it that the panic of an actor without which nothing goes on ends the replay.

use actix::Recipient;

use super::messages::Fatal;

/// Held by an actor: tells when it goes down with a panic. actix does not: the address closes, and
/// whoever sent it something waits.
#[derive(Debug)]
pub(crate) struct PanicGuard {
    name: &'static str,
    fatal: Recipient<Fatal>,
}

impl PanicGuard {
    /// For the actor of this name.
    pub(crate) fn new(name: &'static str, fatal: Recipient<Fatal>) -> Self {
        Self { name, fatal }
    }
}

impl Drop for PanicGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.fatal.do_send(Fatal::ActorFailed(self.name));
        }
    }
}
