use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn session(pid: u32) -> SessionId {
    SessionId { start: 1, pid }
}

const IDLE: ConnectionState = ConnectionState {
    connected: true,
    running: false,
    in_transaction: false,
    bound: false,
    next: None,
    used: Seq(0),
};

/// Permits that are all taken, by sessions that stand like this, with session 99 waiting for the
/// statement at place 10.
fn taken(
    in_turns: bool,
    standings: &[ConnectionState],
) -> (Permits, impl Fn(SessionId) -> ConnectionState + use<>) {
    let mut permits = Permits::new(standings.len(), in_turns);
    for pid in 0..standings.len() {
        assert!(permits.take_spare(session(pid as u32)));
    }
    permits.want(session(99), Seq(10));
    let standings = standings.to_vec();
    (permits, move |of: SessionId| standings[of.pid as usize])
}

fn evict(pid: u32) -> Vec<Step> {
    vec![Step::Evict { session: session(pid), roll_back: false }]
}

#[test]
fn the_least_recently_used_of_those_with_nothing_to_do_goes() {
    let used = |seq| ConnectionState { used: Seq(seq), ..IDLE };
    let (mut permits, connection_state) = taken(true, &[used(5), used(3), used(4)]);
    assert_eq!(permits.steps(&connection_state, Quiet::Not), evict(1));
    assert_eq!(permits.steps(&connection_state, Quiet::Not), [], "one is enough for one");
    permits.release(session(1));
    assert_eq!(permits.steps(&connection_state, Quiet::Not), [Step::Connect(session(99))]);
}

#[test]
fn whoever_is_needed_later_goes_before_whoever_is_needed_sooner() {
    let next = |seq| ConnectionState { next: Some(Seq(seq)), ..IDLE };
    let (mut permits, connection_state) = taken(true, &[next(9), next(20), next(30)]);
    assert_eq!(permits.steps(&connection_state, Quiet::Not), evict(2));
    let (mut permits, connection_state) = taken(true, &[next(8), next(9)]);
    assert_eq!(
        permits.steps(&connection_state, Quiet::Not),
        [],
        "both come before the one that waits"
    );
}

#[test]
fn a_busy_session_and_one_in_a_transaction_keep_their_connections() {
    let running = ConnectionState { running: true, ..IDLE };
    let in_transaction = ConnectionState { in_transaction: true, ..IDLE };
    let connecting = ConnectionState { connected: false, ..IDLE };
    for standings in [[running, in_transaction], [connecting, in_transaction]] {
        let (mut permits, connection_state) = taken(true, &standings);
        assert_eq!(permits.steps(&connection_state, Quiet::Short), []);
    }
}

#[test]
fn a_session_with_what_cannot_be_made_again_goes_last() {
    let bound = ConnectionState { bound: true, used: Seq(1), ..IDLE };
    let soon = ConnectionState { next: Some(Seq(11)), ..IDLE };
    let (mut permits, connection_state) = taken(true, &[bound, soon]);
    assert_eq!(permits.steps(&connection_state, Quiet::Not), evict(1));
    let running = ConnectionState { running: true, ..IDLE };
    let (mut permits, connection_state) = taken(true, &[bound, running]);
    assert_eq!(permits.steps(&connection_state, Quiet::Not), [], "the other one is about to end");
    assert_eq!(permits.steps(&connection_state, Quiet::Short), evict(0));
}

#[test]
fn where_all_are_in_transactions_the_next_in_turn_goes_past_the_limit_until_somebody_ends() {
    let open = ConnectionState { in_transaction: true, next: Some(Seq(11)), ..IDLE };
    let (mut permits, connection_state) = taken(true, &[open, open]);
    assert_eq!(permits.steps(&connection_state, Quiet::Not), [Step::Exceed(session(99))]);
    assert!(permits.is_pressed(), "there is one too many");
    let ended = |of: SessionId| match of.pid {
        1 => IDLE,
        99 => ConnectionState { running: true, ..IDLE },
        _ => open,
    };
    assert_eq!(permits.steps(ended, Quiet::Not), evict(1));
    permits.release(session(1));
    assert!(!permits.is_pressed());
}

