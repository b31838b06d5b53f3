//! What a session has set up is there again on its next connection.

use super::Case;

const NOTES: &str = "select id, tenant, actor, body, who from note order by id";

/// A case in which another session needs the only connection after each statement.
fn with_one_connection(name: &'static str) -> Case {
    Case::new(name).args(&["--max-sessions", "1"])
}

#[test]
fn settings_of_one_prefix_are_two() {
    with_one_connection("02-set-with-prefix").check(|replayed| {
        let right = ["1|north|u7|first|shop", "2|north|u7|second|shop"];
        replayed.all_same().rows(NOTES, &right);
    });
}

#[test]
fn settings_by_parameter_are_made_again_by_name_and_local_ones_are_not() {
    with_one_connection("03-set-config-parameters").check(|replayed| {
        let right = [
            "1|north|u7|first|shop",
            "2|north|u7|second|shop",
            "3|south|u7|local|shop",
            "4|north|u7|third|shop",
        ];
        replayed.all_same().rows(NOTES, &right);
    });
}

#[test]
fn the_text_is_the_logs_whatever_encoding_its_client_spoke() {
    let case = Case::new("07-client-encoding").orders(&["serial", "conflict", "session"]);
    case.check(|replayed| {
        let guests = "select * from guest order by id";
        replayed.all_same().rows(guests, &["1|Renée", "2|plain", "3|price 5 €"]);
    });
}

#[test]
fn what_a_function_has_set_is_made_again() {
    with_one_connection("14-settings-made-by-functions").check(|replayed| {
        let right = ["1|north||first|shop", "2|north||second|shop"];
        replayed.all_same().rows(NOTES, &right);
    });
}

#[test]
fn a_statement_that_writes_and_sets_is_not_run_twice() {
    with_one_connection("15-login-statement-run-again").check(|replayed| {
        let notes = "select id, actor, body from note order by id";
        replayed.all_same().rows(notes, &["1||login", "2|1|first", "3|1|second"]);
    });
}

#[test]
fn what_a_savepoint_undoes_is_not_made_again() {
    with_one_connection("16-set-undone-by-savepoint").check(|replayed| {
        let right = ["1||one|first|shop", "2||one|second|shop"];
        replayed.all_same().rows(NOTES, &right);
    });
}

#[test]
fn reset_all_keeps_the_role_and_the_end_of_an_authorization_does_not() {
    with_one_connection("17-reset-all-keeps-the-role").check(|replayed| {
        let right = ["first|web_user", "second|web_user", "first|postgres", "second|postgres"];
        replayed.all_same().rows("select body, who from note order by id", &right);
    });
}
