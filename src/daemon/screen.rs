//! Standard error: the log, and on a terminal the progress bar below it.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tracing_subscriber::fmt::MakeWriter;

use crate::config::LogFormat;
use crate::escape;
use crate::metrics;
use crate::replay::account::progress::Recent;

/// Standard error, shared by the log and the bar so that neither tears the other. Every clone is the
/// same.
#[derive(Debug, Clone)]
pub struct Screen {
    bar: ProgressBar,
    format: LogFormat,
    /// Whether a person looks at it, who may be shown what moves.
    live: bool,
}

impl Screen {
    /// Standard error with a log of this format; no bar yet.
    pub fn new(format: LogFormat) -> Self {
        let terminal = io::stderr().is_terminal();
        let name = std::env::var("TERM").unwrap_or_default();
        let live = takes_a_bar(terminal, &name, format);
        Self { bar: ProgressBar::hidden(), format, live }
    }

    /// Shows the bar, if this is a terminal; whether it is.
    pub(super) fn show_bar(&self) -> bool {
        if self.live {
            let style = ProgressStyle::with_template("{percent:>3}% [{bar:30}] {wide_msg}");
            let style = style.expect("a template of known keys").progress_chars("=> ");
            self.bar.set_style(style);
            // Ten times a second: the numbers beside it have to be read.
            self.bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(10));
        }
        self.live
    }

    /// Moves the bar.
    pub(super) fn draw(&self, recent: &Recent) {
        let Some(done) = recent.done() else { return };
        self.bar.set_length(done.total);
        self.bar.set_position(done.done);
        self.bar.set_message(recent.progress_message());
    }

    /// Takes the bar away.
    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// Whether a bar can be drawn there: on a terminal that can move its cursor, below a log for people.
fn takes_a_bar(terminal: bool, name: &str, format: LogFormat) -> bool {
    terminal && !matches!(name, "" | "dumb") && format == LogFormat::Text
}

impl<'a> MakeWriter<'a> for Screen {
    type Writer = Lines<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        Lines { bar: &self.bar, format: self.format }
    }
}

/// Whole lines of the log, which come in one piece. One that can't be written (the disk is full, the
/// reader of a pipe has gone) is lost and counted: the replay goes on.
#[derive(Debug)]
pub struct Lines<'a> {
    bar: &'a ProgressBar,
    format: LogFormat,
}

impl Write for Lines<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let shown = harmless(line, self.format);
        if self.bar.suspend(|| io::stderr().lock().write_all(&shown)).is_err() {
            metrics::LOG_LINES_LOST.add(1);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// JSON as it may be shown on a terminal. Lines for people are escaped before they are coloured.
fn harmless(line: &[u8], format: LogFormat) -> Cow<'_, [u8]> {
    match (format, str::from_utf8(line)) {
        (LogFormat::Json, Ok(json)) => match escape::json(json) {
            Cow::Borrowed(json) => Cow::Borrowed(json.as_bytes()),
            Cow::Owned(json) => Cow::Owned(json.into_bytes()),
        },
        _ => Cow::Borrowed(line),
    }
}

#[cfg(test)]
mod tests;
