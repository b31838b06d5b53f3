//! The integration tests: one binary.

mod connection;
mod support;
