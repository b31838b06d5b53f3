//! What a check has found, and how it is printed: lines for people, or JSON.

use serde::Serialize;
use strum::VariantArray as _;

use crate::check::findings::{Area, Finding, Level};
use crate::cli::VERSION;
use crate::escape::is_deceptive;

/// What was found.
#[derive(Debug)]
pub struct Report(pub(super) Vec<Finding>);

impl Report {
    /// Whether nothing keeps the replay from working.
    pub fn passed(&self) -> bool {
        self.count(Level::Error) == 0
    }

    fn count(&self, level: Level) -> usize {
        self.0.iter().filter(|finding| finding.level == level).count()
    }
}

/// The JSON of `kreplay check --json`.
#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    kreplay: &'static str,
    ok: usize,
    warnings: usize,
    errors: usize,
    findings: &'a [Finding],
}

impl Report {
    /// One line for each finding under the heading of its area, its remedy below it, and the sum.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for area in Area::VARIANTS {
            let mut findings = self.0.iter().filter(|finding| finding.area == *area).peekable();
            if findings.peek().is_some() {
                text.push_str(&format!("{}\n", area));
            }
            for Finding { level, what, remedy, .. } in findings {
                text.push_str(&format!("  {:<8} {}\n", level, one_line(what)));
                if let Some(remedy) = remedy {
                    text.push_str(&format!("           -> {}\n", one_line(remedy)));
                }
            }
        }
        let (warnings, errors) = (self.count(Level::Warning), self.count(Level::Error));
        let plural =
            |number, word| format!("{number} {word}{}", if number == 1 { "" } else { "s" });
        let sum = match (errors, warnings) {
            (0, 0) => "all is well".to_owned(),
            (0, _) => format!("{}: the replay can work", plural(warnings, "warning")),
            _ => format!(
                "{} and {}: the replay can't work as it should",
                plural(errors, "error"),
                plural(warnings, "warning")
            ),
        };
        text.push_str(&format!("check: {sum}\n"));
        text
    }

    /// The same as JSON.
    pub fn json(&self) -> String {
        let document = Document {
            version: 1,
            kreplay: VERSION,
            ok: self.count(Level::Ok),
            warnings: self.count(Level::Warning),
            errors: self.count(Level::Error),
            findings: &self.0,
        };
        let text = serde_json::to_string_pretty(&document).expect("strings and numbers alone");
        text + "\n"
    }
}

/// Names in a log and a server's words may hold anything.
fn one_line(text: &str) -> String {
    text.chars().map(|char| if is_deceptive(char) { ' ' } else { char }).collect()
}

#[cfg(test)]
mod tests;
