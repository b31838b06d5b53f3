use super::*;

#[test]
fn each_kind_is_logged_ten_times_and_then_ever_less_often() {
    let mut limit = LogLimit::default();
    let logged: Vec<u64> = (0..100).filter_map(|_| limit.should_log("gap")).collect();
    assert_eq!(logged, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 16, 32, 64]);
    assert_eq!(limit.should_log("zone"), Some(1));
}
