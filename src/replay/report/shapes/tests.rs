use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::pglog::statement::{Protocol, Statement};
use crate::pglog::{SessionId, SqlState};
use crate::replay::report::plans::UsedPlan;
use crate::replay::report::{ClockCounts, Outcomes, PaceCounts, Verdict};
use crate::replay::session::request::Took;
use crate::replay::work::{End, Position, Seq};

/// A statement that ended a tenth of a second after the one before, on either side.
const EVERY: Duration = Duration::from_millis(100);

fn work(sql: &str, source_ms: Option<f64>, logged: Duration) -> Arc<Work> {
    let statement = Statement {
        sql: sql.into(),
        protocol: Protocol::Simple,
        outline: Outline::of(sql),
        duration_ms: source_ms,
        exporter: None,
        logged_ms: i64::try_from(logged.as_millis()).unwrap(),
    };
    let at = Position { partition: 0, offset: 12, line: 0 };
    let session = SessionId { start: 0x6a1b, pid: 0x2c };
    Arc::new(Work::new(Seq(1), at, session, statement, End::default()))
}

/// Runs a text that took so long on each side.
fn run(shapes: &mut Shapes, sql: &str, source_ms: f64, target_ms: f64) {
    let took =
        Took { at_most: Duration::from_secs_f64(target_ms / 1e3), together: 1, on_server: None };
    let ended = Ended {
        source: SourceEnd::Succeeded,
        target: Ok(()),
        guessed: false,
        may_have_drawn: false,
        beyond_log: false,
        took: Some(took),
    };
    let now = EVERY * u32::try_from(shapes.statements).unwrap();
    let work = work(sql, Some(source_ms), now);
    shapes.ran(&work, ended, Outcome::Same, Duration::from_millis(2), now, String::new);
}

fn fail(shapes: &mut Shapes, sql: &str, source: SourceEnd, target: Result<(), SqlState>) {
    let took = Some(Took { at_most: Duration::from_millis(1), together: 1, on_server: None });
    let ended =
        Ended { source, target, guessed: false, may_have_drawn: false, beyond_log: false, took };
    let outcome = Outcome::of(ended);
    let now = EVERY * u32::try_from(shapes.statements).unwrap();
    let work = work(sql, None, now);
    shapes.ran(&work, ended, outcome, Duration::ZERO, now, || "topic pg".to_owned());
}

fn queries(shapes: &Shapes) -> Vec<(String, u64)> {
    let Summary { shapes, .. } = shapes.summary();
    shapes.into_iter().map(|shape| (shape.query.unwrap(), shape.calls)).collect()
}

#[test]
fn texts_that_mean_the_same_but_for_their_literals_are_one_shape() {
    let mut shapes = Shapes::new(10);
    for sql in [
        "SELECT v FROM t WHERE k IN (1, 2)",
        "select v from t where k in (3,4,5,6) -- a comment",
        "SELECT v\n  FROM t\n  WHERE k IN (7)",
        "SELECT v FROM t WHERE k IN (1e5, 0x1F)",
        "SELECT v FROM t WHERE k IN ($1, $2, $3)",
    ] {
        run(&mut shapes, sql, 1.0, 1.0);
    }
    run(&mut shapes, "SELECT w FROM t WHERE k IN (1, 2)", 1.0, 0.5);
    assert_eq!(
        queries(&shapes),
        [
            ("SELECT v FROM t WHERE k IN (?, ?)".to_owned(), 5),
            ("SELECT w FROM t WHERE k IN (?, ?)".to_owned(), 1)
        ]
    );
}

#[test]
fn what_postgresqls_parser_does_not_know_has_the_shape_of_its_tokens() {
    let mut shapes = Shapes::new(10);
    run(&mut shapes, "SELEKT 1, 'a'", 1.0, 1.0);
    run(&mut shapes, "SELEKT 2,  'b'", 1.0, 1.0);
    run(&mut shapes, "SELEKT 2", 1.0, 0.5);
    assert_eq!(queries(&shapes), [("SELEKT ?, ?".to_owned(), 2), ("SELEKT ?".to_owned(), 1)]);
}

