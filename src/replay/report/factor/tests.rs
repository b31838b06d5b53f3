use fastrand::Rng;
use proptest::prelude::*;

use super::*;

fn of(ratios: &[f64]) -> Option<Factor> {
    let weighted: Vec<_> = ratios.iter().map(|&ratio| (ratio, 1.0)).collect();
    weighted_of(&weighted)
}

fn weighted_of(shapes: &[(f64, f64)]) -> Option<Factor> {
    let shape =
        |&(ratio, weight): &(f64, f64)| ShapeRatio { log_ratio: ratio.ln(), weight, least: 0.0 };
    Factor::of(&shapes.iter().map(shape).collect::<Vec<_>>())
}

fn is_about(value: f64, wanted: f64) -> bool {
    (value / wanted - 1.0).abs() < 1e-9
}

#[test]
fn one_shape_or_two_have_no_factor_and_three_have_the_one_between() {
    assert_eq!(of(&[]), None);
    assert_eq!(of(&[2.0]), None);
    assert_eq!(of(&[2.0, 0.8]), None);
    assert_eq!(of(&[2.0, 0.8, f64::NAN]), None);
    assert_eq!(weighted_of(&[(2.0, 1.0), (0.8, 1.0), (0.9, 0.0)]), None);
    let three = of(&[2.0, 0.8, 0.81]).unwrap();
    assert!(is_about(three.ratio, 0.81), "{three:?}");
    assert!(is_about(three.low, 0.8) && is_about(three.high, 2.0), "{three:?}");
    assert!(three.spread < 0.02 && three.shapes == 3, "{three:?}");
    // Between the second and the third of four.
    assert!(is_about(of(&[0.5, 0.8, 0.8, 3.0]).unwrap().ratio, 0.8));
    assert!(is_about(of(&[0.5, 0.8, 0.9, 3.0]).unwrap().ratio, (0.8_f64 * 0.9).sqrt()));
}

#[test]
fn a_few_that_changed_do_not_move_it() {
    let unchanged = [0.79, 0.8, 0.8, 0.81, 0.82, 0.78, 0.8];
    let factor = of(&[&unchanged[..], &[100.0, 1.6, 1.5, 0.1]].concat()).unwrap();
    assert!(factor.ratio > 0.79 && factor.ratio < 0.82, "{factor:?}");
    assert!(factor.low >= 0.78 && factor.high <= 1.6 && factor.spread < 0.05, "{factor:?}");
}

#[test]
fn a_shape_that_takes_most_of_the_time_does_not_decide_alone() {
    let mut shapes = vec![(1.0, 1.0); 20];
    shapes.push((3.0, 1e6));
    assert!(is_about(weighted_of(&shapes).unwrap().ratio, 1.0));
    // Two and a half such do: they have a fifth each of what counts.
    shapes.extend([(3.0, 1e6), (3.0, 1e6)]);
    assert!(is_about(weighted_of(&shapes).unwrap().ratio, 3.0));
    // Of three, each is a third.
    let heavy = [(3.0, 1e9), (1.0, 2.0), (1.01, 1.0)];
    assert!(is_about(weighted_of(&heavy).unwrap().ratio, 1.01));
}

#[test]
fn weights_count_within_their_limit() {
    // 12 of 20 for the first ten shapes.
    let mut shapes = vec![(0.5, 1.2); 10];
    shapes.extend([(1.0, 0.8); 10]);
    assert!(is_about(weighted_of(&shapes).unwrap().ratio, 0.5));
}

#[test]
fn its_interval_holds_the_machines_factor_as_often_as_is_claimed() {
    let mut rng = Rng::with_seed(5);
    let (runs, mut missed, mut spread) = (1000, 0, 0.0);
    for _ in 0..runs {
        let shapes: Vec<_> = (0..40)
            .map(|n| (0.8 * (0.05 * normal(&mut rng)).exp(), 1.0 + f64::from(n % 5)))
            .collect();
        let factor = weighted_of(&shapes).unwrap();
        missed += u32::from(factor.low > 0.8 || factor.high < 0.8);
        spread += factor.spread / f64::from(runs);
    }
    assert!(missed < runs * 75 / 1000, "{missed} of {runs}");
    assert!((0.045..0.055).contains(&spread), "{spread}");
}

/// A sum of twelve uniform ones is close to a normal one.
fn normal(rng: &mut Rng) -> f64 {
    (0..12).map(|_| rng.f64()).sum::<f64>() - 6.0
}

#[test]
fn its_spread_is_that_of_the_unchanged_whether_few_or_four_in_ten_have_changed() {
    let mut rng = Rng::with_seed(6);
    let mut spread_with = |changed: usize| {
        let runs = 400;
        let spreads = (0..runs).map(|_| {
            let unchanged = (0..25 - changed).map(|_| (0.1 * normal(&mut rng)).exp());
            let slower_and_faster =
                |n: usize| (n as f64 + 2.0).powi(if n.is_multiple_of(3) { -1 } else { 1 });
            let shapes: Vec<f64> = unchanged.chain((0..changed).map(slower_and_faster)).collect();
            of(&shapes).unwrap().spread
        });
        spreads.sum::<f64>() / f64::from(runs)
    };
    let (none, few, many) = (spread_with(0), spread_with(4), spread_with(9));
    assert!((0.09..0.11).contains(&none), "{none}");
    assert!((0.09..0.12).contains(&few), "{few}");
    // Their factor has moved a little towards those that changed.
    assert!((0.09..0.14).contains(&many), "{many}");
}

