//! Statements that began behind a COMMIT on the source, and whose records stand before its own.

use super::Replayed;
use testkit::kreplay::Kreplay;
use testkit::log::Log;
use testkit::postgres::Server;

/// Rows 3 and 4 have the tag `y`.
const ROWS: &str = "(id int primary key, k int, tag text); \
    insert into TABLE select i, 10 * i, case when i < 3 then 'x' else 'y' end from generate_series(1, 4) i;";
/// What another session's transaction does: row 1 gets the tag as well, row 4 is locked.
const TAGS: [&str; 3] = [
    "begin",
    "update TABLE set tag = 'y', k = k + 1 where id = 1",
    "update TABLE set k = k + 1 where id = 4",
];
/// Whoever sees that transaction changes three rows, else two.
const ADDS: &str = "update TABLE set k = k + 100 where tag = 'y'";
/// What is left when it was seen, and when it was not.
const SEEN: &str = "1|111|y 2|20|x 3|130|y 4|141|y";
const UNSEEN: &str = "1|11|y 2|20|x 3|130|y 4|141|y";

/// A log of situations, each with a table and sessions of its own.
struct Situations {
    log: Log,
    setup: String,
    right: Vec<(&'static str, String)>,
}

impl Situations {
    fn new() -> Self {
        let log = Log::new().at_once(0.04);
        let setup = "create table drawn_before (id serial); create function run(s text) returns void \
            language plpgsql as 'begin execute s; end';";
        let setup = setup.to_owned();
        Self { log, setup, right: Vec::new() }
    }

    /// The sessions are `pid`, whose transaction is open, and those behind it.
    fn add(
        mut self,
        table: &'static str,
        right: &str,
        log: impl Fn(Log, u32, &dyn Fn(&str) -> String) -> Log,
    ) -> Self {
        let pid = 100 * (1 + self.right.len() as u32);
        let named = |sql: &str| sql.replace("TABLE", table);
        self.setup += &format!("create table {table} {}", named(ROWS));
        let begun = self.log.silent(100).ended(pid, TAGS.map(named));
        self.log = log(begun, pid, &named);
        self.right.push((table, right.to_owned()));
        self
    }

