//! What systemd is told.

use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use testkit::kafka;
use testkit::kreplay::Kreplay;
use testkit::postgres::Server;

/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// The socket that systemd listens on.
struct Systemd {
    socket: UnixDatagram,
    directory: tempfile::TempDir,
}

impl Systemd {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let socket = UnixDatagram::bind(directory.path().join("notify")).expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a time above 0");
        Self { socket, directory }
    }

    /// The assignments that come up to the first that begins so.
    fn hear(&self, until: &str) -> Vec<String> {
        let mut heard = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "{until} does not come: {heard:#?}");
            let mut message = [0; 4096];
            let length = match self.socket.recv(&mut message) {
                // A signal, such as that of a child's end: no call with a timeout goes on behind it.
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                length => length.unwrap_or_else(|error| panic!("{until}: {error}: {heard:#?}")),
            };
            let message = String::from_utf8_lossy(&message[..length]).into_owned();
            heard.extend(message.lines().map(str::to_owned));
            if heard.iter().any(|line| line.starts_with(until)) {
                return heard;
            }
        }
    }
}

#[test]
fn systemd_hears_that_the_service_lives_is_ready_and_stops() {
    let mut server = Server::start(15);
    server.stop();
    let (systemd, broker) = (Systemd::new(), kafka::shared());
    let topic = broker.topic("systemd", 1);
    let replay = Kreplay::new().args(["-t", &topic, "-b", broker.address()]).target(&server);
    let replay = replay
        .env("NOTIFY_SOCKET", systemd.directory.path().join("notify"))
        .env("WATCHDOG_USEC", "200000")
        .spawn();

    let before = systemd.hear("STATUS=waiting: ");
    assert!(before.iter().any(|line| line == "WATCHDOG=1"), "{before:#?}");
    // It goes on living without its target, and is not ready.
    let waiting = systemd.hear("WATCHDOG=1");
    assert!(!before.iter().chain(&waiting).any(|line| line == "READY=1"), "{before:#?}");

    server.restart();
    systemd.hear("READY=1");
    assert_eq!(replay.get("/readyz").0, 200);
    systemd.hear("WATCHDOG=1");

    replay.term();
    let stopping = systemd.hear("STOPPING=1");
    assert!(!stopping.iter().any(|line| line == "READY=1"), "{stopping:#?}");
    // --shutdown-timeout and what comes around it.
    assert!(stopping.contains(&"EXTEND_TIMEOUT_USEC=25000000".to_owned()), "{stopping:#?}");
    replay.wait().well();
}
