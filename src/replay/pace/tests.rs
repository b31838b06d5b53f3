use proptest::prelude::*;

use super::*;
use crate::pglog::statement::Protocol;
use crate::sql::Outline;

fn schedule(speed: f64, playout_delay_ms: u64) -> Schedule {
    let playout_delay = Duration::from_millis(playout_delay_ms);
    Schedule::new(Pace { speed, playout_delay })
}

fn statement(logged_ms: i64, duration_ms: Option<f64>) -> Statement {
    Statement {
        exporter: None,
        sql: "select 1".into(),
        protocol: Protocol::Simple,
        outline: Outline::of("select 1"),
        duration_ms,
        logged_ms,
    }
}

#[test]
fn a_speed_is_a_factor_above_0_or_max() {
    assert_eq!("max".parse(), Ok(Speed::Max));
    assert_eq!("0.25".parse(), Ok(Speed::Times(0.25)));
    for wrong in ["0", "-1", "inf", "NaN", "", "1x", "fast"] {
        assert!(wrong.parse::<Speed>().unwrap_err().contains("factor above 0"), "{wrong}");
    }
}

#[test]
fn the_first_statement_is_due_when_it_comes_and_the_rest_as_far_from_it_as_on_the_source() {
    let mut schedule = schedule(1.0, 0);
    assert_eq!(schedule.due(&statement(5_000, None), Moment(70_000)), Moment(70_000));
    assert_eq!(schedule.due(&statement(5_250, None), Moment(0)), Moment(320_000));
}

#[test]
fn a_statement_is_due_when_it_began_and_not_when_it_was_logged() {
    let mut schedule = schedule(1.0, 0);
    schedule.due(&statement(5_000, Some(0.5)), Moment(0));
    assert_eq!(schedule.due(&statement(5_001, Some(0.5)), Moment(0)), Moment(1_000));
    let long = schedule.due(&statement(7_000, Some(6_999.5)), Moment(0));
    assert_eq!(long, Moment(-4_999_000), "it began before the first one did");
}

#[test]
fn the_playout_delay_makes_everything_due_later_by_as_much() {
    let due = |delay| {
        let mut schedule = schedule(2.0, delay);
        [0, 10, 1_000].map(|ms| schedule.due(&statement(ms, None), Moment(3)).0)
    };
    assert_eq!(due(0), [3, 5_003, 500_003]);
    assert_eq!(due(40), [40_003, 45_003, 540_003]);
}

#[test]
fn a_source_whose_clock_is_put_back_makes_statements_late_and_nothing_wait() {
    let mut schedule = schedule(1.0, 0);
    let now = Moment(1_000);
    schedule.due(&statement(3_600_000, None), now);
    let due = schedule.due(&statement(0, None), now);
    assert_eq!(now.since(due), Duration::from_secs(3_600));
    // And forward again: as if nothing had been.
    assert_eq!(schedule.due(&statement(3_600_001, None), now), Moment(2_000));
    for (first, then) in [(i64::MIN, i64::MAX), (i64::MAX, i64::MIN)] {
        let mut schedule = Schedule::new(Pace { speed: 1e-9, playout_delay: Duration::MAX });
        schedule.due_of(first, Moment(i64::MAX));
        schedule.due_of(then, Moment(0));
    }
}

proptest! {
    #[test]
    fn delay_never_accumulates(
        began in proptest::collection::vec(-1_000_000_000_i64..1_000_000_000, 1..50),
        came in proptest::collection::vec(0_i64..1_000_000_000, 50),
        speed in 0.01_f64..100.0,
    ) {
        let mut schedule = schedule(speed, 0);
        let first = schedule.due_of(began[0], Moment(came[0]));
        for (began_at, came) in began.iter().zip(&came) {
            // Whenever it comes, and whatever came before it.
            let due = schedule.due_of(*began_at, Moment(*came));
            let exact = (began_at - began[0]) as f64 / speed;
            prop_assert!(((due.0 - first.0) as f64 - exact).abs() <= 1.0);
        }
    }

    #[test]
    fn twice_the_speed_halves_the_gaps(
        began in proptest::collection::vec(0_i64..1_000_000_000, 2..50),
        speed in 0.01_f64..100.0,
    ) {
        let dues = |speed| {
            let mut schedule = schedule(speed, 0);
            let due = |began: &i64| schedule.due_of(*began, Moment(0)).0;
            began.iter().map(due).collect::<Vec<_>>()
        };
        let gaps = |dues: Vec<i64>| dues.windows(2).map(|w| w[1] - w[0]).collect::<Vec<_>>();
        for (once, twice) in gaps(dues(speed)).iter().zip(gaps(dues(2.0 * speed))) {
            prop_assert!((once - 2 * twice).abs() <= 3, "{} {}", once, twice);
        }
    }
}
