//! What kreplay shows over HTTP: `/metrics`, `/livez`, `/readyz`, the regression report at `/report`
//! and the same as a page at `/`.

mod hosts;
mod page;
mod unreadable;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use actix_web::dev::{Server, ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, ContentType, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::middleware::DefaultHeaders;
use actix_web::web::{self, Data};
use actix_web::{
    App, Error, FromRequest, Handler, HttpRequest, HttpResponse, HttpServer, Resource, Responder,
    guard,
};
use metrics_exporter_prometheus::PrometheusHandle;
use tracing::error;

pub(crate) use self::hosts::Hosts;
use self::hosts::KnownHost;
use self::page::Shown;
pub(crate) use self::page::{Now, Sessions, file};
pub(crate) use self::unreadable::CountUnreadable;
use crate::escape;
use crate::health::Health;
use crate::metrics::{publish_report, render};
use crate::replay::report::Report;

/// The content type of Prometheus's text format.
const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Brings the metrics up to date (the ledger's above all). Runs before every scrape, on the server's
/// thread: it must not block.
pub(crate) type Refresh = Arc<dyn Fn() + Send + Sync>;

/// Makes the regression report. It takes some milliseconds, on a thread of its own.
pub(crate) type MakeReport = Arc<dyn Fn() -> Report + Send + Sync>;

/// Counts the sessions.
pub(crate) type CountSessions = Arc<dyn Fn() -> Sessions + Send + Sync>;

/// Why HTTP cannot be served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    /// Another program listens there, maybe another kreplay.
    #[error(
        "--listen {address}: the port is taken, perhaps by another kreplay; give another address, \
         port 0 for any free one, or --listen off"
    )]
    Taken {
        /// The address asked for.
        address: SocketAddr,
    },
    /// The system refuses for another reason.
    #[error("--listen {address}: {source}")]
    Refused {
        /// The address asked for.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
}

/// What is served.
#[derive(Clone)]
pub(crate) struct Views {
    /// Whether the process is alive and ready.
    pub health: Health,
    /// The recorder of the metrics.
    pub metrics: PrometheusHandle,
    /// Called before they are rendered.
    pub refresh: Refresh,
    /// What `/report` and the page show.
    pub report: MakeReport,
    /// The same, of the sessions.
    pub sessions: CountSessions,
    /// The names by which a browser may ask for the report.
    pub hosts: Hosts,
}

/// Takes the port and returns the server, which runs once it is awaited or spawned, with the
/// address it has (`address` with port 0 takes any free one).
///
/// It leaves signals alone and has one thread: whoever scrapes is seldom more than one.
///
/// # Errors
///
/// [`HttpError`] when the port cannot be had.
pub(crate) fn serve(address: SocketAddr, views: Views) -> Result<(Server, SocketAddr), HttpError> {
    let server = HttpServer::new(move || app(views.clone()))
        .workers(1)
        .disable_signals()
        .shutdown_timeout(1)
        .bind(address)
        .map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => HttpError::Taken { address },
            _ => HttpError::Refused { address, source },
        })?;
    let bound = server.addrs().first().copied().unwrap_or(address);
    Ok((server.run(), bound))
}

fn app(
    views: Views,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse,
        Error = Error,
        InitError = (),
    >,
> {
    // Yesterday's report is not today's; and no browser guesses that a text is a page.
    let headers = DefaultHeaders::new()
        .add((CACHE_CONTROL, "no-store"))
        .add((X_CONTENT_TYPE_OPTIONS, "nosniff"));
    App::new()
        .wrap(headers)
        .app_data(Data::new(views))
        .service(readable("/metrics", metrics))
        .service(readable("/livez", livez))
        .service(readable("/readyz", readyz))
        .service(readable("/report", report))
        .service(readable("/", page))
        .default_service(web::to(elsewhere))
}

/// A path that can be read, with GET or HEAD (whose body the server leaves out), and nothing else.
fn readable<H, Args>(path: &str, handler: H) -> Resource
where
    H: Handler<Args>,
    Args: FromRequest + 'static,
    H::Output: Responder + 'static,
{
    let reads = guard::Any(guard::Get()).or(guard::Head());
    web::resource(path)
        .route(web::route().guard(reads).to(handler))
        .default_service(web::to(read_only))
}

async fn read_only() -> HttpResponse {
    let mut response = HttpResponse::MethodNotAllowed();
    response.insert_header((ALLOW, "GET, HEAD")).content_type(ContentType::plaintext());
    response.body("there is nothing to change here: GET and HEAD are answered\n")
}

async fn elsewhere() -> HttpResponse {
    let mut response = HttpResponse::NotFound();
    response
        .content_type(ContentType::plaintext())
        .body("nothing is here: see /, /report, /metrics, /livez and /readyz\n")
}

/// Nothing may come between refreshing and rendering, or the ledger would not balance.
async fn metrics(views: Data<Views>) -> HttpResponse {
    let report = views.report.clone();
    if let Err(failure) = web::block(move || publish_report(&report())).await {
        error!("the report can't be made, a defect of kreplay: {failure}");
    }
    (views.refresh)();
    HttpResponse::Ok().content_type(PROMETHEUS_TEXT).body(render(&views.metrics))
}

async fn livez(views: Data<Views>) -> HttpResponse {
    verdict(views.health.alive(Instant::now()))
}

async fn readyz(views: Data<Views>) -> HttpResponse {
    verdict(views.health.ready())
}

fn verdict(verdict: Result<(), String>) -> HttpResponse {
    let (mut response, line) = match verdict {
        Ok(()) => (HttpResponse::Ok(), "ok".to_owned()),
        Err(reason) => (HttpResponse::ServiceUnavailable(), reason),
    };
    // It may have a server's words.
    response.content_type(ContentType::plaintext()).body(format!("{}\n", escape::line(&line)))
}

/// All of it, or with `?page` what the page needs.
async fn report(_: KnownHost, request: HttpRequest, views: Data<Views>) -> HttpResponse {
    let render = match request.query_string() {
        "page" => |shown: Shown| serde_json::to_string(&shown.without_distributions()),
        _ => |shown: Shown| serde_json::to_string_pretty(&shown),
    };
    match shown(&views, render).await {
        Ok(json) => HttpResponse::Ok().content_type(ContentType::json()).body(json),
        Err(failed) => failed,
    }
}

async fn page(_: KnownHost, views: Data<Views>) -> HttpResponse {
    match shown(&views, |shown| shown.without_distributions().page()).await {
        Ok(page) => HttpResponse::Ok()
            .content_type(ContentType::html())
            .insert_header((CONTENT_SECURITY_POLICY, page::POLICY.as_str()))
            .body(page),
        Err(failed) => failed,
    }
}

/// The report of the moment, rendered where it holds nobody up.
async fn shown(
    views: &Views,
    render: fn(Shown) -> serde_json::Result<String>,
) -> Result<String, HttpResponse> {
    let views = views.clone();
    let rendered = web::block(move || {
        let now = Now::of(&views.health, (views.sessions)());
        render(Shown { report: (views.report)(), now: Some(now) })
    });
    let failed = |failure: &dyn std::error::Error| {
        error!("the report can't be made, a defect of kreplay: {failure}");
        HttpResponse::InternalServerError().body("the report can't be made: see the log\n")
    };
    match rendered.await {
        Ok(Ok(text)) => Ok(text),
        Ok(Err(failure)) => Err(failed(&failure)),
        Err(failure) => Err(failed(&failure)),
    }
}

#[cfg(test)]
mod tests;
