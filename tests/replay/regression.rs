//! A regression to be found: an index that the target lacks, and a table. Everything else is the same
//! on both sides.

use testkit::postgres::Server;
use testkit::source::{pgbench, record};

const SET_UP: &str = r#"
    create table t (k int primary key, w int not null, v int not null);
    insert into t select i, i, i from generate_series(1, 5000) i;
    create index t_w on t (w);
    create table h (k int, word text);
    create table gone (k int);
    create table "</script><script>alert(1)</script><!--" (k int);
    insert into "</script><script>alert(1)</script><!--" select i from generate_series(1, 5000) i;
    vacuum analyze;
"#;

/// Most take long enough that a busy machine does not change them much. `hunter2` and 991771230… are literals, and one a comment, that nobody may be shown.
const SCRIPT: &str = r#"
\set k random(1, 5000)
SELECT v FROM t WHERE k = :k;
SELECT sum((SELECT v FROM t WHERE w = i)) FROM generate_series(:k, :k + 9) i; -- hunter2
INSERT INTO h SELECT i, 'hunter2' FROM generate_series(:k, :k + 300) i;
SELECT k FROM gone WHERE k IN (:k, 991771233, 991771234);
SELECT k FROM gone WHERE k IN (:k, 991771233, 991771234, 991771235);
SELECT k FROM "</script><script>alert(1)</script><!--" WHERE k = :k;
UPDATE t SET v = v + 1 WHERE k BETWEEN :k AND :k + 99;
SELECT count(*) FROM t WHERE v % 7 = :k % 7;
SELECT max(v) FROM t WHERE v % 5 = :k % 5;
\sleep 25 ms
"#;

/// How often the client did it: more often than is needed, as other tests may hold some calls up.
pub const TIMES: u64 = 50;
/// How the query begins that becomes slower, by more than the way to a server may take while other
/// tests keep the machine busy: it looks up ten rows.
pub const SLOWER: &str = "SELECT sum(";
/// At the source's pace, which leaves the target the time that it needs more. Answers that come together,
/// as they do where other tests keep the machine busy, tell nothing.
pub const AT_PACE: [&str; 5] = ["--speed", "1", "--warm-up", "0s", "--pipeline=1"];

/// The log of what a client did, in this protocol.
pub fn recorded(protocol: &str) -> Vec<Vec<u8>> {
    let (records, _) = record(SET_UP, |server| {
        let arguments = ["-c", "1", "-t", &TIMES.to_string(), "-M", protocol];
        assert!(pgbench(server, SCRIPT, &arguments).wait().expect("pgbench").success());
    });
    records
}

/// A target with the regression.
pub fn target() -> Server {
    let server = Server::start(15);
    server.query(SET_UP);
    server.query("drop index t_w; drop table gone; vacuum analyze t");
    server
}
