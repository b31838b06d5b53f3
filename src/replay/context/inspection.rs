//! What the server says that a session has, asked before its connection is given up.

use super::{Context, Key, Restore};
use crate::pglog::sql::{CLIENT_ENCODING, Command, Outline, ROLE};
use crate::replay::request::ResultRow;

/// Constants that name a custom setting, in the texts of functions, policies, defaults and views that
/// call set_config or current_setting. Custom settings are in no view; one that nothing reads by its
/// name has no effect. 2077 and 3294 are current_setting, 2078 is set_config (`pg_proc.dat`).
const NAMES_IN_DATABASE: &str = "\
    SELECT pg_catalog.lower(found[1]) FROM ( \
        SELECT prosrc AS body FROM pg_catalog.pg_proc \
        WHERE oid >= 16384 AND prosrc ~* '(set_config|current_setting)' \
        UNION ALL SELECT pg_catalog.pg_get_expr(polqual, polrelid) FROM pg_catalog.pg_policy \
        WHERE polqual::text ~ ':funcid (2077|2078|3294) ' \
        UNION ALL SELECT pg_catalog.pg_get_expr(polwithcheck, polrelid) FROM pg_catalog.pg_policy \
        WHERE polwithcheck::text ~ ':funcid (2077|2078|3294) ' \
        UNION ALL SELECT pg_catalog.pg_get_expr(adbin, adrelid) FROM pg_catalog.pg_attrdef \
        WHERE adbin::text ~ ':funcid (2077|2078|3294) ' \
        UNION ALL SELECT pg_catalog.pg_get_viewdef(ev_class) FROM pg_catalog.pg_rewrite \
        WHERE ev_class >= 16384 AND ev_action::text ~ ':funcid (2077|2078|3294) ' \
    ) bodies, LATERAL pg_catalog.regexp_matches(body, \
        '''([A-Za-z_][A-Za-z0-9_$]*[.][A-Za-z0-9_.$]+)''', 'g') AS found";

/// What the session has, a row each: what it is, its name, its value.
const STATE: &str = "\
    SELECT 'setting', name, setting FROM pg_catalog.pg_settings WHERE source = 'session' \
    UNION ALL SELECT 'visible', name, NULL FROM pg_catalog.pg_settings WHERE name = ANY (tracked) \
    UNION ALL SELECT 'custom', name, pg_catalog.current_setting(name, true) FROM names \
    UNION ALL SELECT 'role', NULL, pg_catalog.current_setting('role') \
    UNION ALL SELECT CASE WHEN from_sql THEN 'prepared' ELSE 'parsed' END, name, statement \
        FROM pg_catalog.pg_prepared_statements \
    UNION ALL SELECT 'channel', channel, NULL \
        FROM pg_catalog.pg_listening_channels() AS channel \
    UNION ALL SELECT 'bound', 'temporary objects', NULL WHERE \
        EXISTS (SELECT FROM pg_catalog.pg_class WHERE relnamespace = pg_catalog.pg_my_temp_schema()) \
        OR EXISTS (SELECT FROM pg_catalog.pg_proc WHERE pronamespace = pg_catalog.pg_my_temp_schema()) \
        OR EXISTS (SELECT FROM pg_catalog.pg_type WHERE typnamespace = pg_catalog.pg_my_temp_schema()) \
    UNION ALL SELECT 'bound', 'advisory locks', NULL WHERE EXISTS (SELECT FROM pg_catalog.pg_locks \
        WHERE locktype = 'advisory' AND pid = pg_catalog.pg_backend_pid()) \
    UNION ALL SELECT 'bound', 'cursors', NULL WHERE \
        EXISTS (SELECT FROM pg_catalog.pg_cursors WHERE is_holdable)";

impl Context {
    /// A query of what the session has. Its rows go to [`Context::adopt`].
    pub fn inspection(&self) -> String {
        let custom = self.entries.keys().filter(|key| key.is_custom()).filter_map(setting);
        let custom = array(custom.chain(self.names.iter().map(|name| &**name)));
        let tracked = array(self.entries.keys().filter_map(setting));
        let state = STATE.replace("(tracked)", &format!("({tracked})"));
        format!(
            "WITH names (name) AS (SELECT pg_catalog.unnest({custom}) UNION {NAMES_IN_DATABASE}) \
             {state}"
        )
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
        let is_ours = |name: &str| name == CLIENT_ENCODING || name.starts_with("transaction_");
        let roles = of("role").map(|(_, value)| (ROLE, value.filter(|role| *role != "none")));
        let settings = of("setting").filter(|(name, _)| !is_ours(name));
        for (name, value) in settings.chain(of("custom")).chain(roles) {
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

    /// A statement that SQL's PREPARE has made, perhaps where no record of the log shows it.
    fn adopt_prepared(&mut self, name: &str, sql: &str) {
        let key = Key::Prepared(name.into());
        if self.entries.contains_key(&key) {
            return;
        }
        if Outline::of(sql).single() == Some(Command::Prepare) {
            self.put(key, Restore::Text(sql.into()));
        } else {
            // The string that it was part of may do anything else.
            self.bound = true;
        }
    }
}

fn setting(key: &Key) -> Option<&str> {
    match key {
        Key::Setting(name) => Some(name),
        Key::Channel(_) | Key::Prepared(_) => None,
    }
}

/// An array of names as a constant. What no setting can be called is left out.
fn array<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let is_name = |name: &&str| {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'$');
        name.bytes().all(allowed)
    };
    let names: Vec<String> = names.filter(is_name).map(|name| format!("'{name}'")).collect();
    format!("ARRAY[{}]::text[]", names.join(","))
}
