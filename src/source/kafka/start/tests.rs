use super::*;

const COMMITTED: Partition = Partition { number: 3, committed: Some(50), low: 10, high: 100 };
const NEW: Partition = Partition { committed: None, ..COMMITTED };

fn starts(partition: Partition, fresh: InitialOffset) -> StartAt {
    start_offset(partition, fresh, OnGap::Stop).expect("no gap")
}

#[test]
fn a_committed_offset_wins_over_every_fresh_start() {
    for fresh in [
        InitialOffset::Earliest,
        InitialOffset::Latest,
        InitialOffset::At(Some(70)),
        InitialOffset::At(None),
    ] {
        assert_eq!(starts(COMMITTED, fresh), StartAt { offset: 50, gap: None });
    }
}

#[test]
fn a_new_group_starts_as_it_is_told() {
    assert_eq!(starts(NEW, InitialOffset::Earliest).offset, 10);
    assert_eq!(starts(NEW, InitialOffset::Latest).offset, 100);
    assert_eq!(starts(NEW, InitialOffset::At(Some(70))).offset, 70);
}

#[test]
fn a_time_after_the_last_record_starts_at_the_end() {
    assert_eq!(starts(NEW, InitialOffset::At(None)).offset, 100);
}

#[test]
fn both_watermarks_are_offsets_to_go_on_from() {
    for committed in [10, 100] {
        let partition = Partition { committed: Some(committed), ..COMMITTED };
        assert_eq!(starts(partition, InitialOffset::Earliest).offset, committed);
    }
}

#[test]
fn an_expired_offset_stops_with_what_was_lost() {
    let partition = Partition { committed: Some(4), ..COMMITTED };
    let gap = start_offset(partition, InitialOffset::Earliest, OnGap::Stop).expect_err("a gap");
    assert_eq!(gap, Gap { partition: 3, wanted: 4, oldest: 10, end: 100 });
    assert_eq!(gap.lost(), 6);
    assert!(gap.to_string().contains("offsets 4 to 9 (6 records) are gone"), "{gap}");
}

#[test]
fn an_offset_beyond_the_end_stops_too() {
    let partition = Partition { committed: Some(101), ..COMMITTED };
    let gap = start_offset(partition, InitialOffset::Latest, OnGap::Stop).expect_err("a gap");
    assert_eq!(gap.lost(), 0);
    assert!(gap.to_string().contains("ends at 100"), "{gap}");
}

#[test]
fn told_to_continue_it_goes_on_from_the_oldest_and_keeps_the_gap() {
    for committed in [4, 101] {
        let partition = Partition { committed: Some(committed), ..COMMITTED };
        let start =
            start_offset(partition, InitialOffset::Latest, OnGap::Continue).expect("a start");
        assert_eq!(start.offset, 10);
        assert_eq!(start.gap.map(|gap| gap.wanted), Some(committed));
    }
}
