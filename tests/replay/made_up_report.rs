//! Reports of all kinds in the page: a page that kreplay wrote, with other data in it.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use testkit::kreplay::Kreplay;
use testkit::log::Log;

/// A page as kreplay writes it, of a log that holds nothing.
pub struct Page {
    html: String,
    directory: tempfile::TempDir,
}

const DATA: &str = "id=\"data\">";

impl Page {
    pub fn written() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let (log, page) = (directory.path().join("log.csv"), directory.path().join("page.html"));
        std::fs::write(&log, Log::new().records().join(&b"\n"[..])).expect("it can be written");
        let replay = Kreplay::new().args(["--dry-run", "--report"]).arg(&page);
        let finished = replay.arg("--input").arg(&log).run();
        assert_eq!(finished.code, Some(0), "{finished}");
        Self { html: std::fs::read_to_string(&page).expect("a page"), directory }
    }

    /// The report in it.
    pub fn report(&self) -> Value {
        let (_, data) = self.html.split_once(DATA).expect("data");
        let (data, _) = data.split_once("</script>").expect("their end");
        serde_json::from_str(data).expect("JSON")
    }

    /// The address of the page with this report.
    pub fn with(&self, report: &Value) -> String {
        let (before, rest) = self.html.split_once(DATA).expect("data");
        let (_, after) = rest.split_once("</script>").expect("their end");
        let data = report.to_string().replace('<', "\\u003c");
        let path: PathBuf = self.directory.path().join("made-up.html");
        std::fs::write(&path, format!("{before}{DATA}{data}</script>{after}"))
            .expect("it can be written");
        address(&path)
    }
}

fn address(path: &Path) -> String {
    format!("file://{}", path.display())
}

/// A report of so many shapes with these verdicts, in turn.
pub fn report(page: &Page, shapes: usize, verdicts: &[&str]) -> Value {
    let mut report = page.report();
    let all: Vec<Value> = (0..shapes).map(|at| shape(at, verdicts[at % verdicts.len()])).collect();
    let counted = |verdict| all.iter().filter(|shape| shape["verdict"] == verdict).count();
    report["verdicts"] = json!({
        "improved": counted("improved"), "same": counted("same"), "degraded": counted("degraded"),
        "cannot_tell": counted("cannot_tell"),
    });
    report["untold"] = untold(counted("cannot_tell"), shapes);
    report["outcomes"] = json!({ "same": 100 * shapes });
    report["shapes"] = all.into();
    report["factor"] =
        json!({ "ratio": 0.82, "low": 0.8, "high": 0.85, "spread": 1.04, "shapes": shapes });
    report
}

/// Of so many shapes, each of which takes as long.
fn untold(shapes: usize, of: usize) -> Value {
    let extent = match shapes {
        0 => "none",
        all if all == of => "all",
        most if 10 * most >= 9 * of => "most",
        _ => "part",
    };
    json!({
        "extent": extent, "shapes": shapes, "of": of, "time_share": shapes as f64 / of as f64,
        "mostly": "too few calls", "words": format!("as the tests have it: {shapes} of {of} shapes"),
    })
}

/// A shape of a hundred calls that became slower, the others: the plan of a target that lacks an index.
pub fn shape(at: usize, verdict: &str) -> Value {
    let beyond = match verdict {
        "degraded" => 1.5 + at as f64 / 1000.0,
        "improved" => 0.6,
        _ => 1.01,
    };
    let is_told = verdict != "cannot_tell";
    let durations = json!({
        "calls": 100, "total_ms": 1000 - at, "p50_ms": 1.0, "p95_ms": 2.5, "p99_ms": 5.0, "max_ms": 9.0,
    });
    json!({
        "fingerprint": format!("{at:016x}"),
        "query": format!("SELECT column_{at} FROM a_table_with_a_long_name_{at} WHERE id = ? AND kind IN (?, …)"),
        "command": "select",
        "calls": 100,
        "source": durations, "target": durations,
        "strip": {
            "from_ms": 0.1, "to_ms": 10.0,
            "source": (0..40).map(|bin| 50 - bin).collect::<Vec<u16>>(),
            "target": (0..40).map(|bin| 10 + bin).collect::<Vec<u16>>(),
        },
        "distributions": { "source": "", "target": "" },
        "errors": { "source": {}, "target": {} },
        "outcomes": { "same": 100, "new_error": 0, "fixed_error": 0, "other_error": 0, "cannot_tell": 0 },
        "sample": null,
        "waited_order_ms": 12.5,
        "change": is_told.then(|| json!({
            "ratio": 0.82 * beyond, "low": 0.8 * beyond, "high": 0.85 * beyond,
            "beyond": beyond, "beyond_low": 0.97 * beyond, "beyond_high": 1.04 * beyond, "margin": 0.1,
        })),
        "verdict": verdict,
        "why": "as the tests have it",
        "clock": { "server": 90, "client": 10 },
        "pace": { "judged": if is_told { 80 } else { 10 }, "off_pace": if is_told { 5 } else { 75 }, "cold": 15 },
        "concurrency": { "source": 2.5, "target": 3.5 },
        "plans": { "source": [plan("Index Scan", 1.0)], "target": [plan("Index Scan", 1.0), plan("Seq Scan", 5e4)], "refused": null },
        "resources": {
            "calls": 100.0, "rows": 100.0, "plan_ms": null, "exec_ms": 120.5, "blocks_hit": 4000.0,
            "blocks_read": 0.0, "blocks_dirtied": 0.0, "temp_bytes": 1048576.0, "wal_bytes": 0.0, "jit_ms": null,
        },
    })
}

fn plan(scan: &str, rows: f64) -> Value {
    let leaf = json!({
        "node": scan, "relation": "a_table", "index": (scan == "Index Scan").then_some("a_table_pkey"),
        "rows": rows, "cost": 8.3, "filter": "(id = ?)", "children": [],
    });
    let sort = json!({
        "node": "Sort", "relation": null, "index": null, "rows": rows, "cost": 12.4, "filter": null,
        "children": [leaf],
    });
    json!({ "since": "2026-11-30T14:05:12Z", "until": "2026-11-30T14:20:11Z", "hash": format!("{:016x}", scan.len()), "from": "explain", "tree": sort })
}
