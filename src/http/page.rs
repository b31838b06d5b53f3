//! The page: the report for people, while the replay runs and as a file afterwards.
//!
//! One page, one renderer: the JSON that `/report` serves stands in the page, and its script draws it.
//! Who has no script gets the account as it is printed at the end of a run.

use std::fmt::{self, Write};
use std::sync::LazyLock;

use serde::Serialize;

use crate::document::{Document, Text};
use crate::health::Health;
use crate::replay::report::Report;

const DOCUMENT: Document = Document {
    template: include_str!("page/page.html"),
    table: include_str!("page/table.html"),
    style: include_str!("page/page.css"),
    script: concat!(
        include_str!("page/values.js"),
        include_str!("page/verdict.js"),
        include_str!("page/answers.js"),
        include_str!("page/forest.js"),
        include_str!("page/strips.js"),
        include_str!("page/plans.js"),
        include_str!("page/resources.js"),
        include_str!("page/details.js"),
        include_str!("page/arrangement.js"),
        include_str!("page/shapes.js"),
        include_str!("page/page.js"),
    ),
};

/// What the browser may do: run this script, apply this style, ask where the page came from.
pub(super) static POLICY: LazyLock<String> =
    LazyLock::new(|| format!("{}; connect-src 'self'; frame-ancestors 'none'", DOCUMENT.policy()));

/// How things stand while a replay runs: what a report has no place for. None of it may be secret.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Now {
    /// Whether records are read and statements can be sent.
    pub ready: bool,
    /// Why not.
    pub why: Option<String>,
    /// The connection to the source, in words.
    pub source_condition: String,
    /// The connection to the target, in words.
    pub target_condition: String,
    /// How many sessions are in each state.
    pub sessions: Vec<(&'static str, usize)>,
    /// How many connections to the target are open.
    pub connections: usize,
}

impl Now {
    /// With what is known of the sessions.
    pub(super) fn of(health: &Health, sessions: Sessions) -> Self {
        let (source, target) = health.conditions();
        let ready = health.ready();
        Self {
            ready: ready.is_ok(),
            why: ready.err(),
            source_condition: source.in_words(),
            target_condition: target.in_words(),
            sessions: sessions.states,
            connections: sessions.connections,
        }
    }
}

/// How many sessions there are.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sessions {
    /// By their state.
    pub states: Vec<(&'static str, usize)>,
    /// Connections to the target that are open.
    pub connections: usize,
}

/// What `/report` serves and the page shows.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Shown {
    #[serde(flatten)]
    pub report: Report,
    /// `None` once the replay has ended.
    pub now: Option<Now>,
}

impl Shown {
    pub(super) fn without_distributions(self) -> Self {
        Self { report: self.report.without_distributions(), ..self }
    }

    /// The page, served or as a file of its own.
    pub(super) fn page(&self) -> serde_json::Result<String> {
        let mut account = String::new();
        // Writing to a String cannot fail.
        let _ = self.account(&mut account);
        DOCUMENT.page(self, &account, self.now.is_some())
    }

    /// For who has no script.
    fn account(&self, page: &mut String) -> fmt::Result {
        let Report { source, target, order, tally, .. } = &self.report;
        write!(page, "<p>{} to {}, order {}.", Text(source), Text(target), Text(order))?;
        match &self.now {
            Some(Now { why: Some(why), .. }) => write!(page, " Not ready: {}.</p>", Text(why))?,
            Some(_) => write!(page, " Ready.</p>")?,
            None => write!(page, " Ended.</p>")?,
        }
        write!(page, "<pre>{}{}</pre>", Text(&tally.summary()), Text(&self.report.table()))?;
        write!(page, "<p>With JavaScript, this page shows more of each query shape.</p>")
    }
}

/// The page as a file that needs no server, for a replay that has ended.
///
/// # Errors
///
/// None that is known: a report can be written as JSON.
pub(crate) fn file(report: &Report) -> serde_json::Result<String> {
    Shown { report: report.clone(), now: None }.page()
}

#[cfg(test)]
mod tests;
