use super::*;
use crate::replay::order::footprint::catalog::{FunctionRow, RelationRow, Volatility};

fn marks(shared: i64, functions: i64, relations: &[(Oid, i64)]) -> Marks {
    Marks { shared, functions, relations: relations.iter().copied().collect() }
}

#[test]
fn what_is_new_or_other_is_read_and_what_is_gone_forgotten() {
    let before = marks(1, 1, &[(1, 10), (2, 20), (3, 30)]);
    let now = marks(1, 1, &[(1, 10), (2, 21), (4, 40)]);
    let changed = Changed::Some { relations: vec![2, 4], gone: vec![3], functions: false };
    assert_eq!(now.changed_since(&before), changed);
    assert_eq!(marks(2, 1, &[]).changed_since(&before), Changed::All);
}

#[test]
fn nothing_is_read_again_where_nothing_has_changed() {
    let marks = marks(1, 1, &[(1, 10)]);
    let nothing = Changed::Some { relations: vec![], gone: vec![], functions: false };
    assert_eq!(marks.changed_since(&marks.clone()), nothing);
}

fn relation(oid: Oid, name: &str) -> RelationRow {
    RelationRow { oid, schema: "public".to_owned(), name: name.to_owned(), kind: 'r' }
}

fn function(oid: Oid, is_built_in: bool) -> FunctionRow {
    let (schema, name) = ("s".to_owned(), format!("f{oid}"));
    FunctionRow {
        oid,
        schema,
        name,
        volatility: Volatility::Immutable,
        is_in_c: false,
        is_built_in,
    }
}

#[test]
fn rows_that_were_read_again_stand_where_they_would_if_all_were_read() {
    let mut rows = Rows {
        relations: vec![relation(1, "a"), relation(2, "b"), relation(3, "c")],
        functions: vec![function(1, true), function(20_000, false)],
        ..Rows::default()
    };
    let read = Rows { relations: vec![relation(2, "B")], ..Rows::default() };
    let functions = Rows { functions: vec![function(20_001, false)], ..Rows::default() };
    rows.update(Update {
        settings: Vec::new(),
        relations: Some((vec![2, 3], read)),
        functions: Some(functions),
    });
    assert_eq!(rows.relations, [relation(1, "a"), relation(2, "B")]);
    assert_eq!(rows.functions, [function(1, true), function(20_001, false)]);
}
