use super::*;

fn at(seconds: u64) -> Sample {
    Sample { at: Duration::from_secs(seconds), ..Sample::default() }
}

/// A topic of 1,000 records of which so many were read and settled at this second.
fn topic(seconds: u64, read: u64, settled: u64) -> Sample {
    Sample {
        consumed: read,
        settled,
        statements: settled,
        extent: Some(Extent { unit: Unit::Records, read, total: 1000 }),
        ..at(seconds)
    }
}

fn recent(samples: impl IntoIterator<Item = Sample>) -> Recent {
    let mut recent = Recent::default();
    samples.into_iter().for_each(|sample| recent.push(sample));
    recent
}

#[test]
fn what_was_only_read_is_not_done() {
    let done = |sample: Sample| sample.done().map(|done| (done.done, done.total));
    assert_eq!(done(at(1)), None);
    assert_eq!(done(topic(1, 0, 0)), Some((0, 1000)));
    assert_eq!(done(topic(1, 800, 200)), Some((200, 1000)));
    let file = Extent { unit: Unit::Bytes, read: 1 << 60, total: 1 << 61 };
    let half = Sample { consumed: 1000, settled: 500, extent: Some(file), ..at(1) };
    assert_eq!(done(half), Some((1 << 59, 1 << 61)));
    // A file that grows while it is read.
    let file = Extent { unit: Unit::Bytes, read: 200, total: 100 };
    let grown = Sample { consumed: 10, settled: 10, extent: Some(file), ..at(1) };
    assert_eq!(done(grown), Some((100, 100)));
}

#[test]
fn the_time_left_is_what_is_left_at_the_rate_of_the_last_seconds() {
    let eta = |samples: Vec<Sample>| recent(samples).time_left();
    assert_eq!(eta(vec![]), None);
    assert_eq!(eta(vec![topic(5, 0, 0)]), None, "no time has passed");
    assert_eq!(eta(vec![topic(0, 0, 0), topic(4, 500, 200)]), Some(Duration::from_secs(16)));
    assert_eq!(eta(vec![topic(0, 10, 10), topic(4, 10, 10)]), None, "it stands still");
    assert_eq!(eta(vec![topic(0, 0, 0), topic(9, 1000, 1000)]), Some(Duration::ZERO));
    assert_eq!(eta(vec![at(0), at(9)]), None, "it has no end");
    // A slow beginning is forgotten.
    let slow = (0..100).map(|second| topic(second, 0, 0));
    let fast = (0..=15).map(|second| topic(100 + second, 150, 10 * second));
    assert_eq!(recent(slow.chain(fast)).time_left(), Some(Duration::from_secs(85)));
}

#[test]
fn no_more_is_kept_than_the_rate_needs() {
    let recent = recent((0..10_000).map(|second| topic(second, 0, 0)));
    assert_eq!(recent.0.len() as u64, RECENT.as_secs() + 1);
}

#[test]
fn beside_the_bar_stand_rate_lag_errors_and_eta() {
    let later = Sample { new_errors: 1, ..topic(10, 800, 200) };
    assert_eq!(
        recent([topic(0, 0, 0), later]).progress_message(),
        "lag 800 records, 20 statements/s, 1 new error, ETA 40s"
    );
    let file = |read| Some(Extent { unit: Unit::Bytes, read, total: 45_600_000 });
    let begun = Sample { extent: file(0), ..at(0) };
    let standing = Sample { extent: file(0), new_errors: 1200, ..at(10) };
    assert_eq!(
        recent([begun, standing]).progress_message(),
        "0 B of 45.6 MB, 0 statements/s, 1,200 new errors, ETA unknown"
    );
}

#[test]
fn the_status_line_tells_the_rate_the_lag_the_new_errors_and_the_sessions() {
    let before = Sample { statements: 100, new_errors: 2, ..at(60) };
    let now = Sample {
        statements: 74_140,
        new_errors: 5,
        lag: Some(1234),
        behind: Some(Duration::from_millis(340)),
        sessions: 20,
        connections: 12,
        in_flight: 35,
        bound: Some((Bound::Target, 0.834)),
        ..at(120)
    };
    assert_eq!(
        now.status(&before),
        "1,234 statements/s, lag 1,234 records, 0.3 s behind the source, 3 new errors \
             (5 in all), 20 sessions on 12 connections, 35 statements in flight, \
             bound by the target (83 %)"
    );
    let behind = Some(Duration::from_secs(7325));
    let bound = Some((Bound::Kreplay, 1.0));
    assert_eq!(
        Sample { at: Duration::from_secs(180), behind, bound, ..now.clone() }.status(&now),
        "0 statements/s, lag 1,234 records, 2h 02m behind the source, no new errors \
             (5 in all), 20 sessions on 12 connections, 35 statements in flight, \
             bound by kreplay itself (100 %)"
    );
}

#[test]
fn the_status_line_of_a_replay_with_an_end_says_how_much_is_done() {
    let now = Sample { new_errors: 1, ..topic(10, 800, 420) };
    assert_eq!(
        now.status(&topic(0, 0, 0)),
        "42 % done, 42 statements/s, 1 new error, 0 sessions on 0 connections, 0 statements \
             in flight"
    );
}
