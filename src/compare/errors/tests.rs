use serde_json::{Value, json};

use super::*;
use crate::compare::report::ReplayReport;
use crate::compare::report::tests::{report, shape};

/// A shape of so many calls with these errors.
fn failing(calls: u64, errors: Value) -> Shape {
    let mut json = shape("a1", &[10.0]);
    json["calls"] = json!(calls);
    json["errors"]["target"] = errors;
    ReplayReport::read(&report(json!([json])).to_string()).unwrap().shapes.remove(0)
}

/// What is told of each SQLSTATE.
fn told(baseline: &Shape, candidate: &Shape, again: Option<&Shape>) -> Vec<(String, ErrorNews)> {
    let changes = Unmatched::default().changes((Some(baseline), Some(candidate)), true, again);
    changes.into_iter().map(|it| (it.sqlstate, it.what)).collect()
}

#[test]
fn a_lock_that_was_not_to_be_had_and_a_timeout_are_by_chance_where_they_are_few() {
    let before = failing(1000, json!({}));
    for code in BY_CHANCE {
        let news = |calls, errors: u64| {
            told(&before, &failing(calls, json!({ code: errors })), None).remove(0).1
        };
        for (calls, errors) in [(2, 2), (10, 5), (1000, 50)] {
            assert_eq!(news(calls, errors), ErrorNews::NewByChance, "{code} {errors} of {calls}");
        }
        for (calls, errors) in [(10, 6), (1000, 51)] {
            assert_eq!(news(calls, errors), ErrorNews::New, "{code} {errors} of {calls}");
        }
    }
    let other = told(&before, &failing(1000, json!({ "42P01": 1 })), None);
    assert_eq!(other, [("42P01".to_owned(), ErrorNews::New)]);
}

#[test]
fn an_error_that_the_repeat_has_anew_is_noise_and_another_is_not() {
    let before = failing(100, json!({}));
    let after = failing(100, json!({ "23505": 60, "42P01": 60 }));
    let again = failing(100, json!({ "23505": 1 }));
    let (duplicate, missing) = ("23505".to_owned(), "42P01".to_owned());
    assert_eq!(
        told(&before, &after, Some(&again)),
        [(duplicate.clone(), ErrorNews::NewByChance), (missing.clone(), ErrorNews::New)]
    );
    assert_eq!(
        told(&before, &after, None),
        [(duplicate, ErrorNews::New), (missing, ErrorNews::New)]
    );
}

#[test]
fn what_fails_for_good_is_neither_of_the_moment_nor_of_an_earlier_failure() {
    let errors = json!({ "40001": 3, "55P03": 4, "25P02": 5, "42P01": 6, "23505": 7 });
    assert_eq!(failed_for_good(&failing(100, errors)), 13);
}
