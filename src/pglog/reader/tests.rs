use proptest::prelude::*;

use super::*;
use crate::pglog::record::{LogPlace, LogTime, SessionId, Severity, SqlState};
use crate::pglog::{Encoding, message};

const PG12: &str = "2026-11-22 15:32:20.435 UTC,\"postgres\",\"app\",27020,\"127.0.0.1:39744\",\
    6b030b04.698c,17,\"BEGIN\",2026-11-22 15:32:20 UTC,3/34,0,LOG,00000,\
    \"duration: 0.017 ms  statement: begin;\",,,,,,,,,\"psql\"";

const PG15: &str = "2026-11-22 15:23:26.907 UTC,\"app\",\"app\",12,\"[local]\",6b0308ee.c,97,\
    \"INSERT\",2026-11-22 15:23:26 UTC,3/38,751,ERROR,23505,\"duplicate key \"\"acc_pkey\"\"\",\
    \"Key (i)=(1)\nalready exists.\",,,,,\"insert into acc\nvalues(1,'\"\"')\",,,\"s1\",\
    \"client backend\",77,-2366225642583273476\n";

fn reader() -> RecordReader {
    RecordReader::new(Format::Auto, Encodings::default())
}

fn latin1_reader() -> RecordReader {
    let latin1 = Encoding::from_postgres_name("LATIN1").unwrap();
    RecordReader::new(Format::Auto, [("old".to_owned(), latin1)].into_iter().collect())
}

/// What a payload reads as, away from the reader's buffers.
fn read(payload: impl AsRef<[u8]>) -> Result<LogRecord<'static>, Malformed> {
    read_with(&mut reader(), payload)
}

fn read_with(
    reader: &mut RecordReader,
    payload: impl AsRef<[u8]>,
) -> Result<LogRecord<'static>, Malformed> {
    reader.read(payload.as_ref()).map(owned)
}

