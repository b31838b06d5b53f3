//! A transaction that failed for what happened around it on the target alone: it is undone, and run
//! again from its beginning on the same connection.
//!
//! PostgreSQL ends a deadlock, and a conflict between transactions that it can't put in an order, by
//! failing one of them. Which one, and whether there is a deadlock at all, depends on moments that no
//! log holds, so the target may choose a victim where the source had none.

use std::collections::VecDeque;
use std::sync::Arc;

use super::on_connection::{Content, Role, Sent};
use super::steps::Pipeline;
use super::{Answered, Next, Session};
use crate::pglog::SqlState;
use crate::pglog::statement::{Protocol, SourceEnd, Statement};
use crate::replay::session::parameter_types::is_inference_failure;
use crate::replay::session::request::{Request, TransactionStatus as Status};
use crate::replay::work::Work;
use crate::sql::{self, Command, prepared_name};

/// How often a transaction is run again. Whoever won a conflict goes on before the victim does, so
/// that one more try is enough nearly always; each deadlock costs the target's `deadlock_timeout`,
/// and the order waits for it.
const TRIES: u8 = 5;

/// Why a transaction is run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunAgain {
    /// The target alone chose it as the victim of a conflict.
    Conflict(SqlState),
    /// A statement has to be prepared in another way than it was.
    Prepare(SqlState),
    /// It asked to see a snapshot that has gone with its exporter's connection.
    Snapshot(SqlState),
    /// It was canceled: its snapshot would have been older than on the source.
    Withdrawn,
    /// A statement before had waited for a COMMIT here, and may have seen less than on the source.
    SawLess(SqlState),
}

/// A transaction that has failed and is run again once it is undone.
#[derive(Debug)]
pub(super) struct Undoing {
    /// Its statements, the failed one and what had been sent behind it among them.
    pub(super) works: Vec<Arc<Work>>,
    /// What a rollback leaves and running it again would make: statements that it prepared by SQL.
    prepared: VecDeque<String>,
}

/// Whether the statement failed since the target does not have the exported snapshot (any more) that
/// it was to see.
pub fn snapshot_is_gone(work: &Work, source: SourceEnd, code: SqlState) -> bool {
    work.statement.outline.imports_snapshot
        && !matches!(source, SourceEnd::Failed(_))
        && is_want_of_snapshot(code)
}

/// Whether an import that fails like this names a snapshot that is not there.
pub fn is_want_of_snapshot(code: SqlState) -> bool {
    // PostgreSQL 17 and later say 42704.
    matches!(&code.0, b"22023" | b"42704")
}

impl Session {
    /// Whether the statement's transaction is to be run again since it failed like this.
    pub(super) fn reason_to_run_again(
        &mut self,
        work: &Work,
        source: SourceEnd,
        (code, before_execute): (SqlState, bool),
    ) -> Option<RunAgain> {
        if source == SourceEnd::Failed(code) {
            return None;
        }
        if self.is_withdrawn(work.seq, code) {
            return Some(RunAgain::Withdrawn);
        }
        match code {
            SqlState::DEADLOCK_DETECTED | SqlState::SERIALIZATION_FAILURE => {
                self.findings.expect_victims();
                Some(RunAgain::Conflict(code))
            }
            SqlState::FEATURE_NOT_SUPPORTED if before_execute && was_prepared(work) => {
                // What made this one stale may have done so to others.
                self.connection.prepared.clear();
                Some(RunAgain::Prepare(code))
            }
            _ if source == SourceEnd::Succeeded
                && self.settings.takes_turns
                && std::mem::take(&mut self.connection.may_have_seen_less) =>
            {
                Some(RunAgain::SawLess(code))
            }
            _ if snapshot_is_gone(work, source, code) => Some(RunAgain::Snapshot(code)),
            // Its types were known, and are not those that these values or these tables take.
            _ if before_execute
                && is_inference_failure(code)
                && has_parameters(work)
                && !matches!(source, SourceEnd::Failed(_))
                && self.findings.types.forget(&work.statement.sql) =>
            {
                self.refused_types.insert(work.seq);
                Some(RunAgain::Prepare(code))
            }
            _ => None,
        }
    }

    /// Takes the failed statement's transaction to be run again, where that is possible. `before`: how
    /// the connection stood before the statement.
    pub(super) fn undo(&mut self, work: &Arc<Work>, before: Status) -> bool {
        let behind = self.connection.sent.iter();
        if self.connection.tries >= TRIES
            || !self.is_undone_by_rollback(work, before, behind, self.connection.status)
        {
            return false;
        }
        // Of those that are withdrawn, each is for an end that comes but once.
        self.connection.tries += u8::from(self.connection.withdrawing.is_none());
        self.run_again(work);
        true
    }

