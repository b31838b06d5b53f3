use super::*;

fn row(query_id: i64, calls: f64) -> StatementRow {
    let mut figures = [Some(calls * 2.0); Field::COUNT];
    figures[Field::Calls as usize] = Some(calls);
    figures[Field::JitMs as usize] = None;
    StatementRow { database: "app".to_owned(), user: 10, query_id, figures }
}

fn known(sql: &str) -> u64 {
    fingerprint(sql).expect("SQL")
}

/// Statements that were read for the first time.
fn first(rows: Vec<StatementRow>) -> Statements {
    let mut statements = Statements::default();
    statements.read(rows, true, |_| true);
    statements
}

fn note_text(statements: &mut Statements, query_id: i64, text: &str) {
    statements.note_fingerprints(&[query_id], vec![(query_id, fingerprint(text))]);
}

#[test]
fn a_statement_counts_for_the_shape_that_its_normalized_text_has() {
    let mut statements = first(vec![row(1, 100.0), row(2, 7.0)]);
    assert_eq!(statements.next_unknown(|_| true), [0i64; 0]);
    statements.read(vec![row(1, 103.0), row(2, 7.0), row(3, 1.0)], false, |_| true);

    assert_eq!(statements.next_unknown(|database| database == "app"), [1, 3]);
    assert!(statements.notes(|_| true)[0].starts_with("the texts of 2 statements"));
    note_text(&mut statements, 1, "SELECT * FROM t WHERE a = $1 AND b IN ($2, $3)");
    // As PostgreSQL 18 has it.
    note_text(&mut statements, 3, "SELECT * FROM t WHERE a = $1 AND b IN ($2 /*, ... */)");
    assert_eq!(statements.next_unknown(|_| true), [0i64; 0]);

    let shapes = statements.by_shape(|_| true);
    let spent = shapes[&known("select * from t where a = 'x' and b in (1, 2)")];
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
        assert_eq!(known(normalized), known(sent), "{normalized}");
    }
}

#[test]
fn an_entry_that_began_anew_is_said_and_counts_from_there() {
    let mut statements = first(vec![row(1, 100.0)]);
    statements.read(vec![row(1, 110.0)], false, |_| true);
    assert!(!statements.were_reset);
    statements.read(vec![row(1, 3.0)], false, |_| true);
    assert!(statements.were_reset);
    note_text(&mut statements, 1, "select 1");
    assert_eq!(statements.by_shape(|_| true)[&known("select 2")].calls, 13.0);
}

#[test]
fn texts_are_asked_for_in_parts_those_of_the_longest_statements_first_and_once_each() {
    let mut statements = first(Vec::new());
    let rows = (1..=1_000).map(|n| row(n, n as f64)).collect();
    statements.read(rows, false, |_| true);
    let asked = statements.next_unknown(|_| true);
    assert_eq!((asked.len(), asked[0]), (TEXTS_AT_ONCE, 1_000));
    // It is too long, or not there any more.
    statements.note_fingerprints(&asked, Vec::new());
    assert_eq!(statements.next_unknown(|_| true)[0], 1_000 - TEXTS_AT_ONCE as i64);
    for _ in 0..3 {
        let asked = statements.next_unknown(|_| true);
        statements.note_fingerprints(&asked, Vec::new());
    }
    assert_eq!(statements.next_unknown(|_| true), [0i64; 0]);
    assert!(statements.notes(|_| true).is_empty() && statements.by_shape(|_| true).is_empty());
}

#[test]
fn entries_of_other_databases_make_room_and_what_is_left_out_is_said() {
    let other = |n| StatementRow { database: "other".to_owned(), ..row(n, 5.0) };
    let others = (1..=MOST as i64).map(other);
    let mut statements = first(others.collect());
    let replays_to = |database: &str| database == "app";
    statements.read(vec![row(-1, 9.0)], false, replays_to);
    assert_eq!(statements.notes(|_| true).len(), 1, "a text that is not read yet");
    note_text(&mut statements, -1, "select 1");
    assert_eq!(statements.by_shape(replays_to)[&known("select 1")].calls, 9.0);

    // What it had counted by then is not known any more.
    statements.read(vec![other(1)], false, |_| true);
    statements
        .read(vec![StatementRow { figures: row(1, 7.0).figures, ..other(1) }], false, |_| true);
    note_text(&mut statements, 1, "select a");
    assert_eq!(statements.by_shape(|_| true)[&known("select a")].calls, 2.0);
    assert_eq!(statements.notes(|_| true), [""; 0]);

    statements.read((1..=MOST as i64).map(|n| row(n, 5.0)).collect(), false, |_| true);
    let notes = statements.notes(|_| false);
    assert!(
        notes.len() == 1 && notes[0].starts_with("it has more than 20,000 entries"),
        "{notes:?}"
    );
}

#[test]
fn where_there_was_no_room_for_all_one_that_is_seen_later_counts_from_there() {
    let mut statements = first((0..=MOST as i64).map(|n| row(n, 5.0)).collect());
    statements.read(Vec::new(), false, |_| false);
    statements.read(vec![row(MOST as i64, 100.0)], false, |_| true);
    statements.read(vec![row(MOST as i64, 101.0)], false, |_| true);
    note_text(&mut statements, MOST as i64, "select 1");
    assert_eq!(statements.by_shape(|_| true)[&known("select 1")].calls, 1.0);
}
