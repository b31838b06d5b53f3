//! What kreplay shows over HTTP: `/metrics`, `/livez`, `/readyz`, the regression report at `/report`
//! and the same as a page at `/`.

mod page;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use actix_web::dev::Server;
use actix_web::http::header::{CONTENT_SECURITY_POLICY, ContentType, X_CONTENT_TYPE_OPTIONS};
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{App, HttpResponse, HttpServer};
use metrics_exporter_prometheus::PrometheusHandle;
use tracing::error;

use self::page::Shown;
pub(crate) use self::page::{Now, Sessions, file};
use crate::health::Health;
use crate::metrics::render;
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
    let server = HttpServer::new(move || App::new().configure(routes(views.clone())))
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

fn routes(views: Views) -> impl FnOnce(&mut ServiceConfig) {
    move |service| {
        service
            .app_data(Data::new(views))
            .route("/metrics", web::get().to(metrics))
            .route("/livez", web::get().to(livez))
            .route("/livez", web::head().to(livez))
            .route("/readyz", web::get().to(readyz))
            .route("/readyz", web::head().to(readyz))
            .route("/report", web::get().to(report))
            .route("/", web::get().to(page));
    }
}

/// Nothing may come between refreshing and rendering, or the ledger would not balance.
async fn metrics(views: Data<Views>) -> HttpResponse {
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
    response.content_type(ContentType::plaintext()).body(format!("{line}\n"))
}

async fn report(views: Data<Views>) -> HttpResponse {
    match shown(&views, serde_json::to_string_pretty).await {
        Ok(json) => HttpResponse::Ok().content_type(ContentType::json()).body(json),
        Err(failed) => failed,
    }
}

async fn page(views: Data<Views>) -> HttpResponse {
    match shown(&views, Shown::page).await {
        Ok(page) => HttpResponse::Ok()
            .content_type(ContentType::html())
            .insert_header((CONTENT_SECURITY_POLICY, page::POLICY.as_str()))
            .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .body(page),
        Err(failed) => failed,
    }
}

