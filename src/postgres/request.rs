//! What is asked of the server: one request is what gets one answer.

use std::io;

use bytes::{BufMut, BytesMut};
use postgres_protocol::IsNull;
use postgres_protocol::message::frontend::{self, BindError};

/// What the server answers with one ReadyForQuery, or within a pipeline as [`Batch::leave_open`] says.
#[derive(Debug)]
pub enum Request<'a> {
    /// A simple query: one or more statements in one string, one implicit transaction.
    Simple(&'a str),
    /// Messages of the extended protocol under one Sync.
    Batch(Batch),
}

impl Request<'_> {
    /// Whether the server answers in the extended protocol.
    pub(super) fn is_extended(&self) -> bool {
        matches!(self, Self::Batch(batch) if !batch.unsendable)
    }

    /// After how many completions it is answered; `None`: ReadyForQuery has to come.
    pub(super) fn completions(&self) -> Option<u32> {
        match self {
            Self::Batch(batch) if batch.stays_open() => Some(batch.completions),
            Self::Batch(_) | Self::Simple(_) => None,
        }
    }

    /// How many durations a server tells for it that tells any: for a simple query one, of a batch one
    /// for each Parse, Bind and Execute.
    pub(super) fn timed(&self) -> u32 {
        match self {
            Self::Batch(batch) => batch.timed,
            Self::Simple(_) => 1,
        }
    }

    /// Writes its messages, up to and including a batch's Sync or Flush.
    pub(super) fn write_to(self, buffer: &mut BytesMut) {
        match self {
            Self::Simple(sql) => {
                let start = buffer.len();
                if frontend::query(sql, buffer).is_err() {
                    buffer.truncate(start);
                    put_malformed(buffer);
                }
            }
            Self::Batch(batch) => batch.write_to(buffer),
        }
    }
}

/// What becomes of the rows that a request returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResultRows {
    /// They are thrown away as they come: a result of any size costs no memory.
    Drop,
    /// They are kept for the answer, up to a bound: [`Reply::result`](super::Reply::result).
    Keep,
}

/// Messages of the extended protocol that share a Sync: one implicit transaction outside of an
/// explicit one. After an error the server skips the rest of them.
///
/// The Sync itself is added when the batch is sent, unless it leaves its transaction open.
#[derive(Clone)]
pub struct Batch {
    messages: BytesMut,
    /// How many of its messages are answered by a completion.
    completions: u32,
    /// How many of them the server times.
    timed: u32,
    is_open: bool,
    unsendable: bool,
}

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}

// Not derived: the messages hold the parameters, which no log may show.
impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batch").field("bytes", &self.messages.len()).finish_non_exhaustive()
    }
}

impl Batch {
    /// A batch of nothing.
    pub fn new() -> Self {
        Self {
            messages: BytesMut::new(),
            completions: 0,
            timed: 0,
            is_open: false,
            unsendable: false,
        }
    }

    /// Whether nothing has been added.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty() && !self.unsendable
    }

    /// Parse: prepares `sql` under `name` (empty: the unnamed statement, replaced by the next
    /// one). A type of 0, or one that is missing at the end, is left to the server to infer.
    pub fn parse(&mut self, name: &str, sql: &str, types: &[u32]) -> &mut Self {
        // Room for the Bind, Execute and Sync that follow, too: one allocation for most batches.
        self.messages.reserve(name.len() + sql.len() + 128);
        let written = frontend::parse(name, sql, types.iter().copied(), &mut self.messages);
        self.timed += 1;
        self.note(written)
    }

    /// Bind: makes `portal` (empty: the unnamed one) of the prepared `statement`, with parameters
    /// in text format. Results are asked for in text format too.
    pub fn bind<P: AsRef<str>>(
        &mut self,
        portal: &str,
        statement: &str,
        params: &[Option<P>],
    ) -> &mut Self {
        let text = |value: &Option<P>, buffer: &mut BytesMut| match value {
            Some(value) => {
                buffer.put_slice(value.as_ref().as_bytes());
                Ok(IsNull::No)
            }
            None => Ok(IsNull::Yes),
        };
        // No format codes: everything is text.
        self.timed += 1;
        let written = frontend::bind(portal, statement, [], params, text, [], &mut self.messages);
        self.note(written.map_err(|error| match error {
            BindError::Conversion(_) => io::Error::from(io::ErrorKind::InvalidInput),
            BindError::Serialization(error) => error,
        }))
    }

    /// Execute: runs `portal`, until it has returned `max_rows` rows or to its end (0).
    pub fn execute(&mut self, portal: &str, max_rows: u32) -> &mut Self {
        // The wire knows no more than i32; what is beyond that is no limit at all.
        let max_rows = i32::try_from(max_rows).unwrap_or(0);
        let written = frontend::execute(portal, max_rows, &mut self.messages);
        self.timed += 1;
        self.note(written)
    }

    /// Close of a prepared statement; no error where there is none of that name.
    pub fn close_statement(&mut self, name: &str) -> &mut Self {
        let written = frontend::close(b'S', name, &mut self.messages);
        self.note(written)
    }

    /// Close of a portal; no error where there is none of that name.
    pub fn close_portal(&mut self, name: &str) -> &mut Self {
        let written = frontend::close(b'P', name, &mut self.messages);
        self.note(written)
    }

    /// Parse, Bind and Execute of `sql` without parameters, all unnamed: `BEGIN`, `COMMIT`, …
    pub fn command(&mut self, sql: &str) -> &mut Self {
        self.parse("", sql, &[]).bind::<&str>("", "", &[]).execute("", 0)
    }

    /// Nothing ends its implicit transaction: a Flush takes the place of the Sync. It is answered when
    /// the last of its messages is, or when one has failed; from then on the server skips everything
    /// up to a Sync. A batch of nothing is synced all the same.
    ///
    /// That last message is a Close of nothing: what the server tells of the duration of the one
    /// before it comes behind its completion, and so before this one's.
    pub fn leave_open(&mut self) -> &mut Self {
        self.is_open = true;
        if self.is_empty() { self } else { self.close_portal(NO_PORTAL) }
    }

    fn stays_open(&self) -> bool {
        self.is_open && self.completions > 0 && !self.unsendable
    }

    fn note(&mut self, written: io::Result<()>) -> &mut Self {
        self.completions += 1;
        self.unsendable |= written.is_err();
        self
    }

    fn write_to(mut self, buffer: &mut BytesMut) {
        if self.unsendable {
            return put_malformed(buffer);
        }
        if self.stays_open() {
            frontend::flush(&mut self.messages);
        } else {
            frontend::sync(&mut self.messages);
        }
        buffer.extend_from_slice(&self.messages);
    }
}

/// The name of a portal that there is not.
const NO_PORTAL: &str = "kreplay: none";

/// Stands for a request that the protocol can't carry (a NUL byte in a text, more than 65,535
/// parameters): a Query with one byte too many. The server refuses it with 08P01, which aborts an
/// open transaction and leaves the connection usable, just as for any statement that it can't make
/// sense of. Better than an error of our own, of which the server's transaction would know nothing.
fn put_malformed(buffer: &mut BytesMut) {
    buffer.put_u8(b'Q');
    buffer.put_i32(6);
    buffer.put_slice(b"\0\0");
}

#[cfg(test)]
mod tests;
