//! Exported snapshots: which statements export one, and which ask to see one.
//!
//! A snapshot's identifier is made of the exporting transaction's virtual id, which the log tells
//! (`virtual_transaction_id`), and of how many that transaction has exported: `00000003-0000001E-1`.
//! So it is since PostgreSQL 10.

use std::ops::Range;

use super::Command;
use super::Outline;
use super::lexer::{Lexer, Token, joined_parts};

/// A transaction's virtual id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct VirtualTransaction {
    backend: u32,
    local: u32,
}

impl VirtualTransaction {
    /// Reads the log's form, `3/30`; `3/0` is no transaction.
    pub fn parse(text: &str) -> Option<Self> {
        let (backend, local) = text.split_once('/')?;
        let local = local.parse().ok().filter(|local| *local > 0)?;
        Some(Self { backend: backend.parse().ok()?, local })
    }

    /// The identifier of the snapshot that the transaction exported as its `number`th, from 1.
    pub fn snapshot(self, number: u32) -> String {
        format!("{:08X}-{:08X}-{number}", self.backend, self.local)
    }
}

/// The number within its transaction of a snapshot, by its identifier; `None` if that is none.
pub fn snapshot_number(identifier: &str) -> Option<u32> {
    let mut parts = identifier.split('-');
    let (backend, local, number) = (parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |part: &str| {
        part.len() == 8 && part.bytes().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b))
    };
    let whole = is_hex(backend) && is_hex(local) && parts.next().is_none();
    number.parse().ok().filter(|_| whole)
}

/// A `SET TRANSACTION SNAPSHOT` in a string of statements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotImport {
    /// The snapshot's identifier; empty where it can't be read.
    pub identifier: String,
    /// Where its literal stands.
    pub literal: Range<usize>,
    /// Where the statement stands, without the semicolon.
    pub statement: Range<usize>,
}

/// The statements of a string that ask to see an exported snapshot, in their order.
pub fn snapshot_imports(sql: &str, outline: &Outline) -> Vec<SnapshotImport> {
    let sets = outline
        .parts
        .iter()
        .filter(|part| matches!(part.command, Command::Set | Command::SetLocal));
    sets.filter_map(|part| import(sql, part.range.clone())).collect()
}

fn import(sql: &str, statement: Range<usize>) -> Option<SnapshotImport> {
    let text = &sql[..statement.end];
    let mut tokens = Lexer::from(text, statement.start).peekable();
    let mut word = |word: &str| {
        let is = |(token, range): &(Token, Range<usize>)| {
            *token == Token::Word && text[range.clone()].eq_ignore_ascii_case(word)
        };
        tokens.next_if(is).is_some()
    };
    if !word("set") {
        return None;
    }
    if !word("local") {
        word("session");
    }
    if !(word("transaction") && word("snapshot")) {
        return None;
    }
    let (token, first) = tokens.next()?;
    // A literal's own escape character may stand behind it: UESCAPE.
    let end = tokens.last().map(|(_, range)| range.end);
    let literal = first.start..end.unwrap_or(first.end);
    let is_whole = token == Token::Text && end.is_none();
    let constant = joined_parts(&text[first]);
    let identifier = plain_text(&constant).filter(|_| is_whole).unwrap_or_default().to_owned();
    Some(SnapshotImport { identifier, literal, statement })
}

/// What a string constant holds, if nothing in it is escaped: no identifier needs that.
fn plain_text(literal: &str) -> Option<&str> {
    let quoted = literal.trim_start_matches(['e', 'E', 'u', 'U', '&']);
    let inner = match quoted.as_bytes().first()? {
        b'$' => {
            let tag = quoted[1..].find('$')? + 2;
            quoted.get(tag..quoted.len().checked_sub(tag)?)?
        }
        _ => quoted.strip_prefix('\'')?.strip_suffix('\'')?,
    };
    (!inner.contains(['\\', '\''])).then_some(inner)
}

#[cfg(test)]
mod tests;
