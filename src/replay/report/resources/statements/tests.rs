use super::*;

fn row(query_id: i64, calls: f64) -> StatementRow {
    let mut figures = [Some(calls * 2.0); Field::COUNT];
    figures[Field::Calls as usize] = Some(calls);
    figures[Field::JitMs as usize] = None;
    StatementRow { database: "app".to_owned(), user: 10, query_id, figures }
}

fn fingerprint(sql: &str) -> u64 {
    pg_query::fingerprint(sql, 0, 0).expect("SQL").value
}

#[test]
fn a_statement_counts_for_the_shape_that_its_normalized_text_has() {
    let mut statements = Statements::default();
    statements.read(vec![row(1, 100.0), row(2, 7.0)]);
    assert_eq!(statements.unknown(|_| true), [0i64; 0]);
    statements.read(vec![row(1, 103.0), row(2, 7.0), row(3, 1.0)]);

    let mut unknown = statements.unknown(|database| database == "app");
    unknown.sort_unstable();
    assert_eq!(unknown, [1, 3]);
    statements.note_text(1, "SELECT * FROM t WHERE a = $1 AND b IN ($2, $3)");
    // As PostgreSQL 18 has it.
    statements.note_text(3, "SELECT * FROM t WHERE a = $1 AND b IN ($2 /*, ... */)");
    assert_eq!(statements.unknown(|_| true), [0i64; 0]);

    let shapes = statements.by_shape(|_| true);
    let spent = shapes[&fingerprint("select * from t where a = 'x' and b in (1, 2)")];
    assert_eq!((spent.calls, spent.blocks_hit, spent.jit_ms), (4.0, 8.0, None));
    assert_eq!(shapes.len(), 1);
    assert!(statements.by_shape(|database| database == "other").is_empty());
}

#[test]
fn what_pg_stat_statements_makes_of_intervals_and_utilities_has_their_shape() {
    for (normalized, sent) in [
        ("select now() - interval $1", "select now() - interval '1 day'"),
        ("begin", "BEGIN"),
        (
            "insert into t values ($1, $2) returning id",
            "INSERT INTO t VALUES (1, 'x') RETURNING id",
        ),
        ("select $1::int + $2", "select 1::int + 2"),
    ] {
        assert_eq!(fingerprint(normalized), fingerprint(sent), "{normalized}");
    }
}

#[test]
fn an_entry_that_began_anew_is_said_and_counts_from_there() {
    let mut statements = Statements::default();
    statements.read(vec![row(1, 100.0)]);
    statements.read(vec![row(1, 110.0)]);
    assert!(!statements.were_reset());
    statements.read(vec![row(1, 3.0)]);
    assert!(statements.were_reset());
    statements.note_text(1, "select 1");
    assert_eq!(statements.by_shape(|_| true)[&fingerprint("select 2")].calls, 13.0);
}
