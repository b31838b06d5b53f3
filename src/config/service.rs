//! libpq's connection service file, `pg_service.conf`.
//!
//! The format: <https://www.postgresql.org/docs/current/libpq-pgservice.html>.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::lookup::Lookup;
use crate::cli::conninfo::Conninfo;

/// Where packages of libpq look for the system's file, which is fixed when it is built: Debian's,
/// the PostgreSQL project's for Red Hat, upstream's.
const SYSTEM_DIRECTORIES: [&str; 3] =
    ["/etc/postgresql-common", "/etc/sysconfig/pgsql", "/usr/local/pgsql/etc"];

/// What the service file says of `service`, as libpq finds it: in `file` if that is given, else the
/// user's file, and then in the system's.
pub(super) fn find(
    look: &Lookup<'_>,
    service: &str,
    file: Option<&str>,
) -> Result<Conninfo, String> {
    let own = match (file, look.variable("HOME")) {
        (Some(file), _) => Some(read(Path::new(file)).map_err(|error| unread(file, &error))?),
        (None, Some(home)) => read(&PathBuf::from(home).join(".pg_service.conf")).ok(),
        (None, None) => None,
    };
    let system = match look.variable("PGSYSCONFDIR") {
        Some(directory) => vec![directory],
        None => SYSTEM_DIRECTORIES.map(str::to_owned).to_vec(),
    };
    let system = system
        .iter()
        .filter_map(|directory| read(&PathBuf::from(directory).join("pg_service.conf")).ok());
    for (path, contents) in own.into_iter().chain(system) {
        if let Some(found) = parse(&contents, service) {
            return found.map_err(|error| format!("{}{error}", path.display()));
        }
    }
    Err(format!(
        "there is no service {service}: it is looked for in PGSERVICEFILE or ~/.pg_service.conf, and \
         in pg_service.conf in PGSYSCONFDIR"
    ))
}

fn read(path: &Path) -> io::Result<(PathBuf, String)> {
    Ok((path.to_owned(), fs::read_to_string(path)?))
}

fn unread(path: &str, error: &io::Error) -> String {
    format!("the service file {path} can't be read: {error}")
}

/// What the first section of this name says; `None` if there is none. Of a keyword the first line
/// counts. An error begins with its line and shows no value.
fn parse(contents: &str, service: &str) -> Option<Result<Conninfo, String>> {
    let lines = contents.lines().map(str::trim).enumerate();
    let mut lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let header = format!("[{service}]");
    lines.find(|(_, line)| line.starts_with(&header))?;
    let mut info = Conninfo::default();
    for (at, line) in lines.take_while(|(_, line)| !line.starts_with('[')) {
        if let Err(reason) = read_line(line, &mut info) {
            return Some(Err(format!(":{}: {reason}", at + 1)));
        }
    }
    Some(Ok(info))
}

fn read_line(line: &str, info: &mut Conninfo) -> Result<(), String> {
    if line.starts_with("ldap") {
        return Err("kreplay does not look services up by LDAP".to_owned());
    }
    let (keyword, value) = line.split_once('=').ok_or("expected keyword=value")?;
    let keyword = keyword.trim();
    if matches!(keyword, "service" | "servicefile") {
        return Err("a service can't name another one".to_owned());
    }
    if info.get(keyword).is_some() {
        return Ok(());
    }
    info.set(keyword, value.trim_start().to_owned())
}

#[cfg(test)]
mod tests;
