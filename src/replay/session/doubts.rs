//! A statement that has failed on the target alone, and may have done so for what is to come: the end of
//! another session's transaction, whose record stands behind its own.
//!
//! Its failure does not count until that is known. Meanwhile nothing is sent, and what comes back for
//! what had been sent behind it is put aside.

use std::collections::VecDeque;
use std::sync::Arc;

use super::answers::Ran;
use super::on_connection::{Content, Role, Sent};
use super::{Answer, Answered, Next, Session};
use crate::pglog::SqlState;
use crate::pglog::statement::SourceEnd;
use crate::replay::session::request::TransactionStatus as Status;
use crate::replay::work::{Seq, Work};

/// A failure that does not count yet.
#[derive(Debug)]
pub(super) struct Doubt {
    pub(super) work: Arc<Work>,
    ran: Ran,
    content: Content,
    before: Status,
    /// Whether the question is under way.
    is_asked: bool,
    /// What had been sent behind it, with the answers.
    behind: VecDeque<(Sent, Answer)>,
}

impl Doubt {
    /// The statements of which it holds answers, in their order.
    pub(super) fn into_works(self) -> impl Iterator<Item = Arc<Work>> {
        let behind = self.behind.into_iter().filter_map(|(sent, _)| match sent.role {
            Role::Whole(work, _) => Some(work),
            _ => None,
        });
        std::iter::once(self.work).chain(behind)
    }
}

/// Whether a statement may fail like this for a lock that is held, or a row that is there, until
/// another transaction has ended.
fn may_be_freed(code: SqlState) -> bool {
    matches!(&code.0, b"55P03" | b"57014" | b"23505" | b"23503" | b"23P01")
}

impl Session {
    /// Whether a failure may be for what is to come. `before`: how the connection stood before it.
    pub(super) fn is_in_doubt(
        &self,
        work: &Work,
        target: Result<(), SqlState>,
        before: Status,
    ) -> bool {
        let Err(code) = target else { return false };
        self.settings.takes_turns
            && work.end().source == SourceEnd::Succeeded
            && may_be_freed(code)
            && self.given_up != Some(work.seq)
            && self.accepted != Some(work.seq)
            && self.is_undone_by_rollback(
                work,
                before,
                self.connection.sent.iter(),
                self.connection.status,
            )
    }

    pub(super) fn doubt(&mut self, work: Arc<Work>, ran: Ran, content: Content, before: Status) {
        let (is_asked, behind) = (false, VecDeque::new());
        self.connection.doubt = Some(Doubt { work, ran, content, before, is_asked, behind });
    }

    /// Puts an answer aside, while there is a doubt.
    pub(super) fn put_aside(&mut self, sent: Sent, answer: Answer) -> Option<(Sent, Answer)> {
        match &mut self.connection.doubt {
            Some(doubt) => {
                doubt.behind.push_back((sent, answer));
                None
            }
            None => Some((sent, answer)),
        }
    }

    pub(super) fn doubt_step(&mut self) -> Option<Next> {
        let doubt = self.connection.doubt.as_mut()?;
        if !self.connection.sent.is_empty() || doubt.is_asked {
            return Some(Next::Wait);
        }
        doubt.is_asked = true;
        Some(Next::AskEarlyEnd(doubt.work.seq))
    }

    /// The statement that has failed and whose failure does not count yet.
    pub fn doubtful(&self) -> Option<&Arc<Work>> {
        self.connection.doubt.as_ref().map(|doubt| &doubt.work)
    }

    /// What the failed statement needed is free: its transaction is run again.
    pub(super) fn undo_doubtful(&mut self, seq: Seq) {
        let Some(doubt) = self.connection.doubt.take_if(|doubt| doubt.work.seq == seq) else {
            return;
        };
        let mut works = doubt.into_works();
        if let Some(failed) = works.next() {
            self.run_again(&failed);
            works.for_each(|work| drop(self.refused_with_it(work)));
        }
    }

    /// Nothing is to come that could free the failed statement: its failure counts, and what had been
    /// sent behind it is answered.
    pub fn accept_failure(&mut self, seq: Seq) -> Vec<Answered> {
        let Some(doubt) = self.connection.doubt.take_if(|doubt| doubt.work.seq == seq) else {
            return Vec::new();
        };
        let Doubt { work, ran, content, before, behind, .. } = doubt;
        self.accepted = Some(seq);
        let mut answered = vec![self.end(work, ran, content, before)];
        for (sent, answer) in behind {
            answered.push(self.take(sent, answer));
        }
        answered
    }

    /// Gives this statement up, if it still runs: it would hold everything up for ever. Returns whether
    /// it is to be canceled.
    pub fn give_up(&mut self, seq: Seq) -> bool {
        let runs = self.running().is_some_and(|work| work.seq == seq);
        if runs {
            self.given_up = Some(seq);
        }
        runs
    }
}
