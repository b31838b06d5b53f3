//! Where the target is and how to log in to it, out of all that libpq would look at.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use strum::VariantNames as _;

use super::ConfigError;
use super::libpq::{ConnectionLookup, Keyword};
use super::lookup::{Origin, Sourced};
use super::sourced::SourcedSettings;
use crate::cli::settings::TargetOptions;
use crate::flag_values::switch;
use crate::postgres::{
    CertificateFiles, ClientCertificate, DEFAULT_PORT, Host, RootCertificates, SslMode,
    TargetSessionAttrs, TargetSettings, TlsVersion, TlsVersions,
};

const HOSTADDR: Keyword = Keyword::plain("hostaddr", "PGHOSTADDR");
const PASSFILE: Keyword = Keyword::plain("passfile", "PGPASSFILE");
const SSLCERTMODE: Keyword = Keyword::plain("sslcertmode", "PGSSLCERTMODE");
const SSLNEGOTIATION: Keyword = Keyword::plain("sslnegotiation", "PGSSLNEGOTIATION");
const SSLSNI: Keyword = Keyword::plain("sslsni", "PGSSLSNI");
const SSL_MIN: Keyword = Keyword::plain("ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION");
const SSL_MAX: Keyword = Keyword::plain("ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION");
const GSSENCMODE: Keyword = Keyword::plain("gssencmode", "PGGSSENCMODE");
const TARGET_SESSION_ATTRS: Keyword =
    Keyword::plain("target_session_attrs", "PGTARGETSESSIONATTRS");
const LOAD_BALANCE_HOSTS: Keyword = Keyword::plain("load_balance_hosts", "PGLOADBALANCEHOSTS");
const OPTIONS: Keyword = Keyword::plain("options", "PGOPTIONS");
const CONNECT_TIMEOUT: Keyword = Keyword::plain("connect_timeout", "PGCONNECT_TIMEOUT");
const KEEPALIVES: Keyword = Keyword::bare("keepalives");
const KEEPALIVES_IDLE: Keyword = Keyword::bare("keepalives_idle");
const KEEPALIVES_INTERVAL: Keyword = Keyword::bare("keepalives_interval");
const KEEPALIVES_COUNT: Keyword = Keyword::bare("keepalives_count");
const TCP_USER_TIMEOUT: Keyword = Keyword::bare("tcp_user_timeout");

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
    given: &SourcedSettings,
    options: TargetOptions,
    warnings: &mut Vec<String>,
) -> Result<TargetSettings, ConfigError> {
    let default = TargetSettings::default();
    warn_of_password(connection, given, warnings);
    warn_of_unused(connection, warnings);
    connection.one(GSSENCMODE, without_gss)?;
    let (sslmode, sslrootcert) = trust(connection, given, options.sslmode, options.sslrootcert)?;
    let direct_tls = connection.one(SSLNEGOTIATION, negotiation)?;
    let direct_tls = direct_tls.filter(|given| given.value);
    if let Some(Sourced { origin, .. }) = &direct_tls
        && matches!(sslmode, SslMode::Disable | SslMode::Allow | SslMode::Prefer)
    {
        let reason = "direct needs an sslmode of require, verify-ca or verify-full".to_owned();
        return Err(ConfigError::Invalid { origin: origin.clone(), reason });
    }
    let duration = |keyword, default| value_or(connection, keyword, seconds, default);
    let whole = |keyword, default| value_or(connection, keyword, whole_number, default);
    let attrs = TargetSessionAttrs::Any;
    Ok(TargetSettings {
        hosts: hosts(connection, given, options.db_host.as_deref(), &options.db_port)?,
        load_balance: value_or(connection, LOAD_BALANCE_HOSTS, load_balance, false)?,
        target_session_attrs: value_or(connection, TARGET_SESSION_ATTRS, session_attrs, attrs)?,
        sslmode,
        direct_tls: direct_tls.is_some(),
        sslrootcert,
        certificate: certificate(connection, given, options.sslcert, options.sslkey)?,
        tls_versions: tls_versions(connection)?,
        sslsni: value_or(connection, SSLSNI, switch, true)?,
        channel_binding: options.channel_binding,
        password: options.db_password,
        // Without it the target looks for ~/.pgpass itself, and does not mind if there is none.
        passfile: connection.text(PASSFILE).map(|given| PathBuf::from(given.value)),
        options: connection.text(OPTIONS).map(|given| given.value),
        read_only: options.read_only,
        connect_timeout: duration(CONNECT_TIMEOUT, default.connect_timeout)?,
        tcp_user_timeout: value_or(
            connection,
            TCP_USER_TIMEOUT,
            milliseconds,
            default.tcp_user_timeout,
        )?,
        keepalives: whole(KEEPALIVES, 1)? != 0,
        keepalives_idle: duration(KEEPALIVES_IDLE, default.keepalives_idle)?,
        keepalives_interval: duration(KEEPALIVES_INTERVAL, default.keepalives_interval)?,
        keepalives_count: whole(KEEPALIVES_COUNT, default.keepalives_count)?,
    })
}

fn value_or<T>(
    connection: &ConnectionLookup<'_>,
    keyword: Keyword,
    parse: fn(&str) -> Result<T, String>,
    default: T,
) -> Result<T, ConfigError> {
    Ok(connection.one(keyword, parse)?.map_or(default, |given| given.value))
}

