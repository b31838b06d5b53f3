use std::time::Duration;

use super::*;

fn at(ms: u64) -> Moment {
    Moment::after(Duration::from_millis(ms))
}

/// How many of so many statements are measured, of a session that sends each ahead or not.
fn measured(sampling: &mut Sampling, statements: usize, is_behind: bool, allows: bool) -> usize {
    (0..statements)
        .filter(|_| {
            sampling.decide(|_| allows);
            sampling.sends(is_behind);
            sampling.measures()
        })
        .count()
}

#[test]
fn the_budget_gives_what_is_saved_up_and_then_so_many_a_second() {
    let mut budget = FigureBudget::default();
    let mut given = |now: Moment| (0..10_000).filter(|_| budget.take(8, now)).count() * 8;
    assert_eq!(given(at(0)), 2000);
    assert_eq!(given(at(0)), 0);
    assert_eq!(given(at(100)), 200);
    assert_eq!(given(at(60_000)), 2000, "no more is saved up");
    assert_eq!(given(at(50_000)), 0, "time that runs back gives none");
    assert_eq!(given(at(60_000)), 0);
}

#[test]
fn a_session_that_waits_for_its_answers_has_every_statement_measured() {
    assert_eq!(measured(&mut Sampling::default(), 1000, false, false), 1000);
}

#[test]
fn a_session_that_sends_ahead_has_as_many_measured_as_the_budget_allows() {
    let mut sampling = Sampling::default();
    let first = measured(&mut sampling, 1000, true, false);
    assert!(first < 60, "{first}: until it is known to send ahead");
    assert_eq!(measured(&mut sampling, 1000, true, false), 0);
    assert!(measured(&mut sampling, 1000, true, true) > 980);
}

#[test]
fn a_session_that_no_longer_sends_ahead_has_every_statement_measured_again() {
    let mut sampling = Sampling::default();
    measured(&mut sampling, 1000, true, false);
    measured(&mut sampling, 30, false, false);
    assert_eq!(measured(&mut sampling, 100, false, false), 100);
}

#[test]
fn some_statements_that_are_sent_together_do_not_make_a_session_send_ahead() {
    let mut sampling = Sampling::default();
    for _ in 0..100 {
        assert_eq!(measured(&mut sampling, 1, false, false), 1);
        assert_eq!(measured(&mut sampling, 3, true, false), 3);
    }
}
