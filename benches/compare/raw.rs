//! The limit: a client that reads the log with kreplay's parser and writes its statements to as many
//! connections, pipelined, by hand. It keeps no order but each session's, compares nothing, notes
//! nothing and can't go on after an error.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::{Buf as _, BytesMut};
use kreplay::pglog::message::{LogEvent, read_message, split_name};
use kreplay::pglog::parameters::{Detail, Parameter, read_detail};
use kreplay::pglog::{Encodings, Format, LogRecord, RecordReader, SessionId};
use kreplay::source::files::LogFiles;
use kreplay::source::{Event, FileSource};
use postgres_protocol::IsNull;
use postgres_protocol::message::frontend;
use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWrite as _, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;

/// Statements without an answer on one connection, as many as kreplay has by default.
const DEPTH: usize = 16;
/// Statements read and not answered, over all connections, as many as kreplay has by default.
const IN_FLIGHT: usize = 10_000;

/// Replays a log on the server at a port of this machine, each session on a connection of its own.
pub fn replay(port: u16, log: &Path) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, read(port, log))
}

async fn read(port: u16, log: &Path) -> io::Result<()> {
    let mut source = LogFiles::find(&[log.to_owned()], Format::Auto)
        .and_then(FileSource::open)
        .map_err(io::Error::other)?;
    let mut reader = RecordReader::new(Format::Auto, Encodings::default());
    let room = Rc::new(RefCell::new(Room::default()));
    let mut connections: HashMap<SessionId, Rc<RefCell<Queue>>> = HashMap::new();
    let mut tasks = tokio::task::JoinSet::new();
    loop {
        let chunk = match source.next().await.map_err(io::Error::other)? {
            Event::Records(chunk) => chunk,
            Event::End => break,
            _ => continue,
        };
        for (_, payload) in chunk.iter() {
            let record = reader.read(payload).map_err(io::Error::other)?;
            let queue = match connections.get(&record.session) {
                Some(queue) => queue,
                None => {
                    let connection = connect(port, &record).await?;
                    let queue = Rc::<RefCell<Queue>>::default();
                    tasks.spawn_local(drive(connection, queue.clone(), room.clone()));
                    connections.entry(record.session).or_insert(queue)
                }
            };
            let mut queue = queue.borrow_mut();
            queue.push(&record)?;
            room.borrow_mut().in_flight += 1;
        }
        for queue in connections.values() {
            queue.borrow_mut().wake();
        }
        poll_fn(|cx| room.borrow_mut().poll(cx, IN_FLIGHT)).await;
    }
    poll_fn(|cx| room.borrow_mut().poll(cx, 0)).await;
    for queue in connections.values() {
        let mut queue = queue.borrow_mut();
        queue.over = true;
        queue.wake();
    }
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(io::Error::other)??;
    }
    Ok(())
}

/// Logs in. What has been read of the server's messages goes on with the answers.
async fn connect(port: u16, record: &LogRecord<'_>) -> io::Result<(TcpStream, Answers)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    let mut startup = BytesMut::new();
    let parameters = [("user", &*record.user), ("database", &*record.database)];
    frontend::startup_message(parameters, &mut startup)?;
    stream.write_all(&startup).await?;
    let mut answers = Answers::default();
    let mut buffer = vec![0; 4096];
    loop {
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if answers.ready(&buffer[..read]) > 0 {
            return Ok((stream, answers));
        }
    }
}

/// How many statements have no answer yet, and who waits until there are fewer.
#[derive(Default)]
struct Room {
    in_flight: usize,
    reader: Option<Waker>,
}

