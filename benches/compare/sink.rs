//! A server that speaks PostgreSQL's protocol and executes nothing: what is left is the client.
//!
//! It runs as a process of its own and serves every connection on one thread. On each line that it
//! is sent on standard input it says how many statements it was asked for since the last one; at
//! the end of its input it ends.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::poll_fn;
use std::io::{self, BufRead as _, Write as _};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Poll, ready};

use tokio::io::{AsyncRead as _, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// How much is read at once, into a buffer that all connections share.
const READ: usize = 256 * 1024;

/// Serves until standard input ends. Prints the port first.
pub fn serve() -> io::Result<()> {
    let statements = Arc::new(AtomicU64::new(0));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(([127, 0, 0, 1], 0).into())?;
        let listener = socket.listen(16_384)?;
        println!("{}", listener.local_addr()?.port());
        let counted = statements.clone();
        std::thread::spawn(move || report(&counted));
        accept(listener, statements).await
    })
}

/// Answers the lines on standard input; its end is ours.
fn report(statements: &AtomicU64) {
    for line in io::stdin().lock().lines() {
        if line.is_err()
            || writeln!(io::stdout(), "{}", statements.swap(0, Ordering::Relaxed)).is_err()
        {
            break;
        }
    }
    std::process::exit(0);
}

async fn accept(listener: TcpListener, statements: Arc<AtomicU64>) -> io::Result<()> {
    let shared =
        Rc::new(Shared { buffer: RefCell::new(vec![0; READ]), backends: Cell::new(1), statements });
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let shared = shared.clone();
        tokio::task::spawn_local(async move {
            // A client that goes without a word is none of the sink's business.
            let _ = Session::default().serve(stream, &shared).await;
        });
    }
}

struct Shared {
    buffer: RefCell<Vec<u8>>,
    /// The process id of the next backend.
    backends: Cell<i32>,
    statements: Arc<AtomicU64>,
}

#[derive(Default)]
struct Session {
    started: bool,
    /// The beginning of a message whose rest is still to come.
    rest: Vec<u8>,
    answers: Vec<u8>,
    in_transaction: bool,
    /// What is asked about the server itself, by the statement's name. All else has no rows.
    questions: HashMap<Vec<u8>, Question>,
    bound: Option<Question>,
    over: bool,
}

impl Session {
    async fn serve(&mut self, mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
        while !self.over {
            let read = poll_fn(|cx| {
                let mut buffer = shared.buffer.borrow_mut();
                let mut read = ReadBuf::new(&mut buffer);
                ready!(Pin::new(&mut stream).poll_read(cx, &mut read))?;
                self.take(read.filled(), shared);
                Poll::Ready(io::Result::Ok(read.filled().len()))
            });
            if read.await? == 0 {
                break;
            }
            if !self.answers.is_empty() {
                stream.write_all(&self.answers).await?;
                self.answers.clear();
            }
        }
        Ok(())
    }

    fn take(&mut self, bytes: &[u8], shared: &Shared) {
        if self.rest.is_empty() {
            let used = self.messages(bytes, shared);
            self.rest.extend_from_slice(&bytes[used..]);
        } else {
            let mut all = std::mem::take(&mut self.rest);
            all.extend_from_slice(bytes);
            let used = self.messages(&all, shared);
            all.drain(..used);
            self.rest = all;
        }
        if self.rest.is_empty() {
            self.rest = Vec::new();
        }
    }

