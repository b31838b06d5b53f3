//! The regression report: a difference that was planted is found, and nothing else.

use std::io::Write as _;

use serde_json::Value;
use tempfile::NamedTempFile;

use super::regression::{AT_PACE, SLOWER, TIMES, recorded, target};
use testkit::kreplay::Kreplay;

/// The shape whose text begins like this.
fn shape<'a>(report: &'a Value, query: &str) -> &'a Value {
    let begins = |shape: &&Value| shape["query"].as_str().is_some_and(|it| it.starts_with(query));
    let mut found = report["shapes"].as_array().expect("shapes").iter().filter(begins);
    let (first, second) = (found.next(), found.next());
    assert!(second.is_none(), "{query} is more than one shape: {report:#}");
    first.unwrap_or_else(|| panic!("no {query} in {report:#}"))
}

#[test]
fn an_index_dropped_on_the_target_degrades_its_shape_and_nothing_else() {
    for (protocol, order) in [("simple", "serial"), ("extended", "session")] {
        let mut log = NamedTempFile::new().expect("a file");
        log.write_all(&recorded(protocol).join(&b"\n"[..])).expect("it can be written");
        let server = target();
        let replay = Kreplay::new().target(&server).args(["--order", order]).args(AT_PACE);
        let finished = replay.arg("--input").arg(log.path()).run().well();
        let report = &finished.report;

        let degraded = shape(report, SLOWER);
        assert_eq!(degraded["verdict"], "degraded", "{degraded:#}");
        assert!(degraded["change"]["beyond"].as_f64() > Some(3.0), "{degraded:#}");
        let pace = &degraded["pace"];
        assert!(pace["judged"].as_u64() >= Some(30) && pace["cold"] == 0, "{degraded:#}");
        assert_eq!(degraded["clock"]["server"], TIMES, "{degraded:#}");
        assert_eq!(report["verdicts"]["degraded"], 1, "{report:#}");
        assert_eq!(degraded["calls"], TIMES, "{degraded:#}");
        assert_eq!(degraded["source"]["calls"], TIMES, "{degraded:#}");
        assert_eq!(degraded["target"]["calls"], TIMES, "{degraded:#}");
        assert_eq!(degraded["sample"], Value::Null, "{degraded:#}");
        // It takes the most time by far.
        assert_eq!(&report["shapes"][0], degraded, "{report:#}");
        assert!(report["method"]["round_trip_ms"]["p95"].as_f64() > Some(0.0), "{report:#}");

        let missing = shape(report, "SELECT k FROM gone");
        assert_eq!(missing["outcomes"]["new_error"], 2 * TIMES, "{missing:#}");
        assert_eq!(missing["errors"]["target"]["42P01"], 2 * TIMES, "{missing:#}");
        let sample = &missing["sample"];
        assert_eq!((&sample["source"], &sample["target"]), (&"success".into(), &"42P01".into()));
        assert!(sample["place"].as_str().is_some_and(|it| it.contains(", line ")), "{sample}");

        let table = finished.stdout.lines();
        let table: Vec<_> = table.skip_while(|line| !line.starts_with("query shapes")).collect();
        assert!(table[0].contains(" 1 degraded, "), "{finished}");
        let listed = |line: &&str| line.contains("degraded") && line.contains(SLOWER);
        assert_eq!(table[1..].iter().filter(|line| listed(line)).count(), 1, "{finished}");
        assert!(table[1].starts_with("rests on") && table[1].contains(" 0 cold"), "{finished}");
        assert!(table.iter().all(|line| line.chars().count() <= 100), "{finished}");
        for told in [&finished.stdout, &report.to_string()] {
            assert!(!told.contains("hunter2") && !told.contains("99177123"), "{told}");
        }
    }
}

#[test]
fn a_replay_as_fast_as_it_goes_says_that_it_was_off_pace_and_calls_nothing_changed() {
    let mut log = NamedTempFile::new().expect("a file");
    log.write_all(&recorded("simple").join(&b"\n"[..])).expect("it can be written");
    // The client sleeps most of the time, which the replay leaves out.
    let server = target();
    let replay = Kreplay::new().target(&server).args(["--warm-up=0", "--pipeline", "1"]);
    let report = replay.arg("--input").arg(log.path()).run().well().report;
    let slower = shape(&report, SLOWER);
    assert_eq!(slower["verdict"], "cannot_tell", "{slower:#}");
    assert!(slower["why"].as_str().is_some_and(|why| why.starts_with("off pace: ")), "{slower:#}");
    assert!(slower["pace"]["off_pace"].as_u64() > Some(TIMES / 2), "{slower:#}");
    assert_eq!(report["verdicts"]["degraded"], 0, "{report:#}");
    assert_eq!(report["verdicts"]["improved"], 0, "{report:#}");
}
