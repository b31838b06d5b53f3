//! Samples of log files, for `kreplay check`: the beginning and the end of each.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::SourceError;
use super::split::{Splitter, begins_like_record};
use crate::replay::check::FilesSeen;
use crate::replay::check::sample::Sampled;

/// How much of a file is read, at its beginning and at its end.
const BLOCK: u64 = 1 << 20;
/// Records of a block at the most.
const RECORDS: usize = 1500;

/// Looks at files and takes a sample of them. Blocks, though never for a writer: what can be read
/// only once is not opened.
///
/// # Errors
///
/// [`SourceError::Io`].
pub fn of_files(paths: &[PathBuf]) -> Result<(FilesSeen, Vec<Sampled>), SourceError> {
    let mut seen = FilesSeen { files: paths.len(), ..FilesSeen::default() };
    let mut sample = Vec::new();
    for (index, path) in paths.iter().enumerate() {
        let failed = |source| SourceError::Io { file: path.clone(), source };
        if path == Path::new("-") {
            seen.streams.push("standard input".to_owned());
            continue;
        }
        let metadata = fs::metadata(path).map_err(failed)?;
        if metadata.is_dir() {
            return Err(failed(std::io::ErrorKind::IsADirectory.into()));
        }
        if !metadata.is_file() {
            seen.streams.push(path.display().to_string());
            continue;
        }
        seen.bytes += metadata.len();
        let partition = i32::try_from(index).expect("no command line names 2^31 files");
        let mut file = File::open(path).map_err(failed)?;
        let mut block = |from: u64| -> std::io::Result<Vec<u8>> {
            let mut bytes = Vec::new();
            file.seek(SeekFrom::Start(from))?;
            file.by_ref().take(BLOCK).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let length = metadata.len();
        let first = block(0).map_err(failed)?;
        let all = length <= BLOCK;
        sample.extend(records(partition, 0, 0, &first, all).into_iter().take(RECORDS));
        // A file that has grown meanwhile has its end a little further on.
        if !all {
            let from = (length - BLOCK).max(BLOCK);
            let last = block(from).map_err(failed)?;
            let whole = first_start(&last).unwrap_or(last.len());
            let from = from + whole as u64;
            let mut newest = records(partition, 1, from, &last[whole..], true);
            newest.drain(..newest.len().saturating_sub(RECORDS));
            sample.extend(newest);
        }
    }
    sample.sort_by_key(|sampled| (sampled.stretch, sampled.partition, sampled.offset));
    Ok((seen, sample))
}

/// Where the first whole record of a block begins that was cut out of a file.
fn first_start(block: &[u8]) -> Option<usize> {
    let lines = block.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    lines.map(|(newline, _)| newline + 1).find(|&start| {
        let line = &block[start..];
        line.starts_with(b"{") || begins_like_record(line)
    })
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
mod tests {
    use std::io::Write as _;

    use super::*;

    fn record(number: usize) -> String {
        format!(
            "2026-11-22 15:23:14.992 UTC,\"postgres\",\"app\",11971,\"[local]\",6b0308e2.2ec3,{number},\
             \"INSERT\",2026-11-22 15:23:14 UTC,3/0,0,LOG,00000,\"duration: 1.000 ms  statement: \
             select\n{number}\",,,,,,,,,\"psql\",\"client backend\",,0\n"
        )
    }

    fn file(records: std::ops::Range<usize>) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        for number in records {
            file.write_all(record(number).as_bytes()).expect("written");
        }
        file
    }

    fn numbers(sample: &[Sampled], stretch: usize) -> Vec<String> {
        let own = sample.iter().filter(|sampled| sampled.stretch == stretch);
        let text = own.map(|sampled| String::from_utf8_lossy(&sampled.payload).into_owned());
        text.map(|text| text.split(',').nth(6).expect("a line number").to_owned()).collect()
    }

    #[test]
    fn a_small_file_is_sampled_whole() {
        let small = file(0..100);
        let (seen, sample) = of_files(&[small.path().to_owned()]).expect("a sample");
        assert_eq!((seen.files, seen.streams.len()), (1, 0));
        assert_eq!(numbers(&sample, 0), (0..100).map(|n| n.to_string()).collect::<Vec<_>>());
        assert_eq!(sample.len(), 100);
    }

    #[test]
    fn of_a_large_file_the_beginning_and_the_end_are_sampled_record_by_record() {
        let large = file(0..20_000);
        let (_, sample) = of_files(&[large.path().to_owned()]).expect("a sample");
        assert_eq!(numbers(&sample, 0), (0..RECORDS).map(|n| n.to_string()).collect::<Vec<_>>());
        let newest = 20_000 - RECORDS..20_000;
        assert_eq!(numbers(&sample, 1), newest.map(|n| n.to_string()).collect::<Vec<_>>());
    }

    #[test]
    fn what_can_be_read_only_once_is_not_opened() {
        let (seen, sample) = of_files(&["-".into(), "/dev/null".into()]).expect("a look");
        assert_eq!(seen.streams, ["standard input", "/dev/null"]);
        assert!(sample.is_empty());
        of_files(&["/nowhere.csv".into()]).expect_err("no such file");
    }
}
