use super::*;
use crate::pglog::SessionId;
use crate::pglog::statement::Protocol;
use crate::pglog::statement::Statement;
use crate::replay::work::{End, Position, Seq};
use crate::sql::Outline;

fn work(offset: i64, pid: u32, logged_ms: i64, sql: &str) -> Work {
    let statement = Statement {
        sql: sql.into(),
        protocol: Protocol::Simple,
        outline: Outline::of(sql),
        duration_ms: Some(offset as f64),
        exporter: None,
        logged_ms,
    };
    let at = Position { partition: 0, offset, line: 0 };
    let session = SessionId { start: 0x6a1b, pid };
    Work::new(Seq(1), at, session, statement, End::default())
}

fn digest(statements: &[Work]) -> Digest {
    let mut digest = Digest::default();
    statements.iter().for_each(|it| digest.add(it));
    digest
}

#[test]
fn neither_the_order_nor_the_place_of_the_records_matters() {
    let file = [work(10, 1, 5, "SELECT 1"), work(90, 2, 7, "COMMIT")];
    let topic = [work(1, 2, 7, "COMMIT"), work(2, 1, 5, "SELECT 1")];
    assert_eq!(digest(&file), digest(&topic));
    let Digest { statements, first_logged_ms, last_logged_ms, .. } = digest(&file);
    assert_eq!((statements, first_logged_ms, last_logged_ms), (2, Some(5), Some(7)));
}

#[test]
fn another_statement_session_or_time_and_a_repetition_are_told() {
    let one = || work(0, 1, 5, "SELECT 1");
    let known = digest(&[one()]).hash;
    for other in [work(0, 2, 5, "SELECT 1"), work(0, 1, 6, "SELECT 1"), work(0, 1, 5, "SELECT 10")]
    {
        assert_ne!(digest(&[other]).hash, known);
    }
    assert_ne!(digest(&[one(), one()]).hash, known);
}

#[test]
fn the_hash_never_changes_from_version_to_version() {
    let written = serde_json::to_value(digest(&[work(0, 1, 5, "SELECT 1")])).unwrap();
    assert_eq!(written["hash"], "97e5817dbbe4f1ed");
}
