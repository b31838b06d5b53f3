//! What became of every record, and how far and how fast the replay goes.

pub mod bottleneck;
pub mod checkpoint;
pub mod digest;
pub mod ledger;
pub mod policy;
pub mod progress;
pub mod settlement;
