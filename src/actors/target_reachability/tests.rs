use super::*;

#[test]
fn the_shortest_way_to_the_target_counts() {
    let target = TargetReachability::new(Health::default());
    assert_eq!(target.round_trip(), Duration::ZERO);
    for micros in [2_300, 2_100, 9_000] {
        target.took(Duration::from_micros(micros));
    }
    assert_eq!(target.round_trip(), Duration::from_micros(2_100));
}
