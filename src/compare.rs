//! `kreplay compare`: two reports of one log, each replayed on a target of its own, side by side.
//!
//! - `report`: what is read of a report, and why a file is none.
//! - `differences`: whether two of them can be compared, and what else differs between the runs.
//! - `durations`, `shift`: how many times as long a shape takes, from the distributions of both.
//! - `judgement`: which shapes became slower; `plans`: what their plans have in common.
//! - `errors`: what fails on one target alone; `losses`: what did not run on the candidate's.
//! - `resources`: what the targets spent.
//! - `comparison`: the result as plain data; `table` and `page` show it.
//!
//! All but [`run`] is pure.

mod comparison;
mod differences;
mod durations;
mod errors;
mod judgement;
mod level;
mod losses;
mod page;
mod plans;
mod report;
mod resources;
mod shift;
mod table;

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use self::comparison::{Comparison, Named};
use self::report::{NotAReport, ReplayReport};
use crate::display::one_line;
use crate::flag_values::share;
use crate::private_file;

/// A report of 500 shapes takes some 5 MB; no more of a file is read.
const MOST_BYTES: u64 = 256 << 20;
/// No reason why a file is no report is longer, in characters.
const LONGEST_REASON: usize = 500;

/// What is compared, and how.
#[derive(Debug, Args)]
pub struct CompareOptions {
    /// The report of the replay on what is in use today (JSON of --report FILE or /report, or the page)
    #[arg(value_name = "BASELINE")]
    baseline: PathBuf,
    /// The report of the replay of the same log on what may come
    #[arg(value_name = "CANDIDATE")]
    candidate: PathBuf,
    /// The report of a second replay on the baseline's target: what "the same" looks like there is shown
    /// beside each shape, and no shape is called degraded for a change that is no larger
    #[arg(long, value_name = "REPORT")]
    repeat: Option<PathBuf>,
    /// By how much a shape's duration has to change, beyond what all shapes have in common, to be called
    /// degraded or improved
    #[arg(long, value_name = "CHANGE", default_value = "10%", value_parser = share)]
    threshold: f64,
    /// What ends with exit code 9. Statements that ran on the baseline's target and not on the candidate's do
    /// unless it is never: more than 1 % of all, or most of a shape's
    #[arg(
        long, value_name = "WHAT", value_enum, value_delimiter = ',',
        default_values_t = [FailOn::Degraded, FailOn::NewErrors]
    )]
    fail_on: Vec<FailOn>,
    /// Print the comparison as JSON
    #[arg(long)]
    pub json: bool,
    /// Write the comparison as a page, too: one file that needs no server
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// What counts as worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FailOn {
    /// A shape became slower
    Degraded,
    /// A shape fails with an SQLSTATE that it did not have
    NewErrors,
    /// Nothing
    Never,
}

/// Why two reports can't be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// A file can't be read or written.
    #[error("{}: {error}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A file holds something else.
    #[error("{}: {why}", file.display())]
    NotAReport {
        /// The file.
        file: PathBuf,
        /// What it is, and what would help.
        why: String,
    },
    /// They are not of one log.
    #[error("{} and {} can't be compared: {why}", baseline.display(), candidate.display())]
    NotOfOneLog {
        /// The first report.
        baseline: PathBuf,
        /// The other one.
        candidate: PathBuf,
        /// How they differ.
        why: String,
    },
    /// `never` beside something else.
    #[error("--fail-on never stands alone")]
    NeverAlone,
    /// The page or the JSON can't be made.
    #[error("the comparison can't be written, a defect of kreplay: {0}")]
    Written(serde_json::Error),
}

/// Reads both reports, compares them, and writes the page if one is asked for. Returns what is to be
/// printed, and whether anything that counts became worse.
///
/// # Errors
///
/// [`CompareError`] names the file.
pub fn run(options: &CompareOptions) -> Result<(String, bool), CompareError> {
    if options.fail_on.contains(&FailOn::Never) && options.fail_on.len() > 1 {
        return Err(CompareError::NeverAlone);
    }
    let baseline = read(&options.baseline)?;
    let candidate = read_beside(&options.candidate, &options.baseline, &baseline)?;
    let repeat = options.repeat.as_deref();
    let repeat = repeat.map(|file| read_beside(file, &options.baseline, &baseline)).transpose()?;
    let names = [Some(&options.baseline), Some(&options.candidate), options.repeat.as_ref()]
        .map(|file| file.map_or_else(String::new, |it| it.display().to_string()));
    let named = |file, report| Named { file, report };
    let comparison = Comparison::new(
        named(&names[0], &baseline),
        named(&names[1], &candidate),
        repeat.as_ref().map(|report| named(&names[2], report)),
        options.threshold,
    );
    if let Some(file) = &options.html {
        let page = comparison.page().map_err(CompareError::Written)?;
        private_file::write(file, &page)
            .map_err(|error| CompareError::File { file: file.to_owned(), error })?;
    }
    let fails = |what| options.fail_on.contains(&what);
    // What did not run may be slower, and may fail.
    let is_worse = fails(FailOn::Degraded) && comparison.has_degraded()
        || fails(FailOn::NewErrors) && comparison.has_new_errors()
        || !fails(FailOn::Never) && comparison.has_losses();
    let text = match options.json {
        true => comparison.json().map_err(CompareError::Written)?,
        false => comparison.table(),
    };
    Ok((text, is_worse))
}

fn read(file: &Path) -> Result<ReplayReport, CompareError> {
    let mut bytes = Vec::new();
    fs::File::open(file)
        .and_then(|open| open.take(MOST_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| CompareError::File { file: file.to_owned(), error })?;
    let report = match bytes.len() as u64 > MOST_BYTES {
        true => Err(NotAReport::TooLarge { most_mib: MOST_BYTES >> 20 }),
        false => ReplayReport::read(&String::from_utf8_lossy(&bytes)),
    };
    // It may name a field of the file.
    report.map_err(|why| CompareError::NotAReport {
        file: file.to_owned(),
        why: one_line(&why.to_string(), LONGEST_REASON),
    })
}

/// Reads a report that has to be of the same log as the baseline.
fn read_beside(
    file: &Path,
    baseline_file: &Path,
    baseline: &ReplayReport,
) -> Result<ReplayReport, CompareError> {
    let report = read(file)?;
    match differences::refusal(baseline, &report) {
        None => Ok(report),
        Some(why) => Err(CompareError::NotOfOneLog {
            baseline: baseline_file.to_owned(),
            candidate: file.to_owned(),
            why,
        }),
    }
}
