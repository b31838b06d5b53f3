//! What goes wrong between us and the target.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::reply::{Lost, ServerError};

/// The settings can't be used. Found at start-up, before anything is connected.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// `sslrootcert` can't be read or holds no certificate.
    #[error("can't read the certificate authorities in {}: {reason}", path.display())]
    RootCertificates {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The operating system has no trusted certificate authorities and none were given.
    #[error(
        "the operating system has no trusted certificate authorities ({reason}); name a file of them"
    )]
    NoNativeCertificates {
        /// What was found.
        reason: String,
    },
    /// The client's certificate or its key can't be used.
    #[error("the client's certificate {}: {reason}", path.display())]
    ClientCertificate {
        /// The file that something is wrong with.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// TLS can't be set up.
    #[error("can't set up TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// A connection could not be opened. None of the texts holds the password.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody answered at the address, or its name could not be resolved.
    #[error("can't reach {address}: {source}")]
    Unreachable {
        /// Host and port.
        address: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// Opening took longer than it may.
    #[error("no connection to {address} within {after:?}")]
    Timeout {
        /// Host and port.
        address: String,
        /// How long it was allowed to take.
        after: Duration,
    },
    /// The server does not do TLS, which was asked for.
    #[error("{address} does not support TLS")]
    TlsUnsupported {
        /// Host and port.
        address: String,
    },
    /// The TLS handshake failed, which is mostly a certificate that is not trusted.
    #[error("TLS with {address} failed: {source}")]
    Tls {
        /// Host and port.
        address: String,
        /// What was wrong.
        source: io::Error,
    },
    /// The server refused the log-in.
    #[error("{address} refused user {user:?} for database {database:?}: {error}")]
    Refused {
        /// Host and port.
        address: String,
        /// The role.
        user: String,
        /// The database.
        database: String,
        /// What the server said.
        error: Box<ServerError>,
    },
    /// The server asks for a password and there is none.
    #[error(
        "{address} asks for a password of user {user:?} for database {database:?}, and none is given or in the password file"
    )]
    PasswordMissing {
        /// Host and port.
        address: String,
        /// The role.
        user: String,
        /// The database.
        database: String,
    },
    /// The server asks for something that we can't do, or could not prove to know the password.
    #[error("can't log in to {address} as user {user:?} for database {database:?}: {reason}")]
    Authentication {
        /// Host and port.
        address: String,
        /// The role.
        user: String,
        /// The database.
        database: String,
        /// What is in the way.
        reason: String,
    },
    /// The server is not what `target_session_attrs` asks for.
    #[error("{address} is not what target_session_attrs={wanted} asks for")]
    Unsuitable {
        /// Host and port.
        address: String,
        /// What is asked for.
        wanted: &'static str,
    },
    /// None of several servers can be used.
    #[error("none of the target's hosts can be used: {}", list(failures))]
    NoHost {
        /// Why, for each of them.
        failures: Vec<ConnectError>,
    },
    /// The connection ended during the log-in.
    #[error("the connection to {address} ended during the log-in: {reason}")]
    Ended {
        /// Host and port.
        address: String,
        /// Why.
        reason: String,
    },
}

impl ConnectError {
    /// Whether trying again is of no use: a wrong password, an unknown role or database, no entry
    /// in `pg_hba.conf`, a certificate that is not trusted.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Timeout { .. } | Self::Ended { .. } => false,
            // A standby may be promoted, a server may come back.
            Self::Unsuitable { .. } | Self::NoHost { .. } => false,
            // A server that goes down in the middle of a handshake says so in the kind; what
            // rustls finds wrong with a certificate is InvalidData.
            Self::Tls { source, .. } => source.kind() == io::ErrorKind::InvalidData,
            Self::TlsUnsupported { .. }
            | Self::PasswordMissing { .. }
            | Self::Authentication { .. } => true,
            Self::Refused { error, .. } => {
                // 28: password, role, pg_hba.conf; 42: no CONNECT privilege, unknown setting in
                // `options`; 22: its value is wrong; 3D000: no such database; 55000: it accepts no
                // connections.
                matches!(error.sqlstate.class(), "28" | "42" | "22")
                    || matches!(error.sqlstate.as_str(), "3D000" | "55000")
            }
        }
    }

    /// Whether the server has no connection left (`max_connections`, or the role's or the
    /// database's limit).
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Refused { error, .. } if error.sqlstate.as_str() == "53300")
    }
}

fn list(failures: &[ConnectError]) -> String {
    failures.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// A cancel request could not be delivered.
#[derive(Debug, thiserror::Error)]
#[error("can't cancel: {0}")]
pub struct CancelError(#[from] pub(super) ConnectError);

/// An [`Observer`](super::Observer) could not get its answer.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    /// The server refused the query.
    #[error("the target refused to tell: {0}")]
    Refused(ServerError),
    /// The connection is lost; another has to be opened.
    #[error("{0}")]
    Lost(Lost),
}

impl From<tokio_postgres::Error> for ObserveError {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(refused) => Self::Refused(refused.into()),
            None => Self::Lost(Lost::new(chain(&error), None)),
        }
    }
}

/// An error with its causes, in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
