//! Connecting as libpq does: connection strings, several hosts, client certificates.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use kreplay::postgres::{
    CertificateFiles, ChannelBinding, ClientCertificate, ConnectError, Host, RootCertificates,
    SslMode, Target, TargetSessionAttrs, TargetSettings,
};

use super::login::{
    accepted, configure, make_certificates, openssl, password, refused, with_alice, with_tls,
};
use super::{login, settings, simple};
use testkit::kreplay::Kreplay;
use testkit::postgres::{Server, free_port};

/// A client certificate made out to alice, beside what [`make_certificates`] makes.
fn make_client_certificate(directory: &Path, authority: &str, name: &str) {
    let (key, certificate) = (format!("{name}.key"), format!("{name}.crt"));
    let (ca, ca_key) = (format!("{authority}.crt"), format!("{authority}.key"));
    let new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let subject = ["-subj", "/CN=alice", "-days", "2", "-CA", &ca, "-CAkey", &ca_key];
    let leaf = ["-addext", "basicConstraints=critical,CA:FALSE"];
    openssl(
        directory,
        &[&new[..], &subject, &leaf, &["-keyout", &key, "-out", &certificate]].concat(),
    );
    fs::set_permissions(directory.join(key), fs::Permissions::from_mode(0o600)).expect("own file");
}

fn files(directory: &Path, name: &str) -> CertificateFiles {
    CertificateFiles {
        certificate: directory.join(format!("{name}.crt")),
        key: directory.join(format!("{name}.key")),
    }
}

#[actix_rt::test]
async fn a_server_that_asks_for_a_client_certificate_gets_it() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let directory = directory.path();
    make_certificates(directory);
    make_client_certificate(directory, "ca", "client");
    make_client_certificate(directory, "other", "stranger");
    let server = with_tls(
        directory,
        "hostssl all alice 127.0.0.1/32 cert\n\
         hostssl all bob 127.0.0.1/32 trust clientcert=verify-full\n\
         host all postgres 127.0.0.1/32 trust\n",
    );
    server.query("CREATE ROLE bob LOGIN");
    let shown = |certificate| TargetSettings {
        sslmode: SslMode::VerifyFull,
        sslrootcert: RootCertificates::File(directory.join("ca.crt")),
        hosts: vec![Host::new("localhost", server.port())],
        certificate,
        ..Default::default()
    };
    accepted(shown(ClientCertificate::File(files(directory, "client"))), "alice").await;
    accepted(shown(ClientCertificate::IfPresent(files(directory, "client"))), "alice").await;
    // The certificate is alice's.
    for (certificate, user, sqlstate) in [
        (ClientCertificate::File(files(directory, "client")), "bob", "28000"),
        (ClientCertificate::IfPresent(files(directory, "missing")), "alice", "28000"),
        (ClientCertificate::None, "alice", "28000"),
    ] {
        let error = refused(shown(certificate), user, "postgres").await;
        assert!(error.is_permanent() && error.to_string().contains(sqlstate), "{error}");
    }
    let stranger = shown(ClientCertificate::File(files(directory, "stranger")));
    let error = refused(stranger, "alice", "postgres").await;
    assert!(error.to_string().to_lowercase().contains("unknown"), "{error}");

    let key = directory.join("client.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("own file");
    let open = shown(ClientCertificate::File(files(directory, "client")));
    let error = Target::new(open).err().expect("the key is open").to_string();
    assert!(error.contains("client.key") && error.contains("chmod 600"), "{error}");
}

#[actix_rt::test]
async fn a_log_in_is_tied_to_the_servers_certificate_where_that_is_required() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    make_certificates(directory.path());
    let server = with_tls(
        directory.path(),
        "host all alice 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n",
    );
    let with = |channel_binding, sslmode| TargetSettings {
        channel_binding,
        sslmode,
        password: password("wonderland"),
        ..settings(&server)
    };
    for binding in [ChannelBinding::Disable, ChannelBinding::Prefer, ChannelBinding::Require] {
        accepted(with(binding, SslMode::Require), "alice").await;
    }
    accepted(with(ChannelBinding::Prefer, SslMode::Disable), "alice").await;
    for (sslmode, user) in [(SslMode::Disable, "alice"), (SslMode::Require, "postgres")] {
        let error = refused(with(ChannelBinding::Require, sslmode), user, "postgres").await;
        assert!(error.is_permanent() && error.to_string().contains("channel binding"), "{error}");
    }
}

