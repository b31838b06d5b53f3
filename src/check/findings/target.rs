//! What was seen of the target: who it is, whether the sessions of the log can log in, what would
//! stop them.

use std::collections::BTreeMap;

use super::sample::Sample;
use super::{CheckPlan, Section, counted, listed};
use crate::replay::session::auto_explain;
use crate::replay::settings::TargetDurations;

/// The target, as it was seen.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TargetFacts {
    /// Where it is.
    pub address: String,
    /// What it told of itself; or why nobody was let in.
    pub server: Option<Result<ServerFacts, Refused>>,
    /// Whom kreplay looks at it as, and why that is refused, if it is.
    pub observer: Option<(String, Refused)>,
    /// The log-ins that the sample's sessions need, those with most statements first.
    pub logins: Vec<LoginFacts>,
    /// How many more there are, which were not tried.
    pub untried: usize,
    /// Connections that kreplay leaves to others.
    pub reserved: usize,
}

/// Why a log-in failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// What kind of failure it is.
    pub why: Why,
    /// The words for it; no secret is in them.
    pub words: String,
}

/// The kinds of failed log-ins that differ in their remedy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Why {
    /// Nobody answers.
    Unreachable,
    /// No TLS, or a certificate that is not trusted.
    Tls,
    /// A password is asked for and there is none.
    NoPassword,
    /// The password is wrong.
    Password,
    /// 28000: the role does not exist or may not log in, or `pg_hba.conf` has no entry.
    NotAllowed,
    /// There is no such database.
    NoDatabase,
    /// The role may not connect to the database.
    NoPrivilege,
    /// No connection is left.
    Full,
    /// Anything else.
    Other,
}

/// A server, as it was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerFacts {
    /// As a number: 180006.
    pub version: u32,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// Whether it is a replica.
    pub in_recovery: bool,
    /// Connections that it allows to those who are no superusers.
    pub connections: usize,
    /// Connections that others have at this moment.
    pub in_use: usize,
    /// Whether kreplay may ask who blocks whom.
    pub sees_blockers: bool,
    /// Whether its statistics of other users are shown too.
    pub reads_all_statistics: bool,
    /// Its databases, with their encodings.
    pub databases: Vec<(String, String)>,
    /// The roles that may log in.
    pub roles: Vec<String>,
}

/// A user and a database that sessions are replayed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginFacts {
    /// The role.
    pub user: String,
    /// The database.
    pub database: String,
    /// What was found there, or why the log-in failed.
    pub outcome: Result<SessionFacts, Refused>,
}

/// What a session finds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionFacts {
    /// Tables in the database that are not PostgreSQL's own.
    pub tables: u64,
    /// Settings that end statements, transactions or sessions, with their values.
    pub limits: Vec<(String, String)>,
    /// Whether its transactions are read-only.
    pub read_only: bool,
    /// Whether pg_stat_statements is installed in the database.
    pub counts_statements: bool,
    /// Whether the server tells how long its statements took.
    pub tells_durations: bool,
    /// Why the server does not let auto_explain tell plans, where that was asked for.
    pub plans_refused: Option<String>,
}

pub(super) fn judge(
    facts: &TargetFacts,
    sample: Option<&Sample>,
    plan: &CheckPlan,
    lines: &mut Section,
) {
    let server = match &facts.server {
        Some(Ok(server)) => server,
        Some(Err(refused)) => return no_way_in(facts, refused, plan, lines),
        None => return,
    };
    let (major, minor) = (server.version / 10_000, server.version % 10_000);
    lines.ok(format!(
        "PostgreSQL {major}.{minor} answers at {}, {} TLS",
        facts.address,
        if server.tls { "with" } else { "without" }
    ));
    if let Some(least) = sample.and_then(|sample| sample.version.least).filter(|it| *it > major) {
        lines.warning(
            format!("the target is older than the source, PostgreSQL {least}"),
            "expect errors for what the older version does not know",
        );
    }
    if server.in_recovery && plan.read_only {
        lines.ok("it is a replica, and --read-only");
    } else if server.in_recovery {
        lines.error(
            "it is a replica (in recovery): it refuses every write",
            "give --db-host the primary, or promote this one; --read-only replays what only reads",
        );
    }
    logins(facts, server, lines);
    databases(facts, server, lines);
    limits(facts, plan, lines);
    connections(facts, server, sample, plan, lines);
    rights(server, lines);
    durations(facts, server, plan, lines);
    plans(facts, server, plan, lines);
    statistics(facts, server, lines);
}

