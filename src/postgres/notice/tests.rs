use super::*;

fn body(fields: &[(u8, &str)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (code, value) in fields {
        body.push(*code);
        body.extend_from_slice(value.as_bytes());
        body.push(0);
    }
    body.push(0);
    body
}

fn read(body: &[u8]) -> Option<Duration> {
    let mut reader = NoticeReader::default();
    reader.read(body);
    reader.finish()
}

fn told(severity: &str, message: &str, routine: &str) -> Option<Duration> {
    read(&body(&[
        (b'S', "PROTOKOLL"),
        (b'V', severity),
        (b'C', "00000"),
        (b'M', message),
        (b'F', "postgres.c"),
        (b'L', "1309"),
        (b'R', routine),
    ]))
}

#[test]
fn a_duration_is_read_from_each_message_that_the_server_times() {
    for routine in
        ["exec_simple_query", "exec_parse_message", "exec_bind_message", "exec_execute_message"]
    {
        assert_eq!(
            told("LOG", "duration: 0.209 ms", routine),
            Some(Duration::from_micros(209)),
            "{routine}"
        );
    }
    assert_eq!(
        told("LOG", "duration: 86400000.001 ms", "exec_simple_query"),
        Some(Duration::from_micros(86_400_000_001))
    );
}

#[test]
fn a_duration_is_read_with_the_statement_behind_it() {
    let text = "duration: 10.173 ms  execute <unnamed>: SELECT 'duration: 1.000 ms'";
    assert_eq!(told("LOG", text, "exec_execute_message"), Some(Duration::from_micros(10_173)));
}

#[test]
fn a_duration_is_read_in_whatever_language_the_server_speaks() {
    for text in [
        "Dauer: 0.209 ms",
        "durée : 0.209 ms",
        "duración: 0.209 ms",
        "czas trwania: 0.209 ms",
        "продолжительность: 0.209 мс",
        "期間: 0.209 ミリ秒",
        "ხანგრძლივობა: 0.209 მწმ  statement: select 1",
    ] {
        let on_server = told("LOG", text, "exec_simple_query");
        assert_eq!(on_server, Some(Duration::from_micros(209)), "{text}");
    }
}

#[test]
fn what_a_statement_or_an_extension_says_is_no_duration() {
    let forged = [
        (b'V', "LOG"),
        (b'M', "duration: 1.000 ms"),
        (b'W', "PL/pgSQL function inline_code_block line 1 at RAISE"),
        (b'R', "exec_simple_query"),
    ];
    assert_eq!(read(&body(&forged)), None);
    assert_eq!(told("LOG", "duration: 1.000 ms", "exec_stmt_raise"), None);
    assert_eq!(told("NOTICE", "duration: 1.000 ms", "exec_simple_query"), None);
    let plan = "duration: 0.003 ms  plan:\nQuery Text: select 1";
    assert_eq!(told("LOG", plan, "explain_ExecutorEnd"), None);
}

#[test]
fn what_log_statement_says_is_no_duration() {
    for text in [
        "statement: select 1.000 ms",
        "execute <unnamed>: select 1",
        "execute x: 5.000 ms: select 1",
        "QUERY STATISTICS",
        "duration: 12 ms",
        "duration: 1.0000 ms",
        "duration: 1.000ms",
        "duration: .000 ms",
        "duration: 1.000",
        "a: b: 1.000 ms",
        "",
    ] {
        assert_eq!(told("LOG", text, "exec_simple_query"), None, "{text}");
    }
}

#[test]
fn a_message_may_be_cut_anywhere_and_be_followed_by_another() {
    let long = format!("duration: 7.500 ms  statement: {}", "x".repeat(100_000));
    let body = body(&[(b'V', "LOG"), (b'M', &long), (b'R', "exec_simple_query")]);
    for size in [1, 2, 3, 7, 4096] {
        let mut reader = NoticeReader::default();
        for _ in 0..2 {
            body.chunks(size).for_each(|piece| reader.read(piece));
            assert_eq!(reader.finish(), Some(Duration::from_micros(7500)), "{size}");
        }
    }
}

#[test]
fn a_message_of_nothing_tells_none() {
    assert_eq!(read(&[]), None);
    assert_eq!(read(&[0]), None);
    assert_eq!(read(b"VLOG"), None);
}
