use std::sync::Arc;

use super::*;
use crate::pglog::SessionId;
use crate::pglog::statement::{Amendment, Failure, Protocol, SourceEnd, SyncEnd};
use crate::replay::session::auto_explain::set_up;
use crate::replay::session::context::Restore;
use crate::replay::session::request::{Request, ResultRow};
use crate::replay::work::{End, Position};
use crate::sql::{Command, Outline};

mod anything;
mod auto_explain;
mod doubts;
mod durations;
mod lost;
mod prepared;
mod running_again;
mod server;
mod waits;
mod withdrawing;

use server::Server;

// ---- Statements ----

pub(in crate::replay::session) fn work(
    seq: u64,
    sql: &str,
    protocol: Protocol,
    end: End,
) -> Arc<Work> {
    let at = Position { partition: 0, offset: i64::try_from(seq).expect("small"), line: 0 };
    let statement = Statement::new(sql, protocol);
    Arc::new(Work::new(Seq(seq), at, SessionId::default(), statement, end))
}

fn ok() -> End {
    End { source: SourceEnd::Succeeded, ..End::default() }
}

fn failed(code: &str) -> End {
    failed_in(code, None)
}

fn failed_in(code: &str, part: Option<usize>) -> End {
    let failure = Failure { code: state(code), after_ms: None, part };
    End { source: SourceEnd::Failed(failure.code), failure: Some(failure), ..End::default() }
}

impl End {
    fn joined(self) -> Self {
        Self { sync: SyncEnd::Joined, ..self }
    }

    fn never(self) -> Self {
        Self { sync: SyncEnd::Never, ..self }
    }
}

fn state(code: &str) -> SqlState {
    code.parse().expect("a SQLSTATE")
}

fn extended(name: &str, parameters: &[&str]) -> Protocol {
    Protocol::Extended {
        prepared_anew: false,
        name: name.into(),
        portal: "".into(),
        parameters: parameters.iter().map(|value| Some((*value).into())).collect(),
    }
}

fn settings() -> SessionSettings {
    SessionSettings {
        depth: 16,
        takes_turns: false,
        replay_cancels: false,
        read_only: false,
        server_durations: false,
        explain: false,
    }
}

// ---- A session with its connection ----

/// A session that talks to a model of a server.
struct Replay {
    session: Session,
    server: Server,
    /// Requests sent and not answered.
    wire: VecDeque<Request>,
    /// What was sent since it was last looked at.
    log: Vec<String>,
    seq: u64,
    ended: Vec<(u64, Result<(), SqlState>)>,
    settled: Vec<u64>,
    finished: Vec<u64>,
    guessed: usize,
    retried: Vec<String>,
    may_have_drawn: usize,
    given_up: Vec<u64>,
    /// What the server has measured.
    measured: Vec<u64>,
    /// How often auto_explain was told to be refused.
    explain_refused: usize,
}

impl Replay {
    fn new(settings: SessionSettings) -> Self {
        let mut session = Session::new(settings, Arc::default());
        session.connected();
        Self {
            session,
            server: Server::default(),
            wire: VecDeque::new(),
            log: Vec::new(),
            seq: 0,
            ended: Vec::new(),
            settled: Vec::new(),
            finished: Vec::new(),
            guessed: 0,
            retried: Vec::new(),
            may_have_drawn: 0,
            given_up: Vec::new(),
            measured: Vec::new(),
            explain_refused: 0,
        }
    }

    fn push(&mut self, sql: &str, protocol: Protocol, end: End) -> Arc<Work> {
        self.seq += 1;
        let work = work(self.seq, sql, protocol, end);
        self.session.push(work.clone());
        work
    }

    fn simple(&mut self, sql: &str, end: End) {
        self.push(sql, Protocol::Simple, end);
    }

    fn extended(&mut self, sql: &str, end: End) {
        self.push(sql, extended("", &[]), end);
    }

    /// Sends what can be sent, and gives what the session wants then.
    fn send(&mut self) -> Next {
        loop {
            match self.session.next_step() {
                Next::Send(request) => {
                    self.log.push(written(&request));
                    self.wire.push_back(request);
                }
                other => return other,
            }
        }
    }

    /// The server answers the oldest request.
    fn answer(&mut self) {
        let request = self.wire.pop_front().expect("a request under way");
        let answer = self.server.answer(&request);
        let answered = self.session.answered(answer);
        self.note(answered);
    }

    fn note(&mut self, answered: Answered) {
        if let Some((work, ended)) = answered.ended {
            self.ended.push((work.seq.0, ended.target));
            let on_server = ended.took.and_then(|took| took.on_server);
            self.measured.extend(on_server.map(|_| work.seq.0));
            self.guessed += usize::from(ended.guessed);
            self.may_have_drawn += usize::from(ended.may_have_drawn);
            self.given_up.extend(answered.given_up.then_some(work.seq.0));
        }
        self.retried.extend(answered.retried.map(|why| match why {
            RunAgain::Withdrawn => "withdrawn".to_owned(),
            RunAgain::Conflict(code)
            | RunAgain::Prepare(code)
            | RunAgain::SawLess(code)
            | RunAgain::Snapshot(code) => code.to_string(),
        }));
        self.finished.extend(answered.finished.map(|seq| seq.0));
        self.settled.extend(answered.settled.iter().map(|work| work.seq.0));
        self.explain_refused += usize::from(answered.explain_refused.is_some());
    }

