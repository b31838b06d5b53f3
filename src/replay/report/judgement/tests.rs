//! What is claimed of the verdicts, on simulated calls.

use std::time::Duration;

use fastrand::Rng;

use super::super::blocks::Timeline;
use super::super::ratios::{Ratios, When};
use super::*;
use crate::replay::session::request::Took;

/// Calls of a shape: what they take on both sides, and what the way there and back adds.
#[derive(Clone, Copy)]
struct Simulated {
    calls: u32,
    /// The shape's duration, in milliseconds.
    source_ms: f64,
    /// What it became.
    change: f64,
    /// How much each side's calls differ among themselves: 0.2 is some 20 %.
    spread: f64,
    /// The share of calls that take ten times as long, on either side.
    outliers: f64,
    /// The median way to the server and back, in milliseconds, where the server does not tell.
    way_ms: Option<f64>,
}

const SHAPE: Simulated =
    Simulated { calls: 300, source_ms: 1.0, change: 1.0, spread: 0.2, outliers: 0.0, way_ms: None };

/// The run that they are part of.
#[derive(Clone, Copy)]
struct Run {
    seconds: f64,
    machine: f64,
    /// How much slower the target is, in common, in the third of the run from then on.
    burst: f64,
}

const RUN: Run = Run { seconds: 20.0, machine: 1.0, burst: 1.0 };

/// About normally distributed around 0, by 1.
fn normal(rng: &mut Rng) -> f64 {
    (0..12).map(|_| rng.f64()).sum::<f64>() - 6.0
}

fn ms(milliseconds: f64) -> Duration {
    Duration::from_nanos((milliseconds * 1e6) as u64)
}

impl Simulated {
    fn evidence(self, run: Run, rng: &mut Rng) -> Result<Evidence, Unjudged> {
        let way = |rng: &mut Rng| self.way_ms.unwrap_or(0.0) * (0.3 * normal(rng)).exp();
        let mut measured: Vec<f64> = (0..100).map(|_| way(rng)).collect();
        measured.sort_by(f64::total_cmp);
        let (mut timeline, mut ratios) = (Timeline::default(), Ratios::default());
        let mut moments: Vec<f64> =
            (0..self.calls).map(|_| rng.f64() * run.seconds).chain([0.0]).collect();
        moments.sort_by(f64::total_cmp);
        for (call, at) in moments.into_iter().enumerate() {
            let block = timeline.block(Duration::from_secs_f64(at));
            if call == 0 {
                // The timeline begins with the run.
                continue;
            }
            // What a call does varies, and so does what each server makes of it.
            let work = self.source_ms * (0.5 * normal(rng)).exp();
            let own = |rng: &mut Rng| {
                let outlier = if rng.f64() < self.outliers { 10.0 } else { 1.0 };
                outlier * (self.spread * normal(rng)).exp()
            };
            let source = work * own(rng);
            let burst = if (0.4..0.7).contains(&(at / run.seconds)) { run.burst } else { 1.0 };
            let target = ms(work * own(rng) * self.change * run.machine * burst);
            let on_server = self.way_ms.is_none().then_some(target);
            let took = Took { at_most: target + ms(way(rng)), together: 1, on_server };
            let logged = Duration::from_micros(ms(source).as_micros() as u64);
            ratios.add(logged, took, Some(ms(measured[95])), When::In(block), &timeline);
        }
        ratios.evidence(&timeline, 0, self.source_ms).1
    }
}

fn judged(shapes: &[Simulated], run: Run, seed: u64) -> (Option<Factor>, Vec<Judgement>) {
    let mut rng = Rng::with_seed(seed);
    let evidence: Vec<_> = shapes.iter().map(|it| it.evidence(run, &mut rng)).collect();
    judge(&evidence, 0.1)
}

fn verdicts(shapes: &[Simulated], run: Run, seed: u64) -> Vec<Verdict> {
    judged(shapes, run, seed).1.into_iter().map(|it| it.verdict).collect()
}

fn is_changed(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Degraded | Verdict::Improved)
}

