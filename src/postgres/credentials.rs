//! Finds the password in libpq's password file (`~/.pgpass`).
//!
//! The format: <https://www.postgresql.org/docs/current/libpq-pgpass.html>.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use secrecy::SecretString;

/// The directories of the default socket, for which the password file says `localhost`: as
/// PostgreSQL is built upstream, and as it is packaged.
const DEFAULT_SOCKET_DIRECTORIES: [&str; 3] = ["/tmp", "/var/run/postgresql", "/run/postgresql"];

/// The contents of a password file, read once.
#[derive(Default)]
pub(super) struct PasswordFile(String);

/// What a password is looked up for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key<'a> {
    pub host: &'a str,
    pub port: u16,
    pub database: &'a str,
    pub user: &'a str,
}

impl PasswordFile {
    /// Reads `given`, or `$PGPASSFILE`, or `~/.pgpass`. A file that is not there holds nothing; so
    /// does one that can't be used, with a warning.
    pub(super) fn load(given: Option<&Path>) -> Self {
        let path = given.map(Path::to_owned).or_else(default_path);
        match path.as_deref().map(read) {
            None => Self::default(),
            Some(Ok(contents)) => Self(contents),
            Some(Err(error)) if error.kind() == io::ErrorKind::NotFound && given.is_none() => {
                Self::default()
            }
            Some(Err(error)) => {
                let file = path.unwrap_or_default();
                tracing::warn!(file = %file.display(), %error, "the password file (PGPASSFILE, else ~/.pgpass) is not used: sessions log in without it");
                Self::default()
            }
        }
    }

    /// The password of the first line that matches.
    pub(super) fn find(&self, key: Key<'_>) -> Option<SecretString> {
        find(&self.0, key).map(SecretString::from)
    }
}

fn default_path() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    set("PGPASSFILE")
        .map(PathBuf::from)
        .or_else(|| set("HOME").map(|home| PathBuf::from(home).join(".pgpass")))
}

/// Reads the file under libpq's conditions.
fn read(path: &Path) -> io::Result<String> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::other("not a plain file"));
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(io::Error::other(
            "group or others have access to it; its permissions should be u=rw (0600) or less",
        ));
    }
    // Names and passwords are bytes to libpq; ours are text. A line that is not UTF-8 matches
    // nothing of ours, and the other lines still do.
    Ok(String::from_utf8_lossy(&fs::read(path)?).into_owned())
}

fn find(contents: &str, key: Key<'_>) -> Option<String> {
    let host = if DEFAULT_SOCKET_DIRECTORIES.contains(&key.host) { "localhost" } else { key.host };
    let port = key.port.to_string();
    let wanted = [host, &port, key.database, key.user];
    contents
        .lines()
        .filter(|line| !line.starts_with('#'))
        .find_map(|line| {
            let password =
                wanted.iter().try_fold(line, |rest, wanted| after_match(rest, wanted))?;
            Some(unescape(password))
        })
        .filter(|password| !password.is_empty())
}

/// What follows the first field of `line`, if that field is `wanted` or `*`.
fn after_match<'a>(line: &'a str, wanted: &str) -> Option<&'a str> {
    if let Some(rest) = line.strip_prefix("*:") {
        return Some(rest);
    }
    let mut wanted = wanted.chars();
    let mut field = line.chars();
    loop {
        match field.next()? {
            ':' => return wanted.next().is_none().then_some(field.as_str()),
            '\\' => {
                if wanted.next()? != field.next()? {
                    return None;
                }
            }
            other => {
                if wanted.next()? != other {
                    return None;
                }
            }
        }
    }
}

/// The last field, up to the end or a colon (further fields may come with some later version).
fn unescape(field: &str) -> String {
    let mut password = String::new();
    let mut field = field.chars();
    while let Some(char) = field.next().filter(|char| *char != ':') {
        password.push(if char == '\\' { field.next().unwrap_or('\\') } else { char });
    }
    password
}

#[cfg(test)]
mod tests;
