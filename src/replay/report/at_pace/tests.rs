use fastrand::Rng;

use super::*;

/// How many of these calls are at pace, by when each began on the target and on the source, in
/// milliseconds.
fn at_pace(calls: &[(f64, f64)]) -> Vec<bool> {
    at_pace_by(PaceWatch::of_stream(Duration::from_millis(100)), calls)
}

fn at_pace_by(mut watch: PaceWatch, calls: &[(f64, f64)]) -> Vec<bool> {
    let us = |ms: f64| (ms * 1e3) as i64 + 1_700_000_000_000_000;
    calls
        .iter()
        .map(|&(target, source)| {
            watch.is_at_pace(Duration::from_micros((target * 1e3) as u64), us(source))
        })
        .collect()
}

fn share(kept: &[bool]) -> f64 {
    kept.iter().filter(|it| **it).count() as f64 / kept.len() as f64
}

/// A call each 2.5 ms for 20 s on the source, and what makes a moment on the target of its own.
fn replayed(target: impl Fn(f64) -> f64) -> Vec<bool> {
    let sources = (0..8000).map(|call| f64::from(call) * 2.5);
    at_pace(&sources.map(|source| (target(source), source)).collect::<Vec<_>>())
}

#[test]
fn a_replay_at_the_sources_speed_is_at_pace_however_late_it_is() {
    assert_eq!(share(&replayed(|source| source + 40.0)), 1.0);
    assert_eq!(share(&replayed(|source| source + 3_600_000.0)), 1.0);
    // As --speed 0.98 and 1.02.
    assert_eq!(share(&replayed(|source| source * 1.02)), 1.0);
    assert_eq!(share(&replayed(|source| source / 1.02)), 1.0);
}

#[test]
fn what_falls_or_rises_is_off_pace_from_the_start() {
    // As fast as it goes, twice as fast, a tenth faster, and held up.
    for (speed, at_most) in [(100.0, 0.02), (10.0, 0.02), (2.0, 0.04), (1.1, 0.3), (0.9, 0.3)] {
        let kept = share(&replayed(|source| source / speed));
        assert!(kept <= at_most, "{speed}: {kept}");
    }
}

#[test]
fn calls_that_wait_for_the_next_record_or_a_timer_are_at_pace() {
    let mut rng = Rng::with_seed(1);
    let calls: Vec<_> = (0..8000)
        .map(|call| {
            let source = f64::from(call) * 2.5;
            (source + rng.f64() * if rng.u8(..4) == 0 { 110.0 } else { 5.0 }, source)
        })
        .collect();
    assert_eq!(share(&at_pace(&calls)), 1.0);
}

#[test]
fn a_stream_that_comes_in_batches_is_off_pace() {
    // Each second what the source did in it, within 50 ms.
    let kept =
        replayed(|source| ((source / 1000.0).floor() + 1.0) * 1000.0 + source % 1000.0 / 20.0);
    assert!(share(&kept) < 0.02, "{}", share(&kept));
}

#[test]
fn a_call_that_is_held_up_for_long_is_off_pace_and_the_others_are_not() {
    let mut calls: Vec<_> = (0..8000)
        .map(|call| {
            let source = f64::from(call) * 2.5;
            let held = [900.0, 1900.0][usize::from(call % 80 == 79)];
            (source + if call % 40 == 39 { held } else { 4.0 }, source)
        })
        .collect();
    calls.sort_by(|a, b| a.0.total_cmp(&b.0));
    let kept = at_pace(&calls);
    // At the end, those that are held up are alone.
    for (kept, (target, source)) in kept.into_iter().zip(calls).filter(|it| it.1.0 < 20_000.0) {
        assert_eq!(kept, target - source < 1000.0, "{source}");
    }
}

#[test]
fn after_catching_up_it_is_at_pace_again_when_that_is_forgotten() {
    // Two seconds late at the fifth second, gone by the seventh.
    let kept = replayed(|source| {
        let behind = if source < 5000.0 { 0.0 } else { (7000.0 - source).clamp(0.0, 2000.0) };
        source + behind
    });
    let of = |from: usize, to: usize| share(&kept[from * 400..to * 400]);
    assert!(of(0, 5) == 1.0 && of(6, 7) == 0.0, "{} {}", of(0, 5), of(6, 7));
    assert!(of(18, 20) == 1.0, "{}", of(18, 20));
}

#[test]
fn calls_that_are_seldom_and_calls_that_took_long_are_judged_too() {
    let every = |ms: f64| move |call: i32| (f64::from(call) * ms, f64::from(call) * ms);
    let seldom: Vec<_> = (0..100).map(every(7000.0)).collect();
    assert_eq!(share(&at_pace(&seldom)), 1.0);
    // The tenth of them is told when it has ended, half a minute later.
    let mut calls: Vec<_> = (0..20_000).map(every(2.5)).collect();
    calls.push((25.0, 25.0));
    assert!(at_pace(&calls).last().is_some_and(|it| *it));
}

#[test]
fn on_a_schedule_sessions_may_be_late_where_statements_take_longer_than_on_the_source() {
    let mut rng = Rng::with_seed(4);
    // Most are some hundred milliseconds late, of four sessions.
    let mut late = [0.0_f64; 4];
    let mut calls: Vec<_> = (0..8000)
        .map(|call| {
            let session = rng.usize(..4);
            late[session] = (late[session] + 120.0 * (rng.f64() - 0.5)).clamp(0.0, 450.0);
            let source = f64::from(call) * 2.5;
            (source + late[session], source)
        })
        .collect();
    calls.sort_by(|a, b| a.0.total_cmp(&b.0));
    assert!(share(&at_pace_by(PaceWatch::of_schedule(), &calls)) > 0.95);
    let rising: Vec<_> =
        (0..8000).map(|n| (f64::from(n) * 2.5 * 1.2, f64::from(n) * 2.5)).collect();
    assert!(share(&at_pace_by(PaceWatch::of_schedule(), &rising)) < 0.2);
    let falling: Vec<_> =
        (0..8000).map(|n| (f64::from(n) * 2.5 / 2.0, f64::from(n) * 2.5)).collect();
    assert!(share(&at_pace_by(PaceWatch::of_schedule(), &falling)) < 0.11);
}
