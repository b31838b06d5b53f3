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

fn sample_of(paths: &[&Path]) -> Result<(FilesFacts, Vec<Sampled>), FileError> {
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
    let (facts, sample) = sample_of(&[small.path()]).expect("a sample");
    assert_eq!((facts.names.len(), facts.streams.len()), (1, 0));
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
    let (facts, sample) = sample_of(&[Path::new("-"), Path::new("/dev/null")]).expect("a look");
    assert_eq!(facts.streams, ["standard input", "/dev/null"]);
    assert!(sample.is_empty());
    sample_of(&[Path::new("/nowhere.csv")]).expect_err("no such file");
}
