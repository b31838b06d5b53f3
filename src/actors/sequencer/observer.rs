//! The connection that looks at the target from outside the sessions.

use crate::postgres::{Observer, Target};
use crate::replay::order::holders::LocksHeld;
use crate::replay::order::stalls::{LockSnapshot, Probe};
use crate::replay::settings::Login;

/// Where it is.
#[derive(Default)]
pub(super) enum ObserverState {
    #[default]
    Absent,
    Busy,
    /// The same, and then it is to be closed.
    Leaving,
    Ready(Observer),
}

impl ObserverState {
    /// Takes it for a question, if there is one.
    pub(super) fn take(&mut self) -> Option<Observer> {
        match std::mem::replace(self, Self::Busy) {
            Self::Ready(observer) if !observer.is_closed() => Some(observer),
            _ => None,
        }
    }

    /// It has answered.
    pub(super) fn keep(&mut self, observer: Observer) {
        *self = if matches!(self, Self::Leaving) { Self::Absent } else { Self::Ready(observer) };
    }

    /// It has failed, or could not be opened.
    pub(super) fn lost(&mut self) {
        *self = Self::Absent;
    }

    /// Nobody may be connected to its database.
    pub(super) fn leave(&mut self) {
        *self = match self {
            Self::Busy | Self::Leaving => Self::Leaving,
            Self::Absent | Self::Ready(_) => Self::Absent,
        };
    }
}

/// Asks whose locks backends wait for, over this connection or over a new one.
pub(super) async fn lock_snapshot(
    target: &Target,
    login: Option<Login>,
    observer: Option<Observer>,
    probe: Probe,
) -> Result<(Observer, LockSnapshot), String> {
    let observer = match observer {
        Some(observer) => observer,
        None => open(target, login).await?,
    };
    let snapshot = observer.lock_snapshot(probe).await.map_err(|error| error.to_string())?;
    Ok((observer, snapshot))
}

/// Asks who holds the locks that these backends wait for, over a connection of its own: another question
/// may be under way over the one that is kept.
pub(super) async fn locks_held(
    target: &Target,
    login: Option<Login>,
    backends: &[i32],
    is_ours: impl Fn(i32) -> bool,
) -> Result<LocksHeld, String> {
    if backends.is_empty() {
        return Ok(LocksHeld::default());
    }
    let observer = open(target, login).await?;
    observer.locks_held(backends, is_ours).await.map_err(|error| error.to_string())
}

/// Opens a connection that looks at the target.
pub(super) async fn open(target: &Target, login: Option<Login>) -> Result<Observer, String> {
    let login = login.ok_or("no session has logged in")?;
    target.observe(&login).await.map_err(|error| error.to_string())
}
