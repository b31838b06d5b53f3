use fastrand::Rng;

use super::*;

#[test]
fn what_a_burst_does_to_all_shapes_is_taken_off_and_what_one_shape_is_stays() {
    let mut rng = Rng::with_seed(2);
    // Ten shapes in forty blocks, of which twelve are twice as slow; one shape is half as slow again.
    let rows: Vec<Row> = (0..10)
        .map(|shape| {
            let own = if shape == 3 { 1.5_f64.ln() } else { 0.0 };
            let burst = |block| if (5..17).contains(&block) { 2.0_f64.ln() } else { 0.0 };
            (0..40).map(|block| (block, own + burst(block) + 0.1 * (rng.f64() - 0.5))).collect()
        })
        .collect();
    let polished = polish(&rows, &[1.0; 10]);
    for (shape, row) in polished.iter().enumerate() {
        let own = if shape == 3 { 1.5_f64.ln() } else { 0.0 };
        assert!(row.iter().all(|(_, ratio)| (ratio - own).abs() < 0.15), "{shape}: {row:?}");
    }
}

#[test]
fn what_two_shapes_share_is_left() {
    let rows = vec![vec![(0, 0.0), (1, 1.0), (2, 0.0)], vec![(0, 0.0), (1, 1.0), (2, 0.0)]];
    assert_eq!(polish(&rows, &[1.0, 1.0]), rows);
    assert_eq!(polish(&[], &[]), [] as [Row; 0]);
    assert_eq!(polish(&[vec![]], &[1.0]), [vec![]]);
}

#[test]
fn the_order_of_the_shapes_does_not_matter() {
    let mut rng = Rng::with_seed(3);
    let rows: Vec<Row> =
        (0..9).map(|_| (0..20).map(|block| (block, rng.f64())).collect()).collect();
    let weights: Vec<f64> = (0..9).map(|_| rng.f64() + 0.1).collect();
    let mut reversed = polish(
        &rows.iter().rev().cloned().collect::<Vec<_>>(),
        &weights.iter().rev().copied().collect::<Vec<_>>(),
    );
    reversed.reverse();
    assert_eq!(polish(&rows, &weights), reversed);
}
