//! What a connection's handle and its wire tap share: the requests under way.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

use bytes::BytesMut;
use tokio::sync::oneshot;

use crate::target::reply::{Lost, Reply, ServerError, TransactionStatus};
use crate::target::request::Request;

/// How large a buffer an idle connection keeps.
const KEPT: usize = 1024;

/// Where the answer to a request goes.
pub(in crate::target) type Asker = oneshot::Sender<Result<Reply, Lost>>;

/// The requests under way, oldest first, and what is known of the connection.
///
/// It is shared as `Arc<std::sync::Mutex<Exchange>>`, and the mutex is not Tokio's: nothing awaits
/// while it is held, and it is never contended, because handle and tap live on one thread. It is
/// there because the tap has to be `Send`.
// No Debug: what goes out holds parameters, which no log may show.
#[derive(Default)]
pub(in crate::target) struct Exchange {
    under_way: VecDeque<UnderWay>,
    /// What has to be written. It does not grow without bound: a session has few requests under way.
    pub outgoing: BytesMut,
    /// Wakes the tap's task, to write.
    pub writer: Option<Waker>,
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

struct UnderWay {
    /// Whether it is answered in the extended protocol.
    extended: bool,
    asker: Asker,
}

impl Exchange {
    /// Adds a request, to be written behind those that were added before.
    pub fn ask(&mut self, request: Request<'_>, asker: Asker) {
        self.under_way.push_back(UnderWay { extended: request.is_extended(), asker });
        let idle = self.outgoing.is_empty();
        request.write_to(&mut self.outgoing);
        // Otherwise it has been woken already, or waits until the server takes more.
        if idle && let Some(writer) = &self.writer {
            writer.wake_by_ref();
        }
    }

    /// How many requests have not been answered.
    pub fn unanswered(&self) -> usize {
        self.under_way.len()
    }

    /// Whether the request that is being answered is of the extended protocol.
    pub fn is_extended(&self) -> bool {
        self.under_way.front().is_some_and(|request| request.extended)
    }

    /// The server is through with the oldest request. `false` if there is none.
    pub fn answer(&mut self, reply: Reply) -> bool {
        let Some(request) = self.under_way.pop_front() else { return false };
        self.status = reply.status;
        // Nobody may be interested any more; the answer has to be taken off the wire all the same.
        let _ = request.asker.send(Ok(reply));
        if self.under_way.is_empty() && self.outgoing.capacity() > KEPT {
            // One long statement does not cost its length for the rest of the session.
            self.outgoing = BytesMut::new();
        }
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
            self.end = Some(lost);
        }
    }

    /// Why the connection ended, if it did.
    pub fn ended(&self) -> Option<&Lost> {
        self.end.as_ref()
    }
}
