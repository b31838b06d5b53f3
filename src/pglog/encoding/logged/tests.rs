use super::*;

/// What databases `a` and `b` are taken to have after these records of one session, each with its
/// virtual transaction, its severity and its message; `a` is in LATIN2 at the start.
fn after(records: &[(&str, Severity, &str)]) -> [&'static str; 2] {
    let latin2 = Encoding::from_postgres_name("LATIN2").unwrap();
    let mut encodings: Encodings = [("a".to_owned(), latin2)].into_iter().collect();
    let mut changes = LoggedChanges::default();
    for &(transaction, severity, message) in records {
        let record = LogRecord {
            session: SessionId { start: 1, pid: 1 },
            virtual_transaction: transaction.into(),
            severity,
            message: message.into(),
            ..LogRecord::default()
        };
        changes.note(&record, &mut encodings);
    }
    ["a", "b"].map(|database| encodings.of(database).postgres_name())
}

const CREATE: &str = "statement: create database b encoding 'LATIN1' template template0";

#[test]
fn a_database_that_the_log_creates_has_the_encoding_that_it_says() {
    assert_eq!(after(&[("3/4", Severity::Log, CREATE)]), ["LATIN2", "LATIN1"]);
    let done = format!("duration: 40.1 ms  {CREATE}");
    assert_eq!(after(&[("3/0", Severity::Log, &done)]), ["LATIN2", "LATIN1"]);
    let copied = "execute <unnamed>: create database b template a";
    assert_eq!(after(&[("3/4", Severity::Log, copied)]), ["LATIN2", "LATIN2"]);
}

#[test]
fn a_database_that_could_not_be_created_changes_nothing() {
    let failed = ("3/4", Severity::Error, "database \"b\" already exists");
    let before = "statement: create database b template a";
    assert_eq!(
        after(&[("3/3", Severity::Log, before), ("3/4", Severity::Log, CREATE), failed]),
        ["LATIN2", "LATIN2"]
    );
}

#[test]
fn an_error_of_a_later_statement_undoes_nothing() {
    let error = ("3/5", Severity::Error, "division by zero");
    assert_eq!(after(&[("3/4", Severity::Log, CREATE), error]), ["LATIN2", "LATIN1"]);
    let done = format!("duration: 40.1 ms  {CREATE}");
    assert_eq!(after(&[("3/0", Severity::Log, &done), error]), ["LATIN2", "LATIN1"]);
}

#[test]
fn a_savepoint_undoes_what_comes_behind_it() {
    let sql = |sql: &'static str| ("3/5", Severity::Log, sql);
    let (before, behind) = (
        sql("statement: alter database a rename to c"),
        sql("statement: alter database b rename to a"),
    );
    let savepoint = sql("statement: savepoint s");
    let rollback = sql("statement: rollback to s");
    let created = ("3/0", Severity::Log, CREATE);
    let within =
        |records: &[(&str, Severity, &'static str)]| after(&[&[created][..], records].concat());
    assert_eq!(within(&[before, savepoint, behind]), ["LATIN1", "LATIN1"]);
    assert_eq!(within(&[before, savepoint, behind, rollback]), ["LATIN2", "LATIN1"]);
    assert_eq!(within(&[savepoint, behind, rollback]), ["LATIN2", "LATIN1"]);
    let then = sql("statement: alter database a rename to b");
    assert_eq!(within(&[savepoint, behind, rollback, then]), ["LATIN2", "LATIN2"]);
}

#[test]
fn a_database_may_have_its_encoding_by_number() {
    let numbered = "statement: create database b encoding 16 template template0";
    assert_eq!(after(&[("3/0", Severity::Log, numbered)]), ["LATIN2", "LATIN9"]);
}

#[test]
fn names_that_were_swapped_keep_to_their_databases_unless_it_is_rolled_back() {
    let swap = [
        ("3/0", Severity::Log, CREATE),
        ("3/5", Severity::Log, "statement: alter database a rename to c"),
        ("3/5", Severity::Log, "statement: alter database b rename to a"),
        ("3/5", Severity::Log, "statement: alter database c rename to b"),
    ];
    assert_eq!(after(&swap), ["LATIN1", "LATIN2"]);
    let commit = ("3/5", Severity::Log, "statement: commit");
    let next = ("3/6", Severity::Error, "division by zero");
    assert_eq!(after(&[&swap[..], &[commit, next]].concat()), ["LATIN1", "LATIN2"]);
    for rollback in [
        ("3/5", Severity::Log, "statement: ROLLBACK"),
        ("3/0", Severity::Log, "duration: 0.1 ms  statement: rollback;"),
        ("3/5", Severity::Error, "canceling statement due to user request"),
    ] {
        assert_eq!(after(&[&swap[..], &[rollback]].concat()), ["LATIN2", "LATIN1"]);
    }
}

#[test]
fn transactions_of_which_the_log_tells_no_end_take_so_much_room_and_no_more() {
    let mut encodings = Encodings::default();
    let mut changes = LoggedChanges::default();
    for pid in 0..3 * UNFINISHED as u32 {
        let record = LogRecord {
            session: SessionId { start: 1, pid },
            virtual_transaction: "3/4".into(),
            severity: Severity::Log,
            message: CREATE.into(),
            ..LogRecord::default()
        };
        changes.note(&record, &mut encodings);
        assert!(changes.unfinished.len() <= UNFINISHED);
    }
    assert_eq!(encodings.of("b").postgres_name(), "LATIN1");
}
