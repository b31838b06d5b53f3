//! Where the target is and how to log in to it.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use secrecy::SecretString;

/// Where the target is and how to log in to it: everything but the session's own user, database
/// and application name, which stand in [`Login`](crate::replay::settings::Login).
#[derive(Debug, Clone)]
pub struct TargetSettings {
    /// The servers to try, in this order.
    pub hosts: Vec<Host>,
    /// Try the servers, and the addresses of each, in an order of their own each time.
    pub load_balance: bool,
    /// What a server has to be to be taken.
    pub target_session_attrs: TargetSessionAttrs,
    /// Whether to use TLS and what to verify.
    pub sslmode: SslMode,
    /// Start with the TLS handshake, without asking the server first: PostgreSQL 17 and later.
    pub direct_tls: bool,
    /// The certificate authorities that are trusted.
    pub sslrootcert: RootCertificates,
    /// The client's own certificate.
    pub certificate: ClientCertificate,
    /// Which versions of TLS may be spoken.
    pub tls_versions: TlsVersions,
    /// Tell the server in the TLS handshake which host is meant.
    pub sslsni: bool,
    /// Whether the log-in is tied to the server's certificate.
    pub channel_binding: ChannelBinding,
    /// The password of every user. Without it the password file is asked.
    pub password: Option<SecretString>,
    /// The password file. Without it `$PGPASSFILE` or `~/.pgpass`.
    pub passfile: Option<PathBuf>,
    /// Have the server refuse writes: sessions start with `default_transaction_read_only = on`.
    pub read_only: bool,
    /// Command-line options for every session, as in libpq's `options`: `-c statement_timeout=0`.
    pub options: Option<String>,
    /// How long opening a connection to one address may take, log-in included. Zero: as long as it
    /// takes.
    pub connect_timeout: Duration,
    /// How long sent bytes may stay unacknowledged before the connection counts as lost. Zero:
    /// the operating system's default. Linux only.
    pub tcp_user_timeout: Duration,
    /// Whether an idle connection is kept alive.
    pub keepalives: bool,
    /// How long a connection is silent before the first keepalive. Zero: the operating system's
    /// default.
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
            hosts: vec![Host::new("localhost", DEFAULT_PORT)],
            load_balance: false,
            target_session_attrs: TargetSessionAttrs::Any,
            sslmode: SslMode::Prefer,
            direct_tls: false,
            sslrootcert: RootCertificates::System,
            certificate: ClientCertificate::None,
            tls_versions: TlsVersions::default(),
            sslsni: true,
            channel_binding: ChannelBinding::Prefer,
            password: None,
            passfile: None,
            read_only: false,
            options: None,
            connect_timeout: Duration::from_secs(10),
            tcp_user_timeout: Duration::from_secs(30),
            keepalives: true,
            keepalives_idle: Duration::from_secs(30),
            keepalives_interval: Duration::from_secs(5),
            keepalives_count: 3,
        }
    }
}

impl TargetSettings {
    /// The servers by their addresses: `host:port`, or the path of a Unix socket.
    pub fn address(&self) -> String {
        self.hosts.iter().map(Host::address).collect::<Vec<_>>().join(", ")
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

/// The port that a PostgreSQL listens on unless it is told otherwise.
pub const DEFAULT_PORT: u16 = 5432;

/// A server that may be the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// A host name, an address, or the directory of a Unix socket (starts with `/`).
    pub name: String,
    /// The address to connect to, where the name is not to be looked up: libpq's `hostaddr`.
    pub address: Option<IpAddr>,
    /// The port, which is part of a Unix socket's name too.
    pub port: u16,
}

impl Host {
    /// A host whose name is looked up.
    pub fn new(name: impl Into<String>, port: u16) -> Self {
        Self { name: name.into(), address: None, port }
    }

    /// Whether the name is the directory of a Unix socket.
    pub(super) fn is_unix(&self) -> bool {
        self.name.starts_with('/')
    }

    /// `host:port`, or the path of the Unix socket.
    pub(super) fn address(&self) -> String {
        if self.is_unix() {
            format!("{}/.s.PGSQL.{}", self.name.trim_end_matches('/'), self.port)
        } else if self.name.contains(':') {
            format!("[{}]:{}", self.name, self.port)
        } else {
            format!("{}:{}", self.name, self.port)
        }
    }
}

/// What a server has to be to be taken: libpq's `target_session_attrs`.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Default,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantNames,
)]
#[strum(serialize_all = "kebab-case")]
pub enum TargetSessionAttrs {
    /// Whatever it is.
    #[default]
    Any,
    /// Sessions may write there.
    ReadWrite,
    /// Sessions may not write there.
    ReadOnly,
    /// It is no standby.
    Primary,
    /// It is a standby.
    Standby,
    /// A standby, or else whatever there is.
    PreferStandby,
}

/// Whether to use TLS and what to verify: libpq's `sslmode`. Unix sockets never use TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum SslMode {
    /// Never encrypted
    Disable,
    /// Encrypted only if the server insists
    Allow,
    /// Encrypted where the server can, its certificate unchecked
    #[default]
    Prefer,
    /// Encrypted, the certificate unchecked unless --sslrootcert is given
    Require,
    /// Encrypted, by a certificate of a trusted authority
    VerifyCa,
    /// The same, and the certificate names the host
    VerifyFull,
}

/// The certificate authorities that are trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootCertificates {
    /// The operating system's.
    System,
    /// Those in this file, PEM; where it is missing, the operating system's.
    IfPresent(PathBuf),
    /// Those in this file, PEM.
    File(PathBuf),
}

/// The certificate that the client shows where the server asks for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientCertificate {
    /// None.
    None,
    /// The one in this file, PEM, if there is such a file.
    IfPresent(CertificateFiles),
    /// The one in this file, PEM.
    File(CertificateFiles),
}

/// A certificate and its private key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate, PEM, and those between it and its authority.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Which versions of TLS may be spoken; all of those that there are if neither is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TlsVersions {
    /// The oldest.
    pub min: Option<TlsVersion>,
    /// The newest.
    pub max: Option<TlsVersion>,
}

/// A version of TLS. Older ones are not spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2.
    V1_2,
    /// TLS 1.3.
    V1_3,
}

/// Whether the log-in is tied to the server's certificate: libpq's `channel_binding`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ChannelBinding {
    /// Never
    Disable,
    /// Where the server can
    #[default]
    Prefer,
    /// Always: a log-in without fails
    Require,
}

#[cfg(test)]
mod tests;
