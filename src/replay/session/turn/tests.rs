use super::TurnStep::{Ask, Start, Wait};
use super::*;

fn at(ms: u64) -> Moment {
    Moment::after(Duration::from_millis(ms))
}

fn ms(wait: u64) -> Duration {
    Duration::from_millis(wait)
}

#[test]
fn where_none_is_needed_every_statement_may_start() {
    let mut turn = TurnState::new(false);
    assert_eq!(turn.step(Seq(7), at(0)), Start);
    assert!(!turn.is_awaited(Seq(7)));
}

#[test]
fn a_turn_is_asked_for_once_and_holds_for_all_up_to_its_place() {
    let mut turn = TurnState::new(true);
    assert_eq!([turn.step(Seq(4), at(0)), turn.step(Seq(4), at(1))], [Ask, Wait]);
    assert!(turn.is_awaited(Seq(4)));
    turn.grant(Seq(6), at(2));
    assert!(!turn.is_awaited(Seq(4)));
    assert_eq!([4, 6].map(|seq| turn.step(Seq(seq), at(3))), [Start, Start]);
    assert_eq!(turn.step(Seq(7), at(3)), Ask);
    turn.grant(Seq(5), at(4));
    assert_eq!(turn.step(Seq(6), at(4)), Start, "what was granted is not taken back");
}

#[test]
fn what_may_run_ahead_of_its_turn_does_so_alone_and_once() {
    let mut turn = TurnState::new(true);
    assert_eq!(turn.step(Seq(4), at(0)), Ask);
    turn.run_ahead(Seq(4), at(1));
    assert!(!turn.is_awaited(Seq(4)));
    assert_eq!(turn.step(Seq(4), at(1)), Start);
    turn.started(Seq(4));
    assert_eq!(turn.step(Seq(5), at(2)), Ask);
    assert_eq!(turn.step(Seq(4), at(2)), Wait, "to run it again is no matter of its turn");
}

#[test]
fn on_another_connection_the_turn_is_asked_for_again_but_not_one_that_was_granted() {
    let mut turn = TurnState::new(true);
    assert_eq!(turn.step(Seq(4), at(0)), Ask);
    turn.grant(Seq(4), at(0));
    assert_eq!(turn.step(Seq(5), at(0)), Ask);
    turn.run_ahead(Seq(5), at(0));
    turn.disconnected();
    assert_eq!([4, 5].map(|seq| turn.step(Seq(seq), at(1))), [Start, Ask]);
}

#[test]
fn each_statement_that_ends_tells_how_long_it_waited_for_its_own_turn() {
    let mut turn = TurnState::new(true);
    for (seq, asks, comes) in [(1, 0, 5), (2, 6, 6), (4, 7, 27)] {
        assert_eq!(turn.step(Seq(seq), at(asks)), Ask);
        turn.grant(Seq(seq), at(comes));
    }
    assert_eq!(turn.take_waited(Seq(1)), ms(5));
    assert_eq!(turn.take_waited(Seq(3)), ms(0), "it needed no turn of its own");
    assert_eq!(turn.take_waited(Seq(4)), ms(20));
    assert_eq!(turn.take_waited(Seq(4)), ms(0), "what was taken is not given again");
}
