//! What a connection's handle and its wire share: the requests under way.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::BytesMut;

use crate::postgres::reply::{Lost, Reply, ServerError};
use crate::postgres::request::{Request, ResultRows};
use crate::replay::session::request::{Took, TransactionStatus};

/// How large a buffer an idle connection keeps.
const KEPT: usize = 1024;

/// An exchange as handle and wire have it: they live on one thread. Neither keeps it borrowed while it
/// awaits anything.
pub(in crate::postgres) type SharedExchange = Rc<RefCell<Exchange>>;

/// The requests under way, oldest first, and what is known of the connection.
// No Debug: what goes out holds parameters, which no log may show.
#[derive(Default)]
pub(in crate::postgres) struct Exchange {
    under_way: VecDeque<UnderWay>,
    /// Answers that have not been taken, in the order of the requests.
    answers: VecDeque<Result<Reply, Lost>>,
    /// How many of them are of the read at hand. They are handed over together, when it is known how
    /// many they are.
    fresh: usize,
    /// When answers were last read, before the read at hand.
    last_read: Option<Instant>,
    /// What has to be written. It does not grow without bound: a session has few requests under way.
    pub outgoing: BytesMut,
    /// Wakes the wire's task, to write or to leave.
    writer: Option<Waker>,
    /// Wakes who waits for an answer.
    reader: Option<Waker>,
    /// The backend's process id and the key that a cancel request needs.
    pub backend: BackendKey,
    /// As of the last ReadyForQuery.
    pub status: TransactionStatus,
    /// Whether `client_encoding` is not UTF-8, as of the last ParameterStatus.
    pub foreign_encoding: bool,
    /// Whether plans that the server tells are kept for the answers.
    pub keeps_plans: bool,
    fatal: Option<Arc<ServerError>>,
    /// Whether nothing more will be asked.
    leaving: bool,
    end: Option<Lost>,
}

/// What identifies a backend in a cancel request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::postgres) struct BackendKey {
    /// The process id.
    pub pid: i32,
    /// What proves that whoever cancels is whoever connected.
    pub secret: i32,
}

/// The durations that the server has told for a request.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Timed {
    pub(super) count: u32,
    pub(super) sum: Duration,
}

struct UnderWay {
    /// Whether it is answered in the extended protocol.
    extended: bool,
    rows: ResultRows,
    /// After how many more completions it is answered; `None`: by ReadyForQuery.
    completions: Option<u32>,
    /// How many durations a server tells for it that tells any.
    timed: u32,
    /// When the writing of it began.
    written: Option<Instant>,
}

impl Exchange {
    /// Adds a request, to be written behind those that were added before. It is answered for even
    /// where the connection has ended.
    pub(crate) fn ask(&mut self, request: Request<'_>, rows: ResultRows) {
        if let Some(lost) = &self.end {
            self.answers.push_back(Err(lost.clone()));
            self.wake_reader();
            return;
        }
        self.under_way.push_back(UnderWay {
            extended: request.is_extended(),
            rows,
            completions: request.completions(),
            timed: request.timed(),
            written: None,
        });
        let idle = self.outgoing.is_empty();
        request.write_to(&mut self.outgoing);
        // Otherwise it has been woken already, or waits until the server takes more.
        if idle && let Some(writer) = &self.writer {
            writer.wake_by_ref();
        }
    }

    /// Takes the next answer.
    pub(crate) fn poll_answer(&mut self, cx: &Context<'_>) -> Poll<Result<Reply, Lost>> {
        if let Some(answer) = self.answers.pop_front() {
            return Poll::Ready(answer);
        }
        // An idle connection keeps next to nothing.
        if self.under_way.is_empty() && size_of::<Reply>() * self.answers.capacity() > KEPT {
            self.answers = VecDeque::new();
        }
        note(&mut self.reader, cx);
        Poll::Pending
    }

    /// The wire's task is the one to be woken when there is something to write.
    pub(crate) fn written_by(&mut self, cx: &Context<'_>) {
        note(&mut self.writer, cx);
    }

    fn wake_reader(&self) {
        if let Some(reader) = &self.reader {
            reader.wake_by_ref();
        }
    }

    /// What has not been written is written now.
    pub(crate) fn writes(&mut self, now: Instant) {
        let unwritten = self.under_way.iter_mut().rev();
        for request in unwritten.take_while(|request| request.written.is_none()) {
            request.written = Some(now);
        }
    }

