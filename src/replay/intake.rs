//! From records to what sessions get: classification, filters, places in the order.
//!
//! Records go in by [`Intake::record`], in the order of their arrival; deliveries come out by
//! [`Intake::release`], in the same order, as soon as the log has told enough.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use foldhash::HashMap;

use crate::pglog::session_log::{Lost, Nothing, Previous, SessionLog, This};
use crate::pglog::sql::Command;
use crate::pglog::statement::{Amendment, SourceEnd, Statement, SyncEnd};
use crate::pglog::{LogRecord, RecordKind, SessionId, SqlState};
use crate::replay::checkpoint::Checkpoint;
use crate::replay::ledger::{Fate, Filtered, Skipped};
use crate::replay::lines::{Line, Lines};
use crate::replay::lookahead::{Lookahead, LookaheadLimits};
use crate::replay::pace::{Moment, Pace, Schedule};
use crate::replay::settings::{Filters, Identity, Login};
use crate::replay::work::{End, Position, Seq, Work};

/// Turns records into deliveries.
#[derive(Debug)]
pub struct Intake {
    settings: IntakeSettings,
    sessions: HashMap<SessionId, SourceSession>,
    lookahead: Lookahead<Held>,
    /// What need not wait: news of a statement that has left.
    at_once: VecDeque<Delivery>,
    /// How far each partition is.
    pub checkpoint: Checkpoint,
    /// The place of the last statement.
    seq: Seq,
    schedule: Option<Schedule>,
    /// Statements that --skip-count still leaves out.
    to_skip: u64,
    ended: bool,
}

/// What is let in.
#[derive(Debug, Clone)]
pub struct IntakeSettings {
    /// What is left out.
    pub filters: Filters,
    /// As whom and to which database a session is replayed.
    pub identity: Identity,
    /// How long a statement waits for what the log may still tell of it.
    pub patience: LookaheadLimits,
    /// The pace that is kept, if any.
    pub pace: Option<Pace>,
    /// Whether statements are only counted.
    pub dry_run: bool,
}

/// Something for one session.
#[derive(Debug)]
pub struct Delivery {
    /// The session.
    pub session: SessionId,
    /// The partition that its records come from.
    pub partition: i32,
    /// Who the session is on the target.
    pub login: Arc<Login>,
    /// What it gets.
    pub event: SessionEvent,
}

/// What a session gets.
#[derive(Debug)]
pub enum SessionEvent {
    /// It logs in, before the statement with this place.
    Open(Seq),
    /// Its next statement.
    Work(Arc<Work>),
    /// A statement that an earlier run of kreplay replayed, for the sake of what it set up.
    Remember(Box<Statement>),
    /// More about its last statement.
    Amend(Amendment),
    /// It ended on the source; with this error if the server ended it.
    Close(Option<SqlState>),
}

/// What comes out.
#[derive(Debug)]
pub enum Released {
    /// Something for a session.
    Delivery(Delivery),
    /// A statement that is not replayed, and why.
    Left(Fate),
}

/// What a record turned out to be.
#[derive(Debug, Default, PartialEq)]
pub struct IntakeResult {
    /// What becomes of it; `None` for a statement, whose fate is open.
    pub fate: Option<Fate>,
    /// What it is; `None` where it was left out unread.
    pub kind: Option<RecordKind>,
    /// What its line number tells of it; `None` where it was left out unread.
    pub line: Option<Line>,
    /// The partition (or file) that holds the record of its session before it.
    pub read_in: Option<i32>,
    /// Whether its session was joined after its beginning.
    pub joined: bool,
    /// How many records of its session are missing before it.
    pub missing: u64,
    /// The error that the source's server ended the session with.
    pub session_error: Option<SqlState>,
    /// Whether the server ended all its sessions: what is held has to be released, then they close.
    pub server_ended: bool,
}

/// One session of the source, as its log shows it.
#[derive(Debug, Default)]
struct SourceSession {
    log: SessionLog,
    lines: Lines,
    login: Option<Arc<Login>>,
    /// Whether anything was delivered for it.
    delivered: bool,
    /// Whether its last statement was delivered: what is told of one that was left out must not
    /// amend the one before.
    amends: bool,
    /// Whether its last delivered statement shares its Sync with what follows.
    joins: bool,
    seen_ms: u64,
    /// The partition of its last record.
    partition: i32,
}

