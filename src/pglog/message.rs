//! What a record's message says: a statement, a connection, a crash.
//!
//! Only the English messages are known (`lc_messages`). A message can be forged by `RAISE LOG`;
//! such a record has its `context` filled, which a genuine statement record never has, so the
//! caller looks at that first.

/// A message, with the duration in front of it taken off.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Logged<'a> {
    /// Milliseconds from `duration: X ms`.
    pub duration_ms: Option<f64>,
    /// The rest.
    pub event: LogEvent<'a>,
}

/// What a message reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogEvent<'a> {
    /// A simple query: its text, verbatim.
    Statement(&'a str),
    /// A Parse message: `NAME: TEXT`, for [`split_name`] or [`split_known`].
    Parse(&'a str),
    /// A Bind message: `NAME[/PORTAL]: TEXT`.
    Bind(&'a str),
    /// The first Execute message of a portal: `NAME[/PORTAL]: TEXT`.
    Execute(&'a str),
    /// A further Execute message of a suspended portal: `NAME[/PORTAL]: TEXT`.
    Fetch(&'a str),
    /// A function call by its OID; its arguments are never logged.
    Fastpath,
    /// A duration alone: the text was logged before, or not at all.
    BareDuration,
    /// A plan of auto_explain, in the format that it was told to use: what follows `plan:`.
    Plan(&'a str),
    /// A client has connected; user and database are not known yet.
    ConnectionReceived,
    /// The client has proved who it is.
    ConnectionAuthenticated,
    /// The session begins.
    ConnectionAuthorized,
    /// A replication connection begins: what it sends is not to be replayed.
    ReplicationAuthorized,
    /// The session has begun (PostgreSQL 18).
    ConnectionReady,
    /// The session has ended.
    Disconnection,
    /// The client has gone without a word (08006); a [`Disconnection`](Self::Disconnection)
    /// follows.
    UnexpectedEof,
    /// A backend has crashed: its session has no disconnection record.
    BackendCrash {
        /// Its process id.
        pid: Option<u32>,
    },
    /// Every session is over: the server has stopped, starts, or starts again after a crash.
    ServerRestart,
    /// Anything else.
    Other,
}

/// Reads a record's message.
pub fn read_message(message: &str) -> Logged<'_> {
    let Some((duration_ms, rest)) = split_duration(message) else {
        return Logged { duration_ms: None, event: undelayed_event(message) };
    };
    let event = match rest.strip_prefix("  ") {
        None if rest.is_empty() => LogEvent::BareDuration,
        None => return Logged { duration_ms: None, event: LogEvent::Other },
        Some(rest) => statement_event(rest).unwrap_or_else(|| {
            if let Some(rest) = rest.strip_prefix("parse ") {
                LogEvent::Parse(rest)
            } else if let Some(rest) = rest.strip_prefix("bind ") {
                LogEvent::Bind(rest)
            } else if let Some(rest) = rest.strip_prefix("plan:") {
                LogEvent::Plan(rest)
            } else {
                LogEvent::Other
            }
        }),
    };
    Logged { duration_ms: Some(duration_ms), event }
}

/// The number of `duration: X ms`, and what follows.
fn split_duration(message: &str) -> Option<(f64, &str)> {
    let (number, rest) = message.strip_prefix("duration: ")?.split_once(' ')?;
    let rest = rest.strip_prefix("ms")?;
    let plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    Some((number.parse().ok().filter(|_| plain)?, rest))
}

/// What stands behind a duration or, under `log_statement`, alone.
fn statement_event(text: &str) -> Option<LogEvent<'_>> {
    if let Some(statement) = text.strip_prefix("statement: ") {
        Some(LogEvent::Statement(statement))
    } else if let Some(rest) = text.strip_prefix("execute fetch from ") {
        Some(LogEvent::Fetch(rest))
    } else if let Some(rest) = text.strip_prefix("execute ") {
        Some(LogEvent::Execute(rest))
    } else if text.starts_with("fastpath function call: ") {
        Some(LogEvent::Fastpath)
    } else {
        None
    }
}

fn undelayed_event(message: &str) -> LogEvent<'_> {
    use LogEvent::{
        ConnectionAuthenticated, ConnectionAuthorized, ConnectionReady, ConnectionReceived,
        Disconnection, ReplicationAuthorized, ServerRestart, UnexpectedEof,
    };
    const BEGINNINGS: [(&str, LogEvent<'static>); 12] = [
        ("connection received: ", ConnectionReceived),
        ("connection authenticated: ", ConnectionAuthenticated),
        ("connection authorized: ", ConnectionAuthorized),
        ("replication connection authorized: ", ReplicationAuthorized),
        ("connection ready: ", ConnectionReady),
        ("disconnection: session time: ", Disconnection),
        ("unexpected EOF on client connection", UnexpectedEof),
        ("could not receive data from client: ", UnexpectedEof),
        ("connection to client lost", UnexpectedEof),
        ("all server processes terminated; reinitializing", ServerRestart),
        ("database system is shut down", ServerRestart),
        ("starting PostgreSQL ", ServerRestart),
    ];
    statement_event(message)
        .or_else(|| {
            let known = BEGINNINGS.iter().find(|(beginning, _)| message.starts_with(beginning));
            known.map(|&(_, event)| event)
        })
        .or_else(|| backend_crash(message))
        .unwrap_or(LogEvent::Other)
}

/// `server process (PID 24215) was terminated by signal 9: Killed`; from PostgreSQL 18 on
/// `client backend (PID …)`.
fn backend_crash(message: &str) -> Option<LogEvent<'_>> {
    let rest = message
        .strip_prefix("server process (PID ")
        .or_else(|| message.strip_prefix("client backend (PID "))?;
    let (pid, fate) = rest.split_once(") ")?;
    (fate.starts_with("was terminated by ") || fate.starts_with("exited with exit code "))
        .then(|| LogEvent::BackendCrash { pid: pid.parse().ok() })
}

/// `NAME[/PORTAL]: TEXT`, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Name<'a> {
    /// The statement's name; `None` for `<unnamed>`.
    pub statement: Option<&'a str>,
    /// The portal's name; `None` for the unnamed one.
    pub portal: Option<&'a str>,
    /// The statement's text, verbatim.
    pub text: &'a str,
}

/// How the unnamed statement is written.
const UNNAMED: &str = "<unnamed>";

/// Splits `NAME[/PORTAL]: TEXT` at the first `: ` and the name at its first `/`: right for every
/// name that holds neither. Where the text is known from the Parse record, [`split_known`] is
/// right for any name. `None` where there is no `: `.
pub fn split_name(rest: &str) -> Option<Name<'_>> {
    let (name, text) = rest.split_once(": ")?;
    let (statement, portal) = match name.split_once('/') {
        Some((statement, portal)) => (statement, Some(portal)),
        None => (name, None),
    };
    // No name is written as nothing.
    if statement.is_empty() {
        return None;
    }
    Some(Name { statement: Some(statement).filter(|&name| name != UNNAMED), portal, text })
}

/// Splits `NAME[/PORTAL]: TEXT` where it is that of a statement whose name (`""` for the unnamed
/// one) and text are known, since names may hold anything, colons and slashes included. `None`
/// where it is another statement's.
pub fn split_known<'a>(rest: &'a str, statement_name: &str, text: &str) -> Option<Name<'a>> {
    let written = if statement_name.is_empty() { UNNAMED } else { statement_name };
    let (head, found) = rest.split_at_checked(rest.len().checked_sub(text.len())?)?;
    if found != text {
        return None;
    }
    let (statement, portal) = head.strip_suffix(": ")?.split_at_checked(written.len())?;
    if statement != written {
        return None;
    }
    let portal = match portal.strip_prefix('/') {
        None if portal.is_empty() => None,
        None => return None,
        portal => portal,
    };
    Some(Name { statement: Some(statement).filter(|&name| name != UNNAMED), portal, text: found })
}

#[cfg(test)]
mod tests;
