//! Where the target is and how to log in to it, out of all that libpq would look at.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::ConfigError;
use super::libpq::{ConnectionLookup, Keyword};
use super::lookup::{Given, Origin};
use crate::cli;
use crate::postgres::{
    CertificateFiles, ChannelBinding, ClientCertificate, DEFAULT_PORT, Host, Password,
    RootCertificates, SslMode, TargetSessionAttrs, TargetSettings, TlsVersion, TlsVersions,
};

/// A keyword with a flag of its own.
const fn flag(name: &'static str, flag: &'static str, variable: &'static str) -> Keyword {
    Keyword { name, flag: Some(flag), older: None, variable: Some(variable) }
}

/// A keyword that only a connection string, a service or libpq's variable sets.
const fn plain(name: &'static str, variable: &'static str) -> Keyword {
    Keyword { name, flag: None, older: None, variable: Some(variable) }
}

/// A keyword that libpq has no variable for.
const fn bare(name: &'static str) -> Keyword {
    Keyword { name, flag: None, older: None, variable: None }
}

/// The database of every session; without it each session's own.
pub(super) const DATABASE: Keyword =
    Keyword { older: Some("dbName"), ..flag("dbname", "db-name", "PGDATABASE") };
/// The user of every session; without it each session's own.
pub(super) const USER: Keyword =
    Keyword { older: Some("dbUser"), ..flag("user", "db-user", "PGUSER") };
const HOST: Keyword = Keyword { older: Some("dbHost"), ..flag("host", "db-host", "PGHOST") };
const PORT: Keyword = Keyword { older: Some("dbPort"), ..flag("port", "db-port", "PGPORT") };
const HOSTADDR: Keyword = plain("hostaddr", "PGHOSTADDR");
const PASSWORD: Keyword = flag("password", "db-password", "PGPASSWORD");
const PASSFILE: Keyword = plain("passfile", "PGPASSFILE");
const SSLMODE: Keyword = flag("sslmode", "sslmode", "PGSSLMODE");
const SSLROOTCERT: Keyword = flag("sslrootcert", "sslrootcert", "PGSSLROOTCERT");
const SSLCERT: Keyword = flag("sslcert", "sslcert", "PGSSLCERT");
const SSLKEY: Keyword = flag("sslkey", "sslkey", "PGSSLKEY");
const SSLCERTMODE: Keyword = plain("sslcertmode", "PGSSLCERTMODE");
const SSLNEGOTIATION: Keyword = plain("sslnegotiation", "PGSSLNEGOTIATION");
const SSLSNI: Keyword = plain("sslsni", "PGSSLSNI");
const SSL_MIN: Keyword = plain("ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION");
const SSL_MAX: Keyword = plain("ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION");
const GSSENCMODE: Keyword = plain("gssencmode", "PGGSSENCMODE");
const CHANNEL_BINDING: Keyword = flag("channel_binding", "channel-binding", "PGCHANNELBINDING");
const TARGET_SESSION_ATTRS: Keyword = plain("target_session_attrs", "PGTARGETSESSIONATTRS");
const LOAD_BALANCE_HOSTS: Keyword = plain("load_balance_hosts", "PGLOADBALANCEHOSTS");
const OPTIONS: Keyword = plain("options", "PGOPTIONS");
const CONNECT_TIMEOUT: Keyword = plain("connect_timeout", "PGCONNECT_TIMEOUT");
const KEEPALIVES: Keyword = bare("keepalives");
const KEEPALIVES_IDLE: Keyword = bare("keepalives_idle");
const KEEPALIVES_INTERVAL: Keyword = bare("keepalives_interval");
const KEEPALIVES_COUNT: Keyword = bare("keepalives_count");
const TCP_USER_TIMEOUT: Keyword = bare("tcp_user_timeout");

