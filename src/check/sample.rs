//! Samples of log files, for `kreplay check`: the beginning and the end of each.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use crate::check::findings::FilesFacts;
use crate::check::findings::sample::Sampled;
use crate::source::files::FileError;
use crate::source::files::{LogFile, LogFiles, first_start};
use crate::source::split::Splitter;

/// How much of a file is read, at its beginning and at its end.
const BLOCK: u64 = 1 << 20;
/// Records of a block at the most.
const RECORDS: usize = 1500;

/// Takes a sample of files: of a compressed one its beginning alone. Blocks, though never for a
/// writer: what can be read only once is not opened.
///
/// # Errors
///
/// [`FileError::Io`].
pub(super) fn of_files(files: &LogFiles) -> Result<(FilesFacts, Vec<Sampled>), FileError> {
    let (names, reordered) = (files.names(), files.reordered);
    let mut facts = FilesFacts { names, reordered, ..FilesFacts::default() };
    let mut sample = Vec::new();
    for (index, file) in files.files.iter().enumerate() {
        let Some(length) = file.length else {
            facts.streams.push(file.name());
            continue;
        };
        facts.bytes += length;
        let partition = i32::try_from(index).expect("no command line names 2^31 files");
        let of_file = of_file(partition, file, length);
        sample.extend(of_file.map_err(|source| {
            let file = file.path.clone();
            FileError::Io { file, source }
        })?);
    }
    sample.sort_by_key(|sampled| (sampled.stretch, sampled.partition, sampled.offset));
    Ok((facts, sample))
}

fn of_file(partition: i32, file: &LogFile, length: u64) -> io::Result<Vec<Sampled>> {
    let mut first = Vec::new();
    file.open()?.take(BLOCK).read_to_end(&mut first)?;
    let all = (first.len() as u64) < BLOCK;
    let mut sample = records(partition, 0, 0, &first, all);
    sample.truncate(RECORDS);
    // A file that has grown meanwhile has its end a little further on.
    if !all && file.compression.is_none() {
        let from = (length - BLOCK.min(length)).max(BLOCK);
        let mut last = Vec::new();
        let mut file = File::open(&file.path)?;
        file.seek(SeekFrom::Start(from))?;
        file.take(BLOCK).read_to_end(&mut last)?;
        let whole = first_start(&last).unwrap_or(last.len());
        let mut newest = records(partition, 1, from + whole as u64, &last[whole..], true);
        newest.drain(..newest.len().saturating_sub(RECORDS));
        sample.extend(newest);
    }
    Ok(sample)
}

/// The records of a block that begins at `from`. What its end cuts is left out, unless that is the
/// end of the file.
fn records(partition: i32, stretch: usize, from: u64, block: &[u8], end: bool) -> Vec<Sampled> {
    let mut splitter = Splitter::default();
    let mut records = Vec::new();
    let mut at = 0;
    while let Some(piece) = splitter.next(&block[at..], end) {
        if !piece.payload.is_empty() {
            records.push(Sampled {
                partition,
                offset: i64::try_from(from).unwrap_or(i64::MAX).saturating_add(at as i64),
                stretch,
                payload: block[at..][piece.payload.clone()].to_vec(),
                ..Sampled::default()
            });
        }
        at += piece.length;
    }
    records
}

#[cfg(test)]
mod tests;
