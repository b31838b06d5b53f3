//! How a connection string is written: libpq's URI and its `keyword=value` form.
//!
//! The format: <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING>. No
//! error shows a value, since any may be a secret.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

/// What a connection string, or a service of `pg_service.conf`, says, by libpq's keywords.
#[derive(Default, Clone, PartialEq, Eq)]
pub(crate) struct Conninfo(BTreeMap<&'static str, String>);

/// The keywords that mean here what they mean to libpq.
const USED: [&str; 31] = [
    "application_name",
    "channel_binding",
    "client_encoding",
    "connect_timeout",
    "dbname",
    "gssencmode",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "load_balance_hosts",
    "options",
    "passfile",
    "password",
    "port",
    "service",
    "servicefile",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "sslcert",
    "sslcertmode",
    "sslkey",
    "sslmode",
    "sslnegotiation",
    "sslrootcert",
    "sslsni",
    "target_session_attrs",
    "tcp_user_timeout",
    "user",
];

/// The keywords about what kreplay never does (GSSAPI, compression, a newer protocol), which can
/// be passed over.
const WITHOUT_EFFECT: [&str; 7] = [
    "fallback_application_name",
    "gssdelegation",
    "gsslib",
    "krbsrvname",
    "max_protocol_version",
    "sslcompression",
    "tty",
];

/// The keywords that ask for what kreplay can't do. Passed over, a connection could be less safe
/// than it was meant to be, or fail for a reason that nobody sees.
const REFUSED: [&str; 14] = [
    "min_protocol_version",
    "oauth_client_id",
    "oauth_client_secret",
    "oauth_issuer",
    "oauth_scope",
    "replication",
    "require_auth",
    "requirepeer",
    "scram_client_key",
    "scram_server_key",
    "sslcrl",
    "sslcrldir",
    "sslkeylogfile",
    "sslpassword",
];

const EXPECTED: &str = "expected a URI, postgres://…, or keyword=value pairs";

const SCHEMES: [&str; 2] = ["postgresql://", "postgres://"];

impl Conninfo {
    /// Takes a connection string apart.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let mut info = Self::default();
        match SCHEMES.iter().find_map(|scheme| text.strip_prefix(scheme)) {
            Some(rest) => info.read_uri(rest)?,
            None => info.read_pairs(text)?,
        }
        Ok(info)
    }

    /// What it says of a keyword. Nothing and an empty value are the same, as to libpq.
    pub(crate) fn get(&self, keyword: &str) -> Option<&str> {
        self.0.get(keyword).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Sets a keyword, unless it is not known or not supported.
    pub(crate) fn set(&mut self, keyword: &str, value: String) -> Result<(), String> {
        let known = |list: &[&'static str]| list.iter().copied().find(|known| *known == keyword);
        if let Some(keyword) = known(&USED) {
            self.0.insert(keyword, value);
            return Ok(());
        }
        match keyword {
            _ if known(&WITHOUT_EFFECT).is_some() => Ok(()),
            _ if known(&REFUSED).is_some() => Err(format!("kreplay does not support {keyword}")),
            _ if keyword.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') => {
                Err(format!("libpq has no keyword {keyword}"))
            }
            // Who knows what it is, and what of it is a secret.
            _ => Err(EXPECTED.to_owned()),
        }
    }

    /// Whether it holds something that must not be shown: of two passwords the last one counts, be it
    /// empty, and the first is a secret all the same.
    pub(crate) fn holds_secret(&self) -> bool {
        self.0.contains_key("password")
    }

    /// What follows `postgres://`.
    fn read_uri(&mut self, rest: &str) -> Result<(), String> {
        // As libpq finds them: whatever else a user's name or a password holds.
        let (login, rest) = match rest.split_once(['@', '/']) {
            Some((login, after)) if rest[login.len()..].starts_with('@') => (login, after),
            _ => ("", rest),
        };
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        self.set_decoded("user", user)?;
        self.set_decoded("password", password)?;
        let (hosts, after) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (database, parameters) = match after.split_once('?') {
            Some((database, parameters)) => (database, parameters),
            None => (after, ""),
        };
        self.read_hosts(hosts)?;
        self.set_decoded("dbname", database.strip_prefix('/').unwrap_or(database))?;
        self.read_parameters(parameters)
    }

    /// `host:port,host:port`; an IPv6 address stands in brackets.
    fn read_hosts(&mut self, hosts: &str) -> Result<(), String> {
        let (mut names, mut ports) = (Vec::new(), Vec::new());
        let mut rest = hosts;
        loop {
            let (name, after) = match rest.strip_prefix('[') {
                Some(address) => {
                    address.split_once(']').ok_or("the URI lacks the ] behind an IPv6 address")?
                }
                None => rest.split_at(rest.find([':', ',']).unwrap_or(rest.len())),
            };
            let end = after.find(',').unwrap_or(after.len());
            let port = match &after[..end] {
                "" => "",
                port => port
                    .strip_prefix(':')
                    .ok_or("expected a colon, a comma or the end behind an IPv6 address")?,
            };
            names.push(name);
            ports.push(port);
            if end == after.len() {
                break;
            }
            rest = &after[end + 1..];
        }
        let said = |list: &[&str]| list.iter().any(|part| !part.is_empty());
        if said(&names) {
            self.set_decoded("host", &names.join(","))?;
        }
        if said(&ports) {
            self.set_decoded("port", &ports.join(","))?;
        }
        Ok(())
    }

    /// `keyword=value&keyword=value`.
    fn read_parameters(&mut self, parameters: &str) -> Result<(), String> {
        for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            let (keyword, value) = parameter
                .split_once('=')
                .filter(|(_, value)| !value.contains('='))
                .ok_or("a parameter of the URI is not keyword=value (= and & are %3D and %26)")?;
            let keyword = decoded(keyword).ok_or("a keyword of the URI is no text")?;
            match (&*keyword, value) {
                // For those who are used to JDBC, as libpq has it.
                ("ssl", "true") => self.set("sslmode", "require".to_owned())?,
                (keyword, value) => self.set_decoded(keyword, value)?,
            }
        }
        Ok(())
    }

    fn set_decoded(&mut self, keyword: &str, value: &str) -> Result<(), String> {
        if value.is_empty() {
            return Ok(());
        }
        let value = decoded(value).ok_or_else(|| {
            format!("{keyword}: a % is followed by two hexadecimal digits, not 00")
        })?;
        self.set(keyword, value)
    }

    /// `keyword=value keyword='a value'`.
    fn read_pairs(&mut self, text: &str) -> Result<(), String> {
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let (keyword, value) = rest
                .split_once('=')
                .filter(|(keyword, _)| !keyword.trim_end().contains(char::is_whitespace))
                .ok_or(EXPECTED)?;
            let (value, after) = take_value(value.trim_start())?;
            self.set(keyword.trim_end(), value)?;
            rest = after.trim_start();
        }
        Ok(())
    }
}

