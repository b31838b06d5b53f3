//! What has auto_explain tell plans on a connection, and when.

use super::*;
use crate::replay::session::durations::MEASURE;

const TELL: &str = "SET client_min_messages TO log";
const SET: &str = "auto_explain";

fn replay() -> Replay {
    Replay::new(SessionSettings { explain: true, ..settings() })
}

fn plays(replay: &mut Replay, statements: &[&str]) -> Vec<String> {
    statements.iter().for_each(|sql| replay.simple(sql, ok()));
    replay.ran()
}

#[test]
fn it_is_set_up_on_a_new_connection_before_what_the_session_has_set_and_takes_no_round_trip() {
    let mut replay = replay();
    replay.simple("insert 1", ok());
    replay.send();
    assert_eq!(replay.log, [SET, "insert 1"], "all without an answer");
    plays(&mut replay, &["SET ROLE app"]);
    replay.lose();
    assert_eq!(plays(&mut replay, &["insert 2"]), [SET, "restore SET ROLE app", "insert 2"]);

    let settings = SessionSettings { explain: true, server_durations: true, ..settings() };
    let mut replay = Replay::new(settings);
    assert_eq!(plays(&mut replay, &["insert 1"]), [MEASURE, SET, TELL, "insert 1"]);
    assert_eq!(replay.measured, [1]);
}

#[test]
fn what_undoes_it_has_it_set_up_again_between_transactions() {
    let mut replay = replay();
    plays(&mut replay, &["insert 1"]);
    let ran = plays(&mut replay, &["RESET ALL", "insert 2", "DISCARD ALL", "insert 3"]);
    assert_eq!(ran, ["RESET ALL", SET, "insert 2", "DISCARD ALL", SET, "insert 3"]);
    let ran = plays(&mut replay, &["begin", "RESET ALL", "insert 4", "commit", "insert 5"]);
    assert_eq!(ran, ["begin", "RESET ALL", "insert 4", "commit", SET, "insert 5"]);
    let sets = "SET auto_explain.sample_rate TO 1";
    assert_eq!(plays(&mut replay, &[sets, "insert 6"]), [sets, "insert 6"], "that is its own");
}

#[test]
fn where_a_figure_is_missing_a_function_may_have_undone_it_too() {
    let settings = SessionSettings { explain: true, server_durations: true, ..settings() };
    let mut replay = Replay::new(settings);
    plays(&mut replay, &["insert 1", "hush now"]);
    assert_eq!(plays(&mut replay, &["insert 2"]), [MEASURE, TELL, SET, "insert 2"]);
}

#[test]
fn another_role_is_not_asked_and_the_first_is_again() {
    let mut replay = replay();
    plays(&mut replay, &["insert 1"]);
    let ran =
        plays(&mut replay, &["SET ROLE app", "RESET ALL", "insert 2", "RESET ROLE", "insert 3"]);
    assert_eq!(ran[..4], ["SET ROLE app", "RESET ALL", "insert 2", "RESET ROLE"]);
    assert_eq!(plays(&mut replay, &["insert 4"]), [SET, "insert 4"]);
}

#[test]
fn a_login_that_may_not_is_told_of_once_and_not_asked_again() {
    let login = Findings::default().login("app", "shop");
    for (expected, told) in [
        (&[SET, "insert 1", "RESET ALL", "insert 2"][..], 1),
        (&["insert 1", "RESET ALL", "insert 2"], 0),
    ] {
        let mut replay = replay();
        replay.session.login = login.clone();
        replay.server.refuses_durations();
        let mut ran = plays(&mut replay, &["insert 1"]);
        ran.extend(plays(&mut replay, &["RESET ALL", "insert 2"]));
        assert_eq!(ran, expected);
        assert_eq!(replay.explain_refused, told);
        assert_eq!(replay.server.committed, [1, 2]);
    }
}

#[test]
fn a_refusal_that_a_function_brought_about_is_that_connections_alone() {
    let mut replay = replay();
    plays(&mut replay, &["insert 1", "become other", "RESET ALL"]);
    assert_eq!(plays(&mut replay, &["insert 2", "insert 3"]), [SET, "insert 2", "insert 3"]);
    assert_eq!(plays(&mut replay, &["insert 4"]), ["insert 4"]);
    assert_eq!(replay.explain_refused, 0);
    replay.lose();
    assert_eq!(plays(&mut replay, &["insert 5"]), [SET, "insert 5"]);
}

#[test]
fn an_answer_that_a_plan_came_with_is_not_measured() {
    for (protocol, with_plan) in [
        (Protocol::Simple, true),
        (Protocol::Simple, false),
        (extended("", &["1"]), true),
        (extended("", &["1"]), false),
    ] {
        let mut replay = replay();
        plays(&mut replay, &["insert 1"]);
        replay.push("select $1", protocol, ok());
        replay.send();
        let answered = replay.session.answered(Answer { with_plan, ..Answer::default() });
        let (_, ended) = answered.ended.expect("it has ended");
        assert_eq!(ended.took.is_none(), with_plan);
    }
}

#[test]
fn the_server_is_not_asked_for_what_kreplay_has_set_of_it() {
    let rate = "auto_explain.sample_rate";
    let mut replay = replay();
    plays(&mut replay, &["insert 1"]);
    assert!(replay.session.settings_of_auto_explain().contains(&rate));
    plays(&mut replay, &["SET auto_explain.sample_rate TO 1"]);
    let kreplays = replay.session.settings_of_auto_explain();
    assert!(!kreplays.contains(&rate) && !kreplays.is_empty(), "{kreplays:?}");
    plays(&mut replay, &["RESET ALL", "insert 2"]);
    assert!(replay.session.settings_of_auto_explain().contains(&rate));
    let mut without = Replay::new(settings());
    plays(&mut without, &["insert 1"]);
    assert!(without.session.settings_of_auto_explain().is_empty());
}
