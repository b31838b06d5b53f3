use std::collections::VecDeque;

use proptest::collection::vec;
use proptest::prelude::*;

use super::exchange::Exchange;
use super::*;
use crate::postgres::reply::{Lost, Reply, ServerError};
use crate::postgres::request::{Batch, Request, ResultRows};
use crate::replay::session::request::{Took, TransactionStatus};

/// A server that says what it was told to, in pieces, and notes what it hears.
#[derive(Default)]
struct Script {
    says: VecDeque<Vec<u8>>,
    then_closes: bool,
    heard: Vec<u8>,
    /// How many bytes each write takes, over and over; a 0 is one that has to wait.
    takes: Vec<usize>,
    writes: usize,
}

impl AsyncRead for Script {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(mut piece) = self.says.pop_front() else {
            return if self.then_closes { Poll::Ready(Ok(())) } else { Poll::Pending };
        };
        let rest = piece.split_off(piece.len().min(buffer.remaining()));
        buffer.put_slice(&piece);
        if !rest.is_empty() {
            self.says.push_front(rest);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Script {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let takes = match self.takes.len() {
            0 => usize::MAX,
            len => self.takes[self.writes % len],
        };
        self.writes += 1;
        if takes == 0 {
            return Poll::Pending;
        }
        let taken = takes.min(bytes.len());
        self.heard.extend_from_slice(&bytes[..taken]);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    bytes.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

fn ready(status: u8) -> Vec<u8> {
    message(b'Z', &[status])
}

fn error(severity: &str, sqlstate: &str) -> Vec<u8> {
    message(b'E', format!("V{severity}\0C{sqlstate}\0Mwords\0\0").as_bytes())
}

fn notice(routine: &str, text: &str) -> Vec<u8> {
    message(b'N', format!("SLOG\0VLOG\0C00000\0M{text}\0R{routine}\0\0").as_bytes())
}

/// What a server says that tells durations.
fn duration(us: u64) -> Vec<u8> {
    notice("exec_execute_message", &format!("duration: {}.{:03} ms", us / 1000, us % 1000))
}

/// What is written for a request.
fn written(request: Request<'_>) -> Vec<u8> {
    let mut bytes = bytes::BytesMut::new();
    request.write_to(&mut bytes);
    bytes.to_vec()
}

fn logged_in(script: Script) -> Wire<Script> {
    Wire::new(script, SharedExchange::default())
}

fn ask(wire: &Wire<Script>, request: Request<'_>) {
    wire.exchange.borrow_mut().ask(request, ResultRows::Drop);
}

/// The next answer, which is there.
fn answer(exchange: &mut Exchange) -> Result<Reply, Lost> {
    match exchange.poll_answer(&context()) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("no answer"),
    }
}

const SIMPLE: Request<'static> = Request::Simple("SELECT 1");

fn extended(sql: &str) -> Request<'static> {
    let mut batch = Batch::new();
    batch.command(sql);
    Request::Batch(batch)
}

fn context() -> Context<'static> {
    Context::from_waker(std::task::Waker::noop())
}

/// Serves for as long as there is something to do. An error is noted as it is in the end.
fn serve(wire: &mut Wire<Script>) -> io::Result<()> {
    match wire.poll_serve(&mut context()) {
        Poll::Pending | Poll::Ready(Ok(_)) => Ok(()),
        Poll::Ready(Err(error)) => {
            wire.exchange.borrow_mut().end(&error.to_string());
            Err(error)
        }
    }
}

/// Reads as tokio-postgres does until the log-in is through, into buffers of `sizes`.
fn log_in(stream: &mut LoginStream<Script>, login: usize, sizes: &[usize]) -> Vec<u8> {
    let mut sizes = sizes.iter().copied().cycle();
    let mut all = Vec::new();
    while all.len() < login {
        let mut space = vec![0; sizes.next().unwrap_or(8192)];
        let mut buffer = ReadBuf::new(&mut space);
        let read = Pin::new(&mut *stream).poll_read(&mut context(), &mut buffer);
        assert!(matches!(read, Poll::Ready(Ok(()))), "{read:?}");
        all.extend_from_slice(buffer.filled());
    }
    all
}

/// Asks once and gives the answer to `says`.
fn answer_to(request: Request<'_>, says: &[Vec<u8>]) -> Result<Reply, Lost> {
    let mut wire = logged_in(Script { says: [says.concat()].into(), ..Script::default() });
    ask(&wire, request);
    let _ = serve(&mut wire);
    answer(&mut wire.exchange.borrow_mut())
}

