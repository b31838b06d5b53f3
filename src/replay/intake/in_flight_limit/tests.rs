use super::*;

#[test]
fn a_standstill_is_looked_at_soon_and_then_less_and_less_often() {
    let mut standstill = StallTimer::default();
    let mut looks = |range: std::ops::Range<u64>| -> Vec<u64> {
        let due = |ms: &u64| standstill.is_due(Duration::from_millis(*ms));
        range.step_by(10).filter(due).collect()
    };
    assert_eq!(looks(0..3300), [50, 100, 200, 400, 800, 1600, 2600]);
    assert_eq!(looks(60..120), [60], "something had ended meanwhile");
}

fn full(limit: usize) -> InFlightLimit {
    let mut bound = InFlightLimit::new(limit, usize::MAX);
    while bound.has_room() {
        bound.enter(1);
    }
    assert_eq!(bound.in_flight(), limit.max(1));
    bound
}

#[test]
fn a_full_limit_opens_again_for_a_batch_at_once() {
    let mut bound = full(10_000);
    (0..BATCH - 1).for_each(|_| bound.leave(1));
    assert!(!bound.has_room());
    bound.leave(1);
    assert!(bound.has_room());
    (0..BATCH).for_each(|_| bound.enter(1));
    assert!(!bound.has_room());
}

#[test]
fn a_small_limit_opens_with_every_statement_that_ends() {
    for limit in [0, 1, 2, 15] {
        let mut bound = full(limit);
        bound.leave(1);
        assert!(bound.has_room(), "{limit}");
    }
}

#[test]
fn where_nothing_ends_what_room_there_is_is_used_first() {
    let mut bound = full(10_000);
    assert!(!bound.open());
    bound.leave(1);
    assert!(!bound.has_room() && bound.open() && bound.has_room());
    bound.enter(1);
    assert!(!bound.has_room() && !bound.open());
    bound.open_beyond();
    for _ in 0..BEYOND {
        assert!(bound.has_room());
        bound.enter(1);
    }
    assert!(!bound.has_room());
}

#[test]
fn long_statements_fill_it_by_their_bytes_and_the_longest_still_passes() {
    let mut bound = InFlightLimit::new(10_000, 100);
    bound.enter(60);
    assert!(bound.has_room());
    bound.enter(60);
    assert!(!bound.has_room());
    bound.leave(60);
    assert!(bound.has_room());
    bound.leave(60);
    bound.enter(1000);
    assert!(!bound.has_room());
    bound.leave(1000);
    assert!(bound.has_room());
}
