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
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    const KEY: Key<'_> = Key { host: "db", port: 5432, database: "shop", user: "app" };

    fn password(contents: &str) -> Option<String> {
        find(contents, KEY)
    }

    #[test]
    fn the_first_line_that_matches_counts() {
        assert_eq!(password("other:5432:shop:app:a\ndb:5432:shop:app:b\n*:*:*:*:c"), some("b"));
        assert_eq!(password("*:*:*:*:c\ndb:5432:shop:app:b"), some("c"));
        assert_eq!(password("db:5433:shop:app:a"), None);
        assert_eq!(password(""), None);
    }

    #[test]
    fn a_star_is_a_wildcard_only_as_a_whole_field() {
        assert_eq!(password("*:5432:*:app:a"), some("a"));
        assert_eq!(password("d*:5432:shop:app:a"), None);
    }

    #[test]
    fn colons_and_backslashes_are_escaped() {
        let key = Key { host: "::1", database: r"a\b", ..KEY };
        assert_eq!(find(r"\:\:1:5432:a\\b:app:p\:w\\d", key), some(r"p:w\d"));
        assert_eq!(password("db:5432:shop:app:a:future"), some("a"));
        assert_eq!(password("db:5432:shop:app:a\\"), some("a\\"));
    }

    #[test]
    fn comments_empty_lines_and_short_lines_are_passed_over() {
        assert_eq!(
            password("# db:5432:shop:app:a\n\ndb:5432\r\ndb:5432:shop:app:b\r\n"),
            some("b")
        );
    }

    #[test]
    fn the_default_socket_is_localhost() {
        let key = Key { host: "/var/run/postgresql", ..KEY };
        assert_eq!(find("localhost:5432:shop:app:a", key), some("a"));
        let key = Key { host: "/srv/sockets", ..KEY };
        assert_eq!(find("localhost:5432:shop:app:a", key), None);
        assert_eq!(find("/srv/sockets:5432:shop:app:a", key), some("a"));
    }

    #[test]
    fn a_file_that_others_can_read_is_not_used() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        fs::write(file.path(), "*:*:*:*:a").expect("written");
        let mode = |mode| fs::set_permissions(file.path(), fs::Permissions::from_mode(mode));
        mode(0o640).expect("own file");
        assert!(PasswordFile::load(Some(file.path())).find(KEY).is_none());
        mode(0o600).expect("own file");
        let found = PasswordFile::load(Some(file.path())).find(KEY);
        assert_eq!(found.expect("a line matches").expose_secret(), "a");
    }

    fn some(password: &str) -> Option<String> {
        Some(password.to_owned())
    }
}