/// The servers to try: as in libpq one port for all, or one for each.
fn hosts(
    connection: &ConnectionLookup<'_>,
    given: &SourcedSettings,
    names: Option<&str>,
    ports: &[u16],
) -> Result<Vec<Host>, ConfigError> {
    // The parts between commas; an empty one stands for the default.
    let names: Vec<&str> = names.map_or_else(Vec::new, |it| it.split(',').map(str::trim).collect());
    let addresses = connection.one(HOSTADDR, addresses)?.map(|given| given.value);
    let count = addresses.as_ref().map_or(names.len().max(1), Vec::len);
    let fits = |flag: &str, what: &str, length: usize| match given.origin(flag) {
        Some(origin) if length != count => Err(ConfigError::Invalid {
            origin: origin.clone(),
            reason: format!("{length} {what} for a target of {count} hosts"),
        }),
        _ => Ok(()),
    };
    fits("db-host", "hosts", names.len())?;
    if ports.len() != 1 {
        fits("db-port", "ports", ports.len())?;
    }
    let addresses = addresses.unwrap_or_default();
    let host = |index: usize| {
        let address = addresses.get(index).copied().flatten();
        let name = names.get(index).filter(|name| !name.is_empty());
        let or_address = || address.map_or("localhost".to_owned(), |address| address.to_string());
        let port = ports.get(index).or(ports.first().filter(|_| ports.len() == 1));
        Host {
            name: name.map_or_else(or_address, |&name| name.to_owned()),
            address,
            port: port.copied().unwrap_or(DEFAULT_PORT),
        }
    };
    Ok((0..count).map(host).collect())
}

/// Whether to use TLS, and whom to trust.
fn trust(
    connection: &ConnectionLookup<'_>,
    given: &SourcedSettings,
    sslmode: Option<SslMode>,
    sslrootcert: Option<PathBuf>,
) -> Result<(SslMode, RootCertificates), ConfigError> {
    let by_system = sslrootcert.as_deref() == Some(Path::new("system"));
    // As libpq has it: who relies on the system's authorities has to have the host checked.
    let default = if by_system { SslMode::VerifyFull } else { SslMode::default() };
    let mode = sslmode.unwrap_or(default);
    match (sslrootcert, given.origin("sslrootcert")) {
        (_, Some(origin)) if by_system && mode != SslMode::VerifyFull => {
            let reason = "system needs sslmode verify-full".to_owned();
            Err(ConfigError::Invalid { origin: origin.clone(), reason })
        }
        (Some(_), _) if by_system => Ok((mode, RootCertificates::System)),
        (Some(file), _) => Ok((mode, RootCertificates::File(file))),
        (None, _) => {
            let own = in_home(connection, "root.crt").map(RootCertificates::IfPresent);
            Ok((mode, own.unwrap_or(RootCertificates::System)))
        }
    }
}

/// The certificate that the client shows. In its default place it need not be there.
fn certificate(
    connection: &ConnectionLookup<'_>,
    given: &SourcedSettings,
    sslcert: Option<PathBuf>,
    sslkey: Option<PathBuf>,
) -> Result<ClientCertificate, ConfigError> {
    if connection.one(SSLCERTMODE, shows_certificate)?.is_some_and(|given| !given.value) {
        return Ok(ClientCertificate::None);
    }
    let one_of_both = given.origin("sslcert").or_else(|| given.origin("sslkey"));
    let or_default = |file: Option<PathBuf>, name| file.or_else(|| in_home(connection, name));
    match (or_default(sslcert, "postgresql.crt"), or_default(sslkey, "postgresql.key")) {
        (Some(certificate), Some(key)) => {
            let files = CertificateFiles { certificate, key };
            let required = ClientCertificate::File;
            let optional = ClientCertificate::IfPresent;
            Ok(if one_of_both.is_some() { required(files) } else { optional(files) })
        }
        _ => match one_of_both {
            Some(origin) => Err(ConfigError::Invalid {
                origin: origin.clone(),
                reason: "a client certificate takes both --sslcert and --sslkey".to_owned(),
            }),
            None => Ok(ClientCertificate::None),
        },
    }
}

/// A file in libpq's directory of the user.
fn in_home(connection: &ConnectionLookup<'_>, name: &str) -> Option<PathBuf> {
    let home = connection.look.variable("HOME")?;
    Some(PathBuf::from(home).join(".postgresql").join(name))
}

fn tls_versions(connection: &ConnectionLookup<'_>) -> Result<TlsVersions, ConfigError> {
    let min = connection.one(SSL_MIN, oldest_tls)?;
    let max = connection.one(SSL_MAX, newest_tls)?;
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
    given: &SourcedSettings,
    warnings: &mut Vec<String>,
) {
    let typed = match given.origin("db-password") {
        Some(Origin::Flag(_)) => "--db-password",
        _ => match connection.in_target("password").map(|given| given.origin) {
            Some(Origin::Keyword { target, .. }) if target.is_flag() => "a password in --target",
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
        if let Some(Sourced { origin, .. }) = connection.in_target(keyword) {
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

fn addresses(text: &str) -> Result<Vec<Option<IpAddr>>, String> {
    let address = |address: &str| match address.trim() {
        "" => Ok(None),
        address => {
            address.parse().map(Some).map_err(|_| "expected an IP address, not a name".to_owned())
        }
    };
    text.split(',').map(address).collect()
}

fn session_attrs(text: &str) -> Result<TargetSessionAttrs, String> {
    let names = TargetSessionAttrs::VARIANTS;
    text.parse().map_err(|_| format!("expected one of {}", names.join(", ")))
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
