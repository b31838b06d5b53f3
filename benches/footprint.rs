//! What a statement touches: of a shape that is known, and of a new one, which PostgreSQL's parser reads.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use kreplay::pglog::SessionId;
use kreplay::pglog::statement::{Protocol, SourceEnd, Statement, SyncEnd};
use kreplay::replay::order::footprint::catalog::{ColumnRow, IndexRow, RelationRow, Rows};
use kreplay::replay::order::footprint::{Catalog, Footprints};
use kreplay::replay::settings::Login;
use kreplay::replay::work::{End, Position, Seq, Work};
use kreplay::sql::Outline;

const SESSION: SessionId = SessionId { start: 1, pid: 1 };
const TABLE: u32 = 20_000;
const INT4: u32 = 23;

/// A database with one table: `accounts (id int primary key, balance int)`.
fn catalog() -> Catalog {
    let column = |number, name: &str| ColumnRow {
        relation: TABLE,
        number,
        name: name.to_owned(),
        type_oid: INT4,
        modifier: -1,
        not_null: true,
        is_deterministic: true,
        is_generated: false,
        has_default: false,
    };
    let (schema, name) = ("public".to_owned(), "accounts".to_owned());
    Catalog::new(&Rows {
        relations: vec![RelationRow { oid: TABLE, schema, name, kind: 'r' }],
        columns: vec![column(1, "id"), column(2, "balance")],
        indexes: vec![IndexRow {
            oid: TABLE + 1,
            relation: TABLE,
            columns: vec![1],
            mentions: vec![1],
            is_primary: true,
            is_immediate: true,
            is_whole: true,
            is_unique: true,
        }],
        ..Rows::default()
    })
}

fn footprints() -> Footprints {
    let mut footprints = Footprints::default();
    footprints.catalog("shop", Some(catalog()));
    footprints
}

fn login() -> Login {
    Login { user: "ann".into(), database: "shop".into(), application_name: String::new() }
}

fn work(sql: &str, parameters: &[&str]) -> Work {
    let protocol = if parameters.is_empty() {
        Protocol::Simple
    } else {
        let parameters = parameters.iter().map(|value| Some((*value).into())).collect();
        Protocol::Extended { name: "".into(), portal: "".into(), parameters, prepared_anew: false }
    };
    let outline = Outline::of(sql);
    let statement = Statement {
        sql: sql.into(),
        protocol,
        outline,
        duration_ms: None,
        exporter: None,
        logged_ms: 0,
    };
    let end = End { source: SourceEnd::Succeeded, sync: SyncEnd::Synced, ..End::default() };
    Work::new(Seq(1), Position { partition: 0, offset: 0, line: 0 }, SESSION, statement, end)
}

fn footprint(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("footprint");
    let list: Vec<String> = (0..60).map(|n| (n * 1001).to_string()).collect();
    let many = format!("SELECT balance FROM accounts WHERE id IN ({})", list.join(", "));
    let statements = [
        ("select", work("SELECT balance FROM accounts WHERE id = 12345", &[])),
        ("update", work("UPDATE accounts SET balance = balance + 17 WHERE id = 12345", &[])),
        ("select of 60 keys", work(&many, &[])),
        ("parameters", work("UPDATE accounts SET balance = $1 WHERE id = $2", &["17", "12345"])),
    ];
    for (name, work) in &statements {
        let login = login();
        let mut known = footprints();
        // A row each, so that what is measured is not a barrier's shortcut.
        assert_eq!(known.of(SESSION, &login, work).widened, None, "{name}");
        group.bench_function(format!("{name}, known shape"), |bencher| {
            bencher.iter(|| known.of(SESSION, &login, black_box(work)));
        });
        group.bench_function(format!("{name}, new shape"), |bencher| {
            let of_new = |mut new: Footprints| (new.of(SESSION, &login, black_box(work)), new);
            bencher.iter_batched(footprints, of_new, BatchSize::SmallInput);
        });
    }
    group.finish();
}

criterion_group!(benches, footprint);
criterion_main!(benches);
