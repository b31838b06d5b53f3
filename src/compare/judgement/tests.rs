use super::*;
use crate::compare::durations::tests::{calls, encoded};

fn measured(micros: Vec<f64>) -> Measured {
    let at_most = Durations::decode(&encoded(micros)).unwrap();
    Measured { at_least: at_most.clone(), at_most, clock: Clock::Server }
}

/// What kreplay measured over a way to the server of some 100 microseconds.
fn by_client(micros: Vec<f64>) -> Measured {
    let measured = measured(micros.into_iter().map(|it| it + 90.0).collect());
    Measured { at_least: measured.at_most.less(0.1), clock: Clock::Client, ..measured }
}

/// Shapes of 20 µs to 20 ms with so many calls, on a target of this factor.
fn shapes(seed: u64, n: usize, factor: f64) -> Vec<Pair> {
    let pair = |shape: u64| {
        let micros = 20.0 * 2.0_f64.powf(shape as f64);
        let seed = seed * 1000 + shape * 10;
        Pair {
            baseline: measured(calls(seed, n, micros, 0.3)),
            candidate: measured(calls(seed + 1, n, micros * factor, 0.3)),
            repeat: None,
        }
    };
    (0..11).map(pair).collect()
}

/// Makes a shape take so many times as long on the candidate.
fn plant(pair: &mut Pair, seed: u64, n: usize, micros: f64) {
    pair.candidate = measured(calls(seed, n, micros, 0.3));
}

fn verdicts(judged: &Judged) -> Vec<Verdict> {
    judged.shapes.iter().map(|it| it.verdict).collect()
}

fn count(judged: &Judged, verdict: Verdict) -> usize {
    verdicts(judged).into_iter().filter(|it| *it == verdict).count()
}

#[test]
fn a_machine_of_another_speed_is_no_news_about_a_query() {
    for (seed, factor) in [(1, 1.0), (2, 0.8), (3, 1.5)] {
        let judged = judge(&shapes(seed, 1000, factor), 0.1);
        assert_eq!(count(&judged, Verdict::Same), 11, "{:?}", judged.shapes);
        assert!((judged.factor.unwrap().ratio / factor - 1.0).abs() < 0.02);
    }
}

#[test]
fn among_many_runs_without_a_change_hardly_a_shape_is_called_changed() {
    let wrong: usize = (0..40)
        .map(|seed| judge(&shapes(100 + seed, 60, 1.2), 0.01))
        .map(|it| count(&it, Verdict::Degraded) + count(&it, Verdict::Improved))
        .sum();
    assert!(wrong <= 4, "{wrong} of 440");
}

#[test]
fn what_was_planted_is_told_and_nothing_else() {
    let mut pairs = shapes(7, 800, 0.9);
    plant(&mut pairs[1], 71, 800, 4000.0 * 0.9);
    plant(&mut pairs[3], 72, 800, 160.0 * 0.9 * 1.2);
    plant(&mut pairs[5], 73, 800, 640.0 * 0.9 / 3.0);
    let judged = judge(&pairs, 0.1);
    let mut wanted = vec![Verdict::Same; 11];
    (wanted[1], wanted[3]) = (Verdict::Degraded, Verdict::Degraded);
    wanted[5] = Verdict::Improved;
    assert_eq!(verdicts(&judged), wanted, "{:?}", judged.shapes);
}

#[test]
fn what_the_threshold_allows_is_the_same() {
    let mut pairs = shapes(8, 1000, 1.0);
    plant(&mut pairs[4], 81, 1000, 320.0 * 1.2);
    assert_eq!(judge(&pairs, 0.1).shapes[4].verdict, Verdict::Degraded);
    assert_eq!(judge(&pairs, 0.3).shapes[4].verdict, Verdict::Same);
}

#[test]
fn what_differs_as_much_between_two_runs_of_one_target_is_not_degraded() {
    let mut pairs = shapes(9, 1000, 1.0);
    plant(&mut pairs[4], 91, 1000, 320.0 * 1.3);
    for (shape, pair) in pairs.iter_mut().enumerate() {
        let micros = 20.0 * 2.0_f64.powf(shape as f64);
        let noise = if shape == 4 { 1.35 } else { 1.0 };
        pair.repeat = Some(measured(calls(92 + shape as u64, 1000, micros * noise, 0.3)));
    }
    let judged = judge(&pairs, 0.1);
    assert_eq!(judged.shapes[4].verdict, Verdict::CannotTell, "{:?}", judged.shapes[4]);
    assert!(judged.shapes[4].why.contains("two runs"), "{:?}", judged.shapes[4]);
    assert!((judged.shapes[4].repeat.unwrap().beyond - 1.35).abs() < 0.05);
    assert_eq!(count(&judged, Verdict::Same), 10);
}

