//! What is done when nothing ends.

use super::*;

/// One whose limit is reached.
fn full(limit: usize) -> Fed {
    let mut fed = fed(InputKind::Files, ReplaySettings { max_in_flight: limit, ..settings() });
    let lines: Vec<_> = (1..=40).map(|n| statement(1, n, "a")).collect();
    fed.read(0, &lines);
    assert_eq!(fed.running.len(), limit);
    fed.asked();
    fed
}

#[test]
fn where_nothing_ends_with_the_limit_reached_a_stall_is_looked_for_ever_less_often() {
    let mut fed = full(3);
    let mut at = Vec::new();
    for ms in (0..3000).step_by(10) {
        fed.tick_at(ms * MS);
        at.extend(fed.asked().iter().map(|asked| (ms, asked.clone())));
    }
    let expected = [50, 100, 200, 400, 800, 1600, 2600];
    assert_eq!(at, expected.map(|ms| (ms, "BreakStall".to_owned())));
}

#[test]
fn where_nothing_ends_with_some_room_left_that_is_used_first() {
    let mut fed = full(16);
    fed.now = S;
    // Room is made for two at once.
    fed.finish(1);
    assert_eq!((fed.running.len(), fed.asked()), (15, vec![]));
    fed.tick_at(2 * S);
    assert_eq!(fed.running.len(), 16);
    assert_eq!(fed.asked(), ["a", "DemandChanged"]);
}

#[test]
fn at_the_end_of_the_input_a_stall_is_looked_for_though_there_is_room() {
    let mut fed = fed(InputKind::Files, settings());
    fed.read(0, &[statement(1, 1, "a")]);
    fed.tick_at(S);
    assert_eq!(fed.asked(), ["a"], "what it waits for may be read next");
    fed.input_ended();
    fed.tick_at(2 * S);
    assert_eq!(fed.asked(), ["InputEnded", "BreakStall"]);
    fed.finish(1);
    fed.tick_at(3 * S);
    assert_eq!(fed.asked(), ["Done"]);
}

#[test]
fn the_sequencer_has_more_read_past_the_limit_and_that_is_counted_once() {
    let mut fed = full(3);
    fed.decide(Feed::read_on);
    assert_eq!(fed.running.len(), 40);
    assert_eq!(fed.feed.take_counts().limit_overrides, 1);
    assert_eq!(fed.asked().last().map(String::as_str), Some("DemandChanged"));
    fed.decide(Feed::read_on);
    assert_eq!(fed.asked(), [""; 0], "there is room still");
}

fn stall() -> Stall {
    let session = SessionId { start: 1, pid: 1 };
    let at = Position { partition: 0, offset: 0, line: 1 };
    let statement = Some(Place { seq: crate::replay::work::Seq(1), at });
    let link = Link { session, statement, wait_state: WaitState::Request(1), holder: None };
    Stall { links: vec![link], remedy: Remedy::CloseSession(session), may_be_read: false }
}

#[test]
fn after_the_stall_timeout_everybody_is_asked_and_what_is_found_is_reported_until_something_ends() {
    let mut fed = fed(InputKind::Files, settings());
    fed.read(0, &[statement(1, 1, "a"), statement(1, 2, "b")]);
    fed.input_ended();
    fed.asked();
    let mut reported = Vec::new();
    for seconds in 0..=60 {
        fed.tick_at(seconds * S);
        for asked in std::mem::take(&mut fed.out) {
            match asked {
                FeedAction::ProbeStall { probe, no_more } => {
                    assert!(no_more);
                    fed.decide(|feed, round| feed.stall_probed(probe, vec![stall()], round));
                    reported.extend(fed.asked().into_iter().map(|asked| (seconds, asked)));
                }
                FeedAction::BreakStall => {}
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(reported, [(60, "stall after 60s".to_owned())]);
    fed.finish(1);
    assert_eq!(fed.asked(), ["StallOver"]);
}

#[test]
fn while_nothing_is_in_flight_nothing_stalls() {
    let mut fed = fed(InputKind::Topic, settings());
    fed.feed.assign(0, None, Duration::ZERO);
    (0..600).for_each(|seconds| fed.tick_at(seconds * S));
    assert_eq!(fed.asked(), [""; 0]);
    assert_eq!(fed.feed.empty_for(fed.now), 599 * S, "also before anything has come");
}
