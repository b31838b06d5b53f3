//! The order across sessions: what one statement costs that comes, gets its turn and finishes.

use std::collections::VecDeque;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use kreplay::pglog::SessionId;
use kreplay::pglog::statement::{Protocol, Statement};
use kreplay::replay::order::conflict::{Arrival, ConflictOrder, Step};
use kreplay::replay::order::footprint::{Access, Footprint, Key, Mode, Table};
use kreplay::replay::order::view::OrderView;
use kreplay::replay::order::{Order, Start};
use kreplay::replay::settings::{self, Login};
use kreplay::replay::work::{End, Position, Seq, Work};
use kreplay::sql::Outline;

/// Statements of these sessions in turn, each of which has asked for its next one.
struct SerialReplay {
    order: Order,
    sessions: u64,
    statement: Statement,
    login: Arc<Login>,
    arrived: u64,
    asked: u64,
}

impl SerialReplay {
    fn new(sessions: u64) -> Self {
        let sql = "update accounts set balance = balance + 1 where id = 7";
        let statement = Statement {
            exporter: None,
            sql: sql.into(),
            protocol: Protocol::Simple,
            duration_ms: None,
            logged_ms: 0,
            outline: Outline::of(sql),
        };
        let (user, database) = ("u".to_owned(), "d".to_owned());
        let login = Arc::new(Login { user, database, application_name: String::new() });
        let order = Order::new(settings::Order::Serial, false);
        let mut replay = Self { order, sessions, statement, login, arrived: 0, asked: 0 };
        replay.arrive();
        replay.order.go_without("d");
        (0..sessions).for_each(|_| replay.ask());
        replay
    }

    fn session(&self, seq: u64) -> SessionId {
        SessionId { start: 1, pid: (seq % self.sessions) as u32 }
    }

    fn arrive(&mut self) {
        let at = Position { partition: 0, offset: 0, line: 0 };
        let works = (self.arrived + 1..=self.arrived + 1000).map(|seq| {
            let (session, statement) = (self.session(seq), self.statement.clone());
            (
                Arc::new(Work::new(Seq(seq), at, session, statement, End::default())),
                self.login.clone(),
            )
        });
        let works = works.collect();
        self.arrived += 1000;
        self.order.arrive(works);
    }

    fn ask(&mut self) {
        self.asked += 1;
        if self.asked == self.arrived {
            self.arrive();
        }
        self.order.ask(Seq(self.asked), self.session(self.asked));
    }

    /// One finishes, and its session asks for another.
    fn go_on(&mut self) -> Vec<Start> {
        self.ask();
        if let Some(turn) = self.order.turn() {
            self.order.finish(turn.seq);
        }
        self.order.take_starts()
    }
}

fn serial(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("serial");
    for sessions in [1, 64, 900] {
        group.bench_function(BenchmarkId::new("arrive, ask and finish", sessions), |bencher| {
            let mut replay = SerialReplay::new(sessions);
            replay.order.take_starts();
            bencher.iter(|| replay.go_on());
        });
    }
    group.finish();
}

const T: Table = Table(1);

fn write_of_a_row(key: u64) -> Vec<Access> {
    vec![Access::Row(T, Key(key), Mode::Update)]
}

/// `UPDATE … WHERE id = 5`, and in between one whose condition pins no key.
fn write_of_any_rows(key: u64) -> Vec<Access> {
    match key % 2 {
        0 => write_of_a_row(key),
        _ => vec![Access::Table(T, Mode::Update)],
    }
}

/// TPC-B with foreign keys to a few rows that all update.
fn reference_and_update(key: u64) -> Vec<Access> {
    match key % 2 {
        0 => vec![Access::Row(T, Key(key % 4), Mode::Update)],
        _ => vec![Access::Append(Table(2)), Access::Row(T, Key(key % 4), Mode::Reference)],
    }
}