    /// Goes on until there is nothing to do, giving every turn that is asked for.
    fn run(&mut self) -> Next {
        for _ in 0..10_000 {
            match self.send() {
                Next::Ask(seq) => self.session.grant(seq),
                Next::Wait if !self.wire.is_empty() => self.answer(),
                Next::Wait => panic!("it waits for nothing: {:?}", self.session),
                other => return other,
            }
        }
        panic!("it never comes to an end: {:?}", self.session)
    }

    /// Runs, and gives what was sent.
    fn ran(&mut self) -> Vec<String> {
        self.run();
        std::mem::take(&mut self.log)
    }

    /// The connection is lost before the server has got what is under way.
    fn lose(&mut self) -> usize {
        self.wire.clear();
        self.server.disconnect();
        let Interrupted { in_doubt, poison_statement, left, .. } = self.session.lost();
        assert!(left.is_empty(), "nobody takes the session over");
        assert!(poison_statement.is_none(), "{poison_statement:?}");
        self.session.connected();
        in_doubt
    }

    /// The connection is given up, where the session lets go of it.
    fn leave(&mut self, why: Leave) -> Option<Left> {
        if !self.session.leave(why) {
            return None;
        }
        let Next::Leave(left) = self.run() else { panic!("{:?}", self.session) };
        if !left.kept {
            self.server.disconnect();
        }
        Some(left)
    }

    fn close(&mut self) {
        self.session.close(Closing::Source(None));
        assert_eq!(self.run(), Next::Close(Closing::Source(None)));
        self.settled.extend(self.session.closed().iter().map(|work| work.seq.0));
        self.server.disconnect();
    }

    fn results(&self) -> Vec<String> {
        self.ended
            .iter()
            .map(|(_, result)| result.map_or_else(|code| code.to_string(), |()| "ok".to_owned()))
            .collect()
    }
}

/// What a request sends.
fn written(request: &Request) -> String {
    match request {
        Request::Text(text) if *text == set_up() => "auto_explain".to_owned(),
        Request::Text(text) if text.starts_with("DO $kreplay$") => "raise".to_owned(),
        Request::Text(text) => match text.split_once(";DO $kreplay$") {
            Some((before, _)) => format!("{};raise", with_short_limits(before)),
            None => text.to_string(),
        },
        Request::Simple(work) => work.statement.sql.to_string(),
        Request::Extended { work, parse, types } => {
            let typed = if types.is_empty() { "" } else { " typed" };
            format!("{parse:?}{typed}: {}", work.statement.sql)
        }
        Request::DrawOnly { work, types, .. } => {
            let typed = if types.is_empty() { "" } else { " typed" };
            format!("draw only{typed}: {}", work.statement.sql)
        }
        Request::ParseOnly(work) => format!("Parse: {}", work.statement.sql),
        Request::BindOnly(work) => format!("Bind: {}", work.statement.sql),
        Request::Pipelined { request, syncs } => {
            format!("{}, {}", written(request), if *syncs { "Sync" } else { "Flush" })
        }
        Request::Sync => "Sync".to_owned(),
        Request::Restore(Restore::Text(text)) => format!("restore {text}"),
        Request::Restore(Restore::Parse { name, .. }) => format!("restore statement {name}"),
        Request::Restore(Restore::Setting { name, value }) => format!("restore {name} = {value}"),
        Request::Restore(Restore::Placeholder(name)) => format!("restore {name}"),
        Request::Inspect(_) => "inspect".to_owned(),
    }
}

/// Limits are told by their name.
fn with_short_limits(text: &str) -> String {
    let parts = text.split(';').map(|part| {
        let limits = part.starts_with("SELECT pg_catalog.set_config");
        if limits { "limits" } else { part }
    });
    parts.collect::<Vec<_>>().join(";")
}

// ---- What is sent, and when ----

#[test]
fn simple_statements_are_sent_ahead_up_to_the_depth() {
    let mut replay = Replay::new(SessionSettings { depth: 3, ..settings() });
    for n in 1..=5 {
        replay.simple(&format!("insert {n}"), ok());
    }
    assert_eq!(replay.send(), Next::Wait);
    assert_eq!(replay.wire.len(), 3);
    replay.answer();
    assert_eq!(replay.send(), Next::Wait);
    assert_eq!(replay.wire.len(), 3);
    assert_eq!(replay.run(), Next::Idle);
    assert_eq!(replay.server.committed, [1, 2, 3, 4, 5]);
    assert_eq!(replay.settled, [1, 2, 3, 4, 5]);
}

#[test]
fn a_turn_is_asked_for_once_and_may_cover_the_places_behind_it() {
    let mut replay = Replay::new(SessionSettings { takes_turns: true, ..settings() });
    for seq in [3, 4, 7] {
        replay.seq = seq - 1;
        replay.simple(&format!("insert {seq}"), ok());
    }
    assert_eq!(replay.send(), Next::Ask(Seq(3)));
    assert_eq!(replay.send(), Next::Wait, "it has asked");
    replay.session.grant(Seq(4));
    assert_eq!(replay.send(), Next::Ask(Seq(7)), "4 follows 3 without asking");
    assert_eq!(replay.wire.len(), 2);
    replay.answer();
    replay.answer();
    assert_eq!(replay.finished, [3, 4]);
    assert_eq!(replay.send(), Next::Wait);
    replay.session.grant(Seq(7));
    assert_eq!(replay.run(), Next::Idle);
    assert_eq!(replay.finished, [3, 4, 7]);
}