impl Room {
    fn poll(&mut self, cx: &Context<'_>, limit: usize) -> Poll<()> {
        if self.in_flight <= limit {
            return Poll::Ready(());
        }
        self.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    fn answered(&mut self, statements: usize) {
        self.in_flight -= statements;
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

/// What one connection has to send: messages, and where each statement's end.
#[derive(Default)]
struct Queue {
    messages: BytesMut,
    ends: VecDeque<usize>,
    /// Statements sent and not answered.
    under_way: usize,
    over: bool,
    driver: Option<Waker>,
    /// Whether anything came since the driver was last woken.
    fresh: bool,
}

impl Queue {
    fn push(&mut self, record: &LogRecord<'_>) -> io::Result<()> {
        let before = self.messages.len();
        match read_message(&record.message).event {
            LogEvent::Statement(sql) => frontend::query(sql, &mut self.messages)?,
            LogEvent::Execute(rest) => {
                let name = split_name(rest).ok_or(io::ErrorKind::InvalidData)?;
                let Detail::Parameters(parameters) = read_detail(&record.detail) else {
                    return Err(io::ErrorKind::InvalidData.into());
                };
                frontend::parse("", name.text, [], &mut self.messages)?;
                let text = |value: &Parameter<'_>, buffer: &mut BytesMut| match value {
                    Some(value) => {
                        buffer.extend_from_slice(value.as_bytes());
                        Ok(IsNull::No)
                    }
                    None => Ok(IsNull::Yes),
                };
                frontend::bind("", "", [], &parameters, text, [], &mut self.messages)
                    .map_err(|_| io::ErrorKind::InvalidInput)?;
                frontend::execute("", 0, &mut self.messages)?;
                frontend::sync(&mut self.messages);
            }
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
        self.ends.push_back(self.messages.len() - before);
        self.fresh = true;
        Ok(())
    }

    fn wake(&mut self) {
        if (self.fresh || self.over)
            && let Some(driver) = self.driver.take()
        {
            self.fresh = false;
            driver.wake();
        }
    }

    /// Takes what may be sent now.
    fn take(&mut self) -> Option<BytesMut> {
        let count = (DEPTH - self.under_way).min(self.ends.len());
        if count == 0 {
            return None;
        }
        self.under_way += count;
        let length = self.ends.drain(..count).sum();
        Some(self.messages.split_to(length))
    }
}

async fn drive(
    (mut stream, mut answers): (TcpStream, Answers),
    queue: Rc<RefCell<Queue>>,
    room: Rc<RefCell<Room>>,
) -> io::Result<()> {
    let mut sending = BytesMut::new();
    poll_fn(|cx| {
        loop {
            let mut space = [0; 16 * 1024];
            let mut read = ReadBuf::new(&mut space);
            match Pin::new(&mut stream).poll_read(cx, &mut read)? {
                Poll::Ready(()) if read.filled().is_empty() => {
                    return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                }
                Poll::Ready(()) => {
                    let ready = answers.ready(read.filled());
                    queue.borrow_mut().under_way -= ready;
                    room.borrow_mut().answered(ready);
                }
                Poll::Pending => break,
            }
        }
        let mut queue = queue.borrow_mut();
        loop {
            if sending.is_empty() {
                match queue.take() {
                    Some(messages) => sending = messages,
                    None if queue.over => return Poll::Ready(Ok(())),
                    None => break,
                }
            }
            match Pin::new(&mut stream).poll_write(cx, &sending)? {
                Poll::Ready(written) => sending.advance(written),
                Poll::Pending => break,
            }
        }
        queue.driver = Some(cx.waker().clone());
        Poll::Pending
    })
    .await
}

/// Counts the answers in a stream, wherever reads cut it.
#[derive(Default)]
struct Answers {
    header: Vec<u8>,
    /// How much of the current message's body is still to come.
    left: usize,
}

impl Answers {
    fn ready(&mut self, mut bytes: &[u8]) -> usize {
        let mut ready = 0;
        while !bytes.is_empty() {
            if self.left > 0 {
                let skipped = self.left.min(bytes.len());
                self.left -= skipped;
                bytes = &bytes[skipped..];
                continue;
            }
            let (piece, rest) = bytes.split_at((5 - self.header.len()).min(bytes.len()));
            self.header.extend_from_slice(piece);
            bytes = rest;
            if let [tag, l0, l1, l2, l3] = *self.header {
                self.left = u32::from_be_bytes([l0, l1, l2, l3]) as usize - 4;
                // A ReadyForQuery of which the byte is still to come is as good as whole.
                ready += usize::from(tag == b'Z');
                self.header.clear();
            }
        }
        ready
    }
}
