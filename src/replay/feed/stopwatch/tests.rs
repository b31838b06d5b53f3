use super::*;

#[test]
fn it_adds_up_the_times_that_it_ran() {
    let mut stopwatch = Stopwatch::default();
    let s = Duration::from_secs;
    for (runs, at) in [(true, 1), (true, 2), (false, 4), (false, 5), (true, 10)] {
        stopwatch.switch(runs, s(at));
    }
    assert_eq!(stopwatch.elapsed(s(11)), s(4));
}