#[test]
fn running_ahead_starts_one_statement_and_no_more() {
    let mut replay = Replay::new(SessionSettings { takes_turns: true, ..settings() });
    replay.seq = 4;
    replay.simple("insert 5", ok());
    replay.simple("insert 6", ok());
    assert_eq!(replay.send(), Next::Ask(Seq(5)));
    replay.session.run_ahead(Seq(5));
    assert_eq!(replay.send(), Next::Ask(Seq(6)), "the place behind one that ran early has to wait");
    assert_eq!(replay.wire.len(), 1);
}

#[test]
fn what_stands_behind_a_statement_that_had_its_turn_meanwhile_does_not_run_ahead_for_it() {
    let mut replay = Replay::new(SessionSettings { takes_turns: true, ..settings() });
    replay.simple("insert 1", ok());
    assert_eq!(replay.send(), Next::Ask(Seq(1)));
    replay.session.grant(Seq(1));
    assert_eq!(replay.run(), Next::Idle);
    // A stall was seen before that, and its relief is late.
    replay.session.run_ahead(Seq(1));
    replay.simple("insert 2", ok());
    assert_eq!(replay.send(), Next::Ask(Seq(2)));
    assert!(replay.wire.is_empty());
}

#[test]
fn a_statement_is_not_sent_before_it_is_due_and_asks_for_its_turn_when_it_is() {
    let ms = |ms| Moment::after(Duration::from_millis(ms));
    let mut replay = Replay::new(SessionSettings { takes_turns: true, ..settings() });
    for due in [0, 10, 10] {
        replay.seq += 1;
        let work = Arc::into_inner(work(replay.seq, "insert", Protocol::Simple, ok()));
        replay.session.push(Arc::new(work.expect("ours alone").due_at(Some(ms(due)))));
    }
    replay.session.advance_to(ms(3));
    assert_eq!(replay.send(), Next::Ask(Seq(1)));
    replay.session.grant(Seq(1));
    assert_eq!(replay.send(), Next::WaitUntil(ms(10)));
    assert_eq!(replay.session.take_delay(), Some(Duration::from_millis(3)));
    replay.answer();
    replay.session.advance_to(ms(9));
    assert_eq!(replay.send(), Next::WaitUntil(ms(10)));
    assert!(!replay.session.is_running(), "it is not a stall");
    assert_eq!(replay.session.take_delay(), None);
    replay.session.advance_to(ms(11));
    assert_eq!(replay.send(), Next::Ask(Seq(2)));
    replay.session.grant(Seq(3));
    assert_eq!(replay.send(), Next::Wait);
    assert_eq!(replay.wire.len(), 2, "the third is due too, and needs not ask");
}

#[test]
fn what_runs_again_was_due_long_ago() {
    let mut replay = Replay::new(settings());
    let due = Some(Moment::after(Duration::from_secs(1)));
    let work = Arc::into_inner(work(1, "insert", Protocol::Simple, ok()));
    replay.session.push(Arc::new(work.expect("ours alone").due_at(due)));
    replay.session.advance_to(Moment::after(Duration::from_secs(2)));
    assert_eq!(replay.send(), Next::Wait);
    assert!(replay.session.take_delay().is_some());
    replay.session.lost();
    replay.wire.clear();
    replay.session.connected();
    replay.session.advance_to(Moment::default());
    assert_eq!(replay.send(), Next::Wait);
    assert_eq!((replay.wire.len(), replay.session.take_delay()), (1, None));
}

#[test]
fn nothing_is_sent_behind_a_statement_that_changes_what_is_prepared() {
    for sql in ["deallocate all", "discard all", "prepare q as select 1", "copy t from stdin"] {
        let mut replay = Replay::new(settings());
        replay.simple("insert 1", ok());
        replay.simple(sql, ok());
        replay.simple("insert 2", ok());
        assert_eq!(replay.send(), Next::Wait);
        assert_eq!(replay.log, ["insert 1"], "{sql}");
        replay.answer();
        replay.send();
        assert_eq!(replay.log.len(), 2, "{sql}");
        assert_eq!(replay.run(), Next::Idle);
        assert_eq!(replay.log.len(), 3, "{sql}");
    }
}

// ---- Implicit transactions ----

#[test]
fn statements_that_shared_a_sync_are_one_transaction() {
    let mut replay = Replay::new(settings());
    replay.extended("insert 1", ok().joined());
    replay.extended("insert 2", ok().joined());
    replay.run();
    assert!(replay.session.in_transaction());
    assert_eq!((replay.settled.len(), replay.ended.len()), (0, 2));
    replay.extended("insert 3", ok());
    assert_eq!(
        replay.ran(),
        ["Unnamed: insert 1, Flush", "Unnamed: insert 2, Flush", "Unnamed: insert 3, Sync"]
    );
    assert_eq!(replay.server.committed, [1, 2, 3]);
    assert_eq!(replay.settled, [1, 2, 3]);
}

