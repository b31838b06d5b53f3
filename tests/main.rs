//! The one integration binary.

mod kafka_source;
mod support;
