//! The feed, fed with csvlog lines as a source gives them.

use super::*;
use crate::pglog::{Encodings, Format, RecordKind, SqlState};
use crate::replay::account::ledger::{Fate, Filtered};
use crate::replay::account::policy::{ErrorPolicy, OnError, Tolerance};
use crate::replay::account::settlement::{SessionProgress, Settled, Settlement};
use crate::replay::order::wait_chain::{Link, Place, Remedy, Stall, WaitState};
use crate::replay::pace::Speed;
use crate::replay::report::Shapes;
use crate::replay::report::rules::Rules;
use crate::replay::session::Ended;
use crate::replay::settings::{Filters, Identity, Order, TargetDurations};
use crate::replay::work::Work;

mod accounts;
mod partitions;
mod standstills;

const S: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// A feed, what it is given, and what it asks for.
struct Fed {
    feed: Feed,
    tally: Tally,
    shapes: Shapes,
    now: Duration,
    /// Statements that sessions have got and that have not ended.
    running: Vec<Arc<Work>>,
    /// What has come since it was looked at last.
    out: Vec<FeedAction>,
    offsets: i64,
}

fn settings() -> ReplaySettings {
    ReplaySettings {
        format: Format::Auto,
        rules: Rules::default(),
        dry_run: false,
        order: Order::Conflict,
        pipeline: 1,
        speed: Speed::Max,
        playout_delay: Duration::ZERO,
        filters: Filters::default(),
        identity: Identity::default(),
        errors: ErrorPolicy { tolerance: Tolerance::Never, on_error: OnError::Continue },
        replay_cancels: false,
        stall_check: 5 * MS,
        stall_timeout: Some(60 * S),
        lookahead: 100 * MS,
        merge_idle: 2 * S,
        idle_timeout: None,
        shutdown_timeout: 5 * S,
        max_in_flight: 100,
        max_in_flight_bytes: 1 << 20,
        max_sessions: None,
        target_durations: TargetDurations::default(),
        workers: None,
        spin: Duration::ZERO,
    }
}

fn fed(input: InputKind, replay: ReplaySettings) -> Fed {
    let dry_run = replay.dry_run;
    let settings = FeedSettings { replay: Arc::new(replay), input, keeps_rejected: true, dry_run };
    let reader = RecordReader::new(Format::Auto, Encodings::default());
    Fed {
        feed: Feed::new(settings, reader, Duration::ZERO),
        tally: Tally::default(),
        shapes: Shapes::new(10),
        now: Duration::ZERO,
        running: Vec::new(),
        out: Vec::new(),
        offsets: 0,
    }
}

/// A csvlog line of the session with this process id.
fn line(pid: u32, number: u64, message: &str) -> String {
    of_severity("LOG", "00000", pid, number, message)
}

fn of_severity(severity: &str, code: &str, pid: u32, number: u64, message: &str) -> String {
    format!(
        "2026-01-01 00:00:0{second}.000 UTC,\"app\",\"app\",{pid},\"[local]\",1.{pid:x},{number},\"x\",\
         2026-01-01 00:00:00 UTC,3/1,0,{severity},{code},\"{message}\",,,,,,,,,\"psql\"\n",
        second = number % 10,
    )
}

fn statement(pid: u32, number: u64, sql: &str) -> String {
    line(pid, number, &format!("duration: 1.000 ms  statement: {sql}"))
}