#[test]
fn of_unchanged_shapes_hardly_any_is_called_degraded_or_improved() {
    let spread = Simulated { spread: 0.6, outliers: 0.05, ..SHAPE };
    let many = [
        Simulated { calls: 30, ..spread },
        Simulated { calls: 1000, ..spread },
        Simulated { source_ms: 0.05, ..spread },
        Simulated { source_ms: 30.0, calls: 100, ..spread },
    ]
    .repeat(5);
    let burst = Run { burst: 1.8, machine: 0.7, ..RUN };
    for run in [RUN, burst, Run { seconds: 3.0, ..burst }] {
        let wrong = (0..40).filter(|&seed| verdicts(&many, run, seed).into_iter().any(is_changed));
        let wrong = wrong.count();
        assert!(wrong <= 2, "{wrong} runs of 40");
    }
}

#[test]
fn what_changed_is_found_beyond_the_machines_factor_and_through_a_burst() {
    let shapes = [
        [SHAPE; 8].as_slice(),
        &[
            Simulated { change: 1.5, ..SHAPE },
            Simulated { change: 1.25, calls: 1000, ..SHAPE },
            Simulated { change: 0.6, ..SHAPE },
        ],
    ]
    .concat();
    let (mut found, mut same, mut wrong) = (0, 0, 0);
    for seed in 0..40 {
        let (factor, told) = judged(&shapes, Run { machine: 0.7, burst: 1.5, ..RUN }, seed);
        let factor = factor.unwrap();
        assert!((factor.ratio / 0.7).ln().abs() < 0.1, "{factor:?}");
        let told: Vec<_> = told.into_iter().map(|it| it.verdict).collect();
        same += told[..8].iter().filter(|it| **it == Verdict::Same).count();
        wrong += told[..8].iter().filter(|it| is_changed(**it)).count();
        found += [Verdict::Degraded, Verdict::Degraded, Verdict::Improved]
            .iter()
            .zip(&told[8..])
            .filter(|(wanted, told)| wanted == told)
            .count();
    }
    assert!(found >= 40 * 3 * 95 / 100, "{found}");
    assert!(same >= 40 * 8 * 9 / 10 && wrong == 0, "{same} {wrong}");
}

#[test]
fn a_faster_machine_changes_the_factor_and_no_verdict() {
    let shapes = [[SHAPE; 6].as_slice(), &[Simulated { change: 2.0, ..SHAPE }]].concat();
    for machine in [0.5, 2.0, 8.0] {
        let (plain, scaled) = (judged(&shapes, RUN, 3), judged(&shapes, Run { machine, ..RUN }, 3));
        let of = |told: &[Judgement]| told.iter().map(|it| it.verdict).collect::<Vec<_>>();
        assert_eq!(of(&plain.1), of(&scaled.1), "{machine}");
        let (plain, scaled) = (plain.0.unwrap(), scaled.0.unwrap());
        assert!((scaled.ratio / plain.ratio / machine - 1.0).abs() < 0.02, "{plain:?} {scaled:?}");
    }
}

#[test]
fn the_order_of_the_shapes_does_not_matter() {
    let shapes: Vec<_> =
        (0..12).map(|n| Simulated { change: 1.0 + 0.1 * f64::from(n % 4), ..SHAPE }).collect();
    let mut rng = Rng::with_seed(9);
    let mut evidence: Vec<_> = shapes.iter().map(|it| it.evidence(RUN, &mut rng)).collect();
    let (factor, mut told) = judge(&evidence, 0.1);
    evidence.reverse();
    told.reverse();
    assert_eq!(judge(&evidence, 0.1), (factor, told));
}

#[test]
fn without_enough_calls_there_is_no_verdict() {
    let lost = Simulated { calls: 29, change: 100.0, ..SHAPE };
    let (_, told) = judged(&[SHAPE, SHAPE, SHAPE, lost], RUN, 1);
    assert_eq!((told[3].verdict, &told[3].change), (Verdict::CannotTell, &None));
    assert_eq!(told[3].why, "too few calls: 29 with both durations, and 30 are needed");
    let enough = Simulated { calls: 30, ..lost };
    assert_eq!(verdicts(&[SHAPE, SHAPE, SHAPE, enough], RUN, 1)[3], Verdict::Degraded);
}

#[test]
fn of_one_shape_or_two_there_is_no_factor_and_what_became_slower_is_called_that() {
    let (factor, told) = judged(&[Simulated { change: 1.5, ..SHAPE }], RUN, 1);
    assert_eq!((factor, told[0].verdict), (None, Verdict::Degraded), "{told:?}");
    let change = told[0].change.unwrap();
    assert_eq!((change.ratio, change.low), (change.beyond, change.beyond_low));
    assert!(!told[0].why.contains("machine"), "{}", told[0].why);
}

