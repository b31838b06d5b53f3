//! Sessions that have ended, and records of them that come again.

use super::*;
use testkit::log::Log;

const SESSIONS: u32 = 100;

/// Whether this many sessions are left, by the log and on the target.
fn are_left(metrics: &HashMap<String, f64>, sessions: f64) -> bool {
    let states = metrics.iter().filter(|(name, _)| name.starts_with("kreplay_sessions{"));
    metrics["kreplay_source_sessions"] == sessions
        && states.map(|(_, count)| count).sum::<f64>() == sessions
}

/// Short sessions, and one that goes on behind them: when that is counted, so would be these.
fn sessions(behind: u32) -> Log {
    let insert = "insert into t values (1)";
    let short = |log: Log, pid| log.ended(pid, [insert]).disconnected(pid);
    (1..=SESSIONS).fold(Log::new(), short).ended(behind, [insert])
}

#[test]
fn nothing_is_kept_of_many_sessions_that_have_ended_but_that_their_records_are_repeats() {
    let broker = kafka::shared();
    let topic = broker.topic("ended", 1);
    let target = target("create database app");
    target.query_in("app", "create role app superuser login; create table t (v int)");
    let mut running = replay(broker, &topic, &target).args(["--order", "conflict"]).spawn();
    let mut produced = 0;
    for behind in [SESSIONS + 1, SESSIONS + 2] {
        let log = sessions(behind);
        broker.produce(&topic, 0, log.records().iter().map(Vec::as_slice));
        produced += log.records().len();
        wait_for_end(&mut running, produced);
        running.wait_for(|metrics| are_left(metrics, f64::from(behind - SESSIONS)));
    }
    running.term();
    let finished = running.wait().well();
    assert_eq!(finished.count("/records/filtered/reasons/duplicate"), 2 * u64::from(SESSIONS));
    let rows = target.query_in("app", "select count(*) from t");
    assert_eq!(rows, (SESSIONS + 2).to_string(), "{finished}");
}
