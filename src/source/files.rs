//! Records from files: `--input FILE…`.
//!
//! - `found`: the files before they are read, in their order;
//! - `compression`: what is unpacked while it is read.

mod compression;
mod error;
mod found;

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::rc::Rc;
use std::thread;

use memchr::memchr_iter;
use tokio::sync::mpsc;

pub use self::compression::Compression;
pub use self::error::FileError;
pub(crate) use self::found::first_start;
pub use self::found::{LogFile, LogFiles};
use super::split::Splitter;
use super::{Arrival, Chunk, Event, Resume};

/// How much is read at once.
const BLOCK: usize = 64 * 1024;
/// How many chunks are read ahead of the replay.
const AHEAD: usize = 4;

/// Log files, read as one log in the order given: a session may span them, a record may not.
///
/// The reading is done by a thread of its own, because the read of a pipe can't be given up: a
/// daemon that stops must not wait for the next line of standard input.
#[derive(Debug)]
pub struct FileSource {
    events: mpsc::Receiver<Result<Event, FileError>>,
    bytes: Option<u64>,
}

impl FileSource {
    /// Begins to read files, in their order.
    ///
    /// # Errors
    ///
    /// [`FileError::Io`] if there is no thread to be had.
    pub fn open(files: LogFiles) -> Result<Self, FileError> {
        let files = files.files;
        let bytes = files.iter().map(|file| file.length).sum();
        let (sender, events) = mpsc::channel(AHEAD);
        thread::Builder::new()
            .name("input".into())
            .spawn(move || {
                // Whoever drops the receiver wants no more: that is no error.
                let _ = Reader { sender: &sender }.read_all(&files);
            })
            .map_err(|source| failed(Path::new("-"), source))?;
        Ok(Self { events, bytes })
    }

    /// How many bytes all files have together, as they lie there; `None` where a stream is among them.
    pub fn bytes(&self) -> Option<u64> {
        self.bytes
    }

    /// What comes next. Cancel-safe.
    ///
    /// The first event is [`Event::Assigned`] with the index of every file, the last
    /// [`Event::End`], which stays.
    ///
    /// # Errors
    ///
    /// [`FileError::Io`] if a file can't be read.
    pub async fn next(&mut self) -> Result<Event, FileError> {
        self.events.recv().await.unwrap_or(Ok(Event::End))
    }
}

fn failed(path: &Path, source: io::Error) -> FileError {
    FileError::Io { file: path.to_owned(), source }
}

/// Nobody wants more.
struct Closed;

/// The thread that reads.
struct Reader<'a> {
    sender: &'a mpsc::Sender<Result<Event, FileError>>,
}

impl Reader<'_> {
    fn read_all(&self, files: &[LogFile]) -> Result<(), Closed> {
        let assigned = (0..files.len()).map(|index| Resume {
            partition: partition(index),
            offset: None,
            metadata: String::new(),
        });
        self.send(Ok(Event::Assigned(assigned.collect())))?;
        for (index, file) in files.iter().enumerate() {
            let last = index + 1 == files.len();
            match self.read(partition(index), &file.path, last) {
                Ok(()) => {}
                Err(Stop::Closed) => return Err(Closed),
                Err(Stop::Failed(error)) => return self.send(Err(error)),
            }
        }
        self.send(Ok(Event::End))
    }

    fn send(&self, event: Result<Event, FileError>) -> Result<(), Closed> {
        self.sender.blocking_send(event).map_err(|_| Closed)
    }

    /// One file from beginning to end.
    fn read(&self, partition: i32, path: &Path, last: bool) -> Result<(), Stop> {
        let unreadable = |source| Stop::Failed(failed(path, source));
        let consumed = Consumed::default();
        let file: Box<dyn Read> = if path == Path::new("-") {
            Box::new(io::stdin().lock())
        } else {
            Box::new(File::open(path).map_err(unreadable)?)
        };
        let counted = Counted { file, consumed: consumed.clone() };
        let (mut text, compression) = found::unpacked(counted).map_err(unreadable)?;
        let mut window = Window::default();
        let mut splitter = Splitter::default();
        loop {
            let read = window.fill(&mut text).map_err(|source| match compression {
                None => unreadable(source),
                Some(compression) => Stop::Failed(window.cut_off(path, compression, source)),
            })?;
            let end = read == 0;
            loop {
                // A pipe gives what it has, so less than a block means that no more was at hand.
                let mut chunk = window.chunk(partition, &mut splitter, end);
                let full = chunk.records.len() == Chunk::RECORDS;
                if !chunk.records.is_empty() {
                    chunk.caught_up = !full && if end { last } else { read < BLOCK };
                    chunk.read = consumed.take();
                    self.send(Ok(Event::Records(chunk))).map_err(|Closed| Stop::Closed)?;
                }
                if !full {
                    break;
                }
            }
            if end {
                return Ok(());
            }
        }
    }
}

