use std::time::Duration;

use fastrand::Rng;
use hdrhistogram::serialization::{Serializer as _, V2Serializer};

use super::*;

/// As a report holds them.
pub(in crate::compare) fn encoded(micros: impl IntoIterator<Item = f64>) -> String {
    let mut histogram: Histogram<u32> = Histogram::new(2).unwrap();
    for duration in micros {
        let duration = Duration::from_secs_f64(duration / 1e6);
        histogram.record((duration.as_nanos() as u64 + 500) / 1000).unwrap();
    }
    let mut bytes = Vec::new();
    V2Serializer::new().serialize(&histogram, &mut bytes).unwrap();
    BASE64_STANDARD.encode(bytes)
}

/// Calls of so many microseconds, which differ among themselves: 0.2 is some 20 %.
pub(in crate::compare) fn calls(seed: u64, calls: usize, micros: f64, spread: f64) -> Vec<f64> {
    let mut rng = Rng::with_seed(seed);
    let mut normal = move || (0..12).map(|_| rng.f64()).sum::<f64>() - 6.0;
    (0..calls).map(|_| micros * (spread * normal()).exp()).collect()
}

fn durations(micros: impl IntoIterator<Item = f64>) -> Durations {
    Durations::decode(&encoded(micros)).unwrap()
}

fn places_by_pairs(of: &[f64], among: &[f64]) -> f64 {
    let below = |a: &f64| among.iter().filter(|b| *b < a).count() as f64;
    of.iter().map(below).sum::<f64>() / (of.len() * among.len()) as f64
}

#[test]
fn what_a_report_holds_is_read_and_anything_else_is_not() {
    let read = durations((1..=1000).map(f64::from));
    assert_eq!(read.calls(), 1000.0);
    let (shortest, longest) = read.ends().unwrap();
    assert!((shortest.exp() - 0.5).abs() < 1e-9 && (longest.exp() / 1000.0 - 1.0).abs() < 0.01);
    assert!((read.quantile(0.5).unwrap().exp() / 500.0 - 1.0).abs() < 0.01);
    let none = encoded([]);
    assert_eq!(Durations::decode(&none).unwrap(), Durations::default());
    for wrong in ["", "x", "AAAA", &none[4..], &encoded([1.0]).replace("HIST", "JUST")] {
        assert_eq!(Durations::decode(wrong), None, "{wrong}");
    }
}

#[test]
fn places_are_those_that_counting_all_pairs_gives() {
    for seed in 0..20 {
        let (a, b) = (calls(seed, 300, 5000.0, 0.4), calls(100 + seed, 200, 6000.0, 0.2));
        let counted = places_by_pairs(&b, &a);
        let read = durations(a).places_of(&durations(b), 0.0).mean;
        assert!((read - counted).abs() < 0.003, "{read} for {counted}");
    }
}

#[test]
fn places_of_durations_that_are_equal_by_the_clock_are_in_the_middle() {
    let same = durations([10.0; 100]);
    let places = same.places_of(&same, 0.0);
    assert!((places.mean - 0.5).abs() < 1e-9, "{places:?}");
    // As far as equal distributions over the clock's step: a twelfth over the number of calls.
    assert!((places.variance_of_mean * 99.0 * 12.0 - 1.0).abs() < 1e-9, "{places:?}");
}

#[test]
fn what_is_taken_off_leaves_every_call() {
    let read = durations([0.0, 3.0, 40.0, 5000.0]);
    let less = read.less(0.01);
    assert_eq!(less.calls(), 4.0);
    let (shortest, longest) = less.ends().unwrap();
    assert!((shortest.exp() - LEAST).abs() < 1e-9 && longest.exp() < 5020.0);
}

#[test]
fn a_picture_shows_all_calls_of_both_on_one_axis() {
    let (fast, slow) =
        (durations(calls(1, 1000, 100.0, 0.2)), durations(calls(2, 500, 1000.0, 0.2)));
    let strip = Strip::of(&fast, &slow).unwrap();
    let middle = |bins: &[u16]| {
        let sum: f64 = bins.iter().enumerate().map(|(at, n)| at as f64 * f64::from(*n)).sum();
        sum / bins.iter().map(|n| f64::from(*n)).sum::<f64>()
    };
    for side in [&strip.baseline, &strip.candidate] {
        let all: u16 = side.iter().sum();
        assert!(side.len() == 40 && all.abs_diff(1000) < 20, "{side:?}");
    }
    assert!(middle(&strip.candidate) - middle(&strip.baseline) > 20.0, "{strip:?}");
    assert!(strip.from_ms < 0.1 && strip.to_ms > 1.0, "{strip:?}");
    let one = Strip::of(&fast, &Durations::default()).unwrap();
    assert!(one.candidate.is_empty() && one.baseline.len() == 40);
    assert_eq!(Strip::of(&Durations::default(), &Durations::default()), None);
}

#[test]
fn a_histogram_that_would_take_much_memory_is_not_read() {
    let whole = BASE64_STANDARD.decode(encoded([10.0])).unwrap();
    let changed = |at: usize, bytes: &[u8]| {
        let mut changed = whole.clone();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        Durations::decode(&BASE64_STANDARD.encode(changed))
    };
    assert!(changed(0, &[]).is_some());
    // As long as 4 GiB, as exact as five digits.
    assert_eq!(changed(4, &[0xff; 4]), None);
    assert_eq!(changed(12, &5_u32.to_be_bytes()), None);
    // A count beyond all that runs reach.
    let mut huge = whole[..HEADER].to_vec();
    huge.extend([0xff; 9]);
    huge[4..8].copy_from_slice(&9_u32.to_be_bytes());
    assert_eq!(Durations::decode(&BASE64_STANDARD.encode(huge)), None);
}
