use super::*;

fn written(request: Request<'_>) -> Vec<u8> {
    let mut buffer = BytesMut::new();
    request.write_to(&mut buffer);
    buffer.to_vec()
}

#[test]
fn a_batch_ends_in_exactly_one_sync() {
    let mut batch = Batch::new();
    batch.parse("s", "select $1", &[0]).bind("", "s", &[Some("x")]).execute("", 0);
    assert_eq!(
        written(Request::Batch(batch)),
        [
            &b"P\0\0\0\x16s\0select $1\0\0\x01\0\0\0\0"[..],
            b"B\0\0\0\x12\0s\0\0\0\0\x01\0\0\0\x01x\0\0",
            b"E\0\0\0\x09\0\0\0\0\0",
            b"S\0\0\0\x04",
        ]
        .concat()
    );
}

#[test]
fn a_batch_that_leaves_its_transaction_open_ends_in_a_flush_and_counts_its_completions() {
    let mut batch = Batch::new();
    batch.command("select 1").close_portal("p").leave_open();
    assert_eq!(Request::Batch(batch.clone()).completions(), Some(5), "a Close is the last");
    let written = written(Request::Batch(batch));
    assert!(written.ends_with(b"H\0\0\0\x04"), "{written:?}");

    let mut nothing = Batch::new();
    nothing.leave_open();
    assert_eq!(Request::Batch(nothing).completions(), None, "nothing would answer it");
}

#[test]
fn what_the_protocol_cannot_carry_becomes_a_query_that_the_server_refuses() {
    assert_eq!(written(Request::Simple("select '\0'")), b"Q\0\0\0\x06\0\0");

    let mut batch = Batch::new();
    batch.parse("", "select '\0'", &[]);
    assert!(!Request::Batch(batch.clone()).is_extended());
    assert_eq!(written(Request::Batch(batch)), b"Q\0\0\0\x06\0\0");

    let mut batch = Batch::new();
    batch.bind("", "", &vec![Some("x"); 70_000]);
    assert!(!Request::Batch(batch.clone()).is_extended());
    assert_eq!(written(Request::Batch(batch)), b"Q\0\0\0\x06\0\0");
}

#[test]
fn a_batch_does_not_show_its_parameters() {
    let mut batch = Batch::new();
    batch.bind("", "", &[Some("hunter2")]);
    assert!(!format!("{batch:?}").contains("hunter2"));
}
