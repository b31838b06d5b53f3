//! A way to a server that notes what passes: when each statement comes, starts and has finished.
//!
//! A server starts no statement before it has answered the one that came before it on the same
//! connection; the recorder itself sees to that, so that what it notes is what happens.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::postgres::Server;

/// What was noted, in the order that it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A client's statement has come. It may have been sent ahead.
    Arrival { connection: usize, sql: String },
    /// The server is handed the statement, after the last one on the connection has finished.
    Start { connection: usize, sql: String },
    /// The client is about to be told that its statement has finished.
    Finish { connection: usize, sql: String },
}

impl Event {
    pub fn connection(&self) -> usize {
        match self {
            Self::Arrival { connection, .. }
            | Self::Start { connection, .. }
            | Self::Finish { connection, .. } => *connection,
        }
    }

    pub fn sql(&self) -> &str {
        match self {
            Self::Arrival { sql, .. } | Self::Start { sql, .. } | Self::Finish { sql, .. } => sql,
        }
    }
}

/// Stands between clients and a server. Every answer takes a little longer, by chance, so that
/// what could overtake does.
pub struct Recorder {
    port: u16,
    events: Arc<Mutex<Vec<(Instant, Event)>>>,
}

impl Recorder {
    /// A way to this server; `seed` decides how long answers take.
    pub fn before(server: &Server, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let events: Arc<Mutex<Vec<(Instant, Event)>>> = Arc::default();
        let (noted, server) = (events.clone(), server.port());
        thread::spawn(move || {
            for (connection, client) in listener.incoming().flatten().enumerate() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { return };
                let delays = Rng::with_seed(seed.wrapping_add(connection as u64));
                let (running, changed) = (Mutex::new(Running::Nothing), Condvar::new());
                let events = noted.clone();
                Passage { connection, events, running, changed }.open(client, server, delays);
            }
        });
        Self { port, events }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// What has been noted so far.
    pub fn events(&self) -> Vec<Event> {
        self.timed_events().into_iter().map(|(_, event)| event).collect()
    }

    /// The same, each with when it happened.
    pub fn timed_events(&self) -> Vec<(Instant, Event)> {
        lock(&self.events).clone()
    }
}

/// One connection.
struct Passage {
    connection: usize,
    events: Arc<Mutex<Vec<(Instant, Event)>>>,
    running: Mutex<Running>,
    changed: Condvar,
}

/// What the server is at.
enum Running {
    Nothing,
    Statement(String),
    /// Nothing ever again: one of the two is gone.
    Closed,
}

impl Passage {
    fn open(self, client: TcpStream, server: TcpStream, delays: Rng) {
        for stream in [&client, &server] {
            stream.set_nodelay(true).expect("TCP");
        }
        let (to_client, from_server) = (client.try_clone(), server.try_clone());
        let (to_client, from_server) =
            (to_client.expect("a socket"), from_server.expect("a socket"));
        let requests = Arc::new(self);
        let answers = requests.clone();
        thread::spawn(move || requests.requests(client, server));
        thread::spawn(move || answers.answers(from_server, to_client, delays));
    }

    /// Client to server. A request is a Query, or ends with a Sync.
    fn requests(&self, mut client: TcpStream, mut server: TcpStream) {
        let mut request = Vec::new();
        let mut sql = String::new();
        let mut logging_in = true;
        while let Some(message) = read_message(&mut client, !logging_in) {
            let kind = if logging_in { 0 } else { message[0] };
            logging_in = false;
            match kind {
                b'Q' => sql = first_string(&message[5..]),
                // The statement's name, then its text.
                b'P' => {
                    let name = message[5..].iter().position(|byte| *byte == 0).unwrap_or_default();
                    sql = first_string(&message[5 + name + 1..]);
                }
                _ => {}
            }
            request.extend(message);
            match kind {
                b'Q' | b'S' => self.start(std::mem::take(&mut sql)),
                b'P' | b'B' | b'D' | b'E' | b'C' => continue,
                _ => {}
            }
            if server.write_all(&std::mem::take(&mut request)).is_err() {
                break;
            }
        }
        let _ = server.shutdown(Shutdown::Write);
    }

    /// A statement has come: starts it once the one before it has finished.
    fn start(&self, sql: String) {
        let connection = self.connection;
        self.note(Event::Arrival { connection, sql: sql.clone() });
        let running = lock(&self.running);
        let busy = |running: &mut Running| matches!(running, Running::Statement(_));
        let free = self.changed.wait_while(running, busy);
        let mut running = free.unwrap_or_else(PoisonError::into_inner);
        if matches!(*running, Running::Nothing) {
            *running = Running::Statement(sql.clone());
            self.note(Event::Start { connection, sql });
        }
    }

    /// Server to client. An answer ends with a ReadyForQuery.
    fn answers(&self, mut server: TcpStream, mut client: TcpStream, mut delays: Rng) {
        while let Some(message) = read_message(&mut server, true) {
            // The first one follows the log-in, and nothing runs.
            if message[0] == b'Z' && matches!(*lock(&self.running), Running::Statement(_)) {
                thread::sleep(Duration::from_micros(delays.u64(..1500)));
                self.turn_to(Running::Nothing);
            }
            if client.write_all(&message).is_err() {
                break;
            }
        }
        self.turn_to(Running::Closed);
        let _ = client.shutdown(Shutdown::Both);
    }

    fn turn_to(&self, next: Running) {
        let mut running = lock(&self.running);
        if let Running::Statement(sql) = std::mem::replace(&mut *running, next) {
            self.note(Event::Finish { connection: self.connection, sql });
        }
        self.changed.notify_all();
    }

    fn note(&self, event: Event) {
        lock(&self.events).push((Instant::now(), event));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A whole message; those of a log-in have no type byte before their length.
fn read_message(stream: &mut TcpStream, typed: bool) -> Option<Vec<u8>> {
    let head = if typed { 5 } else { 4 };
    let mut message = vec![0; head];
    stream.read_exact(&mut message).ok()?;
    let length = u32::from_be_bytes(message[head - 4..].try_into().expect("four bytes"));
    message.resize(head - 4 + length as usize, 0);
    stream.read_exact(&mut message[head..]).ok()?;
    Some(message)
}

fn first_string(body: &[u8]) -> String {
    let text = body.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}