#[test]
fn a_simple_query_is_answered_with_its_commands_rows_and_status() {
    let reply = answer_to(
        SIMPLE,
        &[
            message(b'T', b"whatever"),
            message(b'D', b"row"),
            message(b'D', b"row"),
            message(b'C', b"SELECT 2\0"),
            message(b'N', b"VNOTICE\0\0"),
            message(b'C', b"INSERT 0 3\0"),
            message(b'I', b""),
            ready(b'T'),
        ],
    );
    let reply = reply.expect("a reply");
    assert_eq!(reply.status, TransactionStatus::InTransaction);
    assert_eq!((reply.completed, reply.rows, reply.error), (3, 5, None));
}

#[test]
fn rows_are_kept_for_the_request_that_wants_them_alone() {
    let row = |value: &[u8]| message(b'D', &[&[0, 1, 0, 0, 0, 1], value].concat());
    let one = |value: &[u8]| [row(value), message(b'C', b"SELECT 1\0"), ready(b'I')].concat();
    // Cut wherever a read may cut them.
    for cut in 1..one(b"x").len() {
        let mut says: VecDeque<Vec<u8>> = VecDeque::new();
        for value in [b"a", b"b", b"c"] {
            let whole = one(value);
            let (first, second) = whole.split_at(cut);
            says.extend([first.to_vec(), second.to_vec()]);
        }
        let mut wire = logged_in(Script { says, ..Script::default() });
        for rows in [ResultRows::Drop, ResultRows::Keep, ResultRows::Drop] {
            wire.exchange.borrow_mut().ask(SIMPLE, rows);
        }
        serve(&mut wire).expect("served");
        let mut exchange = wire.exchange.borrow_mut();
        let results = [(); 3].map(|()| answer(&mut exchange).expect("a reply").result);
        assert_eq!(results, [vec![], vec![vec![Some("b".into())]], vec![]], "{cut}");
    }
}

#[test]
fn an_answer_tells_that_the_server_no_longer_takes_utf_8() {
    let set = |encoding: &str| message(b'S', format!("client_encoding\0{encoding}\0").as_bytes());
    let says = [
        ready(b'I'),
        [set("LATIN1"), ready(b'I')].concat(),
        [message(b'S', b"TimeZone\0UTC\0"), ready(b'I')].concat(),
        [set("UTF8"), ready(b'I')].concat(),
    ];
    let mut wire = logged_in(Script { says: says.into(), ..Script::default() });
    (0..4).for_each(|_| ask(&wire, SIMPLE));
    serve(&mut wire).expect("served");
    let mut exchange = wire.exchange.borrow_mut();
    let foreign = [(); 4].map(|()| answer(&mut exchange).expect("a reply").foreign_encoding);
    assert_eq!(foreign, [false, true, true, false]);
}

#[test]
fn a_request_takes_from_its_writing_or_the_answer_before_it_to_its_own_answer() {
    let ms = std::time::Duration::from_millis;
    let began = Instant::now();
    let mut exchange = Exchange::default();
    let mut incoming = Incoming::default();
    let ask = |exchange: &mut Exchange, at| {
        exchange.ask(SIMPLE, ResultRows::Drop);
        exchange.writes(began + at);
    };
    ask(&mut exchange, ms(0));
    ask(&mut exchange, ms(1));
    let mut read = |exchange: &mut Exchange, bytes: &[u8], at| {
        incoming.read(bytes, began + at, exchange).expect("answers");
    };
    read(&mut exchange, &ready(b'I'), ms(5));
    read(&mut exchange, &message(b'D', b"row"), ms(6));
    read(&mut exchange, &ready(b'I'), ms(7));
    ask(&mut exchange, ms(20));
    ask(&mut exchange, ms(21));
    read(&mut exchange, &[ready(b'I'), ready(b'I')].concat(), ms(30));
    let took = [(); 4].map(|()| {
        let took = answer(&mut exchange).expect("a reply").took;
        (took.at_most, took.together)
    });
    assert_eq!(took, [(ms(5), 1), (ms(2), 1), (ms(10), 2), (ms(9), 2)]);
}

