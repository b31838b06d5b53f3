use serde_json::{Value, json};

use super::*;
use crate::compare::durations::tests::encoded;
use crate::replay::report::plan::read_text;
use crate::replay::report::plans::PlanSeen;

/// A report as kreplay writes it, as far as it is read, of these shapes.
pub(in crate::compare) fn report(shapes: Value) -> Value {
    json!({
        "version": VERSION, "kreplay": "0.1.0", "source": "night.csv", "target": "db15:5432",
        "order": "conflict", "pace": null, "since": "2026-11-30T10:00:00Z",
        "until": "2026-11-30T10:01:00Z",
        "digest": {
            "statements": 1234, "hash": "00c0ffee00c0ffee",
            "first_logged_ms": 1_790_000_000_000_i64, "last_logged_ms": 1_790_000_060_000_i64
        },
        "method": { "round_trip_ms": { "p50": 0.05, "p95": 0.1 } },
        "records": { "consumed": 2000, "pending": 0, "skipped": { "total": 0, "reasons": {} } },
        "shapes": shapes, "rest": null
    })
}

/// A shape of it whose calls took so many microseconds each.
pub(in crate::compare) fn shape(fingerprint: &str, micros: &[f64]) -> Value {
    json!({
        "fingerprint": fingerprint, "query": format!("SELECT {fingerprint}"), "command": "select",
        "calls": micros.len(),
        "target": {
            "calls": micros.len(), "total_ms": micros.iter().sum::<f64>() / 1e3, "p50_ms": 1.0,
            "p95_ms": 2.0, "p99_ms": 3.0, "max_ms": 4.0
        },
        "distributions": { "source": "", "target": encoded(micros.iter().copied()) },
        "clock": { "server": micros.len(), "client": 0 },
        "outcomes": { "same": micros.len() },
        "errors": { "source": {}, "target": {} }
    })
}

/// The plans of a shape: one node that reads a table.
pub(in crate::compare) fn plans(node: &str) -> Value {
    let tree = json!({ "node": node, "relation": "t", "rows": 10.0, "cost": 1.5, "children": [] });
    let moment = "2026-11-30T10:00:00Z";
    let seen = json!({ "since": moment, "until": moment, "hash": node, "tree": tree });
    json!({ "target": [seen], "source": [] })
}

fn refusal(text: &str) -> String {
    ReplayReport::read(text).unwrap_err().to_string()
}

#[test]
fn a_report_is_read_from_json_and_from_the_page() {
    let json = report(json!([shape("a1", &[10.0, 11.0])])).to_string();
    let page =
        format!("<!doctype html>\n<p>\n{}{json}{}\n<script>0</script>", IN_PAGE.0, IN_PAGE.1);
    for text in [&json, &page] {
        let read = ReplayReport::read(text).unwrap();
        assert_eq!((read.digest.statements, read.shapes[0].calls), (1234, 2));
    }
}

#[test]
fn what_a_newer_kreplay_adds_and_an_older_one_lacks_is_no_error() {
    let mut newer = report(json!([shape("a1", &[10.0])]));
    newer["shapes"][0]["something"] = json!({ "new": true });
    newer["shapes"][0]["plans"] = plans("Result");
    newer["resources"] = json!({ "pg_stat_database": { "blks_hit": 1.0 } });
    ReplayReport::read(&newer.to_string()).unwrap();
    let mut older = report(json!([shape("a1", &[10.0])]));
    for field in ["method", "records", "rest", "pace", "order"] {
        older.as_object_mut().unwrap().remove(field);
    }
    ReplayReport::read(&older.to_string()).unwrap();
}

#[test]
fn a_plan_as_deep_as_a_report_has_them_is_read_back() {
    let costs = "  (cost=0.00..1.00 rows=1 width=4)";
    let nested = |depth: usize| format!("{}->  Limit{costs}\n", " ".repeat(depth));
    let text: String = (1..300).map(nested).collect();
    let tree = read_text(&format!("Limit{costs}\n{text}")).unwrap();
    let seen = PlanSeen { hash: tree.hash(), tree, ..PlanSeen::default() };
    let plans = Plans { target: vec![seen.clone()], source: vec![seen], refused: None };
    let mut deep = report(json!([shape("a1", &[10.0])]));
    deep["shapes"][0]["plans"] = json!(plans);
    let read = ReplayReport::read(&deep.to_string()).unwrap();
    assert_eq!(read.shapes[0].plans, plans);
}

