use proptest::prelude::*;

use super::*;

const IDLE_MS: u64 = 1000;

fn merge(partitions: i32) -> Merge<i64> {
    let mut merge = Merge::new(MergeSettings { idle_ms: IDLE_MS, bytes: 1 << 20 });
    (0..partitions).for_each(|partition| merge.assign(partition, 0));
    merge
}

fn in_file(file: &str, offset: u64, log_ms: i64) -> Option<MergeKey> {
    Some(MergeKey { position: Some(LogPosition { file: file.into(), offset }), log_ms })
}

fn at(offset: u64) -> Option<MergeKey> {
    in_file("", offset, 0)
}

fn logged(log_ms: i64) -> Option<MergeKey> {
    Some(MergeKey { position: None, log_ms })
}

fn popped(merge: &mut Merge<i64>, now_ms: u64) -> Vec<i64> {
    std::iter::from_fn(|| merge.pop(now_ms)).map(|merged| merged.item).collect()
}

#[test]
fn nothing_leaves_before_every_partition_has_something_at_hand() {
    let mut merge = merge(3);
    merge.push(0, 1, at(1), 10, 0);
    merge.push(1, 2, at(2), 10, 0);
    assert_eq!(popped(&mut merge, 0), [0; 0]);
    merge.push(2, 3, at(3), 10, 0);
    assert_eq!(popped(&mut merge, 0), [1]);
    merge.push(0, 4, at(4), 10, 0);
    assert_eq!(popped(&mut merge, 0), [2]);
    assert_eq!(merge.basis(), Basis::Position);
}

#[test]
fn a_silent_partition_is_waited_for_only_so_long_and_what_it_says_then_is_late() {
    let mut merge = merge(2);
    merge.push(0, 5, at(5), 10, 100);
    assert_eq!(popped(&mut merge, IDLE_MS - 1), [0; 0]);
    assert_eq!(popped(&mut merge, IDLE_MS), [5]);
    merge.push(1, 3, at(3), 10, IDLE_MS);
    merge.push(1, 4, at(4), 10, IDLE_MS);
    merge.push(1, 6, at(6), 10, IDLE_MS);
    merge.push(0, 7, at(7), 10, IDLE_MS);
    let all: Vec<_> = std::iter::from_fn(|| merge.pop(IDLE_MS)).collect();
    let expected = [(3, true), (4, true), (6, false)];
    assert_eq!(all, expected.map(|(item, late)| Merged { item, late }));
    assert_eq!(popped(&mut merge, IDLE_MS), [0; 0], "it is waited for again");
}

#[test]
fn a_partition_that_is_through_or_gone_is_not_waited_for() {
    let mut merge = merge(3);
    merge.push(0, 1, at(1), 10, 0);
    merge.push(2, 2, at(2), 10, 0);
    merge.finish(1);
    assert_eq!(popped(&mut merge, 0), [1]);
    merge.push(0, 3, at(3), 10, 0);
    assert_eq!(merge.revoke(2), [2]);
    assert_eq!(popped(&mut merge, 0), [3]);
    assert!(merge.is_empty());
    merge.revoke(1);
    assert!(merge.is_idle(), "one is left");
}

#[test]
fn one_record_without_a_position_makes_it_a_merge_by_time() {
    let mut merge = merge(2);
    merge.push(0, 1, in_file("", 9, 10), 10, 0);
    merge.push(1, 2, in_file("", 8, 20), 10, 0);
    merge.push(1, 3, logged(30), 10, 0);
    assert_eq!(merge.basis(), Basis::LogTime);
    merge.finish_all();
    assert_eq!(popped(&mut merge, 0), [1, 2, 3]);
}

#[test]
fn offsets_of_several_files_are_ordered_by_file() {
    let mut merge = merge(2);
    merge.push(0, 1, in_file("log-1.csv", 900, 0), 10, 0);
    merge.push(0, 3, in_file("log-2.csv", 10, 5_000), 10, 0);
    merge.push(1, 2, in_file("log-1.csv", 950, 0), 10, 0);
    merge.push(1, 4, in_file("log-2.csv", 20, 5_000), 10, 0);
    merge.finish_all();
    assert_eq!(popped(&mut merge, 0), [1, 2, 3, 4]);
    assert_eq!(merge.basis(), Basis::Position);
}

