//! The comparison in lines, for a terminal.

use std::fmt::Write as _;

use super::comparison::{Comparison, Run, ShapeComparison};
use super::errors::ErrorNews;
use super::plans::PlanLine;
use crate::display::{grouped, one_line};
use crate::label::Label as _;
use crate::replay::report::Verdict;
use crate::replay::report::factor::Factor;

/// No line is longer, in characters.
const WIDTH: usize = 120;
/// So many shapes are shown whatever they are: those that take the longest.
const TOP: usize = 10;
/// So many that are news are shown besides.
const NEWS: usize = 60;
/// So many nodes of each plan are shown.
const NODES: usize = 12;

impl Comparison {
    /// What changed, shape by shape: those that take the longest, and those that changed.
    pub(super) fn table(&self) -> String {
        let mut text = String::new();
        let mut line = |words: &str| {
            text.push_str(&one_line(words, WIDTH));
            text.push('\n');
        };
        line(&format!("baseline   {}", self.baseline.in_words()));
        line(&format!("candidate  {}", self.candidate.in_words()));
        if let Some(repeat) = &self.repeat {
            line(&format!("repeat     {}", repeat.in_words()));
        }
        for note in &self.notes {
            line(&format!("note       {note}"));
        }
        line(&format!("machine    {}", machine(self.factor)));
        if self.repeat.is_some() {
            line(&format!("  repeat   {}", machine(self.repeat_factor)));
        }
        line(&self.sum());
        self.shape_lines(&mut line);
        self.error_lines(&mut line);
        if let Some(spent) = self.spent.in_words() {
            line(&format!("spent      {spent}"));
        }
        for note in &self.spent.notes {
            line(&format!("  note     {note}"));
        }
        line(&format!("result     {}", self.result));
        text
    }

    /// The verdict in a line.
    pub(super) fn in_words(&self) -> String {
        let mut worse = Vec::new();
        if self.has_degraded() {
            worse.push(plural(self.verdicts.degraded, "shape", "degraded"));
        }
        if self.has_new_errors() {
            worse.push(plural(self.new_errors, "new error", "in the candidate"));
        }
        if self.has_losses() {
            worse.extend(self.losses.in_words());
        }
        match &self.untold.words {
            _ if !worse.is_empty() => worse.join(", "),
            // That nothing is worse would be a verdict.
            Some(untold) if self.untold.is_most() => untold.clone(),
            Some(untold) => format!("nothing is worse; {untold}"),
            None => "nothing is worse".to_owned(),
        }
    }

    fn sum(&self) -> String {
        let v = &self.verdicts;
        format!(
            "shapes     {}: {} degraded, {} improved, {} the same, {} that can't be told; errors: {} new, {} gone",
            v.degraded + v.improved + v.same + v.cannot_tell,
            v.degraded,
            v.improved,
            v.same,
            v.cannot_tell,
            self.new_errors,
            self.gone_errors,
        )
    }

    fn shape_lines(&self, line: &mut impl FnMut(&str)) {
        let repeat = if self.repeat.is_some() { " repeat" } else { "" };
        line(&format!(
            "  {:<11} {:>8} {:>10} {:>10} {:>7} {:>7} {:>14}{repeat}  query",
            "verdict", "calls", "baseline", "candidate", "ratio", "beyond", "between"
        ));
        let (top, others) = self.shapes.split_at(TOP.min(self.shapes.len()));
        let news: Vec<_> = others.iter().filter(|it| it.is_news()).collect();
        for shape in top.iter().chain(news.iter().copied().take(NEWS)) {
            line(&shape_line(shape, self.repeat.is_some()));
            let is_changed = matches!(shape.verdict, Verdict::Degraded | Verdict::Improved);
            if let Some(plans) = shape.plans.as_ref().filter(|it| is_changed && it.changed()) {
                plan_lines('-', &plans.baseline, line);
                plan_lines('+', &plans.candidate, line);
            }
        }
        if news.len() > NEWS {
            line(&format!("  … and {} more: see --json or --html FILE", news.len() - NEWS));
        }
    }

