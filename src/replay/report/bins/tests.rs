use proptest::prelude::*;

use super::*;

fn of(ratios: impl IntoIterator<Item = f64>) -> Bins {
    let mut bins = Bins::default();
    ratios.into_iter().for_each(|ratio| bins.add(ratio));
    bins
}

#[test]
fn what_is_unchanged_is_in_the_middle_of_a_bin() {
    assert!((of([1.0; 100]).median() - 1.0).abs() < 0.01, "{}", of([1.0; 100]).median());
    assert_eq!(of([]).median(), 0.0);
    assert_eq!(of([]).len(), 0);
}

#[test]
fn what_lies_beyond_the_bins_counts_as_the_last_ones() {
    for (beyond, limit) in [(0.0, 1.0 / 64.0), (-1.0, 1.0 / 64.0), (1e9, 1024.0)] {
        let median = of([beyond; 3]).median();
        assert!((median / limit - 1.0).abs() < 0.07, "{beyond}: {median}");
    }
    assert_eq!(of([f64::NAN]).len(), 1);
}

#[test]
fn a_counter_that_is_full_leaves_the_median_where_it_is() {
    let mut bins = of((0..60_000).map(|n| if n % 3 == 0 { 4.0 } else { 1.0 }));
    for _ in 0..200_000 {
        bins.add(1.0);
        bins.add(4.0);
    }
    let above = bins.above(2.0) / bins.len() as f64;
    assert!((0.45..0.5).contains(&above), "{above}");
}

proptest! {
    #[test]
    fn a_median_is_right_within_a_thirtieth(
        mut ratios in proptest::collection::vec(0.02_f64..900.0, 1..60),
    ) {
        let median = of(ratios.iter().copied()).median();
        ratios.sort_by(f64::total_cmp);
        let (low, high) = (ratios[(ratios.len() - 1) / 2], ratios[ratios.len() / 2]);
        prop_assert!(median > low * 0.94 && median < high * 1.065, "{} {} {}", low, median, high);
    }

    #[test]
    fn the_order_and_how_they_were_put_together_do_not_matter(
        ratios in proptest::collection::vec(0.001_f64..9000.0, 0..60),
        cut in 0_usize..60,
    ) {
        let all = of(ratios.iter().copied());
        let (some, others) = ratios.split_at(cut.min(ratios.len()));
        let mut merged = of(others.iter().rev().copied());
        merged.merge(&of(some.iter().copied()));
        prop_assert_eq!(&merged, &all);
        prop_assert_eq!(all.len(), ratios.len() as u64);
        prop_assert!((all.above(0.0) - ratios.len() as f64).abs() < 1e-6);
    }
}