#[test]
fn what_other_shapes_differ_by_is_neither_degraded_nor_the_same() {
    // A busy machine: some take longer, others less, and one a little more.
    let pair = |shape: u64| Pair {
        baseline: measured(calls(120 + shape, 1000, 1000.0, 0.3)),
        candidate: measured(calls(220 + shape, 1000, 850.0 + 30.0 * shape as f64, 0.3)),
        repeat: None,
    };
    let mut pairs: Vec<Pair> = (0..11).map(pair).collect();
    plant(&mut pairs[3], 320, 1000, 1200.0);
    let judged = judge(&pairs, 0.1);
    assert_eq!(judged.shapes[3].verdict, Verdict::CannotTell, "{:?}", judged.shapes[3]);
    assert!(judged.shapes[3].why.contains("other shapes"), "{:?}", judged.shapes[3]);
    assert_eq!(count(&judged, Verdict::Degraded) + count(&judged, Verdict::Improved), 0);
}

/// What a shape takes on a machine that something else keeps busy: this share of the calls waits.
fn disturbed(seed: u64, micros: f64, share: f64) -> Vec<f64> {
    let wait = calls(seed + 500, 1000, 1.0, 0.3);
    let alone = calls(seed, 1000, micros, 0.1).into_iter();
    let waits = alone.zip(wait).enumerate();
    waits
        .map(
            |(at, (alone, wait))| {
                if (at as f64) < 1000.0 * share { alone * (1.0 + wait) } else { alone }
            },
        )
        .collect()
}

#[test]
fn on_a_busy_machine_a_shapes_own_change_shows_in_its_fastest_calls() {
    let pair = |shape: u64, factor: f64| {
        let micros = 100.0 * 1.5_f64.powf(shape as f64);
        Pair {
            baseline: measured(calls(400 + shape, 1000, micros, 0.1)),
            candidate: measured(disturbed(600 + shape, micros * factor, 0.1 + 0.07 * shape as f64)),
            repeat: None,
        }
    };
    let pairs: Vec<Pair> =
        (0..11).map(|shape| pair(shape, if shape == 5 { 1.5 } else { 1.0 })).collect();
    let judged = judge(&pairs, 0.1);
    let Judgement { verdict, why, undisturbed, .. } = &judged.shapes[5];
    assert_eq!(*verdict, Verdict::Degraded, "{judged:#?}");
    assert!(why.ends_with("by its fastest tenth"), "{why}");
    assert!((undisturbed.unwrap().beyond - 1.5).abs() < 0.1, "{undisturbed:?}");
    assert_eq!(count(&judged, Verdict::Degraded), 1, "{judged:#?}");
}

#[test]
fn a_short_statement_has_to_change_by_more_than_the_machine_makes_of_it() {
    let pair = |before: f64, after: f64| Pair {
        baseline: measured(calls(1, 1000, before, 0.1)),
        candidate: measured(calls(2, 1000, after, 0.1)),
        repeat: None,
    };
    let judged = judge(&[pair(20.0, 30.0), pair(20.0, 10.0), pair(20.0, 60.0)], 0.1);
    // The third of three is no median.
    let machine = judged.factor.unwrap().ratio;
    assert!((machine - 1.5).abs() < 0.05, "{machine}");
    let alone = |before, after| judge(&[pair(before, after)], 0.1).shapes[0].verdict;
    assert_eq!(alone(20.0, 30.0), Verdict::CannotTell);
    assert_eq!(alone(20.0, 14.0), Verdict::CannotTell);
    assert_eq!(alone(20.0, 60.0), Verdict::Degraded);
    assert_eq!(alone(60.0, 20.0), Verdict::Improved);
}

#[test]
fn few_calls_lost_calls_and_two_clocks_cannot_be_told() {
    let mut pairs = shapes(10, 100, 1.0);
    plant(&mut pairs[0], 1, 29, 20.0);
    plant(&mut pairs[1], 2, 70, 4000.0);
    pairs[2].candidate = by_client(calls(3, 100, 8000.0, 0.3));
    let judged = judge(&pairs, 0.1);
    for (shape, why) in [
        (0, "fewer than 30 calls with a duration in the candidate"),
        (1, "70 calls succeeded, and 100 in the baseline"),
        (2, "the server measured it in the baseline alone"),
    ] {
        let Judgement { verdict, why: said, .. } = &judged.shapes[shape];
        assert_eq!(*verdict, Verdict::CannotTell);
        assert!(said.starts_with(why), "{said}");
    }
}

#[test]
fn by_the_clients_clock_only_what_outweighs_the_round_trip_is_told() {
    let pair = |before: f64, after: f64| Pair {
        baseline: by_client(calls(1, 500, before, 0.2)),
        candidate: by_client(calls(2, 500, after, 0.2)),
        repeat: None,
    };
    let judged = judge(&[pair(50.0, 75.0), pair(50.0, 5000.0)], 0.1);
    assert_eq!(verdicts(&judged), [Verdict::CannotTell, Verdict::Degraded]);
    assert!(judged.shapes[0].why.starts_with("kreplay measured it"), "{:?}", judged.shapes);
    let same = vec![pair(20_000.0, 20_000.0); 5];
    assert_eq!(count(&judge(&same, 0.1), Verdict::Same), 5);
}

#[test]
fn one_call_by_the_client_among_many_leaves_the_servers_clock() {
    let of = |server, client| Clock::of(ClockCounts { server, client });
    assert_eq!(of(999, 1), Clock::Server);
    assert_eq!(of(90, 10), Clock::Client);
    assert_eq!(of(0, 0), Clock::Client);
}
