//! What a replay waits for and takes when it starts: one with an end says what is wrong, and ends.

use std::net::TcpListener;
use std::path::Path;
use std::sync::OnceLock;

use testkit::kreplay::{Finished, Kreplay};
use testkit::log::Log;
use testkit::postgres::Server;

const DEFAULT_PORT: &str = "127.0.0.1:11432";

/// The port of a target that nobody listens on.
fn unused_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("bound").port().to_string()
}

fn log() -> tempfile::NamedTempFile {
    Log::new().ended(1, ["select 1"]).file()
}

fn replay_on(port: &str, input: &Path, arguments: &[&str]) -> Finished {
    let replay = Kreplay::new().args(["-H", "127.0.0.1", "-P", port]).args(arguments);
    replay.arg("--input").arg(input).run()
}

#[test]
fn a_file_that_can_not_be_a_log_is_told_before_the_target_is_waited_for() {
    let directory = tempfile::tempdir().expect("a directory");
    let packed = directory.path().join("log.zip");
    std::fs::write(&packed, b"PK\x03\x04...").expect("a file");
    for file in [Path::new("/nonexistent.csv"), directory.path(), &packed] {
        let finished = replay_on(&unused_port(), file, &[]);
        assert_eq!(finished.code, Some(2), "{finished}");
        assert!(finished.stderr.contains(&file.display().to_string()), "{finished}");
        assert!(!finished.stderr.contains("waiting for the target"), "{finished}");
    }
}

#[test]
fn a_replay_with_an_end_gives_up_on_a_target_that_cannot_be_reached() {
    let (port, log) = (unused_port(), log());
    let finished = replay_on(&port, log.path(), &["--connect-timeout", "100ms"]);
    assert_eq!(finished.code, Some(3), "{finished}");
    let last = finished.stderr.lines().last().unwrap_or_default();
    for part in ["--connect-timeout", &format!("127.0.0.1:{port}"), "100ms"] {
        assert!(last.contains(part), "{part}: {finished}");
    }
}

/// Takes the default port for as long as the tests run, unless somebody has it anyway.
fn take_the_default_port() {
    static TAKEN: OnceLock<Option<TcpListener>> = OnceLock::new();
    TAKEN.get_or_init(|| TcpListener::bind(DEFAULT_PORT).ok());
}

#[test]
fn a_replay_with_an_end_makes_do_with_another_port_where_the_default_one_is_taken() {
    take_the_default_port();
    let (server, log) = (Server::start(15), log());
    let replay = Kreplay::new().target(&server).args(["-d", "postgres", "--input"]);
    let finished = replay.arg(log.path()).default_port().run().well();
    let said = |part: &str| {
        let line = finished.stderr.lines().find(|line| line.contains(part));
        line.unwrap_or_else(|| panic!("no line says {part}: {finished}"))
    };
    assert!(said("the port is taken").contains(DEFAULT_PORT), "{finished}");
    assert!(!said("HTTP on http://").contains(DEFAULT_PORT), "{finished}");
}

#[test]
fn a_port_that_was_asked_for_is_not_another_one_and_neither_is_a_daemon_s() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound").to_string();
    take_the_default_port();
    let log = log();
    let asked = Kreplay::new().listen(&address).arg("--dry-run").arg("--input").arg(log.path());
    let daemon = Kreplay::new().default_port().args(["--dry-run", "-t", "none"]);
    for replay in [asked, daemon] {
        let finished = replay.run();
        assert_eq!(finished.code, Some(1), "{finished}");
        assert!(finished.stderr.contains("--listen"), "{finished}");
        assert!(finished.stderr.contains("the port is taken"), "{finished}");
    }
}
