//! Every decision of the replay. Pure: no I/O, no clock, no runtime.

pub mod types;
