//! Requests that can't be read, which no handler ever sees.

use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::metrics;

/// Counts the requests that can't be read. The HTTP server answers these itself and tells them nobody but the log;
/// there each scan of a port would leave its lines.
pub(crate) struct CountUnreadable;

impl CountUnreadable {
    /// Whether the server tells there of a request, or an answer, that came to nothing.
    pub(crate) fn is_meant(metadata: &Metadata<'_>) -> bool {
        metadata.target() == "actix_http::h1::dispatcher"
            && *metadata.level() == tracing::Level::ERROR
    }
}

impl<S: Subscriber> Layer<S> for CountUnreadable {
    fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
        metrics::http_refused(metrics::HttpRefusal::Unreadable);
    }
}