#[test]
fn without_turns_an_open_transaction_may_go_on_at_any_moment() {
    let open = ConnectionState { in_transaction: true, ..IDLE };
    let (mut permits, connection_state) = taken(false, &[open]);
    assert_eq!(permits.steps(&connection_state, Quiet::Not), []);
    assert_eq!(permits.steps(&connection_state, Quiet::Short), [Step::Exceed(session(99))]);
}

#[test]
fn a_statement_that_does_not_end_holds_nobody_up_for_ever() {
    let (mut permits, connection_state) = taken(true, &[ConnectionState { running: true, ..IDLE }]);
    assert_eq!(permits.steps(&connection_state, Quiet::Short), []);
    assert_eq!(permits.steps(&connection_state, Quiet::Long), [Step::Exceed(session(99))]);
}

#[test]
fn a_server_without_more_connections_gets_a_transaction_rolled_back() {
    let open = |next| ConnectionState { in_transaction: true, next: Some(Seq(next)), ..IDLE };
    let (mut permits, connection_state) = taken(true, &[open(20), open(30), open(25)]);
    assert_eq!(permits.steps(&connection_state, Quiet::Not), [Step::Exceed(session(99))]);
    permits.refused(session(99));
    permits.want(session(99), Seq(10));
    let furthest = Step::Evict { session: session(1), roll_back: true };
    assert_eq!(permits.steps(&connection_state, Quiet::Not), [furthest]);
    permits.release(session(1));
    assert_eq!(permits.steps(&connection_state, Quiet::Not), [Step::Connect(session(99))]);
}

#[test]
fn a_server_that_refuses_is_asked_again_when_somebody_has_left_or_later() {
    let (mut permits, connection_state) = taken(true, &[IDLE, IDLE, IDLE]);
    assert!(permits.steps(&connection_state, Quiet::Not).len() == 1);
    for pid in 0..3 {
        permits.release(session(pid));
    }
    assert_eq!(permits.steps(&connection_state, Quiet::Not), [Step::Connect(session(99))]);
    permits.refused(session(99));
    permits.want(session(99), Seq(10));
    assert_eq!(
        permits.steps(&connection_state, Quiet::Long),
        [],
        "nobody has left, and nobody can"
    );
    permits.retry();
    assert_eq!(permits.steps(&connection_state, Quiet::Not), [Step::Connect(session(99))]);
}

// ---- A model: sessions that run a log in serial order ----

const SESSIONS: u32 = 12;

/// A replay of a log, in which everything that takes time ends at some time.
struct Model {
    permits: Permits,
    limit: usize,
    /// Whose statements come, in this order, and whether each leaves a transaction open.
    log: Vec<(u32, bool)>,
    /// How many have been read, and how many have ended.
    read: usize,
    ended: usize,
    connections: BTreeMap<u32, Phase>,
    in_transaction: BTreeMap<u32, bool>,
    used: BTreeMap<u32, u64>,
    running: bool,
    /// How many the server lets in.
    server: usize,
    exceeded: usize,
    rolled_back: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Connecting,
    Connected,
    Closing,
}

impl Model {
    fn next(&self, pid: u32) -> Option<usize> {
        (self.ended..self.read).find(|&at| self.log[at].0 == pid)
    }

    fn connection_state(&self, pid: u32) -> ConnectionState {
        ConnectionState {
            connected: self.connections.get(&pid) == Some(&Phase::Connected),
            running: self.running && self.log[self.ended].0 == pid,
            in_transaction: self.in_transaction.get(&pid).copied().unwrap_or_default(),
            bound: pid % 7 == 3,
            next: self.next(pid).map(|at| Seq(at as u64)),
            used: Seq(self.used.get(&pid).copied().unwrap_or_default()),
        }
    }

