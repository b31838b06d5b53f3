//! Opens the byte stream to the server: TCP, TCP with TLS, or a Unix socket.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::{ConnectError, TargetError};
use super::settings::{Host, SslMode, TargetSettings};
use super::tls;
use super::wire::BackendKey;

type Encrypted = <MakeRustlsConnect as MakeTlsConnect<TcpStream>>::Stream;

/// A stream to the server, encrypted or not.
pub(super) enum Transport {
    Tcp(TcpStream),
    // Boxed: a TLS session is ten times the size of a socket.
    Tls(Box<Encrypted>),
    Unix(UnixStream),
}

/// How streams to the server are opened.
pub(super) struct Network {
    settings: TargetSettings,
    tls: Option<MakeRustlsConnect>,
}

/// Where a stream leads: one of the addresses of a host.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    pub host: Host,
    /// `None`: the Unix socket.
    pub socket: Option<SocketAddr>,
}

/// Whether a stream is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encryption {
    /// No.
    Without,
    /// If the server can.
    IfOffered,
    /// Yes, or there is no stream.
    Required,
}

impl Network {
    pub(super) fn new(settings: TargetSettings) -> Result<Self, TargetError> {
        let tls = tls::connector(&settings)?;
        Ok(Self { settings, tls })
    }

    /// What was set.
    pub(super) fn settings(&self) -> &TargetSettings {
        &self.settings
    }

    /// Runs `opening`, at `host`, for as long as opening a connection may take.
    pub(super) async fn in_time<T>(
        &self,
        host: &Host,
        opening: impl Future<Output = Result<T, ConnectError>>,
    ) -> Result<T, ConnectError> {
        let after = self.settings.connect_timeout;
        if after.is_zero() {
            return opening.await;
        }
        tokio::time::timeout(after, opening)
            .await
            .unwrap_or_else(|_| Err(ConnectError::Timeout { address: host.address(), after }))
    }

    /// Looks a host's addresses up.
    pub(super) async fn endpoints(&self, host: &Host) -> Result<Vec<Endpoint>, ConnectError> {
        let endpoint = |socket| Endpoint { host: host.clone(), socket };
        if let Some(address) = host.address {
            return Ok(vec![endpoint(Some(SocketAddr::new(address, host.port)))]);
        }
        if host.is_unix() {
            return Ok(vec![endpoint(None)]);
        }
        let unreachable = |source| ConnectError::Unreachable { address: host.address(), source };
        let looked_up = self.in_time(host, async {
            tokio::net::lookup_host((host.name.as_str(), host.port)).await.map_err(unreachable)
        });
        let endpoints: Vec<_> = looked_up.await?.map(|address| endpoint(Some(address))).collect();
        if endpoints.is_empty() {
            let failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
            return Err(unreachable(failure));
        }
        Ok(endpoints)
    }

    /// Opens a stream and, where that is due, encrypts it.
    pub(super) async fn open(
        &self,
        endpoint: &Endpoint,
        encryption: Encryption,
    ) -> Result<Transport, ConnectError> {
        let Some(address) = endpoint.socket else {
            let socket = UnixStream::connect(endpoint.host.address()).await;
            return socket.map(Transport::Unix).map_err(|error| endpoint.unreachable(error));
        };
        let plain = self.open_tcp(endpoint, address).await?;
        let Some(tls) = self.tls.as_ref().filter(|_| encryption != Encryption::Without) else {
            return Ok(Transport::Tcp(plain));
        };
        match self.encrypt(endpoint, plain, tls.clone(), encryption).await {
            // As libpq does: a server whose TLS is broken is a server without.
            Err(ConnectError::Tls { .. }) if encryption == Encryption::IfOffered => {
                self.open_tcp(endpoint, address).await.map(Transport::Tcp)
            }
            result => result,
        }
    }

    /// Asks the server to cancel what the backend of `key` is running. Gives once the server has
    /// passed that on to the backend, which it says by closing the connection.
    pub(super) async fn cancel(
        &self,
        endpoint: &Endpoint,
        key: BackendKey,
    ) -> Result<(), ConnectError> {
        self.in_time(&endpoint.host, async {
            let (encryption, _) = self.settings.sslmode.encryptions();
            let mut stream = self.open(endpoint, encryption).await?;
            let mut request = BytesMut::new();
            frontend::cancel_request(key.pid, key.secret, &mut request);
            let sent = async {
                stream.write_all(&request).await?;
                stream.flush().await
            };
            sent.await.map_err(|error| endpoint.unreachable(error))?;
            // However it ends: the server does not say whether it found something to cancel.
            let _ = stream.read_to_end(&mut Vec::new()).await;
            Ok(())
        })
        .await
    }