    /// Takes the failed statement's transaction to be run again.
    pub(super) fn run_again(&mut self, work: &Arc<Work>) {
        let mut works = std::mem::take(&mut self.connection.transaction);
        works.push(work.clone());
        let prepared = works.iter().flat_map(|work| prepared_by_sql(work)).collect();
        self.connection.undoing = Some(Undoing { works, prepared });
        self.newest_succeeded = false;
    }

    /// Whether a rollback undoes all that the open transaction and the statement did, and all that has
    /// been sent behind it, where the connection stands like this.
    pub(super) fn is_undone_by_rollback<'a>(
        &self,
        work: &Work,
        before: Status,
        mut behind: impl Iterator<Item = &'a Sent>,
        status: Status,
    ) -> bool {
        let kept = |work: &Arc<Work>| is_kept_by_rollback(&work.statement);
        if self.connection.transaction.iter().any(kept)
            || may_have_committed(&work.statement, before)
        {
            return false;
        }
        let mut is_open = status != Status::Idle;
        behind.all(|sent| {
            let behind = match &sent.role {
                Role::Whole(behind, _) => behind,
                // Refused, or of no effect on what the transaction did.
                Role::Durations(_) => return true,
                _ => return false,
            };
            let statement = &behind.statement;
            let is_within = is_open;
            if statement.only_ends_transaction() {
                is_open = false;
            }
            is_within && is_refused_after_failure(statement)
        })
    }

    /// An answer to what had been sent behind the failed statement: refused with it.
    pub(super) fn refused_with_it(&mut self, work: Arc<Work>) -> Answered {
        if let Some(undoing) = &mut self.connection.undoing {
            undoing.works.push(work);
        }
        Answered::default()
    }

    /// The next step of undoing; `None` once the transaction is in the queue again.
    pub(super) fn undo_step(&mut self) -> Option<Next> {
        let undoing = self.connection.undoing.as_mut()?;
        if !self.connection.sent.is_empty() {
            return Some(Next::Wait);
        }
        let text = if self.connection.status != Status::Idle {
            "ROLLBACK".to_owned()
        } else if let Some(name) = undoing.prepared.pop_front() {
            format!("DEALLOCATE \"{}\"", name.replace('"', "\"\""))
        } else {
            let works = std::mem::take(&mut undoing.works);
            self.connection.undoing = None;
            self.connection.pipeline = Pipeline::Closed;
            (self.connection.abort, self.connection.syncs) = (None, false);
            self.context.roll_back();
            self.put_back(works);
            return None;
        };
        self.connection.sends(Role::Undo, true);
        Some(Next::Send(Request::Text(text.into())))
    }

    /// Whether what was sent last has to be answered before anything is sent behind it: it ends a
    /// transaction, and what comes after that can't be taken back if the transaction is to be run
    /// again.
    ///
    /// That holds once the target has chosen a deadlock's victim in any session, or the log shows that it
    /// may: until then none need ever be chosen, and sending ahead is what makes a replay fast. Where
    /// statements take turns, the order does not let them start behind an end before which one may be
    /// chosen, so that what is left are statements that are refused for how they were prepared.
    pub(super) fn must_see_the_end(&self) -> bool {
        let statements = |sent: &&Sent| !matches!(sent.role, Role::Durations(_));
        let last = self.connection.sent.iter().rev().find(statements);
        let Some(Sent { role: Role::Whole(last, _), .. }) = last else { return false };
        let expects_victims = self.findings.expects_victims();
        let is_block = last.statement.outline.has(Command::ends_transaction);
        match self.settings.takes_turns {
            _ if expects_victims => is_block || self.ends_by_itself(),
            true => is_block && self.may_be_prepared_again(),
            false => false,
        }
    }

    /// Whether what was sent last is a statement of its own.
    fn ends_by_itself(&self) -> bool {
        let begins = |sent: &Sent| match &sent.role {
            Role::Whole(work, _) => work.statement.controls_transaction(),
            _ => false,
        };
        self.connection.status == Status::Idle && !self.connection.sent.iter().any(begins)
    }

    /// Whether something without an answer may be refused before it is executed, to be prepared in another
    /// way: for the types that are known of its text, or since a table has changed.
    fn may_be_prepared_again(&self) -> bool {
        let may_be_refused = |sent: &Sent| match &sent.role {
            Role::Whole(work, Content::Itself) => has_parameters(work) && !was_prepared(work),
            _ => false,
        };
        let is_named =
            |sent: &Sent| matches!(&sent.role, Role::Whole(work, _) if was_prepared(work));
        self.connection.sent.iter().any(may_be_refused)
            || self.may_have_stale_plans() && self.connection.sent.iter().any(is_named)
    }

    /// Whether the session's newest statement waits to be run, for the first time or again.
    pub(super) fn is_to_run(&self, newest: &Arc<Work>) -> bool {
        let undone = self.connection.undoing.iter().flat_map(|undoing| &undoing.works);
        let queued = self.queue.back().map(|queued| &queued.work);
        undone.chain(queued).any(|work| Arc::ptr_eq(work, newest))
    }
}

