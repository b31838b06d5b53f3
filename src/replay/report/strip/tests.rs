use super::*;

fn took(durations: impl IntoIterator<Item = u64>) -> Distribution {
    let mut all = Distribution::default();
    durations.into_iter().for_each(|micros| all.add(Duration::from_micros(micros)));
    all
}

fn sum(bins: &[u16]) -> u16 {
    bins.iter().sum()
}

#[test]
fn every_call_is_somewhere_and_short_ones_leave_no_gaps() {
    let (source, target) = (took((0..1000).map(|n| 8 + n % 9)), took((1..=1000).map(|n| 7 * n)));
    let strip = Strip::of(&source, &target).unwrap();
    for side in [&strip.source, &strip.target] {
        assert_eq!(side.len(), BINS);
        assert!((980..=1020).contains(&sum(side)), "{side:?}");
    }
    let holds_calls = |bin: &u16| *bin > 0;
    let from = strip.source.iter().position(holds_calls).unwrap();
    let to = strip.source.iter().rposition(holds_calls).unwrap();
    assert!(strip.source[from..=to].iter().all(holds_calls), "{:?}", strip.source);
}

#[test]
fn the_axis_holds_both_sides() {
    let strip = Strip::of(&took([100; 50]), &took([10_000; 50])).unwrap();
    assert!(strip.from_ms <= 0.1 && strip.from_ms > 0.09, "{}", strip.from_ms);
    assert!(strip.to_ms >= 10.0 && strip.to_ms < 10.2, "{}", strip.to_ms);
    assert_eq!((strip.source[0], sum(&strip.source)), (1000, 1000));
    assert_eq!((strip.target[BINS - 1], sum(&strip.target)), (1000, 1000));
}

#[test]
fn a_single_long_call_takes_no_room_from_the_others() {
    let durations = (0..999).map(|n| 100 + n % 100).chain([60_000_000]);
    let strip = Strip::of(&took(durations), &took([])).unwrap();
    assert!(strip.to_ms < 0.21, "{}", strip.to_ms);
    assert!(sum(&strip.source) >= 980, "{:?}", strip.source);
    assert_eq!(strip.target, [0; 0]);
}

#[test]
fn what_takes_no_time_has_a_place() {
    let strip = Strip::of(&took([0; 30]), &took([0; 30])).unwrap();
    assert!((990..=1010).contains(&sum(&strip.source)), "{strip:?}");
    assert_eq!(Strip::of(&took([]), &took([])), None);
}
