use super::*;

fn at(ms: u64) -> Moment {
    Moment::after(Duration::from_millis(ms))
}

fn ms(account: &mut WaitAccount) -> [u128; 6] {
    let waits = account.take();
    [Wait::Order, Wait::Session, Wait::Backpressure, Wait::Connection, Wait::Schedule, Wait::Target]
        .map(|wait| waits.of(wait).as_millis())
}

#[test]
fn of_what_is_under_way_the_first_runs_and_the_others_wait_for_their_session() {
    let mut account = WaitAccount::default();
    account.advance(at(100), QueueState::default());
    assert_eq!(ms(&mut account), [0; 6], "nothing was there to wait");
    account.advance(at(110), QueueState { sent: 3, queued: 2, head: Some(Wait::Session) });
    assert_eq!(ms(&mut account), [0, 20 + 20, 0, 0, 0, 10]);
}

#[test]
fn the_first_that_is_not_sent_waits_for_what_holds_it_up_and_the_others_for_it() {
    let mut account = WaitAccount::default();
    account.advance(at(10), QueueState { sent: 0, queued: 3, head: Some(Wait::Order) });
    account.advance(at(14), QueueState { sent: 0, queued: 1, head: Some(Wait::Connection) });
    account.advance(at(15), QueueState { sent: 0, queued: 1, head: Some(Wait::Schedule) });
    account.advance(at(99), QueueState { sent: 0, queued: 1, head: None });
    assert_eq!(ms(&mut account), [10, 20, 0, 4, 1, 0]);
}

#[test]
fn no_time_is_counted_twice_and_none_that_goes_backwards() {
    let mut account = WaitAccount::default();
    let running = QueueState { sent: 1, ..QueueState::default() };
    account.advance(at(10), running);
    account.advance(at(10), running);
    account.advance(at(4), running);
    account.advance(at(12), running);
    assert_eq!(ms(&mut account)[5], 12);
    assert_eq!(ms(&mut account), [0; 6], "what was taken is not given again");
}

#[test]
fn sums_of_sessions_add_up() {
    let mut sum = Waits::default();
    let mut other = Waits::default();
    other.add(Wait::Target, 2, Duration::from_secs(3));
    sum.add_all(&other);
    sum.add_all(&other);
    assert_eq!(sum.of(Wait::Target), Duration::from_secs(12));
    assert_eq!(sum.iter().filter(|(_, time)| !time.is_zero()).count(), 1);
}