/// The value at the start of `text`, and what follows it.
fn take_value(text: &str) -> Result<(String, &str), String> {
    let quoted = text.starts_with('\'');
    let mut value = String::new();
    let mut chars = text.char_indices().skip(usize::from(quoted));
    while let Some((at, char)) = chars.next() {
        match char {
            '\'' if quoted => return Ok((value, &text[at + 1..])),
            _ if !quoted && char.is_whitespace() => return Ok((value, &text[at..])),
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    if quoted { Err("a quoted value has no end".to_owned()) } else { Ok((value, "")) }
}

/// The text behind percent signs, if each is followed by two digits and no byte is 0.
fn decoded(text: &str) -> Option<String> {
    let digits =
        |part: &str| part.len() >= 2 && part.as_bytes()[..2].iter().all(u8::is_ascii_hexdigit);
    let right = text.split('%').skip(1).all(|part| digits(part) && !part.starts_with("00"));
    right.then(|| percent_decode_str(text).decode_utf8().ok()).flatten().map(Into::into)
}

/// A connection string as it may be shown: as `keyword=value`, with secrets blanked.
pub(crate) fn redacted(text: &str) -> String {
    let Ok(info) = Conninfo::parse(text) else { return "***".to_owned() };
    let shown = |(keyword, value): (&&str, &String)| {
        let value = if *keyword == "password" { "***" } else { value };
        format!("{keyword}={value}")
    };
    info.0.iter().map(shown).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
