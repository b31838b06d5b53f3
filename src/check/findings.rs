//! `kreplay check`: what was seen of the broker, the log and the target, judged before a replay.
//!
//! - [`broker`], [`sample`], [`target`]: what was seen, as plain data, and what that means.
//! - `records` and `logging` judge the sample of the log: how it is shipped, how the source logs.
//! - `clock` judges times: of the source, the broker and ours.
//!
//! No finding quotes a statement, a parameter or a password: only names, counts and settings.

pub mod broker;
mod clock;
mod logging;
mod records;
pub mod sample;
mod spread;
pub mod target;
#[cfg(test)]
mod tests;

use serde::Serialize;
use strum::{Display, VariantArray};

use crate::replay::pace::Pace;
use crate::replay::settings::{Filters, Identity, TargetDurations};
use broker::KafkaFacts;
use sample::Sample;
use target::TargetFacts;

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Display, VariantArray)]
#[serde(rename_all = "lowercase")]
pub enum Area {
    /// The command line, the environment, the configuration file.
    Settings,
    /// The brokers, the topic, the consumer group; or the files.
    Input,
    /// The records, as the shipper sends them.
    Records,
    /// The source's settings, as its log shows them.
    Source,
    /// Times, of the source, the broker and ours.
    Clock,
    /// The server that is replayed on.
    Target,
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Display)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// The replay works, but not as well as it could, or not for as long.
    Warning,
    /// The replay can't work, or loses statements.
    Error,
}

/// One line of the check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is about.
    pub area: Area,
    /// How much it matters.
    pub level: Level,
    /// What was found.
    pub what: String,
    /// What to do about it, unless it is well or says so itself.
    pub remedy: Option<String>,
}

/// The lines of one area, in the making.
#[derive(Debug)]
struct Section {
    area: Area,
    findings: Vec<Finding>,
}

impl Section {
    fn of(area: Area) -> Self {
        Self { area, findings: Vec::new() }
    }

    fn ok(&mut self, what: impl Into<String>) {
        self.push(Level::Ok, what.into(), None);
    }

    fn warning(&mut self, what: impl Into<String>, remedy: impl Into<String>) {
        self.push(Level::Warning, what.into(), Some(remedy.into()));
    }

    fn error(&mut self, what: impl Into<String>, remedy: impl Into<String>) {
        self.push(Level::Error, what.into(), Some(remedy.into()));
    }

    fn push(&mut self, level: Level, what: String, remedy: Option<String>) {
        self.findings.push(Finding { area: self.area, level, what, remedy });
    }
}

/// What the replay is asked to be, as far as the check judges by it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CheckPlan {
    /// As whom and to which database sessions are replayed.
    pub identity: Identity,
    /// What is left out.
    pub filters: Filters,
    /// The pace that is kept.
    pub pace: Option<Pace>,
    /// How long a live statement may wait for its session's next record, in milliseconds.
    pub lookahead_ms: i64,
    /// `--max-sessions`.
    pub max_sessions: Option<usize>,
    /// `--read-only`.
    pub read_only: bool,
    /// `--on-gap continue`.
    pub skips_gaps: bool,
    /// `--target-durations`.
    pub target_durations: TargetDurations,
    /// `--explain`.
    pub explain: bool,
}

/// Where the log comes from, as it was seen.
#[derive(Debug)]
pub enum InputFacts {
    /// A topic.
    Kafka(Box<KafkaFacts>),
    /// Files.
    Files(Result<FilesFacts, String>),
}

/// Files, as they were seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FilesFacts {
    /// What they are called, in the order in which they are read.
    pub names: Vec<String>,
    /// Whether that is another order than the one in which they were given.
    pub reordered: bool,
    /// Their bytes.
    pub bytes: u64,
    /// Those that can only be read once (standard input, a named pipe), and so were not looked into.
    pub streams: Vec<String>,
}

/// All that was seen.
#[derive(Debug)]
pub struct Facts {
    /// Our clock, in Unix milliseconds.
    pub now_ms: i64,
    /// Where the log comes from.
    pub input: InputFacts,
    /// Records of it; `None` where none could be read.
    pub sample: Option<Sample>,
    /// The target; `None` under `--dry-run`.
    pub target: Option<TargetFacts>,
}

/// Judges what was seen.
pub fn findings(facts: &Facts, plan: &CheckPlan) -> Vec<Finding> {
    let mut input = Section::of(Area::Input);
    let live = match &facts.input {
        InputFacts::Kafka(kafka) => {
            broker::judge(kafka, facts.now_ms, plan, &mut input);
            true
        }
        InputFacts::Files(files) => {
            judge_files(files, &mut input);
            false
        }
    };
    let mut found = input.findings;
    if let Some(sample) = facts.sample.as_ref().filter(|sample| sample.records > 0) {
        let mut records = Section::of(Area::Records);
        records::judge(sample, &mut records);
        spread::judge(sample, &mut records);
        records::judge_names(sample, plan, &mut records);
        let mut source = Section::of(Area::Source);
        logging::judge(sample, &mut source);
        let mut clock = Section::of(Area::Clock);
        clock::judge(sample, facts.now_ms, live, plan, &mut clock);
        found.extend([records, source, clock].into_iter().flat_map(|lines| lines.findings));
    }
    if let Some(target) = &facts.target {
        let mut lines = Section::of(Area::Target);
        target::judge(target, facts.sample.as_ref(), plan, &mut lines);
        found.extend(lines.findings);
    }
    found
}

fn judge_files(files: &Result<FilesFacts, String>, lines: &mut Section) {
    match files {
        Err(reason) => lines.error(
            reason.clone(),
            "give --input files that exist, that this user can read, and that are one log",
        ),
        Ok(files) => {
            lines.ok(format!(
                "{} of {} can be read",
                counted(files.names.len() as u64, "file"),
                crate::display::bytes(files.bytes)
            ));
            if files.reordered {
                lines.ok(format!(
                    "they are read in the order of their first records: {}",
                    files.names.join(", ")
                ));
            }
            for stream in &files.streams {
                lines.warning(
                    format!("{stream} can be read only once, and so was not looked into"),
                    "write it to a file and check that",
                );
            }
        }
    }
}

/// `1 record`, `1,234 records`.
fn counted(number: u64, unit: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {unit}{plural}", crate::display::grouped(number))
}

/// A time for people: `340 ms`, `4.2 s`, `1h 02m`.
fn span(ms: i64) -> String {
    let ms = ms.unsigned_abs();
    match ms {
        0..1000 => format!("{ms} ms"),
        1000..10_000 => format!("{:.1} s", ms as f64 / 1000.0),
        _ => crate::display::clock(std::time::Duration::from_millis(ms)),
    }
}

/// The first few names of many.
fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 6;
    let names: Vec<&str> = names.into_iter().collect();
    let mut text = names[..names.len().min(SHOWN)].join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}
