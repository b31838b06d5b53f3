//! The status page: one screen, no script, nothing loaded from elsewhere.

use std::fmt::{self, Display, Write};
use std::time::Duration;

use super::Health;
use crate::cli::VERSION;
use crate::metrics::Partition;
use crate::replay::footprint::Costly;
use crate::replay::ledger::Snapshot;
use crate::replay::pace::Pace;

/// Where the replay stands: what the page shows. None of it may be secret.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// What is read, in words: the topic and the brokers, or the files.
    pub reading: String,
    /// What is written to, in words: host and port.
    pub writing: String,
    /// The order, as on the command line.
    pub order: String,
    /// The pace that is kept, if any.
    pub pace: Option<Pace>,
    /// What became of the records.
    pub ledger: Snapshot,
    /// Where each partition stands.
    pub partitions: Vec<Partition>,
    /// How many sessions are in each state.
    pub sessions: Vec<(&'static str, usize)>,
    /// How many connections to the target are open.
    pub connections: usize,
    /// How many waits for locks were broken in each way.
    pub stalls: Vec<(&'static str, u64)>,
    /// How far the replay is behind the source, where that is known.
    pub behind_source: Option<Duration>,
    /// The shapes of statements that cost the conflict order the most concurrency.
    pub costly: Vec<Costly>,
}

const HEAD: &str = "<!doctype html><html lang=en><meta charset=utf-8>\
<meta name=viewport content='width=device-width'><meta http-equiv=refresh content=5>\
<title>kreplay</title><style>\
body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:46em;padding:0 1em;\
color-scheme:light dark}table{border-collapse:collapse;margin:.4em 0}\
td,th{padding:.1em 1.2em .1em 0;text-align:right;font-variant-numeric:tabular-nums}\
td:first-child,th:first-child{text-align:left}h2{font-size:1em;margin:1.4em 0 0}\
.part td{opacity:.7}.part td:first-child{padding-left:2em}</style>";

impl Status {
    /// The page.
    pub(super) fn page(&self, health: &Health) -> String {
        let mut page = String::from(HEAD);
        // Writing to a String cannot fail.
        let _ = self.write(&mut page, health);
        page
    }

    fn write(&self, page: &mut String, health: &Health) -> fmt::Result {
        let (source, target) = health.conditions();
        let ready =
            health.ready().err().map_or_else(|| "ready".into(), |why| format!("not ready: {why}"));
        write!(page, "<h1>kreplay</h1><p>Version {}; {}.</p>", Text(VERSION), Text(&ready))?;
        write!(page, "<table>")?;
        row(page, "Reads", &format!("{} ({})", self.reading, source.in_words()))?;
        row(page, "Writes to", &format!("{} ({})", self.writing, target.in_words()))?;
        row(page, "Order", &self.order)?;
        if let Some(Pace { speed, playout_delay }) = self.pace {
            let pace = format!("{speed} times the source's, {playout_delay:?} behind it");
            row(page, "Pace", &pace)?;
        }
        if let Some(behind) = self.behind_source {
            row(page, "Behind the source", &format!("{:.1} s", behind.as_secs_f64()))?;
        }
        write!(page, "</table>")?;

        write!(page, "<h2>Records</h2><table>")?;
        row(page, "consumed", &grouped(self.ledger.consumed()))?;
        for (fate, records) in self.ledger.by_fate() {
            row(page, &fate.replace('_', " "), &grouped(records))?;
            let reasons = self.ledger.by_reason().filter(|(of, n)| of.label() == fate && *n > 0);
            for (of, records) in reasons {
                write!(
                    page,
                    "<tr class=part><td>{}<td>{}",
                    Text(of.reason().unwrap_or_default()),
                    grouped(records)
                )?;
            }
        }
        row(page, "pending", &grouped(self.ledger.pending()))?;
        if !self.ledger.balances() {
            row(page, "settled twice (a defect)", &grouped(self.ledger.oversettled()))?;
        }
        write!(page, "</table>")?;

        if !self.partitions.is_empty() {
            write!(
                page,
                "<h2>Partitions</h2><table><tr><th>partition<th>position<th>committed\
                 <th>high watermark<th>lag"
            )?;
            for at in &self.partitions {
                write!(page, "<tr><td>{}", at.partition)?;
                for offset in [at.position, at.committed, at.high_watermark, at.lag()] {
                    write!(page, "<td>{}", offset.map_or_else(|| "?".into(), |n| n.to_string()))?;
                }
            }
            write!(page, "</table>")?;
        }

        write!(page, "<h2>Sessions</h2><table>")?;
        for (state, sessions) in &self.sessions {
            row(page, &state.replace('_', " "), &grouped(*sessions as u64))?;
        }
        row(page, "connections", &grouped(self.connections as u64))?;
        write!(page, "</table>")?;

        if !self.costly.is_empty() {
            write!(
                page,
                "<h2>What costs concurrency</h2><table><tr><th>statement<th>treated as touching\
                 <th>because<th>times"
            )?;
            for Costly { shape, widening, count } in &self.costly {
                let (extent, why) = (widening.extent().in_words(), widening.label());
                write!(
                    page,
                    "<tr><td>{}<td>{extent}<td>{}<td>{}",
                    Text(shape),
                    why.replace('_', " "),
                    grouped(*count)
                )?;
            }
            write!(page, "</table>")?;
        }

        if !self.stalls.is_empty() {
            write!(page, "<h2>Waits for locks broken</h2><table>")?;
            for (how, times) in &self.stalls {
                row(page, how, &grouped(*times))?;
            }
            write!(page, "</table>")?;
        }
        write!(page, "<p><a href=/metrics>metrics</a> <a href=/readyz>readyz</a>")
    }
}

fn row(page: &mut String, name: &str, value: &str) -> fmt::Result {
    write!(page, "<tr><td>{}<td>{}", Text(name), Text(value))
}

/// A number with a comma before every third digit.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Text that stays text in HTML.
struct Text<'a>(&'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                _ => f.write_char(character)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_by_three() {
        let text = [0, 7, 999, 1000, 123_456, 1_234_567].map(grouped);
        assert_eq!(text, ["0", "7", "999", "1,000", "123,456", "1,234,567"]);
    }
}
