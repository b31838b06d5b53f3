//! The wire to the server, which speaks more of the protocol than tokio-postgres lets its users say.
//!
//! tokio-postgres logs in, over a [`LoginStream`]. From then on the [`Wire`] is by itself, in a task
//! of its own. It
//!
//! - writes the requests, of which there may be any number under way (`exchange`);
//! - reads the answers (`incoming`), keeps what a [`Reply`](super::Reply) needs, hands it to whoever
//!   asked, and drops the rest: rows are never stored, a result of any size costs no memory;
//! - refuses the data of a COPY FROM STDIN, which no log holds;
//! - takes its leave of the server when its handle has gone and everything has been answered.
//!
//! It sits above TLS. An idle connection holds no buffer; tokio-postgres's own would keep 16 kB.
//!
//! The messages are those of <https://www.postgresql.org/docs/current/protocol-message-formats.html>.

#[cfg(any(test, feature = "fuzzing"))]
mod any_server;
mod exchange;
mod incoming;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Buf as _;
use postgres_protocol::message::frontend;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsStream};

#[cfg(any(test, feature = "fuzzing"))]
pub use any_server::any_answers;
pub(super) use exchange::{BackendKey, SharedExchange};
use incoming::Incoming;

/// How much is read at once: on the stack, so that an idle connection holds no buffer.
const READ: usize = 16 * 1024;

/// A stream to the server, and what is said on it.
pub(super) struct Wire<S> {
    stream: S,
    exchange: SharedExchange,
    incoming: Incoming,
}

/// Why there is nothing more to serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Served {
    /// The server has closed the connection.
    Closed,
    /// Nobody has anything to ask any more, and everything has been answered.
    Leaves,
}

impl<S> Wire<S> {
    pub(super) fn new(stream: S, exchange: SharedExchange) -> Self {
        Self { stream, exchange, incoming: Incoming::default() }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Serves the exchange for as long as the connection lasts.
    pub(super) async fn serve(mut self) {
        let served = match poll_fn(|cx| self.poll_serve(cx)).await {
            Ok(Served::Closed) => return,
            Ok(Served::Leaves) => {
                frontend::terminate(&mut self.exchange.borrow_mut().outgoing);
                poll_fn(|cx| self.poll_close(cx)).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = served {
            // The stream failed, or we failed to understand it.
            self.exchange.borrow_mut().end(&error.to_string());
        }
    }

    /// Lets a log-in pass, and takes from it what a cancel request needs.
    fn poll_read_login(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let bytes = &buffer.filled()[before..];
        let mut exchange = self.exchange.borrow_mut();
        let login = self.incoming.read_login(bytes, &mut exchange).map_err(io::Error::other)?;
        if let Some(login) = login {
            // What came behind it (a parameter status, say) may be half a message, whose other half
            // tokio-postgres will not be there to see.
            let now = Instant::now();
            self.incoming.read(&bytes[login..], now, &mut exchange).map_err(io::Error::other)?;
            buffer.set_filled(before + login);
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what there is to be written and takes the answers that are there, until one side has
    /// had enough.
    fn poll_serve(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Served>> {
        let mut space = [MaybeUninit::uninit(); READ];
        // Not for ever: Tokio's sockets become pending when a task has had its share.
        loop {
            // If it is pending, the stream wakes this same task when it can go on.
            if let Poll::Ready(result) = self.poll_send(cx) {
                result?;
            }
            // Not before: a COPY FROM STDIN could not be refused after the leave.
            if self.exchange.borrow().may_leave() {
                return Poll::Ready(Ok(Served::Leaves));
            }
            let mut read = ReadBuf::uninit(&mut space);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
            let mut exchange = self.exchange.borrow_mut();
            if read.filled().is_empty() {
                exchange.end("the server closed the connection");
                return Poll::Ready(Ok(Served::Closed));
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
        let mut exchange = self.exchange.borrow_mut();
        exchange.written_by(cx);
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

impl<S> Drop for Wire<S> {
    fn drop(&mut self) {
        self.exchange.borrow_mut().end("the connection was closed");
    }
}

/// What tokio-postgres is given to log in on. Clones share one wire.
pub(super) struct LoginStream<S>(Rc<RefCell<Option<Wire<S>>>>);

impl<S> Clone for LoginStream<S> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<S> LoginStream<S> {
    pub(super) fn on(wire: Wire<S>) -> Self {
        Self(Rc::new(RefCell::new(Some(wire))))
    }

    /// The wire, which no clone has from now on; `None` if it was taken before.
    pub(super) fn into_wire(self) -> Option<Wire<S>> {
        self.0.take()
    }

    /// Does something with the wire, as long as it is here.
    fn with<T>(
        &self,
        something: impl FnOnce(&mut Wire<S>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let mut wire = self.0.borrow_mut();
        let gone = || Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        wire.as_mut().map_or_else(gone, something)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for LoginStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.with(|wire| wire.poll_read_login(cx, buffer))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for LoginStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.with(|wire| Pin::new(&mut wire.stream).poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|wire| Pin::new(&mut wire.stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|wire| Pin::new(&mut wire.stream).poll_shutdown(cx))
    }
}

impl<S: TlsStream + Unpin> TlsStream for LoginStream<S> {
    fn channel_binding(&self) -> ChannelBinding {
        let wire = self.0.borrow();
        wire.as_ref().map_or_else(ChannelBinding::none, |wire| wire.stream.channel_binding())
    }
}
