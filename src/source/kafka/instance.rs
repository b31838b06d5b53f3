//! A member's own name in its group: static membership (KIP-345).
//!
//! A broker keeps the place of a member that went without a word until its session has timed out. Whoever
//! joins under the name of a *static* member takes that place at once. So two processes must not use one
//! name at a time: the broker puts the older one out ([`TopicError::Fenced`](super::TopicError::Fenced)).
//! On one host the younger one is told before it comes to that.

use std::hash::BuildHasher as _;
use std::io;
#[cfg(target_os = "linux")]
use std::os::{
    linux::net::SocketAddrExt as _,
    unix::net::{SocketAddr, UnixListener},
};

use foldhash::quality::FixedState;
use gethostname::gethostname;

use super::settings::{KafkaSettings, Membership};

/// The longest name that a broker takes.
pub(super) const LONGEST: usize = 249;

/// Whether a broker takes a character in a name.
pub(super) fn is_allowed(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-')
}

/// The name of the member on this host, if it is a static one.
pub(super) fn of(settings: &KafkaSettings) -> Option<String> {
    name(settings, &gethostname().to_string_lossy())
}

/// The name of the member, if it is a static one. The broker's own protocol (KIP-848) lets nobody take the
/// place of a member that died, so that there only who asks for it is one.
fn name(settings: &KafkaSettings, host: &str) -> Option<String> {
    match &settings.membership {
        Membership::Dynamic => None,
        Membership::Named(name) => Some(name.clone()),
        Membership::OfHost if settings.uses_brokers_protocol() => None,
        Membership::OfHost => Some(of_host(&settings.group_id, host)),
    }
}

/// What a broker takes of a group's and a host's name. The host's end is what differs in a fleet.
fn of_host(group_id: &str, host: &str) -> String {
    let name = format!("{group_id}-{host}");
    let name: String = name.chars().map(|it| if is_allowed(it) { it } else { '-' }).collect();
    name[name.len().saturating_sub(LONGEST)..].to_owned()
}

/// That no other process of this host is this member; until it is dropped, or the process is gone.
#[derive(Debug)]
pub(super) struct Claim {
    #[cfg(target_os = "linux")]
    _socket: UnixListener,
}

impl Claim {
    /// Claims a member's place; `None` if another process has it.
    ///
    /// # Errors
    ///
    /// The host can't tell.
    #[cfg(target_os = "linux")]
    pub(super) fn of(settings: &KafkaSettings, name: &str) -> io::Result<Option<Self>> {
        // It leaves nothing behind, however the process ends. The group may be one of another cluster's.
        let place = (&settings.brokers, &settings.group_id, name);
        let place = format!("kreplay/{:016x}", FixedState::default().hash_one(place));
        match UnixListener::bind_addr(&SocketAddr::from_abstract_name(place)?) {
            Ok(socket) => Ok(Some(Self { _socket: socket })),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Elsewhere it is left to the broker.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn of(_: &KafkaSettings, _: &str) -> io::Result<Option<Self>> {
        Ok(Some(Self {}))
    }
}

#[cfg(test)]
mod tests;
