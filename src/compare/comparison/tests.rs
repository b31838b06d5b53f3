use serde_json::{Value, json};

use super::*;
use crate::compare::differences::refusal;
use crate::compare::durations::tests::calls;
use crate::compare::report::tests::{plans, report, shape};

fn read(shapes: Vec<Value>) -> ReplayReport {
    ReplayReport::read(&report(json!(shapes)).to_string()).unwrap()
}

/// Five shapes whose calls take as long in every report but for chance.
fn shapes(seed: u64) -> Vec<Value> {
    let calls = |shape: u64| calls(seed * 10 + shape, 200, 100.0 * 3.0_f64.powf(shape as f64), 0.2);
    (0..5).map(|it| shape(&format!("f{it}"), &calls(it))).collect()
}

pub(in crate::compare) fn compared(
    baseline: Vec<Value>,
    candidate: Vec<Value>,
    repeat: Option<Vec<Value>>,
) -> Comparison {
    let named = |file, report| Named { file, report };
    let (baseline, candidate, repeat) = (read(baseline), read(candidate), repeat.map(read));
    Comparison::new(
        named("a.json", &baseline),
        named("b.json", &candidate),
        repeat.as_ref().map(|report| named("a2.json", report)),
        0.1,
    )
}

/// What a candidate has: one shape that takes twice as long, by another plan, and a new error.
pub(in crate::compare) fn worse() -> Comparison {
    let mut before = shapes(1);
    let mut after = shapes(2);
    after[1] = shape("f1", &calls(21, 200, 600.0, 0.2));
    (before[1]["plans"], after[1]["plans"]) = (plans("Index Scan"), plans("Seq Scan"));
    before[3]["errors"]["target"] = json!({ "23505": 2, "22012": 1 });
    after[3]["errors"]["target"] = json!({ "42P01": 64, "25P02": 3, "40001": 1, "22012": 5 });
    compared(before, after, None)
}

fn of<'a>(comparison: &'a Comparison, fingerprint: &str) -> &'a ShapeComparison {
    let of = |it: &&ShapeComparison| it.fingerprint.as_deref() == Some(fingerprint);
    comparison.shapes.iter().find(of).unwrap()
}

#[test]
fn two_runs_of_one_target_have_nothing_worse() {
    let same = compared(shapes(1), shapes(2), Some(shapes(3)));
    assert_eq!(same.verdicts, Verdicts { same: 5, ..Verdicts::default() });
    assert!(!same.has_degraded() && !same.has_new_errors());
    assert!(same.shapes.iter().all(|it| it.repeat.is_some() && it.strip.is_some()));
}

#[test]
fn a_slower_shape_and_a_new_error_are_told_from_what_is_no_news() {
    let worse = worse();
    assert_eq!(worse.verdicts, Verdicts { degraded: 1, same: 4, ..Verdicts::default() });
    assert_eq!(of(&worse, "f1").verdict, Verdict::Degraded);
    assert!(of(&worse, "f1").plans.as_ref().unwrap().changed());
    let error =
        |sqlstate: &str, calls, what| ErrorChange { sqlstate: sqlstate.to_owned(), calls, what };
    // What both have and what follows from another failure is no news.
    assert_eq!(
        of(&worse, "f3").errors,
        [
            error("40001", 1, ErrorNews::NewByChance),
            error("42P01", 64, ErrorNews::New),
            error("23505", 2, ErrorNews::Gone),
        ]
    );
    assert_eq!((worse.new_errors, worse.gone_errors), (1, 1));
    assert!(worse.has_degraded() && worse.has_new_errors());
}

#[test]
fn a_shape_that_one_report_has_among_the_rest_cannot_be_told() {
    let mut before = report(json!(shapes(1)));
    let mut after = report(json!(shapes(2)));
    let rest = |codes: Value| {
        let mut rest = shape("", &[50.0; 40]);
        rest["fingerprint"] = json!(null);
        rest["query"] = json!(null);
        rest["errors"]["target"] = codes;
        rest
    };
    before["rest"] = rest(json!({ "42P01": 1 }));
    after["rest"] = rest(json!({ "22012": 1 }));
    let mut new = shape("f9", &[70.0; 40]);
    new["errors"]["target"] = json!({ "42P01": 2, "42703": 1 });
    after["shapes"].as_array_mut().unwrap().push(new);
    let [before, after] = [before, after].map(|it| ReplayReport::read(&it.to_string()).unwrap());
    let named = |report| Named { file: "", report };
    let compared = Comparison::new(named(&before), named(&after), None, 0.1);
    let alone = of(&compared, "f9");
    assert_eq!(alone.verdict, Verdict::CannotTell);
    assert!(alone.why.contains("--report-shapes") && alone.sides.baseline.is_none());
    // The baseline has 42P01 among the rest.
    assert_eq!(alone.errors.iter().map(|it| it.sqlstate.as_str()).collect::<Vec<_>>(), ["42703"]);
    let rest = compared.shapes.last().unwrap();
    assert_eq!((rest.fingerprint.as_ref(), rest.why.as_str()), (None, "more than one shape"));
    assert_eq!(rest.errors[0].sqlstate, "22012");
    assert_eq!(compared.verdicts.cannot_tell, 1);
}

