//! What a start waits for and what it takes, which differs by whether the replay has an end: a daemon
//! waits and insists, a command that somebody has typed says what is wrong and ends, or makes do.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::ConfigError;
use super::lookup::Lookup;
use crate::cli;

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

pub(super) fn listen(
    look: &Lookup<'_>,
    typed: Option<cli::Listen>,
    has_end: bool,
) -> Result<Listen, ConfigError> {
    let given = look.one("listen", typed, &[], cli::listen)?;
    Ok(match given.map(|given| given.value) {
        Some(cli::Listen::Off) => Listen::Off,
        Some(cli::Listen::On(address)) => Listen::On(address),
        None if has_end => Listen::Preferably(DEFAULT_LISTEN),
        None => Listen::On(DEFAULT_LISTEN),
    })
}

pub(super) fn connect_timeout(
    look: &Lookup<'_>,
    typed: Option<Duration>,
    has_end: bool,
) -> Result<Option<Duration>, ConfigError> {
    let default = if has_end { CONNECT_TIMEOUT } else { Duration::ZERO };
    let timeout = look.or("connect-timeout", typed, default, cli::duration)?;
    Ok((!timeout.is_zero()).then_some(timeout))
}
