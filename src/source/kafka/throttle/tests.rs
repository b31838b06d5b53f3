use super::*;

#[test]
fn a_repeated_message_passes_every_ten_seconds_with_the_number_held_back() {
    let mut throttle = Throttle::default();
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    assert_eq!(throttle.pass("down", at(0)), Some(0));
    assert_eq!(throttle.pass("down", at(1)), None);
    assert_eq!(throttle.pass("down", at(9)), None);
    assert_eq!(throttle.pass("other", at(9)), Some(0));
    assert_eq!(throttle.pass("down", at(10)), Some(2));
    assert_eq!(throttle.pass("down", at(11)), None);
}

#[test]
fn an_endless_number_of_messages_takes_bounded_memory() {
    let mut throttle = Throttle::default();
    let now = Instant::now();
    let passed = (0..10_000).filter(|n| throttle.pass(&n.to_string(), now).is_some()).count();
    assert_eq!(passed, REMEMBERED);
    assert_eq!(throttle.pass("later", now + EVERY), Some(0));
}
