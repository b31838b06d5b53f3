//! Who the bottleneck is, looked at every second.

use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::{Handle, RuntimeMetrics};

use crate::replay::account::bottleneck::{Bottleneck, Sample, Shares};
use crate::replay::pace::Moment;
use crate::replay::session::waits::Waits;

/// The threads whose event loops carry the replay. Cheap to clone: all are the same list.
#[derive(Debug, Clone, Default)]
pub(crate) struct Threads(Arc<Mutex<Vec<RuntimeMetrics>>>);

impl Threads {
    /// Adds the thread that this is called on, in its event loop.
    pub(crate) fn add_this(&self) {
        let mut threads = self.0.lock();
        threads.push(Handle::current().metrics());
    }

    /// For how long each has been busy, not waiting for anything to happen.
    fn busy(&self) -> Vec<Duration> {
        let threads = self.0.lock();
        threads.iter().map(|thread| thread.worker_total_busy_duration(0)).collect()
    }
}

/// Looks at what the replay is bound by.
#[derive(Debug)]
pub(crate) struct Load {
    threads: Threads,
    began: Instant,
    bottleneck: Bottleneck,
}

impl Load {
    /// Nothing looked at yet, of a replay that began then.
    pub(crate) fn new(threads: Threads, began: Instant) -> Self {
        Self { threads, began, bottleneck: Bottleneck::default() }
    }

    /// Looks once more. `empty` is for how long no statement has been in flight so far, `waits` what
    /// statements have waited for so far. Returns who the last minute was bound by;
    /// `None` the first time.
    pub(crate) fn look(&mut self, empty: Duration, waits: Waits) -> Option<Shares> {
        let at = Moment::after(self.began.elapsed());
        self.bottleneck.take(Sample { at, busy: self.threads.busy(), empty, waits });
        self.bottleneck.shares()
    }
}
