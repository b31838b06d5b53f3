use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use parking_lot::Mutex;

use super::*;
use crate::actors::admission::{Admission, Pressure};
use crate::actors::messages::{Fatal, ReadOn};
use crate::actors::sequencer::{Sequencer, SequencerSettings};
use crate::actors::target_reachability::TargetReachability;
use crate::actors::vacated::VacatedDatabases;
use crate::pglog::statement::{Protocol, SourceEnd, Statement};
use crate::postgres::{Host, SslMode, Target, TargetSettings};
use crate::replay::account::settlement::SessionProgress;
use crate::replay::order::backends::Backends;
use crate::replay::order::dispatch::DispatchSettings;
use crate::replay::settings;
use crate::replay::work::{End, Position, Seq, Work};

const SESSION: SessionId = SessionId { start: 1, pid: 1 };

/// Makes the session's actor panic.
#[derive(Message)]
#[rtype(result = "()")]
struct Panic;

impl Handler<Panic> for Supervisor {
    type Result = ();

    fn handle(&mut self, _: Panic, _: &mut Self::Context) {
        self.sessions[&SESSION].address.do_send(Panic);
    }
}

impl Handler<Panic> for SessionActor {
    type Result = ();

    fn handle(&mut self, _: Panic, _: &mut Self::Context) {
        panic!("on purpose");
    }
}

/// Hears what goes up from the sessions.
#[derive(Default, Clone)]
struct Above(Arc<Mutex<Heard>>);

#[derive(Default)]
struct Heard {
    ended: Vec<u64>,
    settled: Vec<u64>,
}

impl Actor for Above {
    type Context = Context<Self>;
}

impl Handler<SessionProgress> for Above {
    type Result = ();

    fn handle(&mut self, progress: SessionProgress, _: &mut Self::Context) {
        let mut heard = self.0.lock();
        heard.ended.extend(progress.ended.iter().map(|(work, _)| work.seq.0));
        heard.settled.extend(progress.settled.iter().map(|settled| settled.at.offset as u64));
    }
}

impl Handler<Fatal> for Above {
    type Result = ();

    fn handle(&mut self, fatal: Fatal, _: &mut Self::Context) {
        panic!("{fatal:?}");
    }
}

impl Handler<ReadOn> for Above {
    type Result = ();

    fn handle(&mut self, _: ReadOn, _: &mut Self::Context) {}
}

/// The queries that came, each with the number of its connection.
type Queries = Arc<Mutex<Vec<(usize, String)>>>;

/// A server that takes any query, notes it with the number of its connection, and answers; but
/// `hang` only on the second connection.
fn server() -> (u16, Queries) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let queries: Arc<Mutex<Vec<(usize, String)>>> = Arc::default();
    let seen = queries.clone();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let (stream, seen) = (stream.expect("a connection"), seen.clone());
            // It ends with the connection.
            std::thread::spawn(move || serve(stream, number + 1, &seen));
        }
    });
    (port, queries)
}

fn serve(
    mut stream: TcpStream,
    connection: usize,
    seen: &Mutex<Vec<(usize, String)>>,
) -> std::io::Result<()> {
    fn body(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let mut body = vec![0; u32::from_be_bytes(length) as usize - 4];
        stream.read_exact(&mut body)?;
        Ok(body)
    }
    body(&mut stream)?;
    let mut status = b'I';
    let key = b"K\0\0\0\x0c\0\0\0\x07\0\0\0\x01";
    stream.write_all(&[b"R\0\0\0\x08\0\0\0\0".as_slice(), key, b"Z\0\0\0\x05I"].concat())?;
    loop {
        let mut kind = [0];
        stream.read_exact(&mut kind)?;
        let text = String::from_utf8(body(&mut stream)?).expect("UTF-8");
        let query = match kind[0] {
            b'Q' => text.trim_end_matches('\0').to_owned(),
            // Behind the statement's name.
            b'P' => text.split('\0').nth(1).unwrap_or_default().to_owned(),
            b'X' => return Ok(()),
            other => {
                let answer: &[u8] = match other {
                    b'B' => b"2\0\0\0\x04",
                    b'E' => b"C\0\0\0\x07OK\0",
                    b'S' => &[b"Z\0\0\0\x05".as_slice(), &[status]].concat(),
                    _ => b"",
                };
                stream.write_all(answer)?;
                continue;
            }
        };
        match &*query {
            "begin" => status = b'T',
            "commit" => status = b'I',
            _ => {}
        }
        let hangs = query == "hang" && connection == 1;
        seen.lock().push((connection, query));
        if kind[0] == b'P' {
            stream.write_all(b"1\0\0\0\x04")?;
        } else if !hangs {
            stream
                .write_all(&[b"C\0\0\0\x07OK\0".as_slice(), b"Z\0\0\0\x05", &[status]].concat())?;
        }
    }
}

