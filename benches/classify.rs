//! From a record to its statement: what its message says, what its text holds, where it stands in its
//! session.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use kreplay::pglog::session_log::SessionLog;
use kreplay::pglog::{LogRecord, SessionId, Severity, SqlState};
use kreplay::sql::Outline;

const MAPPED: &str = r#"SELECT "orders"."id", "orders"."state", "orders"."total" FROM "orders" INNER JOIN "items" ON "items"."order_id" = "orders"."id" WHERE "orders"."customer_id" = 42 ORDER BY "orders"."created_at" DESC LIMIT 20"#;

const TEXTS: [(&str, &str); 4] = [
    ("short", "SELECT v FROM t WHERE k=42"),
    ("mapped", MAPPED),
    ("commit", "COMMIT"),
    ("several", "BEGIN; UPDATE t SET v=v+1 WHERE k=42; INSERT INTO h VALUES (42, 'x;y'); COMMIT"),
];

fn outline(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("outline");
    for (name, sql) in TEXTS {
        group.bench_function(name, |bencher| bencher.iter(|| Outline::of(black_box(sql))));
    }
    group.finish();
}

fn record<'a>(message: &'a str, detail: &'a str) -> LogRecord<'a> {
    LogRecord {
        user: "postgres".into(),
        database: "app".into(),
        session: SessionId { start: 1, pid: 1000 },
        severity: Severity::Log,
        sqlstate: SqlState::SUCCESS,
        virtual_transaction: "3/7".into(),
        message: message.into(),
        detail: detail.into(),
        backend_type: "client backend".into(),
        ..LogRecord::default()
    }
}

fn statement(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("statement");
    let mapped = format!("duration: 0.042 ms  statement: {MAPPED}");
    let forms = [
        ("simple", record("duration: 0.042 ms  statement: SELECT v FROM t WHERE k=42", "")),
        ("mapped", record(&mapped, "")),
        (
            "extended",
            record(
                "duration: 0.042 ms  execute <unnamed>: SELECT v FROM t WHERE k=$1",
                "parameters: $1 = '42'",
            ),
        ),
    ];
    for (name, record) in forms {
        let mut log = SessionLog::default();
        group.bench_function(name, |bencher| bencher.iter(|| log.read(black_box(&record))));
    }
    group.finish();
}

criterion_group!(benches, outline, statement);
criterion_main!(benches);
