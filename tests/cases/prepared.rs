//! Prepared statements: their names, their plans and the types that their clients declared.

use serde_json::json;

use super::{Case, SITUATIONS, source_rows};

#[test]
fn a_statement_that_its_client_prepares_again_after_a_change_of_its_table_is_prepared_again_here() {
    // With the record of that, and without.
    for case in ["prepared_again_after_ddl", "prepared_again_after_ddl_unlogged"] {
        Case::new(case).setup("prepared_again_after_ddl").check(|replayed| {
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

#[test]
fn a_type_that_was_guessed_from_one_value_gives_way_to_one_that_fits_the_next() {
    Case::new("guessed_types_stay").check(|replayed| {
        let keys = ["k007", "k12.5", "k4711", "kA-17", "t900", "tB-9", "tx3"];
        replayed.all_same().rows("select k from kv order by k", &keys);
    });
}

#[test]
fn ranges_and_intervals_are_known_as_such_and_what_the_server_infers_is_left_to_it() {
    let case = Case::new("guessed_types_range_interval").database("postgres");
    case.check(|replayed| {
        let outcomes = &replayed.all_same().finished.report["outcomes"];
        assert_eq!(outcomes, &json!({"same": 10}), "{}", replayed.finished);
    });
}

#[test]
fn parameters_get_types_that_give_what_the_declared_ones_gave() {
    // Each statement named, and unnamed within a transaction: NULLs first and last, numbers that grow,
    // arrays and ranges that are empty, types that only their writing tells.
    let right = source_rows("declared_types");
    let rows = "select k || '|' || coalesce(v, 'NULL') from o union all \
                select row_to_json(r)::text from (select i,b,n,s,f,d,ts,tz,j,u,bo from t) r \
                union all select c::text from c order by 1";
    Case::new("declared_types").check(|replayed| {
        replayed.rows(rows, &right).all_same();
    });
}

#[test]
fn named_statements_are_what_their_clients_prepared_last() {
    // The same name for other texts; DEALLOCATE and DISCARD; results that change, in a transaction, a
    // savepoint and a pipeline; SQL's own PREPARE. With records of each Parse, and without.
    let right = source_rows("named_statements");
    for case in ["named_statements", "named_statements_start_logged"] {
        Case::new(case).setup("named_statements").check(|replayed| {
            let outcomes = &replayed.rows(SITUATIONS, &right).finished.report["outcomes"];
            // A name that was taken, or that nothing had.
            assert_eq!(outcomes, &json!({"cannot_tell": 2, "same": 264}), "{}", replayed.finished);
        });
    }
}
