//! Reads what the server says, message by message, and makes replies of it.

use std::io;
use std::time::Instant;

use bytes::BytesMut;
use postgres_protocol::message::frontend;

use super::exchange::{BackendKey, Exchange, Timed};
use crate::postgres::notice::{Notice, NoticeReader};
use crate::postgres::reply::{
    Reply, ServerError, row_of_data, rows_of_command_tag, status_from_byte,
};
use crate::replay::session::request::TransactionStatus;

/// How much of an error report or command tag is kept; the rest of it is skipped.
const KEPT_BODY: usize = 64 * 1024;

/// How many rows are kept where they are: what is asked for by kreplay itself has few.
const KEPT_ROWS: usize = 10_000;

/// What the server said is not the protocol as we know it; the connection can't go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Violation {
    #[error("the server sent a message of length {0}")]
    Length(u32),
    #[error("the server sent an unexpected message of type {:?}", char::from(*.0))]
    Type(u8),
    #[error("the server sent an answer that nobody had asked for")]
    Unasked,
    #[error("statements had been sent behind a COPY FROM STDIN, which lost the first of them")]
    SentBehindCopy,
}

/// How to get out of a COPY FROM STDIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CopyIn {
    /// CopyFail alone: of a simple query, or where the Sync is still to be sent.
    Simple,
    /// CopyFail and a Sync: while it waits for data the server ignores the one that ended the
    /// batch, and after the error it skips everything up to the next.
    Extended,
}

impl CopyIn {
    /// Writes what gets out of it.
    pub(super) fn refuse(self, outgoing: &mut BytesMut) -> io::Result<()> {
        frontend::copy_fail("COPY data is not in the log", outgoing)?;
        if self == Self::Extended {
            frontend::sync(outgoing);
        }
        Ok(())
    }
}

/// Makes replies of the server's messages. Keeps next to nothing of them.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    framing: Framing,
    notice: NoticeReader,
    progress: Progress,
}

impl Incoming {
    /// Reads `bytes` while logging in: takes the backend's key from them and leaves the rest to
    /// tokio-postgres. Gives how many bytes belong to the log-in, once its ReadyForQuery has come.
    pub(super) fn read_login(
        &mut self,
        bytes: &[u8],
        exchange: &mut Exchange,
    ) -> Result<Option<usize>, Violation> {
        let mut rest = bytes;
        while let Some((tag, body)) = self.framing.next(&mut rest, false, &mut self.notice)? {
            match (tag, body) {
                (b'K', [p0, p1, p2, p3, s0, s1, s2, s3, ..]) => {
                    exchange.backend = BackendKey {
                        pid: i32::from_be_bytes([*p0, *p1, *p2, *p3]),
                        secret: i32::from_be_bytes([*s0, *s1, *s2, *s3]),
                    };
                }
                (b'Z', _) => return Ok(Some(bytes.len() - rest.len())),
                (b'N', _) => drop(self.notice.finish()),
                _ => {}
            }
        }
        Ok(None)
    }

    /// Reads the next `bytes` of the stream, which were there at `now`, and answers the requests that
    /// came to their end. Gives how to get out of a COPY FROM STDIN, if the server now waits for its
    /// data.
    pub(super) fn read(
        &mut self,
        bytes: &[u8],
        now: Instant,
        exchange: &mut Exchange,
    ) -> Result<Option<CopyIn>, Violation> {
        let copy_in = self.read_messages(bytes, now, exchange);
        exchange.hand_over(now);
        copy_in
    }

    fn read_messages(
        &mut self,
        bytes: &[u8],
        now: Instant,
        exchange: &mut Exchange,
    ) -> Result<Option<CopyIn>, Violation> {
        let mut rest = bytes;
        let mut copy_in = None;
        let Self { framing, notice, progress } = self;
        notice.keep_plans(exchange.keeps_plans);
        while let Some((tag, body)) = framing.next(&mut rest, exchange.keeps_rows(), notice)? {
            match tag {
                b'D' => {
                    progress.data_rows += 1;
                    if exchange.keeps_rows() && progress.reply.result.len() < KEPT_ROWS {
                        progress.reply.result.extend(row_of_data(body));
                    }
                }
                // ParseComplete, CloseComplete; BindComplete; CommandComplete; PortalSuspended, which
                // carries no count; EmptyQueryResponse
                b'1' | b'3' | b'2' | b'C' | b's' | b'I' => {
                    match tag {
                        b'1' | b'3' => progress.bound = false,
                        b'2' => progress.bound = true,
                        b'C' => progress.complete(rows_of_command_tag(body)),
                        b's' => progress.complete(progress.data_rows),
                        _ => progress.complete(0),
                    }
                    if exchange.completed() {
                        progress.answer_within(exchange, now)?;
                    }
                }
                // ParameterStatus
                b'S' => {
                    if let Some(encoding) = body.strip_prefix(b"client_encoding\0") {
                        exchange.foreign_encoding = encoding != b"UTF8\0";
                    }
                }
                b'N' => progress.note(notice.finish()),
                // RowDescription, NoData, ParameterDescription; notification; the stages of a COPY
                // TO STDOUT
                b'T' | b'n' | b't' | b'A' | b'H' | b'd' | b'c' => {}
                b'E' => {
                    let mut error = ServerError::parse(body);
                    error.before_execute = exchange.is_extended() && !progress.bound;
                    if error.severity_fatal {
                        exchange.note_fatal(error.clone());
                    }
                    let ends = exchange.stays_open() && !error.severity_fatal;
                    // The first one is the cause of the others.
                    progress.reply.error.get_or_insert(error);
                    if ends {
                        progress.answer_within(exchange, now)?;
                    }
                }
                b'G' => {
                    copy_in = Some(match exchange.unanswered() {
                        0 => return Err(Violation::Unasked),
                        1 if exchange.is_extended() && !exchange.stays_open() => CopyIn::Extended,
                        1 => CopyIn::Simple,
                        // The server takes the first message that is not COPY data for an error
                        // and drops it, so that the answers would no longer fit the requests.
                        _ => return Err(Violation::SentBehindCopy),
                    });
                }
                b'Z' => {
                    let status = body.first().copied().and_then(status_from_byte);
                    let (reply, timed) = progress.finish(status.ok_or(Violation::Type(tag))?);
                    if !exchange.answer(reply, timed, now) {
                        return Err(Violation::Unasked);
                    }
                }
                // CopyBothResponse (replication) among others
                other => return Err(Violation::Type(other)),
            }
        }
        Ok(copy_in)
    }
}

