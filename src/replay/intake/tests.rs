use foldhash::HashSet;

use super::sessions::SESSION_LOG_KEPT_MS;
use super::*;
use crate::pglog::{LogTime, Severity};

const A: SessionId = SessionId { start: 1, pid: 1 };
const B: SessionId = SessionId { start: 1, pid: 2 };

fn intake(filters: Filters) -> Intake {
    Intake::new(IntakeSettings {
        filters,
        identity: Identity::default(),
        patience: LookaheadLimits { entries: 100, bytes: 1 << 20, wait_ms: 100 },
        pace: None,
        dry_run: false,
    })
}

fn record(session: SessionId, line: u64, message: &str) -> LogRecord<'_> {
    LogRecord {
        log_time: LogTime { unix_ms: 1_000, zone_known: true },
        user: "app".into(),
        database: "app".into(),
        session,
        line,
        severity: Severity::Log,
        message: message.into(),
        ..LogRecord::default()
    }
}

fn at(offset: i64) -> Position {
    Position { partition: 0, offset, line: 0 }
}

/// Everything that may leave: `session:text` with the place, or the fate of what was left out.
fn released(intake: &mut Intake, now_ms: u64) -> Vec<String> {
    let mut out = Vec::new();
    while let Some(released) = intake.release(now_ms, true) {
        out.push(match released {
            Released::Left(fate) => fate.reason().unwrap_or_default().to_owned(),
            Released::Delivery(Delivery { session, event, .. }) => match event {
                SessionEvent::Work(work) => {
                    format!("{}:{}:{}", session.pid, work.seq.0, work.statement.sql)
                }
                SessionEvent::Remember(statement) => format!("remember {}", statement.sql),
                SessionEvent::Close(_) => format!("{}:close", session.pid),
                other => format!("{other:?}"),
            },
        });
    }
    out
}

#[test]
fn statements_leave_in_the_order_they_came_with_places_without_holes() {
    let mut intake = intake(Filters::default());
    intake.record(at(0), &record(A, 1, "statement: one"), 0);
    intake.record(at(1), &record(B, 1, "duration: 1 ms  statement: two"), 0);
    intake.record(at(2), &record(B, 2, "duration: 1 ms  statement: three"), 0);
    assert_eq!(released(&mut intake, 50), [""; 0], "the end of the first is not known yet");
    intake.record(at(3), &record(A, 2, "disconnection: session time: 0:00:00.002"), 60);
    assert_eq!(released(&mut intake, 60), ["1:1:one", "2:2:two", "2:3:three", "1:close"]);
}

#[test]
fn without_room_no_statement_leaves() {
    let mut intake = intake(Filters::default());
    intake.record(at(0), &record(A, 1, "duration: 1 ms  statement: one"), 0);
    intake.end();
    assert!(intake.release(0, false).is_none());
    assert_eq!(released(&mut intake, 0), ["1:1:one"]);
}

#[test]
fn what_finds_no_room_for_hours_leaves_in_the_end() {
    let mut intake = intake(Filters::default());
    intake.record(at(0), &record(A, 1, "duration: 1 ms  statement: one"), 0);
    intake.forget_silent(2 * SESSION_LOG_KEPT_MS, HashSet::default);
    assert_eq!(released(&mut intake, 2 * SESSION_LOG_KEPT_MS), ["1:1:one"]);
}

#[test]
fn a_partition_that_is_handed_over_leaves_what_is_held_to_its_next_owner() {
    let mut intake = intake(Filters::default());
    let ours = Position { partition: 1, ..at(0) };
    intake.record(at(0), &record(A, 1, "statement: theirs"), 0);
    intake.record(ours, &record(B, 1, "duration: 1 ms  statement: ours"), 0);
    intake.record(at(1), &record(A, 2, "statement: theirs too"), 0);
    assert_eq!(intake.hand_over(0), 2);
    assert_eq!(released(&mut intake, 200), ["2:1:ours"]);
    let watermarks = intake.checkpoint.watermarks();
    assert_eq!(watermarks[0].offset, 0, "the next owner begins there");
    let again = intake.record(at(0), &record(A, 1, "statement: theirs"), 300);
    assert_eq!(again.fate, None, "no repeat, should the partition come back");
}