fn owned(record: LogRecord<'_>) -> LogRecord<'static> {
    fn text(text: Cow<'_, str>) -> Cow<'static, str> {
        Cow::Owned(text.into_owned())
    }
    LogRecord {
        user: text(record.user),
        database: text(record.database),
        command_tag: text(record.command_tag),
        virtual_transaction: text(record.virtual_transaction),
        message: text(record.message),
        detail: text(record.detail),
        context: text(record.context),
        query: text(record.query),
        application_name: text(record.application_name),
        backend_type: text(record.backend_type),
        log_time: record.log_time,
        session: record.session,
        line: record.line,
        transaction: record.transaction,
        severity: record.severity,
        sqlstate: record.sqlstate,
        cut_duration_ms: record.cut_duration_ms,
        place: record.place.map(|LogPlace { file, offset }| LogPlace { file: text(file), offset }),
    }
}

fn reason(payload: impl AsRef<[u8]>) -> &'static str {
    read(payload).unwrap_err().reason()
}

/// A record of PostgreSQL 15 in this database, with this message.
fn csv_of(database: &[u8], message: &[u8]) -> Vec<u8> {
    let mut record = b"2026-11-22 15:23:26.907 UTC,\"app\",\"".to_vec();
    record.extend_from_slice(database);
    record.extend_from_slice(
        b"\",12,\"[local]\",6b0308ee.c,97,\"SELECT\",2026-11-22 15:23:26 UTC,3/38,0,LOG,00000,\"",
    );
    record.extend_from_slice(message);
    record.extend_from_slice(b"\",,,,,,,,,\"psql\",\"client backend\",,0");
    record
}

/// msgpack: a map of str keys to values that are msgpack already.
fn msgpack_map(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = vec![0xde, 0, entries.len() as u8];
    for (key, value) in entries {
        bytes.extend(msgpack_str(key.as_bytes()));
        bytes.extend_from_slice(value);
    }
    bytes
}

fn msgpack_str(text: &[u8]) -> Vec<u8> {
    [&[0xda][..], &(text.len() as u16).to_be_bytes(), text].concat()
}

fn msgpack_bin(bytes: &[u8]) -> Vec<u8> {
    [&[0xc5][..], &(bytes.len() as u16).to_be_bytes(), bytes].concat()
}

/// Each line feed as a server on Windows writes it.
fn in_text_mode(log: &str) -> String {
    log.replace('\n', "\r\n")
}

#[test]
fn a_record_that_ends_in_cr_lf_reads_as_the_one_with_line_feeds_alone() {
    assert_eq!(read(in_text_mode(PG15)), read(PG15));
    let crlf_of_the_client = PG15.replace("insert into acc\n", "insert into acc\r\n");
    assert_eq!(read(in_text_mode(&crlf_of_the_client)), read(&crlf_of_the_client));
    assert!(read(&crlf_of_the_client).unwrap().query.contains("acc\r\nvalues"));
    let enveloped = serde_json::json!({ "message": in_text_mode(PG15) }).to_string();
    assert_eq!(read(enveloped + "\r\n"), read(PG15));
}

#[test]
fn a_record_of_another_encoding_loses_the_crs_of_the_log_too() {
    let record = PG15.replace("\"app\",\"app\"", "\"app\",\"old\"");
    let latin1 = |text: &str| {
        text.replace("already", "d\u{e9}j\u{e0}")
            .chars()
            .map(|char| u8::try_from(u32::from(char)).unwrap())
            .collect::<Vec<u8>>()
    };
    let read = |text: &str| read_with(&mut latin1_reader(), latin1(text));
    assert_eq!(read(&in_text_mode(&record)), read(&record));
    assert!(read(&record).unwrap().detail.contains("\nd\u{e9}j\u{e0}"));
}

#[test]
fn a_header_is_no_damage_and_a_record_may_follow_a_byte_order_mark() {
    let header = "\u{feff}log_time,user_name,database_name,process_id,connection_from,session_id,\
        session_line_num,command_tag,session_start_time,virtual_transaction_id,transaction_id,\
        error_severity,sql_state_code,message,detail,hint,internal_query,internal_query_pos,\
        context,query,query_pos,location,application_name\r\n";
    assert_eq!(read(header), Err(Malformed::Header));
    assert_eq!(read(format!("\u{feff}{PG15}")), read(PG15));
}

#[test]
fn a_record_that_was_exported_from_a_table_reads_as_the_logged_one() {
    // As COPY postgres_log TO … (FORMAT csv) writes it: the zone as a number, quotes where needed.
    let exported = PG12.replace("20.435 UTC,", "20.435+00,").replace(":20 UTC", ":20+00");
    let exported = exported.replace("\"postgres\",\"app\"", "postgres,app");
    assert_eq!(read(exported), read(PG12));
}

#[test]
fn a_csvlog_record_is_read_column_by_column() {
    let expected = LogRecord {
        log_time: LogTime { unix_ms: 1_795_361_006_907, zone_known: true },
        user: "app".into(),
        database: "app".into(),
        session: SessionId { start: 0x6b03_08ee, pid: 12 },
        line: 97,
        command_tag: "INSERT".into(),
        virtual_transaction: "3/38".into(),
        transaction: 751,
        severity: Severity::Error,
        sqlstate: SqlState(*b"23505"),
        message: "duplicate key \"acc_pkey\"".into(),
        detail: "Key (i)=(1)\nalready exists.".into(),
        context: "".into(),
        query: "insert into acc\nvalues(1,'\"')".into(),
        application_name: "s1".into(),
        backend_type: "client backend".into(),
        cut_duration_ms: None,
        place: None,
    };
    assert_eq!(read(PG15), Ok(expected));
}

#[test]
fn every_versions_columns_are_read() {
    let before_9_0 = PG12.strip_suffix(",\"psql\"").unwrap();
    let pg13 = format!("{PG12},\"client backend\"");
    let pg14 = format!("{pg13},,3422818749220588372");
    for (payload, application_name, backend_type) in [
        (before_9_0, "", ""),
        (PG12, "psql", ""),
        (&pg13, "psql", "client backend"),
        (&pg14, "psql", "client backend"),
    ] {
        let record = read(payload).unwrap();
        assert_eq!(record.message, "duration: 0.017 ms  statement: begin;");
        assert_eq!(record.application_name, application_name);
        assert_eq!(record.backend_type, backend_type);
    }
    let pg99 = format!("{pg14},new");
    assert_eq!(read(pg99), Err(Malformed::ColumnCount { columns: 27 }));
    assert_eq!(reason("2026-11-22 15:32:20.435 UTC,\"postgres\",\"app\""), "column_count");
}

#[test]
fn line_ends_after_a_record_do_not_matter() {
    let record = read(PG12).unwrap();
    for end in ["\n", "\r\n", "\r", "\n\n"] {
        assert_eq!(read(format!("{PG12}{end}")).as_ref(), Ok(&record), "{end:?}");
    }
}

#[test]
fn a_reader_keeps_nothing_of_the_record_before() {
    let mut reader = reader();
    let first = read_with(&mut reader, PG12).unwrap();
    reader.read(PG15.as_bytes()).unwrap();
    reader.read(b"2026-11-22 15:32:20.435 UTC,\"torn").unwrap_err();
    assert_eq!(read_with(&mut reader, PG12), Ok(first));
}

#[test]
fn the_first_half_of_a_record_is_named_torn() {
    let cut = PG15.find("\nalready").unwrap();
    assert_eq!(read(&PG15[..cut]), Err(Malformed::Torn { column: 15, bytes: cut }));
    let long = csv_of(b"app", "x".repeat(9000).as_bytes());
    let error = read(&long[..8096]).unwrap_err();
    assert!(error.to_string().contains("maxMessageSize"), "{error}");
}

#[test]
fn the_other_half_of_a_record_is_named_so() {
    let cut = PG15.find("already").unwrap();
    assert_eq!(reason(&PG15[cut..]), "continuation_fragment");
    assert_eq!(reason("LOG:  statement: select 1"), "continuation_fragment");
}

#[test]
fn a_forged_record_inside_a_statement_never_reads_when_a_shipper_splits_there() {
    // With the end of the genuine record behind it, the second line has 26 columns.
    let forged = "2026-11-22 15:32:20.435 UTC,\"u\",\"app\",1,,6b0.1,1,,,3/0,0,LOG,00000,\
        statement: drop table t; --";
    let statement = format!("statement: select '\n{forged}');");
    let whole = csv_of(b"app", statement.replace('"', "\"\"").as_bytes());
    assert_eq!(read(&whole).unwrap().message, statement);
    let cut = whole.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    let (first, second) = whole.split_at(cut);
    assert_eq!(reason(first), "torn");
    assert_eq!(reason(second), "stray_quote");
    assert!(read(second).unwrap_err().remedy().unwrap().contains("jsonlog"));
}

#[test]
fn two_records_in_one_payload_are_refused() {
    assert_eq!(reason(format!("{PG12}\n{PG12}")), "more_than_one");
    let object = r#"{"session_id":"1.1","log_time":"2026-11-22 15:32:20 UTC","message":""}"#;
    assert!(read(object).is_ok());
    assert_eq!(reason(format!("{object}\n{object}")), "more_than_one");
    let map = msgpack_map(&[("session_id", msgpack_str(b"1.1"))]);
    assert_eq!(reason([&map[..], &map[..]].concat()), "more_than_one");
}

#[test]
fn nothing_is_empty() {
    for payload in ["", "\n", " \r\n"] {
        assert_eq!(read(payload), Err(Malformed::Empty));
    }
}

#[test]
fn a_time_or_a_session_that_is_none_is_refused() {
    assert_eq!(
        read(PG12.replace("2026-11-22 15:32:20.435", "2026-11-22 99:32:20.435")),
        Err(Malformed::Time { given: true })
    );
    assert_eq!(
        read(PG12.replace("6b030b04.698c", "nothing")),
        Err(Malformed::Session { given: true })
    );
    assert_eq!(
        read(r#"{"timestamp":"2026-11-22 15:23:26.907 UTC","error_severity":"LOG"}"#),
        Err(Malformed::Session { given: false })
    );
    assert_eq!(read(r#"{"session_id":"1.1"}"#), Err(Malformed::Time { given: false }));
}

#[test]
fn csvlog_columns_come_as_json_with_numbers_or_strings() {
    let json = r#"{"log_time":"2026-11-22 15:23:26.907 UTC","user_name":"app",
        "database_name":"app","process_id":"12","connection_from":"[local]",
        "session_id":"6b0308ee.c","session_line_num":"97","command_tag":"INSERT",
        "session_start_time":"2026-11-22 15:23:26 UTC","virtual_transaction_id":"3/38",
        "transaction_id":751,"error_severity":"ERROR","sql_state_code":23505,
        "message":"duplicate key \"acc_pkey\"","detail":"Key (i)=(1)\nalready exists.",
        "hint":null,"context":null,"query":"insert into acc\nvalues(1,'\"')",
        "application_name":"s1","backend_type":"client backend","leader_pid":77,
        "query_id":-2366225642583273476,"tag":"pg.log","kubernetes":{"pod":["a",{"b":1}]}}"#;
    assert_eq!(read(json), read(PG15));
}

#[test]
fn jsonlog_keys_are_read_and_success_need_not_be_said() {
    let record = read(
        r#"{"timestamp":"2026-11-22 15:23:26.907 UTC","user":"app","dbname":"app","pid":12,
        "session_id":"6b0308ee.c","line_num":97,"ps":"INSERT","vxid":"3/38","txid":751,
        "error_severity":"ERROR","state_code":"23505","message":"duplicate key \"acc_pkey\"",
        "detail":"Key (i)=(1)\nalready exists.","statement":"insert into acc\nvalues(1,'\"')",
        "application_name":"s1","backend_type":"client backend","leader_pid":77}"#,
    );
    assert_eq!(record, read(PG15));
    let silent = r#"{"timestamp":"2026-11-22 15:23:26 UTC","session_id":"1.1",
        "error_severity":"LOG","message":"x"}"#;
    assert_eq!(read(silent).unwrap().sqlstate, SqlState::SUCCESS);
}

#[test]
fn the_seeds_own_records_get_their_message_back() {
    let seed = |duration: &str| {
        format!(
            r#"{{"log_time":"2026-11-22 15:23:26.907 UTC","user_name":"app",
            "database_name":"app","session_id":"6b0308ee.c","session_line_num":"3",
            "sql_state_code":"00000","statement":"select \"\"a\"\" from t"{duration}}}"#
        )
    };
    for (duration, expected) in
        [(r#","duration":"0.190""#, Some(0.19)), (r#","duration":2"#, Some(2.0)), ("", None)]
    {
        let record = read(seed(duration)).unwrap();
        assert_eq!(record.severity, Severity::Log);
        assert_eq!(record.cut_duration_ms, expected);
        assert_eq!(
            message::read_message(&record.message).event,
            message::LogEvent::Statement("select \"a\" from t")
        );
    }
    let failed = read(seed("").replace("00000", "42601")).unwrap();
    assert_eq!((failed.severity, &*failed.query), (Severity::Error, "select \"a\" from t"));
}

#[test]
fn fluentds_msgpack_is_read_as_str_or_bin() {
    let entries = |value: fn(&[u8]) -> Vec<u8>| {
        let mut entries: Vec<(&str, Vec<u8>)> = [
            ("log_time", "2026-11-22 15:23:26.907 UTC"),
            ("user_name", "app"),
            ("database_name", "app"),
            ("session_id", "6b0308ee.c"),
            ("command_tag", "INSERT"),
            ("virtual_transaction_id", "3/38"),
            ("error_severity", "ERROR"),
            ("sql_state_code", "23505"),
            ("message", "duplicate key \"acc_pkey\""),
            ("detail", "Key (i)=(1)\nalready exists."),
            ("query", "insert into acc\nvalues(1,'\"')"),
            ("application_name", "s1"),
            ("backend_type", "client backend"),
        ]
        .map(|(key, text)| (key, value(text.as_bytes())))
        .to_vec();
        entries.push(("session_line_num", vec![97]));
        entries.push(("transaction_id", vec![0xcd, 0x02, 0xef]));
        entries.push(("leader_pid", msgpack_str(b"77")));
        entries.push(("context", vec![0xc0]));
        msgpack_map(&entries)
    };
    assert_eq!(read(entries(msgpack_str)), read(PG15));
    assert_eq!(read(entries(msgpack_bin)), read(PG15));
    // fluentd's event: [EventTime, record]; fluent-bit's: [[EventTime, {}], record].
    let event_time = [0xd7, 0, 0, 0, 0, 1, 0, 0, 0, 0];
    let event = [&[0x92][..], &event_time, &entries(msgpack_str)].concat();
    assert_eq!(read(event), read(PG15));
    let event = [&[0x92, 0x92][..], &event_time, &[0x80], &entries(msgpack_str)].concat();
    assert_eq!(read(event), read(PG15));
}

#[test]
fn an_events_time_serves_where_the_shipper_took_log_time_away() {
    let record = msgpack_map(&[("session_id", msgpack_str(b"1.1"))]);
    let event_time = [0xd7, 0, 0, 0, 0, 1, 0x1d, 0xcd, 0x65, 0x00];
    let record = read([&[0x92][..], &event_time, &record].concat()).unwrap();
    assert_eq!(record.log_time.unix_ms, 1_500);
    let record = read(r#"{"session_id":"1.1","@timestamp":"1970-01-01T00:00:01.5Z"}"#).unwrap();
    assert_eq!(record.log_time.unix_ms, 1_500);
}

#[test]
fn a_record_is_taken_out_of_its_envelope() {
    let json_string = serde_json::to_string(PG15).unwrap();
    let expected = read(PG15);
    for envelope in [
        // Filebeat, Vector, fluent-bit.
        format!(
            r#"{{"@timestamp":"2026-11-22T15:23:27Z","log":{{"offset":7}},"message":{json_string}}}"#
        ),
        format!(r#"{{"host":"h","msg":{json_string}}}"#),
        format!(r#"{{"log":{json_string},"stream":"stderr"}}"#),
        format!(r#"[1795361006.907,{{"log":{json_string}}}]"#),
        json_string.clone(),
        format!(r#"{{"log":{{"message":{json_string}}}}}"#),
        serde_json::json!({ "message": format!(r#"{{"message":{json_string}}}"#) }).to_string(),
    ] {
        assert_eq!(read(&envelope), expected, "{envelope}");
    }
    assert_eq!(read(msgpack_str(PG15.as_bytes())), expected);
    assert_eq!(read(msgpack_bin(PG15.as_bytes())), expected);
    assert_eq!(read(msgpack_map(&[("log", msgpack_bin(PG15.as_bytes()))])), expected);
}

#[test]
fn an_envelope_says_where_the_record_was_read() {
    let message = serde_json::to_string(PG15).unwrap();
    let place = |file: &'static str, offset| Some(LogPlace { file: file.into(), offset });
    let cases = [
        (r#""kreplay.pos":12"#, place("", 12)),
        (r#""kreplay.pos":"12""#, place("", 12)),
        (r#""kreplay.pos":"/log/a\\b:c.csv:12""#, place(r"/log/a\b:c.csv", 12)),
        (r#""kreplay.pos":"twelve""#, None),
        (r#""kreplay.pos":"/log/a.csv:-1""#, None),
        // Filebeat.
        (r#""log":{"offset":7,"file":{"path":"/log/a.csv","inode":"9"}}"#, place("/log/a.csv", 7)),
        (r#""log":{"offset":7}"#, None),
        (r#""offset":7"#, None),
    ];
    for (fields, expected) in cases {
        let read = read(format!(r#"{{{fields},"message":{message}}}"#)).unwrap();
        assert_eq!(read.place, expected, "{fields}");
        assert_eq!(LogRecord { place: None, ..read }, self::read(PG15).unwrap());
    }
}

#[test]
fn envelopes_are_opened_three_deep_and_no_deeper() {
    let mut payload = PG12.to_owned();
    for _ in 0..MAX_ENVELOPES {
        payload = serde_json::json!({ "message": payload }).to_string();
        assert!(read(&payload).is_ok());
    }
    payload = serde_json::json!({ "message": payload }).to_string();
    assert_eq!(read(&payload), Err(Malformed::TooManyEnvelopes { limit: MAX_ENVELOPES }));
    assert!(read(format!("{}1{}", "{\"log\":".repeat(60), "}".repeat(60))).is_err());
    assert!(read([[0x81, 0xa3, b'l', b'o', b'g']; 5000].concat()).is_err());
    assert!(read([0x91; 5000]).is_err());
}

#[test]
fn an_object_that_is_no_record_is_named_by_its_keys_alone() {
    let error = read(r#"{"level":"hunter2","ts":1,"a\nb":2,"c":3}"#).unwrap_err();
    assert_eq!(error, Malformed::NotALogRecord { keys: "level, ts, a\\nb".to_owned() });
    assert!(!error.to_string().contains("hunter2"));
    assert_eq!(reason("[1,2]"), "not_a_log_record");
    assert_eq!(reason(r#"{"message":{"a":1}}"#), "not_a_log_record");
    assert_eq!(reason(r#"{"message":"hello"}"#), "continuation_fragment");
}

#[test]
fn json_and_msgpack_that_end_early_or_are_none_say_so() {
    assert!(matches!(read("{\"a\":\"b"), Err(Malformed::Json { cut_off: true, .. })));
    assert!(matches!(read("{\"a\" 1}"), Err(Malformed::Json { cut_off: false, .. })));
    assert_eq!(read([0x82, 0xa1, b'a', 0xa1]), Err(Malformed::Msgpack { cut_off: true }));
    assert_eq!(read([0x81, 0xa1, b'a', 0xc1]), Err(Malformed::Msgpack { cut_off: false }));
}

#[test]
fn a_latin1_database_is_read_as_latin1_even_where_it_could_be_utf8() {
    let mut reader = latin1_reader();
    let record = read_with(&mut reader, csv_of(b"old", b"statement: select '\xe9'")).unwrap();
    assert_eq!(record.message, "statement: select 'é'");
    let record =
        read_with(&mut reader, csv_of(b"old", b"statement: select \"\"\xc3\xa9\"\"")).unwrap();
    assert_eq!(record.message, "statement: select \"Ã©\"");
    let record = read_with(&mut reader, csv_of(b"app", b"statement: select '\xc3\xa9'")).unwrap();
    assert_eq!(record.message, "statement: select 'é'");
}

#[test]
fn bytes_that_are_not_of_the_databases_encoding_are_refused_where_they_matter() {
    let undecodable = Malformed::Undecodable { column: "message", encoding: "UTF8" };
    assert_eq!(read(csv_of(b"app", b"statement: select '\xe9'")), Err(undecodable));
    // A user's name only matters to the eye, and the postmaster's records have no database.
    let mut record = csv_of(b"app", b"statement: select 1");
    record[29..32].copy_from_slice(b"\xe9pp");
    assert_eq!(read(&record).unwrap().user, "\u{fffd}pp");
    assert_eq!(read(csv_of(b"", b"running: \xe9")).unwrap().message, "running: \u{fffd}");
}

fn jsonlog_of(database: &str, message: &[u8]) -> Vec<u8> {
    let head = format!(
        "{{\"timestamp\":\"2026-11-22 15:23:26.907 UTC\",\"dbname\":\"{database}\",\
         \"session_id\":\"6b0308ee.c\",\"error_severity\":\"LOG\",\"message\":\""
    );
    [head.as_bytes(), message, b"\"}"].concat()
}

#[test]
fn jsonlog_holds_each_databases_bytes_too() {
    let mut reader = latin1_reader();
    for (bytes, text) in [(&b"\xe9\\n\\u0001"[..], "é\n\u{1}"), (b"\xc3\xa9", "Ã©")] {
        let record = read_with(&mut reader, jsonlog_of("old", bytes)).unwrap();
        assert_eq!(record.message, text);
    }
    // Valid beside invalid UTF-8: of a database whose encoding is not known to the reader.
    let error = read_with(&mut reader, jsonlog_of("app", b"\xc3\xa9\xe9")).unwrap_err();
    assert_eq!(error, Malformed::Undecodable { column: "message", encoding: "UTF8" });
}

#[test]
fn json_that_a_shipper_has_converted_to_unicode_is_not_decoded_again() {
    let mut reader = latin1_reader();
    let converted = String::from_utf8(csv_of(b"old", "statement: select 'é'".as_bytes())).unwrap();
    let envelope = serde_json::json!({ "message": converted }).to_string();
    assert_eq!(read_with(&mut reader, &envelope).unwrap().message, "statement: select 'é'");
    // But raw bytes in an envelope are the server's.
    let raw = msgpack_map(&[("log", msgpack_bin(&csv_of(b"old", b"select '\xe9'")))]);
    assert_eq!(read_with(&mut reader, raw).unwrap().message, "select 'é'");
}

#[test]
fn a_named_format_takes_nothing_else() {
    let read_as = |format, payload: &[u8]| {
        RecordReader::new(format, Encodings::default()).read(payload).map(owned)
    };
    let json = jsonlog_of("app", b"statement: select 1");
    assert_eq!(read_as(Format::Csvlog, &json).unwrap_err().reason(), "continuation_fragment");
    assert_eq!(read_as(Format::Json, PG12.as_bytes()).unwrap_err().reason(), "invalid_json");
    assert_eq!(read_as(Format::Msgpack, &json).unwrap_err().reason(), "invalid_msgpack");
    assert!(read_as(Format::Csvlog, PG12.as_bytes()).is_ok());
    assert!(read_as(Format::Json, &json).is_ok());
    for (name, format) in ["auto", "csv", "json", "msgpack"].iter().zip(Format::value_variants()) {
        assert_eq!(Format::from_str(name, false), Ok(*format));
    }
    assert!(Format::from_str("CSV", false).is_err());
}

/// The records of a csvlog file: each ends at a line feed after an even number of quotes.
fn csv_records(file: &[u8]) -> Vec<&[u8]> {
    let mut in_quotes = false;
    file.split_inclusive(|&byte| {
        in_quotes ^= byte == b'"';
        byte == b'\n' && !in_quotes
    })
    .collect()
}

#[test]
fn every_real_record_reads_the_same_as_csvlog_and_as_jsonlog() {
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");
    let mut pairs = 0;
    for file in std::fs::read_dir(data).unwrap() {
        let csv = file.unwrap().path();
        let json = csv.with_extension("json");
        if csv.extension().is_none_or(|kind| kind != "csv") || !json.exists() {
            continue;
        }
        let (csv, json) = (std::fs::read(csv).unwrap(), std::fs::read(json).unwrap());
        let json_lines = json.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        // Concurrent backends may stand in another order in the other file.
        let records = |payloads: Vec<&[u8]>| {
            let mut records: Vec<LogRecord<'_>> =
                payloads.into_iter().map(|payload| read(payload).unwrap()).collect();
            records.sort_by_key(|record| (record.session, record.line));
            records
        };
        let (csv, json) = (records(csv_records(&csv)), records(json_lines.collect()));
        pairs += csv.len();
        assert_eq!(csv, json);
    }
    assert!(pairs > 400, "{pairs} pairs");
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(
        payload in prop::collection::vec(any::<u8>(), 0..200),
        format in prop::sample::select(Format::value_variants()),
    ) {
        let _ = RecordReader::new(format, Encodings::default()).read(&payload);
        let mut latin1 = latin1_reader();
        let _ = latin1.read(&payload);
        for start in [&b"2026-11-22 15:32:20.435 UTC,"[..], b"{\"message\":\"", b"\x81\xa3log"] {
            let _ = latin1.read(&[start, &payload].concat());
        }
    }

    #[test]
    fn any_record_reads_back_as_it_was_written(
        texts in prop::collection::vec("[a-z\"',;\r\n\\\\é]{0,20}", 8),
        line in any::<u64>(),
    ) {
        let line = line.to_string();
        let mut row = [""; 26];
        row[0] = "2026-11-22 15:32:20.435 UTC";
        row[5] = "6b0308ee.c";
        row[6] = &line;
        row[11] = "LOG";
        row[12] = "00000";
        for (column, text) in [1, 2, 7, 13, 14, 18, 19, 22].into_iter().zip(&texts) {
            row[column] = text;
        }
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(row).unwrap();
        let payload = writer.into_inner().unwrap();
        let mut reader = reader();
        let record = reader.read(&payload).unwrap();
        prop_assert_eq!(record.line.to_string(), line.clone());
        let read: [&str; 8] = [
            &record.user, &record.database, &record.command_tag, &record.message, &record.detail,
            &record.context, &record.query, &record.application_name,
        ];
        prop_assert_eq!(read.to_vec(), texts);
    }

    #[test]
    fn what_is_torn_inside_quotes_never_reads(
        text in "[a,\"\n]{1,60}",
        cut in any::<prop::sample::Index>(),
    ) {
        let record = csv_of(b"app", text.replace('"', "\"\"").as_bytes());
        let cut = 1 + cut.index(record.len() - 1);
        let inside = record[..cut].iter().filter(|&&byte| byte == b'"').count() % 2 == 1;
        let (first, second) = record.split_at(cut);
        if inside {
            prop_assert!(read(first).is_err());
            // Whatever the torn-off text looks like.
            for start in ["", "2026-11-22 15:32:20.435 UTC,,,1,,6b0.1,1,,,3/0,0,LOG,00000,"] {
                prop_assert!(read([start.as_bytes(), second].concat()).is_err());
            }
        }
    }

    #[test]
    fn an_error_never_quotes_the_payload(
        noise in prop::collection::vec(any::<u8>(), 0..30),
        at in any::<prop::sample::Index>(),
    ) {
        let secret = "hunter2";
        for whole in [
            csv_of(b"app", b"statement: alter role a password 'hunter2'"),
            jsonlog_of("app", b"statement: alter role a password 'hunter2'"),
            msgpack_map(&[("message", msgpack_str(b"password 'hunter2'"))]),
        ] {
            let mut payload = whole;
            let at = at.index(payload.len());
            payload.splice(at..at, noise.iter().copied());
            if let Err(error) = read(&payload) {
                let said = format!("{error} {error:?}");
                prop_assert!(!said.contains(secret));
            }
        }
    }
}
