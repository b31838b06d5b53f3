//! The integration tests: one binary, against real servers. `tests/run` installs what they need.

mod cases;
mod check;
mod connection;
mod documentation;
mod fixtures;
mod grafana;
mod kafka_source;
mod operation;
mod replay;
mod restarts;
mod shipping;
