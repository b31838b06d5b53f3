use super::*;
use crate::replay::order::Start;
use crate::replay::order::conflict::Awaited;

const CHECK: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(60);
const RESTING: Activity = Activity { running: false, answers: 7 };
const RUNNING: Activity = Activity { running: true, answers: 7 };

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn id(pid: u32) -> SessionId {
    SessionId { start: 1, pid }
}

fn start(pid: u32, seq: u64) -> Start {
    Start { session: id(pid), seq: Seq(seq) }
}

/// A replay in which session 1 has backend 1, and so on.
#[derive(Debug, Default)]
struct Replay {
    takes_turns: bool,
    turn: Option<Seq>,
    is_waited_for: bool,
    first_waiting: Option<Start>,
    held: Option<Seq>,
    awaited: HashMap<Seq, Vec<Awaited>>,
    /// The prepared transactions that something in the order finishes.
    ends_ahead: Vec<&'static str>,
    sessions: Vec<OnTarget>,
    no_more: bool,
}

impl Replay {
    fn serial(turn: u64) -> Self {
        let turn = Some(Seq(turn));
        Self { takes_turns: true, turn, is_waited_for: true, ..Self::default() }
    }

    fn conflict() -> Self {
        Self { takes_turns: true, is_waited_for: true, ..Self::default() }
    }

    /// A session that runs this statement.
    fn runs(mut self, pid: u32, seq: u64) -> Self {
        self.sessions.push(OnTarget {
            session: id(pid),
            backend: pid.cast_signed(),
            running: Some(Seq(seq)),
            activity: RUNNING,
            is_limited: false,
            next: NextOf::Nothing,
            finishes: None,
        });
        self
    }

    /// A session that runs nothing.
    fn rests(mut self, pid: u32, next: NextOf) -> Self {
        self = self.runs(pid, 0);
        self.of(pid).running = None;
        self.of(pid).activity = RESTING;
        self.of(pid).next = next;
        self
    }

    fn of(&mut self, pid: u32) -> &mut OnTarget {
        self.sessions.iter_mut().find(|it| it.session == id(pid)).expect("it is connected")
    }
}

impl OrderView for Replay {
    fn takes_turns(&self) -> bool {
        self.takes_turns
    }

    fn is_serial(&self) -> bool {
        self.turn.is_some()
    }

    fn turn(&self) -> Option<Start> {
        self.turn.map(|seq| Start { session: id(1), seq })
    }

    fn is_waited_for(&self) -> bool {
        self.is_waited_for
    }

    fn may_start(&self, _: Seq) -> bool {
        false
    }

    fn first_waiting(&self) -> Option<Start> {
        self.first_waiting
    }

    fn is_held(&self, seq: Seq) -> bool {
        self.held == Some(seq)
    }

    fn awaited_by(&self, seq: Seq, _: &dyn Fn(Start) -> bool) -> Vec<Awaited> {
        self.awaited.get(&seq).cloned().unwrap_or_default()
    }

    fn waits_for(&self, seq: Seq, other: Seq) -> bool {
        self.turn.is_some() && seq > other
    }

    fn is_prepared_end_ahead(&self, gid: &str) -> bool {
        self.ends_ahead.contains(&gid)
    }

    fn prepared_awaited_by(&self, _: Seq) -> Vec<&str> {
        Vec::new()
    }

    fn catalog_awaited_by(&self, _: Seq) -> Option<String> {
        None
    }
}

impl StallView for Replay {
    fn order(&self) -> &impl OrderView {
        self
    }

    fn sessions(&self, prepared: &[String]) -> Vec<OnTarget> {
        let finishes = |it: &OnTarget| it.finishes.filter(|_| !prepared.is_empty());
        self.sessions.iter().map(|it| OnTarget { finishes: finishes(it), ..*it }).collect()
    }

    fn no_more(&self) -> bool {
        self.no_more
    }
}

fn stalls() -> LockStalls {
    LockStalls::new(CHECK, PATIENCE)
}