/// The report of the moment, rendered where it holds nobody up.
async fn shown(
    views: &Views,
    render: fn(&Shown) -> serde_json::Result<String>,
) -> Result<String, HttpResponse> {
    let views = views.clone();
    let rendered = web::block(move || {
        let now = Now::of(&views.health, (views.sessions)());
        render(&Shown { report: (views.report)(), now: Some(now) })
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
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use actix_web::http::StatusCode;
    use actix_web::test::{TestRequest, call_service, init_service, read_body};
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;
    use crate::health::{Condition, MonitoredActor};
    fn views(health: &Health) -> Views {
        let recorder = PrometheusBuilder::new().build_recorder();
        let metrics = recorder.handle();
        let refreshed = AtomicU64::new(0);
        let refresh = move || {
            let times = refreshed.fetch_add(1, Ordering::Relaxed) + 1;
            ::metrics::with_local_recorder(&recorder, || {
                ::metrics::counter!("refreshed_total").absolute(times);
            });
        };
        let report = || Report { version: 1, source: "topic <pg>".to_owned(), ..Report::default() };
        Views {
            health: health.clone(),
            metrics,
            refresh: Arc::new(refresh),
            report: Arc::new(report),
            sessions: Arc::new(|| Sessions { states: vec![("active", 3)], connections: 2 }),
        }
    }

    async fn get(views: &Views, path: &str) -> (StatusCode, String, String) {
        let app = init_service(App::new().configure(routes(views.clone()))).await;
        let response = call_service(&app, TestRequest::get().uri(path).to_request()).await;
        let kind = response.headers().get("content-type");
        let kind = kind.map_or("", |kind| kind.to_str().unwrap()).to_owned();
        let status = response.status();
        let body = read_body(response).await;
        (status, kind, String::from_utf8(body.to_vec()).unwrap())
    }

    #[actix_rt::test]
    async fn metrics_are_refreshed_before_each_scrape() {
        let views = views(&Health::default());
        for times in 1..3 {
            let (status, kind, body) = get(&views, "/metrics").await;
            assert_eq!((status, kind.as_str()), (StatusCode::OK, PROMETHEUS_TEXT));
            assert!(body.contains(&format!("refreshed_total {times}\n")), "{body}");
        }
    }

    #[actix_rt::test]
    async fn the_process_is_ready_while_connected_on_both_sides_and_not_draining() {
        let health = Health::default();
        let views = views(&health);
        let unready = async |reason: &str| {
            let (status, _, body) = get(&views, "/readyz").await;
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
            assert!(body.contains(reason) && body.lines().count() == 1, "{body}");
        };
        unready("source: not connected yet").await;
        health.source(Condition::Connected);
        unready("target: not connected yet").await;
        health.target(Condition::Disconnected("connection\nrefused".into()));
        unready("target: connection refused").await;
        health.target(Condition::Connected);
        assert_eq!(get(&views, "/readyz").await.0, StatusCode::OK);
        health.target(Condition::Unused);
        assert_eq!(get(&views, "/readyz").await.0, StatusCode::OK);
        health.drain();
        unready("stopping").await;
    }

    #[actix_rt::test]
    async fn the_process_is_alive_until_an_actor_no_longer_answers() {
        let health = Health::default();
        let views = views(&health);
        assert_eq!(get(&views, "/livez").await.0, StatusCode::OK);
        health.beat(MonitoredActor::Consumer);
        assert_eq!(get(&views, "/livez").await.0, StatusCode::OK);
        let later = Instant::now() + Health::PATIENCE + Duration::from_secs(1);
        assert!(health.alive(later).unwrap_err().contains("consumer"));
    }

    #[actix_rt::test]
    async fn the_page_holds_the_report_and_may_run_its_own_script_alone() {
        let views = views(&Health::default());
        let app = init_service(App::new().configure(routes(views.clone()))).await;
        let response = call_service(&app, TestRequest::get().uri("/").to_request()).await;
        let header = |name| response.headers().get(name).unwrap().to_str().unwrap().to_owned();
        assert_eq!(header("content-type"), "text/html; charset=utf-8");
        let policy = header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy}");
        assert!(policy.contains("connect-src 'self'") && !policy.contains("unsafe"), "{policy}");
        let body = read_body(response).await;
        let body = String::from_utf8_lossy(&body);
        assert!(body.contains(r#""source":"topic \u003cpg>""#), "{body}");
        assert!(body.contains(r#""why":"source: not connected yet""#), "{body}");
        assert_eq!(get(&views, "/etc").await.0, StatusCode::NOT_FOUND);
    }

    #[actix_rt::test]
    async fn the_report_is_json_with_the_account_at_its_top_level() {
        let (status, kind, body) = get(&views(&Health::default()), "/report").await;
        assert_eq!((status, kind.as_str()), (StatusCode::OK, "application/json"));
        let report: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!((&report["version"], &report["records"]["consumed"]), (&1.into(), &0.into()));
        assert_eq!(report["now"]["sessions"], serde_json::json!([["active", 3]]));
    }

    #[actix_rt::test]
    async fn a_taken_port_names_listen_and_what_to_do() {
        let first = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = first.local_addr().unwrap();
        let error = serve(address, views(&Health::default())).err().unwrap().to_string();
        assert!(error.contains(&format!("--listen {address}")), "{error}");
        assert!(error.contains("taken") && error.contains("--listen off"), "{error}");
    }

    #[actix_rt::test]
    async fn the_server_serves_on_the_port_it_names() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};

        let any = "127.0.0.1:0".parse().unwrap();
        let (server, address) = serve(any, views(&Health::default())).unwrap();
        let handle = server.handle();
        let serving = actix_web::rt::spawn(server);
        let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
        client.write_all(b"GET /livez HTTP/1.0\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
        handle.stop(true).await;
        serving.await.unwrap().unwrap();
    }
}