#[actix_rt::test]
async fn allow_uses_tls_only_where_the_server_insists() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    make_certificates(directory.path());
    let server = with_tls(
        directory.path(),
        "hostssl all alice 127.0.0.1/32 trust\nhost all postgres 127.0.0.1/32 trust\n",
    );
    let target = Target::new(TargetSettings { sslmode: SslMode::Allow, ..settings(&server) });
    let target = target.expect("usable settings");
    let encrypted = async |user: &str| {
        let connection = target.connect(&login(user, "postgres")).await.expect("a connection");
        let sql = "SELECT 1 FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl";
        simple(&connection, sql).await.rows == 1
    };
    assert!(encrypted("alice").await);
    assert!(!encrypted("postgres").await);
}

/// The port of whichever of the hosts a session and an observer get to.
async fn taken(settings: &TargetSettings) -> Result<String, ConnectError> {
    let target = Target::new(settings.clone()).expect("usable settings");
    let login = login("postgres", "postgres");
    let connection = target.connect(&login).await?;
    let mut ports = Vec::new();
    for host in &settings.hosts {
        let sql = format!("SELECT 1 WHERE current_setting('port') = '{}'", host.port);
        if simple(&connection, &sql).await.rows == 1 {
            ports.push(host.port.to_string());
        }
    }
    connection.cancel().await.expect("the same server is reached again");
    target.observe(&login).await?;
    Ok(ports.concat())
}

#[actix_rt::test]
async fn the_first_server_that_can_be_reached_and_is_what_is_wanted_is_taken() {
    let standby = Server::start_with(15, |data| {
        fs::write(data.join("standby.signal"), "").expect("own cluster");
    });
    let read_only = Server::start_with(18, |data| {
        configure(data, "default_transaction_read_only = on");
    });
    let primary = Server::start(15);
    let port = |server: &Server| server.port().to_string();
    let nobody = free_port();
    let settings = TargetSettings {
        hosts: [nobody, standby.port(), read_only.port(), primary.port()]
            .map(|port| Host::new("127.0.0.1", port))
            .to_vec(),
        ..Default::default()
    };
    let wanted = |target_session_attrs| TargetSettings { target_session_attrs, ..settings.clone() };
    for (attrs, server) in [
        (TargetSessionAttrs::Any, &standby),
        (TargetSessionAttrs::ReadOnly, &standby),
        (TargetSessionAttrs::Standby, &standby),
        (TargetSessionAttrs::PreferStandby, &standby),
        (TargetSessionAttrs::Primary, &read_only),
        (TargetSessionAttrs::ReadWrite, &primary),
    ] {
        let taken = taken(&wanted(attrs)).await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(taken, port(server), "{attrs:?}");
    }
    // What kreplay itself sets does not make a server unfit.
    let own = TargetSettings { read_only: true, ..wanted(TargetSessionAttrs::ReadWrite) };
    assert_eq!(taken(&own).await.expect("one"), port(&read_only));

    let primaries = settings.hosts[2..].to_vec();
    let of_primaries = |attrs| TargetSettings { hosts: primaries.clone(), ..wanted(attrs) };
    let any = taken(&of_primaries(TargetSessionAttrs::PreferStandby)).await.expect("any");
    assert_eq!(any, port(&read_only));
    let error = taken(&of_primaries(TargetSessionAttrs::Standby)).await.expect_err("no standby");
    assert!(!error.is_permanent(), "{error}");
    for part in [port(&read_only), port(&primary), "target_session_attrs=standby".to_owned()] {
        assert!(error.to_string().contains(&part), "{error}");
    }
}

