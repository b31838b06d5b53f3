//! What is set on a connection so that the server tells durations, and when.

use super::*;
use crate::sql::DURATION_SETTINGS;

const MEASURE: &str = crate::replay::session::durations::MEASURE;
const TELL: &str = "SET client_min_messages TO log";
const MUTE: &str = "SET client_min_messages TO notice";
const OTHERS_BACK: &str = "RESET log_duration; RESET log_min_messages";

fn replay() -> Replay {
    Replay::new(SessionSettings { server_durations: true, ..settings() })
}

fn plays(replay: &mut Replay, statements: &[&str]) -> Vec<String> {
    statements.iter().for_each(|sql| replay.simple(sql, ok()));
    replay.ran()
}

#[test]
fn a_connection_is_set_up_with_the_first_statement_and_takes_no_round_trip() {
    let mut replay = replay();
    replay.simple("insert 1", ok());
    replay.simple("insert 2", ok());
    replay.send();
    assert_eq!(replay.log, [MEASURE, TELL, "insert 1", "insert 2"], "all without an answer");
    replay.run();
    assert_eq!(replay.measured, [1, 2]);
}

#[test]
fn without_the_servers_durations_nothing_is_set() {
    let mut replay = Replay::new(settings());
    assert_eq!(plays(&mut replay, &["RESET ALL", "insert 1"]), ["RESET ALL", "insert 1"]);
}

#[test]
fn what_a_session_sets_is_set_over_behind_it() {
    let mut replay = replay();
    plays(&mut replay, &["insert 1"]);
    let sets = "SET client_min_messages TO warning";
    assert_eq!(
        plays(&mut replay, &[sets, "insert 2", "insert 3"]),
        [sets, TELL, "insert 2", "insert 3"]
    );
    let all = plays(&mut replay, &["begin", "RESET ALL", "insert 4", "commit", "insert 5"]);
    let expected = ["begin", "RESET ALL", TELL, "insert 4", "commit", MEASURE, TELL, "insert 5"];
    assert_eq!(all, expected, "in a transaction only what can not fail is set");
}

#[test]
fn before_a_statement_that_reads_them_the_sessions_own_values_are_put_back() {
    let mut replay = replay();
    plays(&mut replay, &["SET client_min_messages TO warning", "insert 1"]);
    let back = "SET client_min_messages TO warning";
    let shows = "SHOW client_min_messages";
    let ran = plays(&mut replay, &[shows, shows, "insert 2"]);
    assert_eq!(ran, [back, shows, shows, TELL, "insert 2"]);
    assert_eq!(replay.server.shown.values().collect::<Vec<_>>(), ["warning", "warning"]);
    let shows = "SHOW log_duration";
    let ran = plays(&mut replay, &["begin", shows, "commit", shows, "insert 3"]);
    let expected = ["begin", shows, "commit", OTHERS_BACK, shows, MEASURE, TELL, "insert 3"];
    assert_eq!(ran, expected, "in a transaction that may fail");
}

#[test]
fn what_holds_for_a_transaction_alone_is_put_back_as_that() {
    let mut replay = replay();
    let local = "SET LOCAL client_min_messages TO error";
    let shows = "SHOW client_min_messages";
    plays(&mut replay, &["SET client_min_messages TO info", "begin", local, shows, "commit"]);
    plays(&mut replay, &["begin", local, "rollback", shows, "insert 1"]);
    assert_eq!(replay.server.shown.values().collect::<Vec<_>>(), ["error", "info"]);
}

#[test]
fn a_role_taken_by_a_function_undoes_nothing_of_the_sessions() {
    let mut replay = replay();
    plays(&mut replay, &["insert 1"]);
    let local = "SET LOCAL client_min_messages TO warning";
    let shows = "SHOW client_min_messages";
    let statements =
        ["begin", "become other", "insert 2", local, "insert 3", "RESET ALL", shows, "insert 4"];
    plays(&mut replay, &statements);
    plays(&mut replay, &["commit", "insert 5"]);
    assert_eq!(replay.server.committed, [1, 2, 3, 4, 5]);
}

#[test]
fn another_role_is_not_asked_to_measure_and_the_first_is_again() {
    let mut replay = replay();
    plays(&mut replay, &["insert 1"]);
    let ran = plays(
        &mut replay,
        &["SET ROLE app", "RESET ALL", "insert 2", "insert 3", "RESET ROLE", "insert 4"],
    );
    let tells = ["SET ROLE app", "RESET ALL", TELL, "insert 2", "insert 3", "RESET ROLE"];
    assert_eq!(ran[..6], tells);
    let ran = plays(&mut replay, &["insert 5"]);
    assert_eq!(ran, [MEASURE, TELL, "insert 5"]);
    let ran = plays(&mut replay, &["begin", "SET LOCAL ROLE app", "RESET ALL", "commit"]);
    assert_eq!(ran, ["begin", "SET LOCAL ROLE app", "RESET ALL", TELL, "commit"]);
    assert_eq!(plays(&mut replay, &["insert 6"]), [MEASURE, TELL, "insert 6"]);
}