/// What waits until the log has told all of it.
#[derive(Debug)]
enum Held {
    Open,
    Statement { at: Position, statement: Box<Statement>, end: End },
    Close { code: Option<SqlState> },
}

/// How long the state of a silent session's log is kept.
const SESSION_LOG_KEPT_MS: u64 = 3_600_000;

impl Intake {
    /// One that has seen nothing.
    pub fn new(settings: IntakeSettings) -> Self {
        Self {
            sessions: HashMap::default(),
            lookahead: Lookahead::new(settings.patience),
            at_once: VecDeque::new(),
            checkpoint: Checkpoint::default(),
            seq: Seq(0),
            schedule: settings.pace.map(Schedule::new),
            to_skip: settings.filters.skip_count,
            ended: false,
            settings,
        }
    }

    /// A partition is read from where an earlier run had committed: --skip-count was done by then.
    pub fn resume(&mut self, partition: i32, offset: i64, metadata: &str) {
        self.checkpoint.resume(partition, offset, metadata);
        self.to_skip = 0;
    }

    /// Takes the next record. `now_ms` counts from any moment, but never backwards.
    pub fn record(&mut self, at: Position, record: &LogRecord<'_>, now_ms: u64) -> IntakeResult {
        let mut result = IntakeResult::default();
        result.fate = self.read(at, record, now_ms, &mut result);
        if result.fate.is_some() {
            self.checkpoint.pass(at.partition, at.offset);
        }
        result
    }

    /// Takes a record that can't be read.
    pub fn pass(&mut self, at: Position) {
        self.checkpoint.pass(at.partition, at.offset);
    }

    fn read(
        &mut self,
        at: Position,
        record: &LogRecord<'_>,
        now_ms: u64,
        result: &mut IntakeResult,
    ) -> Option<Fate> {
        if let Some(reason) = self.settings.filters.leaves_out(record) {
            return Some(Fate::Filtered(reason));
        }
        let session = record.session;
        let known = self.sessions.entry(session).or_default();
        known.seen_ms = now_ms;
        result.read_in = known.lines.have_begun().then_some(known.partition);
        known.partition = at.partition;
        let line = known.lines.see(record.line);
        result.line = Some(line);
        match line {
            Line::Next | Line::Late => {}
            Line::Joined => result.joined = true,
            Line::Gap(missing) => result.missing = missing,
            Line::Repeat | Line::Early => return Some(Fate::Filtered(Filtered::Duplicate)),
        }
        let reading = known.log.read(record);
        result.kind = Some(known.log.kind());
        let open = known.log.may_tell_more();
        if known.login.is_none() && !record.user.is_empty() && !record.database.is_empty() {
            known.login = Some(Arc::new(self.settings.identity.login(record)));
        }
        let login = known.login.clone();
        self.previous(session, reading.previous);
        match (reading.this, login) {
            (This::Statement { statement, end, failure }, Some(_)) => {
                if self.to_skip > 0 {
                    self.to_skip -= 1;
                    if let Some(known) = self.sessions.get_mut(&session) {
                        known.amends = false;
                    }
                    return Some(Fate::Filtered(Filtered::SkipCount));
                }
                let end = End { source: end, failure, ..End::default() };
                self.checkpoint.begin(at.partition, at.offset);
                let bytes = size_of::<Statement>() + statement.size();
                let held = Held::Statement { at, statement, end };
                self.lookahead.push(session, held, bytes, open, now_ms);
                return None;
            }
            (This::Statement { .. }, None) => return Some(Fate::Filtered(Filtered::Noise)),
            (This::Opened, login) => {
                if login.is_some() && !self.settings.dry_run {
                    self.lookahead.push(session, Held::Open, 0, false, now_ms);
                }
            }
            (This::Closed(code), login) => {
                result.session_error = code;
                if login.is_some() {
                    self.lookahead.push(session, Held::Close { code }, 0, false, now_ms);
                }
            }
            (This::Nothing(nothing), _) => return Some(Fate::Filtered(nothing.into())),
            (This::Lost(lost), _) => return Some(Fate::Skipped(lost.into())),
            (This::ServerEnded, _) => {
                result.server_ended = true;
                self.lookahead.end_all();
                return Some(Fate::Filtered(Filtered::Noise));
            }
            (This::BackendDied(pid), _) => {
                self.backend_died(pid, now_ms);
                return Some(Fate::Filtered(Filtered::Noise));
            }
        }
        Some(Fate::Filtered(Filtered::Connection))
    }

