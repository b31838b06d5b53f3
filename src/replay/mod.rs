//! Every decision of a replay, over plain data. Pure: no I/O, no clock, no runtime.

pub mod ledger;