    fn error_lines(&self, line: &mut impl FnMut(&str)) {
        let errors = self
            .shapes
            .iter()
            .flat_map(|shape| shape.errors.iter().map(move |error| (error, shape.text())));
        let errors: Vec<_> = errors.collect();
        for (heading, what) in [
            ("new errors", ErrorNews::New),
            ("new errors that are a matter of the moment", ErrorNews::NewByChance),
            ("errors that are gone", ErrorNews::Gone),
        ] {
            let these: Vec<_> = errors.iter().filter(|(error, _)| error.what == what).collect();
            if !these.is_empty() {
                line(heading);
            }
            for (error, query) in these.iter().take(NEWS) {
                line(&format!(
                    "  {:<6} {:>8} calls  {query}",
                    error.sqlstate,
                    grouped(error.calls)
                ));
            }
            if these.len() > NEWS {
                line(&format!("  … and {} more", these.len() - NEWS));
            }
        }
    }
}

impl Run {
    fn in_words(&self) -> String {
        format!("{}: {}, {} to {}", self.file, self.target, self.since, self.until)
    }
}

impl ShapeComparison {
    /// Whether it is shown however short it takes.
    fn is_news(&self) -> bool {
        let is_changed = matches!(self.verdict, Verdict::Degraded | Verdict::Improved);
        is_changed || self.lost || !self.errors.is_empty()
    }

    fn text(&self) -> &str {
        self.query.as_deref().unwrap_or("all other statements")
    }
}

fn machine(factor: Option<Factor>) -> String {
    match factor {
        None => "too few shapes to tell what they have in common".to_owned(),
        Some(Factor { ratio, low, high, spread, shapes, .. }) => format!(
            "{ratio:.2} times the baseline's durations ({low:.2} to {high:.2}), by {shapes} shapes, which \
             differ from that by {:.0} %",
            100.0 * spread
        ),
    }
}

fn shape_line(shape: &ShapeComparison, with_repeat: bool) -> String {
    let sides = [&shape.sides.baseline, &shape.sides.candidate].map(Option::as_ref);
    let calls = sides.iter().flatten().map(|it| it.calls).max().unwrap_or_default();
    let [before, after] = sides.map(|side| {
        let durations = side.map(|it| it.target).filter(|it| it.calls > 0);
        durations.map_or_else(|| "-".to_owned(), |it| duration(it.p50_ms))
    });
    let of = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), ratio);
    let between = shape.change.map_or_else(
        || "-".to_owned(),
        |it| format!("{} to {}", ratio(it.beyond_low), ratio(it.beyond_high)),
    );
    let repeat = match with_repeat {
        true => format!(" {:>6}", of(shape.repeat.map(|it| it.beyond))),
        false => String::new(),
    };
    format!(
        "  {:<11} {:>8} {before:>10} {after:>10} {:>7} {:>7} {between:>14}{repeat}  {}",
        shape.verdict.label().replace('_', " "),
        grouped(calls),
        of(shape.change.map(|it| it.ratio)),
        of(shape.change.map(|it| it.beyond)),
        shape.text(),
    )
}

fn plan_lines(sign: char, lines: &[PlanLine], line: &mut impl FnMut(&str)) {
    let differs: Vec<_> = lines.iter().filter(|it| it.differs).collect();
    for PlanLine { text, rows, .. } in differs.iter().take(NODES) {
        line(&format!("      {sign} {text} ({rows:.0} rows)"));
    }
    if differs.len() > NODES {
        line(&format!("      {sign} … and {} more", differs.len() - NODES));
    }
}

fn ratio(ratio: f64) -> String {
    if ratio < 99.5 { format!("{ratio:.2}") } else { format!("{ratio:.0}") }
}

fn duration(ms: f64) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = match ms {
        ms if ms < 100.0 => write!(text, "{ms:.3} ms"),
        ms if ms < 10_000.0 => write!(text, "{ms:.0} ms"),
        ms => write!(text, "{:.0} s", ms / 1e3),
    };
    text
}

fn plural(number: u64, noun: &str, what: &str) -> String {
    format!("{} {noun}{} {what}", grouped(number), if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests;
