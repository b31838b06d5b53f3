//! Writes what goes to the server: whole messages of tokio-postgres, or batches in their place.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use postgres_protocol::message::frontend;
use tokio::io::AsyncWrite;

use super::exchange::Exchange;
use super::incoming::CopyIn;

/// How much is buffered before more is taken. A batch is put in whole, so the buffer holds at the
/// most this and one batch.
const FULL: usize = 64 * 1024;

/// The frontend messages on their way to the server, cut wherever tokio-postgres's writes cut
/// them.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    buffer: BytesMut,
    header: [u8; 5],
    /// How many bytes of the header are there; 0 between messages.
    have: usize,
    /// How much of the body is still to come.
    left: usize,
    /// The message stands for a batch and is dropped.
    replaced: bool,
}

impl Outgoing {
    /// Whether it has to be drained before it takes more.
    pub fn is_full(&self) -> bool {
        self.buffer.len() >= FULL
    }

    /// Takes `bytes` until it is full; gives how many it took, at least one unless it was full.
    pub fn take(&mut self, bytes: &[u8], exchange: &mut Exchange) -> io::Result<usize> {
        let mut rest = bytes;
        while !rest.is_empty() && !self.is_full() {
            if self.left > 0 {
                let (piece, after) = rest.split_at(self.left.min(rest.len()).min(FULL));
                if !self.replaced {
                    self.buffer.extend_from_slice(piece);
                }
                self.left -= piece.len();
                rest = after;
                continue;
            }
            let (piece, after) = rest.split_at((self.header.len() - self.have).min(rest.len()));
            self.header[self.have..self.have + piece.len()].copy_from_slice(piece);
            self.have += piece.len();
            rest = after;
            if self.have == self.header.len() {
                self.have = 0;
                self.start_message(exchange)?;
            }
        }
        Ok(bytes.len() - rest.len())
    }

    fn start_message(&mut self, exchange: &mut Exchange) -> io::Result<()> {
        let [tag, length @ ..] = self.header;
        self.left = (u32::from_be_bytes(length) as usize)
            .checked_sub(4)
            .ok_or(io::ErrorKind::InvalidInput)?;
        let batch = match tag {
            b'Q' => exchange
                .write_next()
                .ok_or_else(|| io::Error::other("a query that nobody asked for"))?,
            _ => None,
        };
        self.replaced = batch.is_some();
        match batch {
            Some(batch) if self.buffer.is_empty() => self.buffer = batch,
            Some(batch) => self.buffer.extend_from_slice(&batch),
            None => self.buffer.extend_from_slice(&self.header),
        }
        Ok(())
    }

    /// Refuses the data of a COPY FROM STDIN. To be called between messages only, which is where
    /// it stands when the only request under way has been answered with CopyInResponse.
    pub fn refuse_copy(&mut self, copy: CopyIn) -> io::Result<()> {
        frontend::copy_fail("COPY data is not in the log", &mut self.buffer)?;
        if copy == CopyIn::Extended {
            frontend::sync(&mut self.buffer);
        }
        Ok(())
    }

    /// Writes everything to `stream`. Does not flush it.
    pub fn poll_drain<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.buffer.is_empty() {
            let written = ready!(Pin::new(&mut *stream).poll_write(cx, &self.buffer))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.buffer.advance(written);
        }
        // One long statement does not cost its length for the rest of the session.
        if self.buffer.capacity() > 2 * FULL {
            self.buffer = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}
