use super::*;
use crate::replay::report::plan::PlanNode;
use crate::replay::report::plans::PlanSeen;
use crate::replay::report::{Change, Durations, Outcomes, Plans, Untold, Verdicts};

fn shape(query: &str, target_ms: f64) -> QueryShape {
    let durations = |p50_ms| Durations { calls: 40, p50_ms, ..Durations::default() };
    QueryShape {
        query: Some(query.to_owned()),
        calls: 40,
        source: durations(1.25),
        target: durations(target_ms),
        change: Some(Change {
            ratio: target_ms / 1.25,
            low: 0.9,
            high: 9.0,
            beyond: target_ms,
            beyond_low: 0.7,
            beyond_high: 7.0,
            margin: Some(0.1),
        }),
        ..QueryShape::default()
    }
}

#[test]
fn lines_are_aligned_and_cut_to_the_width() {
    let long = "SELECT ä ".repeat(20);
    let report = Report {
        shapes: vec![
            QueryShape {
                verdict: Verdict::Degraded,
                pace: PaceCounts { judged: 1020, off_pace: 0, cold: 5 },
                ..shape("SELECT v FROM t", 120.4)
            },
            QueryShape {
                pace: PaceCounts { judged: 10, off_pace: 40, cold: 0 },
                ..shape(&long, 120.4)
            },
        ],
        factor: Some(Factor {
            ratio: 0.8,
            low: 0.75,
            high: 0.9,
            spread: 0.02,
            allowance: 0.06,
            shapes: 11,
        }),
        verdicts: Verdicts { degraded: 1, cannot_tell: 1, ..Verdicts::default() },
        ..Report::default()
    };
    let shown = "\
query shapes  2: 1 degraded, 0 improved, 0 the same, 1 that can't be told
rests on      the machine's 0.80 (0.75 to 0.90), 1,030 of 1,075 calls: 40 off pace, 5 cold
  verdict        calls source p50 target p50   ratio  beyond changed  query
  degraded          40   1.250 ms     120 ms   96.32  120.40       0  SELECT v FROM t
  off pace          40   1.250 ms     120 ms   96.32  120.40       0  SELECT ä SELECT ä SELECT ä SE…
";
    assert_eq!(report.table(), shown);
    assert!(shown.lines().all(|line| line.chars().count() <= WIDTH));
    assert_eq!(Report::default().table(), "");
}

#[test]
fn a_run_of_which_nothing_can_be_told_says_so() {
    let few = QueryShape { why: "too few calls: 4 of 30".to_owned(), ..shape("SELECT v", 1.0) };
    let shapes = vec![few; 2];
    let table = Report { untold: Untold::of(&shapes), shapes, ..Report::default() }.table();
    assert_eq!(
        table.lines().nth(1),
        Some(
            "verdict       nothing can be told: 2 of 2 shapes can't be judged, mostly: too few calls"
        )
    );
}

#[test]
fn what_changed_is_shown_however_short_it_takes() {
    let mut shapes: Vec<_> = (0..30).map(|n| shape(&format!("top_{n}"), 10.0)).collect();
    shapes[20].verdict = Verdict::Degraded;
    shapes[25].outcomes = Outcomes { new_error: 2, ..Outcomes::default() };
    let table = Report { shapes, ..Report::default() }.table();
    let shown: Vec<&str> = table.lines().filter_map(|line| line.split("top_").nth(1)).collect();
    assert_eq!(shown, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "20", "25"]);
}

#[test]
fn what_the_target_spent_is_a_line_of_its_own() {
    let counters = |counters: &[(&str, f64)]| {
        counters.iter().map(|(name, spent)| ((*name).to_owned(), *spent)).collect()
    };
    let database =
        [("xact_commit", 1200.0), ("blks_hit", 999.0), ("blks_read", 1.0), ("temp_bytes", 2e6)];
    let resources = Resources::from([
        (DATABASES.to_owned(), counters(&database)),
        ("pg_stat_wal".to_owned(), counters(&[("wal_bytes", 34e6)])),
    ]);
    let shapes = vec![shape("SELECT v FROM t", 10.0)];
    let table = Report { shapes, resources: Some(resources), ..Report::default() }.table();
    assert_eq!(
        table.lines().last(),
        Some(
            "target spent  1,200 transactions, 1,000 blocks (99.9 % hit), 2.0 MB temporary, 34.0 MB WAL"
        )
    );
}

#[test]
fn what_the_target_spent_says_what_it_is_not_of() {
    let table = |resources: Option<Resources>, until: Option<&str>| {
        let resource_period = ResourcePeriod {
            since: Some("2026-11-30T14:05:00Z".to_owned()),
            until: until.map(str::to_owned),
            gap: Some("refused".to_owned()),
        };
        let shapes = vec![shape("SELECT v FROM t", 10.0)];
        let table = Report { shapes, resources, resource_period, ..Report::default() }.table();
        table.lines().skip(3).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(table(None, None), ["target spent  not known: refused"]);
    assert_eq!(
        table(Some(Resources::new()), Some("2026-11-30T14:06:00Z")),
        [
            "target spent  0 transactions, 0 blocks, 0 B temporary",
            "              only from 2026-11-30T14:05:00Z to 2026-11-30T14:06:00Z",
            "              refused",
        ]
    );
}

#[test]
fn a_degraded_shape_is_followed_by_what_its_plan_has_become() {
    let seen = |node: &str| PlanSeen {
        hash: node.to_owned(),
        tree: PlanNode {
            node: node.to_owned(),
            relation: Some("t".to_owned()),
            ..PlanNode::default()
        },
        ..PlanSeen::default()
    };
    let plans = Plans {
        source: vec![seen("Index Scan")],
        target: vec![seen("Seq Scan")],
        ..Plans::default()
    };
    let shape = |verdict| QueryShape { verdict, plans: plans.clone(), ..shape("SELECT v", 10.0) };
    let shapes = vec![shape(Verdict::Degraded), shape(Verdict::Same)];
    let table = Report { shapes, ..Report::default() }.table();
    let changes: Vec<_> = table.lines().filter(|line| line.contains("plan changed")).collect();
    assert_eq!(changes, ["              plan changed: Index Scan on t → Seq Scan on t"]);
}