    /// How many requests have not been answered.
    pub(crate) fn unanswered(&self) -> usize {
        self.under_way.len()
    }

    /// Nothing more will be asked: when everything has been answered, the connection ends.
    pub(crate) fn leave(&mut self) {
        self.leaving = true;
        if let Some(writer) = &self.writer {
            writer.wake_by_ref();
        }
    }

    /// Whether nothing more will be asked and everything has been answered.
    pub(crate) fn may_leave(&self) -> bool {
        self.leaving && self.under_way.is_empty()
    }

    /// Whether the request that is being answered is of the extended protocol.
    pub(crate) fn is_extended(&self) -> bool {
        self.under_way.front().is_some_and(|request| request.extended)
    }

    /// Whether the request that is being answered leaves its implicit transaction open.
    pub(crate) fn stays_open(&self) -> bool {
        self.under_way.front().is_some_and(|request| request.completions.is_some())
    }

    /// A message of the request that is being answered was completed. Whether that answers it.
    pub(crate) fn completed(&mut self) -> bool {
        let request = self.under_way.front_mut();
        let Some(left) = request.and_then(|request| request.completions.as_mut()) else {
            return false;
        };
        *left = left.saturating_sub(1);
        *left == 0
    }

    /// Whether the rows of the request that is being answered are kept.
    pub(crate) fn keeps_rows(&self) -> bool {
        self.under_way.front().is_some_and(|request| request.rows == ResultRows::Keep)
    }

    /// The server is through with the oldest request, as was read at `now`. `false` if there is none.
    pub(super) fn answer(&mut self, reply: Reply, timed: Timed, now: Instant) -> bool {
        let Some(request) = self.under_way.pop_front() else { return false };
        self.status = reply.status;
        let began = request.written.max(self.last_read).unwrap_or(now);
        let at_most = now.saturating_duration_since(began);
        // Fewer are not the whole of it, and for an error there is none.
        let is_whole = reply.error.is_none() && timed.count > 0 && timed.count == request.timed;
        let on_server = is_whole.then_some(timed.sum);
        let took = Took { at_most, together: 1, on_server };
        let plan = reply.plan.map(|text| if self.holds_plan() { "".into() } else { text });
        self.answers.push_back(Ok(Reply {
            took,
            foreign_encoding: self.foreign_encoding,
            plan,
            ..reply
        }));
        self.fresh += 1;
        true
    }

    /// Whether an answer that has not been taken holds a plan: another one can wait for its next call.
    fn holds_plan(&self) -> bool {
        self.answers.iter().flatten().any(|reply| reply.plan.is_some())
    }

    /// The read at hand, of `now`, is through: hands over what it answered.
    pub(crate) fn hand_over(&mut self, now: Instant) {
        if self.fresh == 0 {
            return;
        }
        self.last_read = Some(now);
        let together = u32::try_from(self.fresh).unwrap_or(u32::MAX);
        for reply in self.answers.iter_mut().rev().take(self.fresh).flatten() {
            reply.took.together = together;
        }
        self.fresh = 0;
        self.wake_reader();
        if self.under_way.is_empty() && self.outgoing.capacity() > KEPT {
            self.outgoing = BytesMut::new();
        }
    }

    /// Notes an error after which the server closes the connection.
    pub(crate) fn note_fatal(&mut self, error: ServerError) {
        self.fatal = Some(Arc::new(error));
    }

    /// Ends it: everything under way is lost. Only the first reason counts, which is the nearest
    /// to the cause.
    pub(crate) fn end(&mut self, reason: &str) {
        if self.end.is_none() {
            let lost = Lost::new(reason, self.fatal.take());
            self.answers.extend(self.under_way.drain(..).map(|_| Err(lost.clone())));
            self.end = Some(lost);
            self.wake_reader();
        }
    }

    /// Why the connection ended, if it did.
    pub(crate) fn ended(&self) -> Option<&Lost> {
        self.end.as_ref()
    }
}

/// Notes whom to wake; a waker is copied only where it is somebody else's.
fn note(waker: &mut Option<Waker>, cx: &Context<'_>) {
    if waker.as_ref().is_none_or(|known| !known.will_wake(cx.waker())) {
        *waker = Some(cx.waker().clone());
    }
}