    /// Answers whole messages. Returns how many bytes they have.
    fn messages(&mut self, bytes: &[u8], shared: &Shared) -> usize {
        let mut used = 0;
        let mut statements = 0;
        while !self.over {
            let rest = &bytes[used..];
            let header = if self.started { 1 } else { 0 };
            let Some(length) = rest.get(header..header + 4) else { break };
            let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]) as usize;
            let Some(message) = rest.get(..header + length) else { break };
            used += message.len();
            if self.started {
                statements += u64::from(self.message(message[0], &message[5..]));
            } else {
                self.start(&message[4..], shared);
            }
        }
        shared.statements.fetch_add(statements, Ordering::Relaxed);
        used
    }

    fn start(&mut self, body: &[u8], shared: &Shared) {
        match body.first_chunk() {
            // SSLRequest, GSSENCRequest
            Some(&[4, 210, 22, 47 | 48]) => self.answers.push(b'N'),
            // CancelRequest
            Some(&[4, 210, 22, 46]) | None => self.over = true,
            Some(_) => {
                self.started = true;
                let backend = shared.backends.get();
                shared.backends.set(backend + 1);
                self.say(b'R', &[0; 4]);
                for (name, value) in [
                    ("server_version", "15.0"),
                    ("server_encoding", "UTF8"),
                    ("client_encoding", "UTF8"),
                    ("DateStyle", "ISO, MDY"),
                    ("TimeZone", "UTC"),
                    ("integer_datetimes", "on"),
                    ("standard_conforming_strings", "on"),
                ] {
                    self.say(b'S', format!("{name}\0{value}\0").as_bytes());
                }
                self.say(b'K', &[backend.to_be_bytes(), [0; 4]].concat());
                self.ready();
            }
        }
    }

    /// Answers a message. Returns whether it runs a statement that counts.
    fn message(&mut self, tag: u8, body: &[u8]) -> bool {
        match tag {
            b'Q' => {
                let question = Question::asked(body);
                if let Some(question) = question {
                    question.describe(self);
                }
                self.run(question, body);
                self.ready();
                // An empty query measures the round trip.
                question.is_none() && until_nul(body) != b""
            }
            b'P' => {
                let name = until_nul(body);
                match Question::asked(&body[name.len() + 1..]) {
                    Some(question) => drop(self.questions.insert(name.to_owned(), question)),
                    None if self.questions.is_empty() => {}
                    None => drop(self.questions.remove(name)),
                }
                // Transactions by the extended protocol are told by their text.
                let text = until_nul(&body[name.len() + 1..]);
                self.follow(text);
                self.say(b'1', b"");
                false
            }
            b'B' => {
                let portal = until_nul(body);
                let name = until_nul(&body[portal.len() + 1..]);
                self.bound = self.questions.get(name).copied();
                self.say(b'2', b"");
                false
            }
            b'D' => {
                let question = match body {
                    [b'S', name @ ..] => self.questions.get(until_nul(name)).copied(),
                    _ => self.bound,
                };
                if body[0] == b'S' {
                    let parameters = question.map_or(&[0, 0][..], Question::parameters);
                    self.say(b't', parameters);
                }
                match question {
                    Some(question) => question.describe(self),
                    None => self.say(b'n', b""),
                }
                false
            }
            b'E' => {
                let question = self.bound;
                self.run(question, b"");
                question.is_none()
            }
            b'C' => {
                self.say(b'3', b"");
                false
            }
            b'S' => {
                self.ready();
                false
            }
            b'X' => {
                self.over = true;
                false
            }
            _ => false,
        }
    }

    fn run(&mut self, question: Option<Question>, text: &[u8]) {
        match question {
            Some(question) => question.answer(self),
            None => {
                self.follow(text);
                self.answers.extend_from_slice(b"C\0\0\0\x0dSELECT 0\0");
            }
        }
    }

    /// Whether a transaction is open behind this text.
    fn follow(&mut self, text: &[u8]) {
        let begins = |words: [&[u8]; 2]| {
            words
                .iter()
                .any(|word| text.get(..word.len()).is_some_and(|s| s.eq_ignore_ascii_case(word)))
        };
        if begins([b"begin", b"start"]) {
            self.in_transaction = true;
        } else if begins([b"commit", b"end"]) || begins([b"rollback", b"abort"]) {
            self.in_transaction = false;
        }
    }

    fn ready(&mut self) {
        let status = if self.in_transaction { b'T' } else { b'I' };
        self.answers.extend_from_slice(&[b'Z', 0, 0, 0, 5, status]);
    }

    fn say(&mut self, tag: u8, body: &[u8]) {
        self.answers.push(tag);
        self.answers.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
        self.answers.extend_from_slice(body);
    }
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    &bytes[..memchr::memchr(0, bytes).unwrap_or(bytes.len())]
}

/// What kreplay asks a server about itself.
#[derive(Debug, Clone, Copy)]
enum Question {
    Locks,
    Encodings,
    Version,
    Connections,
}

impl Question {
    /// Which question a text asks, if any.
    fn asked(text: &[u8]) -> Option<Self> {
        const BY_WORD: [(&[u8], Question); 4] = [
            (b"pg_blocking_pids", Question::Locks),
            (b"pg_encoding_to_char", Question::Encodings),
            (b"server_version_num", Question::Version),
            (b"max_connections", Question::Connections),
        ];
        // The statements that are measured have no such word.
        memchr::memmem::find(text, b"pg_catalog")?;
        let asks = |(word, _): &&(&[u8], Question)| memchr::memmem::find(text, word).is_some();
        BY_WORD.iter().find(asks).map(|(_, question)| *question)
    }

    /// The body of its ParameterDescription.
    fn parameters(self) -> &'static [u8] {
        match self {
            // One, an int4[].
            Self::Locks => &[0, 1, 0, 0, 3, 0xef],
            _ => &[0, 0],
        }
    }

    fn describe(self, session: &mut Session) {
        const INT4: u32 = 23;
        const TEXT: u32 = 25;
        const INT4_ARRAY: u32 = 1007;
        let types: &[u32] = match self {
            Self::Locks => &[INT4, INT4_ARRAY],
            Self::Encodings => &[TEXT, TEXT],
            Self::Version | Self::Connections => &[INT4],
        };
        let mut body = (types.len() as u16).to_be_bytes().to_vec();
        for oid in types {
            body.extend_from_slice(b"c\0\0\0\0\0\0\0");
            body.extend_from_slice(&oid.to_be_bytes());
            // Length and modifier unknown; binary.
            body.extend_from_slice(&[255, 255, 255, 255, 255, 255, 0, 1]);
        }
        session.say(b'T', &body);
    }

    fn answer(self, session: &mut Session) {
        let columns: &[&[u8]] = match self {
            // Nobody waits for anybody.
            Self::Locks => return session.say(b'C', b"SELECT 0\0"),
            Self::Encodings => &[b"app", b"UTF8"],
            Self::Version => &[&150_000u32.to_be_bytes()],
            Self::Connections => &[&20_000u32.to_be_bytes()],
        };
        let mut body = (columns.len() as u16).to_be_bytes().to_vec();
        for column in columns {
            body.extend_from_slice(&(column.len() as u32).to_be_bytes());
            body.extend_from_slice(column);
        }
        session.say(b'D', &body);
        session.say(b'C', b"SELECT 1\0");
    }
}
