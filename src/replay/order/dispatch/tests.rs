//! What follows when things happen in a replay whose sessions and target are made up.

use super::super::conflict::arrivals::tests::{catalog, login, work};
use super::super::stalls::{Activity, LockSnapshot, NextOf, PREPARED, StallBreak};
use super::*;
use crate::pglog::statement::{Protocol, SourceEnd, Statement};
use crate::replay::work::{End, Position};
use crate::sql::Outline;

mod stalls;

const S: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

fn id(pid: u32) -> SessionId {
    SessionId { start: 1, pid }
}

fn start(pid: u32, seq: u64) -> Start {
    Start { session: id(pid), seq: Seq(seq) }
}

/// Sessions with a connection; the backend's number is that of the source's.
#[derive(Default)]
struct Sessions(Vec<SessionWork>);

impl ConnectedSessions for Sessions {
    fn on_target(&self, _: &[String]) -> Vec<OnTarget> {
        let next = |it: &SessionWork| match &it.head {
            None => NextOf::Nothing,
            Some(head) if head.ends_locks() => NextOf::End(head.seq),
            Some(head) => NextOf::Statement(head.seq),
        };
        let on_target = |it: &SessionWork| OnTarget {
            session: it.session,
            backend: it.backend,
            running: it.running.as_ref().map(|work| work.seq),
            activity: Activity { running: it.running.is_some(), answers: 7 },
            is_limited: false,
            next: next(it),
            finishes: None,
        };
        self.0.iter().map(on_target).collect()
    }

    fn works(&self) -> Vec<SessionWork> {
        self.0.clone()
    }

    fn work_of(&self, session: SessionId) -> Option<SessionWork> {
        self.0.iter().find(|it| it.session == session).cloned()
    }
}

struct Replay {
    dispatcher: Dispatcher,
    sessions: Sessions,
    now: Duration,
    out: Vec<DispatchAction>,
}

/// One that has read nothing.
fn begun(order: settings::Order) -> Replay {
    let (stall_check, patience) = (5 * MS, 60 * S);
    let settings = DispatchSettings { order, is_paced: false, stall_check, patience };
    let dispatcher = Dispatcher::new(settings);
    Replay { dispatcher, sessions: Sessions::default(), now: Duration::ZERO, out: Vec::new() }
}

/// One that has read the catalog of its database, and a log of these from place 2 on.
fn replay(order: settings::Order, log: &[(u32, &str)]) -> Replay {
    let mut replay = begun(order);
    replay.arrive(&[work(1, 99, "select 1")]);
    replay.catalog_read(CatalogReading::Read(Box::new(catalog())));
    replay.decide(|dispatcher, round| dispatcher.finish(Seq(1), round));
    let log: Vec<_> = (2..).zip(log).map(|(seq, (pid, sql))| work(seq, *pid, sql)).collect();
    replay.arrive(&log);
    replay.done();
    replay
}

