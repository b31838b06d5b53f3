//! Connections to the target: one for each replayed session.

use std::error::Error as _;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_postgres::Config;
use tokio_postgres::config::{SslMode as TokioSslMode, SslNegotiation};

use super::credentials::{Key, PasswordFile};
use super::error::{CancelError, ConnectError, ObserveError, TargetError, chain};
use super::observer::Observer;
use super::reply::{Lost, Reply, ServerError, TransactionStatus};
use super::request::{Request, ResultRows};
use super::settings::{Login, SslMode, TargetSettings};
use super::transport::{Encryption, Network, Opened, Transport};
use super::wire::{LoginStream, SharedExchange, Wire};

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

    /// `host:port`, or the path of the Unix socket.
    pub fn address(&self) -> String {
        self.network.settings().address()
    }

    /// Opens a connection for a session.
    ///
    /// To be called in a `LocalSet` of Tokio, as each arbiter of actix is, which the connection then
    /// lives on.
    pub async fn connect(&self, login: &Login) -> Result<Connection, ConnectError> {
        self.network
            .in_time(self.try_with_and_without_tls(async |encryption| {
                let exchange = SharedExchange::default();
                let transport = self.network.open(encryption).await?;
                let stream = LoginStream::on(Wire::new(transport, exchange.clone()));
                let logged_in = self.config(login).connect_raw(stream.clone(), Opened).await;
                // What tokio-postgres keeps for a client of its own is dropped with what this holds.
                drop(logged_in.map_err(|error| self.login_failed(login, &error))?);
                let wire = stream.into_wire().ok_or_else(|| ConnectError::Ended {
                    address: self.address(),
                    reason: "the log-in has kept the connection".to_owned(),
                })?;
                // It ends by itself, and notes why.
                let driver = tokio::task::spawn_local(wire.serve());
                Ok(Connection { exchange, driver, network: Arc::clone(&self.network) })
            }))
            .await
    }

    /// Opens a connection that looks at the server from outside the sessions.
    pub async fn observe(&self, login: &Login) -> Result<Observer, ConnectError> {
        let client = self
            .network
            .in_time(self.try_with_and_without_tls(async |encryption| {
                let transport: Transport = self.network.open(encryption).await?;
                let (client, connection) = self
                    .config(login)
                    .connect_raw(transport, Opened)
                    .await
                    .map_err(|error| self.login_failed(login, &error))?;
                tokio::spawn(connection);
                Ok(client)
            }))
            .await?;
        Observer::new(client).await.map_err(|error| match error {
            ObserveError::Refused(error) => self.refused(login, error),
            ObserveError::Lost(lost) => {
                ConnectError::Ended { address: self.address(), reason: lost.reason.to_string() }
            }
        })
    }

    /// With `prefer` the server may insist on a connection without TLS (`hostnossl`), which shows
    /// only when it refuses the log-in.
    async fn try_with_and_without_tls<T>(
        &self,
        connect: impl AsyncFn(Encryption) -> Result<T, ConnectError>,
    ) -> Result<T, ConnectError> {
        let result = connect(Encryption::AsSet).await;
        match &result {
            Err(ConnectError::Refused { error, .. })
                if self.network.settings().sslmode == SslMode::Prefer
                    && error.sqlstate.as_str() == "28000" =>
            {
                connect(Encryption::Without).await.or(result)
            }
            _ => result,
        }
    }

    fn config(&self, login: &Login) -> Config {
        let settings = self.network.settings();
        let mut config = Config::new();
        config
            .user(&login.user)
            .dbname(&login.database)
            .application_name(&login.application_name)
            // See `Opened`.
            .ssl_mode(TokioSslMode::Require)
            .ssl_negotiation(SslNegotiation::Direct);
        if let Some(options) = settings.startup_options() {
            config.options(options);
        }
        let key = Key {
            host: &settings.host,
            port: settings.port,
            database: &login.database,
            user: &login.user,
        };
        if let Some(password) = settings.password.clone().or_else(|| self.passwords.find(key)) {
            config.password(password.reveal());
        }
        config
    }

    fn login_failed(&self, login: &Login, error: &tokio_postgres::Error) -> ConnectError {
        let address = self.address();
        if let Some(refused) = error.as_db_error() {
            return self.refused(login, refused.into());
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
            return ConnectError::Ended { address, reason: chain(error) };
        }
        let (user, database) = (login.user.clone(), login.database.clone());
        // tokio-postgres has no other way of saying it.
        if cause.is_some_and(|cause| cause.to_string() == "password missing") {
            return ConnectError::PasswordMissing { address, user, database };
        }
        ConnectError::Authentication { address, user, database, reason: chain(error) }
    }

    fn refused(&self, login: &Login, error: ServerError) -> ConnectError {
        ConnectError::Refused {
            address: self.address(),
            user: login.user.clone(),
            database: login.database.clone(),
            error: Box::new(error),
        }
    }
}

/// A connection to the target.
///
/// Dropped, it sends what was asked for, ends the session, and waits for neither;
/// [`close`](Self::close) waits.
pub struct Connection {
    exchange: SharedExchange,
    driver: JoinHandle<()>,
    network: Arc<Network>,
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
        let network = Arc::clone(&self.network);
        async move { network.cancel(key).await.map_err(CancelError::from) }
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
