use fastrand::Rng;

use super::*;

#[test]
fn the_median_lies_between_its_ranks_as_often_as_is_claimed() {
    // From tables of the sign test.
    assert_eq!(ranks(30), (10, 21));
    assert_eq!(ranks(100), (40, 61));
    // Of a few, all of them.
    assert_eq!((ranks(0), ranks(1), ranks(5)), ((1, 0), (1, 1), (1, 5)));
    for (few, many) in [(ranks(1000), ranks(1001)), (ranks(999), ranks(1002))] {
        assert!(few.0.abs_diff(many.0) <= 2 && few.1.abs_diff(many.1) <= 4, "{few:?} {many:?}");
    }
    let mut rng = Rng::with_seed(7);
    let mut missed = 0;
    for _ in 0..2000 {
        let (low, high) = ranks(50);
        let below = (0..50).filter(|_| rng.bool()).count() as u64;
        missed += u64::from(below < low || below >= high);
    }
    assert!(missed < 2000 / 20, "{missed}");
}

#[test]
fn a_chance_is_told_as_in_the_tables_and_never_too_small() {
    let is_about = |p: f64, wanted: f64| (p / wanted - 1.0).abs() < 1e-9;
    assert!(is_about(p_above(8, 10), 56.0 / 1024.0));
    assert!(is_about(p_above(14, 14), 0.5_f64.powi(14)));
    assert_eq!((p_above(0, 0), p_above(5, 10), p_above(3, 10)), (1.0, 1.0, 1.0));
    // 540 of 1000: from a table, 0.0062.
    assert!((0.0055..0.007).contains(&p_above(540, 1000)), "{}", p_above(540, 1000));
    assert!(p_above(541, 1001) > 0.006 && p_above(700, 1001) < 1e-30);
    let steps = (500..=1000).map(|above| p_above(above, 1000)).collect::<Vec<_>>();
    assert!(steps.is_sorted_by(|a, b| a >= b));
}