#[test]
fn a_shape_tells_its_durations_errors_outcomes_and_waits() {
    let warm = Rules { warm_up: Duration::ZERO, ..Rules::default() };
    let mut shapes = Shapes::new(10).with_rules(warm, false, Duration::ZERO);
    shapes.round_trip(Duration::from_micros(50));
    for _ in 0..50 {
        run(&mut shapes, "UPDATE t SET v = 1", 2.0, 8.0);
    }
    let (unique, syntax) = (SqlState(*b"23505"), SqlState(*b"42601"));
    fail(&mut shapes, "UPDATE t SET v = 2", SourceEnd::Succeeded, Err(unique));
    fail(&mut shapes, "UPDATE t SET v = 3", SourceEnd::Failed(syntax), Err(unique));
    fail(&mut shapes, "UPDATE t SET v = 3", SourceEnd::Failed(syntax), Ok(()));
    let Summary { shapes: shown, rest, .. } = shapes.summary();
    assert!(rest.is_none());
    let [shape] = shown.as_slice() else { panic!("{shown:?}") };
    assert_eq!((shape.command, shape.calls, shape.source.calls), ("update", 53, 50));
    assert_eq!((shape.source.total_ms, shape.source.max_ms), (100.0, 2.0));
    assert_eq!((shape.target.total_ms, shape.target.max_ms), (401.0, 8.0));
    assert_eq!(shape.waited_order_ms, 100.0);
    assert_eq!(shape.errors.source, [("42601".to_owned(), 2)].into());
    assert_eq!(shape.errors.target, [("23505".to_owned(), 2)].into());
    let outcomes =
        Outcomes { same: 50, new_error: 1, fixed_error: 1, other_error: 1, cannot_tell: 0 };
    assert_eq!(shape.outcomes, outcomes);
    assert_eq!((shape.verdict, shape.change.unwrap().ratio.round()), (Verdict::Degraded, 4.0));
    assert_eq!(shape.pace, PaceCounts { judged: 50, off_pace: 0, cold: 0 });
    assert_eq!(shape.clock, ClockCounts { server: 0, client: 50 });
    // Ten calls a second.
    let Concurrency { source, target } = shape.concurrency;
    assert!((source - 0.02).abs() < 1e-3 && (target - 0.08).abs() < 1e-3, "{source} {target}");
    let sample = Sample {
        session: "6a1b.2c".to_owned(),
        place: "topic pg".to_owned(),
        source: "success".to_owned(),
        target: "23505".to_owned(),
    };
    assert_eq!(shape.sample.as_ref(), Some(&sample));
    assert_eq!(shape.fingerprint.as_ref().map(String::len), Some(16));
}

#[test]
fn beyond_the_limit_the_shapes_with_the_least_time_are_summed() {
    let mut shapes = Shapes::new(4);
    for round in 0..3 {
        for table in 0..40 {
            let sql = format!("SELECT {round} FROM t{table}");
            run(&mut shapes, &sql, 1.0, if table < 4 { 100.0 } else { 1.0 });
        }
    }
    assert!(shapes.shapes.len() <= 4 + 16 + 1);
    let Summary { shapes: shown, rest, .. } = shapes.summary();
    let rest = rest.unwrap();
    assert!(shown.iter().all(|shape| shape.target.p50_ms == 100.0 && shape.calls == 3));
    assert_eq!((shown.len(), rest.calls, rest.target.total_ms), (4, 108, 108.0));
    assert_eq!((rest.fingerprint, rest.query, rest.change), (None, None, None));
    assert_eq!(rest.verdict, Verdict::CannotTell);
}