#[test]
fn an_error_says_whether_it_came_before_anything_was_executed() {
    let error = |says: &[Vec<u8>]| -> ServerError {
        answer_to(extended("SELECT 1"), says).expect("a reply").error.expect("an error")
    };
    let refused = self::error("ERROR", "42P18");
    assert!(error(&[refused.clone(), ready(b'I')]).before_execute);
    assert!(error(&[message(b'1', b""), refused.clone(), ready(b'I')]).before_execute);
    let bound = [message(b'1', b""), message(b'2', b"")].concat();
    assert!(!error(&[bound.clone(), refused.clone(), ready(b'I')]).before_execute);
    let executed = [bound, message(b'C', b"SELECT 1\0")].concat();
    assert!(error(&[executed, refused.clone(), ready(b'I')]).before_execute);

    let simple = answer_to(SIMPLE, &[refused, ready(b'E')]).expect("a reply");
    assert!(!simple.error.expect("an error").before_execute);
}

#[test]
fn a_suspended_portal_counts_with_the_rows_it_gave() {
    let says = [
        message(b'2', b""),
        message(b'D', b"row"),
        message(b'D', b"row"),
        message(b's', b""),
        message(b'D', b"row"),
        message(b'C', b"SELECT 1\0"),
        ready(b'T'),
    ];
    let reply = answer_to(extended("SELECT 1"), &says).expect("a reply");
    assert_eq!((reply.completed, reply.rows), (2, 3));
}

#[test]
fn a_fatal_error_is_told_to_everybody_who_waits() {
    let script =
        Script { says: [error("FATAL", "57P01")].into(), then_closes: true, ..Script::default() };
    let mut wire = logged_in(script);
    (0..3).for_each(|_| ask(&wire, SIMPLE));
    serve(&mut wire).expect("the end of the stream");
    // And to who comes too late.
    ask(&wire, SIMPLE);
    for _ in 0..4 {
        let lost = answer(&mut wire.exchange.borrow_mut()).expect_err("lost");
        assert_eq!(lost.error.expect("the error").sqlstate.as_str(), "57P01");
        assert_eq!(&*lost.reason, "the server closed the connection");
    }
}

#[test]
fn copy_data_is_refused_with_a_sync_only_in_the_extended_protocol() {
    let copy = message(b'G', b"\0\0\0");
    for (request, syncs) in [(SIMPLE, 0), (extended("SELECT 1"), 1)] {
        let mut wire = logged_in(Script { says: [copy.clone()].into(), ..Script::default() });
        ask(&wire, request);
        let sent = wire.exchange.borrow().outgoing.len();
        serve(&mut wire).expect("nothing");
        let refusal = &wire.stream.heard[sent..];
        assert!(refusal.starts_with(b"f\0\0\0"), "{refusal:?}");
        assert_eq!(refusal.ends_with(b"S\0\0\0\x04"), syncs == 1, "{refusal:?}");
    }
}

#[test]
fn statements_behind_a_copy_end_the_connection_instead_of_mixing_up_the_answers() {
    let script = Script { says: [message(b'G', b"\0\0\0")].into(), ..Script::default() };
    let mut wire = logged_in(script);
    (0..2).for_each(|_| ask(&wire, SIMPLE));
    assert!(serve(&mut wire).is_err());
    for _ in 0..2 {
        let lost = answer(&mut wire.exchange.borrow_mut()).expect_err("lost");
        assert!(lost.reason.contains("COPY"), "{lost}");
    }
}

#[test]
fn what_is_not_the_protocol_ends_the_connection() {
    for says in [message(b'W', b"\0\0\0"), b"D\0\0\0\x03".to_vec(), b"HTTP/1.1 400".to_vec()] {
        let lost = answer_to(SIMPLE, &[says]).expect_err("lost");
        assert!(lost.reason.contains("the server sent"), "{lost}");
    }
    let mut wire = logged_in(Script { says: [ready(b'I')].into(), ..Script::default() });
    assert!(serve(&mut wire).is_err(), "an answer to no question");
}

#[test]
fn a_huge_row_and_a_huge_error_are_not_stored() {
    let row = message(b'D', &vec![0; 1 << 20]);
    let text = vec![b'x'; 1 << 20];
    let report = message(b'E', &[&b"VERROR\0C22001\0M"[..], &text, b"\0\0"].concat());
    let bytes = [row, report, ready(b'I')].concat();
    let script =
        Script { says: bytes.chunks(10_000).map(Vec::from).collect(), ..Script::default() };
    let mut wire = logged_in(script);
    ask(&wire, SIMPLE);
    serve(&mut wire).expect("an answer");
    let reply = answer(&mut wire.exchange.borrow_mut()).expect("a reply");
    let error = reply.error.expect("an error");
    assert_eq!(error.sqlstate.as_str(), "22001");
    assert!(error.message.len() <= 64 * 1024);
}