    fn check(self, orders: &[&str], judge: impl Fn(&Replayed)) {
        let file = self.log.file();
        for order in orders {
            let server = Server::start(15);
            server.query("create database app");
            server.query_in("app", &self.setup);
            let kreplay = Kreplay::new().target(&server).args(["--order", order]);
            let finished = kreplay.arg("--input").arg(file.path()).run();
            let replayed = Replayed { server, finished, database: "app" };
            for (table, right) in &self.right {
                let rows = format!(
                    "select string_agg(id || '|' || k || '|' || tag, ' ' order by id) \
                    from {table}"
                );
                replayed.rows(&rows, &[right]);
            }
            judge(replayed.all_same());
        }
    }
}

#[test]
fn a_statement_that_waits_for_a_commit_behind_which_it_began_runs_again_behind_it() {
    let block = |sql: &dyn Fn(&str) -> String| {
        let first = "update TABLE set k = k + 1 where id = 2";
        ["begin", first, "savepoint a", ADDS, "release a"].map(sql)
    };
    let by_tag = "update TABLE set k = k + 100 where tag = $1";
    Situations::new()
        .add("own", SEEN, |log, a, sql| log.ended(a + 1, [sql(ADDS)]).ended(a, ["commit"]))
        .add("by_parameter", SEEN, |log, a, sql| {
            log.executed(a + 1, &sql(by_tag), &["y"]).ended(a, ["commit"])
        })
        .add("string", SEEN, |log, a, sql| {
            let string = format!("begin; {}; commit", sql(ADDS));
            log.ended(a + 1, [string]).ended(a, ["commit"])
        })
        .add("block", "1|111|y 2|21|x 3|130|y 4|141|y", |log, a, sql| {
            log.ended(a + 1, block(sql)).ended(a, ["commit"]).ended(a + 1, ["commit"])
        })
        .add("repeatable", SEEN, |log, a, sql| {
            let begin = "begin isolation level repeatable read";
            let log = log.ended(a + 1, [begin, "select 1"]).ended(a + 1, [sql(ADDS)]);
            log.ended(a, ["commit"]).ended(a + 1, ["commit"])
        })
        .add("one_behind_the_other", "1|211|y 2|20|x 3|230|y 4|241|y", |log, a, sql| {
            let (b, c) = (a + 1, a + 2);
            let log = log.ended(b, ["begin", &sql(ADDS)]).ended(a, ["commit"]);
            log.ended(c, ["begin", &sql(ADDS)]).ended(b, ["commit"]).ended(c, ["commit"])
        })
        .add("prepared_elsewhere", SEEN, |log, a, sql| {
            let log = log.ended(a, ["prepare transaction 'x'"]).ended(a + 1, [sql(ADDS)]);
            log.ended(a + 2, ["commit prepared 'x'"])
        })
        .add("dynamic", SEEN, |log, a, _| {
            let call = "select run('update dynamic set k = k + 100 where tag = ''y''')";
            log.ended(a + 1, [call]).ended(a, ["commit"])
        })
        // No other number may be drawn than on the source.
        .add("drawn", UNSEEN, |log, a, sql| {
            let log = log.ended(a + 1, ["begin", "insert into drawn_before values (default)"]);
            let log = log.ended(a + 1, [sql(ADDS)]).ended(a, ["commit"]).ended(a + 1, ["commit"]);
            log.ended(a + 2, ["insert into drawn_before values (default)"])
        })
        .check(&["serial", "conflict"], |replayed| {
            let broken = &replayed.finished.report["stalls_broken"];
            assert_eq!(broken["run_again"], 9, "{}", replayed.finished);
            replayed.rows("select id from drawn_before order by id", &["1", "2"]);
        });
}

#[test]
fn a_statement_that_fails_here_for_what_a_commit_behind_it_freed_runs_again_behind_that() {
    const LOCKED: &str = "1|11|y 2|20|x 3|30|y 4|142|y";
    let update = "update TABLE set k = k + 101 where id = 4";
    let lock = "select 1 from TABLE where tag = 'y' and id > 3 for update nowait";
    Situations::new()
        .add("nowait", LOCKED, |log, a, sql| {
            let log = log.ended(a + 1, ["begin", &sql(lock)]).ended(a, ["commit"]);
            log.ended(a + 1, [&sql(update), "commit"])
        })
        // Two transactions hold what it needs, and one of them is undone.
        .add("nowait_of_two", LOCKED, |log, a, sql| {
            let delete = sql("delete from TABLE where id = 3");
            let log = log.ended(a + 2, ["begin", &delete]).ended(a + 1, ["begin"]);
            let log = log.ended(a + 1, [sql("lock table TABLE in share mode nowait")]);
            let log = log.ended(a, ["commit"]).ended(a + 2, ["rollback"]);
            log.ended(a + 1, [&sql(update), "commit"])
        })
        .add("lock_timeout", SEEN, |log, a, sql| {
            let begin = ["begin", "set local lock_timeout = '1ms'"];
            let log = log.ended(a + 1, begin).ended(a + 1, [&sql(ADDS), "commit"]);
            log.ended(a, ["commit"])
        })
        .check(&["serial", "conflict"], |_| {});
}

#[test]
fn a_failure_that_no_end_behind_it_explains_counts() {
    let log = Log::new().ended(1, ["begin", "update t set a = 2"]).silent(1000);
    let nowait = "select from t where a > 0 for update nowait";
    let log = log.ended(2, ["begin", nowait, "commit"]).silent(1000);
    let file = log.ended(1, ["commit"]).file();
    for order in ["serial", "conflict"] {
        let server = Server::start(15);
        server.query("create database app");
        server.query_in("app", "create table t (a int); insert into t values (1)");
        let kreplay = Kreplay::new().target(&server).args(["--order", order]);
        let finished = kreplay.arg("--input").arg(file.path()).run();
        assert_eq!(finished.report["outcomes"]["new_error"], 1, "{finished}");
    }
}

#[test]
fn a_statement_that_waited_for_the_commit_on_the_source_too_sees_what_it_saw_there() {
    let waited = |log: Log, a: u32, sql: &dyn Fn(&str) -> String| {
        let log = log.silent(30).at_once(25.0).ended(a + 1, [sql(ADDS)]);
        log.at_once(0.04).ended(a, ["commit"])
    };
    Situations::new().add("waited", UNSEEN, waited).check(&["serial", "conflict"], |replayed| {
        let broken = &replayed.finished.report["stalls_broken"];
        assert_eq!(broken["early_end"], 1, "{}", replayed.finished);
        assert!(broken["run_again"].is_null(), "{}", replayed.finished);
    });
}