/// libpq's variables for what kreplay doesn't do, and what that is.
const UNUSED_VARIABLES: [(&str, &str); 4] = [
    ("PGREQUIREAUTH", "any way to log in is accepted"),
    ("PGREQUIREPEER", "the owner of the server's process is not checked"),
    ("PGSSLCRL", "revoked certificates are not looked for"),
    ("PGSSLCRLDIR", "revoked certificates are not looked for"),
];

/// The target as the command line, the environment, the service file and the configuration file
/// describe it.
pub(super) fn settings(
    connection: &ConnectionLookup<'_>,
    cli: cli::TargetOptions,
    warnings: &mut Vec<String>,
) -> Result<TargetSettings, ConfigError> {
    let default = TargetSettings::default();
    let hosts = hosts(connection, cli.db_host, cli.db_port)?;
    let password = connection.one(PASSWORD, cli.db_password, cli::text)?;
    warn_of_password(connection, password.as_ref(), warnings);
    warn_of_unused(connection, warnings);
    connection.one(GSSENCMODE, None, without_gss)?;
    let (sslmode, sslrootcert) = trust(connection, cli.sslmode, cli.sslrootcert)?;
    let direct_tls = connection.one(SSLNEGOTIATION, None, negotiation)?;
    let direct_tls = direct_tls.filter(|given| given.value);
    if let Some(Given { origin, .. }) = &direct_tls
        && matches!(sslmode, SslMode::Disable | SslMode::Allow | SslMode::Prefer)
    {
        let reason = "direct needs an sslmode of require, verify-ca or verify-full".to_owned();
        return Err(ConfigError::Invalid { origin: origin.clone(), reason });
    }
    let duration = |keyword, default| {
        let given = connection.one(keyword, None, seconds)?;
        Ok::<_, ConfigError>(given.map_or(default, |given| given.value))
    };
    let whole = |keyword, default: u32| {
        let given = connection.one(keyword, None, whole_number)?;
        Ok::<_, ConfigError>(given.map_or(default, |given| given.value))
    };
    let tcp_user_timeout = connection.one(TCP_USER_TIMEOUT, None, milliseconds)?;
    let load_balance = connection.one(LOAD_BALANCE_HOSTS, None, load_balance)?;
    let session_attrs = connection.one(TARGET_SESSION_ATTRS, None, session_attrs)?;
    Ok(TargetSettings {
        hosts,
        load_balance: load_balance.is_some_and(|given| given.value),
        target_session_attrs: session_attrs.map_or(TargetSessionAttrs::Any, |given| given.value),
        sslmode,
        direct_tls: direct_tls.is_some(),
        sslrootcert,
        certificate: certificate(connection, cli.sslcert, cli.sslkey)?,
        tls_versions: tls_versions(connection)?,
        sslsni: connection.one(SSLSNI, None, cli::switch)?.is_none_or(|given| given.value),
        channel_binding: channel_binding(connection, cli.channel_binding)?,
        password: password.map(|given| Password::from(given.value)),
        // Without it the target looks for ~/.pgpass itself, and does not mind if there is none.
        passfile: connection.text(PASSFILE)?.map(|given| PathBuf::from(given.value)),
        options: connection.text(OPTIONS)?.map(|given| given.value),
        read_only: connection.look.or("read-only", cli.read_only, false, cli::switch)?,
        connect_timeout: duration(CONNECT_TIMEOUT, default.connect_timeout)?,
        tcp_user_timeout: tcp_user_timeout.map_or(default.tcp_user_timeout, |given| given.value),
        keepalives: whole(KEEPALIVES, 1)? != 0,
        keepalives_idle: duration(KEEPALIVES_IDLE, default.keepalives_idle)?,
        keepalives_interval: duration(KEEPALIVES_INTERVAL, default.keepalives_interval)?,
        keepalives_count: whole(KEEPALIVES_COUNT, default.keepalives_count)?,
    })
}