#[test]
fn an_implicit_transaction_begins_only_when_the_one_before_has_ended() {
    let mut replay = Replay::new(settings());
    replay.simple("begin", ok());
    replay.simple("commit", ok());
    replay.extended("insert 1", ok().joined());
    replay.extended("fail 23505", failed("23505"));
    replay.run();
    assert!(replay.server.committed.is_empty());
}

#[test]
fn whatever_fails_at_the_end_of_an_implicit_transaction_undoes_it() {
    for (sql, protocol, end) in [
        ("fail 23505", extended("", &[]), failed("23505")),
        ("fail 42601", Protocol::ParseOnly, failed("42601")),
        ("fail 23505", Protocol::Simple, failed("23505")),
        ("", Protocol::Unknown, failed("22012")),
        ("insert 2", extended("", &[]), failed("40001")),
        ("insert 2", extended("", &[]), ok().never()),
    ] {
        let mut replay = Replay::new(settings());
        replay.extended("insert 1", ok().joined());
        replay.push(sql, protocol, end);
        replay.simple("insert 3", ok());
        replay.run();
        assert_eq!(replay.server.committed, [3], "{sql} {end:?}");
        assert_eq!(replay.settled, [1, 2, 3]);
        let code = match end.source {
            SourceEnd::Failed(code) => code.to_string(),
            _ => "ok".to_owned(),
        };
        assert_eq!(replay.results(), ["ok", &code, "ok"]);
    }
}

#[test]
fn a_deferred_failure_is_met_at_the_commit_and_is_the_last_statements() {
    let mut replay = Replay::new(settings());
    replay.extended("insert 1", ok().joined());
    replay.extended("defer 23503", failed("23503"));
    replay.run();
    assert_eq!(replay.results(), ["ok", "23503"]);
    assert!(replay.server.committed.is_empty());
}

#[test]
fn what_was_never_synced_is_rolled_back() {
    let mut replay = Replay::new(settings());
    replay.extended("insert 1", ok().never());
    assert_eq!(replay.ran(), ["Unnamed: insert 1, Flush", "raise, Sync"]);
    assert!(replay.server.committed.is_empty());
    assert_eq!(replay.settled, [1]);
}

#[test]
fn a_failure_of_the_targets_own_undoes_the_whole_implicit_transaction() {
    let mut replay = Replay::new(settings());
    replay.extended("insert 1", ok().joined());
    replay.extended("fail 23505", ok().joined());
    replay.extended("insert 3", ok());
    replay.simple("insert 4", ok());
    replay.run();
    assert_eq!(replay.results(), ["ok", "23505", "25P02", "ok"]);
    assert_eq!(replay.server.committed, [4]);
}

#[test]
fn the_sources_own_begin_makes_an_implicit_transaction_an_explicit_one() {
    let mut replay = Replay::new(settings());
    replay.extended("insert 1", ok().joined());
    replay.extended("begin", ok());
    replay.extended("insert 2", ok());
    replay.run();
    assert!(replay.session.in_transaction());
    assert!(replay.server.committed.is_empty());
    replay.simple("commit", ok());
    replay.run();
    assert_eq!(replay.server.committed, [1, 2]);
    assert_eq!(replay.settled, [1, 2, 3, 4]);
}

#[test]
fn an_implicit_transaction_whose_last_statement_is_left_out_ends_all_the_same() {
    // Known before it runs,
    let mut replay = Replay::new(settings());
    replay.extended("insert 1", ok().joined());
    assert_eq!(replay.session.amend(Amendment::Synced), Amended::Nothing);
    replay.run();
    assert_eq!(replay.server.committed, [1]);
    // and after it has run.
    replay.extended("insert 2", ok().joined());
    replay.run();
    assert_eq!(replay.session.amend(Amendment::Synced), Amended::Wake);
    assert!(replay.session.is_busy());
    replay.run();
    assert_eq!(replay.server.committed, [1, 2]);
    assert_eq!(replay.settled, [1, 2]);
    // Where it has failed, it is rolled back.
    replay.extended("fail 23505", ok().joined());
    replay.run();
    replay.session.amend(Amendment::Synced);
    replay.run();
    assert!(!replay.session.in_transaction());
    assert_eq!(replay.settled, [1, 2, 3]);
}

#[test]
fn what_a_routine_commits_within_a_pipeline_is_settled_and_never_run_twice() {
    let mut replay = Replay::new(settings());
    replay.extended("insert 1", ok().joined());
    replay.extended("call 2", ok().joined());
    replay.extended("insert 3", ok());
    replay.send();
    replay.answer();
    assert_eq!(replay.settled, [0; 0]);
    replay.send();
    replay.answer();
    assert_eq!(replay.settled, [1, 2]);
    assert_eq!(replay.server.committed, [1, 2]);
    replay.log.clear();
    replay.send();
    assert_eq!(replay.lose(), 1, "what the Sync commits");
    assert_eq!(replay.ran(), ["Unnamed: insert 3, Sync", "Unnamed: insert 3"]);
    assert_eq!(replay.server.committed, [1, 2, 3]);
    assert_eq!(replay.settled, [1, 2, 3]);
}

#[test]
fn a_routine_under_way_within_a_pipeline_may_have_committed() {
    let mut replay = Replay::new(settings());
    replay.extended("insert 1", ok().joined());
    replay.extended("call 2", ok().joined());
    replay.send();
    replay.answer();
    replay.send();
    assert_eq!(replay.lose(), 1);
}

