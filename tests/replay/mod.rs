//! The program as a whole: a log on one side, a server on the other.

mod conflicts;
mod connections;
mod failures;
mod fixtures;
mod formats;
mod http;
mod order;
mod pace;
mod partitions;
mod report;
mod sessions;
mod stalls;
