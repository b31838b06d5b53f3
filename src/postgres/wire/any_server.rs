//! Whatever a server says is an answer or a violation.

use std::time::Instant;

use super::exchange::Exchange;
use super::incoming::{Incoming, Violation};
use crate::postgres::request::{Batch, Request, ResultRows};

/// What a server says, behind a byte that says in what pieces it comes: the same is made of it however it is
/// cut.
pub fn any_answers(bytes: &[u8]) {
    let Some((&piece, said)) = bytes.split_first() else { return };
    let _ = Incoming::default().read_login(said, &mut Exchange::default());
    let whole = made_of(said, usize::MAX);
    assert_eq!(whole, made_of(said, 1 + usize::from(piece)));
}

/// How many requests of three were answered, and what was wrong with the rest.
fn made_of(said: &[u8], piece: usize) -> (usize, Option<Violation>) {
    let (mut exchange, mut incoming) = (Exchange::default(), Incoming::default());
    exchange.ask(Request::Simple("SELECT 1"), ResultRows::Drop);
    let mut batch = Batch::new();
    batch.command("SELECT 2");
    exchange.ask(Request::Batch(batch), ResultRows::Drop);
    exchange.ask(Request::Simple("SELECT 3"), ResultRows::Keep);
    let now = Instant::now();
    let mut violation = None;
    for bytes in said.chunks(piece) {
        violation = incoming.read(bytes, now, &mut exchange).err();
        if violation.is_some() {
            break;
        }
    }
    (3 - exchange.unanswered(), violation)
}
