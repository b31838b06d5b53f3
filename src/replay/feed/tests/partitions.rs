//! Partitions that come, wait for each other, and go.

use super::super::partitions::FileNames;
use super::*;

fn topic(replay: ReplaySettings, partitions: i32) -> Fed {
    let mut fed = fed(InputKind::Topic, replay);
    (0..partitions).for_each(|partition| fed.feed.assign(partition, None, Duration::ZERO));
    assert_eq!(fed.demand(), "Records { except: [] }");
    fed
}

#[test]
fn the_reading_continues_where_an_earlier_run_had_committed() {
    let mut fed = fed(InputKind::Topic, settings());
    fed.feed.assign(0, Some((0, "")), Duration::ZERO);
    fed.read(0, &[statement(1, 1, "a"), statement(1, 2, "b")]);
    fed.finish(1);
    let committed = fed.feed.due_watermarks(S);
    assert_eq!(committed[0].offset, 1);

    let mut next = super::fed(InputKind::Topic, settings());
    next.feed.assign(0, Some((committed[0].offset, &committed[0].metadata)), Duration::ZERO);
    next.offsets = 1;
    next.read(0, &[statement(1, 2, "b")]);
    assert_eq!(next.asked(), ["b"]);
}

#[test]
fn a_record_waits_for_every_partition_and_one_that_is_at_its_end_for_none() {
    let mut fed = topic(settings(), 2);
    fed.read(0, &[statement(1, 1, "a")]);
    assert_eq!(fed.asked(), [""; 0]);
    fed.feed.partition_ended(1);
    fed.release();
    assert_eq!(fed.asked(), ["notice MergeBasis", "a"]);
}

#[test]
fn a_partition_that_is_assigned_while_the_others_are_drained_is_waited_for() {
    let mut fed = topic(settings(), 2);
    fed.feed.partition_ended(1);
    fed.read(0, &[statement(1, 1, "a")]);
    assert_eq!(fed.asked(), ["notice MergeBasis", "a"]);
    fed.feed.assign(2, None, fed.now);
    fed.read(0, &[statement(1, 3, "c")]);
    assert_eq!(fed.asked(), [""; 0], "the new one may have something older");
    fed.read(2, &[statement(2, 2, "b")]);
    assert_eq!(fed.asked(), ["b"], "and is waited for again");
}

#[test]
fn a_silent_partition_is_waited_for_only_while_the_source_is_listened_to() {
    let mut fed = topic(settings(), 2);
    fed.read(0, &[statement(1, 1, "a")]);
    fed.tick_at(S);
    // So much waits for its session's next record that no more is read.
    fed.feed.partitions.listen(false, fed.now);
    fed.tick_at(60 * S);
    assert_eq!(fed.asked(), [""; 0], "nobody is silent to whom nobody listens");
    assert_eq!(fed.demand(), "Records { except: [] }");
    fed.tick_at(61 * S);
    assert_eq!(fed.asked(), ["notice MergeBasis", "a"], "after two seconds of listening");
}

#[test]
fn with_the_limit_reached_the_merge_is_not_emptied_and_room_makes_it_continue() {
    let settings = ReplaySettings { max_in_flight: 2, max_in_flight_bytes: 1, ..settings() };
    let mut fed = topic(settings, 2);
    let sql = "x".repeat(64);
    let lines: Vec<_> = (1..=9).map(|n| statement(1, n, &sql)).collect();
    fed.read(0, &lines);
    assert_eq!(fed.running.len(), 0, "the other partition is waited for");
    assert_eq!(fed.demand(), "Records { except: [] }", "and so has to be read");
    fed.feed.partition_ended(1);
    fed.release();
    assert_eq!(fed.running.len(), 1, "bytes for one");
    assert_eq!(fed.demand(), "ControlOnly { except: [] }");
    fed.out.clear();
    fed.now = S;
    fed.finish(1);
    assert_eq!(fed.running.len(), 1);
    for _ in 0..8 {
        fed.finish(1);
    }
    assert_eq!(fed.tally.records.count(Fate::Replayed), 9);
    assert_eq!(fed.demand(), "Records { except: [] }");
    assert_eq!(fed.feed.take_backpressure(fed.now), S);
    assert_eq!(fed.feed.take_backpressure(fed.now), Duration::ZERO, "since it was asked last");
}