/// Checks for stalls whenever that is to be done, in this time. Returns when a probe was due, and about
/// whom; none finds anything.
fn probes(
    stalls: &mut LockStalls,
    times: std::ops::Range<u64>,
    replay: &Replay,
) -> Vec<(u64, Vec<i32>)> {
    let mut probes = Vec::new();
    for at in times {
        if stalls.next_check().is_some_and(|check| check <= ms(at))
            && let Some(probe) = stalls.due(ms(at), replay)
        {
            probes.push((at, probe.waiters.clone()));
            let mut answer = LockSnapshot::of(probe);
            assert_eq!(stalls.probed(&mut answer, ms(at), replay), []);
        }
    }
    probes
}

/// The answer to a probe that is due now: who waits for whom.
fn answer(stalls: &mut LockStalls, replay: &Replay, waits: &[(i32, i32)]) -> LockSnapshot {
    let mut now = ms(100);
    stalls.note_turn(replay.turn.unwrap_or_default(), false, now);
    stalls.watch(now);
    let probe = loop {
        now += CHECK;
        if let Some(probe) = stalls.due(now, replay) {
            break probe;
        }
    };
    let mut answer = LockSnapshot::of(probe);
    waits.iter().for_each(|(waiter, blocker)| answer.note(*waiter, vec![*blocker]));
    answer
}

/// What is done where backends are found that wait for others.
fn done(replay: &Replay, waits: &[(i32, i32)]) -> Vec<StallAction> {
    let mut stalls = stalls();
    let mut answer = answer(&mut stalls, replay, waits);
    stalls.probed(&mut answer, ms(120), replay)
}

// ---- When the target is asked ----

#[test]
fn in_serial_order_a_probe_is_due_when_the_turn_has_lasted_for_stall_check() {
    let mut stalls = stalls();
    stalls.note_turn(Seq(3), true, ms(100));
    stalls.watch(ms(100));
    let replay = Replay::serial(3).runs(1, 3).rests(2, NextOf::Statement(Seq(4)));
    assert_eq!(stalls.due(ms(104), &replay), None);
    assert_eq!(stalls.next_check(), Some(ms(105)));
    let probe = stalls.due(ms(105), &replay).expect("it has run for 5 ms");
    assert_eq!((probe.reason, probe.waiters), (ProbeReason::SlowStatement, vec![1]));
}

#[test]
fn a_turn_counts_from_the_start_of_its_statement() {
    let mut stalls = stalls();
    stalls.note_turn(Seq(3), false, ms(0));
    stalls.note_turn(Seq(3), true, ms(90));
    stalls.watch(ms(90));
    let replay = Replay::serial(3).runs(1, 3);
    assert_eq!(probes(&mut stalls, 0..100, &replay), [(95, vec![1])]);
}

#[test]
fn in_conflict_order_a_probe_is_due_when_a_statement_is_known_to_run_for_stall_check() {
    let mut stalls = stalls();
    stalls.watch(ms(0));
    let replay = Replay::conflict().runs(1, 3).rests(2, NextOf::Statement(Seq(4)));
    assert_eq!(probes(&mut stalls, 0..12, &replay), [(10, vec![1])]);
}

#[test]
fn nothing_is_asked_while_each_statement_takes_less_than_stall_check() {
    let mut stalls = stalls();
    stalls.watch(ms(0));
    for at in 0..100 {
        let replay = Replay::conflict().runs(1, at / 4).runs(2, 1000 + at / 3);
        assert_eq!(probes(&mut stalls, at..at + 1, &replay), []);
    }
}

#[test]
fn nothing_is_asked_while_no_statement_waits_for_another() {
    let mut stalls = stalls();
    stalls.watch(ms(0));
    let alone = Replay { is_waited_for: false, ..Replay::conflict().runs(1, 3) };
    assert_eq!(probes(&mut stalls, 0..1000, &alone), []);
    assert_eq!(stalls.next_check(), None, "until somebody does");
    let session = Replay { takes_turns: false, ..alone };
    assert_eq!(probes(&mut stalls, 0..1000, &session), []);
}

#[test]
fn what_need_not_have_waited_at_this_distance_is_not_asked_about() {
    let mut stalls = stalls();
    stalls.measured(ms(20));
    stalls.note_turn(Seq(3), true, ms(0));
    stalls.watch(ms(0));
    assert_eq!(probes(&mut stalls, 0..70, &Replay::serial(3).runs(1, 3)), [(60, vec![1])]);
}

