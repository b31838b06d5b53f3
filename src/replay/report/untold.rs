//! The shapes of which nothing can be told. That none of the others became slower says nothing of them.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{QueryShape, Verdict};
use crate::display::grouped;

/// Where they take so much of the time, the others are no verdict on the run.
const MOST: f64 = 0.9;

/// The shapes of which nothing can be told.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Untold {
    /// Whether they are all that there is.
    pub extent: Extent,
    /// How many they are.
    pub shapes: u64,
    /// Of so many.
    pub of: u64,
    /// Their share of the time of all shapes.
    pub time_share: f64,
    /// The reason that most of them have.
    pub mostly: Option<String>,
    /// All of it in words; `None` where each shape is told.
    pub words: Option<String>,
}

/// How much of all shapes is untold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Extent {
    /// Nothing.
    #[default]
    None,
    /// Some of it.
    Part,
    /// Nearly all of the time.
    Most,
    /// All of it.
    All,
}

/// A shape, as far as it is looked at here.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// Its verdict.
    pub verdict: Verdict,
    /// The reason of that.
    pub why: &'a str,
    /// How long all its calls took.
    pub total_ms: f64,
}

impl Untold {
    /// Of a report's shapes.
    pub fn of(shapes: &[QueryShape]) -> Self {
        Self::among(shapes.iter().map(|it| Told {
            verdict: it.verdict,
            why: &it.why,
            total_ms: it.target.total_ms,
        }))
    }

    /// Of these shapes.
    pub fn among<'a>(shapes: impl Iterator<Item = Told<'a>>) -> Self {
        let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
        let mut untold = Self::default();
        let (mut untold_ms, mut all_ms) = (0.0, 0.0);
        for Told { verdict, why, total_ms } in shapes {
            untold.of += 1;
            all_ms += total_ms;
            if verdict == Verdict::CannotTell {
                untold.shapes += 1;
                untold_ms += total_ms;
                // What follows is of the shape itself.
                let reason = why.split(':').next().unwrap_or_default();
                *reasons.entry(reason).or_default() += 1;
            }
        }
        untold.time_share = match all_ms > 0.0 {
            true => untold_ms / all_ms,
            false => untold.shapes as f64 / untold.of.max(1) as f64,
        };
        let most = reasons.into_iter().max_by_key(|(_, shapes)| *shapes);
        untold.mostly = most.map(|(reason, _)| reason.to_owned()).filter(|it| !it.is_empty());
        untold.extent = match untold.shapes {
            all if all == untold.of => Extent::All,
            0 => Extent::None,
            _ if untold.time_share >= MOST => Extent::Most,
            _ => Extent::Part,
        };
        untold.words = untold.in_words();
        untold
    }

    /// Whether what is told is no verdict on the run.
    pub fn is_most(&self) -> bool {
        matches!(self.extent, Extent::Most | Extent::All)
    }

    fn in_words(&self) -> Option<String> {
        if self.of == 0 {
            return Some("nothing can be told: there is no query shape".to_owned());
        }
        let shapes = format!("{} of {} shapes", grouped(self.shapes), grouped(self.of));
        // Neither all of it nor nothing is what it says of a part.
        let time = format!("{:.0} % of the time", (100.0 * self.time_share).clamp(1.0, 99.0));
        let mostly = self.mostly.as_ref().map_or_else(String::new, |it| format!(", mostly: {it}"));
        match self.extent {
            Extent::None => None,
            Extent::Part => Some(format!("{shapes}, {time}, can't be judged")),
            Extent::Most => Some(format!(
                "hardly anything can be told: {shapes}, {time}, can't be judged{mostly}"
            )),
            Extent::All => Some(format!("nothing can be told: {shapes} can't be judged{mostly}")),
        }
    }
}

#[cfg(test)]
mod tests;
