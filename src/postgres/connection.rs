//! Connections to the target: one for each replayed session.

use std::error::Error as _;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use secrecy::ExposeSecret as _;
use tokio::task::JoinHandle;
use tokio_postgres::config::{
    ChannelBinding as TokioChannelBinding, SslMode as TokioSslMode, SslNegotiation,
};
use tokio_postgres::{Client, Config};

use super::credentials::{Key, PasswordFile};
use super::error::{CancelError, ConnectError, ObserveError, TargetError, chain};
use super::observer::{Observer, Route};
use super::reply::{Lost, Reply, ServerError};
use super::request::{Request, ResultRows};
use super::settings::{ChannelBinding, TargetSessionAttrs, TargetSettings};
use super::transport::{Encryption, Endpoint, Network, Opened, Transport};
use super::wire::{LoginStream, SharedExchange, Wire};
use crate::replay::session::request::TransactionStatus;
use crate::replay::settings::Login;

/// How long [`Connection::close`] waits for the server.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The server that is replayed on. Opens connections; cheap to clone.
#[derive(Clone)]
pub struct Target {
    network: Arc<Network>,
    passwords: Arc<PasswordFile>,
}

impl Target {
    /// Checks the settings and reads the files that they name; connects to nothing.
    pub fn new(settings: TargetSettings) -> Result<Self, TargetError> {
        let passwords = match settings.password {
            Some(_) => PasswordFile::default(),
            None => PasswordFile::load(settings.passfile.as_deref()),
        };
        Ok(Self { network: Arc::new(Network::new(settings)?), passwords: Arc::new(passwords) })
    }

    /// `host:port`, or the path of the Unix socket; of several servers all.
    pub fn address(&self) -> String {
        self.network.settings().address()
    }

    /// Opens a connection for a session.
    ///
    /// To be called in a `LocalSet` of Tokio, as each arbiter of actix is, which the connection then
    /// lives on.
    pub async fn connect(&self, login: &Login) -> Result<Connection, ConnectError> {
        self.network
            .connect_to_first(async |endpoint, encryption, wanted| {
                let connection = self.connect_at(endpoint, encryption, login).await?;
                let Some(sql) = self.network.settings().suitability(wanted) else {
                    return Ok(connection);
                };
                let ended = |reason: String| ended(endpoint, reason);
                let reply = connection.run(Request::Simple(sql)).await;
                let reply = reply.map_err(|lost| ended(lost.reason.to_string()))?;
                match reply.error {
                    Some(error) => Err(refused(endpoint, login, error)),
                    None if reply.rows == 0 => Err(unsuitable(endpoint, wanted)),
                    None => Ok(connection),
                }
            })
            .await
    }

    async fn connect_at(
        &self,
        endpoint: &Endpoint,
        encryption: Encryption,
        login: &Login,
    ) -> Result<Connection, ConnectError> {
        let exchange = SharedExchange::default();
        let transport = self.network.open(endpoint, encryption).await?;
        let stream = LoginStream::on(Wire::new(transport, exchange.clone()));
        let config = self.config(endpoint, login);
        let logged_in = config.connect_raw(stream.clone(), Opened).await;
        // What tokio-postgres keeps for a client of its own is dropped with what this holds.
        drop(logged_in.map_err(|error| login_failed(endpoint, login, &error))?);
        let wire = stream
            .into_wire()
            .ok_or_else(|| ended(endpoint, "the log-in has kept the connection".to_owned()))?;
        // It ends by itself, and notes why.
        let driver = tokio::task::spawn_local(wire.serve());
        let network = Arc::clone(&self.network);
        Ok(Connection { exchange, driver, network, endpoint: endpoint.clone() })
    }

    /// Opens a connection that looks at the server from outside the sessions.
    pub async fn observe(&self, login: &Login) -> Result<Observer, ConnectError> {
        self.network
            .connect_to_first(async |endpoint, encryption, wanted| {
                let client = self.observe_at(endpoint, encryption, login).await?;
                let failed = |error| match error {
                    ObserveError::Refused(error) => refused(endpoint, login, error),
                    ObserveError::Lost(lost) => ended(endpoint, lost.reason.to_string()),
                };
                if let Some(sql) = self.network.settings().suitability(wanted) {
                    let rows = client.query(sql, &[]).await;
                    let rows = rows.map_err(|error| failed(error.into()))?;
                    if rows.is_empty() {
                        return Err(unsuitable(endpoint, wanted));
                    }
                }
                let (network, endpoint) = (Arc::clone(&self.network), endpoint.clone());
                let route = Box::new(Route { network, endpoint, encryption });
                Observer::new(client, route).await.map_err(failed)
            })
            .await
    }

    async fn observe_at(
        &self,
        endpoint: &Endpoint,
        encryption: Encryption,
        login: &Login,
    ) -> Result<Client, ConnectError> {
        let transport: Transport = self.network.open(endpoint, encryption).await?;
        let config = self.config(endpoint, login);
        let logged_in = config.connect_raw(transport, Opened).await;
        let (client, connection) =
            logged_in.map_err(|error| login_failed(endpoint, login, &error))?;
        tokio::spawn(connection);
        Ok(client)
    }