#[actix_rt::test]
async fn a_refused_log_in_is_not_tried_elsewhere() {
    let (strict, lax) = (with_alice(), Server::start(15));
    lax.query("CREATE ROLE alice LOGIN");
    let settings = TargetSettings {
        hosts: [&strict, &lax].map(|server| Host::new("127.0.0.1", server.port())).to_vec(),
        ..Default::default()
    };
    let error = refused(settings, "alice", "postgres").await;
    assert!(matches!(error, ConnectError::PasswordMissing { .. }), "{error}");
}

// ---- The program ----

const LOG: &str = "2026-11-30 02:05:57.060 UTC,\"shop\",\"app\",1,\"127.0.0.1:1\",6b0cda05.2b60,1,\
                   \"INSERT\",2026-11-30 02:05:57 UTC,3/2,0,LOG,00000,\"duration: 1.216 ms  \
                   statement: insert into t values (1)\",,,,,,,,,\"psql\",\"client backend\",,0\n";

/// A server where alice has a password, with her table in the database shop.
fn shop() -> Server {
    let server = with_alice();
    server.query("CREATE DATABASE shop OWNER alice");
    server.query_in("shop", "CREATE TABLE t (a int); ALTER TABLE t OWNER TO alice");
    server
}

fn replay(directory: &Path) -> Kreplay {
    let log = directory.join("log.csv");
    fs::write(&log, LOG).expect("written");
    Kreplay::new().arg("--input").arg(log)
}

fn write(directory: &Path, name: &str, contents: &str) -> PathBuf {
    let path = directory.join(name);
    fs::write(&path, contents).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("own file");
    path
}

#[test]
fn a_connection_string_is_enough_and_its_password_is_never_shown() {
    let server = shop();
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path();
    let port = server.port();
    let uri = format!("postgres://alice:wonderland@127.0.0.1:{port}/shop");
    let words = format!("host=127.0.0.1 port={port} user=alice dbname=shop password='wonderland'");
    let service = format!("[t]\nhost=127.0.0.1\nport={port}\ndbname=shop\nuser=alice\n");
    let service = write(directory, "services", &service);
    let passwords = write(directory, "passwords", &format!("*:{port}:shop:alice:wonderland\n"));
    let config = write(directory, "kreplay.toml", &format!("target = \"{uri}\"\n"));
    let runs = [
        replay(directory).args(["--target", &uri]),
        replay(directory).args(["--target", &words]),
        replay(directory).env("KREPLAY_TARGET", &uri),
        replay(directory).arg("--config").arg(config),
        replay(directory)
            .env("PGSERVICE", "t")
            .env("PGSERVICEFILE", service)
            .env("PGPASSFILE", passwords),
    ];
    for (index, run) in runs.into_iter().enumerate() {
        let finished = run.args(["--log", "trace"]).run();
        assert_eq!(finished.code, Some(0), "{finished}");
        assert_eq!(finished.report["outcomes"]["same"], 1, "{finished}");
        assert!(!format!("{finished}").contains("wonderland"), "{finished}");
        assert_eq!(server.query_in("shop", "SELECT count(*) FROM t"), (index + 1).to_string());
    }
    for (wrong, code) in [
        (format!("postgres://alice:hunter2@127.0.0.1:{port}/shop"), 3),
        (format!("postgres://alice:hunter2@127.0.0.1:{port}/shop?hots=x"), 2),
        (format!("host=127.0.0.1 port={port} password='hunter2"), 2),
    ] {
        let finished = replay(directory).args(["--target", &wrong]).run();
        assert_eq!(finished.code, Some(code), "{finished}");
        assert!(!format!("{finished}").contains("hunter2"), "{finished}");
    }
    let checked = replay(directory).check().args(["--target", &uri]).run();
    let shown = format!("{checked}");
    assert!(shown.contains(&format!("127.0.0.1:{port}")), "{shown}");
    assert!(!shown.contains("wonderland"), "{shown}");
}