    async fn open_tcp(
        &self,
        endpoint: &Endpoint,
        address: SocketAddr,
    ) -> Result<TcpStream, ConnectError> {
        let opened = async {
            let stream = TcpStream::connect(address).await?;
            self.tune(&stream)?;
            Ok(stream)
        };
        opened.await.map_err(|error| endpoint.unreachable(error))
    }

    /// Without these a server that vanishes (power, cable) is waited for for hours.
    fn tune(&self, stream: &TcpStream) -> io::Result<()> {
        let set = |duration: Duration| (!duration.is_zero()).then_some(duration);
        let settings = &self.settings;
        stream.set_nodelay(true)?;
        let socket = SockRef::from(stream);
        if settings.keepalives {
            let mut keepalive = TcpKeepalive::new();
            if let Some(idle) = set(settings.keepalives_idle) {
                keepalive = keepalive.with_time(idle);
            }
            if let Some(interval) = set(settings.keepalives_interval) {
                keepalive = keepalive.with_interval(interval);
            }
            if settings.keepalives_count > 0 {
                keepalive = keepalive.with_retries(settings.keepalives_count);
            }
            socket.set_tcp_keepalive(&keepalive)?;
        }
        #[cfg(target_os = "linux")]
        if let Some(timeout) = set(settings.tcp_user_timeout) {
            socket.set_tcp_user_timeout(Some(timeout))?;
        }
        Ok(())
    }

    async fn encrypt(
        &self,
        endpoint: &Endpoint,
        mut stream: TcpStream,
        mut tls: MakeRustlsConnect,
        encryption: Encryption,
    ) -> Result<Transport, ConnectError> {
        if !self.settings.direct_tls && !ask_for_tls(endpoint, &mut stream).await? {
            return match encryption {
                Encryption::Required => {
                    Err(ConnectError::TlsUnsupported { address: endpoint.host.address() })
                }
                Encryption::IfOffered | Encryption::Without => Ok(Transport::Tcp(stream)),
            };
        }
        // A host name that no certificate can be made out to is verified by none; its address
        // stands in for it where nobody asks.
        let peer = stream.peer_addr().map_err(|error| endpoint.unreachable(error))?.ip();
        let host = endpoint.host.name.as_str();
        let connect = MakeTlsConnect::<TcpStream>::make_tls_connect(&mut tls, host)
            .or_else(|_| MakeTlsConnect::<TcpStream>::make_tls_connect(&mut tls, &peer.to_string()))
            .map_err(|error| endpoint.tls_failed(io::Error::other(error)))?;
        let encrypted =
            connect.connect(stream).await.map_err(|error| endpoint.tls_failed(error))?;
        Ok(Transport::Tls(Box::new(encrypted)))
    }
}

/// Whether the server will have TLS.
async fn ask_for_tls(endpoint: &Endpoint, stream: &mut TcpStream) -> Result<bool, ConnectError> {
    let mut request = BytesMut::new();
    frontend::ssl_request(&mut request);
    // One byte and no more: what follows is the handshake's.
    let mut answer = [0];
    let asked = async {
        stream.write_all(&request).await?;
        stream.read_exact(&mut answer).await
    };
    asked.await.map_err(|error| endpoint.unreachable(error))?;
    Ok(answer == *b"S")
}

impl Endpoint {
    fn unreachable(&self, source: io::Error) -> ConnectError {
        ConnectError::Unreachable { address: self.host.address(), source }
    }

    fn tls_failed(&self, source: io::Error) -> ConnectError {
        ConnectError::Tls { address: self.host.address(), source }
    }
}

impl SslMode {
    /// What to try, and what to try then where the server refuses that.
    pub(super) fn encryptions(self) -> (Encryption, Option<Encryption>) {
        match self {
            Self::Disable => (Encryption::Without, None),
            Self::Allow => (Encryption::Without, Some(Encryption::IfOffered)),
            Self::Prefer => (Encryption::IfOffered, Some(Encryption::Without)),
            Self::Require | Self::VerifyCa | Self::VerifyFull => (Encryption::Required, None),
        }
    }
}

/// Stands in for the TLS handshake of tokio-postgres: the stream is encrypted already, or need not
/// be. Used with its "direct" negotiation, in which it asks the server nothing; that way it gets
/// to know the channel binding of the encrypted stream.
pub(super) struct Opened;

impl<S: TlsStream + Unpin> TlsConnect<S> for Opened {
    type Stream = S;
    type Error = Infallible;
    type Future = Ready<Result<S, Infallible>>;

    fn connect(self, stream: S) -> Self::Future {
        ready(Ok(stream))
    }
}

impl TlsStream for Transport {
    fn channel_binding(&self) -> ChannelBinding {
        match self {
            Self::Tls(stream) => stream.channel_binding(),
            Self::Tcp(_) | Self::Unix(_) => ChannelBinding::none(),
        }
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
