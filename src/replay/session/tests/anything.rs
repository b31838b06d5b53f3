//! Any session, whatever happens to its connection: what is committed is what the source committed.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::server::Settings;
use super::*;

/// Something that a session does in one go.
#[derive(Debug, Clone)]
enum Unit {
    /// A simple statement of its own.
    Auto(Item),
    /// A transaction block, committed or not.
    Block(Vec<Item>, Ending),
    /// Statements that share a Sync.
    Group(u8, GroupEnd),
}

#[derive(Debug, Clone, Copy)]
enum Item {
    Insert,
    /// Of the extended protocol, with parameters whose types must be found out, under a name.
    Typed,
    Fails,
    /// Failed on the source for what happened around it.
    Canceled,
    /// The same, told after it has run.
    CanceledLate,
    /// Sets, for itself or for its transaction, what a server tells durations by, or shows it.
    Sets(&'static str),
    /// A savepoint, and after what follows the way back to it: in a block alone.
    Savepoint,
}

#[derive(Debug, Clone, Copy)]
enum Ending {
    Commit,
    RollBack,
    /// `COMMIT AND CHAIN`, one insert more, `COMMIT`.
    Chain,
    FailedCommit,
}

#[derive(Debug, Clone, Copy)]
enum GroupEnd {
    Synced,
    Fails,
    FailsToParse,
    Deferred,
    Begin,
    /// A routine that commits, and an insert more.
    Calls,
}

/// A statement of the session, with what a record tells only when it has run.
#[derive(Debug)]
struct Sent {
    sql: String,
    protocol: Protocol,
    end: End,
    late: Option<&'static str>,
}

/// What the session sends, and what the source committed of it.
#[derive(Debug, Default)]
struct Source {
    sent: Vec<Sent>,
    committed: Vec<u64>,
    inserted: u64,
    /// Its settings, and what it was shown of them, by the statement's place.
    settings: Settings,
    shown: BTreeMap<u64, String>,
}

/// What became of a statement on the source.
enum Became {
    Effect(u64),
    Nothing,
    Failed,
}

impl Source {
    fn of(units: &[Unit]) -> Self {
        let mut source = Self::default();
        for unit in units {
            source.unit(unit);
        }
        source
    }

    fn send(&mut self, sql: impl Into<String>, protocol: Protocol, end: End) {
        self.sent.push(Sent { sql: sql.into(), protocol, end, late: None });
    }

    fn insert(&mut self) -> (u64, String) {
        self.inserted += 1;
        (self.inserted, format!("insert {}", self.inserted))
    }

    /// Sends a statement that sets or shows a setting.
    fn setting(&mut self, sql: &str, in_block: bool) -> Became {
        self.send(sql, Protocol::Simple, ok());
        if sql.starts_with("SHOW") {
            self.shown.insert(self.sent.len() as u64, self.settings.now.client.clone());
        } else {
            self.settings.set(sql, in_block);
        }
        Became::Nothing
    }

    /// Sends a statement.
    fn item(&mut self, item: Item, in_block: bool) -> Became {
        if let Item::Sets(sql) = item {
            return self.setting(sql, in_block);
        }
        let (number, sql) = self.insert();
        match item {
            Item::Insert => self.send(sql, Protocol::Simple, ok()),
            Item::Typed => self.send(format!("untypable {sql}"), extended("s", &["7"]), ok()),
            Item::Fails => self.send("fail 23505", Protocol::Simple, failed("23505")),
            Item::CanceledLate if in_block => {
                self.send(sql, Protocol::Simple, End::default());
                self.sent.last_mut().expect("just sent").late = Some("57014");
            }
            Item::Canceled | Item::CanceledLate => {
                self.send(sql, Protocol::Simple, failed("57014"));
            }
            // A savepoint outside of a block.
            Item::Sets(_) | Item::Savepoint => {
                self.send("fail 25P01", Protocol::Simple, failed("25P01"))
            }
        }
        match item {
            Item::Insert | Item::Typed => Became::Effect(number),
            _ => Became::Failed,
        }
    }

    fn unit(&mut self, unit: &Unit) {
        match unit {
            Unit::Auto(item) => {
                if let Became::Effect(effect) = self.item(*item, false) {
                    self.committed.push(effect);
                }
            }
            Unit::Block(items, ending) => self.block(items, *ending),
            Unit::Group(length, end) => self.group(*length, *end),
        }
    }

