//! What a session sends to its connection.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use crate::replay::session::context::Restore;
use crate::replay::work::Work;

/// Where a connection stands with regard to transactions, as the server tells with every answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum TransactionStatus {
    /// No transaction is open.
    #[default]
    Idle,
    /// A transaction is open.
    InTransaction,
    /// A transaction is open and aborted: everything but its end is refused with 25P02.
    Failed,
}

/// The values of one row as text; `None` stands for a NULL.
pub type ResultRow = Vec<Option<Box<str>>>;

/// How long the server took for a request, as far as its client can tell.
///
/// It begins when the request is written or, if that is later, when the answers before it were read;
/// it ends when the last of its own answer was read. The way to the server and back is in it where
/// nothing was under way before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Took {
    /// It was not longer than this.
    pub at_most: Duration,
    /// How many answers came in one read and share this time between them: how much of it each took
    /// can't be told.
    pub together: u32,
    /// The server's own figure, taken where its log takes that of a statement: the sum of what it says
    /// for the Parse, Bind and Execute. `None` where it says none.
    pub on_server: Option<Duration>,
}

impl Took {
    /// An even share of the time.
    pub fn share(self) -> Duration {
        self.at_most / self.together.max(1)
    }

    /// It was not shorter than this, where the way to the server and back takes `round_trip`.
    pub fn at_least(self, round_trip: Duration) -> Duration {
        if self.together > 1 { Duration::ZERO } else { self.at_most.saturating_sub(round_trip) }
    }
}

/// One request: what gets one answer.
#[derive(Debug, Clone)]
pub enum Request {
    /// kreplay's own text, as a simple query.
    Text(Cow<'static, str>),
    /// A statement's text as a simple query.
    Simple(Arc<Work>),
    /// A statement by Parse, Bind and Execute.
    Extended {
        /// The statement.
        work: Arc<Work>,
        /// Whether and how it is prepared.
        parse: ParseMode,
        /// The parameters' types by object id; empty where the server infers them.
        types: Vec<u32>,
    },
    /// A statement that failed on the source, by Parse, Bind and Execute between two of kreplay's own:
    /// it is run within limits, and undone by its failure.
    DrawOnly {
        /// The statement.
        work: Arc<Work>,
        /// The parameters' types by object id; empty where the server infers them.
        types: Vec<u32>,
        /// What limits it.
        limits: Box<str>,
        /// What fails as it did on the source.
        failure: Box<str>,
    },
    /// A statement by Parse alone.
    ParseOnly(Arc<Work>),
    /// A statement by Parse and Bind.
    BindOnly(Arc<Work>),
    /// A query of kreplay's own whose rows are wanted.
    Inspect(Box<str>),
    /// Part of a session's context on a new connection.
    Restore(Restore),
    /// Another request as part of a pipeline, by messages of the extended protocol: an implicit
    /// transaction that a Sync ends.
    Pipelined {
        /// What is sent.
        request: Box<Self>,
        /// Whether a Sync follows. Otherwise the transaction status is not told with the answer, and
        /// after an error the server skips everything up to a Sync.
        syncs: bool,
    },
    /// The Sync that ends a pipeline.
    Sync,
}

impl Request {
    /// The statement that it is for, if any.
    pub fn work(&self) -> Option<&Arc<Work>> {
        match self {
            Self::Simple(work)
            | Self::ParseOnly(work)
            | Self::BindOnly(work)
            | Self::Extended { work, .. }
            | Self::DrawOnly { work, .. } => Some(work),
            Self::Pipelined { request, .. } => request.work(),
            Self::Text(_) | Self::Inspect(_) | Self::Restore(_) | Self::Sync => None,
        }
    }

    /// Whether its statement is run for what it draws alone: limits of its own end it.
    pub fn draws_only(&self) -> bool {
        match self {
            Self::Pipelined { request, .. } => request.draws_only(),
            request => matches!(request, Self::DrawOnly { .. }),
        }
    }
}

/// How an extended statement is prepared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParseMode {
    /// As the unnamed statement.
    Unnamed,
    /// Under its name, after closing what may have had that name.
    Named,
    /// It already is, under its name.
    Prepared,
}

impl PartialEq for Request {
    /// Two requests are equal if they send the same thing for the same statement.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Simple(a), Self::Simple(b))
            | (Self::ParseOnly(a), Self::ParseOnly(b))
            | (Self::BindOnly(a), Self::BindOnly(b)) => Arc::ptr_eq(a, b),
            (
                Self::Extended { work: a, parse: parse_a, types: types_a },
                Self::Extended { work: b, parse: parse_b, types: types_b },
            ) => Arc::ptr_eq(a, b) && parse_a == parse_b && types_a == types_b,
            (
                Self::DrawOnly { work: a, types: types_a, limits: limits_a, failure: failure_a },
                Self::DrawOnly { work: b, types: types_b, limits: limits_b, failure: failure_b },
            ) => {
                let same = (types_a, limits_a, failure_a) == (types_b, limits_b, failure_b);
                Arc::ptr_eq(a, b) && same
            }
            (Self::Restore(a), Self::Restore(b)) => a == b,
            (
                Self::Pipelined { request: a, syncs: syncs_a },
                Self::Pipelined { request: b, syncs: syncs_b },
            ) => a == b && syncs_a == syncs_b,
            (Self::Sync, Self::Sync) => true,
            (Self::Inspect(a), Self::Inspect(b)) => a == b,
            _ => false,
        }
    }
}