#[test]
fn who_is_far_ahead_is_not_read_until_the_others_have_caught_up() {
    let mut fed = fed(InputKind::Topic, settings());
    fed.feed.partitions = Partitions::new(2 * S, 4_000);
    (0..2).for_each(|partition| fed.feed.assign(partition, None, Duration::ZERO));
    let lines: Vec<_> = (1..=20).map(|n| statement(1, n, "a")).collect();
    fed.read(0, &lines);
    assert_eq!(fed.demand(), "Records { except: [0] }");
    assert_eq!(fed.asked(), [""; 0]);
    fed.feed.partition_ended(1);
    fed.release();
    assert_eq!(fed.running.len(), 20);
    assert!(fed.asked().contains(&"DemandChanged".to_owned()));
    assert_eq!(fed.demand(), "Records { except: [] }");
}

#[test]
fn a_revoked_partition_drops_what_is_held_and_commits_what_is_settled_behind_its_sessions() {
    let mut fed = topic(settings(), 1);
    fed.read(0, &[statement(1, 1, "a"), statement(1, 2, "b"), line(1, 3, "statement: held")]);
    assert_eq!(fed.asked(), ["a, b"]);
    fed.finish(1);
    fed.decide(|feed, round| feed.revoke(&[0], round));
    fed.release();
    assert_eq!(fed.tally.records.count(Fate::Filtered(Filtered::HandedOver)), 1);
    // The session ends its transaction and reports that.
    fed.finish(1);
    let watermarks = fed.feed.give_up(&[0]);
    assert_eq!((watermarks[0].partition, watermarks[0].offset), (0, 2), "the next owner's to read");
    assert_eq!(fed.feed.all_watermarks(), [], "it is not ours any more");
    assert_eq!(fed.tally.records.pending(), 0);
}

#[test]
fn while_a_partition_is_given_up_the_silence_of_the_others_does_not_count() {
    let mut fed = topic(settings(), 3);
    fed.read(0, &[statement(1, 1, "a")]);
    fed.decide(|feed, round| feed.revoke(&[2], round));
    assert_eq!(fed.demand(), "Records { except: [] }", "behind what is committed first");
    fed.tick_at(60 * S);
    assert_eq!(fed.asked(), [""; 0], "the source is not listened to meanwhile");
    fed.feed.give_up(&[2]);
    fed.demand();
    fed.tick_at(62 * S);
    assert_eq!(fed.asked(), ["notice MergeBasis", "a"]);
}

#[test]
fn a_revoked_partition_with_a_statement_that_still_runs_leaves_that_to_its_next_owner() {
    let mut fed = topic(settings(), 1);
    fed.read(0, &[statement(1, 1, "a"), statement(1, 2, "b")]);
    fed.decide(|feed, round| feed.revoke(&[0], round));
    let watermarks = fed.feed.give_up(&[0]);
    assert_eq!(watermarks[0].offset, 0);
    fed.finish(2);
    assert_eq!(fed.feed.all_watermarks(), [], "what ends behind that is not committed by us");
}

#[test]
fn a_partition_that_is_revoked_no_longer_holds_up_the_others() {
    let mut fed = topic(settings(), 2);
    fed.read(0, &[statement(1, 1, "a")]);
    fed.decide(|feed, round| feed.revoke(&[1], round));
    fed.release();
    assert_eq!(fed.asked(), ["notice MergeBasis", "a"]);
}

#[test]
fn offsets_are_committed_when_they_change_and_all_of_them_now_and_then_or_after_a_failure() {
    let mut fed = topic(settings(), 1);
    fed.read(0, &[statement(1, 1, "a")]);
    fed.finish(1);
    let commits = |feed: &mut Feed, seconds| feed.due_watermarks(seconds * S).len();
    assert_eq!(commits(&mut fed.feed, 1), 1);
    assert_eq!(commits(&mut fed.feed, 2), 0, "nothing has changed");
    fed.feed.commit_failed();
    assert_eq!(commits(&mut fed.feed, 3), 1);
    assert_eq!(commits(&mut fed.feed, 10), 1, "a commit that was not waited for may have failed");
    assert_eq!(commits(&mut fed.feed, 19), 0);
    assert_eq!(commits(&mut fed.feed, 20), 1);
}

#[test]
fn of_the_names_of_log_files_those_are_kept_that_something_waits_of() {
    let mut names = FileNames::default();
    let waiting: Vec<_> = (0..10).map(|at| names.shared(&format!("waiting{at}"))).collect();
    for at in 0..100_000 {
        names.shared(&format!("postgresql-{at}.csv"));
        assert!(names.names.len() <= FileNames::ROOM);
    }
    for name in &waiting {
        assert!(Arc::ptr_eq(name, &names.shared(name)), "each once");
    }
    let many: Vec<_> = (0..5_000).map(|at| names.shared(&format!("many{at}"))).collect();
    assert!(names.names.len() > many.len(), "however many wait, there is room for them");
}
