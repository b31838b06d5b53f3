use super::*;

fn id(pid: u32) -> SessionId {
    SessionId { start: 1, pid }
}

fn place(seq: u64) -> Place {
    Place { seq: Seq(seq), at: Position { partition: 0, offset: 10, line: seq } }
}

fn start(pid: u32, seq: u64) -> Start {
    Start { session: id(pid), seq: Seq(seq) }
}

/// A connected session whose first statement has its own number for a place.
fn waiter(pid: u32, wait_state: WaitState, holders: &[Holder]) -> Waiter {
    Waiter {
        session: id(pid),
        statement: (wait_state != WaitState::Silent).then(|| place(pid.into())),
        wait_state,
        is_connected: true,
        holders: holders.to_vec(),
        finishes: Vec::new(),
    }
}

fn session(pid: u32) -> Holder {
    Holder::Session(id(pid))
}

fn prepared(finisher: Option<u32>) -> Holder {
    Holder::Prepared { gid: "lost".to_owned(), finisher: finisher.map(id) }
}

fn foreign() -> Holder {
    let (application, state) = ("psql".to_owned(), "idle in transaction".to_owned());
    Holder::Foreign(ForeignBackend { pid: 77, application, state })
}

/// The chain of the only stall, by process ids, and what is done.
#[track_caller]
fn only(waiters: &[Waiter], no_more: bool) -> (Vec<u32>, Remedy) {
    let stalls = stalls(waiters, no_more);
    assert_eq!(stalls.len(), 1, "{stalls:?}");
    (stalls[0].links.iter().map(|link| link.session.pid).collect(), stalls[0].remedy.clone())
}

#[test]
fn nobody_stands_still_behind_what_the_target_works_on_or_what_is_not_due() {
    let works =
        [waiter(1, WaitState::Request(11), &[]), waiter(2, WaitState::Turn(Seq(2)), &[session(1)])];
    assert_eq!(stalls(&works, true), []);
    let locked =
        [waiter(1, WaitState::Request(11), &[]), waiter(2, WaitState::Request(12), &[session(1)])];
    assert_eq!(stalls(&locked, true), [], "the holder of the lock runs");
    let paced =
        [waiter(1, WaitState::Schedule, &[]), waiter(2, WaitState::Turn(Seq(2)), &[session(1)])];
    assert_eq!(stalls(&paced, true), []);
    assert_eq!(
        stalls(&[waiter(2, WaitState::Turn(Seq(2)), &[session(9)])], true),
        [],
        "it is gone"
    );
}

#[test]
fn a_prepared_transaction_that_nothing_finishes_costs_its_waiter_its_statement() {
    let waiters = [
        waiter(1, WaitState::Request(11), &[prepared(None)]),
        waiter(2, WaitState::Turn(Seq(2)), &[session(1)]),
    ];
    assert_eq!(only(&waiters, true), (vec![1], Remedy::GiveUpStatement(start(1, 1))));
    assert!(!stalls(&waiters, true)[0].may_be_read);
    assert!(stalls(&waiters, false)[0].may_be_read, "its end may still come");
}

#[test]
fn who_finishes_a_prepared_transaction_is_followed() {
    let waiters = [
        waiter(1, WaitState::Request(11), &[prepared(Some(2))]),
        waiter(2, WaitState::Request(12), &[foreign()]),
    ];
    assert_eq!(only(&waiters, true), (vec![1, 2], Remedy::None));
}

#[test]
fn a_connection_that_is_not_kreplays_is_named_and_left_alone() {
    let waiters = [
        waiter(1, WaitState::Request(11), &[foreign()]),
        waiter(2, WaitState::Turn(Seq(2)), &[session(1)]),
    ];
    assert_eq!(only(&waiters, true), (vec![1], Remedy::None));
    let words = foreign().in_words();
    assert!(
        words.contains("backend 77") && words.contains("'psql', idle in transaction"),
        "{words}"
    );
}

#[test]
fn a_session_without_a_record_left_is_closed_and_may_be_read_of_as_long_as_there_is_input() {
    let waiters =
        [waiter(1, WaitState::Silent, &[]), waiter(2, WaitState::Request(12), &[session(1)])];
    assert_eq!(only(&waiters, true), (vec![2, 1], Remedy::CloseSession(id(1))));
    assert!(stalls(&waiters, false)[0].may_be_read);
}

