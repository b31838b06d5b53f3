//! What a start waits for and what it takes, which differs by whether the replay has an end: a daemon
//! waits and insists, a command that somebody has typed says what is wrong and ends, or makes do.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use crate::flag_values::Timeout;

/// Port 11432: 9100 to 9999 are allocated, every one, to Prometheus exporters in that project's
/// list; IANA has registered 11432 to nobody, and it lies below the ports that systems hand out
/// to clients, so none of those can hold it.
pub const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 11432);

/// How long a replay with an end waits for a target that can't be reached.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// Where HTTP is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listen {
    /// Nowhere.
    Off,
    /// On this address or not at all.
    On(SocketAddr),
    /// On this address, or on another port where it is taken.
    Preferably(SocketAddr),
}

impl Listen {
    /// Where HTTP is served unless somebody says where.
    pub(super) fn by_default(has_end: bool) -> Self {
        if has_end { Self::Preferably(DEFAULT_LISTEN) } else { Self::On(DEFAULT_LISTEN) }
    }
}

impl FromStr for Listen {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "expected an address and a port, as 127.0.0.1:11432, or off";
        if text == "off" {
            return Ok(Self::Off);
        }
        if let Some(port) = text.strip_prefix("localhost:") {
            let port = port.parse().map_err(|_| EXPECTED)?;
            return Ok(Self::On(SocketAddr::from((Ipv4Addr::LOCALHOST, port))));
        }
        text.parse().map(Self::On).map_err(|_| EXPECTED)
    }
}

/// A name that HTTP is asked by, in lower case.
pub(crate) fn host_name(text: &str) -> Result<String, &'static str> {
    let is_label = |label: &str| {
        let is_part = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'_');
        !label.is_empty() && label.bytes().all(is_part)
    };
    let name = text.strip_suffix('.').unwrap_or(text);
    match name.split('.').all(is_label) {
        true => Ok(name.to_ascii_lowercase()),
        false => Err("expected a name without scheme, port or path, as replay.example.org"),
    }
}

/// How long the target may take to be reached unless somebody says how long.
pub(super) fn connect_timeout(has_end: bool) -> Timeout {
    has_end.then_some(CONNECT_TIMEOUT)
}

#[cfg(test)]
mod tests;