    fn block(&mut self, items: &[Item], ending: Ending) {
        self.send("begin", Protocol::Simple, ok());
        self.settings.begin();
        let mut effects = Vec::new();
        let mut savepoint = None;
        let mut aborted = false;
        for item in items {
            if aborted {
                let (_, sql) = self.insert();
                self.send(sql, Protocol::Simple, failed("25P02"));
                continue;
            }
            match (item, savepoint) {
                (Item::Savepoint, None) => {
                    self.send("savepoint s", Protocol::Simple, ok());
                    savepoint = Some(effects.len());
                    self.settings.begin();
                }
                (Item::Savepoint, Some(before)) => {
                    self.send("rollback to s", Protocol::Simple, ok());
                    effects.truncate(before);
                    self.settings.roll_back_to_savepoint();
                }
                _ => match self.item(*item, true) {
                    Became::Effect(effect) => effects.push(effect),
                    Became::Nothing => {}
                    Became::Failed => aborted = true,
                },
            }
        }
        if aborted {
            effects.clear();
        }
        self.settings.end(!aborted && matches!(ending, Ending::Commit | Ending::Chain));
        match ending {
            Ending::Commit => self.send("commit", Protocol::Simple, ok()),
            Ending::RollBack => {
                self.send("rollback", Protocol::Simple, ok());
                effects.clear();
            }
            Ending::Chain => {
                self.send("commit and chain", Protocol::Simple, ok());
                let (number, sql) = self.insert();
                self.send(sql, Protocol::Simple, ok());
                self.send("commit", Protocol::Simple, ok());
                effects.push(number);
            }
            Ending::FailedCommit => {
                self.send("commit", Protocol::Simple, failed("40001"));
                effects.clear();
            }
        }
        self.committed.extend(effects);
    }

