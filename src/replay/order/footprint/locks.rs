//! Locks on whole tables, and which of them are in each other's way.

use super::Table;

/// A mode of PostgreSQL's table-level locks, the weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LockMode {
    /// What a query takes on the tables that it reads.
    AccessShare,
    /// What `SELECT … FOR UPDATE` and the like take.
    RowShare,
    /// What INSERT, UPDATE, DELETE and MERGE take on the table that they change.
    RowExclusive,
    /// What VACUUM and ANALYZE take.
    ShareUpdateExclusive,
    /// `LOCK TABLE … IN SHARE MODE`.
    Share,
    /// `LOCK TABLE … IN SHARE ROW EXCLUSIVE MODE`.
    ShareRowExclusive,
    /// `LOCK TABLE … IN EXCLUSIVE MODE`.
    Exclusive,
    /// `LOCK TABLE` without a mode.
    AccessExclusive,
}

impl LockMode {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::AccessShare,
        Self::RowShare,
        Self::RowExclusive,
        Self::ShareUpdateExclusive,
        Self::Share,
        Self::ShareRowExclusive,
        Self::Exclusive,
        Self::AccessExclusive,
    ];

    /// The mode that PostgreSQL's grammar gives this number.
    pub(super) fn numbered(number: i32) -> Option<Self> {
        let at = usize::try_from(number).ok()?.checked_sub(1)?;
        Self::ALL.get(at).copied()
    }

    /// The modes that nobody else may hold on the table meanwhile: PostgreSQL's table of conflicting
    /// lock modes.
    pub fn conflicts(self) -> &'static [Self] {
        use LockMode::*;
        match self {
            AccessShare => &[AccessExclusive],
            RowShare => &[Exclusive, AccessExclusive],
            RowExclusive => &[Share, ShareRowExclusive, Exclusive, AccessExclusive],
            ShareUpdateExclusive => {
                &[ShareUpdateExclusive, Share, ShareRowExclusive, Exclusive, AccessExclusive]
            }
            Share => {
                &[RowExclusive, ShareUpdateExclusive, ShareRowExclusive, Exclusive, AccessExclusive]
            }
            ShareRowExclusive => &[
                RowExclusive,
                ShareUpdateExclusive,
                Share,
                ShareRowExclusive,
                Exclusive,
                AccessExclusive,
            ],
            Exclusive => &[
                RowShare,
                RowExclusive,
                ShareUpdateExclusive,
                Share,
                ShareRowExclusive,
                Exclusive,
                AccessExclusive,
            ],
            AccessExclusive => &Self::ALL,
        }
    }

    /// Whether no other lock of its kind is in its way: what queries and changes of rows take.
    pub fn is_weak(self) -> bool {
        self <= Self::RowExclusive
    }
}

/// A lock that a statement takes on a table and holds to the end of its transaction.
///
/// Only those that it surely takes, since others wait for that end: tables that its own text names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableLock {
    /// The very table: a partition does not stand for its root here.
    pub relation: Table,
    /// How.
    pub mode: LockMode,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_in_the_way_of_another_has_it_in_its_own() {
        for one in LockMode::ALL {
            for other in LockMode::ALL {
                let conflict = one.conflicts().contains(&other);
                assert_eq!(other.conflicts().contains(&one), conflict, "{one:?}, {other:?}");
            }
        }
    }

    #[test]
    fn conflicts_are_those_of_postgresql_s_documentation() {
        // From its "Conflicting Lock Modes": a row for each mode that is requested.
        let rows = [
            ".......X", "......XX", "....XXXX", "...XXXXX", "..XX.XXX", "..XXXXXX", ".XXXXXXX",
            "XXXXXXXX",
        ];
        for (mode, row) in LockMode::ALL.into_iter().zip(rows) {
            let held = |held: LockMode| if mode.conflicts().contains(&held) { 'X' } else { '.' };
            assert_eq!(LockMode::ALL.map(held).iter().collect::<String>(), row, "{mode:?}");
        }
    }

    #[test]
    fn the_grammar_counts_modes_from_one() {
        assert_eq!(LockMode::numbered(1), Some(LockMode::AccessShare));
        assert_eq!(LockMode::numbered(8), Some(LockMode::AccessExclusive));
        assert_eq!([0, 9, -1].map(LockMode::numbered), [None; 3]);
    }
}
