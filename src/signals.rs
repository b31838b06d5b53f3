//! The signals that stop a replay.

use std::future::pending;
use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// SIGTERM and SIGINT, one after the other.
pub(crate) struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    /// Takes them from now on.
    ///
    /// # Errors
    ///
    /// The system does not give them.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Resolves when the next one comes. Cancel-safe.
    pub(crate) async fn next(&mut self) {
        let came = tokio::select! {
            came = self.terminate.recv() => came,
            came = self.interrupt.recv() => came,
        };
        if came.is_none() {
            pending::<()>().await;
        }
    }
}