/// The servers to try: as in libpq one port for all, or one for each.
fn hosts(
    connection: &ConnectionLookup<'_>,
    host: Option<String>,
    port: Option<u16>,
) -> Result<Vec<Host>, ConfigError> {
    let names = connection.one(HOST, host.map(|host| list(&host)), |text| Ok(list(text)))?;
    let addresses = connection.one(HOSTADDR, None, addresses)?;
    let ports = connection.one(PORT, port.map(|port| vec![port]), ports)?;
    let count = match (&addresses, &names) {
        (Some(Given { value, .. }), _) => value.len(),
        (None, Some(Given { value, .. })) => value.len(),
        (None, None) => 1,
    };
    fits(names.as_ref(), count, "hosts")?;
    if ports.as_ref().is_some_and(|given| given.value.len() != 1) {
        fits(ports.as_ref(), count, "ports")?;
    }
    let names = names.map(|given| given.value).unwrap_or_default();
    let addresses = addresses.map(|given| given.value).unwrap_or_default();
    let ports = ports.map(|given| given.value).unwrap_or_default();
    let host = |index: usize| {
        let address = addresses.get(index).copied().flatten();
        let name = names.get(index).filter(|name| !name.is_empty()).cloned();
        let or_address = || address.map_or("localhost".to_owned(), |address| address.to_string());
        let port = ports.get(index).or(ports.first().filter(|_| ports.len() == 1));
        Host {
            name: name.unwrap_or_else(or_address),
            address,
            port: port.copied().unwrap_or(DEFAULT_PORT),
        }
    };
    Ok((0..count).map(host).collect())
}

fn fits<T>(list: Option<&Given<Vec<T>>>, hosts: usize, what: &str) -> Result<(), ConfigError> {
    match list {
        Some(Given { value, origin }) if value.len() != hosts => Err(ConfigError::Invalid {
            origin: origin.clone(),
            reason: format!("{} {what} for a target of {hosts} hosts", value.len()),
        }),
        _ => Ok(()),
    }
}

/// Whether to use TLS, and whom to trust.
fn trust(
    connection: &ConnectionLookup<'_>,
    sslmode: Option<cli::SslMode>,
    sslrootcert: Option<PathBuf>,
) -> Result<(SslMode, RootCertificates), ConfigError> {
    let sslmode = connection.one(SSLMODE, sslmode, cli::name)?;
    let sslrootcert = connection.one(SSLROOTCERT, sslrootcert, cli::path)?;
    let by_system = sslrootcert.as_ref().is_some_and(|given| given.value == Path::new("system"));
    let mode = match sslmode.as_ref().map(|given| given.value) {
        // As libpq has it: who relies on the system's authorities has to have the host checked.
        None if by_system => SslMode::VerifyFull,
        None | Some(cli::SslMode::Prefer) => SslMode::Prefer,
        Some(cli::SslMode::Disable) => SslMode::Disable,
        Some(cli::SslMode::Allow) => SslMode::Allow,
        Some(cli::SslMode::Require) => SslMode::Require,
        Some(cli::SslMode::VerifyCa) => SslMode::VerifyCa,
        Some(cli::SslMode::VerifyFull) => SslMode::VerifyFull,
    };
    match sslrootcert {
        Some(Given { origin, .. }) if by_system && mode != SslMode::VerifyFull => {
            let reason = "system needs sslmode verify-full".to_owned();
            Err(ConfigError::Invalid { origin, reason })
        }
        Some(_) if by_system => Ok((mode, RootCertificates::System)),
        Some(Given { value, .. }) => Ok((mode, RootCertificates::File(value))),
        None => {
            let own = in_home(connection, "root.crt").map(RootCertificates::IfPresent);
            Ok((mode, own.unwrap_or(RootCertificates::System)))
        }
    }
}

