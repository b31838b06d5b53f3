use super::*;

const WATCHDOG: Duration = Duration::from_secs(60);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn readiness_is_told_once_when_both_sides_are_there() {
    let (mut told, start) = (NotifiedState::new(None), Instant::now());
    let mut ready = |at, ready| told.news(start + seconds(at), true, ready).ready;
    assert!(!ready(0, false));
    assert!(ready(1, true));
    assert!(!ready(2, true));
    assert!(!ready(3, false) && !ready(4, true), "a lost target is no new start");
}

#[test]
fn the_watchdog_is_fed_at_half_its_time_and_only_while_the_actors_live() {
    let (mut told, start) = (NotifiedState::new(Some(WATCHDOG)), Instant::now());
    let mut fed = |at, alive| told.news(start + seconds(at), alive, true).feed;
    assert!(fed(0, true));
    assert!(!fed(29, true));
    assert!(fed(30, true));
    assert!(!fed(60, false) && !fed(1000, false), "what hangs is not fed");
    assert!(fed(1001, true), "what answers again is fed at once");
}

#[test]
fn an_actor_that_is_silent_starves_the_watchdog() {
    let health = Health::default();
    health.beat(crate::health::MonitoredActor::Sequencer);
    let mut told = NotifiedState::new(Some(WATCHDOG));
    let mut fed = |now| told.news(now, health.alive(now).is_ok(), true).feed;
    let start = Instant::now();
    assert!(fed(start));
    // Half of the watchdog's time and the actors' patience are over at the same moment.
    assert!(!fed(start + Health::PATIENCE + seconds(1)));
}

#[test]
fn nothing_is_fed_where_no_watchdog_is_set() {
    let (mut told, start) = (NotifiedState::new(None), Instant::now());
    assert!((0..100).all(|at| !told.news(start + seconds(at), true, true).feed));
}

#[test]
fn the_status_is_written_now_and_then_and_when_the_service_is_ready() {
    let (mut told, start) = (NotifiedState::new(None), Instant::now());
    let mut status = |at, ready| told.news(start + seconds(at), true, ready).status;
    assert!(status(0, false));
    assert!(!status(5, false));
    assert!(status(6, true), "it is ready");
    assert!(!status(15, true));
    assert!(status(16, true));
}
