use fastrand::Rng;

use super::*;

/// The example of the paper, section 3.2: fifteen p values of which four are believed at 5 %.
const PAPER: [f64; 15] = [
    0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719,
    0.6528, 0.7590, 1.0,
];

#[test]
fn of_the_papers_example_four_are_believed_in_whatever_order_they_come() {
    let believed_values = |values: &[f64]| -> Vec<f64> {
        let believed = believed(values, 0.05);
        let mut kept: Vec<f64> =
            values.iter().zip(believed).filter(|(_, it)| *it).map(|(value, _)| *value).collect();
        kept.sort_by(f64::total_cmp);
        kept
    };
    assert_eq!(believed_values(&PAPER), PAPER[..4]);
    let mut mixed = PAPER;
    Rng::with_seed(3).shuffle(&mut mixed);
    assert_eq!(believed_values(&mixed), PAPER[..4]);
}

#[test]
fn a_larger_value_is_believed_for_the_sake_of_its_neighbours() {
    // 0.04 > 0.05 / 2, and 0.045 <= 0.05: the second brings the first along.
    assert_eq!(believed(&[0.04, 0.045], 0.05), [true, true]);
    assert_eq!(believed(&[0.04, 0.9], 0.05), [false, false]);
    assert_eq!(believed(&[], 0.05), [] as [bool; 0]);
    assert_eq!(believed(&[f64::NAN, 0.02], 0.05), [false, true]);
    assert_eq!(believed(&[f64::NAN, 0.04], 0.05), [false, false]);
}

#[test]
fn where_nothing_has_changed_something_is_believed_in_one_run_of_twenty_at_most() {
    let mut rng = Rng::with_seed(11);
    let runs = 2000;
    let wrong = (0..runs)
        .filter(|_| {
            let values: Vec<f64> = (0..200).map(|_| rng.f64()).collect();
            believed(&values, FALSE_DISCOVERY_RATE).contains(&true)
        })
        .count();
    assert!(wrong < runs * 65 / 1000, "{wrong} of {runs}");
}
