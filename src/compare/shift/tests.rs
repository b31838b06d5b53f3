use proptest::prelude::*;

use super::*;
use crate::compare::durations::tests::{calls, encoded};

fn read(micros: Vec<f64>) -> Durations {
    Durations::decode(&encoded(micros)).unwrap()
}

fn shift(baseline: Vec<f64>, candidate: Vec<f64>) -> Shift {
    Shift::of(&read(baseline), &read(candidate)).unwrap()
}

#[test]
fn the_interval_holds_the_truth_as_often_as_is_claimed() {
    const RUNS: u64 = 400;
    for (n, m, spread, micros) in
        [(30, 30, 0.3, 1e4), (1000, 300, 0.5, 1e3), (200, 200, 0.05, 20.0)]
    {
        let missed = (0..RUNS).filter(|seed| {
            let baseline = calls(2 * seed, n, micros, spread);
            let found = shift(baseline, calls(2 * seed + 1, m, 1.5 * micros, spread));
            !(found.low..=found.high).contains(&1.5_f64.ln())
        });
        let missed = missed.count();
        // 5 % of 400, and three standard deviations of chance.
        assert!((5..=34).contains(&missed), "missed {missed} times: {n} {m} {spread} {micros}");
    }
}

#[test]
fn the_interval_of_a_quantile_holds_the_truth_as_often_as_is_claimed() {
    const RUNS: u64 = 400;
    for (n, m, spread) in [(100, 100, 0.3), (1000, 300, 0.5)] {
        let missed = (0..RUNS).filter(|seed| {
            let baseline = read(calls(2 * seed, n, 1e3, spread));
            let candidate = read(calls(2 * seed + 1, m, 1.5e3, spread));
            let found = Shift::of_quantile(0.1, &baseline, &candidate).unwrap();
            let sure = found.excess(1.5_f64.ln()).abs() > Z;
            let holds = (found.low..=found.high).contains(&1.5_f64.ln());
            assert!(sure != holds || (found.excess(1.5_f64.ln()).abs() - Z).abs() < 0.01);
            !holds
        });
        let missed = missed.count();
        assert!((3..=34).contains(&missed), "missed {missed} times: {n} {m} {spread}");
    }
    assert_eq!(Shift::of_quantile(0.1, &read(vec![]), &read(vec![1.0])), None);
}

#[test]
fn a_fifth_more_is_told_beyond_a_tenth_by_a_thousand_calls() {
    let margin = 1.1_f64.ln();
    let told = (0..100).filter(|seed| {
        let baseline = read(calls(2 * seed, 1000, 100.0, 0.3));
        let candidate = read(calls(2 * seed + 1, 1000, 120.0, 0.3));
        excess(&baseline, &candidate, margin) > 1.96
    });
    assert_eq!(told.count(), 100);
}

#[test]
fn a_few_per_cent_are_told_where_the_clock_shows_one_value_or_the_next() {
    // 10.2 and 10.5 microseconds are 10 and 11 by the clock, more often the one or the other.
    let found = shift(calls(1, 5000, 10.2, 0.03), calls(2, 5000, 10.5, 0.03));
    assert!((found.middle.exp() - 10.5 / 10.2).abs() < 0.01, "{found:?}");
    assert!(found.low > 0.0 && found.high < 0.05, "{found:?}");
}

#[test]
fn calls_that_have_nothing_in_common_have_a_ratio_all_the_same() {
    let found = shift(calls(1, 30, 60.0, 0.1), calls(2, 30, 60_000.0, 0.1));
    assert!((900.0..1100.0).contains(&found.middle.exp()), "{found:?}");
    assert!(found.low.exp() > 850.0 && found.high.exp() < 1200.0, "{found:?}");
    assert_eq!(Shift::of(&read(vec![]), &read(vec![1.0])), None);
}

#[test]
fn tails_are_those_of_the_normal_distribution() {
    for (z, tail) in [(0.0, 0.5), (1.96, 0.024_998), (-1.96, 0.975_002), (6.0, 9.8659e-10)] {
        assert!((upper_tail(z) / tail - 1.0).abs() < 1e-4, "{z}");
    }
    assert_eq!(upper_tail(f64::INFINITY), 0.0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_other_way_round_is_the_reciprocal_and_both_together_move_nothing(
        seed in 0_u64..1000, factor in 0.2_f64..5.0, scale in 1.0_f64..100.0
    ) {
        let (a, b) = (calls(seed, 60, 1e4, 0.4), calls(seed + 1, 80, 1e4 * factor, 0.3));
        let (a_to_b, b_to_a) = (shift(a.clone(), b.clone()), shift(b.clone(), a.clone()));
        // To what a histogram of two digits tells apart.
        for (one, other) in [
            (a_to_b.middle, b_to_a.middle), (a_to_b.low, b_to_a.high), (a_to_b.high, b_to_a.low)
        ] {
            prop_assert!((one + other).abs() < 1e-3, "{a_to_b:?} {b_to_a:?}");
        }
        prop_assert!(a_to_b.low < a_to_b.middle && a_to_b.middle < a_to_b.high);
        let larger = |calls: &[f64]| calls.iter().map(|it| it * scale).collect();
        let scaled = shift(larger(&a), larger(&b));
        prop_assert!((scaled.middle - a_to_b.middle).abs() < 0.02, "{scaled:?} {a_to_b:?}");
    }

    #[test]
    fn the_same_durations_have_the_ratio_one(seed in 0_u64..1000, n in 2_usize..300) {
        let same = calls(seed, n, 50.0, 0.5);
        let found = shift(same.clone(), same);
        prop_assert!(found.middle.abs() < 1e-3, "{found:?}");
    }
}