#[test]
fn a_wire_that_is_dropped_leaves_nobody_waiting() {
    let wire = logged_in(Script::default());
    ask(&wire, SIMPLE);
    let exchange = wire.exchange.clone();
    drop(wire);
    assert!(answer(&mut exchange.borrow_mut()).is_err());
}

#[test]
fn who_takes_leave_waits_for_the_answers_to_what_was_asked_before() {
    let says = [message(b'C', b"SELECT 1\0"), ready(b'I')].concat();
    let (early, late) = says.split_at(3);
    let mut wire = logged_in(Script { says: [early.to_vec()].into(), ..Script::default() });
    ask(&wire, SIMPLE);
    wire.exchange.borrow_mut().leave();
    assert!(wire.poll_serve(&mut context()).is_pending());
    let early = wire.exchange.borrow_mut().poll_answer(&context());
    assert!(early.is_pending(), "it is not whole");

    wire.stream.says.push_back(late.to_vec());
    let served = wire.poll_serve(&mut context());
    assert!(matches!(served, Poll::Ready(Ok(Served::Leaves))), "{served:?}");
    assert!(answer(&mut wire.exchange.borrow_mut()).is_ok());
    assert_eq!(wire.stream.heard, written(SIMPLE));
}

#[test]
fn who_leaves_says_so_and_waits_for_the_server_to_close() {
    let exchange = SharedExchange::default();
    let wire = Wire::new(Script::default(), exchange.clone());
    exchange.borrow_mut().leave();
    let mut serving = Box::pin(wire.serve());
    assert!(serving.as_mut().poll(&mut context()).is_pending(), "the server has not closed");
    drop(serving);
    let wire = Wire::new(Script { then_closes: true, ..Script::default() }, exchange);
    let mut serving = Box::pin(wire.serve());
    assert!(serving.as_mut().poll(&mut context()).is_ready());
}

/// One request with what the server answers, by the kinds of messages.
fn exchanges() -> impl Strategy<Value = Vec<(bool, String, Vec<u8>)>> {
    let answer = prop_oneof![
        Just(
            [message(b'T', b"name"), message(b'D', b"row"), message(b'C', b"SELECT 1\0")].concat()
        ),
        Just(message(b'C', b"UPDATE 12\0")),
        Just(error("ERROR", "23505")),
        Just([message(b'1', b""), message(b'2', b""), message(b's', b"")].concat()),
        Just(message(b'S', b"TimeZone\0UTC\0")),
        Just(message(b'N', &[b'x'; 300])),
        (0..10_000u64).prop_map(duration),
        Just(notice("exec_simple_query", &format!("duration: 1.000 ms  {}", "x".repeat(40_000)))),
        Just(message(b'D', &[b'y'; 40_000])),
        Just([message(b'H', b"\0\0\0"), message(b'd', b"data"), message(b'c', b"")].concat()),
    ];
    let ready = prop_oneof![Just(ready(b'I')), Just(ready(b'T')), Just(ready(b'E'))];
    let exchange = (any::<bool>(), "[a-z]{0,40}", vec(answer, 0..4), ready).prop_map(
        |(extended, sql, answers, ready)| (extended, sql, [answers.concat(), ready].concat()),
    );
    vec(exchange, 1..12)
}

fn in_pieces(bytes: &[u8], sizes: &[usize]) -> VecDeque<Vec<u8>> {
    let mut rest = bytes;
    let mut pieces = VecDeque::new();
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, after) = rest.split_at((*size).min(rest.len()));
        pieces.push_back(piece.to_vec());
        rest = after;
    }
    pieces
}

/// What the server hears, and the replies.
fn run(
    exchanges: &[(bool, String, Vec<u8>)],
    script: Script,
) -> (Vec<u8>, Vec<Result<Reply, Lost>>) {
    let mut wire = logged_in(script);
    for (extends, sql, _) in exchanges {
        ask(&wire, if *extends { extended(sql) } else { Request::Simple(sql) });
    }
    while wire.poll_send(&mut context()).is_pending() {}
    serve(&mut wire).expect("a stream without violations");
    let mut exchange = wire.exchange.borrow_mut();
    let replies = exchanges.iter().map(|_| {
        // How long it took is no two times the same.
        answer(&mut exchange).map(|reply| {
            let on_server = reply.took.on_server;
            Reply { took: Took { on_server, ..Took::default() }, ..reply }
        })
    });
    let replies = replies.collect();
    drop(exchange);
    (std::mem::take(&mut wire.stream.heard), replies)
}