#[test]
fn what_ends_by_itself_is_not_asked_about() {
    let mut stalls = stalls();
    stalls.note_turn(Seq(3), true, ms(0));
    stalls.watch(ms(0));
    let mut replay = Replay::serial(3).runs(1, 3);
    replay.of(1).is_limited = true;
    assert_eq!(probes(&mut stalls, 0..100, &replay), []);
    replay.of(1).is_limited = false;
    assert!(!probes(&mut stalls, 100..110, &replay).is_empty(), "it is still looked at");
}

#[test]
fn the_first_in_the_log_are_asked_about_first_and_more_each_time_nothing_is_found() {
    let mut stalls = stalls();
    stalls.watch(ms(0));
    let replay = (1..=100).fold(Replay::conflict(), |it, pid| it.runs(pid, 1000 - u64::from(pid)));
    let probes = probes(&mut stalls, 0..100, &replay);
    assert_eq!(probes[0].1, (69..=100).rev().collect::<Vec<i32>>());
    let widths: Vec<usize> = probes.iter().map(|(_, waiters)| waiters.len()).collect();
    assert_eq!(widths[..3], [32, 64, 100]);
}

#[test]
fn what_finds_nothing_is_asked_less_and_less_often() {
    let mut stalls = stalls();
    stalls.note_turn(Seq(3), true, ms(0));
    stalls.watch(ms(0));
    let replay = Replay::serial(3).runs(1, 3);
    let at: Vec<u64> = probes(&mut stalls, 0..1000, &replay).iter().map(|(at, _)| *at).collect();
    assert_eq!(at, [5, 15, 35, 75, 155, 315, 565, 815]);
    stalls.note_turn(Seq(4), true, ms(1000));
    stalls.watch(ms(1000));
    let replay = Replay::serial(4).runs(1, 4);
    assert_eq!(probes(&mut stalls, 1000..1010, &replay), [(1005, vec![1])], "the next is new");
}

#[test]
fn a_stall_that_was_broken_is_followed_by_another_look_soon() {
    let replay = Replay::conflict().runs(1, 3).rests(2, NextOf::End(Seq(4)));
    let mut stalls = stalls();
    stalls.watch(ms(0));
    probes(&mut stalls, 0..90, &replay);
    let mut answer = answer(&mut stalls, &replay, &[(1, 2)]);
    assert_eq!(stalls.probed(&mut answer, ms(200), &replay), [StallAction::EndEarly(start(2, 4))]);
    assert_eq!(stalls.next_check(), Some(ms(205)));
}

#[test]
fn one_question_is_asked_at_a_time() {
    let mut stalls = stalls();
    stalls.note_turn(Seq(3), true, ms(0));
    let replay = Replay::serial(3).runs(1, 3);
    let probe = stalls.due(ms(5), &replay).expect("the first");
    stalls.watch(ms(10));
    assert_eq!(stalls.next_check(), None, "the answer decides when to ask again");
    assert_eq!(stalls.due(ms(10), &replay), None);
    assert_eq!(stalls.no_progress(ms(10), &replay), None);
    stalls.probed(&mut LockSnapshot::of(probe), ms(12), &replay);
    assert!(stalls.no_progress(ms(13), &replay).is_some());
}

#[test]
fn at_a_standstill_those_are_asked_about_who_run_for_long_whether_or_not_others_wait() {
    let mut stalls = stalls();
    let replay = Replay { is_waited_for: false, ..Replay::conflict().runs(1, 3) };
    assert_eq!(stalls.no_progress(ms(50), &replay), None, "it may have begun just now");
    let probe = stalls.no_progress(ms(100), &replay).expect("it has run for 50 ms");
    assert_eq!((probe.reason, probe.waiters), (ProbeReason::NoProgress, vec![1]));
}

