//! The report in lines, for the end of a run.

use std::fmt::Write as _;

use super::{QueryShape, Report, Verdict};
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
        let _ = writeln!(
            text,
            "  {:<11} {:>8} {:>10} {:>10} {:>7} {:>7}  query",
            "verdict", "calls", "source p50", "target p50", "ratio", "changed"
        );
        let is_news =
            |shape: &QueryShape| shape.verdict == Verdict::Degraded || shape.outcomes.changed() > 0;
        let (top, others) = self.shapes.split_at(TOP.min(self.shapes.len()));
        let news: Vec<_> = others.iter().filter(|shape| is_news(shape)).collect();
        for shape in top.iter().chain(news.iter().copied().take(NEWS)) {
            let line = line(shape);
            let _ = writeln!(text, "{}", cut(&line, WIDTH));
        }
        if news.len() > NEWS {
            let _ = writeln!(text, "  … and {} more: see --report FILE", news.len() - NEWS);
        }
        text
    }
}

fn line(shape: &QueryShape) -> String {
    let p50 = |durations: super::Durations| match durations.calls {
        0 => "-".to_owned(),
        _ => duration(durations.p50_ms),
    };
    let ratio = shape.change.map_or("-".to_owned(), |change| format!("{:.2}", change.ratio));
    format!(
        "  {:<11} {:>8} {:>10} {:>10} {ratio:>7} {:>7}  {}",
        shape.verdict.label().replace('_', " "),
        shape.calls,
        p50(shape.source),
        p50(shape.target),
        shape.outcomes.changed(),
        shape.query.as_deref().unwrap_or_default(),
    )
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

fn cut(line: &str, width: usize) -> String {
    match line.char_indices().nth(width) {
        None => line.to_owned(),
        Some(_) => line.chars().take(width - 1).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::report::{Change, Durations, Outcomes, Verdicts};

    fn shape(query: &str, target_ms: f64) -> QueryShape {
        let durations = |p50_ms| Durations { calls: 40, p50_ms, ..Durations::default() };
        QueryShape {
            query: Some(query.to_owned()),
            calls: 40,
            source: durations(1.25),
            target: durations(target_ms),
            change: Some(Change { ratio: target_ms / 1.25, low: 0.9, high: 9.0 }),
            ..QueryShape::default()
        }
    }

    #[test]
    fn lines_are_aligned_and_cut_to_the_width() {
        let long = "SELECT ä ".repeat(20);
        let report = Report {
            shapes: vec![
                QueryShape { verdict: Verdict::Degraded, ..shape("SELECT v FROM t", 12_345.0) },
                shape(&long, 120.4),
            ],
            verdicts: Verdicts { degraded: 1, cannot_tell: 1, ..Verdicts::default() },
            ..Report::default()
        };
        let shown = "\
query shapes  2: 1 degraded, 0 improved, 0 the same, 1 that can't be told
  verdict        calls source p50 target p50   ratio changed  query
  degraded          40   1.250 ms       12 s 9876.00       0  SELECT v FROM t
  cannot tell       40   1.250 ms     120 ms   96.32       0  SELECT ä SELECT ä SELECT ä SELECT ä S…
";
        assert_eq!(report.table(), shown);
        assert!(shown.lines().all(|line| line.chars().count() <= WIDTH));
        assert_eq!(Report::default().table(), "");
    }

    #[test]
    fn what_changed_is_shown_however_short_it_takes() {
        let mut shapes: Vec<_> = (0..30).map(|n| shape(&format!("top_{n}"), 10.0)).collect();
        shapes[20].verdict = Verdict::Degraded;
        shapes[25].outcomes = Outcomes { new_error: 2, ..Outcomes::default() };
        let table = Report { shapes, ..Report::default() }.table();
        let shown: Vec<&str> = table.lines().filter_map(|line| line.split("top_").nth(1)).collect();
        assert_eq!(shown, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "20", "25"]);
    }
}