proptest! {
    #[test]
    fn however_the_bytes_are_split_the_replies_are_the_same(
        exchanges in exchanges(),
        says in vec(1..5000usize, 1..6),
        takes in vec(0..500usize, 1..6),
    ) {
        prop_assume!(takes.iter().any(|size| *size > 0));
        let bytes: Vec<u8> = exchanges.iter().flat_map(|(_, _, answer)| answer.clone()).collect();
        let whole = Script { says: [bytes.clone()].into(), ..Script::default() };
        let split = Script { says: in_pieces(&bytes, &says), takes, ..Script::default() };

        let expected = run(&exchanges, whole);
        let heard: Vec<u8> = exchanges
            .iter()
            .flat_map(|(extends, sql, _)| {
                written(if *extends { extended(sql) } else { Request::Simple(sql) })
            })
            .collect();
        prop_assert_eq!(&expected.0, &heard);
        prop_assert_eq!(run(&exchanges, split), expected);
    }

    #[test]
    fn a_login_passes_untouched_and_nothing_behind_it_is_torn(
        sizes in vec(1..40usize, 1..6),
        reads in vec(1..40usize, 1..6),
    ) {
        let login = [
            message(b'R', b"\0\0\0\0"),
            message(b'S', b"server_version\x0018\0"),
            message(b'K', &[0, 0, 48, 57, 0, 0, 0, 7]),
            ready(b'I'),
        ]
        .concat();
        let behind = [message(b'S', b"TimeZone\0UTC\0"), message(b'C', b"SELECT 4\0"), ready(b'I')];
        let says = in_pieces(&[login.clone(), behind.concat()].concat(), &sizes);
        let wire = logged_in(Script { says, ..Script::default() });
        ask(&wire, SIMPLE);
        let mut stream = LoginStream::on(wire);
        let got = log_in(&mut stream, login.len(), &reads);
        prop_assert_eq!(got, login);
        let mut wire = stream.into_wire().expect("it is there");
        serve(&mut wire).expect("an answer");
        prop_assert_eq!(answer(&mut wire.exchange.borrow_mut()).expect("a reply").rows, 4);
        prop_assert_eq!(wire.exchange.borrow().backend, BackendKey { pid: 12345, secret: 7 });
    }
}

#[test]
fn what_leaves_its_transaction_open_is_answered_by_its_last_completion_or_an_error() {
    let open = |sql: &str| {
        let mut batch = Batch::new();
        batch.command(sql).leave_open();
        Request::Batch(batch)
    };
    let bound = [message(b'1', b""), message(b'2', b"")].concat();
    let closed = message(b'3', b"");
    let done = [bound.clone(), message(b'C', b"INSERT 0 1\0"), closed.clone()].concat();
    let reply = answer_to(open("INSERT"), &[done]).expect("a reply");
    assert_eq!((reply.completed, reply.rows), (1, 1));
    let failed = [bound.clone(), error("ERROR", "23505")].concat();
    let reply = answer_to(open("INSERT"), &[failed]).expect("a reply");
    assert!(!reply.error.expect("an error").before_execute);
    let empty = [bound, message(b'I', b""), closed].concat();
    assert!(answer_to(open(""), &[empty]).is_ok());
}

/// What the server tells of its durations in these answers.
fn on_server(requests: Vec<Request<'_>>, says: &[Vec<u8>]) -> Vec<Option<u64>> {
    let says = says.concat();
    let told = |piece: usize| {
        let says = in_pieces(&says, &[piece]);
        let mut wire = logged_in(Script { says, ..Script::default() });
        let count = requests.len();
        // Each is asked anew for each way of cutting the answers.
        for request in &requests {
            ask(&wire, again(request));
        }
        serve(&mut wire).expect("served");
        let mut exchange = wire.exchange.borrow_mut();
        let replies = (0..count).map(|_| answer(&mut exchange).expect("a reply"));
        let us = |reply: Reply| reply.took.on_server.map(|it| it.as_micros() as u64);
        replies.map(us).collect::<Vec<_>>()
    };
    let whole = told(usize::MAX);
    for piece in [1, 2, 5, 100] {
        assert_eq!(told(piece), whole, "{piece}");
    }
    whole
}