fn work(seq: u64, sql: &str) -> Delivery {
    let statement = Statement::new(sql, Protocol::Simple);
    let at = Position { partition: 0, offset: seq as i64, line: 0 };
    let end = End { source: SourceEnd::Succeeded, ..End::default() };
    let login = Login { user: "u".into(), database: "d".into(), application_name: "a".into() };
    let work = Work::new(Seq(seq), at, SESSION, statement, end);
    Delivery {
        session: SESSION,
        partition: 0,
        login: Arc::new(login),
        event: SessionEvent::Work(Arc::new(work)),
    }
}

async fn until(what: &str, so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !so() {
        assert!(Instant::now() < deadline, "still not so: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[actix_rt::test]
async fn a_session_whose_actor_panics_goes_on_with_its_settings_and_its_open_transaction() {
    let (port, queries) = server();
    let above = Above::default();
    let upwards = above.clone().start();
    let target = Target::new(TargetSettings {
        hosts: vec![Host::new("127.0.0.1", port)],
        sslmode: SslMode::Disable,
        ..Default::default()
    });
    let target = target.expect("usable settings");
    let backends = Arc::new(Backends::default());
    let fatal = upwards.clone().recipient::<Fatal>();
    let (health, overview) = (Health::default(), Arc::new(Overview::default()));
    let hour = Duration::from_secs(3600);
    let pressure = Pressure::default();
    let sequencer = Sequencer::new(
        SequencerSettings {
            dispatch: DispatchSettings {
                order: settings::Order::Session,
                is_paced: false,
                stall_check: hour,
                patience: hour,
            },
            target: target.clone(),
            observer: None,
            pressure: pressure.clone(),
            reachability: Arc::new(TargetReachability::new(health.clone())),
            read_on: upwards.clone().recipient(),
        },
        backends.clone(),
        health.clone(),
        overview.clone(),
        PanicGuard::new("sequencer", fatal.clone()),
    );
    let sequencer = sequencer.start();
    let context = Context::<Supervisor>::new();
    let supervisor = context.address();
    let panic_guard = PanicGuard::new("admission", fatal.clone());
    let admission =
        Admission::new(10, false, pressure.clone(), health.clone(), panic_guard).start();
    let sessions = SessionDeps {
        spending: Arc::default(),
        known_login: Arc::default(),
        vacated: VacatedDatabases::default(),
        target,
        backends,
        snapshots: Arc::default(),
        sequencer,
        progress: upwards.recipient(),
        gone: supervisor.clone().recipient(),
        log_ins: supervisor.clone().recipient(),
        changes: supervisor.clone().recipient(),
        vacate: supervisor.clone().recipient(),
        log_in_gate: LogInGate::default(),
        ended: supervisor.clone().recipient(),
        fatal: fatal.clone(),
        reachability: Arc::new(TargetReachability::new(health.clone())),
        admission,
        pressure,
        statements: metrics::Statements::new(),
        takes_turns: false,
        spin: Duration::ZERO,
        began: Instant::now(),
        paced: false,
        explain: false,
    };
    context.run(Supervisor::new(
        SupervisorSettings {
            sessions: SessionSettings {
                depth: 16,
                takes_turns: false,
                replay_cancels: false,
                read_only: false,
                server_durations: false,
                explain: false,
            },
            idle_timeout: None,
        },
        sessions,
        Vec::new(),
        health.clone(),
        overview,
        PanicGuard::new("supervisor", fatal.clone()),
    ));

    let texts = ["set a = 1", "insert 1", "begin", "insert 2", "hang"];
    let works = (1..).zip(texts).map(|(seq, sql)| work(seq, sql)).collect();
    supervisor.do_send(Deliver(works));
    let seen = |connection: usize| -> Vec<String> {
        let queries = queries.lock();
        queries.iter().filter(|(on, _)| *on == connection).map(|(_, sql)| sql.clone()).collect()
    };
    until("the last statement runs", || seen(1).len() == 5).await;
    until("the others are answered", || above.0.lock().ended.len() == 4).await;
    supervisor.do_send(Panic);
    supervisor.do_send(Deliver(vec![work(6, "commit")]));
    until("all is settled", || above.0.lock().settled.len() == 6).await;

    assert_eq!(seen(1), texts);
    assert_eq!(seen(2), ["set a = 1", "begin", "insert 2", "hang", "commit"]);
    let heard = above.0.lock();
    assert_eq!(heard.ended, [1, 2, 3, 4, 5, 6], "each is counted once");
    assert_eq!(heard.settled, [1, 2, 3, 4, 5, 6]);
}