/// The certificate that the client shows. In its default place it need not be there.
fn certificate(
    connection: &ConnectionLookup<'_>,
    sslcert: Option<PathBuf>,
    sslkey: Option<PathBuf>,
) -> Result<ClientCertificate, ConfigError> {
    let certificate = connection.one(SSLCERT, sslcert, cli::path)?;
    let key = connection.one(SSLKEY, sslkey, key_file)?;
    if connection.one(SSLCERTMODE, None, shows_certificate)?.is_some_and(|given| !given.value) {
        return Ok(ClientCertificate::None);
    }
    let given = certificate.is_some() || key.is_some();
    let one_of_both = certificate.as_ref().map(|given| given.origin.clone());
    let one_of_both = one_of_both.or_else(|| key.as_ref().map(|given| given.origin.clone()));
    let or_default = |file: Option<Given<PathBuf>>, name| match file {
        Some(given) => Some(given.value),
        None => in_home(connection, name),
    };
    let files = (or_default(certificate, "postgresql.crt"), or_default(key, "postgresql.key"));
    match (files, one_of_both) {
        ((Some(certificate), Some(key)), _) => {
            let files = CertificateFiles { certificate, key };
            let required = ClientCertificate::File;
            let optional = ClientCertificate::IfPresent;
            Ok(if given { required(files) } else { optional(files) })
        }
        (_, Some(origin)) => Err(ConfigError::Invalid {
            origin,
            reason: "a client certificate takes both --sslcert and --sslkey".to_owned(),
        }),
        (_, None) => Ok(ClientCertificate::None),
    }
}

/// A file in libpq's directory of the user.
fn in_home(connection: &ConnectionLookup<'_>, name: &str) -> Option<PathBuf> {
    let home = connection.look.variable("HOME")?;
    Some(PathBuf::from(home).join(".postgresql").join(name))
}

fn channel_binding(
    connection: &ConnectionLookup<'_>,
    typed: Option<cli::ChannelBinding>,
) -> Result<ChannelBinding, ConfigError> {
    let given = connection.one(CHANNEL_BINDING, typed, cli::name)?;
    Ok(match given.map(|given| given.value) {
        Some(cli::ChannelBinding::Disable) => ChannelBinding::Disable,
        None | Some(cli::ChannelBinding::Prefer) => ChannelBinding::Prefer,
        Some(cli::ChannelBinding::Require) => ChannelBinding::Require,
    })
}

fn tls_versions(connection: &ConnectionLookup<'_>) -> Result<TlsVersions, ConfigError> {
    let min = connection.one(SSL_MIN, None, oldest_tls)?;
    let max = connection.one(SSL_MAX, None, newest_tls)?;
    match (min.as_ref().map(|given| given.value), max) {
        (Some(min), Some(max)) if min > max.value => Err(ConfigError::Invalid {
            origin: max.origin,
            reason: "it is older than ssl_min_protocol_version".to_owned(),
        }),
        (min, max) => Ok(TlsVersions { min, max: max.map(|given| given.value) }),
    }
}

fn warn_of_password(
    connection: &ConnectionLookup<'_>,
    password: Option<&Given<String>>,
    warnings: &mut Vec<String>,
) {
    let typed = match password.map(|given| &given.origin) {
        Some(Origin::Flag(_)) => "--db-password",
        _ => match connection.in_target("password") {
            Some((_, Origin::Keyword { target, .. })) if target.is_flag() => {
                "a password in --target"
            }
            _ => return,
        },
    };
    warnings.push(format!(
        "The password is on the command line, where the process list shows it to every user of this \
         machine and kreplay cannot take it away: use PGPASSWORD, PGPASSFILE or ~/.pgpass instead of \
         {typed}."
    ));
}

fn warn_of_unused(connection: &ConnectionLookup<'_>, warnings: &mut Vec<String>) {
    for (keyword, instead) in [
        ("application_name", "each session keeps its own"),
        ("client_encoding", "kreplay chooses it"),
    ] {
        if let Some((_, origin)) = connection.in_target(keyword) {
            warnings.push(format!("{origin} has no effect: {instead}."));
        }
    }
    for (variable, consequence) in UNUSED_VARIABLES {
        if connection.look.variable(variable).is_some() {
            warnings.push(format!("{variable} has no effect on kreplay: {consequence}."));
        }
    }
}