#[test]
fn types_are_tried_by_running_the_pipeline_again() {
    let mut replay = Replay::new(settings());
    replay.extended("insert 1", ok().joined());
    replay.push("untypable insert 2", extended("", &["7"]), ok().joined());
    replay.push("untypable insert 3", extended("", &["7"]), ok());
    assert_eq!(
        replay.ran(),
        [
            "Unnamed: insert 1, Flush",
            "Unnamed: untypable insert 2, Flush",
            "Sync",
            "Unnamed: insert 1, Flush",
            "Unnamed typed: untypable insert 2, Flush",
            "Unnamed: untypable insert 3, Sync",
            "Unnamed: insert 1, Flush",
            "Unnamed typed: untypable insert 2, Flush",
            "Unnamed typed: untypable insert 3, Sync",
        ]
    );
    assert_eq!(replay.server.committed, [1, 2, 3]);
    assert_eq!(replay.results(), ["ok", "ok", "ok"]);
    assert_eq!(replay.guessed, 2);
}

// ---- Parameter types ----

#[test]
fn types_are_guessed_where_the_server_can_not_infer_them() {
    let mut replay = Replay::new(settings());
    replay.push("untypable insert 1", extended("", &["7"]), ok());
    assert_eq!(replay.ran(), ["Unnamed: untypable insert 1", "Unnamed typed: untypable insert 1"]);
    assert_eq!((replay.results(), replay.guessed), (vec!["ok".to_owned()], 1));
    replay.push("untypable insert 1", extended("", &["7"]), ok());
    assert_eq!(replay.ran(), ["Unnamed typed: untypable insert 1"], "it is known by now");
}

#[test]
fn in_a_transaction_a_savepoint_guards_it_against_types_that_are_not_inferred() {
    let mut replay = Replay::new(settings());
    replay.simple("begin", ok());
    replay.push("untypable insert 1", extended("", &["7"]), ok());
    replay.push("insert 2", extended("", &["7"]), ok());
    replay.push("insert 2", extended("", &["7"]), ok());
    replay.simple("commit", ok());
    assert_eq!(
        replay.ran(),
        [
            "begin",
            "SAVEPOINT kreplay",
            "Unnamed: untypable insert 1",
            "ROLLBACK TO SAVEPOINT kreplay",
            "Unnamed typed: untypable insert 1",
            "RELEASE SAVEPOINT kreplay",
            "SAVEPOINT kreplay",
            "Unnamed: insert 2",
            "RELEASE SAVEPOINT kreplay",
            "Unnamed: insert 2",
            "commit"
        ]
    );
    assert_eq!(replay.server.committed, [1, 2, 2]);
}

#[test]
fn what_a_savepoint_does_not_allow_is_run_without_one() {
    let mut replay = Replay::new(settings());
    replay.simple("begin", ok());
    replay.push("untypable export 1", extended("", &["7"]), ok());
    replay.push("untypable export 1", extended("", &["7"]), ok());
    replay.simple("commit", ok());
    let ran = replay.ran();
    let right = [
        "begin",
        "SAVEPOINT kreplay",
        "Unnamed: untypable export 1",
        "ROLLBACK TO SAVEPOINT kreplay",
        "Unnamed typed: untypable export 1",
        "ROLLBACK TO SAVEPOINT kreplay",
        "RELEASE SAVEPOINT kreplay",
        "Unnamed typed: untypable export 1",
        "Unnamed typed: untypable export 1",
        "commit",
    ];
    assert_eq!(ran, right);
    assert_eq!(replay.server.committed, [1, 1]);
    assert_eq!(replay.results(), ["ok"; 4]);
}

#[test]
fn what_the_end_of_a_savepoint_would_set_back_is_set_without_one() {
    for (sql, value) in [
        ("select set_config('transaction_read_only', $1, true)", "on"),
        ("select set_config($1, 'on', true)", "Transaction_Read_Only"),
    ] {
        let mut replay = Replay::new(settings());
        replay.simple("begin", ok());
        replay.push(sql, extended("", &[value]), ok());
        assert_eq!(replay.ran(), ["begin".to_owned(), format!("Unnamed: {sql}")]);
    }
}

#[test]
fn types_that_one_session_found_out_are_known_to_all() {
    let known = Arc::new(Findings::default());
    let mut first = Replay::new(settings());
    first.session = Session::new(settings(), known.clone());
    first.session.connected();
    first.push("untypable insert 1", extended("", &["7"]), ok());
    first.run();
    let mut replay = Replay::new(settings());
    replay.session = Session::new(settings(), known);
    replay.session.connected();
    replay.simple("begin", ok());
    replay.push("untypable insert 1", extended("", &["7"]), ok());
    assert_eq!(replay.ran(), ["begin", "Unnamed typed: untypable insert 1"]);
}

#[test]
fn a_statement_that_failed_on_the_source_gets_no_second_chance() {
    let mut replay = Replay::new(settings());
    replay.push("untypable insert 1", extended("", &["7"]), failed("42P18"));
    assert_eq!(replay.ran(), ["Unnamed: untypable insert 1"]);
    assert_eq!(replay.results(), ["42P18"]);
}

// ---- Failures of the source ----

