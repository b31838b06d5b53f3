//! Where the target is and how to log in to it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

pub use crate::replay::settings::Login;

/// Where the target is and how to log in to it: everything but the session's own user, database
/// and application name, which stand in [`Login`].
#[derive(Debug, Clone)]
pub struct TargetSettings {
    /// A host name, an address, or the directory of a Unix socket (starts with `/`).
    pub host: String,
    /// The port, which is part of a Unix socket's name too.
    pub port: u16,
    /// Whether to use TLS and what to verify.
    pub sslmode: SslMode,
    /// The certificate authorities that are trusted, PEM. Without it the operating system's are.
    pub sslrootcert: Option<PathBuf>,
    /// The password of every user. Without it the password file is asked.
    pub password: Option<Password>,
    /// The password file. Without it `$PGPASSFILE` or `~/.pgpass`.
    pub passfile: Option<PathBuf>,
    /// Have the server refuse writes: sessions start with `default_transaction_read_only = on`.
    pub read_only: bool,
    /// Command-line options for every session, as in libpq's `options`: `-c statement_timeout=0`.
    pub options: Option<String>,
    /// How long opening a connection may take, log-in included. Zero: as long as it takes.
    pub connect_timeout: Duration,
    /// How long sent bytes may stay unacknowledged before the connection counts as lost. Zero:
    /// the operating system's default. Linux only.
    pub tcp_user_timeout: Duration,
    /// How long a connection is silent before the first keepalive. Zero: no keepalives.
    pub keepalives_idle: Duration,
    /// How long until the next keepalive. Zero: the operating system's default.
    pub keepalives_interval: Duration,
    /// How many keepalives stay unanswered before the connection counts as lost. Zero: the
    /// operating system's default.
    pub keepalives_count: u32,
}

impl Default for TargetSettings {
    fn default() -> Self {
        Self {
            host: "localhost".to_owned(),
            port: 5432,
            sslmode: SslMode::Prefer,
            sslrootcert: None,
            password: None,
            passfile: None,
            read_only: false,
            options: None,
            connect_timeout: Duration::from_secs(10),
            tcp_user_timeout: Duration::from_secs(30),
            keepalives_idle: Duration::from_secs(30),
            keepalives_interval: Duration::from_secs(5),
            keepalives_count: 3,
        }
    }
}

impl TargetSettings {
    /// Whether `host` is the directory of a Unix socket.
    pub(super) fn is_unix(&self) -> bool {
        self.host.starts_with('/')
    }

    /// `host:port`, or the path of the Unix socket.
    pub(super) fn address(&self) -> String {
        if self.is_unix() {
            format!("{}/.s.PGSQL.{}", self.host.trim_end_matches('/'), self.port)
        } else if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The `options` of the start-up packet.
    pub(super) fn startup_options(&self) -> Option<String> {
        let read_only = self.read_only.then_some("-c default_transaction_read_only=on");
        // Ours last: the last one of a setting wins.
        match (self.options.as_deref(), read_only) {
            (Some(options), Some(read_only)) => Some(format!("{options} {read_only}")),
            (options, read_only) => options.or(read_only).map(str::to_owned),
        }
    }
}

/// Whether to use TLS and what to verify: libpq's `sslmode`. Unix sockets never use TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SslMode {
    /// Never TLS.
    Disable,
    /// TLS if the server can; no certificate is verified.
    #[default]
    Prefer,
    /// TLS or nothing. The certificate is verified (as with `VerifyCa`) only if `sslrootcert` is
    /// given.
    Require,
    /// TLS, and the certificate is signed by a trusted authority.
    VerifyCa,
    /// TLS, the certificate is signed by a trusted authority and made out to the host.
    VerifyFull,
}

/// A password. Nothing that prints it shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// The password itself, for the log-in alone.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Password {
    fn from(password: String) -> Self {
        Self(password)
    }
}

impl std::str::FromStr for Password {
    type Err = std::convert::Infallible;

    fn from_str(password: &str) -> Result<Self, Self::Err> {
        Ok(Self(password.to_owned()))
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(***)")
    }
}

impl fmt::Display for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        let settings = TargetSettings {
            password: Some(Password::from("hunter2".to_owned())),
            ..TargetSettings::default()
        };
        assert!(!format!("{settings:?}").contains("hunter2"));
        assert_eq!(settings.password.expect("was set").to_string(), "***");
    }

    #[test]
    fn an_address_names_host_and_port_or_the_socket() {
        let at = |host: &str| TargetSettings { host: host.into(), ..Default::default() }.address();
        assert_eq!(at("db.example"), "db.example:5432");
        assert_eq!(at("::1"), "[::1]:5432");
        assert_eq!(at("/run/postgresql/"), "/run/postgresql/.s.PGSQL.5432");
    }

    #[test]
    fn read_only_wins_over_the_users_options() {
        let settings = TargetSettings {
            read_only: true,
            options: Some("-c default_transaction_read_only=off".into()),
            ..Default::default()
        };
        assert_eq!(
            settings.startup_options().expect("some"),
            "-c default_transaction_read_only=off -c default_transaction_read_only=on"
        );
        assert_eq!(TargetSettings::default().startup_options(), None);
    }
}