    fn previous(&mut self, session: SessionId, previous: Previous) {
        let (amendment, held) = match previous {
            Previous::Open => return,
            Previous::Ended => {
                self.lookahead.end(session, |_| {});
                return;
            }
            Previous::Noted(amendment) => {
                (amendment, self.lookahead.amend(session, |held| held.amend(amendment)))
            }
            Previous::Amended(amendment) => {
                (amendment, self.lookahead.end(session, |held| held.amend(amendment)))
            }
        };
        if !held
            && let Some(known) = self.sessions.get_mut(&session)
            && known.amends
            && let Some(login) = known.login.clone()
        {
            known.joins |= amendment == Amendment::Joined;
            self.deliver_at_once(session, login, SessionEvent::Amend(amendment));
        }
    }

    /// A backend crashed: its session has no record of its end.
    fn backend_died(&mut self, pid: Option<u32>, now_ms: u64) {
        let dead = self.sessions.keys().filter(|session| Some(session.pid) == pid);
        for session in dead.copied().collect::<Vec<_>>() {
            self.previous(session, Previous::Amended(Amendment::Terminated));
            self.lookahead.push(session, Held::Close { code: None }, 0, false, now_ms);
        }
    }

    /// The server has ended all its sessions, and all that was held of them is released: what comes
    /// now is of new ones.
    pub fn forget_sessions(&mut self) {
        self.sessions.clear();
    }

    /// A partition goes to another process: its sessions are forgotten, and what is held of them is
    /// dropped. It stays pending, so that it is the next owner's to replay. Returns how many
    /// statements that were.
    pub fn hand_over(&mut self, partition: i32) -> usize {
        let sessions = &self.sessions;
        let gone = |session| sessions.get(&session).is_some_and(|s| s.partition == partition);
        let dropped = self.lookahead.drop_sessions(gone);
        self.at_once.retain(|delivery| delivery.partition != partition);
        self.sessions.retain(|_, known| known.partition != partition);
        dropped.iter().filter(|held| matches!(held, Held::Statement { .. })).count()
    }

    /// Nothing more will be read: nothing held has to wait any longer.
    pub fn end(&mut self) {
        self.ended = true;
        self.lookahead.end_all();
    }

    /// Whether nothing more will be read.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    // ---- What comes out ----

    /// The next thing that need not wait, if there is room for a statement; without room, what needs
    /// none. Statements are due by a schedule that counts from when `now_ms` does.
    pub fn release(&mut self, now_ms: u64, room: bool) -> Option<Released> {
        if let Some(delivery) = self.at_once.pop_front() {
            return Some(Released::Delivery(delivery));
        }
        loop {
            let (session, held) = if room { self.lookahead.pop(now_ms)? } else { return None };
            let Some(known) = self.sessions.get_mut(&session) else { continue };
            let Some(login) = known.login.clone() else { continue };
            let partition = known.partition;
            let released = match held {
                Held::Open => {
                    known.delivered = true;
                    let event = SessionEvent::Open(self.seq.next());
                    Released::Delivery(Delivery { session, partition, login, event })
                }
                Held::Close { .. } if !known.delivered => continue,
                Held::Close { code } => {
                    let event = SessionEvent::Close(code);
                    Released::Delivery(Delivery { session, partition, login, event })
                }
                Held::Statement { at, statement, end } => {
                    self.release_statement(session, login, at, statement, end, now_ms)
                }
            };
            return Some(released);
        }
    }

