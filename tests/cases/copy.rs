//! COPY from the client, whose rows no log holds, in each of its spellings.

use super::{Case, Replayed};
use testkit::kreplay::Kreplay;
use testkit::log::Log;
use testkit::postgres::Server;

fn assert_skipped(replayed: &Replayed, copies: u64, same: u64) {
    let report = &replayed.all_same().finished.report;
    assert_eq!(report["records"]["skipped"]["reasons"]["copy_data"], copies, "{report}");
    assert_eq!(report["outcomes"]["same"], same, "{report}");
}

#[test]
fn copy_from_stdout_asks_for_data_as_copy_from_stdin_does() {
    Case::new("copy_from_stdout").database("postgres").check(|replayed| {
        replayed.rows("select n from log order by n", &["1", "2", "3"]);
        assert_skipped(replayed, 1, 7);
    });
}

#[test]
fn a_copy_in_any_spelling_is_told_from_what_needs_no_data() {
    let copies = [
        "COPY BINARY \"from\" FROM stdin",
        "copy t (a) from /* rows */ STDOUT using delimiters ',' with null as ''",
        "copy t from stdin where a is distinct from 1",
    ];
    let others = [
        "create temporary table mine (a int)",
        "copy (select * from t) to stdout",
        "copy t to stdin",
        "copy \"from\" to stdout",
        "insert into mine values (1)",
        "insert into t select a from mine",
    ];
    let (first, rest) = others.split_at(1);
    let log = Log::new().ended(1, first).ended(1, copies).ended(1, rest).file();
    let server = Server::start(18);
    server.query("create database app");
    server.query_in("app", "create table t (a int); create table \"from\" (a int)");
    let finished = Kreplay::new().target(&server).arg("--input").arg(log.path()).run();
    let replayed = Replayed { server, finished, database: "app" };
    replayed.rows("select a from t", &["1"]);
    assert_skipped(&replayed, 3, 6);
}