#[test]
fn repeats_are_dropped_and_gaps_are_told() {
    let mut intake = intake(Filters::default());
    let statement = "duration: 1 ms  statement: x";
    assert!(intake.record(at(0), &record(A, 7, statement), 0).joined);
    assert_eq!(
        intake.record(at(1), &record(A, 7, statement), 0).fate,
        Some(Fate::Filtered(Filtered::Duplicate))
    );
    assert_eq!(intake.record(at(2), &record(A, 10, statement), 0).missing, 2);
}

#[test]
fn what_an_earlier_run_has_settled_is_remembered_but_not_replayed() {
    let mut earlier = Checkpoint::default();
    earlier.resume(0, 0, "");
    (0..3).for_each(|offset| earlier.begin(0, offset));
    earlier.settle(0, 1);
    earlier.settle(0, 2);
    let watermark = earlier.watermarks().pop().unwrap();

    let mut intake = intake(Filters::default());
    intake.resume(0, watermark.offset, &watermark.metadata);
    let messages = ["insert", "set search_path = x", "insert 2"];
    for (offset, sql) in (0..).zip(messages) {
        let message = format!("duration: 1 ms  statement: {sql}");
        intake.record(at(offset), &record(A, offset as u64 + 1, &message), 0);
    }
    intake.end();
    assert_eq!(
        released(&mut intake, 0),
        ["1:1:insert", "already_done", "remember set search_path = x", "already_done"]
    );
}

/// A record of the extended protocol, which tells its virtual transaction id.
fn in_transaction<'a>(id: &'a str, line: u64, message: &'a str) -> LogRecord<'a> {
    LogRecord { virtual_transaction: id.into(), ..record(A, line, message) }
}

#[test]
fn what_shared_its_sync_with_a_statement_that_is_left_out_does_not_wait_for_it() {
    let mut intake = intake(Filters { skip_selects: true, ..Filters::default() });
    let insert = "duration: 1 ms  execute <unnamed>: insert";
    let select = "duration: 1 ms  execute <unnamed>: select 1";
    for (line, id, message) in
        [(1, "3/1", insert), (2, "3/1", select), (3, "3/1", select), (4, "3/2", insert)]
    {
        let at = at(i64::try_from(line).unwrap());
        intake.record(at, &in_transaction(id, line, message), 0);
    }
    intake.end();
    assert_eq!(
        released(&mut intake, 0),
        ["1:1:insert", "select", "select", "Amend(Synced)", "1:2:insert"]
    );
}

#[test]
fn what_is_told_late_of_a_statement_that_is_left_out_amends_no_other() {
    let mut intake = intake(Filters { skip_selects: true, ..Filters::default() });
    intake.record(at(0), &record(A, 1, "statement: insert"), 0);
    intake.record(at(1), &record(A, 2, "statement: select 1"), 0);
    assert_eq!(released(&mut intake, 200), ["1:1:insert", "select"]);
    let failed = LogRecord {
        severity: Severity::Error,
        sqlstate: SqlState::QUERY_CANCELED,
        query: "select 1".into(),
        command_tag: "SELECT".into(),
        ..record(A, 3, "canceling statement")
    };
    intake.record(at(2), &failed, 300);
    assert_eq!(released(&mut intake, 300), [""; 0]);
}

#[test]
fn a_backend_that_died_had_ended_what_it_is_known_to_have_ended() {
    let died = LogRecord {
        user: "".into(),
        ..record(B, 1, "server process (PID 1) was terminated by signal 9: Killed")
    };
    for (message, source) in [
        ("duration: 1 ms  statement: insert", SourceEnd::Succeeded),
        ("statement: insert", SourceEnd::Terminated),
    ] {
        let mut intake = intake(Filters::default());
        intake.record(at(0), &record(A, 1, message), 0);
        intake.record(at(1), &died, 0);
        let Some(Released::Delivery(Delivery { event: SessionEvent::Work(work), .. })) =
            intake.release(0, true)
        else {
            panic!("a statement")
        };
        assert_eq!(work.end().source, source);
        assert_eq!(released(&mut intake, 0), ["1:close"]);
    }
}