impl Fed {
    fn decide(&mut self, decide: impl FnOnce(&mut Feed, &mut Round<'_>)) {
        let Self { feed, tally, now, out, .. } = self;
        let begun = out.len();
        decide(feed, &mut Round { now: *now, tally, out });
        for action in &self.out[begun..] {
            let FeedAction::Deliver(deliveries) = action else { continue };
            for delivery in deliveries {
                if let SessionEvent::Work(work) = &delivery.event {
                    self.running.push(work.clone());
                }
            }
        }
    }

    /// Reads these records of a partition, and delivers what need not wait.
    fn read(&mut self, partition: i32, lines: &[String]) {
        let first = self.offsets;
        self.offsets += lines.len() as i64;
        let records = lines.iter().enumerate().map(|(index, line)| SourceRecord {
            at: Position { partition, offset: first + index as i64, line: 1 },
            payload: line.as_bytes(),
            place: b"",
        });
        self.decide(|feed, round| {
            feed.read(records, true, round);
            feed.release(round);
        });
    }

    fn release(&mut self) {
        self.decide(Feed::release);
    }

    fn input_ended(&mut self) {
        self.feed.input_ended(self.now);
        self.release();
    }

    fn tick_at(&mut self, now: Duration) {
        self.now = now;
        self.decide(Feed::tick);
    }

    /// The first `n` statements that run end well, and what they did is final.
    fn finish(&mut self, n: usize) {
        let ended: Vec<_> = self.running.drain(..n).collect();
        let settled = ended.iter().map(|work| Settled { at: work.at, is_last: true }).collect();
        let ran = |work: Arc<Work>| {
            let ended = succeeded(&work);
            (work, Settlement::Ran(ended, Duration::ZERO))
        };
        let ended = ended.into_iter().map(ran).collect();
        self.report(SessionProgress { ended, settled, ..SessionProgress::default() });
    }

    fn report(&mut self, report: SessionProgress) {
        let Self { shapes, .. } = self;
        let mut shapes = std::mem::replace(shapes, Shapes::new(10));
        self.decide(|feed, round| feed.account([report], &mut shapes, |_| String::new(), round));
        self.shapes = shapes;
    }

    /// What was asked for since this was called last, in short.
    fn asked(&mut self) -> Vec<String> {
        self.out.drain(..).map(|action| in_short(&action)).collect()
    }

    fn demand(&mut self) -> String {
        format!("{:?}", self.feed.demand(self.now))
    }
}

fn succeeded(work: &Work) -> Ended {
    Ended {
        source: work.end().source,
        target: Ok(()),
        guessed: false,
        may_have_drawn: false,
        beyond_log: false,
        took: None,
    }
}

fn in_short(action: &FeedAction) -> String {
    match action {
        FeedAction::Deliver(deliveries) => {
            let events = deliveries.iter().map(|delivery| match &delivery.event {
                SessionEvent::Work(work) => work.statement.sql.to_string(),
                SessionEvent::Close(_) => format!("close {}", delivery.session.pid),
                other => format!("{other:?}"),
            });
            events.collect::<Vec<_>>().join(", ")
        }
        FeedAction::Notice(notice) => {
            let debug = format!("{notice:?}");
            format!("notice {}", debug.split([' ', '(']).next().unwrap_or_default())
        }
        FeedAction::KeepRejected { payload, .. } => {
            format!("keep {}", String::from_utf8_lossy(payload).trim_end())
        }
        FeedAction::RefuseInput(InputFault::OutOfOrder(found)) => format!("refuse: {}", found.why),
        FeedAction::RefuseInput(InputFault::Columns { at, .. }) => {
            format!("refuse the columns at {}", at.offset)
        }
        FeedAction::StopAt { work, .. } => format!("stop at {}", work.statement.sql),
        FeedAction::ReportStall(stall) => format!("stall after {:?}", stall.still_for),
        other => format!("{other:?}"),
    }
}

#[test]
fn files_are_delivered_in_order_and_the_replay_is_done_when_the_last_statement_has_ended() {
    let mut fed = fed(InputKind::Files, settings());
    fed.read(0, &[statement(1, 1, "a"), statement(2, 1, "b")]);
    assert_eq!(fed.asked(), ["a, b"]);
    fed.finish(1);
    fed.input_ended();
    assert_eq!(fed.asked(), ["InputEnded"]);
    assert_eq!(fed.demand(), "Nothing");
    fed.finish(1);
    assert_eq!(fed.asked(), ["Done"]);
    fed.tick_at(S);
    assert_eq!(fed.asked(), [""; 0], "it is said once");
    assert_eq!((fed.tally.records.count(Fate::Replayed), fed.tally.records.pending()), (2, 0));
}

#[test]
fn at_the_end_of_the_input_open_sessions_get_what_waited_for_their_next_record() {
    let mut fed = fed(InputKind::Files, settings());
    // Logged at its start: its session's next record tells its end.
    fed.read(0, &[line(1, 1, "statement: begin"), statement(2, 1, "other")]);
    assert_eq!(fed.asked(), [""; 0], "nothing passes it");
    fed.input_ended();
    assert_eq!(fed.asked(), ["begin, other", "InputEnded"]);
    fed.finish(2);
    assert_eq!(fed.asked(), ["Done"]);
}

#[test]
fn what_finds_no_room_at_the_end_is_delivered_before_sessions_learn_that_nothing_more_comes() {
    let mut fed = fed(InputKind::Files, ReplaySettings { max_in_flight: 1, ..settings() });
    fed.read(0, &[statement(1, 1, "a"), statement(2, 1, "b")]);
    fed.input_ended();
    assert_eq!(fed.asked(), ["a"]);
    fed.finish(1);
    assert_eq!(fed.asked(), ["b", "InputEnded"]);
    fed.finish(1);
    assert_eq!(fed.asked(), ["Done", "DemandChanged"]);
}

#[test]
fn a_statement_waits_for_its_sessions_next_record_no_longer_than_the_lookahead() {
    let mut fed = fed(InputKind::Topic, settings());
    fed.feed.assign(0, None, Duration::ZERO);
    fed.read(0, &[line(1, 1, "statement: a")]);
    fed.tick_at(99 * MS);
    assert_eq!(fed.asked(), [""; 0]);
    fed.tick_at(100 * MS);
    assert_eq!(fed.asked(), ["a"]);
}

#[test]
fn a_source_that_fails_in_the_middle_is_asked_for_nothing_more_and_nothing_is_done() {
    let mut fed = fed(InputKind::Files, settings());
    fed.read(0, &[statement(1, 1, "a"), line(1, 2, "statement: held")]);
    fed.feed.stop();
    fed.release();
    assert_eq!((fed.asked(), fed.demand()), (vec!["a".to_owned()], "Nothing".to_owned()));
    fed.finish(1);
    fed.tick_at(S);
    assert_eq!(fed.asked(), [""; 0], "what was held stays for the next start");
    assert_eq!(fed.tally.records.pending(), 1);
}

#[test]
fn a_server_that_ends_all_its_sessions_gets_what_is_held_before_they_are_closed() {
    let mut fed = fed(InputKind::Files, ReplaySettings { max_in_flight: 1, ..settings() });
    let restart = "2026-01-01 00:00:03.000 UTC,,,9,,1.9,1,,2026-01-01 00:00:00 UTC,,0,LOG,00000,\
                   \"database system is shut down\",,,,,,,,,\"\"\n";
    fed.read(
        0,
        &[
            statement(1, 1, "a"),
            line(2, 1, "statement: held"),
            restart.to_owned(),
            statement(1, 2, "new"),
        ],
    );
    assert_eq!(fed.asked(), ["a, held", "CloseAll"], "past the limit on what is in flight");
    fed.finish(2);
    assert_eq!(fed.asked(), ["new"]);
}

#[test]
fn a_file_with_other_columns_stops_the_reading_at_once_and_a_topic_rejects_its_records() {
    let header = "user_name,log_time,database_name,process_id,connection_from,session_id,\
                  session_line_num,command_tag,session_start_time,virtual_transaction_id,\
                  transaction_id,error_severity,sql_state_code,message,detail,hint,internal_query,\
                  internal_query_pos,context,query,query_pos,location,application_name\n";
    let lines = [statement(1, 1, "a"), header.to_owned(), statement(1, 2, "b")];
    let mut file = fed(InputKind::Files, settings());
    file.read(0, &lines);
    let asked = file.asked();
    assert!(asked.contains(&"refuse the columns at 1".to_owned()), "{asked:?}");
    assert_eq!((file.running.len(), file.demand()), (0, "Nothing".to_owned()));
    let mut topic = fed(InputKind::Topic, settings());
    topic.read(0, &lines);
    assert_eq!(topic.running.len(), 2);
    assert_eq!(topic.tally.records.pending(), 2);
}

#[test]
fn a_file_whose_session_runs_backwards_is_refused() {
    let mut fed = fed(InputKind::Files, settings());
    fed.read(0, &[statement(1, 7, "late"), statement(1, 3, "early"), statement(1, 4, "c")]);
    let asked = fed.asked();
    assert!(asked[0].starts_with("refuse: are not in the order"), "{asked:?}");
    assert_eq!(fed.demand(), "Nothing");
}

#[test]
fn records_that_cannot_be_read_are_all_kept_and_reported_ever_less_often() {
    let mut fed = fed(InputKind::Topic, settings());
    fed.read(0, &vec!["no record\n".to_owned(); 20]);
    let asked = fed.asked();
    let kept = asked.iter().filter(|it| *it == "keep no record").count();
    let reported = asked.iter().filter(|it| *it == "notice Rejected").count();
    assert_eq!((kept, reported), (20, 11));
    let counts = fed.feed.take_counts();
    assert_eq!(counts.records[RecordKind::Unreadable as usize], 20);
    assert_eq!(fed.feed.take_counts(), FeedCounts::default());
    assert_eq!(fed.feed.all_watermarks()[0].offset, 20, "they hold nothing back");
}

#[test]
fn a_gap_in_a_session_and_a_session_joined_in_its_middle_are_counted() {
    let mut fed = fed(InputKind::Topic, settings());
    fed.read(0, &[statement(1, 5, "a"), statement(1, 9, "b"), statement(1, 9, "b")]);
    let counts = fed.feed.take_counts();
    assert_eq!((counts.joined_midway, counts.sequence_gaps), (1, 1));
    assert_eq!(fed.asked(), ["notice RecordsMissing", "a, b"]);
    assert_eq!(fed.tally.records.count(Fate::Filtered(Filtered::Duplicate)), 1);
}

#[test]
fn in_a_dry_run_nothing_is_delivered_and_the_end_of_the_input_is_the_end() {
    let mut fed = fed(InputKind::Files, ReplaySettings { dry_run: true, ..settings() });
    fed.read(0, &[statement(1, 1, "a"), statement(2, 1, "b")]);
    fed.input_ended();
    assert_eq!(fed.asked(), ["InputEnded", "Done"]);
    assert_eq!(fed.tally.records.count(Fate::Filtered(Filtered::DryRun)), 2);
}

#[test]
fn a_log_of_starts_is_reported_once_unless_sessions_do_not_wait_for_each_other() {
    let starts: Vec<_> = (1..=120).map(|pid| line(pid, 1, "statement: a")).collect();
    for (order, expected) in [(Order::Conflict, 1), (Order::Serial, 1), (Order::Session, 0)] {
        let settings = ReplaySettings { order, max_in_flight: 1000, ..settings() };
        let mut fed = fed(InputKind::Files, settings);
        fed.read(0, &starts);
        fed.input_ended();
        let reported = fed.asked().iter().filter(|it| *it == "notice StartLogging").count();
        assert_eq!(reported, expected, "{order:?}");
    }
}

#[test]
fn where_the_pace_is_kept_a_long_silence_is_reported_before_it() {
    let speed = Speed::Times(0.01);
    let mut fed = fed(InputKind::Files, ReplaySettings { speed, ..settings() });
    fed.read(0, &[statement(1, 1, "a"), statement(1, 2, "b")]);
    assert_eq!(fed.asked(), ["notice Silence", "a, b"], "a second takes a hundred");
}
