//! The order across sessions: what one statement costs that asks for its turn and finishes.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use kreplay::pglog::SessionId;
use kreplay::replay::order::SerialOrder;
use kreplay::replay::work::Seq;

fn serial(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("serial");
    for sessions in [1u32, 64, 900] {
        group.bench_function(BenchmarkId::new("ask and finish", sessions), |bencher| {
            let mut order = SerialOrder::default();
            let mut next = 1;
            let session =
                |seq: u64| SessionId { start: 1, pid: (seq % u64::from(sessions)) as u32 };
            // Every session has asked for its next statement; one finishes and asks for another.
            for _ in 0..sessions {
                order.ask(Seq(next), session(next));
                next += 1;
            }
            bencher.iter(|| {
                let turn = order.turn();
                order.ask(Seq(next), session(next));
                next += 1;
                order.finish(turn)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, serial);
criterion_main!(benches);