/// Nobody was let in at all.
fn no_way_in(facts: &TargetFacts, refused: &Refused, plan: &CheckPlan, lines: &mut Section) {
    if facts.logins.is_empty() {
        let user = plan.identity.one_user().unwrap_or("postgres");
        let database = plan.identity.one_database().unwrap_or("postgres");
        lines.error(refused.words.clone(), remedy(refused.why, user, database));
    }
    for login in &facts.logins {
        if let Err(refused) = &login.outcome {
            let remedy = remedy(refused.why, &login.user, &login.database);
            lines.error(refused.words.clone(), remedy);
        }
    }
}

fn remedy(why: Why, user: &str, database: &str) -> String {
    match why {
        Why::Unreachable => {
            "check --target or --db-host and --db-port, the network, that the server runs and \
                             that its listen_addresses lets this machine in"
                .to_owned()
        }
        Why::Tls => {
            "check --sslmode, --sslrootcert and --sslcert, and ssl on the target".to_owned()
        }
        Why::NoPassword | Why::Password => format!(
            "put the password of {user} into ~/.pgpass or PGPASSFILE (mode 0600) as \
             host:port:database:user:password, or let kreplay's address in with trust in the \
             target's pg_hba.conf, or replay everything as one user (-u, PGPASSWORD)"
        ),
        Why::NotAllowed => format!(
            "make the role {user} with LOGIN and let it in by the target's pg_hba.conf, or rename it \
             (--map-user {user}=NAME), or replay everything as one user (-u)"
        ),
        Why::NoDatabase => format!(
            "make {database} with the source's encoding and data, rename it (--map-db \
             {database}=NAME), or leave its sessions out (--source-db names the others)"
        ),
        Why::NoPrivilege => {
            format!("on the target: GRANT CONNECT ON DATABASE {database} TO {user}")
        }
        Why::Full => "free connections on the target or raise max_connections; a role or database \
                      may have a limit of its own (ALTER ROLE … CONNECTION LIMIT)"
            .to_owned(),
        Why::Other => "see the target's log".to_owned(),
    }
}

fn logins(facts: &TargetFacts, server: &ServerFacts, lines: &mut Section) {
    let mut well = Vec::new();
    for login in &facts.logins {
        let refused = match &login.outcome {
            Ok(_) => {
                well.push(format!("{} on {}", login.user, login.database));
                continue;
            }
            Err(refused) => refused,
        };
        let missing = !server.roles.is_empty() && !server.roles.contains(&login.user);
        let what = match refused.why {
            Why::NotAllowed | Why::Password | Why::NoPassword if missing => {
                format!("there is no role {} that may log in", login.user)
            }
            _ => refused.words.clone(),
        };
        let why = if missing { Why::NotAllowed } else { refused.why };
        lines.error(what, remedy(why, &login.user, &login.database));
    }
    if !well.is_empty() {
        lines.ok(format!(
            "the sample's sessions can log in: {}",
            listed(well.iter().map(String::as_str))
        ));
    }
    if facts.untried > 0 {
        lines.warning(
            format!(
                "{} of users and databases were not tried",
                counted(facts.untried as u64, "pair")
            ),
            "pick databases with --source-db, or replay everything as one user (-u)",
        );
    }
    if let Some((name, refused)) = &facts.observer {
        lines.warning(
            format!("kreplay can't look at the target as {name}: {}", refused.words),
            "it will look as the first session that logs in; let postgres in, or give -u and -d",
        );
    }
}

