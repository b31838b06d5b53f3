use super::*;

const A: u32 = 1;
const B: u32 = 2;

/// A record of a session (by its process id) at a second.
fn record(pid: u32, line: u64, second: i64) -> LogRecord<'static> {
    LogRecord {
        log_time: LogTime { unix_ms: second * 1000, zone_known: true },
        session: SessionId { start: 1, pid },
        line,
        ..LogRecord::default()
    }
}

fn stretch(records: &[(u32, u64, i64)]) -> Stretch {
    let mut stretch = Stretch::default();
    records.iter().for_each(|&(pid, line, second)| stretch.add(&record(pid, line, second)));
    stretch
}

/// A file that is small enough to be known whole.
fn file(records: &[(u32, u64, i64)]) -> FileFacts {
    let head = stretch(records);
    FileFacts { tail: Some(head.clone()), head, stream: false }
}

/// A file whose end is not known.
fn compressed(records: &[(u32, u64, i64)]) -> FileFacts {
    FileFacts { tail: None, ..file(records) }
}

#[track_caller]
fn refused(files: &[FileFacts], first: usize, second: usize, why: Why) {
    assert_eq!(arrange(files), Err(OutOfOrder { first, second, why }));
}

#[test]
fn files_are_read_in_the_order_of_their_first_records() {
    let (fri, thu) = (file(&[(A, 5, 90), (B, 1, 95)]), file(&[(A, 1, 10), (A, 4, 80)]));
    let sat = compressed(&[(A, 9, 200)]);
    let files = [fri.clone(), sat, thu.clone()];
    assert_eq!(arrange(&files), Ok(vec![2, 0, 1]));
    assert_eq!(arrange(&[thu, fri]), Ok(vec![0, 1]));
}

#[test]
fn files_of_one_moment_are_put_in_order_by_the_lines_of_a_session() {
    let (second, first) = (file(&[(A, 5, 10), (B, 1, 10)]), file(&[(A, 1, 10), (A, 4, 10)]));
    assert_eq!(arrange(&[second, first]), Ok(vec![1, 0]));
    // A record may be written a little before one with an earlier time.
    let (second, first) = (file(&[(A, 5, 10)]), file(&[(B, 1, 11), (A, 4, 11)]));
    assert_eq!(arrange(&[second, first]), Ok(vec![1, 0]));
}

#[test]
fn a_file_without_a_record_is_no_obstacle() {
    let (second, first) = (file(&[(A, 5, 90)]), file(&[(A, 1, 10)]));
    let empty = FileFacts::default();
    assert_eq!(arrange(&[empty.clone(), second, empty, first]), Ok(vec![3, 1, 0, 2]));
    assert_eq!(arrange(&[]), Ok(vec![]));
}

#[test]
fn a_stream_among_files_keeps_all_of_them_in_place() {
    let stream = FileFacts { stream: true, ..FileFacts::default() };
    let (first, second) = (file(&[(A, 1, 10)]), file(&[(A, 5, 90)]));
    let in_order = [first.clone(), stream.clone(), second.clone()];
    assert_eq!(arrange(&in_order), Ok(vec![0, 1, 2]));
    refused(&[second, stream, first], 0, 2, Why::Stream);
}

#[test]
fn the_same_log_twice_is_refused_in_whatever_form() {
    let log = file(&[(A, 1, 10), (B, 1, 20), (A, 2, 30)]);
    refused(&[log.clone(), log.clone()], 0, 1, Why::SameRecords);
    let packed = compressed(&[(A, 1, 10), (B, 1, 20), (A, 2, 30)]);
    refused(&[packed, log.clone()], 0, 1, Why::SameRecords);
    // A part of it.
    refused(&[log, file(&[(B, 1, 20)])], 0, 1, Why::SameRecords);
}

#[test]
fn files_that_overlap_in_time_are_refused() {
    let (one, other) = (file(&[(A, 1, 10), (A, 2, 90)]), file(&[(B, 1, 50), (B, 2, 99)]));
    refused(&[other, one], 1, 0, Why::Overlap);
}

#[test]
fn log_times_may_jitter_and_abbreviated_zones_hide_an_hour() {
    let (one, other) = (file(&[(A, 1, 10), (A, 2, 90)]), file(&[(B, 1, 90), (B, 2, 99)]));
    assert_eq!(arrange(&[one, other]), Ok(vec![0, 1]));
    let (mut summer, mut winter) = (file(&[(A, 1, 0), (A, 2, 7200)]), file(&[(B, 1, 3600)]));
    for stretch in [&mut summer.head, &mut winter.head] {
        stretch.first.as_mut().expect("a record").time.zone_known = false;
    }
    assert_eq!(arrange(&[summer, winter]), Ok(vec![0, 1]));
}

#[test]
fn a_last_record_that_a_shipper_repeats_after_a_crash_is_a_repeat_and_more_are_an_overlap() {
    let before = file(&[(A, 1, 10), (A, 2, 40), (A, 3, 40)]);
    let after = file(&[(A, 3, 40), (A, 4, 90)]);
    assert_eq!(arrange(&[after, before.clone()]), Ok(vec![1, 0]));
    let after = file(&[(A, 2, 40), (A, 3, 40), (A, 4, 90)]);
    refused(&[after, before], 1, 0, Why::Overlap);
}

#[test]
fn a_session_whose_lines_run_backwards_is_an_error() {
    let (one, other) = (file(&[(A, 5, 10), (A, 9, 20)]), file(&[(A, 1, 90), (A, 4, 95)]));
    let session = SessionId { start: 1, pid: A };
    refused(&[one, other], 0, 1, Why::Backwards(session));
}

#[test]
fn what_could_not_be_known_before_is_seen_while_reading() {
    let mut watch = FileWatch::default();
    let mut see = |file, (pid, line, second), told, read_in| {
        watch.observe(file, &record(pid, line, second), told, read_in)
    };
    assert_eq!(see(0, (A, 5, 10), Line::Joined, None), None);
    assert_eq!(see(0, (B, 1, 60), Line::Next, None), None);
    // One repeat says nothing; another does, and so does the first record that is none.
    assert_eq!(see(1, (B, 1, 60), Line::Repeat, Some(0)), None);
    let overlap = OutOfOrder { first: 0, second: 1, why: Why::Overlap };
    assert_eq!(see(1, (A, 5, 10), Line::Repeat, Some(0)), Some(overlap));
    assert_eq!(see(1, (3, 1, 50), Line::Next, None), Some(overlap));
    assert_eq!(see(1, (3, 2, 51), Line::Next, Some(1)), None);
    let why = Why::Backwards(SessionId { start: 1, pid: A });
    let backwards = OutOfOrder { first: 0, second: 1, why };
    assert_eq!(see(1, (A, 2, 70), Line::Early, Some(0)), Some(backwards));
    // An earlier file stays in mind across one with older records alone.
    let overlap = OutOfOrder { first: 1, second: 3, why: Why::Overlap };
    assert_eq!(see(3, (4, 1, 55), Line::Joined, None), Some(overlap));
}
