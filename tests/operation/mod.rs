//! How the process runs: what it says of its progress, and to whom.

mod http;
mod log;
mod metrics;
mod progress;
mod service;
mod start;
