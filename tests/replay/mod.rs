//! The program as a whole: a log on one side, a server on the other.

mod fixtures;
mod formats;
mod order;
mod stalls;