/// Whether a rollback leaves something that the statement did within a transaction, or running it
/// again would do more than that.
fn is_kept_by_rollback(statement: &Statement) -> bool {
    let outline = &statement.outline;
    outline.has(|command| matches!(command, Command::Deallocate | Command::Discard))
        // They are the session's, and count how often they were taken.
        || SESSION_LOCKS.iter().any(|lock| sql::mentions(&statement.sql, lock))
        // It began the transaction, and ended another one that is settled.
        || outline.has(Command::ends_transaction) && outline.single() != Some(Command::Chain)
}

/// What takes and gives back advisory locks that outlive a transaction.
const SESSION_LOCKS: [&str; 3] = ["pg_advisory_lock", "pg_try_advisory_lock", "pg_advisory_unlock"];

/// Whether a statement that failed may have committed part of what it did.
pub(super) fn may_have_committed(statement: &Statement, before: Status) -> bool {
    let parts = &statement.outline.parts;
    if parts.iter().rev().skip(1).any(|part| part.command.ends_transaction()) {
        return true;
    }
    if before != Status::Idle || parts.len() != 1 {
        return false;
    }
    let says = |word: &str| sql::after_keyword(&statement.sql, word).is_some();
    match &*sql::key(&statement.sql, 1) {
        "call" => true,
        // What its body does is a constant to the parser.
        "do" => {
            let body = statement.sql.to_ascii_lowercase();
            ["commit", "rollback", "call", "execute"].iter().any(|word| body.contains(word))
        }
        // They take several transactions.
        "create" | "drop" | "reindex" | "alter" | "refresh" => says("concurrently"),
        "vacuum" | "cluster" => true,
        _ => false,
    }
}

/// Whether the server refuses the statement in a transaction that has failed, or ends that by it.
fn is_refused_after_failure(statement: &Statement) -> bool {
    let first = statement.outline.parts.first();
    statement.only_ends_transaction()
        || !first.is_some_and(|part| part.command.ends_transaction())
            && !may_revive_transaction(statement)
}

/// Whether a transaction that has failed may go on with the statement: how those before it end has to
/// be known first.
pub(super) fn may_revive_transaction(statement: &Statement) -> bool {
    statement.outline.parts.first().is_some_and(|part| part.command == Command::Savepoint)
        && sql::key(&statement.sql, 1) == "rollback"
}

/// Whether the log is of a kind in which the target may choose victims that the source had not: its
/// sessions skip each other's rows, keep snapshots, or were victims on the source.
pub(super) fn shows_contention(work: &Work) -> bool {
    use SqlState as S;
    let SourceEnd::Failed(code) = work.end().source else { return work.statement.outline.contends };
    work.statement.outline.contends
        || matches!(code, S::DEADLOCK_DETECTED | S::SERIALIZATION_FAILURE)
}

fn has_parameters(work: &Work) -> bool {
    matches!(&work.statement.protocol, Protocol::Extended { parameters, .. } if !parameters.is_empty())
}

fn was_prepared(work: &Work) -> bool {
    matches!(&work.statement.protocol, Protocol::Extended { name, .. } if !name.is_empty())
}

/// The names of the statements that it has prepared, as far as is known.
fn prepared_by_sql(work: &Work) -> Vec<String> {
    if matches!(work.end().source, SourceEnd::Failed(_)) {
        return Vec::new();
    }
    let Statement { sql, outline, .. } = &work.statement;
    let parts = outline.parts.iter().filter(|part| part.command == Command::Prepare);
    parts.filter_map(|part| prepared_name(&sql[part.range.clone()])).collect()
}
