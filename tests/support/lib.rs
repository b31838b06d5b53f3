//! What the integration tests and the benches share: real servers, each with a process of its own,
//! the logs of real servers, and kreplay as a process.

pub mod browser;
pub mod fixture;
pub mod kafka;
pub mod kreplay;
pub mod log;
pub mod postgres;
pub mod prometheus;
pub mod recorder;
pub mod rsyslog;
pub mod source;
pub mod spread;

/// The repository.
pub(crate) const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
