//! Records from files: `--input FILE…`.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::thread;

use tokio::sync::mpsc;

use super::split::Splitter;
use super::{Arrival, Chunk, Event, Resume, SourceError};

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
    events: mpsc::Receiver<Result<Event, SourceError>>,
    bytes: Option<u64>,
}

impl FileSource {
    /// Begins to read `paths`; `-` is standard input.
    ///
    /// # Errors
    ///
    /// [`SourceError::Io`] if one of them does not exist, can't be opened or is a directory.
    pub fn open(paths: Vec<PathBuf>) -> Result<Self, SourceError> {
        let mut bytes = Some(0);
        for path in &paths {
            let length = length(path).map_err(|source| failed(path, source))?;
            bytes = bytes.zip(length).map(|(sum, length)| sum + length);
        }
        let (sender, events) = mpsc::channel(AHEAD);
        thread::Builder::new()
            .name("input".into())
            .spawn(move || {
                // Whoever drops the receiver wants no more: that is no error.
                let _ = Reader { sender: &sender }.read_all(&paths);
            })
            .map_err(|source| failed(Path::new("-"), source))?;
        Ok(Self { events, bytes })
    }

    /// How many bytes all files have together; `None` where a pipe is among them.
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
    /// [`SourceError::Io`] if a file can't be read.
    pub async fn next(&mut self) -> Result<Event, SourceError> {
        self.events.recv().await.unwrap_or(Ok(Event::End))
    }
}

fn failed(path: &Path, source: io::Error) -> SourceError {
    SourceError::Io { file: path.to_owned(), source }
}

/// A regular file's length; `None` for a pipe.
fn length(path: &Path) -> io::Result<Option<u64>> {
    if path == Path::new("-") {
        return Ok(None);
    }
    let metadata = fs::metadata(path)?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    // Opening a named pipe waits for its writer, so only a file that can be tried is tried.
    if !metadata.is_file() {
        return Ok(None);
    }
    File::open(path)?;
    Ok(Some(metadata.len()))
}

/// Nobody wants more.
struct Closed;

/// The thread that reads.
struct Reader<'a> {
    sender: &'a mpsc::Sender<Result<Event, SourceError>>,
}

impl Reader<'_> {
    fn read_all(&self, paths: &[PathBuf]) -> Result<(), Closed> {
        let files = (0..paths.len()).map(|index| Resume {
            partition: partition(index),
            offset: None,
            metadata: String::new(),
        });
        self.send(Ok(Event::Assigned(files.collect())))?;
        for (index, path) in paths.iter().enumerate() {
            let opened: io::Result<Box<dyn Read>> = if path == Path::new("-") {
                Ok(Box::new(io::stdin().lock()))
            } else {
                File::open(path).map(|file| Box::new(file) as Box<dyn Read>)
            };
            let last = index + 1 == paths.len();
            let read = opened.map(|file| self.read(partition(index), file, last));
            match read {
                Ok(Ok(())) => {}
                Ok(Err(Stop::Closed)) => return Err(Closed),
                Ok(Err(Stop::Io(error))) | Err(error) => {
                    return self.send(Err(failed(path, error)));
                }
            }
        }
        self.send(Ok(Event::End))
    }

    fn send(&self, event: Result<Event, SourceError>) -> Result<(), Closed> {
        self.sender.blocking_send(event).map_err(|_| Closed)
    }

    /// One file from beginning to end.
    fn read(&self, partition: i32, mut file: impl Read, last: bool) -> Result<(), Stop> {
        let mut window = Window::default();
        let mut splitter = Splitter::default();
        loop {
            let read = window.fill(&mut file)?;
            let end = read == 0;
            loop {
                // A pipe gives what it has, so less than a block means that no more was at hand.
                let mut chunk = window.chunk(partition, &mut splitter, end);
                let full = chunk.records.len() == Chunk::RECORDS;
                if !chunk.records.is_empty() {
                    chunk.caught_up = !full && if end { last } else { read < BLOCK };
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
    Io(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
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
#[path = "files_tests.rs"]
mod tests;
