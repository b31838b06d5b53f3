//! What the log looks like.

use std::fs::File;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use testkit::kreplay::Kreplay;
use testkit::log::{Client, Log};
use testkit::postgres::Server;

#[test]
fn a_json_log_is_an_object_a_line_with_flat_fields_up_to_the_reason_of_the_end() {
    let server = Server::start(15);
    let client = Client { database: "postgres", ..Client::default() };
    let log = Log::new().client(1, client).raw(b"no record\n").ended(1, ["select 1/0"]).file();
    let replay = Kreplay::new().arg("--input").arg(log.path()).target(&server);
    let replay = replay.args(["--on-error", "stop", "--log-format", "json"]);
    let finished = replay.run();
    assert_eq!(finished.code, Some(6), "{finished}");

    let parsed = finished.stderr.lines().map(serde_json::from_str);
    let lines: Vec<Value> =
        parsed.collect::<Result<_, _>>().unwrap_or_else(|error| panic!("{error}\n{finished}"));
    for line in &lines {
        let time = line["timestamp"].as_str().unwrap_or_default();
        assert!(time.parse::<jiff::Timestamp>().is_ok() && time.ends_with('Z'), "{line}");
        let levels = ["ERROR", "WARN", "INFO"];
        assert!(line["level"].as_str().is_some_and(|level| levels.contains(&level)), "{line}");
        assert!(line["message"].is_string() && line["target"].is_string(), "{line}");
    }
    let said = |part: &str| {
        let line = lines.iter().find(|line| line["message"].to_string().contains(part));
        line.unwrap_or_else(|| panic!("no line says {part:?}\n{finished}"))
    };
    let rejected = said("rejected a record");
    assert_eq!(
        (&rejected["reason"], &rejected["count"]),
        (&"continuation_fragment".into(), &1.into())
    );
    assert_eq!(said("ended otherwise than on the source")["target_sqlstate"], "22012");
    let last = &lines[lines.len() - 1];
    assert_eq!((&last["level"], &last["exit_code"]), (&"ERROR".into(), &6.into()), "{last}");
}

/// Users, databases and SQL with line feeds, escape sequences and marks that turn the direction of writing.
fn forging() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/data/log_forging.csv")
}

#[test]
fn nothing_in_the_log_is_forged_and_what_is_kept_is_its_owners_alone() {
    let server = Server::start(15);
    let directory = tempfile::tempdir().expect("a directory");
    let kept = ["report.html", "letters.csv"].map(|name| directory.path().join(name));
    for format in ["text", "json"] {
        let replay = Kreplay::new().target(&server).arg("--input").arg(forging());
        let replay = replay.args(["--log", "kreplay=debug", "--log-format", format]);
        let replay = replay.arg("--report").arg(&kept[0]).arg("--dead-letter").arg(&kept[1]);
        let finished = replay.run();
        assert_eq!(finished.code, Some(8), "{finished}");
        let log = &finished.stderr;
        assert!(log.contains("FORGED-debug") && log.contains("FORGED line"), "{finished}");
        let is_hostile = |it: char| it.is_control() || ('\u{202a}'..='\u{202e}').contains(&it);
        for line in log.lines().chain(finished.stdout.lines()) {
            assert!(!line.contains(is_hostile), "{line:?}");
        }
        let forged = |line: &str| {
            let is_last = line.starts_with("kreplay: ");
            line.starts_with("2026-11-30T00:00:00.000000Z")
                || !(line.starts_with(['2', '{']) || is_last)
        };
        assert_eq!(log.lines().find(|line| forged(line)), None, "{finished}");
    }
    for file in kept {
        let mode = file.metadata().expect("it was written").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.display());
    }
}

#[test]
fn a_log_that_can_not_be_written_is_lost_and_the_replay_is_not() {
    let full = || Stdio::from(File::options().write(true).open("/dev/full").expect("a full disk"));
    let left = || {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        Stdio::from(writer)
    };
    let log = Log::new().raw(b"no record\n").ended(1, ["select 1"]).file();
    for format in ["text", "json"] {
        for stderr in [full(), left()] {
            let replay = Kreplay::new().args(["--dry-run", "--log-format", format, "--input"]);
            let finished = replay.arg(log.path()).stderr(stderr).run().incomplete();
            assert_eq!(finished.count("/records/filtered/total"), 1, "{}", finished.report);
        }
    }
}