    fn group(&mut self, length: u8, end: GroupEnd) {
        let mut effects = Vec::new();
        for _ in 0..length {
            let (number, sql) = self.insert();
            let (sql, protocol) = if number.is_multiple_of(3) {
                (format!("untypable {sql}"), extended("s", &["7"]))
            } else {
                (sql, extended("", &[]))
            };
            self.send(sql, protocol, ok().joined());
            effects.push(number);
        }
        let (number, sql) = self.insert();
        let plain = extended("", &[]);
        match end {
            GroupEnd::Synced => {
                self.send(sql, plain, ok());
                effects.push(number);
            }
            GroupEnd::Calls => {
                self.send(format!("call {number}"), plain.clone(), ok().joined());
                let (last, sql) = self.insert();
                self.send(sql, plain, ok());
                effects.extend([number, last]);
            }
            GroupEnd::Fails => self.send("fail 23505", plain, failed("23505")),
            GroupEnd::FailsToParse => self.send("fail 42601", Protocol::ParseOnly, failed("42601")),
            GroupEnd::Deferred => self.send("defer 23503", plain, failed("23503")),
            GroupEnd::Begin => {
                self.send("begin", plain, ok());
                self.send(sql, Protocol::Simple, ok());
                self.send("commit", Protocol::Simple, ok());
                effects.push(number);
            }
        }
        if !matches!(end, GroupEnd::Synced | GroupEnd::Begin | GroupEnd::Calls) {
            effects.clear();
        }
        self.committed.extend(effects);
    }
}

const SETTINGS: [&str; 7] = [
    "SHOW client_min_messages",
    "SHOW client_min_messages",
    "SET client_min_messages TO warning",
    "SET LOCAL client_min_messages TO error",
    "RESET client_min_messages",
    "RESET ALL",
    "SET log_duration TO off",
];

fn any_item() -> impl Strategy<Value = Item> {
    prop_oneof![
        4 => Just(Item::Insert),
        2 => Just(Item::Typed),
        1 => Just(Item::Fails),
        1 => Just(Item::Canceled),
        1 => Just(Item::CanceledLate),
        4 => prop::sample::select(SETTINGS.to_vec()).prop_map(Item::Sets),
        1 => Just(Item::Savepoint),
    ]
}

fn any_unit() -> impl Strategy<Value = Unit> {
    let ending = prop::sample::select(vec![
        Ending::Commit,
        Ending::Commit,
        Ending::RollBack,
        Ending::Chain,
        Ending::FailedCommit,
    ]);
    let group_end = prop::sample::select(vec![
        GroupEnd::Synced,
        GroupEnd::Synced,
        GroupEnd::Fails,
        GroupEnd::FailsToParse,
        GroupEnd::Deferred,
        GroupEnd::Begin,
        GroupEnd::Calls,
    ]);
    prop_oneof![
        any_item().prop_map(Unit::Auto),
        (prop::collection::vec(any_item(), 0..4), ending).prop_map(|(i, e)| Unit::Block(i, e)),
        (1..3_u8, group_end).prop_map(|(n, end)| Unit::Group(n, end)),
    ]
}

/// What happens next.
#[derive(Debug, Clone, Copy)]
enum Event {
    /// The next statement is read.
    Read,
    /// What can be sent is sent.
    Send,
    /// The server answers a request.
    Answer,
    /// The connection is lost, after the server has got so many of the requests under way.
    Lose(usize),
    /// The session is given up for being silent.
    GiveUp,
}

fn any_event(lost_in_between: bool) -> impl Strategy<Value = Event> {
    let got = if lost_in_between { 0..4_usize } else { 0..1 };
    prop_oneof![
        8 => Just(Event::Read),
        4 => Just(Event::Send),
        8 => Just(Event::Answer),
        2 => got.prop_map(Event::Lose),
        1 => Just(Event::GiveUp),
    ]
}

/// Replays the session under these events, and then to its end. Gives the replay, and how many
/// statements were in doubt.
fn replayed(source: &Source, events: &[Event], settings: SessionSettings) -> (Replay, usize) {
    replayed_on(Replay::new(settings), source, events)
}

fn replayed_on(mut replay: Replay, source: &Source, events: &[Event]) -> (Replay, usize) {
    let (mut in_doubt, mut losses) = (0, 0);
    let mut coming = source.sent.iter();
    let read = |replay: &mut Replay, sent: &Sent| {
        replay.push(&sent.sql, sent.protocol.clone(), sent.end);
        if let Some(code) = sent.late {
            // It has run, or runs; its failure is told before the session's next statement.
            if replay.seq.is_multiple_of(2) {
                replay.run();
            }
            let failure = Failure { code: state(code), after_ms: None, part: None };
            replay.session.amend(Amendment::Failed(failure));
        }
    };
    for event in events {
        match event {
            Event::Read => {
                if let Some(sent) = coming.next() {
                    read(&mut replay, sent);
                }
            }
            Event::Send => {
                if let Next::Ask(seq) = replay.send() {
                    replay.session.grant(seq);
                }
            }
            Event::Answer if !replay.wire.is_empty() => replay.answer(),
            Event::Answer => {}
            // A statement that loses its connection more often is given up.
            Event::Lose(_) if losses == 4 => {}
            Event::Lose(got) => {
                losses += 1;
                for request in replay.wire.iter().take(*got) {
                    replay.server.answer(request);
                }
                in_doubt += replay.lose();
            }
            Event::GiveUp => {
                if replay.leave(Leave::Idle).is_some_and(|left| !left.kept) {
                    replay.session.connected();
                }
            }
        }
    }
    for sent in coming {
        read(&mut replay, sent);
    }
    replay.close();
    (replay, in_doubt)
}

fn each_once(source: &Source, told: impl IntoIterator<Item = u64>) -> Result<(), TestCaseError> {
    let mut told: Vec<u64> = told.into_iter().collect();
    told.sort_unstable();
    let all: Vec<u64> = (1..=source.sent.len() as u64).collect();
    prop_assert_eq!(told, all);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn the_target_commits_what_the_source_did_exactly_once(
        units in prop::collection::vec(any_unit(), 0..6),
        events in prop::collection::vec(any_event(false), 0..120),
        takes_turns: bool,
        server_durations: bool,
        explain: bool,
        refuses: bool,
        depth in 1..5_usize,
    ) {
        let source = Source::of(&units);
        let settings = SessionSettings { takes_turns, depth, server_durations, explain, ..settings() };
        let mut replay = Replay::new(settings);
        if refuses {
            replay.server.refuses_durations();
        }
        let (replay, _) = replayed_on(replay, &source, &events);
        prop_assert_eq!(&replay.server.committed, &source.committed);
        prop_assert_eq!(&replay.server.shown, &source.shown);
        each_once(&source, replay.ended.iter().map(|(seq, _)| *seq))?;
        each_once(&source, replay.settled.iter().copied())?;
    }

    #[test]
    fn a_transaction_that_the_target_alone_failed_is_committed_exactly_once(
        units in prop::collection::vec(any_unit(), 0..6),
        events in prop::collection::vec(any_event(false), 0..120),
        victims in prop::collection::btree_map(1..20_u64, 1..3_usize, 0..6),
        commits in 0..3_usize,
        takes_turns: bool,
        server_durations: bool,
        explain: bool,
        refuses: bool,
        depth in 1..5_usize,
    ) {
        let source = Source::of(&units);
        let mut replay = Replay::new(SessionSettings { takes_turns, depth, server_durations, explain, ..settings() });
        replay.session.findings.expect_victims();
        for (number, times) in victims {
            replay.server.clashes(&format!("insert {number}"), "40P01", times);
        }
        for commit in ["commit", "COMMIT", "commit and chain"] {
            replay.server.clashes(commit, "40P01", commits);
        }
        let (replay, _) = replayed_on(replay, &source, &events);
        // Unless it was tried too often.
        if replay.ended.iter().all(|(_, target)| *target != Err(SqlState::DEADLOCK_DETECTED)) {
            prop_assert_eq!(&replay.server.committed, &source.committed);
        }
        each_once(&source, replay.ended.iter().map(|(seq, _)| *seq))?;
        each_once(&source, replay.settled.iter().copied())?;
    }

    #[test]
    fn only_what_was_in_doubt_may_be_committed_twice(
        units in prop::collection::vec(any_unit(), 0..6),
        events in prop::collection::vec(any_event(true), 0..120),
        server_durations: bool,
        explain: bool,
        depth in 1..5_usize,
    ) {
        let source = Source::of(&units);
        let (replay, in_doubt) = replayed(&source, &events, SessionSettings { depth, server_durations, explain, ..settings() });
        let mut seen = std::collections::BTreeSet::new();
        let firsts: Vec<u64> =
            replay.server.committed.iter().copied().filter(|n| seen.insert(*n)).collect();
        prop_assert_eq!(&firsts, &source.committed);
        if in_doubt == 0 {
            prop_assert_eq!(&replay.server.committed, &source.committed);
        }
        each_once(&source, replay.ended.iter().map(|(seq, _)| *seq))?;
        each_once(&source, replay.settled.iter().copied())?;
    }
}
