//! The wire tap: a stream between tokio-postgres and the server that speaks more of the protocol
//! than tokio-postgres lets its users say.
//!
//! tokio-postgres logs in and, at the end, takes its leave. In between it is kept out: the tap
//!
//! - writes the requests, of which there may be any number under way (`exchange`);
//! - reads the answers (`incoming`), keeps what a [`Reply`](super::Reply) needs, hands it to whoever
//!   asked, and drops the rest: rows are never stored, a result of any size costs no memory;
//! - refuses the data of a COPY FROM STDIN, which no log holds;
//! - gives tokio-postgres nothing to read but the stream's end. Its task polls the tap for that, and
//!   this is when the tap does all of the above.
//!
//! Until the log-in is through it lets everything pass. It sits above TLS.
//!
//! The messages are those of <https://www.postgresql.org/docs/current/protocol-message-formats.html>.

mod exchange;
mod incoming;
#[cfg(test)]
mod tests;

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Buf as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsStream};

pub(super) use exchange::{BackendKey, Exchange};
use incoming::Incoming;

/// How much is read at once: on the stack, so that an idle connection holds no buffer.
const READ: usize = 16 * 1024;

/// Locks the exchange. Poisoning is passed over: an exchange is consistent between any two of its
/// methods, and a panic elsewhere must not turn into one here.
pub(super) fn lock(exchange: &Mutex<Exchange>) -> MutexGuard<'_, Exchange> {
    exchange.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The stream that tokio-postgres is given in the place of `S`.
pub(super) struct Tap<S> {
    stream: S,
    exchange: Arc<Mutex<Exchange>>,
    logged_in: bool,
    incoming: Incoming,
}

impl<S> Tap<S> {
    pub fn new(stream: S, exchange: Arc<Mutex<Exchange>>) -> Self {
        Self { stream, exchange, logged_in: false, incoming: Incoming::default() }
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
            let now = Instant::now();
            self.incoming.read(&bytes[login..], now, &mut exchange).map_err(io::Error::other)?;
            buffer.set_filled(before + login);
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what there is to be written and takes the answers that are there, until the server
    /// closes the connection.
    fn poll_serve(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut space = [MaybeUninit::uninit(); READ];
        // Not for ever: Tokio's sockets become pending when a task has had its share.
        loop {
            // If it is pending, the stream wakes this same task when it can go on.
            if let Poll::Ready(result) = self.poll_send(cx) {
                result?;
            }
            let mut read = ReadBuf::uninit(&mut space);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
            let mut exchange = lock(&self.exchange);
            if read.filled().is_empty() {
                exchange.end("the server closed the connection");
                return Poll::Ready(Ok(()));
            }
            let now = Instant::now();
            let copy =
                self.incoming.read(read.filled(), now, &mut exchange).map_err(io::Error::other)?;
            if let Some(copy) = copy {
                copy.refuse(&mut exchange.outgoing)?;
            }
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut exchange = lock(&self.exchange);
        if exchange.writer.as_ref().is_none_or(|writer| !writer.will_wake(cx.waker())) {
            exchange.writer = Some(cx.waker().clone());
        }
        if !exchange.outgoing.is_empty() {
            exchange.writes(Instant::now());
        }
        while !exchange.outgoing.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &exchange.outgoing))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            exchange.outgoing.advance(written);
        }
        drop(exchange);
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Takes what tokio-postgres says: its leave, which has to wait until everything that was asked
    /// before has been answered. A COPY FROM STDIN could not be refused after it.
    fn poll_take_leave(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if lock(&self.exchange).unanswered() > 0 {
            if let Poll::Ready(result) = self.poll_serve(cx) {
                result?;
            }
            if lock(&self.exchange).unanswered() > 0 {
                return Poll::Pending;
            }
        }
        lock(&self.exchange).outgoing.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    /// Closes our side and waits for the server to close its own, which it does last of all, when
    /// the backend has let go of everything.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
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
        let read = if tap.logged_in { tap.poll_serve(cx) } else { tap.poll_read_login(cx, buffer) };
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
            tap.poll_take_leave(cx, bytes)
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
