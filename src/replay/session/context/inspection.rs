//! What the server says that a session has, asked before its connection is given up.

use std::collections::BTreeSet;

use super::{Context, Key, ReadUnder, Restore};
use crate::replay::session::request::ResultRow;
use crate::sql::{CLIENT_ENCODING, Command, Outline, ROLE};

/// What the routines of a database may do to a session, and which custom settings its code reads:
/// constants that look like their names, in the texts of functions, policies, defaults and views that
/// call set_config or current_setting. Custom settings are in no view; one that nothing reads by its
/// name has no effect. 2077 and 3294 are current_setting, 2078 is set_config; what has a smaller OID
/// than 16384 is PostgreSQL's own, 12 and 13 are its internal functions and those in C
/// (`pg_proc.dat`, `pg_language.dat`). Of parsed code the constants of type text (25) are read from its
/// tree, byte by byte behind their length: what writes the code out in SQL locks its tables, and would
/// wait for another session's `ALTER TABLE`, which may be due only after this question.
const ROUTINES: &str = "\
    SELECT 'name', pg_catalog.lower(found[1]) FROM ( \
        SELECT prosrc AS body FROM pg_catalog.pg_proc \
        WHERE oid >= 16384 AND prosrc ~* '(set_config|current_setting)' \
        UNION ALL SELECT '''' || ( \
            SELECT pg_catalog.string_agg(pg_catalog.chr(byte::integer), '' ORDER BY at) \
            FROM pg_catalog.unnest(pg_catalog.string_to_array(pg_catalog.btrim(bytes[1]), ' ')) \
                WITH ORDINALITY AS one (byte, at) \
            WHERE at > 4 AND byte::integer BETWEEN 33 AND 126) || '''' \
        FROM ( \
            SELECT polqual::pg_catalog.text AS tree FROM pg_catalog.pg_policy \
            UNION ALL SELECT polwithcheck::pg_catalog.text FROM pg_catalog.pg_policy \
            UNION ALL SELECT adbin::pg_catalog.text FROM pg_catalog.pg_attrdef \
            UNION ALL SELECT conbin::pg_catalog.text FROM pg_catalog.pg_constraint \
            UNION ALL SELECT tgqual::pg_catalog.text FROM pg_catalog.pg_trigger \
            UNION ALL SELECT pg_catalog.to_jsonb(atomic)->>'prosqlbody' \
                FROM pg_catalog.pg_proc AS atomic WHERE oid >= 16384 AND prosrc = '' \
            UNION ALL SELECT ev_action::pg_catalog.text FROM pg_catalog.pg_rewrite WHERE ev_class >= 16384 \
        ) trees, LATERAL pg_catalog.regexp_matches(tree, \
            ':consttype 25 [^}]*:constvalue [0-9]+ [[] ([0-9 -]*)[]]', 'g') AS bytes \
        WHERE tree ~ ':funcid (2077|2078|3294) ' \
    ) bodies, LATERAL pg_catalog.regexp_matches(body, \
        '''([A-Za-z_][A-Za-z0-9_$]*[.][A-Za-z0-9_.$]+)''', 'g') AS found \
    UNION SELECT 'changes', NULL WHERE EXISTS (SELECT FROM pg_catalog.pg_proc \
        WHERE oid >= 16384 AND prolang NOT IN (12, 13) AND (prosrc = '' OR prosrc ~* \
        '(set|reset|discard|temp|advisory|listen|prepare|deallocate|execute|hold)'))";

