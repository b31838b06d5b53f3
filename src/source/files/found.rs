//! The files of `--input`, looked at before they are read: whether they can be, how they are
//! compressed, and in which order they are one log.

use std::fs::{self, File};
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::FileError;
use super::compression::Compression;
use super::failed;
use crate::pglog::{Encodings, Format, RecordReader};
use crate::replay::intake::file_order::{FileFacts, OutOfOrder, Stretch, arrange};
use crate::source::split::{Splitter, begins_like_record};

/// How much of a file's beginning and end is looked at.
const BLOCK: usize = 256 * 1024;
/// How much of its beginning where that is not enough for its first record.
const LONGEST_BEGINNING: usize = 16 << 20;

/// A file that can be read.
#[derive(Debug, Clone)]
pub struct LogFile {
    /// As it was named; `-` is standard input.
    pub path: PathBuf,
    /// How it is compressed; of a stream that is not known before it is read.
    pub compression: Option<Compression>,
    /// Its size as it lies there; `None` for a stream.
    pub length: Option<u64>,
}

/// Files in the order in which they are read.
#[derive(Debug)]
pub struct LogFiles {
    /// The files.
    pub files: Vec<LogFile>,
    /// Whether that is another order than the one in which they were given.
    pub reordered: bool,
}

impl LogFiles {
    /// Looks at files. Blocks, though never for a writer: what can be read only once is not opened.
    ///
    /// # Errors
    ///
    /// [`FileError::Io`] if one of them does not exist, can't be read or is a directory;
    /// [`FileError::OutOfOrder`] if they can't be parts of one log.
    pub fn find(paths: &[PathBuf], format: Format) -> Result<Self, FileError> {
        let mut files = Vec::with_capacity(paths.len());
        for path in paths {
            files.push(LogFile::find(path).map_err(|source| failed(path, source))?);
        }
        if files.len() < 2 {
            return Ok(Self { files, reordered: false });
        }
        let mut facts = Vec::with_capacity(files.len());
        for file in &files {
            facts.push(file.facts(format).map_err(|source| failed(&file.path, source))?);
        }
        let order = arrange(&facts).map_err(|OutOfOrder { first, second, why }| {
            let name = |index: usize| files[index].name();
            FileError::OutOfOrder { first: name(first), second: name(second), why }
        })?;
        let reordered = !order.is_sorted();
        let files = order.into_iter().map(|index| files[index].clone()).collect();
        Ok(Self { files, reordered })
    }

    /// What they are called in messages.
    pub fn names(&self) -> Vec<String> {
        self.files.iter().map(LogFile::name).collect()
    }
}

impl LogFile {
    fn find(path: &Path) -> io::Result<Self> {
        let path = path.to_owned();
        let stream = Self { path, compression: None, length: None };
        if stream.path == Path::new("-") {
            return Ok(stream);
        }
        let metadata = fs::metadata(&stream.path)?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        // Opening a named pipe waits for its writer, so only a file that can be tried is tried.
        if !metadata.is_file() {
            return Ok(stream);
        }
        let begin = Compression::read_signature(&mut File::open(&stream.path)?)?;
        let compression = Compression::told_by(&begin);
        if let Some(unsupported @ Compression::Unsupported(_)) = compression {
            unsupported.unpack(io::empty())?;
        }
        let file = Self { compression, length: Some(metadata.len()), ..stream };
        Compression::refuse_nested(&mut file.open()?)?;
        Ok(file)
    }

    /// What it is called in messages. Lines and bytes of a compressed file are those of its text.
    pub fn name(&self) -> String {
        match (self.path.to_str(), self.compression) {
            (Some("-"), _) => "standard input".to_owned(),
            (_, None) => self.path.display().to_string(),
            (_, Some(compression)) => {
                format!("{} (unpacked from {})", self.path.display(), compression.name())
            }
        }
    }

    /// Its text from the beginning.
    pub fn open(&self) -> io::Result<Box<dyn Read>> {
        let file = File::open(&self.path)?;
        match self.compression {
            Some(compression) => compression.unpack(BufReader::new(file)),
            None => Ok(Box::new(file)),
        }
    }

    fn facts(&self, format: Format) -> io::Result<FileFacts> {
        let Some(length) = self.length else {
            return Ok(FileFacts { stream: true, ..FileFacts::default() });
        };
        let mut reader = RecordReader::new(format, Encodings::default());
        let (head, whole) = self.head(&mut reader)?;
        let tail = match self.compression {
            _ if whole => Some(head.clone()),
            Some(_) => None,
            None => Some(self.tail(&mut reader, length)?),
        };
        Ok(FileFacts { head, tail, stream: false })
    }

    /// The records of its beginning, and whether that is all of it.
    fn head(&self, reader: &mut RecordReader) -> io::Result<(Stretch, bool)> {
        let mut text = self.open()?;
        let mut block = Vec::new();
        loop {
            let wanted = BLOCK.max(block.len());
            let read = text.by_ref().take(wanted as u64).read_to_end(&mut block);
            // What is damaged further on is told when it is read, with what was lost.
            let whole = read.as_ref().is_ok_and(|&read| read < wanted);
            let head = stretch(&block, reader, whole);
            if whole || read.is_err() || !head.is_empty() || block.len() >= LONGEST_BEGINNING {
                return Ok((head, whole));
            }
        }
    }

    /// The records of its end.
    fn tail(&self, reader: &mut RecordReader, length: u64) -> io::Result<Stretch> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(length.saturating_sub(BLOCK as u64)))?;
        let mut block = Vec::new();
        file.take(BLOCK as u64).read_to_end(&mut block)?;
        let start = first_start(&block).unwrap_or(block.len());
        Ok(stretch(&block[start..], reader, true))
    }
}

/// The records of a block. What its end cuts is left out, unless that is the end of the file.
fn stretch(block: &[u8], reader: &mut RecordReader, end: bool) -> Stretch {
    let mut splitter = Splitter::default();
    let mut stretch = Stretch::default();
    let mut at = 0;
    while let Some(piece) = splitter.next(&block[at..], end) {
        if let Ok(record) = reader.read(&block[at..][piece.payload.clone()]) {
            stretch.add(&record);
        }
        at += piece.length;
    }
    stretch
}

/// Where the first whole record of a block begins that was cut out of a file.
pub(crate) fn first_start(block: &[u8]) -> Option<usize> {
    let lines = block.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    lines.map(|(newline, _)| newline + 1).find(|&start| {
        let line = &block[start..];
        line.starts_with(b"{") || begins_like_record(line)
    })
}

/// A stream's text, unpacked where it is compressed: its first bytes tell.
pub(super) fn unpacked<'a>(
    mut file: impl Read + 'a,
) -> io::Result<(Box<dyn Read + 'a>, Option<Compression>)> {
    let begin = Compression::read_signature(&mut file)?;
    let compression = Compression::told_by(&begin);
    let whole = Cursor::new(begin).chain(file);
    let text: Box<dyn Read + 'a> = match compression {
        Some(compression) => compression.unpack(BufReader::new(whole))?,
        None => Box::new(whole),
    };
    Ok((text, compression))
}
