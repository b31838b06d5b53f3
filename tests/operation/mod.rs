//! How the process runs: what it says of its progress, and to whom.

mod log;
mod metrics;
mod progress;
mod service;
mod start;
