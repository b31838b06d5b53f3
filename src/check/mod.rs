//! `kreplay check`: looks at everything that a replay needs, and says whether it can work.
//!
//! It changes nothing: it joins no consumer group, commits no offset and writes nothing on the target.
//! Every step ends by itself after some seconds. What [`run`] has seen is judged by [`findings`].

pub mod broker;
pub mod findings;
mod print;
mod run;
mod sample;
mod target;

pub use print::Report;
pub use run::run;
