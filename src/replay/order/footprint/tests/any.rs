//! Whatever the text.

use proptest::prelude::*;

use super::World;
use crate::sql::shape::Shape;

const STATEMENTS: [&str; 9] = [
    "SELECT * FROM orders WHERE id = {} AND note = {}",
    "UPDATE notes SET body = {} WHERE id = {}",
    "INSERT INTO accounts (id, email) VALUES ({}, {})",
    "INSERT INTO notes VALUES ({}, {}) ON CONFLICT (id) DO UPDATE SET body = {}",
    "DELETE FROM lines WHERE order_id IN ({}, {}) AND number = -{}",
    "SELECT nextval({}), pg_advisory_xact_lock({}, - {})",
    "SELECT 1 FROM orders WHERE id = ANY ({}) OR id = {}-{}",
    "SET search_path TO {}, {}",
    "SELECT {}{} FROM notes WHERE id = {}\n{}",
];

const LITERALS: [&str; 22] = [
    "0",
    "5",
    "12345678901234567890",
    "1.5",
    ".5",
    "1e5",
    "0x1F",
    "1_000",
    "''",
    "'5'",
    "'it''s'",
    "E'a\\'b'",
    "E'\\x41'",
    "$$5$$",
    "$a$ ' $a$",
    "'{1,2}'",
    "'account_ids'",
    "b'01'",
    "N'x'",
    "U&'x'",
    "NULL",
    "true",
];

fn filled(statement: &str, literals: &[&str]) -> String {
    let mut literals = literals.iter().cycle();
    let mut pieces = statement.split("{}");
    let mut sql = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        sql.push_str(literals.next().expect("a cycle"));
        sql.push_str(piece);
    }
    sql
}

proptest! {
    #[test]
    fn no_text_panics(sql in ".{0,100}") {
        World::new().of(&sql);
    }

    #[test]
    fn no_pieces_of_sql_panic(pieces in prop::collection::vec(prop::sample::select(vec![
        "select ", "from ", "orders ", "where ", "id ", "= ", "5 ", "'x' ", "( ", ") ", ", ", "and ",
        "insert into ", "values ", "notes ", "update ", "set ", "delete from ", "with x as ", "; ",
        "$1 ", "in ", "any ", "for update ", "on conflict ", "do nothing ", "execute ", "prepare q as ",
        "begin ", "commit ", "-", "- ", "nextval(", "::int ", "returning ", "* ", "default ", "null ",
    ]), 0..20)) {
        World::new().of(&pieces.concat());
    }

    #[test]
    fn a_kept_shape_says_what_a_fresh_analysis_would(
        statement in prop::sample::select(STATEMENTS.to_vec()),
        literals in prop::collection::vec(prop::collection::vec(prop::sample::select(LITERALS.to_vec()), 4), 1..8),
    ) {
        let mut kept = World::new();
        for literals in literals {
            let sql = filled(statement, &literals);
            prop_assert_eq!(kept.of(&sql), World::new().of(&sql), "{}", sql);
        }
    }

    #[test]
    fn what_is_shown_of_a_shape_holds_no_literal(secret in "[a-z]{12}", number in 100_000u32..) {
        let sql = format!(
            "SELECT '{secret}', E'{secret}', $${secret}$$, {number}, {number}.5e1, b'1', U&'{secret}'"
        );
        let shown = Shape::shown(&sql, 200);
        prop_assert!(!shown.contains(&secret) && !shown.contains(&number.to_string()), "{}", shown);
    }
}