#[test]
fn the_json_has_a_version_and_both_sides_of_each_shape() {
    let json: Value = serde_json::from_str(&worse().json().unwrap()).unwrap();
    assert_eq!(json["version"], VERSION);
    let shapes = json["shapes"].as_array().unwrap();
    let degraded = shapes.iter().find(|it| it["fingerprint"] == "f1").unwrap();
    assert_eq!(degraded["verdict"], "degraded");
    assert_eq!(degraded["sides"]["baseline"]["calls"], 200);
    assert!(degraded["change"]["beyond_low"].as_f64().unwrap() > 1.5, "{degraded}");
}

/// Of two whole reports.
fn between(baseline: &Value, candidate: &Value) -> Comparison {
    let [baseline, candidate] =
        [baseline, candidate].map(|it| ReplayReport::read(&it.to_string()).unwrap());
    let named = |report| Named { file: "", report };
    Comparison::new(named(&baseline), named(&candidate), None, 0.1)
}

#[test]
fn a_candidate_that_replayed_nothing_is_worse_and_a_baseline_is_refused() {
    let ran = |shapes: Vec<Value>, ran: u64| {
        let mut json = report(json!(shapes));
        json["records"]["replayed"] = json!(ran);
        json["records"]["given_up"] = json!({ "total": 1000 - ran });
        json
    };
    let (all, nothing) = (ran(shapes(1), 1000), ran(Vec::new(), 0));
    let compared = between(&all, &nothing);
    assert!(compared.has_losses() && !compared.has_degraded() && !compared.has_new_errors());
    let words = "1,000 of 1,000 statements did not run, 5 shapes lost most of their calls";
    assert_eq!(compared.result, words);
    assert!(compared.table().ends_with(&format!("result     {words}\n")));
    assert!(of(&compared, "f1").lost && of(&compared, "f1").why.contains("did not run"));
    let [all, nothing] = [all, nothing].map(|it| ReplayReport::read(&it.to_string()).unwrap());
    assert!(refusal(&nothing, &all).unwrap().contains("none of the baseline's 1,234 statements"));
    assert_eq!(refusal(&all, &nothing), None);
}

#[test]
fn a_candidate_whose_target_died_halfway_is_worse() {
    let mut halfway = shapes(2);
    halfway[2] = shape("f2", &calls(9, 40, 900.0, 0.2));
    let compared = compared(shapes(1), halfway, None);
    assert_eq!(of(&compared, "f2").verdict, Verdict::CannotTell);
    assert!(compared.has_losses() && compared.result.contains("1 shape lost most of its calls"));
}

#[test]
fn what_fails_otherwise_than_it_did_is_a_new_error_and_no_loss() {
    let mut after = shapes(2);
    after[2]["errors"]["target"] = json!({ "42P01": 200 });
    let compared = compared(shapes(1), after, None);
    assert!(compared.has_new_errors() && !compared.has_losses());
}

#[test]
fn an_error_that_two_runs_of_one_target_differ_by_is_not_new() {
    let failing = |seed| {
        let mut shapes = shapes(seed);
        shapes[2]["errors"]["target"] = json!({ "23505": 7 });
        shapes
    };
    assert!(compared(shapes(1), failing(2), None).has_new_errors());
    let with_repeat = compared(shapes(1), failing(2), Some(failing(3)));
    assert!(!with_repeat.has_new_errors());
    assert_eq!(of(&with_repeat, "f2").errors[0].what, ErrorNews::NewByChance);
}

#[test]
fn a_factor_that_rests_on_few_shapes_is_said_and_one_of_six_is_not() {
    let noted = |comparison: Comparison| {
        comparison
            .notes
            .iter()
            .filter(|note| note.contains("rests on"))
            .cloned()
            .collect::<Vec<_>>()
    };
    let few = noted(compared(shapes(1), shapes(2), None));
    assert!(few.len() == 1 && few[0].contains("rests on 5 shapes"), "{few:?}");
    let six = |seed| {
        let mut six = shapes(seed);
        six.push(shape("f5", &calls(seed * 10 + 5, 200, 300.0, 0.2)));
        six
    };
    assert_eq!(noted(compared(six(1), six(2), None)), [""; 0]);
}

#[test]
fn a_comparison_of_which_nothing_can_be_told_does_not_say_that_nothing_is_worse() {
    let few = |of: u64| (0..of).map(|it| shape(&format!("g{it}"), &[50.0; 4])).collect::<Vec<_>>();
    let nothing = compared(few(4), few(4), None);
    let words = "nothing can be told: 4 of 4 shapes can't be judged, mostly: fewer than 30 calls with a \
                 duration in both";
    assert_eq!(nothing.result, words);
    assert!(nothing.table().ends_with(&format!("result     {words}\n")));
    assert!(!nothing.has_degraded() && !nothing.has_losses());
    // Of what takes little time it is no verdict on the run, and said.
    let with_few = |seed| [shapes(seed), few(2)].concat();
    let part = compared(with_few(1), with_few(2), None);
    assert_eq!(part.result, "nothing is worse; 2 of 7 shapes, 1 % of the time, can't be judged");
    let json: Value = serde_json::from_str(&part.json().unwrap()).unwrap();
    assert_eq!((&json["untold"]["extent"], &json["result"]), (&json!("part"), &json!(part.result)));
}
