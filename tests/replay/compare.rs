//! Two replays of one log, compared: what was planted in the second target is told.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use testkit::browser::Browser;
use testkit::kafka;
use testkit::kreplay::{Finished, Kreplay};
use testkit::log::Log;
use testkit::postgres::Server;

const SET_UP: &str = "
    create function pause(ms float8) returns int language plpgsql as
        'begin perform pg_sleep(ms / 1000); return 1; end';
    create function slow(n int) returns int language sql as 'select pause(1)';
    create function steady(n int) returns int language sql as 'select pause(1)';
    create function calm(n int) returns int language sql as 'select pause(1)';
    create table gone (k int);
";
/// What takes many times as long, by far more than a busy machine adds, and what fails.
const PLANTED: &str = "
    create or replace function slow(n int) returns int language sql as 'select pause(40)';
    drop table gone;
";
/// More than a busy machine makes of a millisecond.
const THRESHOLD: [&str; 2] = ["--threshold", "900%"];

/// A log of four sessions that call the same.
fn log(calls: usize) -> Log {
    (1..=4).fold(Log::new(), |log, pid| {
        let queries = (0..calls).flat_map(|n| {
            ["slow(?)", "steady(?)", "calm(?)", "k from gone where k = ?"]
                .map(|query| format!("select {}", query.replace('?', &n.to_string())))
        });
        log.ended(pid, queries).disconnected(pid)
    })
}

/// The reports of replays, in a directory of their own.
struct Reports {
    directory: tempfile::TempDir,
}

impl Reports {
    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Replays a log on a server, to a report of this name.
    fn replay(&self, name: &str, log: &Path, server: &Server, order: &str) {
        let finished = self.replay_with(name, log, server, &["--order", order]);
        assert_eq!(finished.code, Some(0), "{finished}");
    }

    fn replay_with(&self, name: &str, log: &Path, server: &Server, options: &[&str]) -> Finished {
        let replay = Kreplay::new().target(server).args(["-d", "postgres"]).args(options);
        replay.arg("--input").arg(log).arg("--report").arg(self.path(name)).run()
    }

    fn compare(&self, names: [&str; 2], options: &[&str]) -> Finished {
        Kreplay::compare().args(names.map(|name| self.path(name))).args(options).run()
    }
}

/// Two replays on one target, and one on a target with what was planted.
fn replayed() -> Reports {
    let reports = Reports { directory: tempfile::tempdir().expect("a directory") };
    let log = log(15).file();
    let server = Server::start(15);
    server.query(SET_UP);
    reports.replay("base.json", log.path(), &server, "conflict");
    reports.replay("again.html", log.path(), &server, "session");
    server.query(PLANTED);
    reports.replay("planted.json", log.path(), &server, "session");
    reports
}

/// The shape whose text holds this.
fn shape<'a>(comparison: &'a Value, query: &str) -> &'a Value {
    let holds = |shape: &&Value| shape["query"].as_str().is_some_and(|it| it.contains(query));
    let found = comparison["shapes"].as_array().expect("shapes").iter().find(holds);
    found.unwrap_or_else(|| panic!("no {query} in {comparison:#}"))
}

#[test]
fn what_was_planted_in_the_second_target_is_told_and_ends_with_its_exit_code() {
    let reports = replayed();
    let planted = ["base.json", "planted.json"];
    let told = reports.compare(planted, &THRESHOLD);
    assert_eq!(told.code, Some(9), "{told}");
    let line =
        |text: &str| told.stdout.lines().find(|line| line.contains(text)).unwrap_or_default();
    assert!(line("select slow(?)").contains("degraded"), "{told}");
    assert!(line("42P01").contains("60 calls  select k from gone"), "{told}");
    assert!(line("note").contains("order: conflict in the baseline, session in"), "{told}");
    let json = reports.compare(planted, &[&THRESHOLD[..], &["--json"]].concat());
    let json: Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert_eq!((&json["verdicts"]["degraded"], &json["new_errors"]), (&1.into(), &1.into()));
    assert_eq!(shape(&json, "slow")["verdict"], "degraded", "{json:#}");
    for (fail_on, code) in [("never", 0), ("degraded", 9), ("new-errors", 9), ("never,degraded", 2)]
    {
        let told = reports.compare(planted, &[&THRESHOLD[..], &["--fail-on", fail_on]].concat());
        assert_eq!(told.code, Some(code), "--fail-on {fail_on}: {told}");
    }

    // Two runs of one target have nothing worse, and the page holds the report, too.
    let same = reports.compare(["base.json", "again.html"], &THRESHOLD);
    assert_eq!(same.code, Some(0), "{same}");
    assert!(same.stdout.ends_with("result     nothing is worse\n"), "{same}");
    let again = reports.path("again.html");
    let repeat = [&THRESHOLD[..], &["--repeat", again.to_str().expect("UTF-8")]].concat();
    let told = reports.compare(planted, &repeat);
    assert_eq!(told.code, Some(9), "{told}");
    assert!(told.stdout.contains("repeat "), "{told}");

    shows_it_as_a_page(&reports, planted);
}