// ---- How single values are written ----

/// The parts between commas; an empty one stands for the default.
fn list(text: &str) -> Vec<String> {
    text.split(',').map(|part| part.trim().to_owned()).collect()
}

fn ports(text: &str) -> Result<Vec<u16>, String> {
    let port = |port: &str| match port.trim() {
        "" => Ok(DEFAULT_PORT),
        port => cli::port(port),
    };
    text.split(',').map(port).collect()
}

fn addresses(text: &str) -> Result<Vec<Option<IpAddr>>, String> {
    let address = |address: &str| match address.trim() {
        "" => Ok(None),
        address => {
            address.parse().map(Some).map_err(|_| "expected an IP address, not a name".to_owned())
        }
    };
    text.split(',').map(address).collect()
}

fn key_file(text: &str) -> Result<PathBuf, String> {
    if text.starts_with("engine:") {
        return Err("kreplay does not use OpenSSL's engines: give the file of the key".to_owned());
    }
    cli::path(text)
}

fn session_attrs(text: &str) -> Result<TargetSessionAttrs, String> {
    Ok(match text {
        "any" => TargetSessionAttrs::Any,
        "read-write" => TargetSessionAttrs::ReadWrite,
        "read-only" => TargetSessionAttrs::ReadOnly,
        "primary" => TargetSessionAttrs::Primary,
        "standby" => TargetSessionAttrs::Standby,
        "prefer-standby" => TargetSessionAttrs::PreferStandby,
        _ => {
            return Err("expected one of any, read-write, read-only, primary, standby, \
                        prefer-standby"
                .to_owned());
        }
    })
}

fn load_balance(text: &str) -> Result<bool, String> {
    one_of(text, [("disable", false), ("random", true)])
}

fn negotiation(text: &str) -> Result<bool, String> {
    one_of(text, [("postgres", false), ("direct", true)])
}

fn shows_certificate(text: &str) -> Result<bool, String> {
    one_of(text, [("disable", false), ("allow", true)])
}

fn without_gss(text: &str) -> Result<bool, String> {
    one_of(text, [("disable", false), ("prefer", true)])
        .map_err(|expected| format!("{expected}: kreplay does not encrypt by GSSAPI"))
}

fn one_of(text: &str, meanings: [(&str, bool); 2]) -> Result<bool, String> {
    let meaning = meanings.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
    meaning.ok_or_else(|| format!("expected one of {}, {}", meanings[0].0, meanings[1].0))
}

/// The oldest version of TLS; those before 1.2 are not spoken whatever it says.
fn oldest_tls(text: &str) -> Result<TlsVersion, String> {
    match text.to_ascii_lowercase().as_str() {
        "tlsv1" | "tlsv1.1" | "tlsv1.2" => Ok(TlsVersion::V1_2),
        "tlsv1.3" => Ok(TlsVersion::V1_3),
        _ => Err("expected TLSv1.2 or TLSv1.3".to_owned()),
    }
}

fn newest_tls(text: &str) -> Result<TlsVersion, String> {
    match text.to_ascii_lowercase().as_str() {
        "tlsv1" | "tlsv1.1" => {
            Err("expected TLSv1.2 or TLSv1.3; no older one is spoken".to_owned())
        }
        _ => oldest_tls(text),
    }
}

/// A whole number; what is below 0 counts as 0, as in libpq.
fn whole_number(text: &str) -> Result<u32, String> {
    match text.parse::<i32>() {
        Ok(number) => Ok(u32::try_from(number).unwrap_or(0)),
        Err(_) => Err("expected a whole number".to_owned()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    whole_number(text).map(|seconds| Duration::from_secs(u64::from(seconds)))
}

fn milliseconds(text: &str) -> Result<Duration, String> {
    whole_number(text).map(|ms| Duration::from_millis(u64::from(ms)))
}