impl Replay {
    fn decide(&mut self, decide: impl FnOnce(&mut Dispatcher, &mut Round<'_>)) {
        let Self { dispatcher, sessions, now, out } = self;
        decide(dispatcher, &mut Round { now: *now, sessions: &*sessions, out });
    }

    fn arrive(&mut self, log: &[Arc<Work>]) {
        let log = log.iter().map(|work| (work.clone(), login("d"))).collect();
        self.decide(|dispatcher, round| dispatcher.arrive(log, round));
    }

    fn ask(&mut self, pid: u32, seq: u64) {
        self.decide(|dispatcher, round| dispatcher.ask(start(pid, seq), round));
    }

    fn finish(&mut self, seq: u64) {
        self.decide(|dispatcher, round| dispatcher.finish(Seq(seq), round));
    }

    fn catalog_read(&mut self, reading: CatalogReading) {
        self.decide(|dispatcher, round| dispatcher.catalog_read("d", reading, 10 * MS, round));
    }

    fn connect(&mut self, pid: u32) -> &mut SessionWork {
        self.sessions.0.push(SessionWork {
            session: id(pid),
            backend: pid.cast_signed(),
            running: None,
            head: None,
            used: Seq(0),
            is_ready: true,
            in_transaction: true,
            doubtful: None,
        });
        self.sessions.0.last_mut().expect("it was added")
    }

    fn of(&mut self, pid: u32) -> &mut SessionWork {
        self.sessions.0.iter_mut().find(|it| it.session == id(pid)).expect("it is connected")
    }

    /// What was asked for since this was called last.
    fn done(&mut self) -> Vec<DispatchAction> {
        let shows = |it: &DispatchAction| *it == DispatchAction::ShowCosts;
        std::mem::take(&mut self.out).into_iter().filter(|it| !shows(it)).collect()
    }
}

fn reads(is_waited_for: bool) -> DispatchAction {
    DispatchAction::ReadCatalog { login: login("d"), is_waited_for }
}

fn gives_up(pid: u32) -> DispatchAction {
    DispatchAction::GiveUp { session: id(pid), holding: Holding::Transaction }
}

const CONFLICT: settings::Order = settings::Order::Conflict;

// ---- Turns ----

#[test]
fn a_statement_starts_when_what_it_conflicts_with_has_finished() {
    let update = "update t set b = 1 where a = 1";
    let mut replay = replay(CONFLICT, &[(1, update), (2, update), (3, "select 1")]);
    replay.ask(2, 3);
    replay.ask(3, 4);
    assert_eq!(replay.done(), [DispatchAction::Start(start(3, 4))]);
    replay.finish(2);
    assert_eq!(replay.done(), [DispatchAction::Start(start(2, 3))]);
}

#[test]
fn in_session_order_nobody_is_given_a_turn_and_no_stall_is_looked_for() {
    let mut replay = replay(settings::Order::Session, &[(1, "select 1")]);
    replay.ask(1, 2);
    replay.finish(2);
    assert_eq!((replay.done(), replay.dispatcher.next_check()), (vec![], None));
}

#[test]
fn where_everything_waits_for_what_has_not_been_read_more_is_asked_for_once() {
    let update = "update t set b = 1 where a = 1";
    let mut replay = replay(CONFLICT, &[(1, "begin"), (1, update), (2, update)]);
    replay.finish(2);
    replay.ask(2, 4);
    replay.done();
    replay.finish(3);
    assert_eq!(replay.done(), [DispatchAction::ReadOn]);
    replay.ask(2, 4);
    assert_eq!(replay.done(), [], "until more has come");
    replay.arrive(&[work(5, 3, update)]);
    assert_eq!(replay.done(), [DispatchAction::ReadOn]);
}

// ---- Sessions that others wait for in vain ----

fn held_up() -> Replay {
    let update = "update t set b = 1 where a = 1";
    let mut replay = replay(CONFLICT, &[(1, "begin"), (1, update), (2, update)]);
    replay.connect(1);
    replay.finish(2);
    replay.finish(3);
    replay.ask(2, 4);
    replay.done();
    replay
}

#[test]
fn a_session_that_holds_others_up_in_silence_is_given_up_after_a_while() {
    let mut replay = held_up();
    for (seconds, expected) in [(1, vec![]), (60, vec![]), (61, vec![gives_up(1)])] {
        replay.now = seconds * S;
        replay.decide(Dispatcher::look_after);
        assert_eq!(replay.done(), expected, "{seconds}");
    }
    replay.decide(|dispatcher, round| dispatcher.close(id(1), false, round));
    assert_eq!(replay.done(), [DispatchAction::Start(start(2, 4))]);
}

#[test]
fn at_the_end_of_the_input_it_is_given_up_at_once() {
    let mut replay = held_up();
    replay.decide(Dispatcher::input_ended);
    assert_eq!(replay.done(), [gives_up(1)]);
}

#[test]
fn one_without_a_connection_has_no_transaction_and_holds_nobody_up_any_more() {
    let mut replay = held_up();
    replay.sessions.0.clear();
    replay.decide(Dispatcher::input_ended);
    assert_eq!(replay.done(), [gives_up(1)]);
    replay.ask(2, 4);
    assert_eq!(replay.done(), [DispatchAction::Start(start(2, 4))]);
}

// ---- Catalogs ----

#[test]
fn a_databases_first_statement_waits_for_its_catalog() {
    let mut replay = begun(CONFLICT);
    replay.arrive(&[work(1, 1, "select 1")]);
    replay.ask(1, 1);
    assert_eq!(replay.done(), [reads(true)]);
    replay.catalog_read(CatalogReading::Read(Box::new(catalog())));
    assert_eq!(replay.done(), [DispatchAction::Start(start(1, 1))]);
}

/// One in which the schema was changed and the catalog, read last at second 1, is wanted again.
fn changed() -> Replay {
    let mut replay = begun(CONFLICT);
    replay.now = S;
    replay.arrive(&[work(1, 1, "create table x (a int)")]);
    replay.catalog_read(CatalogReading::Read(Box::new(catalog())));
    replay.arrive(&[work(2, 2, "select * from t where a = 1")]);
    replay.done();
    replay.finish(1);
    replay
}

#[test]
fn a_catalog_that_nothing_waits_for_is_read_again_after_a_rest() {
    let mut replay = changed();
    assert_eq!(replay.done(), [DispatchAction::RestCatalogs(30 * MS)]);
    replay.finish(2);
    assert_eq!(replay.done(), [], "its end is waited for once");
    replay.now = S + 30 * MS;
    replay.decide(Dispatcher::catalogs_rested);
    assert_eq!(replay.done(), [reads(false)]);
}

#[test]
fn behind_a_change_statements_are_barriers_until_the_catalog_is_found_the_same_or_is_read() {
    let widened = |replay: &Replay| {
        let arrivals = replay.dispatcher.order().arrivals().expect("an order");
        arrivals.widened().map(|(_, count)| count).sum::<u64>()
    };
    for reading in [CatalogReading::Unchanged, CatalogReading::Read(Box::new(catalog()))] {
        let mut replay = changed();
        let before = widened(&replay);
        replay.now = 2 * S;
        replay.decide(Dispatcher::catalogs_rested);
        replay.arrive(&[work(3, 3, "select * from t where a = 1")]);
        assert_eq!(widened(&replay), before + 1, "it is being read");
        replay.catalog_read(reading);
        replay.arrive(&[work(4, 4, "select * from t where a = 1")]);
        assert_eq!(widened(&replay), before + 1);
    }
}

#[test]
fn a_catalog_that_cannot_be_read_is_reported_once_and_nothing_waits_for_it() {
    let error = || "no".to_owned();
    for reading in [
        CatalogReading::Failed(error()),
        CatalogReading::Refused(error()),
        CatalogReading::Unreadable(error()),
    ] {
        let mut replay = begun(CONFLICT);
        replay.arrive(&[work(1, 1, "select 1")]);
        replay.ask(1, 1);
        replay.done();
        replay.catalog_read(reading);
        let unread = DispatchAction::CatalogUnread { database: "d".to_owned(), error: error() };
        assert_eq!(replay.done()[..2], [unread, DispatchAction::Start(start(1, 1))]);
        replay.catalog_read(CatalogReading::Unreadable(error()));
        assert!(!matches!(replay.done()[..], [DispatchAction::CatalogUnread { .. }, ..]));
    }
}

#[test]
fn a_target_that_lets_nobody_in_while_statements_run_may_do_so_later() {
    let mut replay = changed();
    replay.done();
    replay.ask(2, 2);
    replay.now = 2 * S;
    replay.decide(Dispatcher::catalogs_rested);
    assert_eq!(replay.done(), [DispatchAction::Start(start(2, 2)), reads(false)]);
    replay.catalog_read(CatalogReading::Refused("no".to_owned()));
    let later = DispatchAction::CatalogNotYet { database: "d".to_owned(), error: "no".to_owned() };
    assert_eq!(replay.done()[0], later);
}

#[test]
fn a_catalog_whose_reading_takes_too_long_is_not_waited_for_any_longer() {
    let mut replay = begun(CONFLICT);
    replay.arrive(&[work(1, 1, "select 1")]);
    replay.ask(1, 1);
    replay.done();
    replay.decide(|dispatcher, round| dispatcher.go_without_catalogs(["d"], round));
    assert_eq!(replay.done(), [DispatchAction::Start(start(1, 1))]);
}
