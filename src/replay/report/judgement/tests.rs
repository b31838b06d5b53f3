//! What is claimed of the verdicts, on simulated calls.

use fastrand::Rng;

use super::*;

const RUNS: u64 = 400;

/// Calls of one shape: what they take on both sides and what the way there and back adds.
#[derive(Clone, Copy)]
struct Simulated {
    calls: u64,
    /// The shape's duration, in microseconds.
    source_us: f64,
    /// What the target makes of it.
    factor: f64,
    /// How much each side's calls differ among themselves: 0.2 is some 20 %.
    spread: f64,
    /// The median way to the server and back, in microseconds; its own spread is 30 %.
    way_us: f64,
}

/// About normally distributed around 0, by 1.
fn normal(rng: &mut Rng) -> f64 {
    (0..12).map(|_| rng.f64()).sum::<f64>() - 6.0
}

fn us(microseconds: f64) -> Duration {
    Duration::from_secs_f64(microseconds / 1e6)
}

impl Simulated {
    fn judge(self, seed: u64) -> Verdict {
        self.judgement(seed).verdict
    }

    fn judgement(self, seed: u64) -> Judgement {
        let mut rng = Rng::with_seed(seed);
        let way = |rng: &mut Rng| self.way_us * (0.3 * normal(rng)).exp();
        let mut measured: Vec<f64> = (0..100).map(|_| way(&mut rng)).collect();
        measured.sort_by(f64::total_cmp);
        let mut ratios = Ratios::default();
        for _ in 0..self.calls {
            // What a call does varies, and so does what each server makes of it.
            let work = self.source_us * normal(&mut rng).exp();
            let source = work * (self.spread * normal(&mut rng)).exp();
            let target = work * self.factor * (self.spread * normal(&mut rng)).exp();
            let at_most = us(target + way(&mut rng));
            let logged = Duration::from_micros(us(source).as_micros() as u64);
            ratios.add(
                logged,
                Took { at_most, together: 1, on_server: None },
                Some(us(measured[95])),
            );
        }
        ratios.judge()
    }

    /// How many of many runs have which verdict.
    fn count(self, verdict: Verdict) -> u64 {
        (0..RUNS).filter(|&seed| self.judge(seed) == verdict).count() as u64
    }
}

const MILLISECOND: Simulated =
    Simulated { calls: 100, source_us: 1000.0, factor: 1.0, spread: 0.2, way_us: 50.0 };

#[test]
fn without_a_change_fewer_than_one_in_twenty_is_called_degraded_or_improved() {
    for (source_us, way_us) in [(50.0, 100.0), (1000.0, 50.0), (1000.0, 500.0), (50_000.0, 100.0)] {
        for calls in [30, 100, 1000] {
            let unchanged = Simulated { calls, source_us, way_us, ..MILLISECOND };
            for wrong in [Verdict::Degraded, Verdict::Improved] {
                let count = unchanged.count(wrong);
                assert!(count * 20 < RUNS, "{wrong:?} {count} times: {source_us} {way_us} {calls}");
            }
        }
    }
}

#[test]
fn a_fifth_more_is_found_in_a_hundred_calls_of_a_millisecond() {
    let slower = Simulated { factor: 1.2, ..MILLISECOND };
    let found = slower.count(Verdict::Degraded);
    assert!(found * 2 > RUNS, "found {found} times of {RUNS}");
    let steadier = Simulated { spread: 0.1, ..slower };
    let found = steadier.count(Verdict::Degraded);
    assert!(found * 100 > RUNS * 95, "found {found} times of {RUNS}");
    let faster = Simulated { factor: 0.7, spread: 0.1, ..MILLISECOND };
    assert!(faster.count(Verdict::Improved) * 100 > RUNS * 95);
}

#[test]
fn a_lost_index_is_found_in_the_least_number_of_calls() {
    let lost = Simulated { calls: LEAST_CALLS, source_us: 60.0, factor: 100.0, ..MILLISECOND };
    assert_eq!(lost.count(Verdict::Degraded), RUNS);
    assert_eq!(Simulated { calls: LEAST_CALLS - 1, ..lost }.count(Verdict::CannotTell), RUNS);
}

#[test]
fn what_the_way_to_the_server_outweighs_cannot_be_told() {
    let short = Simulated { source_us: 50.0, way_us: 100.0, calls: 1000, ..MILLISECOND };
    for seed in 0..RUNS {
        let Judgement { verdict, why, .. } = short.judgement(seed);
        assert_eq!(verdict, Verdict::CannotTell, "{why}");
        assert!(why.starts_with("replayer-bound"), "{why}");
    }
}

#[test]
fn long_calls_without_a_change_are_the_same_and_few_that_differ_are_too_spread() {
    let long = Simulated { source_us: 20_000.0, calls: 1000, spread: 0.1, ..MILLISECOND };
    assert!(long.count(Verdict::Same) * 100 > RUNS * 95);
    let spread = Simulated { source_us: 20_000.0, calls: 40, spread: 0.5, ..MILLISECOND };
    let judged = spread.judgement(1);
    assert_eq!(judged.verdict, Verdict::CannotTell);
    assert!(judged.why.starts_with("too spread"), "{}", judged.why);
}

#[test]
fn answers_that_came_together_and_an_unknown_round_trip_prove_no_degradation() {
    let slow = Duration::from_millis(10);
    let judge = |together, round_trip| {
        let mut ratios = Ratios::default();
        for _ in 0..100 {
            let took = Took { at_most: slow, together, on_server: None };
            ratios.add(Duration::from_micros(100), took, round_trip);
        }
        ratios.judge()
    };
    assert_eq!(judge(1, Some(Duration::from_micros(50))).verdict, Verdict::Degraded);
    let unknown = [(judge(2, Some(Duration::from_micros(50))), true), (judge(1, None), false)];
    for (unknown, together) in unknown {
        assert_eq!(unknown.verdict, Verdict::CannotTell);
        assert!(unknown.why.starts_with("replayer-bound"), "{}", unknown.why);
        assert_eq!(unknown.why.contains("--pipeline 1"), together, "{}", unknown.why);
    }
}

#[test]
fn a_few_calls_that_waited_for_a_lock_do_not_make_a_shape_slower() {
    let mut ratios = Ratios::default();
    for call in 0..100 {
        let ms = if call % 4 == 0 { 1000 } else { 10 };
        let took = Took { at_most: Duration::from_millis(ms), together: 1, on_server: None };
        ratios.add(Duration::from_millis(10), took, Some(Duration::from_micros(50)));
    }
    assert_eq!(ratios.judge().verdict, Verdict::Same);
}

#[test]
fn the_median_lies_between_its_ranks_as_often_as_is_claimed() {
    // From tables of the sign test.
    assert_eq!(ranks(30), (10, 21));
    assert_eq!(ranks(100), (40, 61));
    for (few, many) in [(ranks(1000), ranks(1001)), (ranks(999), ranks(1002))] {
        assert!(few.0.abs_diff(many.0) <= 2 && few.1.abs_diff(many.1) <= 4, "{few:?} {many:?}");
    }
    let mut rng = Rng::with_seed(7);
    let mut missed = 0;
    for _ in 0..2000 {
        let (low, high) = ranks(50);
        let below = (0..50).filter(|_| rng.bool()).count() as u64;
        missed += u64::from(below < low || below >= high);
    }
    assert!(missed < 2000 / 20, "{missed}");
}
