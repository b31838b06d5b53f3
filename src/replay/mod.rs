//! Every decision of the replay. Pure: no I/O, no clock, no runtime.
//!
//! In the order of the data: [`feed`] takes records and says what the source is asked for; [`intake`] makes
//! [`work`] for sessions of them, [`order`] says when it may start, [`session`] what is sent and what the
//! answer means, [`account`] what became of each record, [`report`] what it comes to.

pub mod account;
pub mod feed;
pub mod intake;
pub mod order;
pub mod pace;
pub mod report;
pub mod session;
pub mod settings;
pub mod work;
