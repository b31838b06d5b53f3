use std::fs;
use std::io::Write as _;

use super::compression::tests::{ALL, pack};
use super::*;
use crate::pglog::Format;

fn open(paths: &[&Path]) -> Result<FileSource, FileError> {
    let paths: Vec<_> = paths.iter().map(|path| path.to_path_buf()).collect();
    FileSource::open(LogFiles::find(&paths, Format::Auto)?)
}

/// Everything that files say, up to the end.
async fn read(paths: &[&Path]) -> Result<Vec<(Arrival, Vec<u8>)>, FileError> {
    let mut source = open(paths)?;
    let mut records = Vec::new();
    let mut assigned = 0;
    loop {
        match source.next().await? {
            Event::Records(chunk) => {
                assert!((1..=Chunk::RECORDS).contains(&chunk.records.len()));
                for (arrival, payload) in chunk.iter() {
                    let arrival = Arrival { payload: 0..0, ..arrival.clone() };
                    records.push((arrival, payload.to_vec()));
                }
            }
            Event::Assigned(files) => {
                assert_eq!(files.len(), paths.len());
                assigned += 1;
            }
            Event::End => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(assigned, 1);
    assert!(matches!(source.next().await, Ok(Event::End)), "the end stays");
    Ok(records)
}

fn file(content: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(content).expect("written");
    file
}

#[tokio::test]
async fn files_are_one_log_but_no_record_spans_two() {
    let first = file(b"a,\"1\"\nb,\"2\n");
    let second = file(b"c,\"3\n4\"\nd");
    let records = read(&[first.path(), second.path()]).await.expect("records");
    let got: Vec<_> = records
        .iter()
        .map(|(arrival, payload)| {
            let payload = String::from_utf8_lossy(payload).into_owned();
            (arrival.partition, arrival.offset, arrival.line, payload)
        })
        .collect();
    let expected = [
        (0, 0, 1, "a,\"1\"".to_owned()),
        (0, 6, 2, "b,\"2".to_owned()),
        (1, 0, 1, "c,\"3\n4\"".to_owned()),
        (1, 8, 3, "d".to_owned()),
    ];
    assert_eq!(got, expected);
}

#[tokio::test]
async fn more_records_than_a_chunk_and_larger_ones_than_a_block_come_whole() {
    let mut log = Vec::new();
    let mut expected = Vec::new();
    for number in 0..3000_usize {
        let length = if number % 1000 == 999 { 3 * BLOCK } else { number % 500 };
        let record = format!("{number},\"{}\n\"", "x".repeat(length));
        log.extend_from_slice(record.as_bytes());
        log.push(b'\n');
        expected.push(record.into_bytes());
    }
    let log = file(&log);
    let records = read(&[log.path()]).await.expect("records");
    let got: Vec<_> = records.into_iter().map(|(_, payload)| payload).collect();
    assert!(got == expected);
}

#[tokio::test]
async fn a_missing_file_is_named_before_anything_is_read() {
    let there = file(b"a\n");
    let missing = there.path().with_extension("missing");
    let error = read(&[there.path(), &missing]).await.expect_err("no such file");
    assert!(error.to_string().contains(&missing.display().to_string()), "{error}");
    let directory = there.path().parent().expect("a directory");
    let error = read(&[directory]).await.expect_err("a directory");
    assert!(matches!(error, FileError::Io { .. }), "{error}");
}

#[tokio::test]
async fn a_pipe_gives_its_records_as_they_come() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&path).status().expect("mkfifo");
    assert!(made.success());
    let mut source = open(&[&path]).expect("a source");
    assert_eq!(source.bytes(), None);
    let mut pipe = fs::OpenOptions::new().write(true).open(&path).expect("the pipe's other end");
    assert!(matches!(source.next().await, Ok(Event::Assigned(_))));
    for record in ["a,\"1\n2\"", "b"] {
        writeln!(pipe, "{record}").expect("written");
        let Ok(Event::Records(chunk)) = source.next().await else { panic!("no records") };
        let payloads: Vec<_> = chunk.iter().map(|(_, payload)| payload).collect();
        assert_eq!(payloads, [record.as_bytes()]);
        assert!(chunk.caught_up);
    }
    drop(pipe);
    assert!(matches!(source.next().await, Ok(Event::End)));
}

#[tokio::test]
async fn the_size_of_all_files_is_known() {
    let (first, second) = (file(b"12345"), file(b"678"));
    let source = open(&[first.path(), second.path()]).expect("a source");
    assert_eq!(source.bytes(), Some(8));
}

#[tokio::test]
async fn a_compressed_file_reads_as_its_text_whatever_its_name() {
    let text = "a,\"1\n2\"\n\nb\n".repeat(10_000);
    let plain = file(text.as_bytes());
    let expected = read(&[plain.path()]).await.expect("records");
    for compression in ALL {
        let packed = file(&pack(compression, text.as_bytes()));
        let got = read(&[packed.path()]).await.expect("records");
        assert!(got == expected, "{compression:?}");
    }
}

#[tokio::test]
async fn what_was_read_of_a_compressed_file_is_counted_as_it_lies_there() {
    let packed = file(&pack(Compression::Gzip, "a record\n".repeat(100_000).as_bytes()));
    let mut source = open(&[packed.path()]).expect("a source");
    let total = source.bytes().expect("no stream");
    let mut bytes = 0;
    loop {
        match source.next().await.expect("records") {
            Event::Records(chunk) => bytes += chunk.read,
            Event::End => break,
            _ => {}
        }
    }
    assert_eq!(bytes, total);
}

#[tokio::test]
async fn of_a_compressed_file_that_was_cut_off_what_is_lost_is_told() {
    let text: String = (0..50_000_u32).map(|n| format!("{:x}\n", n.wrapping_mul(n))).collect();
    for compression in ALL {
        let packed = pack(compression, text.as_bytes());
        let cut = file(&packed[..packed.len() - packed.len() / 3]);
        let mut source = open(&[cut.path()]).expect("a source");
        let mut whole = 0;
        let error = loop {
            match source.next().await {
                Ok(Event::Records(chunk)) => whole += chunk.records.len() as u64,
                Ok(Event::End) => panic!("{compression:?}: nobody was told"),
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        let FileError::Compressed { file, line, .. } = &error else { panic!("{error}") };
        assert_eq!((file.as_path(), *line), (cut.path(), whole + 1), "{compression:?}");
        assert!(error.to_string().contains("is lost"), "{error}");
    }
}

#[test]
fn files_that_begin_alike_are_refused_by_their_names() {
    let record = "2026-11-22 15:23:14.992 UTC,,,27020,,6b030b04.698c,3,,2026-11-22 15:32:20 UTC,,0,\
                  LOG,00000,\"checkpoint\",,,,,,,,,\"\",\"checkpointer\",,0\n";
    let (plain, packed) =
        (file(record.as_bytes()), file(&pack(Compression::Zstd, record.as_bytes())));
    let error = open(&[plain.path(), packed.path()]).expect_err("twice").to_string();
    for path in [plain.path(), packed.path()] {
        assert!(error.contains(&path.display().to_string()), "{error}");
    }
    assert!(error.contains("same records"), "{error}");
}
