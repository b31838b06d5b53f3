//! From a working source to its copy, the whole way: csvlog, rsyslog, Kafka, kreplay.

use super::*;
use testkit::rsyslog::Rsyslog;

const TABLES: &str = "
    create table texts (id serial primary key, v text);
    create table typed (i int, b bigint, f float8, t text, flag bool, bytes bytea, list int[])";

fn set_up(server: &Server) {
    server.query(SET_UP);
    server.query(TABLES);
    server.query("create database latin encoding 'LATIN1' template template0");
    server.query_in("latin", TABLES);
}

/// Everything in both databases.
fn state(server: &Server) -> Vec<String> {
    let tables = "
        select id, length(v), md5(v), left(v, 40) from texts order by id;
        select * from typed order by i";
    let of_workload = "
        select * from account order by id;
        select * from log order by id, n;
        select * from single order by id";
    vec![
        server.query(tables),
        server.query(of_workload),
        server.query_in("latin", &format!("set client_encoding = 'UTF8'; {tables}")),
    ]
}

#[test]
fn a_source_at_work_and_its_copy_are_equal_while_its_clients_stay_connected() {
    let mut source = source();
    set_up(&source);
    source.stop();
    let log_directory = source.data().join("log");
    for entry in fs::read_dir(&log_directory).expect("a log directory") {
        fs::remove_file(entry.expect("an entry of it").path()).expect("removed");
    }
    source.restart();
    let target = Server::start(18);
    set_up(&target);
    let broker = kafka::shared();
    let topic = broker.topic("live", 1);
    let rsyslog = Rsyslog::start(broker.address(), &topic, &log_directory);
    let running = replay(broker, &topic, &target).spawn();

    let idle = Client::connect(&source);
    idle.run("select 'I stay'");
    let client = Client::connect(&source);
    let latin = Client::connect_to(&source, "latin");
    let mut clients = pgbench(&source, SHORT, &["-c", "3", "-t", "60"]);
    let long_line = "x".repeat(100_000);
    let long_text =
        "a line of a hundred bytes, or so: it is one of a thousand of them\n".repeat(1000);
    for text in [
        "a\nb\n\n\nc",
        "a\r\nb\r\n",
        "\n \n\t\n",
        "\\n is not a line feed, \\ is a backslash",
        "\"quoted\", '' and, commas",
        "\u{1b}[1m\u{1}\u{7f}\u{85}",
        "2026-11-22 10:00:00 begins like a record",
        &long_line,
        &long_text,
    ] {
        let literal = text.replace('\'', "''");
        client.run(&format!("insert into texts (v) values ('{literal}')"));
        client.execute("insert into texts (v) values ($1)", &[&text]);
        latin.run(&format!("insert into texts (v) values ('{literal} äöüß')"));
        latin.execute("insert into texts (v) values ($1)", &[&format!("{text} é")]);
    }
    client.run("insert into texts (v) values ('\u{2028} 漢字 🦀')");
    for i in 0..20_i32 {
        let list = vec![Some(i), None];
        client.execute(
            "insert into typed values ($1, $2, $3, $4, $5, $6, $7)",
            &[
                &i,
                &(i64::from(i) << 40),
                &(f64::from(i) / 7.0),
                &(i % 3 > 0).then(|| format!("it's {i}")),
                &(i % 2 == 0),
                &vec![0_u8, 255, 10, 13, 39],
                &list,
            ],
        );
    }
    client.run("begin; insert into texts (v) values ('undone')");
    client.run("rollback");
    assert!(clients.wait().expect("pgbench").success());

    let mut logged = 0;
    wait_until("everything is replayed and committed", || {
        logged = records(&log_directory).len();
        let metrics = running.metrics();
        let committed = metrics.get(r#"kreplay_consumer_committed_offset{partition="0"}"#).copied();
        committed == Some(logged as f64) && metrics["kreplay_records_pending"] == 0.0
    });
    assert_eq!(state(&source), state(&target), "{running}");
    // The look at the source was logged too, and may still be under way.
    running.term();
    let finished = running.wait().well();
    assert_eq!(finished.count("/outcomes/new_error"), 0, "{finished}");
    assert_eq!(finished.count("/records/rejected/total"), 0, "{finished}");
    let committed = broker.committed(&group(&topic), &topic).expect("an offset");
    assert!(committed >= logged as i64);
    assert_eq!(rsyslog.output(), "");
    drop((idle, client, latin));
}
