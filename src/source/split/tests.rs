use proptest::prelude::*;

use super::*;

/// Cuts `log` when it is read in blocks of these sizes (the last one again and again).
fn split(log: &[u8], blocks: &[usize]) -> Vec<Record> {
    let mut splitter = Splitter::default();
    let mut blocks =
        blocks.iter().copied().chain(std::iter::repeat(blocks.last().copied().unwrap_or(1)));
    let (mut start, mut read, mut line) = (0, 0, 1);
    let mut records = Vec::new();
    loop {
        let last = read == log.len();
        while let Some(piece) = splitter.next(&log[start..read], last) {
            if !piece.payload.is_empty() {
                let payload = log[start..][piece.payload.clone()].to_vec();
                records.push(Record { offset: start, line, payload });
            }
            start += piece.length;
            line += piece.lines;
        }
        if last {
            assert_eq!(start, log.len(), "every byte is in a piece");
            let newlines = log.iter().filter(|byte| **byte == b'\n').count() as u64;
            assert_eq!(line, 1 + newlines, "every line is counted");
            return records;
        }
        read = (read + blocks.next().expect("endless").max(1)).min(log.len());
    }
}

#[derive(Clone, PartialEq, Eq)]
struct Record {
    offset: usize,
    line: u64,
    payload: Vec<u8>,
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let payload = String::from_utf8_lossy(&self.payload);
        write!(f, "{}:{} {payload:?}", self.offset, self.line)
    }
}

fn payloads(log: &str) -> Vec<String> {
    let all = split(log.as_bytes(), &[usize::MAX / 2]);
    all.into_iter().map(|record| String::from_utf8(record.payload).expect("UTF-8")).collect()
}

/// A record of PostgreSQL 15 whose message is `message`.
fn record(message: &str) -> String {
    format!(
        "2026-11-22 15:23:14.992 UTC,\"postgres\",\"app\",11971,\"127.0.0.1:58916\",6b0308e2.2ec3,8,\
         \"INSERT\",2026-11-22 15:23:14 UTC,3/0,0,LOG,00000,\"{}\",,,,,,,,,\"psql\",\
         \"client backend\",,-8",
        message.replace('"', "\"\"")
    )
}

/// A record of a background process: nothing but the message is quoted.
fn background(message: &str) -> String {
    format!(
        "2026-11-22 15:23:14.992 -03,,,27020,,6b030b04.698c,3,,2026-11-22 15:32:20 -03,,0,LOG,00000,\
         \"{}\",,,,,,,,,\"\",\"checkpointer\",,0",
        message.replace('"', "\"\"")
    )
}

#[test]
fn a_record_ends_at_a_newline_outside_quotes() {
    let records =
        [record("one"), record("two\nlines\r\n\n"), record("a \"quoted\nname\""), record("x")];
    assert_eq!(payloads(&(records.join("\n") + "\n")), records);
}

#[test]
fn a_last_record_without_a_newline_is_complete() {
    let records = [record("one"), record("two")];
    assert_eq!(payloads(&records.join("\n")), records);
}

#[test]
fn a_cr_before_the_line_feed_that_ends_a_record_stays_with_it() {
    let records = [record("one\r\ntwo\r"), record("three"), record("four\n")];
    let log = format!("{}\r\n{}\r\n{}\n", records[0], records[1], records[2]);
    let expected = [records[0].clone() + "\r\n", records[1].clone() + "\r\n", records[2].clone()];
    for block in [1, 2, 3, 7, 1000] {
        let got = split(log.as_bytes(), &[block]);
        let got: Vec<_> = got.iter().map(|it| String::from_utf8_lossy(&it.payload)).collect();
        assert_eq!(got, expected, "{block}");
    }
}

#[test]
fn a_byte_order_mark_does_not_make_csv_of_json() {
    let log = "\u{feff}{\"a\":\"\\\"\"}\n{\"b\":1}\n";
    assert_eq!(payloads(log), ["\u{feff}{\"a\":\"\\\"\"}", "{\"b\":1}"]);
}

