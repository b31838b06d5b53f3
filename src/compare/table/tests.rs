use crate::compare::comparison::tests::worse;

use super::*;

#[test]
fn the_table_tells_what_became_worse_and_by_which_plan() {
    let table = worse().table();
    let line = |of: &str| {
        let found = table.lines().find(|line| line.contains(of));
        found.unwrap_or_else(|| panic!("no {of} in {table}")).to_owned()
    };
    assert!(line("SELECT f1").contains("degraded"), "{table}");
    assert!(line("- Index Scan on t").ends_with("(10 rows)"), "{table}");
    assert!(line("+ Seq Scan on t").ends_with("(10 rows)"), "{table}");
    assert!(line("42P01").contains("64 calls  SELECT f3"), "{table}");
    assert!(line("result").ends_with("1 shape degraded, 1 new error in the candidate"), "{table}");
    assert!(table.lines().all(|line| line.chars().count() <= WIDTH), "{table}");
}

#[test]
fn a_shape_that_is_no_news_is_left_out_where_there_are_many() {
    let mut many = worse();
    let same = many.shapes[0].clone();
    many.shapes.extend(std::iter::repeat_n(same, 100));
    assert!(many.table().lines().count() < 30);
}

#[test]
fn what_a_report_holds_is_no_command_to_the_terminal() {
    let mut hostile = worse();
    hostile.shapes[0].query = Some("SELECT \u{1b}]0;x\u{7}\nFROM t".to_owned());
    hostile.baseline.target = "db\u{1b}[2J".to_owned();
    let table = hostile.table();
    assert!(!table.contains('\u{1b}') && table.contains("SELECT  ]0;x  FROM t"), "{table}");
}
