use super::*;

#[test]
fn a_dead_letter_keeps_the_payload_byte_by_byte() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dead.csv");
    let payload = b"a \"quote\",\xff\r\nline";
    for _ in 0..2 {
        let mut letters = DeadLetters::to_file(&path).unwrap();
        letters.put(3, 7, 0, "torn", "the record is torn", payload);
    }
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_path(&path).unwrap();
    let records: Vec<csv::ByteRecord> = reader.byte_records().map(Result::unwrap).collect();
    assert_eq!(records.len(), 2, "a second run appends");
    assert_eq!(&records[0][5], payload);
    assert_eq!(&records[0][1], b"7");
}

#[test]
fn a_file_that_cannot_be_opened_is_named() {
    let error = DeadLetters::to_file(Path::new("/nonexistent/dead.csv")).err().unwrap();
    assert!(error.to_string().starts_with("--dead-letter /nonexistent/dead.csv: "), "{error}");
}