#[test]
fn what_failed_for_its_surroundings_is_not_run_but_fails_alike() {
    for code in ["57014", "40P01", "40001", "55P03"] {
        let mut replay = Replay::new(settings());
        replay.simple("begin", ok());
        replay.simple("insert 1", failed(code));
        replay.simple("insert 2", failed("25P02"));
        replay.simple("commit", ok());
        assert_eq!(replay.ran(), ["begin", "raise", "insert 2", "commit"]);
        assert_eq!(replay.results(), ["ok", code, "25P02", "ok"]);
        assert!(replay.server.committed.is_empty());
    }
}

#[test]
fn what_failed_for_its_surroundings_draws_what_it_drew_and_leaves_nothing() {
    let mut replay = Replay::new(settings());
    let insert = "insert into t values (1)";
    replay.simple(insert, failed("55P03"));
    replay.push("insert into t values (2)", extended("s", &["7"]), failed("57014"));
    replay.simple("begin", ok());
    replay.simple("insert into t values (3)", ok());
    replay.simple("select 1; insert into t values (4); select 2", failed_in("40P01", Some(1)));
    replay.simple("rollback", ok());
    replay.simple("insert into t values (5)", ok());
    assert_eq!(
        replay.ran(),
        [
            "limits;insert into t values (1);raise",
            "draw only: insert into t values (2)",
            "begin",
            "insert into t values (3)",
            "select 1;limits;insert into t values (4);raise",
            "rollback",
            "insert into t values (5)",
        ]
    );
    assert_eq!(replay.server.drawn, [1, 2, 3, 4, 5]);
    assert_eq!(replay.server.committed, [5]);
    assert_eq!(replay.results(), ["55P03", "57014", "ok", "ok", "40P01", "ok", "ok"]);
    assert_eq!(replay.may_have_drawn, 0);
}

#[test]
fn however_what_was_to_be_undone_failed_it_counts_as_the_sources_failure() {
    let mut replay = Replay::new(settings());
    replay.simple("insert into t values (1)", failed("55P03"));
    replay.send();
    let duplicate = Some((state("23505"), false));
    let answer = Answer { error: duplicate, ..Answer::default() };
    let (_, ended) = replay.session.answered(answer).ended.expect("it ended");
    assert_eq!((ended.target, ended.took), (Err(state("55P03")), None));

    let mut replay = Replay::new(settings());
    replay.simple("begin", ok());
    replay.simple("fail 23505", ok());
    replay.simple("insert into t values (1)", failed("55P03"));
    replay.run();
    assert_eq!(replay.results(), ["ok", "23505", "25P02"], "its transaction had failed before");
    assert_eq!(replay.server.drawn, [0; 0]);
}

#[test]
fn a_statement_that_is_to_be_undone_stalls_nobody() {
    let mut replay = Replay::new(settings());
    replay.simple("insert into t values (1)", failed("55P03"));
    replay.simple("insert into t values (2)", ok());
    replay.send();
    assert!(replay.session.is_limited());
    replay.answer();
    assert!(!replay.session.is_limited());
}

#[test]
fn a_statement_that_is_to_be_undone_is_not_taken_for_one_before_it() {
    let mut replay = Replay::new(settings());
    replay.simple("begin", ok());
    replay.simple("insert into t values (1)", failed("55P03"));
    replay.simple("rollback", ok());
    replay.send();
    assert_eq!(replay.log, ["begin"], "the server works on nothing else");
    replay.answer();
    replay.send();
    assert!(replay.session.is_limited());
    assert_eq!(replay.ran(), ["begin", "limits;insert into t values (1);raise", "rollback"]);
}

#[test]
fn a_statement_that_is_about_to_be_canceled_stalls_nobody() {
    for (after_ms, code, is_limited) in
        [(20.0, "57014", true), (3_600_000.0, "57014", false), (20.0, "23505", false)]
    {
        let failure = Failure { code: state(code), after_ms: Some(after_ms), part: None };
        let end = End { source: SourceEnd::Failed(failure.code), failure: Some(failure), ..ok() };
        let mut replay = Replay::new(settings());
        replay.simple("alter table t detach partition u concurrently", end);
        replay.send();
        assert_eq!(replay.session.is_limited(), is_limited, "{code} after {after_ms} ms");
    }
}

#[test]
fn limits_that_a_rollback_to_a_savepoint_would_keep_are_not_set() {
    let mut replay = Replay::new(settings());
    let string = "begin; insert into t values (1); savepoint a; insert into t values (2)";
    replay.simple(string, failed_in("55P03", Some(3)));
    let right = "begin;insert into t values (1);savepoint a;limits;insert into t values (2);raise";
    assert_eq!(replay.ran(), [right]);
}

#[test]
fn what_draws_as_often_as_its_rows_or_a_routine_say_is_run_and_counted() {
    let mut replay = Replay::new(settings());
    replay.simple("select create_order(1)", failed("55P03"));
    assert_eq!(replay.ran(), ["limits;select create_order(1);raise"]);
    assert_eq!((replay.results(), replay.may_have_drawn), (vec!["55P03".to_owned()], 1));
}

