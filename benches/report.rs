//! The regression report: what it costs to account for one statement.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use kreplay::pglog::SessionId;
use kreplay::pglog::statement::{Protocol, SourceEnd, Statement};
use kreplay::replay::account::policy::Outcome;
use kreplay::replay::report::Shapes;
use kreplay::replay::report::rules::Rules;
use kreplay::replay::session::Ended;
use kreplay::replay::session::request::Took;
use kreplay::replay::work::{End, Position, Seq, Work};
use kreplay::sql::Outline;

fn work(number: u64, sql: &str) -> Arc<Work> {
    let statement = Statement {
        sql: sql.into(),
        protocol: Protocol::Simple,
        outline: Outline::of(sql),
        duration_ms: Some(0.03 + (number % 97) as f64 / 100.0),
        exporter: None,
        logged_ms: number as i64,
    };
    let at = Position { partition: 0, offset: 0, line: 0 };
    let session = SessionId { start: 1, pid: 1 };
    let end = End { source: SourceEnd::Succeeded, ..End::default() };
    Arc::new(Work::new(Seq(number), at, session, statement, end))
}

fn account(shapes: &mut Shapes, work: &Work) {
    let at_most = Duration::from_micros(40 + work.seq.0 % 89 * 10);
    let took = Some(Took { at_most, together: 1, on_server: None });
    let ended = Ended {
        source: SourceEnd::Succeeded,
        target: Ok(()),
        guessed: false,
        may_have_drawn: false,
        beyond_log: false,
        took,
    };
    // A thousand a second, at the source's pace.
    let now = Duration::from_millis(work.seq.0);
    shapes.ran(work, ended, Outcome::Same, Duration::from_micros(7), now, String::new);
}

/// So many shapes, in turn.
fn works(shapes: u64) -> Vec<Arc<Work>> {
    // The fingerprint looks through digits in table names where two stand together.
    let table = |n: u64| format!("t{}_{}_{}", n / 100, n / 10 % 10, n % 10);
    let text =
        |n: u64| format!("SELECT v, w FROM {} WHERE k = {n} AND s = 'x{n}'", table(n % shapes));
    (0..4096).map(|n| work(n, &text(n))).collect()
}

fn known(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("report");
    for number in [1, 50, 400] {
        let works = works(number);
        let warm = Rules { warm_up: Duration::ZERO, ..Rules::default() };
        let mut shapes = Shapes::new(500).with_rules(warm, false, Duration::ZERO);
        shapes.round_trip(Duration::from_micros(40));
        works.iter().for_each(|work| account(&mut shapes, work));
        let mut next = works.iter().cycle();
        group.bench_function(format!("statement of {number} known shapes"), |bencher| {
            bencher.iter(|| account(&mut shapes, black_box(next.next().expect("endless"))));
        });
        group.bench_function(format!("summary of {number} shapes"), |bencher| {
            bencher.iter(|| shapes.summary());
        });
    }
    let new = work(1, "SELECT v, w FROM t WHERE k = 1 AND s = 'x'");
    group.bench_function("statement of a new shape", |bencher| {
        bencher.iter_batched_ref(
            || Shapes::new(500),
            |shapes| account(shapes, &new),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, known);
criterion_main!(benches);
