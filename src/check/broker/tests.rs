use super::*;

fn partition(number: i32, low: i64, start: i64, high: i64) -> PartitionFacts {
    let (committed, gap, start_ms) = (false, None, None);
    PartitionFacts { number, low, high, committed, start, gap, start_ms }
}

#[test]
fn a_small_partition_is_read_whole() {
    let [first, newest] = ranges(&[partition(0, 10, 10, 1510)]);
    assert_eq!(first, BTreeMap::from([(0, (10, 1510))]));
    assert!(newest.is_empty());
}

#[test]
fn of_a_large_one_the_beginning_and_the_end_are_read() {
    let [first, newest] = ranges(&[partition(0, 0, 1000, 1_000_000)]);
    assert_eq!(first, BTreeMap::from([(0, (1000, 1500))]));
    assert_eq!(newest, BTreeMap::from([(0, (998_500, 1_000_000))]));
}

#[test]
fn partitions_share_the_sample_and_each_has_some() {
    let partitions: Vec<_> = (0..100).map(|number| partition(number, 0, 0, 9999)).collect();
    let [first, newest] = ranges(&partitions);
    assert_eq!((first[&99], newest[&99]), ((0, 25), (9974, 9999)));
}

#[test]
fn a_replay_that_begins_at_the_end_is_judged_by_what_came_before() {
    let [first, newest] = ranges(&[partition(0, 0, 5000, 5000), partition(1, 7, 7, 7)]);
    assert_eq!(first, BTreeMap::from([(0, (4000, 5000))]));
    assert!(newest.is_empty());
}
