//! The report in lines, for the end of a run.

use std::fmt::Write as _;

use super::factor::Factor;
use super::resources::DATABASES;
use super::{Change, PaceCounts, QueryShape, Report, ResourcePeriod, Resources, Verdict};
use crate::display::{bytes, grouped, one_line};
use crate::label::Label as _;

/// No line is longer, in characters.
const WIDTH: usize = 100;
/// So many shapes are shown whatever they are.
const TOP: usize = 10;
/// So many of those that became slower or ended otherwise are shown besides.
const NEWS: usize = 40;

impl Report {
    /// The shapes that took the longest, and those that became slower or ended otherwise than on the
    /// source, one a line; nothing where nothing was run.
    pub fn table(&self) -> String {
        let mut text = String::new();
        if self.shapes.is_empty() {
            return text;
        }
        let v = &self.verdicts;
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "query shapes  {}: {} degraded, {} improved, {} the same, {} that can't be told",
            self.shapes.len(),
            v.degraded,
            v.improved,
            v.same,
            v.cannot_tell,
        );
        if let Some(untold) = self.untold.words.as_ref().filter(|_| self.untold.is_most()) {
            let _ = writeln!(text, "{}", one_line(&format!("verdict       {untold}"), WIDTH));
        }
        if let Some(judged) = self.judged() {
            let _ = writeln!(text, "rests on      {judged}");
        }
        let _ = writeln!(
            text,
            "  {:<11} {:>8} {:>10} {:>10} {:>7} {:>7} {:>7}  query",
            "verdict", "calls", "source p50", "target p50", "ratio", "beyond", "changed"
        );
        let is_news =
            |shape: &QueryShape| shape.verdict == Verdict::Degraded || shape.outcomes.changed() > 0;
        let (top, others) = self.shapes.split_at(TOP.min(self.shapes.len()));
        let news: Vec<_> = others.iter().filter(|shape| is_news(shape)).collect();
        for shape in top.iter().chain(news.iter().copied().take(NEWS)) {
            let line = line(shape);
            let _ = writeln!(text, "{}", one_line(&line, WIDTH));
            let has_changed = matches!(shape.verdict, Verdict::Degraded | Verdict::Improved);
            if let Some(change) = shape.plans.change().filter(|_| has_changed) {
                let _ = writeln!(text, "{}", one_line(&format!("{:14}{change}", ""), WIDTH));
            }
        }
        if news.len() > NEWS {
            let _ = writeln!(text, "  … and {} more: see --report FILE", news.len() - NEWS);
        }
        for line in self.spent() {
            let _ = writeln!(text, "{}", one_line(&line, WIDTH));
        }
        text
    }

    /// What the target spent, and of which part of the run that is if it is not of all.
    fn spent(&self) -> Vec<String> {
        let ResourcePeriod { since, until, gap } = &self.resource_period;
        match (&self.resources, gap) {
            (None, None) => Vec::new(),
            (None, Some(gap)) => vec![format!("target spent  not known: {gap}")],
            (Some(resources), None) => vec![format!("target spent  {}", spent(resources))],
            (Some(resources), Some(gap)) => {
                let of = |moment: &Option<String>| moment.clone().unwrap_or_default();
                let part = format!("only from {} to {}", of(since), of(until));
                let spent = format!("target spent  {}", spent(resources));
                vec![spent, format!("{:14}{part}", ""), format!("{:14}{gap}", "")]
            }
        }
    }

    /// What the verdicts rest on; `None` where no call has durations on both sides.
    fn judged(&self) -> Option<String> {
        let mut pace = PaceCounts::default();
        for shape in &self.shapes {
            pace.judged += shape.pace.judged;
            pace.off_pace += shape.pace.off_pace;
            pace.cold += shape.pace.cold;
        }
        let PaceCounts { judged, off_pace, cold } = pace;
        let calls = judged + off_pace + cold;
        let machine = match self.factor {
            Some(Factor { ratio, low, high, .. }) => {
                format!("the machine's {ratio:.2} ({low:.2} to {high:.2}), ")
            }
            None => String::new(),
        };
        let (judged, of) = (grouped(judged), grouped(calls));
        let left_out = format!("{} off pace, {} cold", grouped(off_pace), grouped(cold));
        (calls > 0).then(|| format!("{machine}{judged} of {of} calls: {left_out}"))
    }
}

fn line(shape: &QueryShape) -> String {
    let p50 = |durations: super::Durations| match durations.calls {
        0 => "-".to_owned(),
        _ => duration(durations.p50_ms),
    };
    let told = |ratio: fn(Change) -> f64| {
        shape.change.map_or("-".to_owned(), |change| format!("{:.2}", ratio(change)))
    };
    let (ratio, beyond) = (told(|change| change.ratio), told(|change| change.beyond));
    format!(
        "  {:<11} {:>8} {:>10} {:>10} {ratio:>7} {beyond:>7} {:>7}  {}",
        verdict(shape),
        shape.calls,
        p50(shape.source),
        p50(shape.target),
        shape.outcomes.changed(),
        shape.query.as_deref().unwrap_or_default(),
    )
}

/// The verdict, or why there is none where most calls do not count.
fn verdict(shape: &QueryShape) -> String {
    let PaceCounts { judged, off_pace, cold } = shape.pace;
    match shape.verdict {
        Verdict::CannotTell if off_pace > judged.max(cold) => "off pace".to_owned(),
        Verdict::CannotTell if cold > judged => "cold".to_owned(),
        verdict => verdict.label().replace('_', " "),
    }
}

/// What matters of it to most.
fn spent(resources: &Resources) -> String {
    let of = |view: &str, counter: &str| {
        let counters = resources.get(view);
        counters.and_then(|counters| counters.get(counter)).copied().unwrap_or(0.0)
    };
    let whole = |number: f64| number.max(0.0) as u64;
    let database = |counter| of(DATABASES, counter);
    let (hit, read) = (database("blks_hit"), database("blks_read"));
    let mut text = format!(
        "{} transactions, {} blocks{}, {} temporary",
        grouped(whole(database("xact_commit") + database("xact_rollback"))),
        grouped(whole(hit + read)),
        if hit + read > 0.0 {
            format!(" ({:.1} % hit)", hit / (hit + read) * 100.0)
        } else {
            String::new()
        },
        bytes(whole(database("temp_bytes"))),
    );
    if resources.contains_key("pg_stat_wal") {
        text.push_str(&format!(", {} WAL", bytes(whole(of("pg_stat_wal", "wal_bytes")))));
    }
    text
}

fn duration(ms: f64) -> String {
    if ms < 100.0 {
        format!("{ms:.3} ms")
    } else if ms < 10_000.0 {
        format!("{ms:.0} ms")
    } else {
        format!("{:.0} s", ms / 1e3)
    }
}

#[cfg(test)]
mod tests;