#[test]
fn unchanged_shapes_few_or_many_seldom_lie_beyond_what_is_allowed_for() {
    let mut rng = Rng::with_seed(7);
    for (unchanged, changed) in [(5, 0), (5, 2), (8, 4), (25, 0), (60, 25)] {
        let runs = 2000 / (unchanged + changed);
        let mut beyond = 0;
        for _ in 0..runs {
            let mut shapes: Vec<f64> =
                (0..unchanged).map(|_| (0.1 * normal(&mut rng)).exp()).collect();
            shapes.extend((0..changed).map(|n| if n % 3 == 0 { 0.2 } else { 3.0 + n as f64 }));
            let factor = of(&shapes).unwrap();
            let is_beyond =
                |ratio: &&f64| (**ratio / factor.ratio).ln().abs() > factor.allowance.ln_1p();
            beyond += shapes[..unchanged].iter().filter(is_beyond).count();
        }
        let share = beyond as f64 / (runs * unchanged) as f64;
        assert!(share < 0.08, "{share} of {unchanged} and {changed}");
    }
}

#[test]
fn of_three_shapes_that_differ_a_tenfold_change_is_more_than_is_allowed_for() {
    let factor = of(&[0.8, 1.0, 1.3]).unwrap();
    assert!(factor.allowance > 0.3 && factor.allowance < 3.0, "{factor:?}");
    let alike = of(&[1.0, 1.0, 1.0]).unwrap();
    assert!(alike.spread < 1e-9 && alike.allowance > 0.1 && alike.allowance < 0.2, "{alike:?}");
}

#[test]
fn short_shapes_that_agree_do_not_hide_that_long_ones_differ() {
    // Measured where the source was slower than the target: durations in ms, and ratios.
    let measured = [
        (0.8, 0.87),
        (0.7, 0.91),
        (0.7, 0.88),
        (0.7, 0.86),
        (0.2, 0.79),
        (0.17, 0.77),
        (0.1, 0.70),
        (0.08, 0.77),
        (0.08, 0.76),
        (0.1, 0.68),
        (0.02, 0.77),
        (0.01, 0.77),
    ];
    let shape = |(ms, ratio): (f64, f64)| {
        let (weight, least) = (weight(800, ms), (0.02 / ms).ln_1p());
        ShapeRatio { log_ratio: ratio.ln(), weight, least }
    };
    let factor = Factor::of(&measured.map(shape)).unwrap();
    assert!(factor.ratio * (1.0 + factor.allowance) > 0.91, "{factor:?}");
}

#[test]
fn shapes_too_short_to_tell_do_not_add_to_the_spread() {
    let shapes = |least: f64| -> Vec<ShapeRatio> {
        let short = [0.88_f64, 0.9, 0.93, 1.1].map(|ratio| (ratio, least));
        let long = [0.98_f64, 1.0, 1.01].map(|ratio| (ratio, 0.0));
        let all = short.into_iter().chain(long);
        all.map(|(ratio, least)| ShapeRatio { log_ratio: ratio.ln(), weight: 1.0, least }).collect()
    };
    let spread = |least| Factor::of(&shapes(least)).unwrap().spread;
    assert!(spread(0.0) > 0.06 && spread(0.5) < 0.03, "{} {}", spread(0.0), spread(0.5));
}

proptest! {
    #[test]
    fn the_order_of_the_shapes_does_not_matter(
        shapes in proptest::collection::vec((0.01_f64..100.0, 0.001_f64..1000.0), 0..60),
        seed: u64,
    ) {
        let mut mixed = shapes.clone();
        Rng::with_seed(seed).shuffle(&mut mixed);
        prop_assert_eq!(weighted_of(&shapes), weighted_of(&mixed));
    }

    #[test]
    fn it_scales_with_the_ratios_and_its_spread_does_not(
        shapes in proptest::collection::vec((0.01_f64..100.0, 0.001_f64..1000.0), 3..60),
        by in 0.01_f64..100.0,
    ) {
        let scaled: Vec<_> = shapes.iter().map(|(ratio, weight)| (ratio * by, *weight)).collect();
        let (plain, scaled) = (weighted_of(&shapes).unwrap(), weighted_of(&scaled).unwrap());
        prop_assert!((scaled.ratio / plain.ratio / by - 1.0).abs() < 1e-9);
        prop_assert!((scaled.low / plain.low / by - 1.0).abs() < 1e-9);
        prop_assert!((scaled.spread - plain.spread).abs() < 1e-6 * (1.0 + plain.spread));
    }
}
