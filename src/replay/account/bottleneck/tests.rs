use super::*;

/// What grows in one second.
#[derive(Clone, Copy, Default)]
struct Second {
    busy: f64,
    empty: f64,
    target: f64,
    order: f64,
    connection: f64,
    schedule: f64,
    session: f64,
}

/// The shares after so many seconds of each kind.
fn shares(seconds: &[(usize, Second)]) -> Shares {
    let mut bottleneck = Bottleneck::default();
    let mut sample = Sample {
        at: Moment::default(),
        busy: vec![Duration::ZERO; 2],
        empty: Duration::ZERO,
        waits: Waits::default(),
    };
    bottleneck.take(sample.clone());
    let each = seconds.iter().flat_map(|&(times, second)| std::iter::repeat_n(second, times));
    for second in each {
        sample.at = Moment::after(sample.at.since(Moment::default()) + Duration::from_secs(1));
        sample.busy[1] += Duration::from_secs_f64(second.busy);
        sample.empty += Duration::from_secs_f64(second.empty);
        for (wait, time) in [
            (Wait::Target, second.target),
            (Wait::Order, second.order),
            (Wait::Connection, second.connection),
            (Wait::Schedule, second.schedule),
            (Wait::Session, second.session),
        ] {
            sample.waits.add(wait, 1, Duration::from_secs_f64(time));
        }
        bottleneck.take(sample.clone());
    }
    bottleneck.shares().expect("an interval has passed")
}

#[track_caller]
fn assert_near(shares: Shares, expected: Shares) {
    let near = shares.iter().zip(expected).all(|(share, e)| (share - e).abs() < 1e-6);
    assert!(near, "{shares:?}, expected {expected:?}");
    assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{shares:?}");
}

#[test]
fn nothing_to_do_is_the_source() {
    let idle = Second { empty: 1.0, busy: 0.01, ..Second::default() };
    assert_near(shares(&[(10, idle)]), [1.0, 0.0, 0.0, 0.0]);
    let not_due = Second { schedule: 40.0, target: 0.0, ..Second::default() };
    assert_near(shares(&[(10, not_due)]), [1.0, 0.0, 0.0, 0.0]);
}

#[test]
fn statements_under_way_are_the_target() {
    let slow = Second { target: 8.0, session: 900.0, busy: 0.3, ..Second::default() };
    assert_near(shares(&[(10, slow)]), [0.0, 0.0, 1.0, 0.0]);
    let unreachable = Second { connection: 8.0, ..Second::default() };
    assert_near(shares(&[(10, unreachable)]), [0.0, 0.0, 1.0, 0.0]);
}

#[test]
fn sessions_that_wait_for_their_turn_while_one_runs_are_the_order() {
    let serial = Second { target: 1.0, order: 9.0, busy: 0.3, ..Second::default() };
    assert_near(shares(&[(10, serial)]), [0.0, 0.9, 0.1, 0.0]);
}

#[test]
fn a_thread_without_a_pause_is_kreplay_whatever_else_goes_on() {
    let second = Second { target: 8.0, order: 2.0, busy: 0.97, ..Second::default() };
    assert_near(shares(&[(10, second)]), [0.0, 0.0, 0.0, 1.0]);
    let dry = Second { empty: 1.0, busy: 0.9, ..Second::default() };
    assert_near(shares(&[(10, dry)]), [0.0, 0.0, 0.0, 1.0]);
    let half = Second { target: 8.0, busy: 0.7, ..Second::default() };
    assert_near(shares(&[(10, half)]), [0.0, 0.0, 0.5, 0.5]);
}

#[test]
fn what_is_in_flight_and_waits_for_nothing_is_on_its_way_in_kreplay() {
    assert_near(shares(&[(10, Second::default())]), [0.0, 0.0, 0.0, 1.0]);
}

#[test]
fn a_second_is_divided_between_the_time_without_work_and_the_rest() {
    let live = Second { empty: 0.75, target: 0.2, order: 0.2, ..Second::default() };
    assert_near(shares(&[(10, live)]), [0.75, 0.125, 0.125, 0.0]);
}

#[test]
fn only_the_last_minute_counts() {
    let idle = Second { empty: 1.0, ..Second::default() };
    let slow = Second { target: 8.0, ..Second::default() };
    assert_near(shares(&[(100, idle), (15, slow)]), [0.75, 0.0, 0.25, 0.0]);
    assert_near(shares(&[(100, idle), (60, slow)]), [0.0, 0.0, 1.0, 0.0]);
}

#[test]
fn before_the_first_interval_has_passed_there_is_no_bottleneck() {
    let mut bottleneck = Bottleneck::default();
    assert_eq!(bottleneck.shares(), None);
    bottleneck.take(Sample {
        at: Moment::after(Duration::from_secs(1)),
        busy: vec![Duration::from_secs(1)],
        empty: Duration::ZERO,
        waits: Waits::default(),
    });
    assert_eq!(bottleneck.shares(), None);
}