/// The databases that sessions are replayed to.
fn databases(facts: &TargetFacts, server: &ServerFacts, lines: &mut Section) {
    let mut tables: BTreeMap<&str, u64> = BTreeMap::new();
    for login in &facts.logins {
        if let Ok(session) = &login.outcome {
            tables.insert(&login.database, session.tables);
        }
    }
    for (database, _) in tables.iter().filter(|(_, tables)| **tables == 0) {
        lines.warning(
            format!("the database {database} has no table"),
            "load the source's data as they were when the log begins (docs/getting-started.md, \"Prepare the target\"), \
             unless the log makes all tables itself",
        );
    }
    let used = server.databases.iter().filter(|(name, _)| tables.contains_key(name.as_str()));
    let used: Vec<&(String, String)> = used.collect();
    for (name, encoding) in &used {
        if crate::pglog::Encoding::from_postgres_name(encoding).is_none() {
            lines.error(
                format!("text in the encoding of the database {name}, {encoding}, can't be read"),
                "make the database on source and target in another encoding, or leave its sessions \
                 out (--source-db names the others)",
            );
        }
    }
    let shown: Vec<String> = used
        .iter()
        .filter(|(name, _)| tables[name.as_str()] > 0)
        .map(|(name, encoding)| {
            format!("{name} ({encoding}, {})", counted(tables[name.as_str()], "table"))
        })
        .collect();
    if !shown.is_empty() {
        lines.ok(format!(
            "databases with data: {}; their encodings have to be the source's",
            listed(shown.iter().map(String::as_str))
        ));
    }
}

/// Settings that end what the source did not end.
fn limits(facts: &TargetFacts, plan: &CheckPlan, lines: &mut Section) {
    let mut limits: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    let mut read_only = Vec::new();
    for login in &facts.logins {
        let Ok(session) = &login.outcome else { continue };
        for (name, value) in &session.limits {
            limits.entry((name, value)).or_default().push(&login.user);
        }
        if session.read_only && !plan.read_only {
            read_only.push(login.user.as_str());
        }
    }
    for ((name, value), mut users) in limits {
        users.dedup();
        lines.warning(
            format!(
                "the target's {name} is {value} for {}: it ends what the source did not end",
                listed(users)
            ),
            format!("PGOPTIONS='-c {name}=0' in kreplay's environment"),
        );
    }
    if !read_only.is_empty() {
        read_only.dedup();
        lines.error(
            format!(
                "default_transaction_read_only is on for {}: every write will fail",
                listed(read_only)
            ),
            "switch it off on the target; or give --read-only if that is what is wanted",
        );
    }
}

fn connections(
    facts: &TargetFacts,
    server: &ServerFacts,
    sample: Option<&Sample>,
    plan: &CheckPlan,
    lines: &mut Section,
) {
    let free = server.connections.saturating_sub(server.in_use);
    let room = server.connections.saturating_sub(facts.reserved).max(1);
    let remedy = "raise the target's max_connections to the source's and ten more";
    if let Some(limit) = plan.max_sessions.filter(|limit| *limit > free) {
        lines.warning(
            format!(
                "--max-sessions {limit} is more than the target has left: {free} of {}",
                server.connections
            ),
            format!("{remedy}, or lower --max-sessions"),
        );
        return;
    }
    let room = plan.max_sessions.unwrap_or(room);
    let at_once = sample.map_or(0, |sample| sample.at_once);
    if at_once > room.min(free) {
        lines.warning(
            format!(
                "{} at once in the sample, and {} for them: sessions will take turns, a log-in each time",
                counted(at_once as u64, "session"),
                counted(room.min(free) as u64, "connection")
            ),
            remedy,
        );
    } else {
        lines.ok(format!(
            "{} for {} at once in the sample",
            counted(room.min(free) as u64, "connection"),
            counted(at_once as u64, "session")
        ));
    }
}

