//! What a statement commands.

use std::ops::Range;

use super::verb::Verb;

/// What a statement commands, as far as a replay treats it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Command {
    /// `BEGIN`, `START TRANSACTION`.
    Begin,
    /// `COMMIT`, `END`, without a chain.
    Commit,
    /// `ROLLBACK`, `ABORT`, without a chain.
    Rollback,
    /// `COMMIT AND CHAIN`, `ROLLBACK AND CHAIN`: ends a transaction and begins the next.
    Chain,
    /// `PREPARE TRANSACTION`: the transaction leaves its session.
    PrepareTransaction,
    /// `COMMIT PREPARED`, `ROLLBACK PREPARED`.
    FinishPrepared,
    /// `SAVEPOINT`, `RELEASE`, `ROLLBACK TO`.
    Savepoint,
    /// `SET`, `RESET`: changes a setting of the session.
    Set,
    /// `SET LOCAL`, `SET TRANSACTION`, `SET CONSTRAINTS`: ends with the transaction.
    SetLocal,
    /// `DISCARD`.
    Discard,
    /// `PREPARE name AS …`.
    Prepare,
    /// `DEALLOCATE`.
    Deallocate,
    /// `LISTEN`.
    Listen,
    /// `UNLISTEN`.
    Unlisten,
    /// `COPY … FROM STDIN` (or `STDOUT`, which the grammar takes for it): needs data that no log holds.
    CopyFromStdin,
    /// Reads and nothing else, as far as its words tell: `SELECT` without `INTO`, `FOR UPDATE` or a
    /// function known to write; `SHOW`, `VALUES`, `TABLE`, `EXPLAIN` without `ANALYZE`.
    Read,
    /// `SELECT set_config(…)` and its like: changes a setting of the session.
    SetConfig,
    /// Anything else.
    Other,
}

impl Command {
    /// Whether it opens or ends a transaction block.
    pub fn controls_transaction(self) -> bool {
        matches!(
            self,
            Self::Begin | Self::Commit | Self::Rollback | Self::Chain | Self::PrepareTransaction
        )
    }

    /// Whether it ends a transaction block.
    pub fn ends_transaction(self) -> bool {
        matches!(self, Self::Commit | Self::Rollback | Self::Chain | Self::PrepareTransaction)
    }

    /// Whether it sets up something that later statements of its session may rely on.
    pub fn sets_up_session(self) -> bool {
        use Command::{Deallocate, Discard, Listen, Prepare, Set, SetConfig, Unlisten};
        matches!(self, Set | SetConfig | Prepare | Deallocate | Discard | Listen | Unlisten)
    }
}

/// One statement of a string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Where it stands, without the semicolon.
    pub range: Range<usize>,
    /// What it commands.
    pub command: Command,
    /// What it is counted as.
    pub verb: Verb,
}