/// Why a file was not read to its end.
enum Stop {
    Closed,
    Failed(FileError),
}

/// How many bytes of a file were read since that was last asked.
type Consumed = Rc<Cell<u64>>;

/// Counts what is read of a file as it lies there.
struct Counted<R> {
    file: R,
    consumed: Consumed,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.consumed.set(self.consumed.get() + read as u64);
        Ok(read)
    }
}

fn partition(index: usize) -> i32 {
    i32::try_from(index).expect("no command line names 2^31 files")
}

/// The part of a file that was read and not handed on yet.
#[derive(Default)]
struct Window {
    bytes: Vec<u8>,
    /// Where in `bytes` the first piece that was not handed on begins.
    start: usize,
    /// Where that is in the file.
    offset: u64,
    /// The line there, from 0.
    line: u64,
}

impl Window {
    /// Reads a block more; 0 is the end of the file.
    fn fill(&mut self, file: &mut impl Read) -> io::Result<usize> {
        self.bytes.drain(..self.start);
        self.start = 0;
        let had = self.bytes.len();
        self.bytes.resize(had + BLOCK, 0);
        let read = loop {
            match file.read(&mut self.bytes[had..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.bytes.truncate(had + *read.as_ref().unwrap_or(&0));
        read
    }

    /// What is lost of a compressed file that can't be unpacked any further.
    fn cut_off(&self, file: &Path, compression: Compression, source: io::Error) -> FileError {
        let rest = &self.bytes[self.start..];
        FileError::Compressed {
            file: file.to_owned(),
            compression: compression.name(),
            bytes: self.offset + rest.len() as u64,
            line: self.line + 1 + memchr_iter(b'\n', rest).count() as u64,
            source,
        }
    }

    /// The next records, up to a chunk's worth.
    fn chunk(&mut self, partition: i32, splitter: &mut Splitter, end: bool) -> Chunk {
        let mut chunk = Chunk::default();
        let from = self.start;
        while chunk.records.len() < Chunk::RECORDS {
            let Some(piece) = splitter.next(&self.bytes[self.start..], end) else { break };
            if !piece.payload.is_empty() {
                let base = self.start - from;
                chunk.records.push(Arrival {
                    partition,
                    offset: i64::try_from(self.offset).expect("no file has 2^63 bytes"),
                    line: self.line + 1,
                    payload: base + piece.payload.start..base + piece.payload.end,
                    place: 0..0,
                });
            }
            self.start += piece.length;
            self.offset += piece.length as u64;
            self.line += piece.lines;
        }
        // The pieces are neighbours: one copy moves them all.
        chunk.buffer.extend_from_slice(&self.bytes[from..self.start]);
        if end && splitter.ends_in_cr_lf() {
            end_in_cr_lf(&mut chunk);
        }
        chunk
    }
}

/// Gives the last record of a file, where its line end is missing, the one of those before it: by it
/// the reader tells how its line feeds were written.
fn end_in_cr_lf(chunk: &mut Chunk) {
    let Some(last) = chunk.records.last_mut() else { return };
    if last.payload.end == chunk.buffer.len() && !chunk.buffer.ends_with(b"\n") {
        chunk.buffer.extend_from_slice(b"\r\n");
        last.payload.end = chunk.buffer.len();
    }
}

#[cfg(test)]
mod tests;