    fn release_statement(
        &mut self,
        session: SessionId,
        login: Arc<Login>,
        at: Position,
        statement: Box<Statement>,
        end: End,
        now_ms: u64,
    ) -> Released {
        let left_out = self.not_replayed(at, &statement, end);
        let mut joined = false;
        if let Some(known) = self.sessions.get_mut(&session) {
            joined = known.joins;
            known.amends = left_out.is_none();
            known.joins = end.sync == SyncEnd::Joined && (joined || left_out.is_none());
        }
        let event = match left_out {
            None => {
                self.seq = self.seq.next();
                let now = Moment::after(Duration::from_millis(now_ms));
                let due = self.schedule.as_mut().map(|schedule| schedule.due(&statement, now));
                let work = Work::new(self.seq, at, session, *statement, end);
                SessionEvent::Work(Arc::new(work.due_at(due)))
            }
            Some(fate) => {
                if joined && end.sync == SyncEnd::Synced {
                    let event = SessionEvent::Amend(Amendment::Synced);
                    self.deliver_at_once(session, login.clone(), event);
                }
                if fate == Fate::Filtered(Filtered::AlreadyDone)
                    && statement.outline.has(Command::sets_up_session)
                {
                    self.deliver_at_once(session, login, SessionEvent::Remember(statement));
                }
                self.checkpoint.settle(at.partition, at.offset);
                return Released::Left(fate);
            }
        };
        if let Some(known) = self.sessions.get_mut(&session) {
            known.delivered = true;
        }
        Released::Delivery(Delivery { session, partition: at.partition, login, event })
    }

    /// What becomes of a statement that is not replayed; `None` if it is.
    fn not_replayed(&self, at: Position, statement: &Statement, end: End) -> Option<Fate> {
        let failed = matches!(end.source, SourceEnd::Failed(_));
        let only = |what: Command| {
            !statement.outline.parts.is_empty() && !statement.outline.has(|c| c != what)
        };
        if self.checkpoint.is_settled(at.partition, at.offset) {
            Some(Fate::Filtered(Filtered::AlreadyDone))
        } else if self.settings.dry_run {
            Some(Fate::Filtered(Filtered::DryRun))
        } else if self.settings.filters.skip_selects && !failed && only(Command::Read) {
            Some(Fate::Filtered(Filtered::Select))
        } else if !failed && only(Command::CopyFromStdin) {
            Some(Fate::Skipped(Skipped::CopyData))
        } else {
            None
        }
    }

    fn deliver_at_once(&mut self, session: SessionId, login: Arc<Login>, event: SessionEvent) {
        if self.settings.dry_run {
            return;
        }
        let Some(known) = self.sessions.get_mut(&session) else { return };
        known.delivered = true;
        let partition = known.partition;
        self.at_once.push_back(Delivery { session, partition, login, event });
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.lookahead.is_empty() && self.at_once.is_empty()
    }

    /// Whether so much is held that nothing more need be read to release the oldest.
    pub fn is_full(&self) -> bool {
        self.lookahead.is_full()
    }

    /// Forgets sessions that have been silent for long: one that goes on after all counts as joined
    /// in the middle. One of which something is held is not silent: the target may have been away for
    /// as long as that.
    pub fn forget_silent(&mut self, now_ms: u64) {
        let lookahead = &self.lookahead;
        self.sessions.retain(|session, known| {
            now_ms.saturating_sub(known.seen_ms) < SESSION_LOG_KEPT_MS || lookahead.holds(*session)
        });
    }
}

impl Held {
    fn amend(&mut self, amendment: Amendment) {
        if let Self::Statement { end, .. } = self {
            end.amend(amendment);
        }
    }
}

impl From<Nothing> for Filtered {
    fn from(nothing: Nothing) -> Self {
        match nothing {
            Nothing::Noise => Self::Noise,
            Nothing::Step => Self::Protocol,
            Nothing::Outcome => Self::Outcome,
            Nothing::Connection => Self::Connection,
            Nothing::ParallelWorker => Self::ParallelWorker,
        }
    }
}

impl From<Lost> for Skipped {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::Fastpath => Self::Fastpath,
            Lost::Replication => Self::Replication,
            Lost::NoText => Self::NoText,
            Lost::Truncated => Self::Truncated,
        }
    }
}

#[cfg(test)]
mod tests {
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
        intake.forget_silent(2 * SESSION_LOG_KEPT_MS);
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
}