#[test]
fn what_ran_within_moments_is_told_where_it_has_doubled_alone() {
    // All within two seconds of a run that begins earlier.
    let brief = |change: f64| {
        let (mut timeline, mut ratios) = (Timeline::default(), Ratios::default());
        timeline.block(Duration::ZERO);
        timeline.block(Duration::from_secs(3600));
        for call in 0..400_u64 {
            let block =
                timeline.block(Duration::from_secs(1000) + Duration::from_millis(5) * call as u32);
            let target = ms(change * (1.0 + 0.001 * (call % 7) as f64));
            let took = Took { at_most: target, together: 1, on_server: Some(target) };
            ratios.add(ms(1.0), took, None, When::In(block), &timeline);
        }
        judge(&[ratios.evidence(&timeline, 0, 1.0).1], 0.1).1.remove(0)
    };
    for (change, verdict) in [
        (1.5, Verdict::CannotTell),
        (1.0, Verdict::CannotTell),
        (5.0, Verdict::Degraded),
        (0.2, Verdict::Improved),
    ] {
        let told = brief(change);
        assert_eq!(told.verdict, verdict, "{change}: {told:?}");
        assert_eq!(told.why.starts_with("too brief"), verdict == Verdict::CannotTell, "{told:?}");
    }
}

#[test]
fn a_few_hundredths_of_a_millisecond_are_nothing() {
    let short = Simulated { source_ms: 0.02, spread: 0.1, change: 1.7, ..SHAPE };
    let longer = Simulated { source_ms: 2.0, ..short };
    let told = verdicts(&[SHAPE, SHAPE, SHAPE, SHAPE, short, longer], RUN, 1);
    assert_eq!(told[4..], [Verdict::Same, Verdict::Degraded]);
}

// ---- Where the client has measured ----

const BY_CLIENT: Simulated = Simulated { way_ms: Some(0.05), ..SHAPE };

#[test]
fn what_the_way_to_the_server_outweighs_cannot_be_told() {
    let short = Simulated { source_ms: 0.1, way_ms: Some(0.3), spread: 0.1, calls: 1000, ..SHAPE };
    for seed in 0..20 {
        let (_, told) = judged(&[short], RUN, seed);
        assert_eq!(told[0].verdict, Verdict::CannotTell, "{told:?}");
        assert!(told[0].why.starts_with("replayer-bound"), "{told:?}");
    }
    let lost = Simulated { change: 30.0, ..short };
    assert_eq!(verdicts(&[lost], RUN, 1), [Verdict::Degraded]);
}

#[test]
fn long_calls_are_told_by_the_client_too() {
    let long = Simulated { source_ms: 20.0, ..BY_CLIENT };
    let slower = Simulated { change: 1.5, ..long };
    let told = verdicts(&[long, long, long, slower], Run { machine: 0.8, ..RUN }, 1);
    assert_eq!(told, [Verdict::Same, Verdict::Same, Verdict::Same, Verdict::Degraded]);
}

#[test]
fn answers_that_came_together_and_an_unknown_round_trip_prove_no_degradation() {
    let judge = |together, round_trip| {
        let (mut timeline, mut ratios) = (Timeline::default(), Ratios::default());
        for call in 0..100_u32 {
            let block = timeline.block(Duration::from_millis(100) * call);
            let took = Took { at_most: ms(10.0), together, on_server: None };
            ratios.add(ms(0.1), took, round_trip, When::In(block), &timeline);
        }
        judge(&[ratios.evidence(&timeline, 0, 0.1).1], 0.1).1.remove(0)
    };
    assert_eq!(judge(1, Some(ms(0.05))).verdict, Verdict::Degraded);
    let unknown = [(judge(2, Some(ms(0.05))), true), (judge(1, None), false)];
    for (unknown, together) in unknown {
        assert_eq!(unknown.verdict, Verdict::CannotTell);
        assert!(unknown.why.starts_with("replayer-bound"), "{}", unknown.why);
        assert_eq!(unknown.why.contains("--pipeline 1"), together, "{}", unknown.why);
    }
}

#[test]
fn a_few_calls_that_waited_for_a_lock_do_not_make_a_shape_slower() {
    let waits = Simulated { outliers: 0.25, spread: 0.1, source_ms: 10.0, ..SHAPE };
    let told = verdicts(&[SHAPE, SHAPE, SHAPE, waits], RUN, 2);
    assert!(!is_changed(told[3]), "{told:?}");
}