fn again<'a>(request: &Request<'a>) -> Request<'a> {
    match request {
        Request::Simple(sql) => Request::Simple(sql),
        Request::Batch(batch) => Request::Batch(batch.clone()),
    }
}

#[test]
fn the_servers_figure_of_a_request_is_the_sum_of_its_parse_bind_and_execute() {
    let says = [
        [message(b'1', b""), duration(3), message(b'2', b""), duration(40)].concat(),
        [message(b'C', b"SELECT 1\0"), duration(500), ready(b'I')].concat(),
        [message(b'C', b"SELECT 1\0"), duration(7), ready(b'I')].concat(),
    ];
    let told = on_server(vec![extended("SELECT 1"), SIMPLE], &says);
    assert_eq!(told, [Some(543), Some(7)]);
}

#[test]
fn the_servers_figure_counts_only_as_a_whole_and_without_an_error() {
    let bound = [message(b'1', b""), message(b'2', b""), duration(40)].concat();
    let one_of_three = [bound, message(b'C', b"SELECT 1\0"), ready(b'I')].concat();
    let failed = [duration(1), error("ERROR", "22012"), ready(b'I')].concat();
    let none = [message(b'C', b"SELECT 1\0"), ready(b'I')].concat();
    let raised = notice("exec_stmt_raise", "duration: 1.000 ms");
    let forged = [raised, message(b'C', b"DO\0"), duration(9), ready(b'I')].concat();
    let requests = vec![extended("SELECT 1"), SIMPLE, SIMPLE, SIMPLE];
    assert_eq!(
        on_server(requests, &[one_of_three, failed, none, forged]),
        [None, None, None, Some(9)]
    );
}

#[test]
fn within_a_pipeline_the_durations_of_each_statement_are_its_own() {
    let open = |sql: &str| {
        let mut batch = Batch::new();
        batch.command(sql).leave_open();
        Request::Batch(batch)
    };
    // The notice of an Execute comes behind its completion, before that of the Close behind it.
    let slept = |us: u64| {
        let bound = [message(b'1', b""), duration(1), message(b'2', b""), duration(1)].concat();
        [bound, message(b'C', b"SELECT 1\0"), duration(us), message(b'3', b"")].concat()
    };
    let says = [slept(9), slept(10_173), slept(20_245), ready(b'I')];
    let requests =
        vec![open("SELECT 1"), open("SELECT 2"), open("SELECT 3"), Request::Batch(Batch::new())];
    assert_eq!(on_server(requests, &says), [Some(11), Some(10_175), Some(20_247), None]);
}

#[test]
fn a_plan_comes_with_the_answer_before_whose_end_it_was_told_where_plans_are_kept() {
    let plan =
        |text: &str| notice("explain_ExecutorEnd", &format!("duration: 0.012 ms  plan:\n{text}"));
    let done = || [message(b'C', b"SELECT 1\0"), ready(b'I')].concat();
    let says = [
        done(),
        [plan("first"), plan("another"), duration(7), done()].concat(),
        [plan("second"), done()].concat(),
    ]
    .concat();
    let told = |keeps: bool, piece: usize| {
        let says = in_pieces(&says, &[piece]);
        let mut wire = logged_in(Script { says, ..Script::default() });
        wire.exchange.borrow_mut().keeps_plans = keeps;
        (0..3).for_each(|_| ask(&wire, SIMPLE));
        serve(&mut wire).expect("served");
        let mut exchange = wire.exchange.borrow_mut();
        let replies = (0..3).map(|_| answer(&mut exchange).expect("a reply"));
        let replies: Vec<Reply> = replies.collect();
        assert_eq!(replies[1].took.on_server, Some(std::time::Duration::from_micros(7)));
        replies.into_iter().map(|reply| reply.plan.map(String::from)).collect::<Vec<_>>()
    };
    for piece in [1, 2, 5, 100, usize::MAX] {
        assert_eq!(told(false, piece), [None, None, None]);
        // No more than one waits to be taken.
        let expected = [None, Some("first".to_owned()), Some(String::new())];
        assert_eq!(told(true, piece), expected, "{piece}");
    }
}