#[test]
fn a_target_that_can_not_be_asked_is_reported_ever_less_often() {
    let mut stalls = stalls();
    let replay = Replay::serial(3).runs(1, 3);
    let mut reported = Vec::new();
    for at in 1..=20 {
        assert!(stalls.due(ms(1000 * at), &replay).is_some());
        reported.extend(stalls.probe_failed(ms(1000 * at)));
        assert!(stalls.next_check().is_some(), "it is asked again");
    }
    assert_eq!(reported, [1, 2, 4, 8, 16]);
    let probe = stalls.due(ms(90_000), &replay).expect("it is due");
    stalls.probed(&mut LockSnapshot::of(probe), ms(90_000), &replay);
    assert!(stalls.due(ms(99_000), &replay).is_some());
    assert_eq!(stalls.probe_failed(ms(99_000)), Some(1), "it had answered");
}

#[test]
fn the_observer_stays_away_from_a_vacated_database_while_the_statement_runs_and_not_for_long() {
    let mut stalls = stalls();
    stalls.note_turn(Seq(3), true, ms(0));
    stalls.vacate(id(1), ms(0));
    let replay = Replay::serial(3).runs(1, 3);
    assert_eq!(stalls.due(ms(5), &replay), None);
    assert_eq!(stalls.next_check(), Some(ms(255)));
    assert!(stalls.stays_away(ms(5999), &replay));
    assert!(!stalls.stays_away(ms(6000), &replay));
    assert!(stalls.due(ms(6000), &replay).is_some());

    let mut stalls = self::stalls();
    stalls.vacate(id(1), ms(0));
    let ended = Replay::serial(4).rests(1, NextOf::Nothing);
    assert!(!stalls.stays_away(ms(1), &ended));
    assert!(!stalls.stays_away(ms(2), &replay), "the next statement is another one");
}

// ---- What is done about the answer ----

#[test]
fn a_session_that_holds_the_lock_goes_on_ahead_of_its_turn() {
    for order in [|| Replay::serial(3), Replay::conflict] {
        let replay = |next| order().runs(1, 3).rests(2, next);
        let end = done(&replay(NextOf::End(Seq(9))), &[(1, 2)]);
        assert_eq!(end, [StallAction::EndEarly(start(2, 9))]);
        let statement = done(&replay(NextOf::Statement(Seq(9))), &[(1, 2)]);
        assert_eq!(statement, [StallAction::Advance(start(2, 9))]);
    }
}

#[test]
fn who_holds_the_lock_without_a_next_record_is_read_on_for_and_given_up_in_the_end() {
    let replay = || Replay::serial(3).runs(1, 3).rests(2, NextOf::Nothing);
    assert_eq!(done(&replay(), &[(1, 2)]), [StallAction::ReadOn]);
    let ended = Replay { no_more: true, ..replay() };
    assert_eq!(done(&ended, &[(1, 2)]), [StallAction::GiveUp(id(2))]);
    let mut stalls = stalls();
    let mut answer = answer(&mut stalls, &replay(), &[(1, 2)]);
    let long = ms(120) + PATIENCE;
    assert_eq!(stalls.probed(&mut answer, long, &replay()), [StallAction::GiveUp(id(2))]);
}

#[test]
fn an_answer_is_of_no_use_once_the_turn_has_gone_on() {
    let replay = Replay::serial(3).runs(1, 3).rests(2, NextOf::End(Seq(9)));
    let mut stalls = stalls();
    let mut answer = answer(&mut stalls, &replay, &[(1, 2)]);
    stalls.note_turn(Seq(4), true, ms(118));
    let replay = Replay { turn: Some(Seq(4)), ..replay };
    assert_eq!(stalls.probed(&mut answer, ms(120), &replay), []);
}

#[test]
fn a_session_that_has_moved_since_the_target_was_asked_is_left_alone() {
    let mut replay = Replay::conflict().runs(1, 3).rests(2, NextOf::End(Seq(9)));
    let mut stalls = stalls();
    let mut answer = answer(&mut stalls, &replay, &[(1, 2)]);
    replay.of(2).activity.answers += 1;
    assert_eq!(stalls.probed(&mut answer, ms(120), &replay), []);
    let mut stalls = self::stalls();
    let asked = Replay::conflict().runs(1, 3);
    let mut answer = self::answer(&mut stalls, &asked, &[(1, 2)]);
    assert_eq!(
        stalls.probed(&mut answer, ms(120), &asked.rests(2, NextOf::End(Seq(9)))),
        [],
        "it was not connected then"
    );
}

