//! Locks that statements wait for, and statements that are withdrawn.

use super::*;

/// A statement that took so long and was logged at that millisecond.
fn timed(seq: u64, pid: u32, sql: &str, logged_ms: i64, duration_ms: f64) -> Arc<Work> {
    let statement = Statement {
        exporter: None,
        sql: sql.into(),
        protocol: Protocol::Simple,
        duration_ms: Some(duration_ms),
        logged_ms,
        outline: Outline::of(sql),
    };
    let at = Position { partition: 0, offset: 0, line: 0 };
    let end = End { source: SourceEnd::Succeeded, ..End::default() };
    Arc::new(Work::new(Seq(seq), at, id(pid), statement, end))
}

/// Session 1 has its COMMIT next, session 2 runs an update that waits for it on the target. On the
/// source, that began behind the COMMIT if it took less time than any wait does.
fn waiting(update_took_ms: f64) -> Replay {
    let mut replay = replay(settings::Order::Serial, &[]);
    let update = timed(3, 2, "update t set b = 2", 288, update_took_ms);
    let commit = timed(4, 1, "commit", 288, 0.01);
    replay.connect(1).head = Some(commit.clone());
    replay.of(1).used = Seq(2);
    replay.connect(2).running = Some(update.clone());
    replay.arrive(&[work(2, 1, "update t set b = 1"), update, commit]);
    replay.ask(1, 2);
    replay.finish(2);
    replay.ask(2, 3);
    replay.done();
    replay
}

impl Replay {
    /// Checks for stalls until the target is asked, and answers that session 2 waits for session 1.
    fn probed(&mut self) -> Vec<DispatchAction> {
        self.probed_and_told(|answer| answer.note(2, vec![1]))
    }

    /// The same, with this answer.
    fn probed_and_told(&mut self, tell: impl Fn(&mut LockSnapshot)) -> Vec<DispatchAction> {
        let probe = loop {
            self.now = self.dispatcher.next_check().expect("stalls are looked for");
            self.decide(|dispatcher, round| dispatcher.check_stall(Duration::ZERO, round));
            match self.done().pop() {
                Some(DispatchAction::Probe(probe)) => break probe,
                Some(other) => panic!("{other:?}"),
                None => {}
            }
        };
        let mut answer = LockSnapshot::of(probe);
        tell(&mut answer);
        self.decide(|dispatcher, round| dispatcher.probed(answer, round));
        self.done()
    }
}

const COMMIT_AHEAD: fn() -> DispatchAction =
    || DispatchAction::RunAhead(start(1, 4), StallBreak::EarlyEnd);

#[test]
fn an_end_that_a_statement_waits_for_runs_ahead_and_the_statement_learns_that_it_sees_less() {
    let mut replay = waiting(20.0);
    assert_eq!(replay.probed(), [DispatchAction::SeesLess(start(2, 3)), COMMIT_AHEAD()]);
}

fn asks_drawn() -> DispatchAction {
    DispatchAction::AskDrawn { end: start(1, 4), waiters: vec![start(2, 3)] }
}

#[test]
fn one_that_began_behind_the_end_is_withdrawn_before_it_and_runs_again_behind_it() {
    let mut replay = waiting(0.05);
    assert_eq!(replay.probed(), [asks_drawn()]);
    assert_eq!(replay.probed(), [], "the target is asked");
    replay
        .decide(|dispatcher, round| dispatcher.drawn(start(1, 4), vec![start(2, 3)], &[2], round));
    assert_eq!(replay.done(), [DispatchAction::Withdraw(start(2, 3))]);
    replay.decide(|dispatcher, round| dispatcher.withdrawn(start(2, 3), true, round));
    let held = DispatchAction::HeldToRunAgain { session: id(2), has_failed: false };
    assert_eq!(replay.done(), [held, COMMIT_AHEAD()]);
    replay.finish(4);
    assert_eq!(replay.done(), [DispatchAction::RunAgain(start(2, 3))]);
}

#[test]
fn one_that_has_drawn_from_a_sequence_is_left_and_sees_less() {
    let mut replay = waiting(0.05);
    replay.probed();
    replay.decide(|dispatcher, round| dispatcher.drawn(start(1, 4), vec![start(2, 3)], &[], round));
    assert_eq!(replay.done(), [DispatchAction::SeesLess(start(2, 3)), COMMIT_AHEAD()]);
}