#[test]
fn who_waits_for_each_other_goes_on_by_giving_up_what_waits_on_the_target() {
    let waiters = [
        waiter(1, WaitState::Turn(Seq(1)), &[session(2)]),
        waiter(2, WaitState::Request(12), &[session(1)]),
    ];
    assert_eq!(only(&waiters, true), (vec![1, 2], Remedy::GiveUpStatement(start(2, 2))));
    let unsent = [
        waiter(1, WaitState::Turn(Seq(1)), &[session(2)]),
        waiter(2, WaitState::Turn(Seq(2)), &[session(1)]),
    ];
    assert_eq!(only(&unsent, true).1, Remedy::Start(start(1, 1)));
}

#[test]
fn what_nobody_holds_up_is_let_go() {
    for (wait_state, remedy) in [
        (WaitState::Turn(Seq(3)), Remedy::Start(start(3, 3))),
        (WaitState::Ready, Remedy::Start(start(3, 3))),
        (WaitState::Change(Seq(3)), Remedy::Change(start(3, 3))),
        (WaitState::LogIn, Remedy::LogIn(id(3))),
        (WaitState::Connecting, Remedy::None),
    ] {
        assert_eq!(only(&[waiter(3, wait_state, &[])], true), (vec![3], remedy), "{wait_state:?}");
    }
    let catalog = [waiter(3, WaitState::Turn(Seq(3)), &[Holder::Catalog("app".to_owned())])];
    assert_eq!(only(&catalog, true).1, Remedy::GoWithoutCatalog("app".to_owned()));
}

#[test]
fn a_turn_is_given_ahead_of_no_session_that_it_waits_for_as_well() {
    let waits = waiter(3, WaitState::Turn(Seq(3)), &[prepared(None), session(1)]);
    let works = waiter(1, WaitState::Request(11), &[]);
    assert_eq!(stalls(&[works, waits.clone()], true), [], "something will end");
    let stuck = waiter(1, WaitState::Request(11), &[foreign()]);
    let found = stalls(&[stuck, waits], true);
    let remedies: Vec<_> = found.iter().map(|stall| stall.remedy.clone()).collect();
    assert_eq!(remedies, [Remedy::None]);
}

#[test]
fn who_waits_for_a_log_in_is_followed_to_whom_that_waits_for() {
    let waiters = [
        waiter(1, WaitState::Change(Seq(1)), &[session(2)]),
        waiter(2, WaitState::LogIn, &[session(3)]),
        waiter(3, WaitState::Request(13), &[foreign()]),
    ];
    assert_eq!(only(&waiters, true), (vec![1, 2, 3], Remedy::None));
}

#[test]
fn a_connection_is_waited_for_in_vain_only_where_nobody_who_has_one_goes_on() {
    let wants = Waiter { is_connected: false, ..waiter(3, WaitState::Connection, &[]) };
    let stuck = waiter(1, WaitState::Silent, &[]);
    let works = waiter(2, WaitState::Request(12), &[]);
    let waiters = [stuck.clone(), wants.clone()];
    assert_eq!(only(&waiters, true), (vec![3, 1], Remedy::CloseSession(id(1))));
    assert_eq!(stalls(&[stuck, works, wants.clone()], true), []);
    assert_eq!(only(&[wants], true), (vec![3], Remedy::None), "others have them all");
}

#[test]
fn each_head_is_told_once_and_the_first_statement_in_the_log_comes_first() {
    let waiters = [
        waiter(5, WaitState::Request(15), &[foreign()]),
        waiter(4, WaitState::Request(14), &[prepared(None)]),
        waiter(6, WaitState::Request(16), &[session(4)]),
    ];
    let stalls = stalls(&waiters, true);
    let heads: Vec<_> = stalls.iter().filter_map(Stall::head).collect();
    assert_eq!(heads, [(id(4), Some(Seq(4))), (id(5), Some(Seq(5)))]);
}

#[test]
fn an_end_that_has_not_been_read_is_waited_for_as_long_as_there_is_input() {
    let waiters = [waiter(1, WaitState::Turn(Seq(1)), &[Holder::Unread])];
    assert!(stalls(&waiters, false)[0].is_silence());
    assert!(!stalls(&waiters, true)[0].is_silence());
    assert_eq!(only(&waiters, true).1, Remedy::Start(start(1, 1)));
    let both = [waiter(1, WaitState::Turn(Seq(1)), &[prepared(None), Holder::Unread])];
    assert!(!stalls(&both, false)[0].is_silence(), "which one it waits for is known");
}

#[test]
fn what_is_not_sent_yet_is_sent_though_a_transaction_is_prepared_for_good() {
    let waiters = [waiter(1, WaitState::Turn(Seq(1)), &[prepared(None)])];
    assert_eq!(only(&waiters, true).1, Remedy::Start(start(1, 1)));
    assert!(stalls(&waiters, false)[0].may_be_read);
}