#[test]
fn nobody_is_freed_for_a_wait_that_is_over_when_the_target_has_answered() {
    for order in [|| Replay::serial(3), Replay::conflict] {
        let mut replay = order().runs(1, 3).rests(2, NextOf::End(Seq(9)));
        let mut stalls = stalls();
        let mut answer = answer(&mut stalls, &replay, &[(1, 2)]);
        replay.of(1).activity.answers += 1;
        assert_eq!(stalls.probed(&mut answer, ms(120), &replay), []);
        assert!(!answer.locks().waits(1));
    }
}

#[test]
fn nobody_is_freed_for_a_wait_that_ends_by_itself() {
    let mut replay = Replay::conflict().runs(1, 3).runs(2, 4).rests(3, NextOf::End(Seq(9)));
    let waits = [(1, 2), (2, 3)];
    assert_eq!(done(&replay, &waits), [StallAction::EndEarly(start(3, 9))]);
    let mut stalls = stalls();
    let mut answer = answer(&mut stalls, &replay, &waits);
    replay.of(2).is_limited = true;
    assert_eq!(stalls.probed(&mut answer, ms(120), &replay), [], "nor for those behind it");
}

#[test]
fn in_session_order_nothing_waits_for_a_turn() {
    let replay = Replay { takes_turns: false, is_waited_for: false, ..Replay::default() };
    let replay = replay.runs(1, 3).rests(2, NextOf::End(Seq(9))).rests(3, NextOf::Nothing);
    let mut stalls = stalls();
    let probe = stalls.no_progress(ms(50), &replay).expect("nothing ends");
    let mut answer = LockSnapshot::of(probe);
    answer.note(1, vec![2, 3]);
    assert_eq!(stalls.probed(&mut answer, ms(60), &replay), [StallAction::ReadOn]);
}

#[test]
fn at_a_standstill_in_serial_order_turns_are_left_to_the_look_at_the_turn() {
    let replay = Replay::serial(3).runs(1, 3).rests(2, NextOf::End(Seq(9)));
    let mut stalls = stalls();
    let probe = stalls.no_progress(ms(50), &replay).expect("nothing ends");
    let mut answer = LockSnapshot::of(probe);
    answer.note(1, vec![2]);
    assert_eq!(stalls.probed(&mut answer, ms(60), &replay), []);
}

#[test]
fn a_foreign_backend_is_reported_once() {
    let replay = Replay::serial(3).runs(1, 3);
    let mut stalls = stalls();
    let mut found = answer(&mut stalls, &replay, &[(1, 77)]);
    assert_eq!(stalls.probed(&mut found, ms(120), &replay), [StallAction::ReportForeign(77)]);
    let mut found = answer(&mut stalls, &replay, &[(1, 78)]);
    assert_eq!(stalls.probed(&mut found, ms(140), &replay), []);
}

#[test]
fn who_finishes_a_prepared_transaction_goes_on_and_of_several_the_first_in_the_log() {
    let mut replay = Replay::conflict().runs(1, 3);
    for (pid, finishes) in [(2, 20), (3, 12)] {
        replay = replay.rests(pid, NextOf::Statement(Seq(finishes - 1)));
        replay.of(pid).finishes = Some(Seq(finishes));
    }
    let mut stalls = stalls();
    let mut answer = answer(&mut stalls, &replay, &[(1, PREPARED)]);
    answer.note_prepared(vec!["x".to_owned()]);
    assert_eq!(stalls.probed(&mut answer, ms(120), &replay), [StallAction::Advance(start(3, 11))]);
}

