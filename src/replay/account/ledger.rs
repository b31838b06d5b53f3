//! What became of every record: nothing that was read may disappear without a word.
//!
//! The ledger balances at all times:
//! consumed = replayed + failed + filtered + skipped + rejected + given up + pending.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use strum::VariantNames as _;

use crate::label::Label as _;
use crate::pglog::Malformed;

/// Defines an enum of reasons whose documentation is also their meaning for people.
macro_rules! reasons {
    (
        $(#[doc = $about:literal])+
        $name:ident { $($(#[doc = $meaning:literal])+ $variant:ident,)+ }
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[derive(strum::Display, strum::IntoStaticStr, strum::VariantArray)]
        #[strum(serialize_all = "snake_case")]
        pub enum $name {
            $($(#[doc = $meaning])+ $variant,)+
        }

        impl $name {
            /// What the reason says, in a sentence.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($meaning),+).trim_ascii(),)+ }
            }
        }
    };
}

reasons! {
    /// Why a record was left out on purpose: nothing is missing on the target for it.
    Filtered {
        /// The record is no statement: a checkpoint, a notice, the plan of a function's statement.
        Noise,
        /// A plan of auto_explain: it is for the report.
        Plan,
        /// A parse, bind, fetch or bare duration that belongs to a statement told by another record.
        Protocol,
        /// The names of the columns: the first line of an exported log.
        Header,
        /// The record only tells how an earlier statement ended.
        Outcome,
        /// The session began, was authorized or ended.
        Connection,
        /// The session's database is not among those of --source-db.
        OtherDatabase,
        /// A statement that only reads, under --skip-selects.
        Select,
        /// Written before the moment of --after.
        BeforeStartTime,
        /// Among the first statements, which --skip-count leaves out.
        SkipCount,
        /// A repeat of a record that was read already (by its session_line_num).
        Duplicate,
        /// Replayed by an earlier run, before the restart.
        AlreadyDone,
        /// Of a partition that the consumer group gave to another kreplay, which replays it.
        HandedOver,
        /// A parallel worker's copy of its leader's statement.
        ParallelWorker,
        /// A statement that would have been sent, under --dry-run.
        DryRun,
    }
}

reasons! {
    /// Why a statement could not be replayed: something may be missing on the target for it.
    Skipped {
        /// The rows of a COPY are not in the log.
        CopyData,
        /// The text of the statement or of a parameter was cut off.
        Truncated,
        /// A function called through the fast-path interface: its arguments are not in the log.
        Fastpath,
        /// A command of a replication connection.
        Replication,
        /// A duration without the text it belongs to.
        NoText,
        /// A cancel or terminate of a backend that is none of the replayed sessions.
        UnknownPid,
        /// A SET TRANSACTION SNAPSHOT whose snapshot no replayed transaction has exported.
        UnknownSnapshot,
        /// The source's server ended the session in the middle of the statement.
        SourceTerminated,
    }
}

reasons! {
    /// Why kreplay stopped trying to bring a statement to its end.
    GivenUp {
        /// No connection could be had for its session.
        ConnectFailed,
        /// Each time it ran, its connection was lost.
        ConnectionLost,
        /// Nothing went on for --stall-timeout, and it was what everything waited for.
        Stalled,
    }
}

/// What became of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Fate {
    /// The statement ran, and the target's outcome is the source's or better.
    Replayed,
    /// The statement ran and failed where the source had not, or otherwise than there.
    Failed,
    /// Left out on purpose.
    Filtered(Filtered),
    /// Could not be replayed.
    Skipped(Skipped),
    /// Could not be read; the label names what is wrong with it and comes from a fixed set.
    Rejected(&'static str),
    /// Not brought to its end.
    GivenUp(GivenUp),
}

impl Fate {
    /// What becomes of a payload that holds no record.
    pub fn of_unreadable(malformed: &Malformed) -> Self {
        match malformed {
            Malformed::Header => Self::Filtered(Filtered::Header),
            _ => Self::Rejected(malformed.reason()),
        }
    }

    /// The value of the label `fate` in the metrics.
    pub fn label(self) -> &'static str {
        self.into()
    }

    /// The reason, where the fate has one.
    pub fn reason(self) -> Option<&'static str> {
        match self {
            Self::Replayed | Self::Failed => None,
            Self::Filtered(reason) => Some(reason.label()),
            Self::Skipped(reason) => Some(reason.label()),
            Self::Rejected(reason) => Some(reason),
            Self::GivenUp(reason) => Some(reason.label()),
        }
    }
}

/// The running account: every record enters once through [`Ledger::consumed`] and leaves once
/// through [`Ledger::settle`].
///
/// Sums are never stored beside their parts, so no two numbers in here can contradict each other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    consumed: u64,
    replayed: u64,
    failed: u64,
    filtered: [u64; Filtered::ALL.len()],
    skipped: [u64; Skipped::ALL.len()],
    /// A map, since what can be wrong with a record is the parser's to name; it stays small.
    rejected: BTreeMap<&'static str, u64>,
    given_up: [u64; GivenUp::ALL.len()],
    double_settled: u64,
}

impl Ledger {
    /// An account with nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes that `records` were read; they are pending from now on.
    pub fn consume(&mut self, records: u64) {
        self.consumed += records;
    }

    /// Notes what became of one pending record.
    pub fn settle(&mut self, fate: Fate) {
        self.settle_many(fate, 1);
    }

    /// Notes what became of several pending records at once.
    ///
    /// More than were pending are not entered but counted as [`Ledger::double_settled`]: a record
    /// that is settled twice is a mistake that must not hide as a balance of zero.
    pub fn settle_many(&mut self, fate: Fate, records: u64) {
        let entered = records.min(self.pending());
        self.double_settled += records - entered;
        *match fate {
            Fate::Replayed => &mut self.replayed,
            Fate::Failed => &mut self.failed,
            Fate::Filtered(reason) => &mut self.filtered[reason as usize],
            Fate::Skipped(reason) => &mut self.skipped[reason as usize],
            // No entry for nothing, or a ledger would differ from its equal.
            Fate::Rejected(_) if entered == 0 => return,
            Fate::Rejected(reason) => self.rejected.entry(reason).or_default(),
            Fate::GivenUp(reason) => &mut self.given_up[reason as usize],
        } += entered;
    }

    /// How many records were read.
    pub fn consumed(&self) -> u64 {
        self.consumed
    }

    /// How many records have met their fate.
    pub fn settled(&self) -> u64 {
        self.by_fate().iter().map(|(_, records)| records).sum()
    }

    /// How many records have been read and not yet settled.
    pub fn pending(&self) -> u64 {
        self.consumed - self.settled()
    }

    /// How many records were settled that were not pending. Anything but 0 is a defect of kreplay.
    pub fn double_settled(&self) -> u64 {
        self.double_settled
    }

    /// Whether consumed = settled + pending with nothing settled twice.
    pub fn balances(&self) -> bool {
        self.double_settled == 0 && self.consumed == self.settled() + self.pending()
    }

    /// How many records met each fate, with the label of the fate, in the order of
    /// [`Fate::VARIANTS`].
    pub fn by_fate(&self) -> [(&'static str, u64); 6] {
        let counts = [
            self.replayed,
            self.failed,
            self.filtered.iter().sum(),
            self.skipped.iter().sum(),
            self.rejected.values().sum(),
            self.given_up.iter().sum(),
        ];
        std::array::from_fn(|index| (Fate::VARIANTS[index], counts[index]))
    }

    /// How many records met this very fate, reason included.
    pub fn count(&self, fate: Fate) -> u64 {
        match fate {
            Fate::Replayed => self.replayed,
            Fate::Failed => self.failed,
            Fate::Filtered(reason) => self.filtered[reason as usize],
            Fate::Skipped(reason) => self.skipped[reason as usize],
            Fate::Rejected(reason) => self.rejected.get(reason).copied().unwrap_or_default(),
            Fate::GivenUp(reason) => self.given_up[reason as usize],
        }
    }

    /// Every fate that has a reason, with its count, zeros included (for rejected records: the
    /// reasons that have occurred).
    pub fn by_reason(&self) -> impl Iterator<Item = (Fate, u64)> + '_ {
        let filtered = Filtered::ALL.iter().map(|&reason| Fate::Filtered(reason));
        let skipped = Skipped::ALL.iter().map(|&reason| Fate::Skipped(reason));
        let rejected = self.rejected.keys().map(|&reason| Fate::Rejected(reason));
        let given_up = GivenUp::ALL.iter().map(|&reason| Fate::GivenUp(reason));
        let fates = filtered.chain(skipped).chain(rejected).chain(given_up);
        fates.map(|fate| (fate, self.count(fate)))
    }

    /// How many records were lost, by reason: `2 rejected (torn 2), 1 given up (connect_failed 1)`. `None` where none was.
    pub fn losses(&self) -> Option<String> {
        let mut losses = Vec::new();
        for (fate, records) in self.by_fate() {
            if records == 0 || !matches!(fate, "rejected" | "given_up") {
                continue;
            }
            let reasons = self.by_reason().filter(|(of, n)| of.label() == fate && *n > 0);
            let reasons = reasons.map(|(of, n)| format!("{} {n}", of.reason().unwrap_or_default()));
            let (fate, reasons) = (fate.replace('_', " "), reasons.collect::<Vec<_>>().join(", "));
            losses.push(format!("{records} {fate} ({reasons})"));
        }
        (!losses.is_empty()).then(|| losses.join(", "))
    }

    /// The summary of a run as an aligned table, one line a fate, its reasons indented below it.
    pub fn summary(&self) -> String {
        let mut rows = vec![("consumed".to_owned(), self.consumed)];
        for (fate, records) in self.by_fate() {
            rows.push((format!("  {}", fate.replace('_', " ")), records));
            let reasons = self.by_reason().filter(|(of, n)| of.label() == fate && *n > 0);
            for (of, records) in reasons {
                rows.push((format!("    {}", of.reason().unwrap_or_default()), records));
            }
        }
        rows.push(("  pending".to_owned(), self.pending()));

        let names = rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        let digits = self.consumed.to_string().len();
        let mut text = String::new();
        for (name, records) in rows {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name:names$}  {records:>digits$}");
        }
        if !self.balances() {
            let _ = writeln!(
                text,
                "DOES NOT BALANCE: {} records were settled twice",
                self.double_settled
            );
        }
        text
    }
}

/// `{"consumed": n, "replayed": n, "failed": n, "filtered": {"total": n, "reasons": {…}}, …,
/// "pending": n, "balances": true}`.
impl Serialize for Ledger {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct WithReasons {
            total: u64,
            reasons: BTreeMap<&'static str, u64>,
        }

        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("consumed", &self.consumed)?;
        for (fate, total) in self.by_fate() {
            if matches!(fate, "replayed" | "failed") {
                map.serialize_entry(fate, &total)?;
                continue;
            }
            let reasons = self
                .by_reason()
                .filter(|(of, _)| of.label() == fate)
                .filter_map(|(of, records)| Some((of.reason()?, records)))
                .collect();
            map.serialize_entry(fate, &WithReasons { total, reasons })?;
        }
        map.serialize_entry("pending", &self.pending())?;
        map.serialize_entry("balances", &self.balances())?;
        map.end()
    }
}

#[cfg(test)]
mod tests;
