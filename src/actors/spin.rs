//! Keeps a thread awake for a moment after it has sent something.
//!
//! A thread that sleeps until an answer comes is woken late: on an idle core that costs more than
//! what the answer is waited for. One that asks for answers over and over again has them at once, and
//! burns its core for it.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

thread_local! {
    /// Each thread has an event loop of its own, and keeps itself awake.
    static AWAKE: OnceCell<Rc<Awake>> = const { OnceCell::new() };
}

/// What keeps a thread's event loop from sleeping.
struct Awake {
    until: Cell<Instant>,
    again: Notify,
}

/// Keeps this thread's event loop polling instead of sleeping for at least as long as `spin` from
/// `now` on. To be called in an actor; zero changes nothing.
pub(super) fn stay_awake(now: Instant, spin: Duration) {
    if spin.is_zero() {
        return;
    }
    AWAKE.with(|awake| {
        let awake = awake.get_or_init(|| {
            let awake = Rc::new(Awake { until: Cell::new(now), again: Notify::new() });
            actix_rt::spawn(awake.clone().spin());
            awake
        });
        awake.until.set(now + spin);
        awake.again.notify_one();
    });
}

impl Awake {
    async fn spin(self: Rc<Self>) {
        loop {
            self.again.notified().await;
            while Instant::now() < self.until.get() {
                // Tokio looks for I/O and timers, without waiting for any, before it comes back.
                tokio::task::yield_now().await;
            }
        }
    }
}
