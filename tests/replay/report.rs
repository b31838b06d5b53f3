//! The regression report: a difference that was planted is found, and nothing else.

use std::io::Write as _;

use serde_json::Value;
use tempfile::NamedTempFile;

use crate::support::kreplay::Kreplay;
use crate::support::postgres::Server;
use crate::support::source::{pgbench, record};

const SET_UP: &str = "
    create table t (k int primary key, w int not null, v int not null);
    insert into t select i, i, i from generate_series(1, 100000) i;
    create index t_w on t (w);
    create table h (k int, word text);
    create table gone (k int);
    vacuum analyze;
";

const SCRIPT: &str = r"
\set k random(1, 100000)
SELECT v FROM t WHERE k = :k;
SELECT v FROM t WHERE w = :k; -- hunter2
INSERT INTO h VALUES (:k, 'hunter2');
SELECT k FROM gone WHERE k IN (:k, 77123, 77124);
SELECT k FROM gone WHERE k IN (:k, 77123, 77124, 77125);
UPDATE t SET v = v + 1 WHERE k = :k;
";

const TIMES: u64 = 150;

/// What a client did, in this protocol.
fn recorded(protocol: &str) -> NamedTempFile {
    let (records, _) = record(SET_UP, |server| {
        let arguments = ["-c", "1", "-t", &TIMES.to_string(), "-M", protocol];
        assert!(pgbench(server, SCRIPT, &arguments).wait().expect("pgbench").success());
    });
    let mut file = NamedTempFile::new().expect("a file");
    file.write_all(&records.join(&b"\n"[..])).expect("it can be written");
    file
}

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
        let log = recorded(protocol);
        let server = Server::start(15);
        server.query(SET_UP);
        server.query("drop index t_w; drop table gone; vacuum analyze t");
        let replay = Kreplay::new().target(&server).args(["--order", order]);
        let finished = replay.arg("--input").arg(log.path()).run().well();
        let report = &finished.report;

        let degraded = shape(report, "SELECT v FROM t WHERE w =");
        assert_eq!(degraded["verdict"], "degraded", "{degraded:#}");
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
        assert!(table[2].contains("degraded") && table[2].contains(" w = "), "{finished}");
        assert!(table.iter().all(|line| line.chars().count() <= 100), "{finished}");
        for told in [&finished.stdout, &report.to_string()] {
            assert!(!told.contains("hunter2") && !told.contains("7712"), "{told}");
        }
    }
}
