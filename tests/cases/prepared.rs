//! Prepared statements: their names, their plans and the types that their clients declared.

use serde_json::json;

use super::Case;

#[test]
fn a_statement_that_its_client_prepares_again_after_a_change_of_its_table_is_prepared_again_here() {
    // With the record of that, and without.
    for case in ["prepared_again_after_ddl", "prepared_again_after_ddl_unlogged"] {
        Case::new(case).check(|replayed| {
            replayed.all_same().rows("select * from article", &["1|x|2"]);
        });
    }
}

#[test]
fn a_failure_of_declared_types_is_not_one_that_the_target_has_mended() {
    Case::new("fixed_errors_that_are_not").orders(&["serial"]).check(|replayed| {
        let outcomes = &replayed.finished.report["outcomes"];
        assert_eq!(outcomes, &json!({"cannot_tell": 1}), "{}", replayed.finished);
    });
}
