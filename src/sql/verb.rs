//! What a statement does, coarsely, for those who count statements.

use strum::{IntoStaticStr, VariantArray};

use super::Command;

/// What a statement does: label `command`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Verb {
    /// `SELECT`, `VALUES`, `TABLE`, also behind `WITH`.
    Select,
    /// `INSERT`, also behind `WITH`, as the next three.
    Insert,
    /// `UPDATE`.
    Update,
    /// `DELETE`.
    Delete,
    /// `MERGE`.
    Merge,
    /// `BEGIN`, `START TRANSACTION`.
    Begin,
    /// `COMMIT`, `END`, `COMMIT PREPARED`.
    Commit,
    /// `ROLLBACK`, `ABORT`, `ROLLBACK PREPARED`; not `ROLLBACK TO`.
    Rollback,
    /// `SAVEPOINT`, `RELEASE`, `ROLLBACK TO`.
    Savepoint,
    /// `SET`, `RESET`.
    Set,
    /// `COPY`.
    Copy,
    /// `CREATE`, `ALTER`, `DROP`, `TRUNCATE`, `COMMENT`, `GRANT`, `REVOKE` and their like.
    Ddl,
    /// `CALL`, `DO`.
    CallOrDo,
    /// SQL's `PREPARE`, `EXECUTE`, `DEALLOCATE`.
    PrepareExecute,
    /// `DECLARE`, `FETCH`, `MOVE`, `CLOSE`.
    Cursor,
    /// Anything else.
    Other,
}

impl Verb {
    /// From a statement's first word, in lower case, what it commands, and the first word behind its
    /// `WITH` that tells.
    pub(super) fn of(first: &str, command: Command, behind_with: Option<Self>) -> Self {
        match first {
            "with" => behind_with.unwrap_or(Self::Other),
            "rollback" if command == Command::Savepoint => Self::Savepoint,
            "prepare" if command == Command::PrepareTransaction => Self::Other,
            "begin" | "start" => Self::Begin,
            "commit" | "end" => Self::Commit,
            "rollback" | "abort" => Self::Rollback,
            "savepoint" | "release" => Self::Savepoint,
            "set" | "reset" => Self::Set,
            "copy" => Self::Copy,
            "create" | "alter" | "drop" | "truncate" | "comment" | "grant" | "revoke"
            | "reindex" | "refresh" | "reassign" | "security" | "import" => Self::Ddl,
            "call" | "do" => Self::CallOrDo,
            "prepare" | "execute" | "deallocate" => Self::PrepareExecute,
            "declare" | "fetch" | "move" | "close" => Self::Cursor,
            word => Self::of_query(word).unwrap_or(Self::Other),
        }
    }

    /// The word that a query or a change of rows begins with, also behind `WITH`.
    pub(super) fn of_query(word: &str) -> Option<Self> {
        let verbs = [
            ("select", Self::Select),
            ("insert", Self::Insert),
            ("update", Self::Update),
            ("delete", Self::Delete),
            ("merge", Self::Merge),
            ("values", Self::Select),
            ("table", Self::Select),
        ];
        let known = verbs.iter().find(|(verb, _)| word.eq_ignore_ascii_case(verb));
        known.map(|(_, verb)| *verb)
    }
}

#[cfg(test)]
mod tests;
