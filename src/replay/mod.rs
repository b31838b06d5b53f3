//! Every decision of the replay. Pure: no I/O, no clock, no runtime.

pub mod backends;
pub mod bottleneck;
pub mod checkpoint;
pub mod conflict;
pub mod context;
pub mod footprint;
pub mod intake;
pub mod ledger;
pub mod lines;
pub mod lookahead;
pub mod merge;
pub mod order;
pub mod pace;
pub mod permits;
pub mod policy;
pub mod progress;
pub mod report;
pub mod request;
pub mod session;
pub mod settings;
pub mod shape;
pub mod stall;
pub mod types;
pub mod waits;
pub mod window;
pub mod work;
