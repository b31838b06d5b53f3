use super::*;
use crate::replay::order::wait_chain::Place;
use crate::replay::work::Position;

/// An order in which one statement runs at a time, or what is waited for is told.
#[derive(Default)]
struct Order {
    turn: Option<Start>,
    awaited: Vec<Awaited>,
    prepared: Vec<&'static str>,
    catalog: Option<&'static str>,
}

impl OrderView for Order {
    fn takes_turns(&self) -> bool {
        true
    }

    fn is_serial(&self) -> bool {
        self.turn.is_some()
    }

    fn turn(&self) -> Option<Start> {
        self.turn
    }

    fn is_waited_for(&self) -> bool {
        true
    }

    fn may_start(&self, _: Seq) -> bool {
        self.awaited.is_empty()
    }

    fn first_waiting(&self) -> Option<Start> {
        None
    }

    fn is_held(&self, _: Seq) -> bool {
        false
    }

    fn awaited_by(&self, _: Seq, _: &dyn Fn(Start) -> bool) -> Vec<Awaited> {
        self.awaited.clone()
    }

    fn waits_for(&self, _: Seq, _: Seq) -> bool {
        false
    }

    fn is_prepared_end_ahead(&self, _: &str) -> bool {
        false
    }

    fn prepared_awaited_by(&self, _: Seq) -> Vec<&str> {
        self.prepared.clone()
    }

    fn catalog_awaited_by(&self, _: Seq) -> Option<String> {
        self.catalog.map(str::to_owned)
    }
}

fn id(pid: u32) -> SessionId {
    SessionId { start: 1, pid }
}

/// A session whose first statement has its own number for a place.
fn waiter(pid: u32, wait_state: WaitState, finishes: &[&str]) -> Waiter {
    let at = Position { partition: 0, offset: 0, line: 0 };
    Waiter {
        session: id(pid),
        statement: Some(Place { seq: Seq(pid.into()), at }),
        wait_state,
        is_connected: true,
        holders: Vec::new(),
        finishes: finishes.iter().map(|gid| (*gid).into()).collect(),
    }
}

fn holders_of_turn(order: &Order) -> Vec<Vec<Holder>> {
    let mut waiters = [
        waiter(1, WaitState::Request(11), &[]),
        waiter(2, WaitState::Turn(Seq(2)), &[]),
        waiter(3, WaitState::Turn(Seq(3)), &[]),
    ];
    note_holders(&mut waiters, order, &LocksHeld::default(), |_| None);
    waiters.into_iter().map(|waiter| waiter.holders).collect()
}

#[test]
fn where_one_statement_runs_at_a_time_the_session_that_has_the_turn_holds_up_the_others() {
    let turn = |pid: u32| Some(Start { session: id(pid), seq: Seq(pid.into()) });
    let first = Holder::Session(id(1));
    let order = Order { turn: turn(1), ..Order::default() };
    assert_eq!(holders_of_turn(&order), [vec![], vec![first.clone()], vec![first]]);
    let own = Order { turn: turn(2), ..Order::default() };
    let second = Holder::Session(id(2));
    assert_eq!(holders_of_turn(&own), [vec![], vec![], vec![second]]);
    let conflicting = Order { turn: turn(1), awaited: vec![Awaited::Unread], ..Order::default() };
    assert_eq!(holders_of_turn(&conflicting)[1], [Holder::Unread], "its turn can't come yet");
}

#[test]
fn a_turn_is_held_up_by_what_the_statement_waits_for_in_the_order_but_not_by_its_own_session() {
    let awaited = |pid: u64| {
        let session = id(u32::try_from(pid).expect("small"));
        Awaited::Statement(Start { session, seq: Seq(pid) })
    };
    let order = Order {
        awaited: vec![awaited(1), awaited(3), Awaited::Unread],
        prepared: vec!["x"],
        ..Order::default()
    };
    let prepared = Holder::Prepared { gid: "x".to_owned(), finisher: None };
    assert_eq!(holders_of_turn(&order)[2], [prepared, Holder::Session(id(1)), Holder::Unread]);
}

#[test]
fn a_statement_without_a_place_in_the_order_is_held_up_by_the_reading_of_the_catalog() {
    let order = Order { catalog: Some("d"), awaited: vec![Awaited::Unread], ..Order::default() };
    assert_eq!(holders_of_turn(&order)[1], [Holder::Catalog("d".to_owned())]);
}

#[test]
fn a_lock_is_held_up_by_sessions_prepared_transactions_with_their_finishers_and_strangers() {
    let mut waiters =
        [waiter(1, WaitState::Request(11), &[]), waiter(2, WaitState::Silent, &["x"])];
    let psql = ForeignBackend { pid: 77, application: "psql".to_owned(), state: String::new() };
    let mut locks = LocksHeld::default();
    locks.note(11, vec![12, PREPARED, 77, 78], vec!["x".to_owned(), "y".to_owned()]);
    locks.note_foreign(psql.clone());
    assert_eq!(locks.blockers().collect::<Vec<_>>(), [12, 77, 78]);
    let served_by = |backend| (backend == 12).then(|| id(2));
    note_holders(&mut waiters, &Order::default(), &locks, served_by);
    let unknown = ForeignBackend { pid: 78, ..ForeignBackend::default() };
    assert_eq!(
        waiters[0].holders,
        [
            Holder::Session(id(2)),
            Holder::Prepared { gid: "x".to_owned(), finisher: Some(id(2)) },
            Holder::Prepared { gid: "y".to_owned(), finisher: None },
            Holder::Foreign(psql),
            Holder::Foreign(unknown),
        ]
    );
    assert_eq!(waiters[1].holders, []);
}
