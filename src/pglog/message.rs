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
    /// A plan of auto_explain.
    Plan,
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
            } else if rest.starts_with("plan:") {
                LogEvent::Plan
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
mod tests {
    use super::*;
    use LogEvent::{
        BackendCrash, BareDuration, Bind, Execute, Fastpath, Fetch, Other, Parse, Plan, Statement,
    };

    fn event(message: &str) -> LogEvent<'_> {
        read_message(message).event
    }

    #[test]
    fn a_statement_is_verbatim_with_and_without_a_duration() {
        assert_eq!(
            read_message("duration: 0.190 ms  statement:   select 1;\r\n-- ü "),
            Logged { duration_ms: Some(0.19), event: Statement("  select 1;\r\n-- ü ") }
        );
        assert_eq!(
            read_message("statement: savepoint a;"),
            Logged { duration_ms: None, event: Statement("savepoint a;") }
        );
        assert_eq!(event("statement: "), Statement(""));
    }

    #[test]
    fn the_extended_protocols_messages_are_told_apart() {
        let of = |rest: &str| format!("duration: 0.031 ms  {rest}");
        assert_eq!(event(&of("parse S_1: select 1")), Parse("S_1: select 1"));
        assert_eq!(event(&of("bind S_1/C_5: select 1")), Bind("S_1/C_5: select 1"));
        assert_eq!(event(&of("execute S_1: select 1")), Execute("S_1: select 1"));
        assert_eq!(event("execute S_3: insert"), Execute("S_3: insert"));
        assert_eq!(
            event(&of("execute fetch from <unnamed>/C_5: select id")),
            Fetch("<unnamed>/C_5: select id")
        );
        assert_eq!(event(&of("fastpath function call: \"random\" (OID 1598)")), Fastpath);
        assert_eq!(event("fastpath function call: \"random\" (OID 1598)"), Fastpath);
    }

    #[test]
    fn a_duration_alone_and_a_plan_are_no_statements() {
        assert_eq!(
            read_message("duration: 1.929 ms"),
            Logged { duration_ms: Some(1.929), event: BareDuration }
        );
        assert_eq!(event("duration: 1.0 ms  plan:\nQuery Text: select 1"), Plan);
        assert_eq!(event("duration: 1.0 ms and more"), Other);
        assert_eq!(event("duration: inf ms  statement: select 1"), Other);
        assert_eq!(event("parse error"), Other);
        assert_eq!(event(""), Other);
    }

    #[test]
    fn the_frame_of_a_session_is_recognised() {
        for (message, expected) in [
            ("connection received: host=127.0.0.1 port=58916", LogEvent::ConnectionReceived),
            (
                "connection authenticated: user=\"app\" method=trust (pg_hba.conf:119)",
                LogEvent::ConnectionAuthenticated,
            ),
            ("connection authorized: user=app database=app", LogEvent::ConnectionAuthorized),
            ("replication connection authorized: user=r", LogEvent::ReplicationAuthorized),
            ("connection ready: setup total=2.011 ms, fork=0.3 ms", LogEvent::ConnectionReady),
            (
                "disconnection: session time: 0:00:00.185 user=app database=app host=[local]",
                LogEvent::Disconnection,
            ),
            (
                "unexpected EOF on client connection with an open transaction",
                LogEvent::UnexpectedEof,
            ),
        ] {
            assert_eq!(event(message), expected, "{message}");
        }
    }

    #[test]
    fn a_crash_names_the_backend_and_a_restart_ends_all_sessions() {
        assert_eq!(
            event("server process (PID 24215) was terminated by signal 9: Killed"),
            BackendCrash { pid: Some(24215) }
        );
        assert_eq!(
            event("client backend (PID 77) exited with exit code 2"),
            BackendCrash { pid: Some(77) }
        );
        assert_eq!(event("server process (PID 1) is fine"), Other);
        for message in [
            "all server processes terminated; reinitializing",
            "database system is shut down",
            "starting PostgreSQL 15.20 on x86_64-pc-linux-gnu",
        ] {
            assert_eq!(event(message), LogEvent::ServerRestart, "{message}");
        }
    }

    #[test]
    fn a_name_is_split_at_the_first_colon_when_nothing_is_known() {
        assert_eq!(
            split_name("<unnamed>: select 'a: b'"),
            Some(Name { statement: None, portal: None, text: "select 'a: b'" })
        );
        assert_eq!(
            split_name("__asyncpg_stmt_1__/__asyncpg_portal_8__: select 1"),
            Some(Name {
                statement: Some("__asyncpg_stmt_1__"),
                portal: Some("__asyncpg_portal_8__"),
                text: "select 1"
            })
        );
        assert_eq!(split_name("S_1"), None);
        assert_eq!(split_name(": select 1"), None);
    }

    #[test]
    fn a_name_may_hold_anything_when_the_text_is_known() {
        let rest = "x: delete from t/po: r: select 1";
        assert_eq!(
            split_known(rest, "x: delete from t", "select 1"),
            Some(Name {
                statement: Some("x: delete from t"),
                portal: Some("po: r"),
                text: "select 1"
            })
        );
        assert_eq!(
            split_known("upd acc: update acc", "upd acc", "update acc").unwrap().portal,
            None
        );
        assert_eq!(split_known("<unnamed>/c: select 1", "", "select 1").unwrap().statement, None);
        assert_eq!(split_known(rest, "x", "select 2"), None);
        assert_eq!(split_known("S_10: select 1", "S_1", "select 1"), None);
        assert_eq!(split_known("é", "", "x"), None);
    }
}