#[test]
fn selects_are_left_out_only_where_they_do_nothing_but_read() {
    let mut intake = intake(Filters { skip_selects: true, ..Filters::default() });
    let statements = ["select 1", "select 1; insert", "select nextval('s')", "show x"];
    for (offset, sql) in (0..).zip(statements) {
        let message = format!("duration: 1 ms  statement: {sql}");
        intake.record(at(offset), &record(A, 0, &message), 0);
    }
    intake.end();
    assert_eq!(
        released(&mut intake, 0),
        ["select", "1:1:select 1; insert", "1:2:select nextval('s')", "select"]
    );
}

/// One session of two statements, the second of which is told of in two records, and its end.
fn short_session(session: SessionId) -> [LogRecord<'static>; 4] {
    [
        LogRecord { user: "app".into(), ..record(session, 1, "connection authorized: user=app") },
        record(session, 2, "duration: 1 ms  statement: one"),
        record(session, 3, "statement: two"),
        record(session, 4, "disconnection: session time: 0:00:00.002 user=app"),
    ]
}

fn read_all(intake: &mut Intake, records: &[LogRecord<'_>]) -> Vec<IntakeResult> {
    let offsets = at(0).offset..;
    offsets.zip(records).map(|(offset, record)| intake.record(at(offset), record, 0)).collect()
}

const DUPLICATE: Option<Fate> = Some(Fate::Filtered(Filtered::Duplicate));

#[test]
fn a_session_is_forgotten_when_its_end_has_left_and_not_before() {
    let mut intake = intake(Filters::default());
    read_all(&mut intake, &short_session(A));
    assert_eq!(intake.sessions(), 1, "its statements are held");
    assert_eq!(released(&mut intake, 0)[1..], ["1:1:one", "1:2:two", "1:close"]);
    assert_eq!(intake.sessions(), 0);
}

#[test]
fn a_session_without_a_statement_is_forgotten_at_its_end() {
    let mut intake = intake(Filters::default());
    let refused = LogRecord {
        severity: Severity::Fatal,
        sqlstate: SqlState::QUERY_CANCELED,
        ..record(A, 2, "password authentication failed")
    };
    read_all(&mut intake, &[record(A, 1, "connection received: host=h"), refused]);
    let nobody = LogRecord {
        user: "".into(),
        database: "".into(),
        ..record(B, 1, "disconnection: session time: 0")
    };
    read_all(&mut intake, &[nobody]);
    assert_eq!(released(&mut intake, 0), [""; 0]);
    assert_eq!(intake.sessions(), 0);
}

#[test]
fn a_session_is_forgotten_that_is_only_counted() {
    let mut intake = intake(Filters::default());
    intake.settings.dry_run = true;
    read_all(&mut intake, &short_session(A));
    assert_eq!(released(&mut intake, 0), ["dry_run", "dry_run"]);
    assert_eq!(intake.sessions(), 0);
}

#[test]
fn a_session_whose_backend_died_is_forgotten() {
    let mut intake = intake(Filters::default());
    let died = LogRecord {
        user: "".into(),
        ..record(
            SessionId { start: 0, pid: 9 },
            1,
            "server process (PID 1) was terminated by signal 9: Killed",
        )
    };
    read_all(&mut intake, &[record(A, 1, "duration: 1 ms  statement: one"), died]);
    assert_eq!(released(&mut intake, 0), ["1:1:one", "1:close"]);
    assert_eq!(intake.sessions(), 1, "the postmaster's own");
}

#[test]
fn what_is_repeated_of_a_session_that_was_forgotten_is_a_repeat() {
    let mut intake = intake(Filters::default());
    let records = short_session(A);
    read_all(&mut intake, &records);
    released(&mut intake, 0);
    for _ in 0..2 {
        let again = read_all(&mut intake, &records);
        assert!(again.iter().all(|result| result.fate == DUPLICATE && !result.joined));
        assert_eq!(intake.sessions(), 0);
    }
    assert_eq!(released(&mut intake, 0), [""; 0]);
}

#[test]
fn what_is_repeated_after_the_server_has_ended_is_a_repeat() {
    let mut intake = intake(Filters::default());
    let records = &short_session(A)[..3];
    read_all(&mut intake, records);
    let crashed = LogRecord {
        user: "".into(),
        ..record(B, 1, "all server processes terminated; reinitializing")
    };
    assert!(intake.record(at(3), &crashed, 0).server_ended);
    released(&mut intake, 0);
    intake.forget_sessions(0);
    assert_eq!(intake.sessions(), 0);
    assert!(read_all(&mut intake, records).iter().all(|result| result.fate == DUPLICATE));
}

#[test]
fn a_session_that_a_fatal_error_ended_is_forgotten_with_the_record_of_its_disconnection() {
    let mut intake = intake(Filters::default());
    let fatal = LogRecord { severity: Severity::Fatal, ..record(A, 2, "terminating connection") };
    read_all(&mut intake, &[record(A, 1, "duration: 1 ms  statement: one"), fatal]);
    assert_eq!(released(&mut intake, 0), ["1:1:one", "1:close"]);
    assert_eq!(intake.sessions(), 0);
    let end = intake.record(at(2), &record(A, 3, "disconnection: session time: 0:00:00.002"), 0);
    assert_eq!((end.line, end.joined), (Some(Line::Next), false));
    assert_eq!(released(&mut intake, 0), [""; 0]);
    assert_eq!(intake.sessions(), 0);
}

#[test]
fn a_gap_is_found_up_to_the_end_of_a_session_and_behind_it() {
    let mut intake = intake(Filters::default());
    let statement = "duration: 1 ms  statement: x";
    let end = "disconnection: session time: 0:00:00.002";
    let results = read_all(&mut intake, &[record(A, 1, statement), record(A, 4, end)]);
    assert_eq!(results[1].missing, 2);
    released(&mut intake, 0);
    assert_eq!(intake.record(at(2), &record(A, 6, end), 0).missing, 1);
}

#[test]
fn a_record_that_was_missing_when_its_session_ended_is_replayed_when_it_comes() {
    let mut intake = intake(Filters::default());
    let [authorized, one, two, end] = short_session(A);
    read_all(&mut intake, &[authorized, one, end]);
    released(&mut intake, 0);
    let late = intake.record(at(3), &two, 0);
    assert_eq!((late.fate, late.line), (None, Some(Line::Late)));
    assert_eq!(released(&mut intake, 200), ["1:2:two"]);
    assert_eq!(intake.sessions(), 1, "more may come of it");
    assert_eq!(intake.record(at(4), &two, 0).fate, DUPLICATE);
}

#[test]
fn a_late_record_behind_an_end_that_has_not_left_keeps_its_session() {
    let mut intake = intake(Filters::default());
    let [authorized, one, two, end] = short_session(A);
    read_all(&mut intake, &[authorized, one, end, two]);
    assert_eq!(released(&mut intake, 200)[1..], ["1:1:one", "1:close", "1:2:two"]);
}

#[test]
fn a_partition_that_comes_back_has_no_repeats_of_sessions_that_had_ended() {
    let mut intake = intake(Filters::default());
    read_all(&mut intake, &short_session(A));
    released(&mut intake, 0);
    intake.hand_over(0);
    let again = read_all(&mut intake, &short_session(A));
    assert!(again.iter().all(|result| result.fate != DUPLICATE));
}

#[test]
fn a_silent_session_is_forgotten_after_an_hour_unless_it_is_connected() {
    let mut intake = intake(Filters::default());
    for session in [A, B] {
        intake.record(at(0), &record(session, 1, "duration: 1 ms  statement: one"), 0);
    }
    intake.end();
    released(&mut intake, 0);
    intake.forget_silent(SESSION_LOG_KEPT_MS - 1, || panic!("there is no need to know"));
    assert_eq!(intake.sessions(), 2);
    intake.forget_silent(SESSION_LOG_KEPT_MS, || [B].into_iter().collect());
    assert_eq!(intake.sessions(), 1);
    let next =
        intake.record(at(1), &record(B, 2, "duration: 1 ms  statement: two"), SESSION_LOG_KEPT_MS);
    assert_eq!((next.line, next.joined), (Some(Line::Next), false));
    assert!(intake.record(at(2), &record(A, 2, "statement: two"), SESSION_LOG_KEPT_MS).joined);
}
