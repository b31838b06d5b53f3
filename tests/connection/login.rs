//! Logging in: passwords, TLS, refusals.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use kreplay::postgres::{
    ConnectError, Host, Request, RootCertificates, SslMode, Target, TargetSettings,
};
use secrecy::SecretString;

use super::{login, outcome, settings, simple};
use testkit::postgres::Server;

/// alice has to prove her password, everybody else is trusted.
const ALICE_NEEDS_A_PASSWORD: &str = "host all alice 127.0.0.1/32 scram-sha-256\n\
                                      host all all 127.0.0.1/32 trust\n\
                                      local all all trust\n";

pub(super) async fn refused(settings: TargetSettings, user: &str, database: &str) -> ConnectError {
    let target = Target::new(settings).expect("usable settings");
    match target.connect(&login(user, database)).await {
        Ok(_) => panic!("{user} got into {database}"),
        Err(error) => error,
    }
}

pub(super) async fn accepted(settings: TargetSettings, user: &str) {
    let target = Target::new(settings).expect("usable settings");
    let connection = target.connect(&login(user, "postgres")).await.expect("a connection");
    assert_eq!(outcome(&simple(&connection, "SELECT 1").await), ("00000", 1, 1));
    connection.close().await;
}

pub(super) fn with_alice() -> Server {
    let server = Server::start_with(15, |data| {
        fs::write(data.join("pg_hba.conf"), ALICE_NEEDS_A_PASSWORD).expect("own cluster");
    });
    server.query("CREATE ROLE alice LOGIN PASSWORD 'wonderland'");
    server
}

pub(super) fn password(password: &str) -> Option<SecretString> {
    Some(SecretString::from(password))
}

#[actix_rt::test]
async fn a_session_starts_as_its_log_in_and_the_settings_say() {
    let server = Server::start(15);
    let target = Target::new(TargetSettings {
        read_only: true,
        options: Some("-c statement_timeout=77s".into()),
        ..settings(&server)
    })
    .expect("usable settings");
    let connection = target.connect(&login("postgres", "template1")).await.expect("a connection");
    let check = format!(
        "SELECT 1 WHERE current_setting('application_name') = 'kreplay tests' \
         AND current_database() = 'template1' AND pg_backend_pid() = {} \
         AND current_setting('statement_timeout') = '77s'",
        connection.backend_pid()
    );
    assert_eq!(outcome(&simple(&connection, &check).await), ("00000", 1, 1));
    assert_eq!(outcome(&simple(&connection, "CREATE TABLE t ()").await).0, "25006");
}

#[actix_rt::test]
async fn a_wrong_password_is_permanent_and_never_shown() {
    let server = with_alice();
    accepted(TargetSettings { password: password("wonderland"), ..settings(&server) }, "alice")
        .await;
    let wrong = TargetSettings { password: password("hunter2"), ..settings(&server) };
    let error = refused(wrong, "alice", "postgres").await;
    assert!(error.is_permanent() && !error.is_full());
    let text = format!("{error} {error:?}");
    assert!(text.contains("28P01") && text.contains("alice"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}

#[actix_rt::test]
async fn the_password_file_is_asked_where_no_password_is_given() {
    let server = with_alice();
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let with_file = |contents: &str, mode| {
        fs::write(file.path(), contents).expect("own file");
        fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).expect("own file");
        TargetSettings { passfile: Some(file.path().into()), ..settings(&server) }
    };
    let line = format!("127.0.0.1:{}:*:alice:wonderland\n", server.port());
    accepted(with_file(&line, 0o600), "alice").await;
    let error = refused(with_file(&line, 0o644), "alice", "postgres").await;
    assert!(matches!(error, ConnectError::PasswordMissing { .. }), "{error}");
    let error = refused(with_file("*:*:*:bob:x\n", 0o600), "alice", "postgres").await;
    assert!(matches!(error, ConnectError::PasswordMissing { .. }), "{error}");
    assert!(error.is_permanent());
}

#[actix_rt::test]
async fn what_no_retry_can_help_is_permanent_and_the_rest_is_not() {
    let server = with_alice();
    for (user, database, sqlstate) in
        [("nobody_of_that_name", "postgres", "28000"), ("postgres", "nowhere", "3D000")]
    {
        let error = refused(settings(&server), user, database).await;
        assert!(error.is_permanent() && error.to_string().contains(sqlstate), "{error}");
        assert!(error.to_string().contains(user) && error.to_string().contains(database));
    }
    server.query("REVOKE CONNECT ON DATABASE template1 FROM public; CREATE ROLE bob LOGIN");
    let error = refused(settings(&server), "bob", "template1").await;
    assert!(error.is_permanent() && error.to_string().contains("42501"), "{error}");

    server.query("ALTER ROLE bob CONNECTION LIMIT 0");
    let error = refused(settings(&server), "bob", "postgres").await;
    assert!(error.is_full() && !error.is_permanent(), "{error}");
}

#[actix_rt::test]
async fn a_server_that_is_away_or_silent_is_worth_another_try() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("a port").port();
    let settings = TargetSettings {
        hosts: vec![Host::new("127.0.0.1", port)],
        connect_timeout: Duration::from_millis(100),
        ..Default::default()
    };
    let error = refused(settings.clone(), "postgres", "postgres").await;
    assert!(matches!(error, ConnectError::Timeout { .. }) && !error.is_permanent(), "{error}");
    drop(silent);
    let error = refused(settings, "postgres", "postgres").await;
    assert!(matches!(error, ConnectError::Unreachable { .. }) && !error.is_permanent(), "{error}");
    assert!(error.to_string().contains(&format!("127.0.0.1:{port}")), "{error}");
}

