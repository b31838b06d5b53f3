use super::*;

#[test]
fn quantiles_are_right_within_a_hundredth_and_sums_are_exact() {
    let mut all = Distribution::default();
    for (low, high) in [(1, 500), (500, 1001)] {
        let mut some = Distribution::default();
        (low..high).for_each(|ms| some.add(Duration::from_millis(ms)));
        all.merge(&some);
    }
    let summary = all.summary();
    assert_eq!((summary.calls, summary.total_ms, summary.max_ms), (1000, 500_500.0, 1000.0));
    for (quantile, exact) in
        [(summary.p50_ms, 500.0), (summary.p95_ms, 950.0), (summary.p99_ms, 990.0)]
    {
        assert!((quantile / exact - 1.0_f64).abs() < 0.01, "{quantile} for {exact}");
    }
}

#[test]
fn nothing_has_a_summary_too() {
    assert_eq!(Distribution::default().summary(), Durations::default());
}

#[test]
fn what_is_encoded_holds_every_call() {
    let mut all = Distribution::default();
    (1..=1000).for_each(|us| all.add(Duration::from_nanos(us * 1000 + 400)));
    let bytes = BASE64_STANDARD.decode(all.encoded()).unwrap();
    let read: Histogram<u64> =
        hdrhistogram::serialization::Deserializer::new().deserialize(&mut &bytes[..]).unwrap();
    assert_eq!((read.len(), read.min(), read.value_at_quantile(0.1)), (1000, 1, 100));
}
