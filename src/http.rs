//! What kreplay shows over HTTP: `/metrics`, `/livez`, `/readyz`, the regression report at `/report`
//! and a status page at `/`.

mod health;
mod page;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use actix_web::dev::Server;
use actix_web::http::header::ContentType;
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{App, HttpResponse, HttpServer};
use metrics_exporter_prometheus::PrometheusHandle;
use tracing::error;

pub use self::health::{Beating, Condition, Health};
pub use self::page::Status;
use crate::metrics::render;
use crate::replay::report::Report;

/// The content type of Prometheus's text format.
const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Brings the metrics up to date (the ledger's above all) and says where the replay stands. Runs
/// before every scrape and every view of the page, on the server's thread: it must not block.
pub type Refresh = Arc<dyn Fn() -> Status + Send + Sync>;

/// Makes the regression report. It takes some milliseconds, on a thread of its own.
pub type MakeReport = Arc<dyn Fn() -> Report + Send + Sync>;

/// Why HTTP cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
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
pub struct Views {
    /// Whether the process is alive and ready.
    pub health: Health,
    /// The recorder of the metrics.
    pub metrics: PrometheusHandle,
    /// Called first.
    pub refresh: Refresh,
    /// What `/report` shows.
    pub report: MakeReport,
}

/// Takes the port and returns the server, which runs once it is awaited or spawned, with the
/// address it has (`address` with port 0 takes any free one).
///
/// It leaves signals alone and has one thread: whoever scrapes is seldom more than one.
///
/// # Errors
///
/// [`HttpError`] when the port cannot be had.
pub fn serve(address: SocketAddr, views: Views) -> Result<(Server, SocketAddr), HttpError> {
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
    let make = views.report.clone();
    let made = web::block(move || serde_json::to_vec_pretty(&make())).await;
    match made {
        Ok(Ok(json)) => HttpResponse::Ok().content_type(ContentType::json()).body(json),
        Ok(Err(failure)) => failed(&failure),
        Err(failure) => failed(&failure),
    }
}

fn failed(failure: &dyn std::error::Error) -> HttpResponse {
    error!("the report can't be made, a defect of kreplay: {failure}");
    HttpResponse::InternalServerError().body("the report can't be made: see the log\n")
}

async fn page(views: Data<Views>) -> HttpResponse {
    let status = (views.refresh)();
    let body = status.page(&views.health);
    HttpResponse::Ok()
        .content_type(ContentType::html())
        .insert_header(("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'"))
        .body(body)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use actix_web::http::StatusCode;
    use actix_web::test::{TestRequest, call_service, init_service, read_body};
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;
    use crate::metrics::Partition;
    use crate::replay::footprint::{Costly, Widening};
    use crate::replay::ledger::{Fate, Ledger};
    use crate::replay::pace::Pace;

    fn status() -> Status {
        let mut ledger = Ledger::new();
        ledger.consume(12_345);
        ledger.settle_many(Fate::Replayed, 12_000);
        Status {
            reading: "topic <pg> on a:9092".into(),
            writing: "db & co:5432".into(),
            order: "serial".into(),
            pace: Some(Pace { speed: 1.5, playout_delay: Duration::from_millis(200) }),
            ledger,
            partitions: vec![Partition {
                partition: 0,
                position: Some(100),
                committed: Some(90),
                high_watermark: Some(107),
            }],
            sessions: vec![("active", 3)],
            connections: 3,
            stalls: vec![("early_end", 2)],
            behind_source: Some(Duration::from_millis(1500)),
            costly: vec![Costly {
                shape: "update t set a = ? where b < ?".to_owned(),
                widening: Widening::NotPinned,
                count: 7,
            }],
        }
    }

    fn views(health: &Health) -> Views {
        let recorder = PrometheusBuilder::new().build_recorder();
        let metrics = recorder.handle();
        let refreshed = AtomicU64::new(0);
        let refresh = move || {
            let times = refreshed.fetch_add(1, Ordering::Relaxed) + 1;
            ::metrics::with_local_recorder(&recorder, || {
                ::metrics::counter!("refreshed_total").absolute(times);
            });
            status()
        };
        let report = Arc::new(|| Report { version: 1, ..Report::default() });
        Views { health: health.clone(), metrics, refresh: Arc::new(refresh), report }
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
        health.beat(Beating::Consumer);
        assert_eq!(get(&views, "/livez").await.0, StatusCode::OK);
        let later = Instant::now() + Health::PATIENCE + Duration::from_secs(1);
        assert!(health.alive(later).unwrap_err().contains("consumer"));
        health.left(Beating::Consumer);
        assert_eq!(health.alive(later), Ok(()));
    }

    #[actix_rt::test]
    async fn the_page_tells_where_the_replay_stands_and_escapes_what_it_shows() {
        let (status, kind, body) = get(&views(&Health::default()), "/").await;
        assert_eq!((status, kind.as_str()), (StatusCode::OK, "text/html; charset=utf-8"));
        for shown in [
            "topic &lt;pg&gt; on a:9092",
            "db &amp; co:5432",
            crate::cli::REVISION,
            "<td>12,345",
            "<td>345",
            "<td>7",
            "early_end",
            "1.5 s",
            "1.5 times the source&#39;s, 200ms behind it",
        ] {
            assert!(body.contains(shown), "no {shown} in {body}");
        }
        assert!(!body.contains("<pg>"), "{body}");
        assert_eq!(get(&views(&Health::default()), "/etc").await.0, StatusCode::NOT_FOUND);
    }

    #[actix_rt::test]
    async fn the_report_is_json_with_the_account_at_its_top_level() {
        let (status, kind, body) = get(&views(&Health::default()), "/report").await;
        assert_eq!((status, kind.as_str()), (StatusCode::OK, "application/json"));
        let report: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!((&report["version"], &report["records"]["consumed"]), (&1.into(), &0.into()));
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