#[test]
fn a_byte_order_mark_is_none_of_the_text_however_much_of_it_is_read_at_once() {
    for log in [
        "\u{feff}{\"a\":\"\\\"\"}\n{\"b\":1}\n",
        "\u{feff} \n\n\u{feff}{\"a\":\"\\\"\"}\n{\"b\":1}\n",
    ] {
        for block in 1..8 {
            assert_eq!(split(log.as_bytes(), &[block]).len(), 2, "{log:?} by {block}");
        }
    }
    assert_eq!(split(b"\xef\xbb", &[1]).len(), 1, "less than a mark is text");
}

#[test]
fn blank_lines_are_passed_over_and_counted() {
    let log = format!("\n \n{}\n\n\n{}\n\n", record("one"), record("two"));
    let lines: Vec<_> = split(log.as_bytes(), &[7]).iter().map(|record| record.line).collect();
    assert_eq!(lines, [3, 6]);
}

#[test]
fn nothing_but_blanks_holds_no_record() {
    for log in ["", " ", "\n", "\n \n  "] {
        assert_eq!(payloads(log), [""; 0]);
    }
}

#[test]
fn each_line_of_a_json_log_is_a_record_whatever_its_quotes() {
    let log = "\n {\"a\":\"\\\"\"}\n{\"b\":1}\r\n\n{\"c\":";
    assert_eq!(payloads(log), [" {\"a\":\"\\\"\"}", "{\"b\":1}\r\n", "{\"c\":"]);
}

#[test]
fn offsets_are_bytes_and_lines_count_from_one() {
    let log = format!("{}\n{}\n{}\n", record("é\nb"), record("two"), record("three"));
    let got = split(log.as_bytes(), &[13]);
    let first = record("é\nb").len() + 1;
    let second = first + record("two").len() + 1;
    assert_eq!(got.iter().map(|it| it.offset).collect::<Vec<_>>(), [0, first, second]);
    assert_eq!(got.iter().map(|it| it.line).collect::<Vec<_>>(), [1, 3, 4]);
}

#[test]
fn a_statement_that_quotes_a_log_is_one_record() {
    let logs = [record("statement: select 1"), background("checkpoint"), record("with\n\"more\"")];
    for quoted in [logs.join("\n"), logs.join("\r\n") + "\n", format!("\n{}", logs[1])] {
        let outer = record(&format!("statement: insert into notes values ('\n{quoted}\n')"));
        assert_eq!(payloads(&format!("{outer}\n{outer}\n")), [outer.clone(), outer]);
    }
}

#[test]
fn a_statement_that_ends_like_the_first_columns_of_a_record_is_one_record() {
    let start = "\n2026-11-22 15:32:20.435 UTC,,,27020,,6b030b04.698c,3,,2026-11-22 15:32:20 UTC,,0,LOG,00000,";
    let record = record(&format!("statement: select 1 --{start}"));
    assert_eq!(payloads(&format!("{record}\n{record}")), [record.clone(), record]);
}

#[test]
fn a_torn_record_does_not_swallow_the_ones_that_follow() {
    let torn = |message: &str| record(message).split_at(record(message).len() - 70).0.to_owned();
    for torn in
        [torn(&"insert ".repeat(20)), torn(&"a line\n".repeat(20)), torn(&"\"q\"\n".repeat(20))]
    {
        assert_eq!(torn.matches('"').count() % 2, 1, "torn inside quotes");
        let follow = [record("two\n\"lines\""), background("x"), record("y")];
        for next in &follow {
            let log = format!("{}\n{torn}\n{next}\n{}\n", record("before"), record("after"));
            let expected = [record("before"), torn.clone(), next.clone(), record("after")];
            assert_eq!(
                payloads(&log).iter().map(|it| it.trim_end().to_owned()).collect::<Vec<_>>(),
                expected.map(|it| it.trim_end().to_owned())
            );
        }
    }
}

#[test]
fn a_record_torn_in_its_first_columns_is_one_line() {
    for length in [3, 27, 40, 60, 90] {
        let torn = record("x").split_at(length).0.to_owned();
        let log = format!("{torn}\n{}\n{}", record("next\nline"), record("last"));
        assert_eq!(payloads(&log), [torn, record("next\nline"), record("last")]);
    }
}

#[test]
fn a_record_torn_at_the_end_of_the_file_is_handed_on_as_it_is() {
    let whole = record("insert into t values ('a\nb\nc')");
    let torn = whole.split_at(whole.len() - 50).0.to_owned();
    let log = format!("{}\n{torn}", record("before"));
    assert_eq!(payloads(&log), [record("before"), torn]);
}