#[test]
fn shapes_that_ended_otherwise_are_kept_though_they_took_no_time() {
    let mut shapes = Shapes::new(4);
    for table in 0..40 {
        run(&mut shapes, &format!("SELECT 1 FROM t{table}"), 1.0, 1.0);
        if table == 0 {
            let failed = Err(SqlState(*b"42P01"));
            fail(&mut shapes, "SELECT gone FROM t", SourceEnd::Succeeded, failed);
        }
    }
    let Summary { shapes: shown, .. } = shapes.summary();
    assert_eq!(shown.iter().filter(|shape| shape.outcomes.new_error == 1).count(), 1);
}

#[test]
fn a_flood_of_new_texts_is_counted_with_the_rest_rather_than_parsed() {
    let mut shapes = Shapes::new(4);
    let texts = FREE + 500;
    for n in 0..texts {
        run(&mut shapes, &format!("SELECT 1 FROM t{n}"), 1.0, 1.0);
    }
    assert!(shapes.parsed <= FREE + texts / ONE_IN + 1, "{}", shapes.parsed);
    let Summary { shapes: shown, rest, .. } = shapes.summary();
    let calls: u64 = shown.iter().map(|shape| shape.calls).sum();
    assert_eq!(calls + rest.unwrap().calls, texts);
}

#[test]
fn no_literal_or_comment_is_shown_of_any_kind() {
    let secrets = [
        "SELECT 'hunter2'",
        "SELECT E'hun\\'hunter2', 1",
        "SELECT $$hunter2$$, $x$ hunter2 $x$",
        "SELECT B'1010', X'1F', N'hunter2', U&'hunter2\\0041' UESCAPE '!'",
        "SELECT DATE '2001-02-03', interval '7 days', '2001-02-03'::date, point '(12,34)'",
        "SELECT 20010203, 3.14159, 1e77, 0xBEEF, 1_000_000, -271828",
        "SELECT * FROM t WHERE a IN ('hunter2', 'x', 'hunter2') AND b IN (1971, 1972, 1973)",
        "INSERT INTO t VALUES (1971, 'hunter2'), (1972, 'hunter2')",
        "SELECT 1 /* hunter2 /* 1971 */ */ -- hunter2",
        "CREATE ROLE r LOGIN PASSWORD 'hunter2' VALID UNTIL '2031-01-01'",
        "ALTER ROLE r PASSWORD 'hunter2'",
        "ALTER ROLE r SET my.secret TO hunter2",
        "SET my.secret = hunter2",
        "SET LOCAL my.secret TO hunter2, hunter2",
        "select 1; set my.secret to hunter2",
        "DO $$ BEGIN PERFORM 'hunter2'; END $$",
        "CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $f$ SELECT 'hunter2' $f$",
        "COMMENT ON TABLE t IS 'hunter2'",
        "SELECT 'unclosed hunter2",
        // Where standard_conforming_strings is off, the string ends at the third quote.
        "SELECT 'it\\'s', 'hunter2'",
        "SELEKT 'hunter2', 1971 FROM",
        "EXECUTE q('hunter2', 1971)",
        "COPY t FROM '/srv/hunter2.csv'",
    ];
    for sql in secrets {
        let mut shapes = Shapes::new(10);
        run(&mut shapes, sql, 1.0, 1.0);
        let Summary { shapes: shown, .. } = shapes.summary();
        let json = serde_json::to_string(&shown).unwrap();
        let query = shown[0].query.as_deref().unwrap();
        for secret in ["hunter2", "1971", "2001", "2031", "3.14", "1e77", "BEEF", "1010", "1F'"] {
            assert!(!json.contains(secret), "{secret} in {json}");
        }
        assert!(!query.contains(|c: char| c.is_ascii_digit()), "{query}");
        assert!(query.contains('?') || query.contains("SELECT"), "{query}");
    }
}

