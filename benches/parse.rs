//! A record of each form, from its bytes to a `LogRecord`.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kreplay::pglog::{Encodings, Format, RecordReader};

/// As an application writes it, and as an object-relational mapper does, with its quotes doubled.
const STATEMENTS: [(&str, &str); 2] = [
    ("short", "SELECT v FROM t WHERE k=42"),
    (
        "mapped",
        r#"SELECT "orders"."id", "orders"."state", "orders"."total" FROM "orders" INNER JOIN "items" ON "items"."order_id" = "orders"."id" WHERE "orders"."customer_id" = 42 ORDER BY "orders"."created_at" DESC LIMIT 20"#,
    ),
];

fn csv(sql: &str) -> Vec<u8> {
    let sql = sql.replace('"', "\"\"");
    format!(
        "2026-11-22 10:00:00.000 UTC,\"postgres\",\"app\",1000,\"127.0.0.1:40000\",6b030000.3e8,7,\
         \"SELECT\",2026-11-22 00:00:00 UTC,3/7,0,LOG,00000,\"duration: 0.042 ms  statement: {sql}\",\
         ,,,,,,,,\"\",\"client backend\",,0\n"
    )
    .into_bytes()
}

fn columns(sql: &str) -> serde_json::Value {
    serde_json::json!({
        "log_time": "2026-11-22 10:00:00.000 UTC", "user_name": "postgres", "database_name": "app",
        "process_id": "1000", "connection_from": "127.0.0.1:40000", "session_id": "6b030000.3e8",
        "session_line_num": "7", "command_tag": "SELECT",
        "session_start_time": "2026-11-22 00:00:00 UTC", "virtual_transaction_id": "3/7",
        "transaction_id": "0", "error_severity": "LOG", "sql_state_code": "00000",
        "message": format!("duration: 0.042 ms  statement: {sql}"),
        "application_name": "", "backend_type": "client backend",
    })
}

fn parse(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse");
    for (name, sql) in STATEMENTS {
        let payloads = [
            ("csv", csv(sql)),
            ("json", serde_json::to_vec(&columns(sql)).expect("JSON")),
            ("msgpack", rmp_serde::to_vec(&columns(sql)).expect("msgpack")),
        ];
        for (format, payload) in payloads {
            let mut reader = RecordReader::new(Format::Auto, Encodings::default());
            reader.read(&payload).expect("a record");
            group.throughput(Throughput::Bytes(payload.len() as u64));
            group.bench_function(BenchmarkId::new(format, name), |bencher| {
                bencher.iter(|| reader.read(black_box(&payload)).is_ok());
            });
        }
    }
    group.finish();
}

criterion_group!(benches, parse);
criterion_main!(benches);