fn rights(server: &ServerFacts, lines: &mut Section) {
    if server.sees_blockers {
        lines.ok("kreplay may ask who blocks whom (pg_blocking_pids)");
    } else {
        lines.error(
            "kreplay may not ask who blocks whom: a statement that waits for a lock could wait for \
             ever",
            "on the target: GRANT EXECUTE ON FUNCTION pg_catalog.pg_blocking_pids(int) TO PUBLIC",
        );
    }
}

/// Who measures statements on the target.
fn durations(facts: &TargetFacts, server: &ServerFacts, plan: &CheckPlan, lines: &mut Section) {
    if !plan.target_durations.asks_server() {
        lines.ok("durations on the target are kreplay's own (--target-durations client)");
        return;
    }
    let roles = |tells: bool| roles(facts, |session| session.tells_durations == tells);
    let (with, without) = (roles(true), roles(false));
    if !with.is_empty() {
        lines.ok(format!("durations on the target are the server's own for {}", listed(with)));
    }
    let Some(first) = without.first() else { return };
    let remedy = TargetDurations::remedy(first, server.version);
    let them = listed(without.iter().copied());
    if plan.target_durations == TargetDurations::Server {
        lines.error(format!("the server does not let {them} have its durations"), remedy);
    } else {
        lines.ok(format!(
            "durations on the target are kreplay's own for {them}, the way there included; for the \
             server's: {remedy}"
        ));
    }
}

/// The roles whose sessions were found like this.
fn roles(facts: &TargetFacts, is_so: impl Fn(&SessionFacts) -> bool) -> Vec<&str> {
    let found = facts.logins.iter().filter(|it| it.outcome.as_ref().is_ok_and(&is_so));
    let mut roles: Vec<&str> = found.map(|login| login.user.as_str()).collect();
    roles.sort_unstable();
    roles.dedup();
    roles
}

/// Whose plans auto_explain tells. Without them the replay is as good.
fn plans(facts: &TargetFacts, server: &ServerFacts, plan: &CheckPlan, lines: &mut Section) {
    if !plan.explain {
        return;
    }
    let with = roles(facts, |session| session.plans_refused.is_none());
    if !with.is_empty() {
        lines.ok(format!("auto_explain tells the plans that statements use for {}", listed(with)));
    }
    let without = roles(facts, |session| session.plans_refused.is_some());
    let sessions = facts.logins.iter().filter_map(|login| login.outcome.as_ref().ok());
    let why = sessions.into_iter().find_map(|session| session.plans_refused.as_deref());
    if let (Some(first), Some(why)) = (without.first(), why) {
        lines.warning(
            format!(
                "the target does not let {} use auto_explain (--explain): {why}",
                listed(without.iter().copied())
            ),
            auto_explain::remedy(first, server.version),
        );
    }
}

/// What the report can say of what the target spends. Without it the replay is as good.
fn statistics(facts: &TargetFacts, server: &ServerFacts, lines: &mut Section) {
    let mut sessions = facts.logins.iter().filter_map(|login| login.outcome.as_ref().ok());
    if !sessions.clone().any(|session| session.counts_statements) {
        if sessions.next().is_some() {
            lines.ok(
                "pg_stat_statements is not installed in the sessions' databases: with it \
                 (shared_preload_libraries, CREATE EXTENSION) the report says what each query shape spends",
            );
        }
    } else if server.reads_all_statistics {
        lines.ok("pg_stat_statements tells the report what each query shape spends");
    } else {
        lines.ok(
            "pg_stat_statements shows kreplay its own user's statements alone: GRANT pg_read_all_stats \
             to that user, for the report to say what each query shape spends",
        );
    }
}
