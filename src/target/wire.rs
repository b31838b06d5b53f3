//! The wire tap: a stream between tokio-postgres and the server that speaks more of the protocol
//! than tokio-postgres lets its users say.
//!
//! Every request is a `Client::batch_execute`, hence one Query message of tokio-postgres and one
//! ReadyForQuery that ends it. The tap
//!
//! - writes a batch of the extended protocol in the place of a blank Query that stands for it
//!   (`outgoing`); the n-th Query is the n-th request, so nothing has to be marked;
//! - reads the answers (`incoming`), keeps what a [`Reply`](super::Reply) needs, hands it to whoever
//!   asked (`exchange`), and drops the rest: rows are never stored, a result of any size costs no
//!   memory. An ErrorResponse is dropped too, so that `batch_execute` ends at the ReadyForQuery;
//! - gives tokio-postgres nothing but the ReadyForQuerys, made anew: it does not look at the status
//!   byte, so how many are owed is all there is to keep;
//! - refuses the data of a COPY FROM STDIN, which no log holds.
//!
//! Until the log-in is through it lets everything pass. It sits above TLS.
//!
//! The messages are those of <https://www.postgresql.org/docs/current/protocol-message-formats.html>.

mod exchange;
mod incoming;
mod outgoing;
#[cfg(test)]
mod tests;

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsStream};

pub(super) use exchange::{BackendKey, Exchange};
use incoming::{Consequence, Incoming};
use outgoing::Outgoing;

/// How much is read at once: on the stack, so that an idle connection holds no buffer.
const READ: usize = 16 * 1024;

/// What tokio-postgres gets for every request.
const READY_FOR_QUERY: [u8; 6] = *b"Z\0\0\0\x05I";

/// Locks the exchange. Poisoning is passed over: an exchange is consistent between any two of its
/// methods, and a panic elsewhere must not turn into one here.
pub(super) fn lock(exchange: &Mutex<Exchange>) -> MutexGuard<'_, Exchange> {
    exchange.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The stream that tokio-postgres is given in the place of `S`.
#[derive(Debug)]
pub(super) struct Tap<S> {
    stream: S,
    exchange: Arc<Mutex<Exchange>>,
    logged_in: bool,
    incoming: Incoming,
    outgoing: Outgoing,
    /// How many bytes of ReadyForQuery messages tokio-postgres is still owed.
    owed: usize,
}

impl<S> Tap<S> {
    pub fn new(stream: S, exchange: Arc<Mutex<Exchange>>) -> Self {
        Self {
            stream,
            exchange,
            logged_in: false,
            incoming: Incoming::default(),
            outgoing: Outgoing::default(),
            owed: 0,
        }
    }

    /// Pays tokio-postgres what it is owed, as far as there is room.
    fn pay(&mut self, buffer: &mut ReadBuf<'_>) {
        const LENGTH: usize = READY_FOR_QUERY.len();
        while self.owed > 0 && buffer.remaining() > 0 {
            // Where the last payment may have stopped in the middle of a message.
            let start = (LENGTH - self.owed % LENGTH) % LENGTH;
            let piece = &READY_FOR_QUERY[start..];
            let piece = &piece[..piece.len().min(buffer.remaining())];
            buffer.put_slice(piece);
            self.owed -= piece.len();
        }
    }

    /// The stream failed, or we failed to understand it.
    fn fail(&self, error: io::Error) -> io::Error {
        lock(&self.exchange).end(&error.to_string());
        error
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Tap<S> {
    fn poll_read_login(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let bytes = &buffer.filled()[before..];
        let mut exchange = lock(&self.exchange);
        let login = self.incoming.read_login(bytes, &mut exchange).map_err(io::Error::other)?;
        if let Some(login) = login {
            self.logged_in = true;
            // What came behind it (a parameter status, say) may be half a message, of which
            // tokio-postgres would never see the other half.
            self.incoming.read(&bytes[login..], &mut exchange).map_err(io::Error::other)?;
            buffer.set_filled(before + login);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_read_answers(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Goes on until there is something to pay: an empty read would be the end of the stream.
        // Not for ever: Tokio's sockets become pending when a task has had its share.
        while self.owed == 0 {
            let mut space = [MaybeUninit::uninit(); READ];
            let mut read = ReadBuf::uninit(&mut space);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                lock(&self.exchange).end("the server closed the connection");
                return Poll::Ready(Ok(()));
            }
            let Consequence { ready, copy_in } = self
                .incoming
                .read(read.filled(), &mut lock(&self.exchange))
                .map_err(io::Error::other)?;
            self.owed += ready * READY_FOR_QUERY.len();
            if let Some(copy) = copy_in {
                self.outgoing.refuse_copy(copy)?;
                // Here, since tokio-postgres has nothing to write that would lead to a flush. If
                // it is pending, the stream wakes this same task when it can go on, and
                // tokio-postgres flushes whenever it is woken.
                if let Poll::Ready(result) = self.poll_send(cx) {
                    result?;
                }
            }
        }
        self.pay(buffer);
        Poll::Ready(Ok(()))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.outgoing.poll_drain(&mut self.stream, cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_write_requests(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.outgoing.is_full() {
            ready!(self.outgoing.poll_drain(&mut self.stream, cx))?;
        }
        Poll::Ready(self.outgoing.take(bytes, &mut lock(&self.exchange)))
    }

    /// Closes our side and waits for the server to close its own, which it does last of all, when
    /// the backend has let go of everything.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.outgoing.poll_drain(&mut self.stream, cx))?;
        ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        loop {
            let mut space = [MaybeUninit::uninit(); 512];
            let mut read = ReadBuf::uninit(&mut space);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Tap<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let tap = self.get_mut();
        let read = if tap.logged_in {
            tap.poll_read_answers(cx, buffer)
        } else {
            tap.poll_read_login(cx, buffer)
        };
        read.map_err(|error| tap.fail(error))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Tap<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let tap = self.get_mut();
        let written = if tap.logged_in {
            tap.poll_write_requests(cx, bytes)
        } else {
            Pin::new(&mut tap.stream).poll_write(cx, bytes)
        };
        written.map_err(|error| tap.fail(error))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let tap = self.get_mut();
        tap.poll_send(cx).map_err(|error| tap.fail(error))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_close(cx)
    }
}

impl<S: TlsStream + Unpin> TlsStream for Tap<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.stream.channel_binding()
    }
}

impl<S> Drop for Tap<S> {
    fn drop(&mut self) {
        lock(&self.exchange).end("the connection was closed");
    }
}
