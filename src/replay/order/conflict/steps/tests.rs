use super::*;
use crate::sql::Outline;

fn steps_of(text: &str) -> Vec<Step> {
    let parts = Outline::of(text).parts.into_iter();
    parts.filter_map(|part| step(part.command, &text[part.range])).collect()
}

#[test]
fn savepoints_are_told_apart_by_name() {
    assert_eq!(steps_of("savepoint A"), [Step::Savepoint("a".into())]);
    assert_eq!(steps_of("RELEASE SAVEPOINT \"a\""), [Step::Release("a".into())]);
    assert_eq!(steps_of("rollback work to savepoint a;"), [Step::RollbackTo("a".into())]);
    assert_eq!(steps_of("rollback to a"), [Step::RollbackTo("a".into())]);
}

#[test]
fn a_string_has_the_steps_of_its_statements() {
    assert_eq!(
        steps_of("begin; update t set a = 1; commit"),
        [Step::Begin, Step::Commit],
        "what the update does is in its footprint"
    );
    assert_eq!(steps_of("rollback and chain"), [Step::Chain { undone: true }]);
    assert_eq!(
        steps_of("rollback prepared 'x'"),
        [Step::FinishPrepared { name: "x".into(), undone: true }]
    );
}

#[test]
fn a_prepared_transaction_is_known_by_its_identifier_however_that_is_written() {
    for (text, gid) in [
        ("prepare transaction 'x'", "x"),
        ("PREPARE TRANSACTION 'Order 7' ; -- done", "Order 7"),
        ("prepare transaction 'it''s'", "it's"),
        ("prepare transaction e'x'", "x"),
        ("prepare transaction 'Order'-- c\n' 7'", "Order 7"),
        ("prepare transaction $$x$$", "x"),
        ("prepare transaction $gid$It's$gid$", "It's"),
    ] {
        assert_eq!(steps_of(text), [Step::Prepare(gid.into())], "{text}");
    }
}
