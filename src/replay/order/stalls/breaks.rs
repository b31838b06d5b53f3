//! How stalls are broken, for those who count them.

use strum::{IntoStaticStr, VariantArray};

/// How a statement that waited for a lock was freed: label `reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum StallBreak {
    /// The blocker's COMMIT or ROLLBACK, its next record, ran early.
    EarlyEnd,
    /// A statement that waited for such an early end, behind which it began on the source, was
    /// canceled before and runs again behind it; or it had failed on the target alone for what that end
    /// frees.
    RunAgain,
    /// The blocker's session went on alone until the lock was free.
    EarlyAdvance,
    /// The blocker had no record left: its connection was closed.
    BlockerClosed,
    /// Nothing had ended for --stall-timeout: what everything waited for was given up, or not waited
    /// for any longer.
    GivenUp,
}
