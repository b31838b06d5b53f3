//! Samples of log files, for `kreplay check`: the beginning and the end of each.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use crate::check::findings::FilesSeen;
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
pub(super) fn of_files(files: &LogFiles) -> Result<(FilesSeen, Vec<Sampled>), FileError> {
    let (names, reordered) = (files.names(), files.reordered);
    let mut seen = FilesSeen { names, reordered, ..FilesSeen::default() };
    let mut sample = Vec::new();
    for (index, file) in files.files.iter().enumerate() {
        let Some(length) = file.length else {
            seen.streams.push(file.name());
            continue;
        };
        seen.bytes += length;
        let partition = i32::try_from(index).expect("no command line names 2^31 files");
        let of_file = of_file(partition, file, length);
        sample.extend(of_file.map_err(|source| {
            let file = file.path.clone();
            FileError::Io { file, source }
        })?);
    }
    sample.sort_by_key(|sampled| (sampled.stretch, sampled.partition, sampled.offset));
    Ok((seen, sample))
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
mod tests {
    use std::io::Write as _;
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::pglog::Format;

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

    fn sample_of(paths: &[&Path]) -> Result<(FilesSeen, Vec<Sampled>), FileError> {
        let paths: Vec<PathBuf> = paths.iter().map(|path| path.to_path_buf()).collect();
        of_files(&LogFiles::find(&paths, Format::Auto)?)
    }

    fn numbers(sample: &[Sampled], stretch: usize) -> Vec<String> {
        let own = sample.iter().filter(|sampled| sampled.stretch == stretch);
        let text = own.map(|sampled| String::from_utf8_lossy(&sampled.payload).into_owned());
        text.map(|text| text.split(',').nth(6).expect("a line number").to_owned()).collect()
    }

    #[test]
    fn a_small_file_is_sampled_whole() {
        let small = file(0..100);
        let (seen, sample) = sample_of(&[small.path()]).expect("a sample");
        assert_eq!((seen.names.len(), seen.streams.len()), (1, 0));
        assert_eq!(numbers(&sample, 0), (0..100).map(|n| n.to_string()).collect::<Vec<_>>());
        assert_eq!(sample.len(), 100);
    }

    #[test]
    fn of_a_large_file_the_beginning_and_the_end_are_sampled_record_by_record() {
        let large = file(0..20_000);
        let (_, sample) = sample_of(&[large.path()]).expect("a sample");
        assert_eq!(numbers(&sample, 0), (0..RECORDS).map(|n| n.to_string()).collect::<Vec<_>>());
        let newest = 20_000 - RECORDS..20_000;
        assert_eq!(numbers(&sample, 1), newest.map(|n| n.to_string()).collect::<Vec<_>>());
    }

    #[test]
    fn what_can_be_read_only_once_is_not_opened() {
        let (seen, sample) = sample_of(&[Path::new("-"), Path::new("/dev/null")]).expect("a look");
        assert_eq!(seen.streams, ["standard input", "/dev/null"]);
        assert!(sample.is_empty());
        sample_of(&[Path::new("/nowhere.csv")]).expect_err("no such file");
    }
}
