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

fn duration(notice: Option<Notice>) -> Option<Duration> {
    match notice? {
        Notice::Duration(duration) => Some(duration),
        Notice::Plan(text) => panic!("a plan: {text}"),
    }
}

fn read(body: &[u8]) -> Option<Duration> {
    let mut reader = NoticeReader::default();
    reader.read(body);
    duration(reader.finish())
}

/// Of a reader that keeps plans, in pieces of this size.
fn read_plan(body: &[u8], size: usize) -> Option<Notice> {
    let mut reader = NoticeReader::default();
    reader.keep_plans(true);
    body.chunks(size).for_each(|piece| reader.read(piece));
    reader.finish()
}

/// What auto_explain tells.
fn explained(message: &str) -> Vec<u8> {
    body(&[
        (b'S', "INFO"),
        (b'V', "INFO"),
        (b'C', "00000"),
        (b'M', message),
        (b'F', "auto_explain.c"),
        (b'L', "435"),
        (b'R', "explain_ExecutorEnd"),
    ])
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
            let told = duration(reader.finish());
            assert_eq!(told, Some(Duration::from_micros(7500)), "{size}");
        }
    }
}

#[test]
fn a_message_of_nothing_tells_none() {
    assert_eq!(read(&[]), None);
    assert_eq!(read(&[0]), None);
    assert_eq!(read(b"VLOG"), None);
}

const PLAN: &str = "{\n  \"Query Text\": \"select 1\",\n  \"Plan\": {\"Node Type\": \"Result\"}\n}";

#[test]
fn a_plan_is_kept_wherever_its_message_is_cut() {
    for figure in ["0.000", "0.012", "86400000.001"] {
        let body = explained(&format!("duration: {figure} ms  plan:\n{PLAN}"));
        for size in 1..=body.len() {
            assert_eq!(read_plan(&body, size), Some(Notice::Plan(PLAN.into())), "{size}");
        }
    }
}

#[test]
fn plans_are_kept_only_where_they_are_wanted_and_one_after_the_other() {
    let told = |text: &str| explained(&format!("duration: 0.012 ms  plan:\n{text}"));
    let mut reader = NoticeReader::default();
    reader.read(&told(PLAN));
    assert_eq!(reader.finish(), None);
    reader.keep_plans(true);
    for text in [PLAN, "Query Text: select 1"] {
        reader.read(&told(text));
        assert_eq!(reader.finish(), Some(Notice::Plan(text.into())));
    }
    let timed = body(&[(b'V', "LOG"), (b'M', "duration: 0.209 ms"), (b'R', "exec_simple_query")]);
    reader.read(&timed);
    assert_eq!(reader.finish(), Some(Notice::Duration(Duration::from_micros(209))));
}

#[test]
fn what_is_no_plan_of_a_statement_of_the_session_itself_is_not_kept() {
    let message = format!("duration: 0.012 ms  plan:\n{PLAN}");
    let forged = [(b'V', "INFO"), (b'M', message.as_str()), (b'R', "exec_stmt_raise")];
    assert_eq!(read_plan(&body(&forged), 7), None);
    let nested = [
        (b'V', "INFO"),
        (b'M', message.as_str()),
        (b'W', "SQL statement \"select 1\""),
        (b'R', "explain_ExecutorEnd"),
    ];
    assert_eq!(read_plan(&body(&nested), 7), None);
    let of_protocol = [(b'V', "LOG"), (b'M', message.as_str()), (b'R', "exec_simple_query")];
    let told = read_plan(&body(&of_protocol), 7);
    assert_eq!(told, Some(Notice::Duration(Duration::from_micros(12))));
    for text in ["duration: 0.012 ms", "duration: 0.012 ms  statement:\n", "plan:\n{}", "\n", ""] {
        assert_eq!(read_plan(&explained(text), 3), None, "{text}");
    }
}

#[test]
fn a_plan_that_is_too_long_is_told_without_its_text() {
    let of = |length: usize| {
        let text = "x".repeat(length);
        read_plan(&explained(&format!("duration: 0.012 ms  plan:\n{text}")), 4096)
    };
    assert!(matches!(of(LONGEST), Some(Notice::Plan(text)) if text.len() == LONGEST));
    assert_eq!(of(LONGEST + 1), Some(Notice::Plan("".into())));
}
