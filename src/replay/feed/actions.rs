//! What the feed asks for.

use std::sync::Arc;

use super::Notice;
use crate::label::Label as _;
use crate::pglog::{Malformed, RecordKind};
use crate::replay::intake::Delivery;
use crate::replay::intake::file_order::OutOfOrder;
use crate::replay::order::stall_watch::ReportedStall;
use crate::replay::session::Ended;
use crate::replay::work::{Position, Work};

/// What the source is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand<'a> {
    /// Records of all partitions except these, which are ahead of the others.
    Records {
        /// The partitions.
        except: &'a [i32],
    },
    /// What can't wait alone, such as a revocation: there is no room for records.
    ControlOnly {
        /// The partitions that are not read when there is room.
        except: &'a [i32],
    },
    /// Nothing more.
    Nothing,
}

/// What has to be done.
#[derive(Debug)]
pub enum FeedAction {
    /// Sessions get these, in the order of the log.
    Deliver(Vec<Delivery>),
    /// The source's server has ended all its sessions.
    CloseAll,
    /// Sessions get nothing more.
    InputEnded,
    /// Everything has been read and has ended.
    Done,
    /// [`Feed::demand`](super::Feed::demand) may say something else by now.
    DemandChanged,
    /// Keep a record that can't be read.
    KeepRejected {
        /// Where it stands.
        at: Position,
        /// What is wrong with it.
        malformed: Malformed,
        /// What it is counted as.
        reason: &'static str,
        /// The record.
        payload: Box<[u8]>,
    },
    /// Keep a plan of the source, as auto_explain writes it.
    KeepPlan {
        /// When it was logged, in Unix milliseconds.
        logged_ms: i64,
        /// A statement's text and its plan.
        text: Box<str>,
    },
    /// An operator should know this.
    Notice(Notice),
    /// The input shows that it can't be replayed.
    RefuseInput(InputFault),
    /// A statement failed where the source's had not, and that stops the replay.
    StopAt {
        /// The statement.
        work: Arc<Work>,
        /// How it ended.
        ended: Ended,
    },
    /// Nothing has ended for a while, and there is no room for more: find who waits for what has not
    /// been read.
    BreakStall,
    /// Nothing has ended for long: ask everybody what they wait for.
    ProbeStall {
        /// Which probe it is.
        probe: u64,
        /// Whether nothing more will be read.
        no_more: bool,
    },
    /// What everybody waits for, and what is done about it.
    ReportStall(ReportedStall),
    /// The stall that was reported is over.
    StallOver,
}

/// Why the input can't be replayed.
#[derive(Debug, Clone, PartialEq)]
pub enum InputFault {
    /// A file whose columns can't be told.
    Columns {
        /// Where that shows.
        at: Position,
        /// What is wrong with it.
        malformed: Malformed,
    },
    /// Files that are not one log.
    OutOfOrder(OutOfOrder),
}

/// What was counted since [`Feed::take_counts`](super::Feed::take_counts) was called last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FeedCounts {
    /// Records by what they are, in the order of [`RecordKind`].
    pub records: [u64; RecordKind::ALL.len()],
    /// Sessions that were joined after their beginning.
    pub joined_midway: u64,
    /// Gaps in the line numbers of sessions.
    pub sequence_gaps: u64,
    /// Records that came too late for their place among several partitions.
    pub merged_late: u64,
    /// Statements that were prepared again with guessed types.
    pub types_guessed: u64,
    /// Failed statements that may have drawn from sequences on the source.
    pub unknown_draws: u64,
    /// Times that reading went past the limit on what is in flight.
    pub limit_overrides: u64,
}