#[test]
fn what_may_have_drawn_is_counted_where_it_is_not_run() {
    let mut replay = Replay::new(settings());
    replay.simple("copy t from stdin", failed("57014"));
    replay.simple("select n from t", failed("57014"));
    assert_eq!(replay.ran(), ["raise", "raise"]);
    assert_eq!(replay.may_have_drawn, 1);

    let mut replay = Replay::new(SessionSettings { read_only: true, ..settings() });
    replay.simple("insert into t values (1)", failed("57014"));
    assert_eq!(replay.ran(), ["raise"], "nothing could be drawn");

    let mut replay = Replay::new(SessionSettings { replay_cancels: true, ..settings() });
    replay.simple("insert into t select 1", failed("57014"));
    assert_eq!(replay.ran(), ["insert into t select 1"]);
    assert_eq!(replay.may_have_drawn, 0);
}

#[test]
fn what_sql_prepared_draws_as_its_statement_does() {
    let mut replay = Replay::new(settings());
    replay.simple("prepare p as insert into t values (1)", ok());
    replay.simple("execute p", failed("55P03"));
    assert_eq!(replay.ran(), ["prepare p as insert into t values (1)", "limits;execute p;raise"]);
}

#[test]
fn a_commit_that_failed_is_a_rollback_with_that_failure() {
    let mut replay = Replay::new(settings());
    replay.simple("begin", ok());
    replay.simple("insert 1", ok());
    replay.simple("commit", failed("40001"));
    replay.simple("insert 2", ok());
    assert_eq!(replay.ran(), ["begin", "insert 1", "ROLLBACK", "insert 2"]);
    assert_eq!(replay.results(), ["ok", "ok", "40001", "ok"]);
    assert_eq!(replay.server.committed, [2]);
}

#[test]
fn of_a_string_that_failed_for_its_surroundings_what_stood_before_is_run() {
    let string = "begin; insert 1; commit; insert 2; insert 3";
    let mut replay = Replay::new(settings());
    replay.simple(string, failed_in("57014", Some(4)));
    assert_eq!(
        replay.ran(),
        ["begin;limits;insert 1;commit;limits;insert 2;raise"],
        "it may have been any of them that waited"
    );
    assert_eq!((replay.results(), &replay.server.committed), (vec!["57014".to_owned()], &vec![1]));
    let mut replay = Replay::new(settings());
    replay.simple(string, failed_in("57014", Some(0)));
    assert_eq!(replay.ran(), ["raise"]);
}

#[test]
fn what_the_source_canceled_is_run_where_that_is_asked_for() {
    let mut replay = Replay::new(SessionSettings { replay_cancels: true, ..settings() });
    replay.simple("begin", ok());
    replay.simple("insert 1", failed("57014"));
    replay.simple("insert 2", failed("25P02"));
    assert_eq!(
        replay.ran(),
        ["begin", "insert 1", "raise", "insert 2"],
        "the cancel came too late: the transaction is aborted all the same, before what follows"
    );
    assert_eq!(replay.results(), ["ok", "ok", "25P02"]);
    replay.simple("rollback", ok());
    replay.simple("insert 3", failed("40P01"));
    assert_eq!(replay.ran(), ["rollback", "raise"], "a deadlock is not run");
}

#[test]
fn a_session_that_was_terminated_in_a_statement_does_not_run_it() {
    let mut replay = Replay::new(settings());
    replay.simple("insert 1", End { source: SourceEnd::Terminated, ..End::default() });
    assert_eq!(replay.ran(), [""]);
    assert!(replay.server.committed.is_empty());
}

#[test]
fn a_failure_of_which_too_little_is_known_fails_alike() {
    let mut replay = Replay::new(settings());
    replay.push("select 1/$1", Protocol::Unknown, failed("22012"));
    replay.push("fail 42601", Protocol::ParseOnly, failed("42601"));
    assert_eq!(replay.ran(), ["raise", "Parse: fail 42601"]);
    assert_eq!(replay.results(), ["22012", "42601"]);
}

#[test]
fn a_string_is_run_without_its_copy() {
    let mut replay = Replay::new(settings());
    replay.simple("begin; copy t from stdin; insert 1; commit", ok());
    replay.simple("copy t from stdin", failed("22P04"));
    assert_eq!(replay.ran(), ["begin;insert 1;commit", "raise"]);
    assert_eq!(replay.server.committed, [1]);
}

// ---- Records that come late ----

#[test]
fn what_is_told_before_a_statement_runs_decides_how_it_is_run() {
    let mut replay = Replay::new(settings());
    replay.simple("insert 1", End::default());
    let failure = Failure { code: state("57014"), after_ms: None, part: None };
    assert_eq!(replay.session.amend(Amendment::Failed(failure)), Amended::Nothing);
    assert_eq!(replay.ran(), ["raise"]);
}

#[test]
fn what_runs_and_would_not_have_ended_well_is_canceled() {
    let late =
        |code: &str| Amendment::Failed(Failure { code: state(code), after_ms: None, part: None });
    let mut replay = Replay::new(settings());
    replay.simple("insert 1", End::default());
    replay.send();
    assert_eq!(replay.session.amend(late("57014")), Amended::Cancel(Seq(1)));
    let mut replay = Replay::new(settings());
    replay.simple("fail 23505", End::default());
    replay.send();
    assert_eq!(replay.session.amend(late("23505")), Amended::Nothing);
    let mut replay = Replay::new(settings());
    replay.simple("insert 1", End::default());
    replay.send();
    assert_eq!(replay.session.amend(Amendment::Terminated), Amended::Cancel(Seq(1)));
}

