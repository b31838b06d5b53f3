//! The log on standard error: lines for people, or JSON, in which no text from elsewhere can make a line of its
//! own or command a terminal.

use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal as _};

use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FormatFields, layer};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use super::Screen;
use crate::config::{LogFormat, LogSettings};
use crate::escape;
use crate::http::CountUnreadable;

/// Begins the log of the process.
pub fn start_log(settings: &LogSettings, screen: Screen) {
    let log = layer().with_writer(screen).with_ansi(io::stderr().is_terminal());
    // Of a log that can't be written `Lines` tells: the layer would panic.
    let log = log.log_internal_errors(false);
    match settings.format {
        LogFormat::Text => init(log.fmt_fields(TextFields), &settings.filter),
        LogFormat::Json => {
            let log = log.json().flatten_event(true).with_current_span(false).with_span_list(false);
            init(log, &settings.filter);
            // Whoever parses the lines gets no other ones.
            std::panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
        }
    }
}

fn init(log: impl Layer<Registry> + Send + Sync, filter: &str) {
    // These are counted; who wants each of them logged says so.
    let filter = match filter.contains("actix_http") {
        true => filter.to_owned(),
        false => format!("{filter},actix_http=off"),
    };
    let unreadable = CountUnreadable.with_filter(filter_fn(CountUnreadable::is_meant));
    let log = log.with_filter(EnvFilter::new(filter));
    tracing_subscriber::registry().with(log).with(unreadable).init();
}

/// What a line for people says: the message, and its fields as `name=value`. All of it is escaped, for
/// the values come from the log, from servers and from the network. (JSON is escaped as a whole by `Lines`.)
struct TextFields;

impl<'writer> FormatFields<'writer> for TextFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut line = Line { writer: escape::Line(writer), is_empty: true, result: Ok(()) };
        fields.record(&mut line);
        line.result
    }
}

struct Line<'writer> {
    writer: escape::Line<Writer<'writer>>,
    is_empty: bool,
    result: fmt::Result,
}

impl Visit for Line<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.record_debug(field, &format_args!("{value}")),
            _ => self.record_debug(field, &value),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let (name, blank) = (field.name(), if self.is_empty { "" } else { " " });
        // Of what came through the `log` crate these tell where in which file.
        if self.result.is_err() || name.starts_with("log.") {
            return;
        }
        self.result = match name {
            "message" => write!(self.writer, "{blank}{value:?}"),
            name => write!(self.writer, "{blank}{}={value:?}", name.trim_start_matches("r#")),
        };
        self.is_empty = false;
    }
}

#[cfg(test)]
mod tests;
