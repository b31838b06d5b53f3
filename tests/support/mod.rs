//! What the integration tests share: real servers, each with a process of its own, and the logs of
//! real servers.

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
