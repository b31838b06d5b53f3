//! The program as a whole: a log on one side, a server on the other.

mod compare;
mod conflicts;
mod connections;
mod durations;
mod explain;
mod failures;
mod fixtures;
mod formats;
mod http;
mod made_up_report;
mod order;
mod pace;
mod page;
mod partitions;
mod plans;
mod regression;
mod report;
mod resources;
mod routines;
mod sessions;
mod stall_watch;
mod stalls;
mod vacated;
