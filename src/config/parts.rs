//! Placeholders until the parts are merged.
#![allow(missing_docs)]
use std::fmt;
use std::path::PathBuf;

impl fmt::Debug for KafkaSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaSettings").field("topic", &self.topic).finish_non_exhaustive()
    }
}

#[derive(Clone, PartialEq, Eq)]
pub struct KafkaSettings {
    pub brokers: Vec<String>,
    pub topic: String,
    pub group_id: String,
    pub start: Start,
    pub reset: bool,
    pub on_gap: OnGap,
    pub until_end: bool,
    pub properties: Vec<(String, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    Earliest,
    Latest,
    At(i64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnGap {
    Stop,
    Continue,
}

#[derive(Debug, Clone)]
pub struct TargetSettings {
    pub host: String,
    pub port: u16,
    pub sslmode: SslMode,
    pub sslrootcert: Option<PathBuf>,
    pub password: Option<Password>,
    pub passfile: Option<PathBuf>,
    pub read_only: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    Disable,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

#[derive(Clone, PartialEq, Eq)]
pub struct Password(pub String);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(***)")
    }
}
