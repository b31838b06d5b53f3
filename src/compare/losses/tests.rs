use serde_json::{Value, json};

use super::*;
use crate::compare::report::tests::{report, shape};

fn read(shapes: Value, ran: u64) -> ReplayReport {
    let mut json = report(shapes);
    (json["records"]["replayed"], json["records"]["failed"]) = (json!(ran), json!(0));
    ReplayReport::read(&json.to_string()).unwrap()
}

/// A shape of so many calls, so many of which fail with one of the SQLSTATEs.
fn of(calls: u64, errors: Value) -> Shape {
    let mut json = shape("a1", &[10.0]);
    json["calls"] = json!(calls);
    json["errors"]["target"] = errors;
    read(json!([json]), calls).shapes.remove(0)
}

fn losses(before: u64, after: u64, shapes: usize) -> Losses {
    Losses::of(&read(json!([]), before), &read(json!([]), after), shapes)
}

#[test]
fn a_candidate_may_lose_one_statement_of_a_hundred_and_no_more() {
    for (after, is_worse) in [(1000, false), (1100, false), (990, false), (989, true), (0, true)] {
        assert_eq!(losses(1000, after, 0).are_worse(), is_worse, "{after}");
    }
    assert!(!losses(0, 0, 0).are_worse());
    assert!(losses(1000, 1000, 1).are_worse());
}

#[test]
fn what_was_lost_is_said_in_words() {
    assert_eq!(losses(40, 0, 0).in_words(), ["40 of 40 statements did not run"]);
    assert_eq!(losses(4000, 3999, 1).in_words(), ["1 shape lost most of its calls"]);
    assert_eq!(
        losses(4000, 1000, 2).in_words(),
        ["3,000 of 4,000 statements did not run", "2 shapes lost most of their calls"]
    );
    assert_eq!(losses(4000, 3999, 0).in_words(), [""; 0]);
}

#[test]
fn a_shape_lost_most_of_its_calls_where_less_than_half_are_left() {
    let before = of(100, json!({}));
    assert!(!lost_most(&before, Some(&of(50, json!({}))), 0));
    assert!(lost_most(&before, Some(&of(49, json!({}))), 0));
    assert!(lost_most(&before, None, 0));
    // They may be among the shapes that are not told apart.
    assert!(!lost_most(&before, None, 50));
}

#[test]
fn a_shape_whose_calls_fail_as_few_did_before_lost_them_too() {
    let before = of(100, json!({ "42P01": 1 }));
    assert!(lost_most(&before, Some(&of(100, json!({ "42P01": 51 }))), 0));
    assert!(!lost_most(&before, Some(&of(100, json!({ "42P01": 50 }))), 0));
    // What is a matter of the moment, what failed before, and what has few calls lost nothing.
    assert!(!lost_most(&before, Some(&of(100, json!({ "55P03": 90 }))), 0));
    let failing = || of(100, json!({ "42P01": 90 }));
    assert!(!lost_most(&failing(), Some(&failing()), 0));
    let few = |failed| of(10, json!({ "42P01": failed }));
    assert!(!lost_most(&few(1), Some(&few(9)), 0));
}