#[test]
fn behind_a_prepared_transaction_that_nobody_is_known_to_finish_the_next_in_the_order_starts() {
    let replay = Replay::serial(3).runs(1, 3).rests(2, NextOf::Statement(Seq(4)));
    let mut replay = Replay { first_waiting: Some(start(2, 4)), ..replay };
    assert_eq!(done(&replay, &[(1, PREPARED)]), [StallAction::ReadOn], "its end may be read");
    replay.no_more = true;
    assert_eq!(done(&replay, &[(1, PREPARED)]), [StallAction::Advance(start(2, 4))]);
    let started = Replay { first_waiting: Some(start(2, 4)), ..Replay::serial(3) };
    let started = Replay { no_more: true, ..started.runs(1, 3).runs(2, 4) };
    let found = done(&started, &[(1, PREPARED), (2, PREPARED)]);
    assert_eq!(found, [], "it has been started, and waits for the same");
    let mut stalls = stalls();
    let mut answer = answer(&mut stalls, &replay, &[(1, PREPARED)]);
    stalls.note_finished();
    assert_eq!(stalls.probed(&mut answer, ms(120), &replay), [], "that may have been its end");
}

#[test]
fn behind_a_prepared_transaction_whose_end_gets_a_connection_or_is_under_way_nothing_starts() {
    for order in [|| Replay::serial(3), Replay::conflict] {
        let finisher_runs = order().runs(4, 2);
        for replay in [order(), finisher_runs] {
            let mut replay = replay.runs(1, 3).rests(2, NextOf::Statement(Seq(5)));
            (replay.first_waiting, replay.no_more) = (Some(start(2, 5)), true);
            let found = |replay: &Replay| {
                let mut stalls = stalls();
                let mut answer = answer(&mut stalls, replay, &[(1, PREPARED)]);
                answer.note_prepared(vec!["x".to_owned()]);
                stalls.probed(&mut answer, ms(120), replay)
            };
            assert_eq!(found(&replay), [StallAction::Advance(start(2, 5))]);
            replay.ends_ahead = vec!["x"];
            assert_eq!(found(&replay), []);
            replay.ends_ahead = vec!["y"];
            assert_eq!(found(&replay), [StallAction::Advance(start(2, 5))], "of another one");
        }
    }
}

#[test]
fn what_the_order_holds_whatever_waits_for_it_is_not_started() {
    let mut replay = Replay::conflict().runs(1, 3).rests(2, NextOf::Statement(Seq(9)));
    replay.held = Some(Seq(9));
    assert_eq!(done(&replay, &[(1, 2)]), []);
}

#[test]
fn a_statement_whose_session_has_no_connection_is_not_started() {
    let replay = Replay { first_waiting: Some(start(9, 4)), no_more: true, ..Replay::serial(3) };
    let replay = replay.runs(1, 3);
    assert_eq!(done(&replay, &[(1, PREPARED)]), [], "it asks again when it has one");
}

#[test]
fn what_waits_in_the_order_for_others_than_the_waiters_of_its_locks_is_not_started() {
    let replay = |awaited: Awaited| {
        let mut replay = Replay::conflict().runs(1, 3).runs(5, 4).rests(2, NextOf::End(Seq(9)));
        replay.awaited.insert(Seq(9), vec![awaited]);
        replay
    };
    let waiter = Awaited::Statement(start(1, 3));
    assert_eq!(done(&replay(waiter), &[(1, 2)]), [StallAction::EndEarly(start(2, 9))]);
    let runs = Awaited::Statement(start(5, 4));
    assert_eq!(done(&replay(runs), &[(1, 2)]), [], "it comes to an end without that");
    let unsent = Awaited::Statement(start(6, 5));
    assert_eq!(done(&replay(unsent), &[(1, 2)]), [], "it is about to be sent");
    assert_eq!(done(&replay(Awaited::Unread), &[(1, 2)]), [StallAction::ReadOn]);
    let ended = Replay { no_more: true, ..replay(Awaited::Unread) };
    assert_eq!(done(&ended, &[(1, 2)]), [StallAction::EndEarly(start(2, 9))]);
}

#[test]
fn in_serial_order_the_first_in_the_log_of_several_holders_goes_on_and_the_others_wait() {
    let replay =
        Replay::serial(3).runs(1, 3).rests(2, NextOf::End(Seq(9))).rests(5, NextOf::End(Seq(8)));
    let mut stalls = stalls();
    let mut answer = answer(&mut stalls, &replay, &[]);
    answer.note(1, vec![2, 5]);
    assert_eq!(stalls.probed(&mut answer, ms(120), &replay), [StallAction::EndEarly(start(5, 8))]);
}
