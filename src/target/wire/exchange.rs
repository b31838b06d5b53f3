//! What a connection's handle and its wire tap share: the requests under way.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::BytesMut;
use tokio::sync::oneshot;

use crate::target::reply::{Lost, Reply, ServerError, TransactionStatus};
use crate::target::request::Wire;

/// Where the answer to a request goes.
pub(in crate::target) type Asker = oneshot::Sender<Result<Reply, Lost>>;

/// The requests under way, oldest first, and what is known of the connection.
///
/// It is shared as `Arc<std::sync::Mutex<Exchange>>`, and the mutex is not Tokio's: nothing awaits
/// while it is held, and it is never contended, because handle and tap live on one thread. It is
/// there because the tap has to be `Send`.
#[derive(Debug, Default)]
pub(in crate::target) struct Exchange {
    under_way: VecDeque<UnderWay>,
    /// How many of `under_way` have been written, from the front.
    written: usize,
    /// The backend's process id and the key that a cancel request needs.
    pub backend: BackendKey,
    /// As of the last ReadyForQuery.
    pub status: TransactionStatus,
    fatal: Option<Arc<ServerError>>,
    end: Option<Lost>,
}

/// What identifies a backend in a cancel request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::target) struct BackendKey {
    /// The process id.
    pub pid: i32,
    /// What proves that whoever cancels is whoever connected.
    pub secret: i32,
}

#[derive(Debug)]
struct UnderWay {
    /// What is written in the place of the blank query; `None` once it has been, and for a simple
    /// query, which tokio-postgres writes itself.
    instead: Option<BytesMut>,
    extended: bool,
    asker: Asker,
}

impl Exchange {
    /// Adds a request that the next query of tokio-postgres stands for. Without `instead` that
    /// query is the request itself.
    pub fn ask(&mut self, instead: Option<Wire>, asker: Asker) {
        let (instead, extended) = match instead {
            Some(wire) => (Some(wire.bytes), wire.extended),
            None => (None, false),
        };
        self.under_way.push_back(UnderWay { instead, extended, asker });
    }

    /// The next query of tokio-postgres is being written: what goes out in its place, if not it
    /// itself. `None` if nobody asked for it.
    pub fn write_next(&mut self) -> Option<Option<BytesMut>> {
        let next = self.under_way.get_mut(self.written)?;
        self.written += 1;
        Some(next.instead.take())
    }

    /// How many requests have been written and not been answered.
    pub fn unanswered(&self) -> usize {
        self.written
    }

    /// Whether the request that is being answered is of the extended protocol.
    pub fn is_extended(&self) -> bool {
        self.written > 0 && self.under_way.front().is_some_and(|request| request.extended)
    }

    /// The server is through with the oldest request. `false` if there is none.
    pub fn answer(&mut self, reply: Reply) -> bool {
        if self.written == 0 {
            return false;
        }
        let Some(request) = self.under_way.pop_front() else { return false };
        self.written -= 1;
        self.status = reply.status;
        // Nobody may be interested any more; the answer has to be taken off the wire all the same.
        let _ = request.asker.send(Ok(reply));
        true
    }

    /// Notes an error after which the server closes the connection.
    pub fn note_fatal(&mut self, error: ServerError) {
        self.fatal = Some(Arc::new(error));
    }

    /// Ends it: everything under way is lost. Only the first reason counts, which is the nearest
    /// to the cause.
    pub fn end(&mut self, reason: &str) {
        if self.end.is_none() {
            let lost = Lost::new(reason, self.fatal.take());
            for request in self.under_way.drain(..) {
                let _ = request.asker.send(Err(lost.clone()));
            }
            self.written = 0;
            self.end = Some(lost);
        }
    }

    /// Why the connection ended, if it did.
    pub fn ended(&self) -> Option<&Lost> {
        self.end.as_ref()
    }
}