#[test]
fn positions_that_begin_anew_while_time_goes_on_are_not_trusted() {
    for (before, after) in [(("", 900), ("", 0)), (("Tue.csv", 5), ("Fri.csv", 9))] {
        let mut merge = merge(2);
        merge.push(0, 1, in_file(before.0, before.1, 0), 10, 0);
        merge.push(0, 3, in_file(after.0, after.1, 60_000), 10, 0);
        merge.push(1, 2, in_file(before.0, before.1 + 1, 10), 10, 0);
        assert_eq!(merge.basis(), Basis::LogTimeForPositionsRestart);
        merge.finish_all();
        assert_eq!(popped(&mut merge, 0), [1, 2, 3]);
    }
    let mut merge = merge(2);
    merge.push(0, 1, in_file("", 900, 10_000), 10, 0);
    merge.push(0, 1, in_file("", 700, 8_000), 10, 0);
    assert_eq!(merge.basis(), Basis::Position, "a shipper that starts again repeats some");
}

#[test]
fn a_record_that_cannot_be_read_stays_behind_the_one_before_it() {
    let mut merge = merge(2);
    merge.push(0, 1, at(1), 10, 0);
    merge.push(0, 2, None, 10, 0);
    merge.push(0, 4, at(4), 10, 0);
    merge.push(1, 3, at(3), 10, 0);
    merge.finish_all();
    assert_eq!(popped(&mut merge, 0), [1, 2, 3, 4]);
    assert_eq!(merge.basis(), Basis::Position);
}

#[test]
fn who_is_far_ahead_is_held_back_until_half_of_its_share_has_left() {
    let mut merge = Merge::new(MergeSettings { idle_ms: IDLE_MS, bytes: 20_000 });
    merge.assign(0, 0);
    merge.assign(1, 0);
    let mut pushed = 0;
    while merge.held_back().is_empty() {
        merge.push(0, pushed, at(pushed as u64), 872, 0);
        pushed += 1;
    }
    assert_eq!((merge.held_back(), pushed), (vec![0], 21));
    merge.push(1, 100, at(100), 872, 0);
    assert_eq!(merge.held_back(), [0], "whom the others wait for is read");
    let mut left = 0;
    while !merge.held_back().is_empty() {
        assert!(merge.pop(0).is_some());
        left += 1;
    }
    assert_eq!(left, 16);
}

proptest! {
    #[test]
    fn the_order_of_the_log_comes_out_whatever_the_order_of_arrival(
        spread in prop::collection::vec(0..4i32, 0..150),
        arrivals in prop::collection::vec(any::<prop::sample::Index>(), 150),
        by_position in any::<bool>(),
    ) {
        let mut merge = merge(4);
        let mut waiting: [VecDeque<i64>; 4] = Default::default();
        for (place, &partition) in (0..).zip(&spread) {
            waiting[partition as usize].push_back(place);
        }
        let mut out = Vec::new();
        for arrival in arrivals.iter().take(spread.len()) {
            let left: Vec<usize> = (0..4).filter(|&p| !waiting[p].is_empty()).collect();
            let from = left[arrival.index(left.len())];
            let place = waiting[from].pop_front().unwrap();
            let key = if by_position { at(place as u64) } else { logged(place) };
            merge.push(from as i32, place, key, 10, 0);
            while let Some(merged) = merge.pop(0) {
                prop_assert!(!merged.late);
                out.push(merged.item);
            }
        }
        merge.finish_all();
        out.extend(popped(&mut merge, 0));
        prop_assert_eq!(out, (0..spread.len() as i64).collect::<Vec<_>>());
        prop_assert!(merge.is_empty());
    }

    #[test]
    fn a_partition_keeps_its_own_order_whatever_the_clocks_and_silences(
        log in prop::collection::vec((0..3i32, 0..6i64, 0..1500u64), 0..100),
    ) {
        let mut out: Vec<(i32, i64)> = Vec::new();
        let mut merge = Merge::new(MergeSettings { idle_ms: IDLE_MS, bytes: 500 });
        let mut now_ms = 0;
        for (place, (partition, jitter, silence)) in (0..).zip(&log) {
            now_ms += silence;
            merge.push(*partition, (*partition, place), logged(place - jitter), 10, now_ms);
            out.extend(std::iter::from_fn(|| merge.pop(now_ms)).map(|merged| merged.item));
        }
        let late = now_ms + IDLE_MS;
        out.extend(std::iter::from_fn(|| merge.pop(late)).map(|merged| merged.item));
        prop_assert!(merge.is_empty());
        for partition in 0..3 {
            let sent = (0..).zip(&log).filter(|(_, (from, ..))| *from == partition);
            let sent: Vec<i64> = sent.map(|(place, _)| place).collect();
            let got = out.iter().filter(|(from, _)| *from == partition);
            prop_assert_eq!(got.map(|(_, place)| *place).collect::<Vec<_>>(), sent);
        }
    }
}