#[test]
fn a_failure_that_is_told_too_late_aborts_the_transaction_before_what_follows() {
    let failure = Failure { code: state("57014"), after_ms: None, part: None };
    let mut replay = Replay::new(settings());
    replay.simple("begin", ok());
    replay.simple("insert 1", End::default());
    replay.run();
    assert_eq!(replay.session.amend(Amendment::Failed(failure)), Amended::Abort);
    assert!(replay.session.is_busy());
    replay.simple("insert 2", failed("25P02"));
    replay.simple("commit", ok());
    assert_eq!(replay.ran(), ["begin", "insert 1", "raise", "insert 2", "commit"]);
    assert_eq!(replay.results(), ["ok", "ok", "25P02", "ok"]);
    assert!(replay.server.committed.is_empty());
    assert_eq!(replay.settled, [1, 2, 3, 4]);
}

#[test]
fn a_failure_that_is_told_late_of_what_failed_here_too_is_no_news() {
    let failure = |code| Failure { code: state(code), after_ms: None, part: None };
    let mut replay = Replay::new(settings());
    replay.simple("fail 23505", End::default());
    replay.run();
    assert_eq!(replay.session.amend(Amendment::Failed(failure("23505"))), Amended::Nothing);
    replay.simple("insert 1", End::default());
    replay.run();
    assert_eq!(replay.session.amend(Amendment::Failed(failure("23505"))), Amended::TooLate);
    assert_eq!(replay.run(), Next::Idle);
}

// ---- Read-only replay ----

#[test]
fn a_session_that_must_not_write_is_not_let() {
    let mut replay = Replay::new(SessionSettings { read_only: true, ..settings() });
    replay.simple("begin isolation level serializable read write; select 1", ok());
    replay.simple("set default_transaction_read_only = off; select 2", ok());
    replay.extended("set session characteristics as transaction read write", ok());
    replay.push(
        "select set_config($1, $2, false)",
        extended("", &["default_transaction_read_only", "off"]),
        ok(),
    );
    replay.simple("commit", ok());
    assert_eq!(
        replay.ran(),
        [
            "begin isolation level serializable read ONLY; select 1",
            "; select 2",
            "set session characteristics as transaction read ONLY",
            "",
            "commit"
        ]
    );
    replay.lose();
    assert_eq!(replay.ran(), [""; 0], "and none of it is restored");
    let mut replay = Replay::new(settings());
    replay.simple("begin read write", ok());
    assert_eq!(replay.ran(), ["begin read write"]);
}

// ---- The end of a session ----

#[test]
fn a_close_waits_for_what_came_before_and_settles_the_open_transaction() {
    let mut replay = Replay::new(settings());
    replay.simple("begin", ok());
    replay.simple("insert 1", ok());
    replay.session.close(Closing::Source(None));
    assert_eq!(replay.send(), Next::Wait);
    replay.close();
    assert_eq!(replay.settled, [1, 2]);
    assert!(replay.server.committed.is_empty());
    assert!(!replay.session.has_memory() && !replay.session.is_busy());
}

#[test]
fn a_statement_behind_the_end_opens_the_session_again() {
    let mut replay = Replay::new(settings());
    replay.session.close(Closing::Source(None));
    replay.simple("insert 1", ok());
    assert_eq!(replay.run(), Next::Idle);
    assert_eq!(replay.server.committed, [1]);
}

#[test]
fn a_statement_that_alters_log_ins_asks_for_those_before_it_first() {
    let mut replay = Replay::new(settings());
    for sql in ["insert 1", "alter role r nologin", "create role q"] {
        replay.simple(sql, ok());
    }
    replay.simple("drop role r", failed("2BP01"));
    assert_eq!(replay.send(), Next::AskChange(Seq(2)));
    assert_eq!(replay.send(), Next::Wait, "it asks once");
    assert_eq!(std::mem::take(&mut replay.log), ["insert 1"]);
    replay.session.grant_change(Seq(2));
    assert_eq!(replay.ran(), ["alter role r nologin", "create role q", "drop role r"]);
}

#[test]
fn a_change_waits_for_a_log_in_before_it_until_that_is_made_or_refused() {
    let mut session = Session::new(settings(), Arc::default());
    session.logs_in_before(Seq(5));
    assert!(!session.await_log_in(Seq(4), true), "it comes later");
    assert!(session.await_log_in(Seq(5), true) && session.is_log_in_awaited());
    session.log_in_refused();
    assert!(!session.is_log_in_awaited());
    session.log_in_tried_again();
    assert!(session.is_log_in_awaited());
    session.connected();
    assert!(!session.is_log_in_awaited() && !session.await_log_in(Seq(9), true));
    session.close(Closing::Source(None));
    session.lost();
    assert!(!session.await_log_in(Seq(9), true), "it is over");
}

#[test]
fn a_log_in_that_may_be_impossible_later_keeps_its_connection() {
    let mut session = Session::new(settings(), Arc::default());
    session.logs_in_before(Seq(1));
    session.connected();
    session.keep_log_in();
    assert!(session.connection_state().bound);
    session.lost();
    assert!(!session.connection_state().bound);
    assert!(session.await_log_in(Seq(5), false));
    session.log_in_put_off();
    assert!(!session.is_log_in_awaited() && session.is_log_in_put_off());
    assert!(session.await_log_in(Seq(6), true));
    session.connected();
    assert!(session.connection_state().bound, "it was made because it would be impossible");
}
