//! Who is answered over HTTP, and what is left of whoever is not.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use testkit::kafka;
use testkit::kreplay::Kreplay;

/// What comes back for these bytes.
fn answer(address: &str, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.write_all(request).expect("sent");
    let mut answer = Vec::new();
    // It may reset the connection behind what it refuses.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn a_foreign_name_is_refused_and_an_unreadable_request_is_counted_and_not_logged() {
    let broker = kafka::shared();
    let topic = broker.topic("names", 1);
    let replay = Kreplay::new().args(["-t", &topic, "-b", broker.address(), "--dry-run"]);
    let mut replay = replay.args(["--http-host", "Replay.example"]).spawn();
    let ask = |host: &str, path: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        answer(replay.address(), request.as_bytes())
    };
    let refused = ask("evil.example", "/report");
    assert!(refused.starts_with("HTTP/1.1 421") && refused.contains("--http-host"), "{refused}");
    assert!(ask("replay.example:80", "/report").starts_with("HTTP/1.1 200"));
    assert!(ask("evil.example", "/metrics").starts_with("HTTP/1.1 200"));
    for garbage in [&b"\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n"[..], b"GET / HTTP/9.9\r\n\r\n"] {
        let refused = answer(replay.address(), garbage);
        assert!(refused.starts_with("HTTP/1.1 400"), "{refused}");
    }
    let refused = |reason| format!("kreplay_http_requests_refused_total{{reason=\"{reason}\"}}");
    replay.wait_for(|metrics| metrics[&refused("unreadable")] == 2.0);
    assert_eq!(replay.metrics()[&refused("host")], 1.0);
    replay.term();
    let finished = replay.wait();
    assert_eq!(finished.code, Some(0), "{finished}");
    assert!(!finished.stderr.contains("actix_http"), "{finished}");
}