    /// What may happen next. Each of these will at some time, if nothing else does.
    fn possible(&self) -> Vec<Event> {
        let mut possible = Vec::new();
        if self.read < self.log.len() {
            possible.push(Event::Read);
        }
        for (&pid, &phase) in &self.connections {
            match phase {
                Phase::Connecting => possible.push(Event::Opened(pid)),
                Phase::Closing => possible.push(Event::Closed(pid)),
                Phase::Connected => {}
            }
        }
        if self.running {
            possible.push(Event::End);
        } else if self.ended < self.read {
            let pid = self.log[self.ended].0;
            if self.connections.get(&pid) == Some(&Phase::Connected) {
                possible.push(Event::Start);
            }
        }
        possible
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Read => {
                let (pid, _) = self.log[self.read];
                self.read += 1;
                self.ask(pid);
            }
            Event::Opened(pid) if self.connections.len() > self.server => {
                self.connections.remove(&pid);
                self.permits.refused(session(pid));
                self.ask(pid);
            }
            Event::Opened(pid) => {
                self.connections.insert(pid, Phase::Connected);
            }
            Event::Closed(pid) => {
                self.connections.remove(&pid);
                self.permits.release(session(pid));
                self.ask(pid);
            }
            Event::Start => self.running = true,
            Event::End => {
                let (pid, open) = self.log[self.ended];
                self.used.insert(pid, self.ended as u64);
                self.in_transaction.insert(pid, open);
                self.running = false;
                self.ended += 1;
            }
        }
        self.decide(Quiet::Not);
    }

    fn ask(&mut self, pid: u32) {
        if let Some(at) = self.next(pid)
            && !self.connections.contains_key(&pid)
        {
            self.permits.want(session(pid), Seq(at as u64));
        }
    }

    fn decide(&mut self, quiet: Quiet) {
        let standings: Vec<_> = (0..SESSIONS).map(|pid| self.connection_state(pid)).collect();
        for step in self.permits.steps(|of| standings[of.pid as usize], quiet) {
            match step {
                Step::Connect(of) => {
                    self.connections.insert(of.pid, Phase::Connecting);
                    assert!(self.connections.len() <= self.limit);
                }
                Step::Exceed(of) => {
                    let open = self.in_transaction.values().filter(|open| **open).count();
                    assert!(open >= self.limit, "not all are in transactions");
                    self.connections.insert(of.pid, Phase::Connecting);
                    self.exceeded += 1;
                }
                Step::Evict { session, roll_back } => {
                    let connection_state = standings[session.pid as usize];
                    assert!(connection_state.connected && !connection_state.running);
                    assert_eq!(connection_state.in_transaction, roll_back);
                    self.rolled_back += usize::from(roll_back);
                    self.in_transaction.insert(session.pid, false);
                    self.connections.insert(session.pid, Phase::Closing);
                }
            }
        }
        // Nobody waits while somebody has a connection without a use for it.
        if !self.permits.waiting.is_empty() && !self.permits.paused {
            assert!(!self.connections.keys().any(|&pid| {
                let connection_state = self.connection_state(pid);
                connection_state.is_free()
                    && !connection_state.bound
                    && connection_state.next.is_none()
                    && !self.leaves()
            }));
        }
    }

    fn leaves(&self) -> bool {
        self.connections.values().any(|phase| *phase == Phase::Closing)
    }
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Read,
    Opened(u32),
    Closed(u32),
    Start,
    End,
}

proptest! {
    #[test]
    fn every_statement_runs_in_its_turn_and_the_limit_holds_but_for_open_transactions(
        log in prop::collection::vec((0..SESSIONS, prop::bool::weighted(0.3)), 1..120),
        limit in 1..6usize,
        spare in 0..4usize,
        mut chance in any::<u64>(),
    ) {
        let mut open = BTreeMap::new();
        let most_open = log.iter().map(|&(pid, opens)| {
            open.insert(pid, opens);
            open.values().filter(|open| **open).count()
        });
        let most_open = most_open.max().unwrap_or_default();
        let mut model = Model {
            permits: Permits::new(limit, true),
            limit,
            read: 0,
            ended: 0,
            connections: BTreeMap::new(),
            in_transaction: BTreeMap::new(),
            used: BTreeMap::new(),
            running: false,
            server: limit + spare,
            exceeded: 0,
            rolled_back: 0,
            log,
        };
        let mut happened = 0;
        while model.ended < model.log.len() {
            happened += 1;
            prop_assert!(happened < 20_000, "it goes round in circles");
            let possible = model.possible();
            if possible.is_empty() {
                // Time alone goes on.
                model.permits.retry();
                model.decide(Quiet::Long);
                prop_assert!(!model.possible().is_empty(), "nothing goes on");
                continue;
            }
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            model.happen(possible[(chance >> 33) as usize % possible.len()]);
        }
        if most_open < limit {
            prop_assert_eq!((model.exceeded, model.rolled_back), (0, 0));
        }
    }
}
