//! What may start when, as the server sees it.

use std::collections::HashMap;

use testkit::fixture::DATABASE;
use testkit::kreplay::Kreplay;
use testkit::log::Log;
use testkit::postgres::Server;
use testkit::recorder::{Event, Recorder};

const SESSIONS: u64 = 8;
const STATEMENTS: u64 = 300;

/// What the server saw of a statement of [`log`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    /// Its place in the log, from 0.
    place: u64,
    connection: usize,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum What {
    Arrival,
    Start,
    Finish,
}

/// A log of several sessions in a random order, of transactions and without, in both protocols,
/// of statements that succeed and that fail. Each holds its place in a comment.
fn log(seed: u64) -> Log {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut in_transaction = [false; SESSIONS as usize];
    let mut log = Log::new();
    for place in 0..STATEMENTS {
        let session = random.u64(..SESSIONS);
        let pid = 100 + session as u32;
        let open = &mut in_transaction[session as usize];
        log = match (random.u64(..6), *open) {
            (0, false) => {
                *open = true;
                log.ended(pid, [format!("begin /*{place}*/")])
            }
            (0 | 1, true) => {
                *open = false;
                log.ended(pid, [format!("commit /*{place}*/")])
            }
            (1, false) => log.failed(pid, "22012", &format!("select 1/0 /*{place}*/")),
            (2, _) => log.executed(pid, &format!("select $1::int /*{place}*/"), &["7"]),
            _ => log.ended(pid, [format!("select {place} /*{place}*/")]),
        };
    }
    log
}

/// Replays the log of this seed and gives what the server saw, in the order that it did.
fn seen(seed: u64, arguments: &[&str]) -> Vec<Seen> {
    let server = Server::start(15);
    server.query(&format!("create database {DATABASE}"));
    let recorder = Recorder::before(&server, seed);
    let file = log(seed).file();
    let port = recorder.port().to_string();
    let target = ["-H", "127.0.0.1", "-P", &port, "--sslmode", "disable"];
    // EXPLAIN holds a statement's text too.
    let replay = Kreplay::new().args(target).args(["--plans", "off"]).args(arguments);
    let replay = replay.arg("--input").arg(file.path());
    let finished = replay.run().well();
    assert!(!finished.stderr.contains("WARN"), "{finished}");
    assert_eq!(finished.statements(), STATEMENTS, "{finished}");
    assert_eq!(finished.count("/outcomes/same"), STATEMENTS, "{finished}");

    let place = |event: &Event| -> Option<u64> {
        event.sql().split_once("/*")?.1.split_once("*/")?.0.parse().ok()
    };
    let seen: Vec<Seen> = recorder
        .events()
        .iter()
        .filter_map(|event| {
            let what = match event {
                Event::Arrival { .. } => What::Arrival,
                Event::Start { .. } => What::Start,
                Event::Finish { .. } => What::Finish,
            };
            Some(Seen { place: place(event)?, connection: event.connection(), what })
        })
        .collect();
    assert_eq!(seen.len() as u64, 3 * STATEMENTS, "each came, started and finished once");
    seen
}

/// The first statement that started before its predecessor in the log had finished, if any did.
fn out_of_order(seen: &[Seen]) -> Option<u64> {
    let serial = (0..STATEMENTS).flat_map(|place| [(place, What::Start), (place, What::Finish)]);
    let seen = seen.iter().filter(|seen| seen.what != What::Arrival);
    let seen = seen.map(|seen| (seen.place, seen.what));
    seen.zip(serial).find(|(seen, serial)| seen != serial).map(|((place, _), _)| place)
}

/// How many statements ran at once at the most; and how many of one connection had come and not
/// finished.
fn at_once(seen: &[Seen]) -> (usize, usize) {
    let (mut running, mut most_running, mut most_sent) = (0, 0, 0);
    let mut sent: HashMap<usize, usize> = HashMap::new();
    for event in seen {
        let sent = sent.entry(event.connection).or_default();
        match event.what {
            What::Arrival => *sent += 1,
            What::Start => running += 1,
            What::Finish => {
                running -= 1;
                *sent -= 1;
            }
        }
        (most_running, most_sent) = (most_running.max(running), most_sent.max(*sent));
    }
    (most_running, most_sent)
}

/// Checks that the statements of each connection started and finished in the order of the log.
#[track_caller]
fn assert_no_session_overtakes_itself(seen: &[Seen]) {
    let mut last: HashMap<(usize, What), u64> = HashMap::new();
    for event in seen {
        let before = last.insert((event.connection, event.what), event.place);
        assert!(before.is_none_or(|before| before < event.place), "{before:?} before {event:?}");
    }
    assert_eq!(last.len() as u64, 3 * SESSIONS, "each session has a connection of its own");
}

#[test]
fn in_serial_order_no_statement_starts_before_its_predecessor_in_the_log_has_finished() {
    for seed in [1, 2] {
        let seen = seen(seed, &["--order", "serial"]);
        assert_eq!(out_of_order(&seen), None, "seed {seed}: {seen:?}");
    }
    let seen = seen(3, &["--order", "serial", "--workers", "3", "--spin", "50us"]);
    assert_eq!(out_of_order(&seen), None, "several threads that stay awake: {seen:?}");
}

#[test]
fn in_session_order_a_session_never_overtakes_itself_and_sends_ahead() {
    let seen = seen(1, &["--order", "session"]);
    assert_no_session_overtakes_itself(&seen);
    let (running, sent) = at_once(&seen);
    assert!(running > 1, "sessions run at once");
    assert!((2..=16).contains(&sent), "{sent} statements of a session were sent and not answered");
    assert!(out_of_order(&seen).is_some(), "the check of the serial order can fail");
}

#[test]
fn in_session_order_without_pipelining_a_session_waits_for_each_answer() {
    let seen = seen(1, &["--order", "session", "--pipeline", "1", "--workers", "2"]);
    assert_no_session_overtakes_itself(&seen);
    let (running, sent) = at_once(&seen);
    assert!(running > 1, "sessions run at once");
    assert_eq!(sent, 1);
}
