use super::conflict::arrivals::tests::{catalog, login, work};
use super::*;

/// Sessions that ask for each of their statements as soon as the one before it has ended.
struct Replay {
    order: Order,
    log: Vec<Arc<Work>>,
    /// What has started, in that order.
    started: Vec<u64>,
}

impl Replay {
    /// One whose database's catalog has been read.
    fn new(order: settings::Order) -> Self {
        let mut order = Order::new(order, false);
        order.arrive(vec![(work(1, 99, "select 1"), login("d"))]);
        let wanted = order.arrivals().and_then(Arrivals::wanted).expect("the first one");
        order.arrivals_mut().expect("an order").reads(&wanted.login);
        order.know("d", Some(catalog()));
        order.finish(Seq(1));
        order.take_starts();
        Self { order, log: Vec::new(), started: Vec::new() }
    }

    fn reads(&mut self, log: &[(u32, &str)]) {
        let first = self.log.len() as u64 + 2;
        let log: Vec<Arc<Work>> =
            (first..).zip(log).map(|(seq, (pid, sql))| work(seq, *pid, sql)).collect();
        self.order.arrive(log.iter().map(|work| (work.clone(), login("d"))).collect());
        self.log.extend(log);
    }

    /// Runs what may start until nothing may. Returns the places of what has started, from 1.
    fn runs(&mut self) -> Vec<u64> {
        loop {
            let mut asked = Vec::new();
            for work in &self.log {
                let is_next = !self.started.contains(&work.seq.0) && !asked.contains(&work.session);
                if is_next {
                    asked.push(work.session);
                    self.order.ask(work.seq, work.session);
                }
            }
            let starts = self.order.take_starts();
            if starts.is_empty() {
                return self.started.iter().map(|seq| seq - 1).collect();
            }
            for start in starts {
                let may_start = |work: &&Arc<Work>| {
                    work.session == start.session
                        && work.seq <= start.seq
                        && !self.started.contains(&work.seq.0)
                };
                let run: Vec<Seq> = self.log.iter().filter(may_start).map(|it| it.seq).collect();
                for seq in run {
                    self.started.push(seq.0);
                    self.order.finish(seq);
                }
            }
        }
    }
}

fn serial(log: &[(u32, &str)]) -> Vec<u64> {
    let mut replay = Replay::new(settings::Order::Serial);
    replay.reads(log);
    replay.runs()
}

#[test]
fn in_serial_order_statements_run_as_they_stand_in_the_log() {
    let log = [
        (1, "begin"),
        (2, "update t set b = 1 where a = 2"),
        (1, "update t set b = 1 where a = 1"),
        (1, "select * from t"),
        (3, "select unknown()"),
        (1, "commit"),
        (2, "select * from t"),
    ];
    assert_eq!(serial(&log), [1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn in_serial_order_the_end_of_the_transaction_that_wrote_a_row_goes_before_its_next_write() {
    let log = [
        (1, "begin"),
        (1, "delete from t where a = 1"),
        (1, "insert into t values (1, 1)"),
        (2, "begin"),
        (2, "delete from t where a = 1"),
        (3, "select * from t where a = 3"),
        (1, "commit"),
        (2, "insert into t values (1, 2)"),
        (2, "commit"),
    ];
    assert_eq!(serial(&log), [1, 2, 3, 4, 7, 5, 6, 8, 9]);
}

#[test]
fn a_statement_whose_row_is_freed_by_an_end_that_has_not_been_read_holds_up_no_others() {
    let mut replay = Replay::new(settings::Order::Serial);
    replay.reads(&[
        (1, "begin"),
        (1, "update t set b = 1 where a = 1"),
        (2, "update t set b = 2 where a = 1"),
        (3, "select 3"),
    ]);
    assert_eq!(replay.runs(), [1, 2, 4]);
    replay.reads(&[(1, "commit"), (3, "select 4")]);
    assert_eq!(replay.runs(), [1, 2, 4, 5, 3, 6]);
}

#[test]
fn in_serial_order_several_waiters_run_in_the_order_of_the_log_each_behind_the_end_before_it() {
    let update = "update t set b = b + 1 where a = 1";
    let log = [
        (1, "begin"),
        (1, update),
        (2, "begin"),
        (2, update),
        (3, update),
        (1, "commit"),
        (2, "commit"),
    ];
    assert_eq!(serial(&log), [1, 2, 3, 6, 4, 7, 5]);
}

#[test]
fn in_serial_order_a_session_is_told_of_all_that_stands_right_behind_its_statement() {
    let mut replay = Replay::new(settings::Order::Serial);
    replay.reads(&[(1, "select 1"), (1, "select 2"), (2, "select 3"), (1, "select 4")]);
    replay.order.ask(replay.log[0].seq, replay.log[0].session);
    let starts = replay.order.take_starts();
    assert_eq!(starts, [Start { session: replay.log[0].session, seq: replay.log[1].seq }]);
}

#[test]
fn a_turn_is_not_shared_where_statements_are_due_at_some_time() {
    let mut order = Order::new(settings::Order::Serial, true);
    order.arrive([1, 2].map(|seq| (work(seq, 1, "select 1"), login("d"))).into());
    order.go_without("d");
    let session = work(1, 1, "").session;
    order.ask(Seq(1), session);
    assert_eq!(order.take_starts(), [Start { session, seq: Seq(1) }]);
}

#[test]
fn in_serial_order_what_had_its_turn_may_run_again_beside_the_one_whose_turn_it_is() {
    let mut replay = Replay::new(settings::Order::Serial);
    replay.reads(&[(1, "begin"), (2, "select 1")]);
    let [first, second] = [0, 1].map(|at| (replay.log[at].seq, replay.log[at].session));
    replay.order.finish(first.0);
    replay.order.ask(second.0, second.1);
    replay.order.ask(first.0, first.1);
    let mut starts = replay.order.take_starts();
    starts.sort_by_key(|start| start.seq);
    assert_eq!(starts.iter().map(|start| start.seq).collect::<Vec<_>>(), [first.0, second.0]);
}

#[test]
fn in_serial_order_a_statement_that_was_let_ahead_is_passed_over() {
    let mut replay = Replay::new(settings::Order::Serial);
    replay.reads(&[(1, "select 1"), (2, "select 2"), (3, "select 3")]);
    let ahead = replay.log[1].seq;
    replay.started.push(ahead.0);
    replay.order.finish(ahead);
    assert_eq!(replay.runs(), [2, 1, 3]);
}
