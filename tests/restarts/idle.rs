//! Sessions that fall silent.

use super::*;

const SET_UP: &str = "
    create table row (id int primary key, v int); insert into row values (1, 0);
    create schema a; create table a.t (v text); create table t (v text)";

/// What is connected to the target for the sessions of clients.
fn connected(target: &Server) -> String {
    target.query(&format!(
        "select count(*) from pg_stat_activity where application_name = '{CLIENT}'"
    ))
}

/// A silent session holds a lock that another one's statement needs. (On the source the lock was
/// gone by then; the record that tells comes late.)
fn holds_a_lock(order: &str) {
    let (records, source) = record(SET_UP, |server| {
        let silent = Client::connect(server);
        silent.run("begin");
        silent.run("update row set v = v + 1 where id = 1");
        let other = Client::connect(server);
        silent.run("commit");
        other.run("update row set v = v + 10 where id = 1");
    });
    drop(source);
    let broker = kafka::shared();
    let topic = broker.topic("silent", 1);
    let target = target(SET_UP);
    let commit = place_of(&records, "statement: commit");
    let other = place_of(&records, "v + 10");
    let running = replay(broker, &topic, &target).args(["--order", order, "--idle-timeout", "3s"]);
    let mut running = running.spawn();
    broker.produce(&topic, 0, records[..commit].iter().map(Vec::as_slice));
    wait_until("the lock is held", || {
        let in_transaction = "select count(*) from pg_stat_activity
            where state = 'idle in transaction' and query like 'update%'";
        target.query(in_transaction) == "1"
    });
    broker.produce(&topic, 0, [&*records[other]]);
    wait_until("the lock is free", || target.query("select v from row") == "10");
    // By the order, for which it is in the way, or by its own silence: whichever comes first.
    running.wait_for(|metrics| metrics["kreplay_silent_rollbacks_total"] == 1.0);
    broker.produce(&topic, 0, [&*records[commit]]);
    wait_until("the transaction is made again", || target.query("select v from row") == "11");
    wait_for_end(&mut running, commit + 2);
    running.term();
    let finished = running.wait().well();
    assert!(finished.stderr.contains("rolled back a transaction"), "{finished}");
    assert_eq!(broker.committed(&group(&topic), &topic), Some(commit as i64 + 2));
}

#[test]
fn a_silent_transaction_is_rolled_back_and_made_again_when_it_goes_on_in_serial_order() {
    holds_a_lock("serial");
}

#[test]
fn a_silent_transaction_is_rolled_back_and_made_again_when_it_goes_on_in_session_order() {
    holds_a_lock("session");
}

#[test]
fn a_silent_session_gives_its_connection_up_and_gets_it_back_with_its_settings() {
    let (records, source) = record(SET_UP, |server| {
        let client = Client::connect(server);
        client.run("set search_path = a");
        client.run("prepare p as insert into t values ($1)");
        client.run("insert into t values ('before')");
        client.run("execute p('after')");
    });
    drop(source);
    let broker = kafka::shared();
    let topic = broker.topic("idle", 1);
    let target = target(SET_UP);
    let (before, after) = records.split_at(place_of(&records, "execute p"));
    broker.produce(&topic, 0, before.iter().map(Vec::as_slice));
    let mut running = replay(broker, &topic, &target).args(["--idle-timeout", "1s"]).spawn();
    wait_until("it is replayed", || target.query("select v from a.t") == "before");
    wait_until("the connection is given up", || connected(&target) == "0");
    running.wait_for(|metrics| {
        metrics[r#"kreplay_sessions{state="disconnected"}"#] == 1.0
            && metrics.get(r#"kreplay_consumer_committed_offset{partition="0"}"#)
                == Some(&(before.len() as f64))
    });
    broker.produce(&topic, 0, [&*after[0]]);
    wait_until("it goes on", || target.query("select v from a.t order by v") == "after\nbefore");
    assert_eq!(target.query("select v from t"), "");
    broker.produce(&topic, 0, after[1..].iter().map(Vec::as_slice));
    wait_for_end(&mut running, records.len());
    wait_until("the connection is closed", || connected(&target) == "0");
    running.term();
    running.wait().well();
}

#[test]
fn a_silent_session_keeps_its_connection_for_what_can_not_be_made_again() {
    let (records, source) = record(SET_UP, |server| {
        let client = Client::connect(server);
        client.run("create temp table kept as select 7 as v");
        client.run("insert into t select v from kept");
    });
    drop(source);
    let broker = kafka::shared();
    let topic = broker.topic("kept", 1);
    let target = target(SET_UP);
    let (before, after) = records.split_at(place_of(&records, "insert into t"));
    broker.produce(&topic, 0, before.iter().map(Vec::as_slice));
    let mut running = replay(broker, &topic, &target).args(["--idle-timeout", "1s"]).spawn();
    running.wait_for(|metrics| metrics["kreplay_idle_connections_kept_total"] == 1.0);
    assert_eq!(connected(&target), "1");
    broker.produce(&topic, 0, after.iter().map(Vec::as_slice));
    wait_for_end(&mut running, records.len());
    assert_eq!(target.query("select v from t"), "7");
    running.term();
    let finished = running.wait().well();
    assert_eq!(finished.count("/outcomes/new_error"), 0, "{finished}");
}
