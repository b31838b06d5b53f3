use super::*;

#[test]
fn as_many_are_active_as_their_durations_fill_of_a_second() {
    let mut active = Active::default();
    let mut told = Vec::new();
    for call in 0..4000_i64 {
        let at = 1_700_000_000_000 + call;
        // A thousand a second, of 3 ms each, and from the third second on of 0.5 ms.
        let took = Duration::from_micros(if call < 2000 { 3000 } else { 500 });
        told.push(active.ended(at, took));
    }
    assert_eq!(told[999], None);
    let is_about = |call: usize, wanted: f64| (told[call].unwrap() - wanted).abs() < 1e-6;
    assert!(is_about(1000, 3.0) && is_about(2999, 3.0) && is_about(3999, 0.5), "{told:?}");
}

#[test]
fn after_a_second_without_a_statement_none_was_active() {
    let mut active = Active::default();
    active.ended(1000, Duration::from_millis(400));
    assert_eq!(active.ended(2000, Duration::ZERO), Some(0.4));
    assert_eq!(active.ended(1990, Duration::ZERO), Some(0.4));
    assert_eq!(active.ended(9000, Duration::ZERO), Some(0.0));
}
