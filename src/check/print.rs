//! What a check has found, and how it is printed: lines for people, or JSON.

use serde::Serialize;
use strum::VariantArray as _;

use crate::check::findings::{Area, Finding, Level};
use crate::cli::VERSION;

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
    text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(area: Area, level: Level, what: &str, remedy: Option<&str>) -> Finding {
        Finding { area, level, what: what.into(), remedy: remedy.map(Into::into) }
    }

    fn report() -> Report {
        Report(vec![
            finding(Area::Input, Level::Ok, "Kafka answers", None),
            finding(Area::Target, Level::Error, "no role\nx", Some("make it")),
            finding(Area::Input, Level::Warning, "no record", Some("start the shipper")),
        ])
    }

    #[test]
    fn findings_stand_under_their_areas_with_their_remedies_below() {
        assert_eq!(
            report().text(),
            "Input\n  ok       Kafka answers\n  warning  no record\n           -> start the shipper\n\
             Target\n  error    no role x\n           -> make it\n\
             check: 1 error and 1 warning: the replay can't work as it should\n"
        );
        let well = Report(vec![finding(Area::Input, Level::Ok, "x", None)]);
        assert!(well.text().ends_with("check: all is well\n"));
        assert!(well.passed() && !report().passed());
    }

    #[test]
    fn the_json_has_the_sums_and_every_finding() {
        let json: serde_json::Value = serde_json::from_str(&report().json()).expect("JSON");
        assert_eq!(
            (&json["ok"], &json["warnings"], &json["errors"]),
            (&1.into(), &1.into(), &1.into())
        );
        assert_eq!(json["findings"][1]["level"], "error");
        assert_eq!(json["findings"][1]["area"], "target");
        assert_eq!(json["findings"][0]["remedy"], serde_json::Value::Null);
    }
}
