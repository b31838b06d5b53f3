//! Which backend of the target serves which session of the source.

use parking_lot::Mutex;
use std::collections::HashMap;

use foldhash::HashSet;

use crate::pglog::SessionId;
use crate::sql::{self, Signal};

/// The open connections by both process ids. Shared by the sessions, of which one may signal
/// another; a lock that is held for a look-up.
#[derive(Debug, Default)]
pub struct Backends {
    maps: Mutex<Maps>,
}

#[derive(Debug, Default)]
struct Maps {
    /// By the process id on the source. Process ids come again, but not while their session lives.
    target: HashMap<u32, i32>,
    session: HashMap<i32, SessionId>,
}

impl Backends {
    /// The session is served by this backend of the target from now on.
    pub fn connected(&self, session: SessionId, target_pid: i32) {
        let mut maps = self.maps.lock();
        maps.target.insert(session.pid, target_pid);
        maps.session.insert(target_pid, session);
    }

    /// The backend is gone.
    pub fn disconnected(&self, session: SessionId, target_pid: i32) {
        let mut maps = self.maps.lock();
        maps.session.remove(&target_pid);
        if maps.target.get(&session.pid) == Some(&target_pid) {
            maps.target.remove(&session.pid);
        }
    }

    /// The session that a backend of the target serves.
    pub fn session(&self, target_pid: i32) -> Option<SessionId> {
        self.maps.lock().session.get(&target_pid).copied()
    }

    /// The sessions that are connected.
    pub fn sessions(&self) -> HashSet<SessionId> {
        self.maps.lock().session.values().copied().collect()
    }

    /// How many connections are open.
    pub fn len(&self) -> usize {
        self.maps.lock().session.len()
    }

    /// Whether no connection is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The text with the target's process ids in its calls of `pg_cancel_backend` and
    /// `pg_terminate_backend`; `None` where one of them names no replayed session: sent as it is, it
    /// would hit a stranger.
    pub fn rewrite_backend_pids(&self, sql: &str) -> Option<String> {
        let maps = self.maps.lock();
        let mut rewritten = String::with_capacity(sql.len() + 8);
        let mut copied = 0;
        for signal in sql::signals(sql) {
            match signal {
                Signal::Own => {}
                Signal::Unknown => return None,
                Signal::Pid(source, range) => {
                    let target = maps.target.get(&source)?;
                    rewritten.push_str(&sql[copied..range.start]);
                    rewritten.push_str(&target.to_string());
                    copied = range.end;
                }
            }
        }
        rewritten.push_str(&sql[copied..]);
        Some(rewritten)
    }
}

#[cfg(test)]
mod tests;