#[test]
fn lists_and_long_texts_are_cut_when_they_are_shown() {
    let shown = |sql: &str| Shape::shown(sql, 60);
    assert_eq!(
        shown("SELECT a FROM t WHERE b IN (1,2,3,4) AND c = 1"),
        "SELECT a FROM t WHERE b IN (?,?, …) AND c = ?"
    );
    assert_eq!(shown("SELECT 1, 2, 3, a, 4"), "SELECT ?, ?, …, a, ?");
    let long = shown(&format!("SELECT {}", "größe, ".repeat(20)));
    assert!(long.len() <= 60 + "…".len() && long.ends_with('…'), "{long}");
}

proptest! {
    #[test]
    fn no_text_makes_the_account_panic(texts in proptest::collection::vec(any::<String>(), 1..8)) {
        let mut shapes = Shapes::new(2);
        for text in &texts {
            run(&mut shapes, text, 0.0, 0.0);
        }
        let Summary { shapes: shown, rest, .. } = shapes.summary();
        let calls: u64 = shown.iter().chain(&rest).map(|shape| shape.calls).sum();
        prop_assert_eq!(calls, texts.len() as u64);
    }

    #[test]
    fn what_is_shown_holds_nothing_of_a_literal(
        secret in "[a-z ']{3}xyzzy[a-z ']{3}", number in 100_000_u32..
    ) {
        let quoted = secret.replace('\'', "''");
        let sql = format!("SELECT '{quoted}', $q${secret}$q$, E'{quoted}', {number} FROM t -- {secret}");
        let shown = Shape::shown(&sql, 2000);
        prop_assert!(!shown.contains("xyzzy") && !shown.contains(&number.to_string()), "{}", shown);
    }

    #[test]
    fn nor_is_there_anything_of_one_that_is_cut_off(
        secret in "[a-z '\\\\]{3}xyzzy[a-z '\\\\]{3}", cut in 0_usize..150
    ) {
        let quoted = secret.replace('\'', "''");
        let escaped = quoted.replace('\\', "\\\\");
        let sql = format!("SELECT '{quoted}', U&'{quoted}', E'{escaped}', $q${secret}$q$ -- {secret}");
        let shown = Shape::shown(&sql[..cut.min(sql.len())], 2000);
        prop_assert!(!shown.contains("xyzzy"), "{}", shown);
    }
}

/// Ten shapes, a call every 25 ms for so long, at this pace of the source's; the last shape is twice as
/// slow.
fn replay(shapes: &mut Shapes, calls: u32, speed: f64) {
    for call in 0..calls {
        let now = Duration::from_millis(25) * call;
        let (shape, is_slow) = (call % 10, call % 10 == 9);
        let took = Duration::from_micros(if is_slow { 2000 } else { 1000 });
        let ended = Ended {
            source: SourceEnd::Succeeded,
            target: Ok(()),
            guessed: false,
            may_have_drawn: false,
            beyond_log: false,
            took: Some(Took { at_most: took, together: 1, on_server: Some(took) }),
        };
        let sql = format!("SELECT v{shape} FROM t");
        let work = work(&sql, Some(1.0), now.mul_f64(speed));
        shapes.ran(&work, ended, Outcome::Same, Duration::ZERO, now, String::new);
    }
}