fn shows_it_as_a_page(reports: &Reports, planted: [&str; 2]) {
    let page = reports.path("comparison.html");
    let options = [&THRESHOLD[..], &["--html", page.to_str().expect("UTF-8")]].concat();
    reports.compare(planted, &options);
    let browser = Browser::start(1500);
    browser.open(&format!("file://{}", page.display()));
    browser.wait_until("!document.querySelector('#comparison').hidden");
    assert!(
        browser.texts("#headline")[0].contains("1 of 4 shapes is slower"),
        "{:?}",
        browser.texts("#headline")
    );
    let slower = browser.texts("tr.shape:has(.badge.bad)").join("\n");
    assert!(slower.contains("select slow(?)") && slower.contains("✕ degraded"), "{slower}");
    assert!(browser.texts("#errors tbody tr")[0].starts_with("42P01"));
    browser.click("#verdicts [data-verdict=degraded]");
    assert_eq!(browser.texts("tr.shape:not([hidden])").len(), 1);
    browser.click("tr.shape:not([hidden]) .open");
    let opened = browser.texts("tr.more:not([hidden])").join("\n");
    assert!(opened.contains("Candidate / baseline") && opened.contains("p99"), "{opened}");
    for scheme in ["light", "dark"] {
        browser.prefer(scheme);
        for width in [360, 800, 1600] {
            browser.narrow(width);
            let wide = browser.run("return document.documentElement.scrollWidth");
            assert_eq!(wide, width, "{scheme}");
        }
    }
    // No verdict is drawn where there is none.
    browser.run(
        "verdicts.degraded = 0; comparison.new_errors = 0; \
         Object.assign(comparison.untold, { extent: 'all', words: 'nothing can be told' }); showVerdict()",
    );
    assert_eq!(browser.texts("#verdict.warn #headline"), ["! Nothing can be told; no new error"]);
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn another_log_a_run_of_nothing_and_what_is_no_report_are_no_success() {
    let reports = Reports { directory: tempfile::tempdir().expect("a directory") };
    let server = Server::start(15);
    server.query(SET_UP);
    for (name, calls) in [("one.json", 1), ("other.json", 2)] {
        reports.replay(name, log(calls).file().path(), &server, "session");
    }
    // A target that lets no session in has nothing slower and no new error, and is no better for it.
    let nobody = ["--map-user", "postgres=nobody"];
    let gave_up = reports.replay_with("nothing.json", log(1).file().path(), &server, &nobody);
    assert_eq!(gave_up.code, Some(8), "{gave_up}");
    for (fail_on, code) in [("degraded", 9), ("new-errors", 9), ("never", 0)] {
        let lost = reports.compare(["one.json", "nothing.json"], &["--fail-on", fail_on]);
        assert_eq!(lost.code, Some(code), "--fail-on {fail_on}: {lost}");
        assert!(lost.stdout.contains("result     16 of 16 statements did not run"), "{lost}");
    }
    let refused = reports.compare(["nothing.json", "one.json"], &[]);
    assert!(refused.code == Some(2) && refused.stderr.contains("none of the base"), "{refused}");
    // A topic that holds the same is the same log.
    let broker = kafka::shared();
    let topic = broker.topic("compare", 1);
    broker.produce(&topic, 0, log(1).records().iter().map(Vec::as_slice));
    let replay = Kreplay::new().target(&server).args(["-d", "postgres", "--until-end"]);
    let replay = replay.args(["-t", &topic, "-b", broker.address(), "--report"]);
    let finished = replay.arg(reports.path("topic.json")).run();
    assert_eq!(finished.code, Some(0), "{finished}");
    let same = reports.compare(["one.json", "topic.json"], &THRESHOLD);
    assert_eq!(same.code, Some(0), "{same}");
    let told = "result     nothing can be told: 4 of 4 shapes can't be judged, mostly: fewer than 30 calls";
    assert!(same.stdout.contains(told), "{same}");

    let refused = reports.compare(["one.json", "other.json"], &[]);
    assert_eq!(refused.code, Some(2), "{refused}");
    for told in ["one.json and ", "other.json can't be compared", "16 statements", "32 statements"]
    {
        assert!(refused.stderr.contains(told), "{refused}");
    }
    let missing = reports.compare(["one.json", "none.json"], &[]);
    assert!(
        missing.code == Some(2) && missing.stderr.contains("none.json: No such file"),
        "{missing}"
    );
    std::fs::write(reports.path("no.json"), "{}").expect("written");
    let wrong = reports.compare(["one.json", "no.json"], &[]);
    assert!(wrong.code == Some(2) && wrong.stderr.contains("no.json: not a report"), "{wrong}");
    // What it says of a file is no command to the terminal.
    let one = std::fs::read_to_string(reports.path("one.json")).expect("a report");
    let mut hostile: Value = serde_json::from_str(&one).expect("JSON");
    hostile["shapes"][0]["errors"]["target"] = json!({ "\u{1b}[2J": -1 });
    std::fs::write(reports.path("no.json"), hostile.to_string()).expect("written");
    let wrong = reports.compare(["one.json", "no.json"], &[]);
    assert!(wrong.stderr.contains(".errors.target. [2J: invalid value"), "{wrong}");
}