#[test]
fn a_refusal_is_met_again_only_after_some_statements() {
    let mut replay = replay();
    plays(&mut replay, &["insert 1", "become other", "RESET ALL"]);
    let inserts: Vec<String> = (2..60).map(|n| format!("insert {n}")).collect();
    let inserts: Vec<&str> = inserts.iter().map(String::as_str).collect();
    let ran = inserts.iter().flat_map(|insert| plays(&mut replay, &[insert]));
    assert_eq!(ran.filter(|sql| sql == MEASURE).count(), 3, "after 16, then after 32");
    plays(&mut replay, &["become oneself"]);
    let ran: Vec<String> =
        inserts.iter().flat_map(|insert| plays(&mut replay, &[insert])).collect();
    assert_eq!(ran.iter().filter(|sql| **sql == MEASURE).count(), 1);
    assert!(replay.server.measures());
}

#[test]
fn what_is_refused_to_be_put_back_is_put_back_before_it_is_stored() {
    let mut replay = replay();
    plays(&mut replay, &["insert 1", "become other", "SHOW log_duration", "become oneself"]);
    let stores =
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql SET log_duration FROM CURRENT AS '1'";
    assert_eq!(plays(&mut replay, &[stores]), [OTHERS_BACK, stores]);
    let mut replay = self::replay();
    plays(&mut replay, &["insert 1"]);
    let ran = plays(&mut replay, &["begin", stores, "rollback", stores]);
    assert_eq!(ran, ["begin", OTHERS_BACK, stores, "rollback", OTHERS_BACK, stores]);
}

#[test]
fn a_role_that_may_not_is_not_asked_again() {
    let findings = Findings::default();
    let login = findings.login("app", "shop");
    for expected in [
        &[MEASURE, TELL, "insert 1", "RESET client_min_messages", "insert 2"][..],
        &["insert 1", "insert 2"],
    ] {
        let mut replay = replay();
        replay.session.login = login.clone();
        replay.server.refuses_durations();
        let mut ran = plays(&mut replay, &["insert 1"]);
        ran.extend(plays(&mut replay, &["insert 2"]));
        assert_eq!(ran, expected);
    }
    assert!(!findings.login("bi", "shop").tells_nothing());
}

#[test]
fn a_figure_that_is_missing_has_all_set_again() {
    let mut replay = replay();
    plays(&mut replay, &["insert 1"]);
    plays(&mut replay, &["hush now"]);
    assert_eq!(plays(&mut replay, &["insert 2"]), [MEASURE, TELL, "insert 2"]);
    plays(&mut replay, &["hush now"]);
    assert_eq!(plays(&mut replay, &["insert 3"]), ["insert 3"], "but not each time");
}

#[test]
fn figures_count_only_while_the_server_tells_all() {
    let mut replay = replay();
    plays(&mut replay, &["insert 1", "SHOW client_min_messages", "insert 2"]);
    replay.lose();
    plays(&mut replay, &["SET client_min_messages TO error", "insert 3"]);
    assert_eq!(replay.measured, [1, 3, 5]);
}

#[test]
fn a_new_connection_measures_first_and_gets_the_sessions_settings_behind() {
    let mut replay = replay();
    plays(&mut replay, &["SET client_min_messages TO warning", "SET ROLE app"]);
    replay.lose();
    let ran = plays(&mut replay, &["insert 1"]);
    let restores = ["restore SET client_min_messages TO warning", "restore SET ROLE app"];
    assert_eq!(ran, [MEASURE, restores[0], restores[1], TELL, "insert 1"]);
}

#[test]
fn a_session_that_sends_ahead_is_measured_in_part_and_switched_between_transactions() {
    let mut replay = replay();
    for number in (1..=2000).step_by(3) {
        replay.simple("begin", ok());
        (number..number + 3).for_each(|n| replay.simple(&format!("insert {n}"), ok()));
        replay.simple("commit", ok());
    }
    replay.session.findings.figures.lock().take(2000, Moment::default());
    let ran = replay.ran();
    let switches: Vec<usize> =
        (0..ran.len()).filter(|at| [TELL, MUTE].contains(&&*ran[*at])).collect();
    assert_eq!(switches.len(), 2, "it is told that, and not told any more: {switches:?}");
    for at in switches {
        assert_eq!(ran[at + 1], "begin");
    }
}

#[test]
fn the_server_is_not_asked_what_a_session_has_of_them() {
    let mut replay = replay();
    plays(&mut replay, &["SET client_min_messages TO warning", "insert 1", "LISTEN a; call x"]);
    assert_eq!(replay.session.connection.durations.kreplays(), DURATION_SETTINGS);
    replay.session.context.stay_unknown();
    replay.log.clear();
    replay.leave(Leave::Idle);
    assert_eq!(replay.log, ["inspect", "inspect"]);
    plays(&mut replay, &["SHOW ALL"]);
    assert!(replay.session.connection.durations.kreplays().is_empty());
}