/// Sessions that all do transactions of BEGIN, two statements and COMMIT, in turn.
struct Transactions {
    order: ConflictOrder,
    rows: u64,
    /// What a statement does that is about this row.
    accesses: fn(u64) -> Vec<Access>,
    /// Each session's statements that may not start yet.
    waiting: Vec<VecDeque<Seq>>,
    running: VecDeque<Seq>,
    starts: Vec<Start>,
    last: u64,
    random: fastrand::Rng,
}

impl Transactions {
    fn new(sessions: usize, rows: u64, accesses: fn(u64) -> Vec<Access>) -> Self {
        Self {
            order: ConflictOrder::default(),
            rows,
            accesses,
            waiting: vec![VecDeque::new(); sessions],
            running: VecDeque::new(),
            starts: Vec::new(),
            last: 0,
            random: fastrand::Rng::with_seed(1),
        }
    }

    fn arrive(&mut self) {
        let sessions = self.waiting.len() as u64;
        let (session, step) = (self.last % sessions, self.last / sessions % 4);
        self.last += 1;
        let seq = Seq(self.last);
        let (steps, accesses) = match step {
            0 => (vec![Step::Begin], Vec::new()),
            3 => (vec![Step::Commit], Vec::new()),
            _ => (Vec::new(), (self.accesses)(self.random.u64(..self.rows))),
        };
        let footprint = Footprint { accesses, ..Footprint::default() };
        self.waiting[session as usize].push_back(seq);
        let session = SessionId { start: 1, pid: session as u32 };
        let arrival = Arrival { seq, session, footprint, steps, ..Arrival::default() };
        self.order.arrive(&arrival, &mut self.starts);
        self.start();
    }

    /// Another statement arrives, and others finish, if there are more in flight than that.
    fn one_more(&mut self, in_flight: usize) {
        self.arrive();
        while self.order.in_flight().0 > in_flight && self.finish() {}
    }

    fn start(&mut self) {
        for Start { session, seq } in self.starts.drain(..) {
            let waiting = &mut self.waiting[session.pid as usize];
            while waiting.front().is_some_and(|first| *first <= seq) {
                self.running.extend(waiting.pop_front());
            }
        }
    }

    /// Finishes the one that runs for longest; `false`: none runs, more has to arrive.
    fn finish(&mut self) -> bool {
        let Some(seq) = self.running.pop_front() else { return false };
        self.order.finish(seq, &mut self.starts);
        self.start();
        true
    }
}

fn conflict(criterion: &mut Criterion) {
    const IN_FLIGHT: usize = 1000;
    let mut group = criterion.benchmark_group("conflict");
    for (sessions, rows) in [(64, 50), (64, 1_000_000), (900, 1_000_000)] {
        let id = BenchmarkId::new("arrive and finish", format!("{sessions} sessions, {rows} rows"));
        group.bench_function(id, |bencher| {
            let mut transactions = Transactions::new(sessions, rows, write_of_a_row);
            bencher.iter(|| transactions.one_more(IN_FLIGHT));
        });
    }
    group.finish();
}

/// What a statement costs must not grow with what is in flight.
fn windows(criterion: &mut Criterion) {
    type Kind = (&'static str, fn(u64) -> Vec<Access>);
    const KINDS: [Kind; 3] = [
        ("rows", write_of_a_row),
        ("rows that can't be told", write_of_any_rows),
        ("rows that reference others", reference_and_update),
    ];
    let mut group = criterion.benchmark_group("conflict, 8 sessions, 300 rows");
    for (kind, accesses) in KINDS {
        for in_flight in [100, 1000, 10_000] {
            group.bench_function(BenchmarkId::new(kind, in_flight), |bencher| {
                let mut transactions = Transactions::new(8, 300, accesses);
                (0..in_flight).for_each(|_| transactions.one_more(in_flight));
                bencher.iter(|| transactions.one_more(in_flight));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, serial, conflict, windows);
criterion_main!(benches);
