//! Transactions that one session prepares and another one finishes.

use super::{Case, Replayed};
use testkit::kreplay::Kreplay;
use testkit::log::Log;
use testkit::postgres::Server;

const PREPARED: &str = "select count(*) from pg_prepared_xacts";

#[test]
fn a_transaction_is_prepared_before_another_session_finishes_it() {
    Case::new("two_phase_rounds").setup("two_phase").check(|replayed| {
        replayed.all_same().rows("select bal from acct where id = 1", &["64"]);
        replayed.rows(PREPARED, &["0"]);
    });
    Case::new("two_phase_other_sessions").database("postgres").check(|replayed| {
        replayed.all_same().rows("select id, v from acc order by id", &["1|102", "2|102", "3|102"]);
        replayed.rows(PREPARED, &["0"]);
    });
}

#[test]
fn who_waits_for_a_prepared_transaction_is_freed_by_the_session_that_finishes_it() {
    Case::new("two_phase_late_record").setup("two_phase").check(|replayed| {
        replayed.all_same().rows("select bal from acct where id = 1", &["113"]);
        replayed.rows(PREPARED, &["0"]);
    });
}

#[test]
fn a_table_that_stays_locked_is_locked_behind_what_stands_before_that() {
    // What takes a lock on a table, and the mode that would be in its way.
    let cases: [(&[&str], &str); 8] = [
        (&["select * from TABLE"], "access exclusive"),
        (&["explain select * from TABLE"], "access exclusive"),
        // What the function names is not known.
        (&["select rows_of('TABLE')"], "access exclusive"),
        (&["begin", "select * from TABLE", "commit"], "access exclusive"),
        (&["select * from TABLE for key share"], "exclusive"),
        (&["insert into TABLE values (1)"], "share"),
        (&["begin", "lock table TABLE in share mode", "commit"], "row exclusive"),
        (&["vacuum TABLE"], "share update exclusive"),
    ];
    let function = "create function rows_of(t text) returns bigint language plpgsql stable as \
        'declare n bigint; begin if t = ''t3'' then select count(*) into n from t3; end if; \
        return n; end'; ";
    let (mut log, mut setup) = (Log::new(), function.to_owned());
    for (at, (statements, mode)) in (1..).zip(cases) {
        let named = |sql: &str| sql.replace("TABLE", &format!("t{at}"));
        setup += &named("create table TABLE (a int); ");
        log = log.ended(at, ["select pg_sleep(0.2)"]);
        log = log.ended(at, statements.iter().map(|sql| named(sql)));
        let lock = named(&format!("lock table TABLE in {mode} mode"));
        log = log.ended(100 + at, ["begin", &lock, &format!("prepare transaction 'p{at}'")]);
    }
    let server = Server::start(15);
    server.query("create database app");
    server.query_in("app", &setup);
    let kreplay = Kreplay::new().target(&server).args(["--stall-timeout", "300ms"]);
    let finished = kreplay.arg("--input").arg(log.file().path()).run();
    let replayed = Replayed { server, finished, database: "app" };
    replayed.all_same().rows(PREPARED, &[&cases.len().to_string()]);
}