#[test]
fn what_cannot_be_compared_says_why() {
    let changed = |change: fn(&mut Value)| {
        let mut json = report(json!([shape("a1", &[10.0])]));
        change(&mut json);
        refusal(&json.to_string())
    };
    for (refused, says) in [
        (refusal("no json"), "not a report of kreplay: expected"),
        (refusal("{}"), "it has no version"),
        (refusal("<html></html>"), "a page without a report in it"),
        (changed(|it| it["version"] = json!(VERSION + 1)), "this kreplay reads version"),
        (changed(|it| it["shapes"] = json!(7)), "damaged: shapes: invalid type"),
        (changed(|it| it["shapes"][0]["distributions"]["target"] = json!("")), "/report"),
        (changed(|it| it["digest"] = json!(null)), "damaged"),
        (changed(|it| it["digest"] = json!({})), "no digest"),
        (changed(|it| it["digest"]["statements"] = json!(0)), "nothing was replayed"),
    ] {
        assert!(refused.contains(says), "{refused}");
    }
}

#[test]
fn what_kreplay_writes_is_read() {
    use crate::replay::report::{Distributions, QueryShape, Report};

    let shape = || QueryShape {
        fingerprint: Some("a1".to_owned()),
        distributions: Distributions { target: encoded([5.0]), ..Distributions::default() },
        ..QueryShape::default()
    };
    let mut written = Report { version: VERSION, shapes: vec![shape()], ..Report::default() };
    written.tally.digest.statements = 1;
    let json = serde_json::to_string(&written).unwrap();
    let read = ReplayReport::read(&json).unwrap();
    assert_eq!(read.shapes[0].fingerprint.as_deref(), Some("a1"));
    let page = crate::http::file(&written).unwrap();
    assert_eq!(ReplayReport::read(&page).unwrap().digest, read.digest);
}

#[test]
fn a_duration_that_is_none_is_refused_by_the_name_of_its_field() {
    let refused = |field: &str, number: &str| {
        let mut json = report(json!([shape("a1", &[10.0]), shape("a2", &[10.0])]));
        let at = json.pointer_mut(&format!("/{}", field.replace('.', "/"))).unwrap();
        *at = json!("here");
        refusal(&json.to_string().replace("\"here\"", number))
    };
    for number in ["-1e306", "-0.001", "1e300", "1e14", "1e999", "null"] {
        let p95 = refused("method.round_trip_ms.p95", number);
        assert!(p95.contains("damaged: method.round_trip_ms.p95: "), "{number}: {p95}");
        for field in ["total_ms", "p50_ms", "p95_ms", "p99_ms", "max_ms"] {
            let words = refused(&format!("shapes.1.target.{field}"), number);
            let named = format!("damaged: shapes[1].target.{field}: ");
            assert!(words.contains(&named), "{number}: {words}");
        }
    }
}

#[test]
fn more_calls_than_can_be_added_are_refused_by_the_name_of_their_field() {
    let mut json = report(json!([shape("a1", &[10.0])]));
    json["shapes"][0]["clock"] = json!({ "server": u64::MAX, "client": 1 });
    let words = refusal(&json.to_string());
    assert!(words.contains("damaged: shapes[0].clock: more calls"), "{words}");
}

#[test]
fn a_byte_order_mark_is_no_part_of_a_report() {
    let json = report(json!([shape("a1", &[10.0])]));
    ReplayReport::read(&format!("\u{feff}{json}")).unwrap();
}

#[test]
fn a_distribution_that_is_none_is_refused_by_the_name_of_its_field() {
    let whole = encoded([10.0]);
    for wrong in ["x", &whole[..40], &whole.replace("HIST", "JUST"), &"A".repeat(2 << 20)] {
        let mut json = report(json!([shape("a1", &[10.0])]));
        json["shapes"][0]["distributions"]["target"] = json!(wrong);
        let words = refusal(&json.to_string());
        assert!(words.contains("shapes[0].distributions.target: no distribution"), "{words}");
    }
}

#[test]
fn what_is_nested_deep_or_has_too_many_shapes_is_refused() {
    let nested = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    assert!(refusal(&nested).contains("not a report"));
    let tree = |depth: usize| {
        let node = r#"{"node":"a","rows":1,"cost":1,"children":["#;
        format!("{}{}", node.repeat(depth), "]}".repeat(depth))
    };
    let mut json = report(json!([shape("a1", &[10.0])]));
    json["shapes"][0]["plans"] = plans("a");
    json["shapes"][0]["plans"]["target"][0]["tree"] = json!("here");
    let words = refusal(&json.to_string().replace("\"here\"", &tree(100_000)));
    assert!(words.contains("shapes[0].plans") && words.contains("recursion limit"), "{words}");
    let many = format!("[{}{{}}]", "{},".repeat(MOST_SHAPES));
    let words = refusal(&report(json!("here")).to_string().replace("\"here\"", &many));
    assert!(words.contains("shapes") && words.contains("more than 100000 shapes"), "{words}");
}