#[test]
fn one_that_is_not_canceled_in_time_is_not_waited_for() {
    let mut replay = waiting(0.05);
    replay.probed();
    let drawn = replay.now;
    replay
        .decide(|dispatcher, round| dispatcher.drawn(start(1, 4), vec![start(2, 3)], &[2], round));
    replay.done();
    let ahead = loop {
        let asked = replay.probed();
        if !asked.is_empty() {
            break asked;
        }
        assert!(replay.now - drawn < 3 * S, "{:?}", replay.now);
    };
    assert_eq!(ahead, [COMMIT_AHEAD()]);
    assert!(replay.now - drawn >= 2 * S);
}

#[test]
fn a_session_that_loses_its_connection_is_not_withdrawn_any_more() {
    let mut replay = waiting(0.05);
    replay.probed();
    replay.sessions.0.retain(|it| it.session == id(1));
    replay.decide(|dispatcher, round| dispatcher.disconnected(id(2), round));
    replay
        .decide(|dispatcher, round| dispatcher.drawn(start(1, 4), vec![start(2, 3)], &[2], round));
    assert_eq!(replay.done(), [DispatchAction::SeesLess(start(2, 3)), COMMIT_AHEAD()]);
}

/// Session 2's update has failed on the target alone; session 1's COMMIT stands behind it.
fn doubtful() -> Replay {
    let mut replay = waiting(20.0);
    let failed = replay.of(2).running.take();
    replay.of(2).doubtful = failed;
    replay
}

#[test]
fn a_statement_that_failed_on_the_target_alone_runs_again_behind_an_end_that_may_free_it() {
    let mut replay = doubtful();
    replay.decide(|dispatcher, round| dispatcher.ask_early_end(start(2, 3), round));
    let held = DispatchAction::HeldToRunAgain { session: id(2), has_failed: true };
    assert_eq!(replay.done(), [held, COMMIT_AHEAD()]);
    replay.finish(4);
    assert_eq!(replay.done(), [DispatchAction::RunAgain(start(2, 3))]);
}

#[test]
fn its_failure_counts_where_no_end_may_free_it() {
    for change in [
        (|it| it.in_transaction = false) as fn(&mut SessionWork),
        |it| it.is_ready = false,
        |it| it.used = Seq(3),
        |it| it.head = Some(timed(4, 1, "commit", 400, 0.01)),
        |it| it.head = None,
    ] {
        let mut replay = doubtful();
        change(replay.of(1));
        replay.decide(|dispatcher, round| dispatcher.ask_early_end(start(2, 3), round));
        assert_eq!(replay.done(), [DispatchAction::AcceptFailure(start(2, 3))]);
    }
}

#[test]
fn the_end_of_a_prepared_transaction_is_waited_for_though_its_place_waits_for_a_catalog() {
    let update = "update t set b = 1 where a = 1";
    let mut replay = replay(CONFLICT, &[(2, update), (3, update)]);
    replay.connect(2).running = Some(work(2, 2, update));
    replay.connect(3).head = Some(work(3, 3, update));
    let commit = vec![(work(4, 4, "commit prepared 'x'"), login("e"))];
    replay.decide(|dispatcher, round| dispatcher.arrive(commit, round));
    replay.decide(Dispatcher::input_ended);
    replay.done();
    let waits_for_x = |replay: &mut Replay| {
        replay.probed_and_told(|answer| {
            answer.note(2, vec![PREPARED]);
            answer.note_prepared(vec!["x".to_owned()]);
        })
    };
    assert_eq!(waits_for_x(&mut replay), [DispatchAction::ReadOn]);
    replay.decide(|dispatcher, round| dispatcher.go_without_catalogs(["e"], round));
    replay.done();
    assert_eq!(waits_for_x(&mut replay), [], "its session gets a connection");
    replay.finish(4);
    replay.done();
    let ahead = DispatchAction::RunAhead(start(3, 3), StallBreak::EarlyAdvance);
    assert_eq!(waits_for_x(&mut replay), [ahead], "that was the end of another one");
}

#[test]
fn a_probe_that_the_target_does_not_answer_is_repeated_and_reported_ever_less_often() {
    let mut replay = waiting(20.0);
    let reported: Vec<u64> =
        (0..9).filter_map(|_| replay.dispatcher.probe_failed(replay.now)).collect();
    assert_eq!(reported, [1, 2, 4, 8]);
    assert!(replay.dispatcher.next_check().is_some());
}

#[test]
fn while_a_statement_wants_nobody_on_the_observers_database_the_target_is_not_asked() {
    let mut replay = waiting(20.0);
    replay.dispatcher.vacate(id(2), replay.now);
    assert!(replay.dispatcher.stays_away(replay.now, &replay.sessions));
    replay.decide(Dispatcher::break_stall);
    assert_eq!(replay.done(), []);
    replay.of(2).running = None;
    assert!(!replay.dispatcher.stays_away(replay.now, &replay.sessions));
}