#[test]
fn calls_at_pace_and_warm_are_judged_and_what_is_told_of_the_others_is_why_not() {
    let told = |calls, speed, rules: Rules| -> (Vec<Verdict>, QueryShape) {
        let mut shapes = Shapes::new(10).with_rules(rules, false, Duration::ZERO);
        replay(&mut shapes, calls, speed);
        let summary = shapes.summary();
        assert_eq!(summary.factor.is_some(), summary.shapes[0].pace.judged >= LEAST_CALLS);
        (summary.shapes.iter().map(|shape| shape.verdict).collect(), summary.shapes[0].clone())
    };
    let right = [&[Verdict::Degraded][..], &[Verdict::Same; 9]].concat();

    // 20 s, of which the first 6 are cold.
    let (verdicts, first) = told(800, 1.0, Rules::default());
    assert_eq!(verdicts, right);
    assert_eq!(first.pace, PaceCounts { judged: 56, off_pace: 0, cold: 24 });
    assert!(first.why.ends_with("within the warm-up"), "{}", first.why);
    // Two minutes, of which the second is warm.
    let (verdicts, first) = told(4800, 1.0, Rules::default());
    assert_eq!(verdicts, right);
    assert_eq!((first.pace.judged, first.pace.cold), (240, 240), "{:?}", first.pace);
    assert!(!first.why.contains("warm-up"), "{}", first.why);
    // Ten times as fast as the source.
    let (verdicts, first) = told(800, 10.0, Rules::default());
    assert_eq!(verdicts, [Verdict::CannotTell; 10]);
    assert_eq!(first.why, "off pace: 80 of 80 calls");
    assert_eq!(first.change.map(|it| it.ratio.round()), Some(2.0));
    // Four seconds.
    let (verdicts, first) = told(400, 1.0, Rules::default());
    assert_eq!(verdicts, [Verdict::CannotTell; 10]);
    assert!(first.why.starts_with("too few") || first.why.starts_with("cold"), "{}", first.why);
    let warm = Rules { warm_up: Duration::ZERO, threshold: 0.1 };
    assert_eq!(told(400, 1.0, warm).0, right);
    // A threshold above what it became slower by.
    let patient = Rules { threshold: 1.5, ..warm };
    assert_eq!(told(400, 1.0, patient).0, [Verdict::Same; 10]);
}

#[test]
fn without_a_warm_up_a_call_that_began_before_the_first_that_ended_is_judged() {
    let rules = Rules { warm_up: Duration::ZERO, ..Rules::default() };
    let mut shapes = Shapes::new(10).with_rules(rules, true, Duration::ZERO);
    shapes.statements = 10;
    run(&mut shapes, "SELECT 1", 1.0, 1.0);
    run(&mut shapes, "SELECT 2", 200.0, 200.0);
    let Summary { shapes, .. } = shapes.summary();
    assert_eq!(shapes[0].pace, PaceCounts { judged: 2, off_pace: 0, cold: 0 });
}

/// What auto_explain writes of this statement.
fn explained(sql: &str) -> String {
    let plan = serde_json::json!({ "Node Type": "Seq Scan", "Relation Name": "t" });
    serde_json::json!({ "Query Text": sql, "Plan": plan }).to_string()
}

#[test]
fn a_plan_that_was_used_is_that_of_the_shape_of_its_text_whatever_its_literals() {
    let mut shapes = Shapes::new(10);
    run(&mut shapes, "SELECT v FROM t WHERE k = 1", 1.0, 2.0);
    run(&mut shapes, "SELECT 1; SELECT 2", 1.0, 1.0);
    let own = "SELECT pg_catalog.set_config($1, $2, false)";
    for sql in ["SELECT v FROM t WHERE k = 777123", "SELECT 1; SELECT 2", own] {
        shapes.used_plan(UsedPlan::read(&explained(sql), 0));
    }
    for text in ["", "Query", "{}", "{\"Query Text\": \"select 1\"}"] {
        shapes.used_plan(UsedPlan::read(text, 0));
    }
    shapes.explain_refused("app", SqlState(*b"42501"));
    shapes.explain_refused("app", SqlState(*b"42501"));
    assert_eq!(shapes.target_plans(), PlansRead { read: 2, unread: 4 });
    assert_eq!(shapes.plan_notes().len(), 1);
    (0..5000).for_each(|at| shapes.explain_refused(&format!("user_{at}"), SqlState(*b"42501")));
    assert_eq!(shapes.plan_notes().len(), 1000, "however many users a log has");
    let plans = |shape: &QueryShape| shape.plans.target.len();
    let shown: Vec<_> = shapes.summary().shapes.iter().map(plans).collect();
    assert_eq!(shown, [1, 0], "of a string of several none tells which of them it is of");
}