/// What the session has, a row each: what it is, its name, its value. What a function with a
/// superuser's rights has set, the session's own user can't set again. The functions are those of
/// `pg_settings`, `pg_prepared_statements`, `pg_locks` and `pg_cursors`: a new backend plans them in a
/// third of the time.
const STATE: &str = "\
    SELECT 'setting', name, setting FROM pg_catalog.pg_show_all_settings() \
        WHERE source = 'session' AND name <> ALL (kreplays) \
    UNION ALL SELECT 'visible', name, NULL FROM pg_catalog.pg_show_all_settings() \
        WHERE name = ANY (tracked) \
    UNION ALL SELECT 'custom', name, pg_catalog.current_setting(name, true) \
        FROM pg_catalog.unnest(custom) AS name \
    UNION ALL SELECT 'role', NULL, pg_catalog.current_setting('role') \
    UNION ALL SELECT CASE WHEN from_sql THEN 'prepared' ELSE 'parsed' END, name, statement \
        FROM pg_catalog.pg_prepared_statement() \
    UNION ALL SELECT 'channel', channel, NULL \
        FROM pg_catalog.pg_listening_channels() AS channel \
    UNION ALL SELECT 'bound', 'temporary objects', NULL WHERE pg_catalog.pg_my_temp_schema() <> 0 AND ( \
        EXISTS (SELECT FROM pg_catalog.pg_class WHERE relnamespace = pg_catalog.pg_my_temp_schema()) \
        OR EXISTS (SELECT FROM pg_catalog.pg_proc WHERE pronamespace = pg_catalog.pg_my_temp_schema()) \
        OR EXISTS (SELECT FROM pg_catalog.pg_type WHERE typnamespace = pg_catalog.pg_my_temp_schema())) \
    UNION ALL SELECT 'bound', 'advisory locks', NULL FROM pg_catalog.pg_lock_status() \
        WHERE locktype = 'advisory' AND pid = pg_catalog.pg_backend_pid() \
    UNION ALL SELECT 'bound', 'cursors', NULL FROM pg_catalog.pg_cursor() WHERE is_holdable \
    UNION ALL SELECT 'bound', 'settings of a superuser', NULL \
        FROM pg_catalog.pg_show_all_settings() \
        WHERE source = 'session' AND context = 'superuser' AND name <> ALL (kreplays) \
        AND NOT (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = SESSION_USER)";

/// How long a session lets its statements last. It lets a question last as long, which is none of its
/// own.
pub(super) const LIMITS: [&str; 3] = ["statement_timeout", "transaction_timeout", "lock_timeout"];

/// What comes before a question, in one transaction with it: the
/// session's limits are told and then lifted. PostgreSQL 17 has the second of them first.
const WITHOUT_LIMITS: &str = "\
    SELECT 'limit', name, pg_catalog.current_setting(name, true) FROM pg_catalog.unnest( \
        ARRAY['statement_timeout','transaction_timeout','lock_timeout']) AS name; \
    SET LOCAL statement_timeout TO 0; SET LOCAL lock_timeout TO 0; \
    SELECT pg_catalog.set_config('transaction_timeout', '0', true) \
        WHERE pg_catalog.current_setting('transaction_timeout', true) IS NOT NULL; ";

/// What a transaction sets for itself alone.
const TRANSACTIONS_OWN: [&str; 3] =
    ["transaction_isolation", "transaction_read_only", "transaction_deferrable"];

/// Whether the limits that a session has set to its statements are lifted for a question to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limits {
    /// They hold.
    Kept,
    /// They are told and lifted first.
    Lifted,
}

impl Limits {
    fn question(self, question: &str) -> String {
        match self {
            Self::Kept => question.to_owned(),
            Self::Lifted => format!("{WITHOUT_LIMITS}{question}"),
        }
    }
}

/// What the routines of a database may do to a session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routines {
    /// Whether any may change what a session has, as far as its text tells.
    change_state: bool,
    /// The custom settings that code in the database names.
    names: Vec<Box<str>>,
}

impl Routines {
    /// A query of them. Its rows go to [`Routines::read`].
    pub fn question(limits: Limits) -> String {
        limits.question(ROUTINES)
    }

    /// Reads what the server says.
    pub fn read(rows: &[ResultRow]) -> Self {
        let mut routines = Self::default();
        for row in rows {
            match row.as_slice() {
                [Some(kind), Some(name)] if **kind == *"name" => routines.names.push(name.clone()),
                [Some(kind), None] => routines.change_state |= **kind == *"changes",
                // The session's limits.
                _ => {}
            }
        }
        routines
    }

    /// Nothing could be found out about them.
    pub fn unknown() -> Self {
        Self { change_state: true, names: Vec::new() }
    }
}

impl Context {
    /// Whether the session may have what neither its statements tell nor a routine without effect on
    /// sessions can have made.
    pub fn is_to_be_asked_for(&self, routines: &Routines) -> bool {
        self.unknown || self.bound || routines.change_state
    }

    /// What the session's questions have to be asked past, as far as the log tells.
    pub fn limits(&self) -> Limits {
        let has = |limit: &str| self.entries.contains_key(&Key::Setting(limit.into()));
        if LIMITS.into_iter().any(has) { Limits::Lifted } else { Limits::Kept }
    }

