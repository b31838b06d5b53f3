//! The progress bar and the status line.

use std::num::NonZero;

use testkit::kafka;
use testkit::kreplay::Kreplay;
use testkit::log::{Client, Log};
use testkit::postgres::Server;

/// A statement that takes long enough for a bar to be drawn, and one that fails on the target alone
/// and is told of in the log.
fn slow_log() -> Log {
    let client = Client { database: "postgres", ..Client::default() };
    Log::new().client(1, client).ended(1, ["select pg_sleep(1.5)", "select 1/0", "select 2"])
}

#[test]
fn a_terminal_shows_a_bar_below_the_log_which_leaves_nothing_behind() {
    let (server, log) = (Server::start(15), slow_log().file());
    let replay = Kreplay::new().arg("--input").arg(log.path()).target(&server);
    let finished = replay.on_terminal().run().well();
    let output = &finished.stdout;
    assert!(output.contains("ETA ") && output.contains("% ["), "no bar\n{finished}");
    assert!(!output.contains("in flight"), "the bar and the status line\n{finished}");

    let [rows, columns] = [100, 200].map(|size| NonZero::new(size).expect("above 0"));
    let mut terminal = vt100::Parser::new(rows, columns, 0);
    terminal.process(output.as_bytes());
    let shown = terminal.screen().contents();
    assert!(!shown.contains("ETA") && !shown.contains("% ["), "the bar is still there:\n{shown}");
    let told = shown.lines().filter(|line| line.contains(" WARN ") || line.contains(" INFO "));
    let torn: Vec<_> = told.filter(|line| !line.starts_with("20")).collect();
    assert!(torn.is_empty(), "torn: {torn:#?}\n{shown}");
    assert!(shown.contains("a statement ended otherwise than on the source"), "{shown}");
    assert!(shown.lines().any(|line| line.starts_with("consumed  ")), "no summary:\n{shown}");
}

#[test]
fn a_bar_is_drawn_for_a_topic_up_to_its_end() {
    let (server, broker) = (Server::start(15), kafka::shared());
    let topic = broker.topic("bar", 1);
    let log = slow_log();
    let records = log.records();
    broker.produce(&topic, 0, records.iter().map(Vec::as_slice));
    let replay = Kreplay::new().args(["-t", &topic, "-b", broker.address(), "--until-end"]);
    let finished = replay.target(&server).on_terminal().run().well();
    assert!(finished.stdout.contains(" records, "), "{finished}");
    assert!(finished.stdout.contains("ETA "), "{finished}");
}

#[test]
fn a_pipe_gets_a_status_line_and_nothing_of_a_bar() {
    let (server, log) = (Server::start(15), slow_log().file());
    let replay = Kreplay::new().arg("--input").arg(log.path()).target(&server);
    let finished = replay.args(["--status-interval", "300ms"]).env("TERM", "xterm").run().well();
    let stderr = &finished.stderr;
    assert!(!stderr.contains('\u{1b}') && !stderr.contains('\r'), "{finished}");
    assert!(!stderr.contains("ETA"), "{finished}");
    let status = stderr.lines().find(|line| line.contains("statements in flight"));
    let status = status.unwrap_or_else(|| panic!("no status line\n{finished}"));
    assert!(status.contains("% done, ") && status.contains(" statements/s, "), "{status}");
}