/// The answer to one request, so far.
#[derive(Debug, Default)]
struct Progress {
    reply: Reply,
    /// DataRows since the last command was completed.
    data_rows: u64,
    /// Whether a portal has been bound and not been run to its end.
    bound: bool,
    timed: Timed,
}

impl Progress {
    fn complete(&mut self, rows: u64) {
        self.reply.completed += 1;
        self.reply.rows += rows;
        self.data_rows = 0;
        self.bound = false;
    }

    /// Takes what a notice told.
    fn note(&mut self, notice: Option<Notice>) {
        match notice {
            Some(Notice::Duration(duration)) => {
                self.timed.count += 1;
                self.timed.sum = self.timed.sum.saturating_add(duration);
            }
            // One is enough: several are of a string of statements, where none tells which it is of.
            Some(Notice::Plan(text)) if self.reply.plan.is_none() => self.reply.plan = Some(text),
            Some(Notice::Plan(_)) | None => {}
        }
    }

    /// Answers a request that leaves its transaction open: of that nothing is told yet.
    fn answer_within(&mut self, exchange: &mut Exchange, now: Instant) -> Result<(), Violation> {
        let (reply, timed) = self.finish(exchange.status);
        if exchange.answer(reply, timed, now) { Ok(()) } else { Err(Violation::Unasked) }
    }

    fn finish(&mut self, status: TransactionStatus) -> (Reply, Timed) {
        let Self { reply, timed, .. } = std::mem::take(self);
        (Reply { status, ..reply }, timed)
    }
}

/// Cuts the stream into messages, wherever reads cut it. A body that nobody needs (above all a
/// row) is counted down, not stored.
#[derive(Debug, Default)]
struct Framing {
    header: [u8; 5],
    /// How many bytes of the header are there; 0 between messages.
    have: usize,
    /// How much of the body is still to come, once the header is whole.
    left: usize,
    /// The body, as far as it came in earlier reads and is needed.
    body: Vec<u8>,
}

impl Framing {
    /// Takes a whole message off `bytes`: its type and, where [`needs_body`] says so or it is a row
    /// that is kept, its body. `None` once `bytes` are used up; then their end is remembered. The body of
    /// a notice goes to `notice`.
    fn next<'s, 'b: 's>(
        &'s mut self,
        bytes: &mut &'b [u8],
        keeps_rows: bool,
        notice: &mut NoticeReader,
    ) -> Result<Option<(u8, &'s [u8])>, Violation> {
        // The common case: header and body are all there.
        if self.have == 0
            && let [tag, l0, l1, l2, l3, rest @ ..] = *bytes
        {
            let length = body_length([*l0, *l1, *l2, *l3])?;
            if let Some((body, rest)) = rest.split_at_checked(length) {
                *bytes = rest;
                if *tag == b'N' {
                    notice.read(body);
                }
                return Ok(Some((*tag, body)));
            }
        }
        self.next_of_pieces(bytes, keeps_rows, notice)
    }

    fn next_of_pieces<'s>(
        &'s mut self,
        bytes: &mut &[u8],
        keeps_rows: bool,
        notice: &mut NoticeReader,
    ) -> Result<Option<(u8, &'s [u8])>, Violation> {
        while self.have < self.header.len() {
            let Some((byte, rest)) = bytes.split_first() else { return Ok(None) };
            self.header[self.have] = *byte;
            self.have += 1;
            *bytes = rest;
            if self.have == self.header.len() {
                let [_, length @ ..] = self.header;
                self.left = body_length(length)?;
                self.body.clear();
            }
        }
        let tag = self.header[0];
        let (piece, rest) = bytes.split_at(self.left.min(bytes.len()));
        *bytes = rest;
        self.left -= piece.len();
        if tag == b'N' {
            notice.read(piece);
        } else if needs_body(tag) || (tag == b'D' && keeps_rows) {
            let room = KEPT_BODY - self.body.len();
            self.body.extend_from_slice(&piece[..piece.len().min(room)]);
        }
        if self.left > 0 {
            return Ok(None);
        }
        self.have = 0;
        Ok(Some((tag, &self.body)))
    }
}

fn needs_body(tag: u8) -> bool {
    matches!(tag, b'C' | b'E' | b'Z' | b'K' | b'S')
}

fn body_length(bytes: [u8; 4]) -> Result<usize, Violation> {
    let length = u32::from_be_bytes(bytes);
    // PostgreSQL's own limit on a message is 1 GB less one byte, as for every allocation.
    if (4..0x4000_0000).contains(&length) {
        Ok(length as usize - 4)
    } else {
        Err(Violation::Length(length))
    }
}