    fn config(&self, endpoint: &Endpoint, login: &Login) -> Config {
        let settings = self.network.settings();
        let mut config = Config::new();
        config
            .user(&login.user)
            .dbname(&login.database)
            .application_name(&login.application_name)
            // See `Opened`.
            .ssl_mode(TokioSslMode::Require)
            .ssl_negotiation(SslNegotiation::Direct)
            .channel_binding(match settings.channel_binding {
                ChannelBinding::Disable => TokioChannelBinding::Disable,
                ChannelBinding::Prefer => TokioChannelBinding::Prefer,
                ChannelBinding::Require => TokioChannelBinding::Require,
            });
        if let Some(options) = settings.startup_options() {
            config.options(options);
        }
        let key = Key {
            host: &endpoint.host.name,
            port: endpoint.host.port,
            database: &login.database,
            user: &login.user,
        };
        if let Some(password) = settings.password.clone().or_else(|| self.passwords.find(key)) {
            config.password(password.expose_secret());
        }
        config
    }
}

fn login_failed(endpoint: &Endpoint, login: &Login, error: &tokio_postgres::Error) -> ConnectError {
    let address = endpoint.host.address();
    if let Some(error) = error.as_db_error() {
        return refused(endpoint, login, error.into());
    }
    let transient = |error: &io::Error| {
        matches!(
            error.kind(),
            io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe
                | io::ErrorKind::UnexpectedEof
                | io::ErrorKind::TimedOut
        )
    };
    let cause = error.source();
    if error.is_closed() || cause.and_then(|e| e.downcast_ref()).is_some_and(transient) {
        return ended(endpoint, chain(error));
    }
    let (user, database) = (login.user.clone(), login.database.clone());
    // tokio-postgres has no other way of saying it.
    if cause.is_some_and(|cause| cause.to_string() == "password missing") {
        return ConnectError::PasswordMissing { address, user, database };
    }
    ConnectError::Authentication { address, user, database, reason: chain(error) }
}

fn refused(endpoint: &Endpoint, login: &Login, error: ServerError) -> ConnectError {
    ConnectError::Refused {
        address: endpoint.host.address(),
        user: login.user.clone(),
        database: login.database.clone(),
        error: Box::new(error),
    }
}

fn ended(endpoint: &Endpoint, reason: String) -> ConnectError {
    ConnectError::Ended { address: endpoint.host.address(), reason }
}

fn unsuitable(endpoint: &Endpoint, wanted: TargetSessionAttrs) -> ConnectError {
    ConnectError::Unsuitable { address: endpoint.host.address(), wanted: wanted.into() }
}

/// A connection to the target.
///
/// Dropped, it sends what was asked for, ends the session, and waits for neither;
/// [`close`](Self::close) waits.
pub struct Connection {
    exchange: SharedExchange,
    driver: JoinHandle<()>,
    network: Arc<Network>,
    /// Where it leads, for whoever wants to cancel.
    endpoint: Endpoint,
}

impl Connection {
    /// The process id of the backend that serves this connection.
    pub fn backend_pid(&self) -> i32 {
        self.exchange.borrow().backend.pid
    }

    /// The transaction status as of the last reply.
    pub fn status(&self) -> TransactionStatus {
        self.exchange.borrow().status
    }

    /// From here on an answer has the plan that auto_explain has told before it, if it has told one.
    pub fn keep_plans(&self) {
        self.exchange.borrow_mut().keeps_plans = true;
    }

    /// Sends a request behind those that were sent before. It is on its way when this returns.
    ///
    /// Nothing may be sent behind a COPY FROM STDIN that has not been answered: the server would
    /// take it for its data. Where that happens the connection is lost. The COPY itself fails with
    /// 57014, since its data is not in the log.
    pub fn send(&self, request: Request<'_>) {
        self.exchange.borrow_mut().ask(request, ResultRows::Drop);
    }

    /// The same for a request whose rows are wanted.
    pub fn send_for_rows(&self, request: Request<'_>) {
        self.exchange.borrow_mut().ask(request, ResultRows::Keep);
    }

    /// Takes the next answer. They come in the order of the requests, one for each.
    pub fn poll_answer(&self, cx: &Context<'_>) -> Poll<Result<Reply, Lost>> {
        self.exchange.borrow_mut().poll_answer(cx)
    }

    /// Waits for the next answer.
    pub fn answer(&self) -> impl Future<Output = Result<Reply, Lost>> {
        poll_fn(|cx| self.poll_answer(cx))
    }

    /// Sends a request and waits for its answer; for whoever has no other one under way.
    pub async fn run(&self, request: Request<'_>) -> Result<Reply, Lost> {
        self.send(request);
        self.answer().await
    }

    /// How many requests the server has not answered.
    pub fn unanswered(&self) -> usize {
        self.exchange.borrow().unanswered()
    }

    /// Asks the server to cancel what it is running for this connection, over a connection of its
    /// own. What is canceled fails with 57014; there may be nothing left to cancel.
    pub fn cancel(&self) -> impl Future<Output = Result<(), CancelError>> + Send + 'static + use<> {
        let key = self.exchange.borrow().backend;
        let (network, endpoint) = (Arc::clone(&self.network), self.endpoint.clone());
        async move { network.cancel(&endpoint, key).await.map_err(CancelError::from) }
    }

    /// Whether the connection has ended. An idle connection that the server closes is noticed too.
    pub fn is_closed(&self) -> bool {
        self.exchange.borrow().ended().is_some()
    }

    /// Ends the session once everything sent has been answered, and waits until the server has let
    /// go of it (an open transaction is rolled back by then), for at most a few seconds. What is
    /// still running after that goes on in the server: [`cancel`](Self::cancel) it first.
    pub async fn close(mut self) {
        self.exchange.borrow_mut().leave();
        if tokio::time::timeout(CLOSE_TIMEOUT, &mut self.driver).await.is_err() {
            self.driver.abort();
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.exchange.borrow_mut().leave();
    }
}