#[actix_rt::test]
async fn a_directory_as_host_is_a_unix_socket() {
    let server = Server::start_with(15, |data| {
        configure(data, &format!("unix_socket_directories = '{}'", data.display()));
        fs::set_permissions(data, fs::Permissions::from_mode(0o750)).expect("own cluster");
    });
    let settings = TargetSettings {
        hosts: vec![Host::new(server.data().display().to_string(), server.port())],
        sslmode: SslMode::VerifyFull,
        ..settings(&server)
    };
    let target = Target::new(settings).expect("usable settings");
    assert!(target.address().ends_with(&format!("/.s.PGSQL.{}", server.port())));
    let connection = target.connect(&login("postgres", "postgres")).await.expect("a connection");
    let check = "SELECT 1 WHERE inet_client_addr() IS NULL";
    assert_eq!(outcome(&simple(&connection, check).await), ("00000", 1, 1));
    connection.cancel().await.expect("over the socket, too");
}

pub(super) fn configure(data: &Path, line: &str) {
    let path = data.join("postgresql.conf");
    let before = fs::read_to_string(&path).expect("own cluster");
    fs::write(path, format!("{before}\n{line}\n")).expect("own cluster");
}

pub(super) fn openssl(directory: &Path, arguments: &[&str]) {
    let output = Command::new("openssl")
        .args(arguments)
        .current_dir(directory)
        .output()
        .expect("openssl is installed: tests/run says what the tests need");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Makes `ca.crt`, `other.crt` (an authority that signed nothing), and `server.crt` with
/// `server.key`, made out to localhost alone.
pub(super) fn make_certificates(directory: &Path) {
    let new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    for name in ["ca", "other"] {
        let files = [format!("{name}.key"), format!("{name}.crt"), format!("/CN={name}")];
        let [key, certificate, subject] = files.each_ref().map(String::as_str);
        openssl(
            directory,
            &[&new[..], &["-days", "2", "-keyout", key, "-out", certificate, "-subj", subject]]
                .concat(),
        );
    }
    let server = ["-days", "2", "-keyout", "server.key", "-out", "server.crt", "-subj", "/CN=db"];
    let signed = ["-CA", "ca.crt", "-CAkey", "ca.key", "-addext", "subjectAltName=DNS:localhost"];
    let leaf = ["-addext", "basicConstraints=critical,CA:FALSE"];
    openssl(directory, &[&new[..], &server, &signed, &leaf].concat());
}

pub(super) fn with_tls(certificates: &Path, hba: &str) -> Server {
    let server = Server::start_with(15, |data| {
        for file in ["ca.crt", "server.crt", "server.key"] {
            fs::copy(certificates.join(file), data.join(file)).expect("own cluster");
        }
        fs::set_permissions(data.join("server.key"), fs::Permissions::from_mode(0o600))
            .expect("own file");
        Server::hand_over(&data.join("server.key"));
        configure(data, "ssl = on\nssl_ca_file = 'ca.crt'");
        fs::write(data.join("pg_hba.conf"), hba).expect("own cluster");
    });
    server.query("CREATE ROLE alice LOGIN PASSWORD 'wonderland'");
    server
}

#[actix_rt::test]
async fn each_sslmode_verifies_what_libpq_verifies() {
    let certificates = tempfile::tempdir().expect("a temporary directory");
    make_certificates(certificates.path());
    let server = with_tls(certificates.path(), ALICE_NEEDS_A_PASSWORD);
    let mut wrong = Vec::new();
    for (sslmode, root, host, expected) in [
        (SslMode::Disable, None, "127.0.0.1", Ok(false)),
        (SslMode::Prefer, None, "127.0.0.1", Ok(true)),
        (SslMode::Prefer, Some("other.crt"), "127.0.0.1", Ok(true)),
        (SslMode::Require, None, "127.0.0.1", Ok(true)),
        (SslMode::Require, Some("ca.crt"), "127.0.0.1", Ok(true)),
        (SslMode::Require, Some("other.crt"), "127.0.0.1", Err("UnknownIssuer")),
        (SslMode::VerifyCa, Some("ca.crt"), "127.0.0.1", Ok(true)),
        (SslMode::VerifyCa, Some("server.crt"), "127.0.0.1", Ok(true)),
        (SslMode::VerifyCa, Some("other.crt"), "localhost", Err("UnknownIssuer")),
        (SslMode::VerifyFull, Some("ca.crt"), "localhost", Ok(true)),
        (SslMode::VerifyFull, Some("server.crt"), "localhost", Ok(true)),
        (SslMode::VerifyFull, Some("ca.crt"), "127.0.0.1", Err("not valid for name")),
        (SslMode::VerifyFull, Some("server.crt"), "127.0.0.1", Err("not valid for name")),
        (SslMode::VerifyFull, Some("other.crt"), "localhost", Err("UnknownIssuer")),
    ] {
        let settings = TargetSettings {
            hosts: vec![Host::new(host, server.port())],
            sslmode,
            sslrootcert: root.map_or(RootCertificates::System, |file| {
                RootCertificates::File(certificates.path().join(file))
            }),
            // With SCRAM over TLS the certificate is bound to the log-in.
            password: password("wonderland"),
            ..settings(&server)
        };
        let target = Target::new(settings).expect("usable settings");
        let result = match target.connect(&login("alice", "postgres")).await {
            Ok(connection) => {
                let sql = "SELECT 1 FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl";
                let encrypted = simple(&connection, sql).await.rows == 1;
                connection.cancel().await.expect("a cancel request is encrypted as well");
                connection.close().await;
                Ok(encrypted)
            }
            Err(error) => {
                assert!(error.is_permanent(), "{error}");
                Err(error.to_string())
            }
        };
        let as_expected = match (&result, &expected) {
            (Ok(encrypted), Ok(expected)) => encrypted == expected,
            (Err(error), Err(expected)) => error.contains(expected),
            _ => false,
        };
        if !as_expected {
            wrong.push(format!("{sslmode:?} {root:?} {host}: {result:?}, not {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[actix_rt::test]
async fn large_requests_and_results_pass_through_tls() {
    let certificates = tempfile::tempdir().expect("a temporary directory");
    make_certificates(certificates.path());
    let server = with_tls(certificates.path(), ALICE_NEEDS_A_PASSWORD);
    let settings = TargetSettings { sslmode: SslMode::Require, ..settings(&server) };
    let target = Target::new(settings).expect("usable settings");
    let connection = target.connect(&login("postgres", "postgres")).await.expect("a connection");
    let long = format!("SELECT '{}', repeat('y', 5000000)", "x".repeat(5_000_000));
    (0..8).for_each(|_| connection.send(Request::Simple(&long)));
    for _ in 0..8 {
        assert_eq!(outcome(&connection.answer().await.expect("an answer")), ("00000", 1, 1));
    }
}

#[actix_rt::test]
async fn a_server_without_tls_is_taken_only_by_those_who_do_not_insist() {
    let server = Server::start(15);
    accepted(TargetSettings { sslmode: SslMode::Prefer, ..settings(&server) }, "postgres").await;
    let insisting = TargetSettings { sslmode: SslMode::Require, ..settings(&server) };
    let error = refused(insisting, "postgres", "postgres").await;
    assert!(matches!(error, ConnectError::TlsUnsupported { .. }), "{error}");
    assert!(error.is_permanent());
}

#[actix_rt::test]
async fn prefer_gives_up_tls_where_the_server_wants_none() {
    let certificates = tempfile::tempdir().expect("a temporary directory");
    make_certificates(certificates.path());
    let server = with_tls(certificates.path(), "hostnossl all all 127.0.0.1/32 trust\n");
    accepted(TargetSettings { sslmode: SslMode::Prefer, ..settings(&server) }, "postgres").await;
    let insisting = TargetSettings { sslmode: SslMode::Require, ..settings(&server) };
    let error = refused(insisting, "postgres", "postgres").await;
    assert!(error.is_permanent() && error.to_string().contains("28000"), "{error}");
}
