use super::*;

#[test]
fn a_session_id_reads_back_as_it_was_written() {
    let id: SessionId = "6b030b04.698c".parse().unwrap();
    assert_eq!(id, SessionId { start: 0x6b03_0b04, pid: 0x698c });
    assert_eq!(id.to_string(), "6b030b04.698c");
    assert!("6b030b04".parse::<SessionId>().is_err());
    assert!("x.y".parse::<SessionId>().is_err());
}

#[test]
fn a_sqlstate_is_five_letters_or_digits() {
    assert_eq!("25P02".parse(), Ok(SqlState::IN_FAILED_TRANSACTION));
    assert_eq!(SqlState::QUERY_CANCELED.class(), "57");
    assert!("25P0".parse::<SqlState>().is_err());
    assert!("25P-2".parse::<SqlState>().is_err());
}