    /// A query of what the session has. Its rows go to [`Context::adopt`]. Not asked for: `kreplays`,
    /// settings whose values are not the session's.
    pub fn inspection(&self, routines: &Routines, limits: Limits, kreplays: &[&str]) -> String {
        let custom = self.entries.keys().filter(|key| key.is_custom()).filter_map(setting);
        let custom = custom.chain(self.names.iter().map(|name| &**name));
        let custom = array(custom.chain(routines.names.iter().map(|name| &**name)));
        let tracked = self.entries.keys().filter_map(setting);
        let tracked = array(tracked.filter(|name| !kreplays.contains(name)));
        let kreplays = array(kreplays.iter().copied());
        let question = STATE
            .replace("(tracked)", &format!("({tracked})"))
            .replace("(custom)", &format!("({custom})"))
            .replace("(kreplays)", &format!("({kreplays})"));
        limits.question(&question)
    }

    /// Takes over what the server says.
    pub fn adopt(&mut self, rows: &[ResultRow]) {
        let of = |wanted: &'static str| {
            rows.iter().filter_map(move |row| match row.as_slice() {
                [Some(kind), name, value] if **kind == *wanted => {
                    Some((name.as_deref().unwrap_or_default(), value.as_deref()))
                }
                _ => None,
            })
        };
        for (name, _) in of("visible").filter(|(name, _)| !name.contains('.')) {
            self.remove(Key::Setting(name.to_ascii_lowercase().into()));
        }
        let is_ours = |name: &str| name == CLIENT_ENCODING || TRANSACTIONS_OWN.contains(&name);
        let roles = of("role").map(|(_, value)| (ROLE, value.filter(|role| *role != "none")));
        let settings = of("setting").filter(|(name, _)| !is_ours(name));
        for (name, value) in settings.chain(of("custom")).chain(roles).chain(of("limit")) {
            let name: Box<str> = name.to_ascii_lowercase().into();
            let key = Key::Setting(name.clone());
            match value {
                Some(value) => self.put(key, Restore::Setting { name, value: value.into() }),
                None => self.forget(&key),
            }
        }
        self.remove_all(|key| matches!(key, Key::Channel(_)));
        for (channel, _) in of("channel") {
            let listen = format!("LISTEN \"{}\"", channel.replace('"', "\"\""));
            self.put(Key::Channel(channel.into()), Restore::Text(listen.into()));
        }
        self.bound = of("bound").next().is_some();
        let prepared: Vec<_> = of("prepared").chain(of("parsed")).map(|(name, _)| name).collect();
        self.entries.retain(|key, _| match key {
            Key::Prepared(name) => prepared.contains(&&**name),
            _ => true,
        });
        for (name, sql) in of("parsed") {
            if !self.entries.contains_key(&Key::Prepared(name.into())) {
                self.note_parse(name, sql.unwrap_or_default());
            }
        }
        for (name, sql) in of("prepared") {
            self.adopt_prepared(name, sql.unwrap_or_default());
        }
        self.unknown = false;
        self.commit();
    }

    /// The server does not tell: the connection has what can't be made again, for all that is known.
    pub fn stay_unknown(&mut self) {
        (self.unknown, self.bound) = (false, true);
    }

    /// A statement that SQL's PREPARE has made, perhaps where no record of the log shows it.
    fn adopt_prepared(&mut self, name: &str, sql: &str) {
        let key = Key::Prepared(name.into());
        if self.entries.contains_key(&key) {
            return;
        }
        if Outline::of(sql).single() == Some(Command::Prepare) {
            self.put_prepared(name.into(), Restore::Text(sql.into()), ReadUnder::default());
        } else {
            // The string that it was part of may do anything else.
            self.bound = true;
        }
    }
}

fn setting(key: &Key) -> Option<&str> {
    match key {
        Key::Setting(name) => Some(name),
        Key::Local(_) | Key::Channel(_) | Key::Prepared(_) => None,
    }
}

/// An array of names as a constant. What no setting can be called is left out.
fn array<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let is_name = |name: &&str| {
        let allowed =
            |b: u8| b.is_ascii_alphanumeric() || !b.is_ascii() || matches!(b, b'.' | b'_' | b'$');
        name.bytes().all(allowed)
    };
    let names: BTreeSet<&str> = names.filter(is_name).collect();
    let names: Vec<String> = names.into_iter().map(|name| format!("'{name}'")).collect();
    format!("ARRAY[{}]::pg_catalog.text[]", names.join(","))
}