#[test]
fn a_log_that_begins_inside_a_record_is_found_into() {
    let cut = "and so on\nuntil here\",,,,,,,,,\"psql\",\"client backend\",,-8";
    let log = format!("{cut}\n{}\n{}", record("one\ntwo"), record("three"));
    let got = payloads(&log);
    assert_eq!(got[got.len() - 2..], [record("one\ntwo"), record("three")]);
}

#[test]
fn the_start_of_a_record_is_known_in_every_zone_and_for_every_kind_of_user() {
    let line = record("x");
    for zone in ["UTC", "-03", "+0530", "IST", "CEST"] {
        assert!(begins_like_record(line.replacen("UTC", zone, 1).as_bytes()), "{zone}");
    }
    for user in ["\"we,ird\"", "\"quo\"\"ted\"", ""] {
        assert!(begins_like_record(line.replacen("\"postgres\"", user, 1).as_bytes()), "{user}");
    }
    assert!(begins_like_record(background("x").as_bytes()));
    let not = ["", "2026", "2026-11-22 15:23:14.992 UTC,", "statement: select 1"];
    for line in not {
        assert!(!begins_like_record(line.as_bytes()), "{line}");
    }
    for length in 0..line.find("\"x").expect("the message") + 1 {
        assert!(!begins_like_record(&line.as_bytes()[..length]), "{length}");
    }
}

/// Messages with everything that could confuse a splitter.
fn message() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("\n".to_owned()),
        Just("\r\n".to_owned()),
        Just("\"".to_owned()),
        Just("\"\"".to_owned()),
        Just(",".to_owned()),
        Just("{".to_owned()),
        "[a-z ']{0,20}",
        Just(format!("\n{}\n", record("forged"))),
        Just(format!("\n{}", background("forged"))),
        Just(record("nested").replace('"', "\"\"")),
    ];
    prop::collection::vec(part, 0..8).prop_map(|parts| format!("duration: {}", parts.concat()))
}

proptest! {
    #[test]
    fn records_are_the_same_however_the_file_was_read(
        messages in prop::collection::vec(message(), 1..8),
        blocks in prop::collection::vec(1_usize..300, 1..20),
        newline in any::<bool>(),
    ) {
        let records: Vec<String> = messages.iter().map(|message| record(message)).collect();
        let log = records.join("\n") + if newline { "\n" } else { "" };
        let got = split(log.as_bytes(), &blocks);
        let texts: Vec<String> =
            got.iter().map(|it| String::from_utf8_lossy(&it.payload).into_owned()).collect();
        prop_assert_eq!(texts, records);
    }

    #[test]
    fn damaged_logs_too_are_cut_the_same_however_they_were_read(
        messages in prop::collection::vec(message(), 1..8),
        blocks in prop::collection::vec(1_usize..300, 1..20),
        cut in any::<prop::sample::Index>(),
        removed in 0_usize..200,
    ) {
        let mut log = messages.iter().map(|it| record(it) + "\n").collect::<String>().into_bytes();
        let from = cut.index(log.len());
        let to = (from + removed).min(log.len());
        log.drain(from..to);
        prop_assert_eq!(split(&log, &blocks), split(&log, &[log.len().max(1)]));
    }

    /// What is torn costs itself and at most the record that its rest runs into.
    #[test]
    fn a_cut_costs_two_records_at_most(
        before in prop::collection::vec(message(), 0..4),
        torn in message(),
        after in prop::collection::vec(message(), 1..5),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut log: String = before.iter().map(|it| record(it) + "\n").collect();
        let torn = record(&torn);
        let mut length = cut.index(torn.len());
        while !torn.is_char_boundary(length) { length -= 1; }
        log += &torn[..length];
        log += "\n";
        let after: Vec<String> = after.iter().map(|message| record(message)).collect();
        log += &(after.join("\n") + "\n");
        let got = split(log.as_bytes(), &[usize::MAX / 2]);
        let texts: Vec<String> =
            got.iter().map(|it| String::from_utf8_lossy(&it.payload).into_owned()).collect();
        for record in &after {
            prop_assert!(texts.contains(record), "{:?} lost", record);
        }
    }
}
