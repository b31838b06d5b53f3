use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::test::{TestRequest, call_service, init_service, read_body};
use metrics_exporter_prometheus::PrometheusBuilder;

use super::*;
use crate::health::{Condition, MonitoredActor};
use crate::replay::report::{Distributions, QueryShape};

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
        hosts: Hosts::new(&["testhost".to_owned()]),
    }
}

async fn get(views: &Views, path: &str) -> (StatusCode, String, String) {
    let app = init_service(app(views.clone())).await;
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
    health.target(Condition::Disconnected("connection\nrefused \u{1b}[2J".into()));
    unready(r"target: connection refused \u{1b}[2J").await;
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
    let app = init_service(app(views.clone())).await;
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
async fn the_page_is_spared_the_distributions_that_the_report_has() {
    let shape = || QueryShape {
        distributions: Distributions { target: "HISTFAAA".to_owned(), ..Distributions::default() },
        ..QueryShape::default()
    };
    let report = move || Report { shapes: vec![shape()], ..Report::default() };
    let views = Views { report: Arc::new(report), ..views(&Health::default()) };
    for (path, has) in [("/report", true), ("/report?page", false), ("/", false)] {
        let (status, _, body) = get(&views, path).await;
        assert_eq!((status, body.contains("HISTFAAA")), (StatusCode::OK, has), "{path}");
    }
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
    client.write_all(b"HEAD /livez HTTP/1.0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    let head = answer.strip_suffix("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.0 200") && !head.contains("\r\n\r\n"), "{answer}");
    assert!(head.to_lowercase().contains("\r\ncontent-length: 3"), "as GET has it: {answer}");
    handle.stop(true).await;
    serving.await.unwrap().unwrap();
}

#[actix_rt::test]
async fn what_tells_of_queries_is_for_known_names_alone_and_the_rest_for_whoever_asks() {
    let app = init_service(app(views(&Health::default()))).await;
    for (path, host, expected) in [
        ("/", "evil.example:11432", StatusCode::MISDIRECTED_REQUEST),
        ("/report", "evil.example", StatusCode::MISDIRECTED_REQUEST),
        ("/report?page", "evil.example", StatusCode::MISDIRECTED_REQUEST),
        ("/", "testhost:11432", StatusCode::OK),
        ("/report", "127.0.0.1:11432", StatusCode::OK),
        // A service's name in Kubernetes, a container's in Docker: what these hold is no secret.
        ("/metrics", "kreplay.monitoring.svc:11432", StatusCode::OK),
        ("/livez", "kreplay", StatusCode::OK),
    ] {
        let request = TestRequest::get().uri(path).insert_header(("host", host)).to_request();
        let response = call_service(&app, request).await;
        assert_eq!(response.status(), expected, "{path} of {host}");
        assert_eq!(response.headers().get("cache-control").unwrap(), "no-store", "{path}");
        assert_eq!(response.headers().get("x-content-type-options").unwrap(), "nosniff", "{path}");
    }
}

#[actix_rt::test]
async fn every_path_can_be_read_and_nothing_else() {
    use actix_web::http::Method;

    let app = init_service(app(views(&Health::default()))).await;
    for path in ["/", "/report", "/metrics", "/livez"] {
        for (method, expected) in [
            (Method::GET, StatusCode::OK),
            (Method::HEAD, StatusCode::OK),
            (Method::POST, StatusCode::METHOD_NOT_ALLOWED),
            (Method::DELETE, StatusCode::METHOD_NOT_ALLOWED),
            (Method::OPTIONS, StatusCode::METHOD_NOT_ALLOWED),
        ] {
            let request = TestRequest::with_uri(path).method(method.clone()).to_request();
            let response = call_service(&app, request).await;
            assert_eq!(response.status(), expected, "{method} {path}");
            let allowed = response.headers().get("allow").map(|it| it.to_str().unwrap());
            assert_eq!(
                allowed.is_some(),
                expected == StatusCode::METHOD_NOT_ALLOWED,
                "{allowed:?}"
            );
        }
    }
    let elsewhere = TestRequest::post().uri("/etc/passwd").to_request();
    let response = call_service(&app, elsewhere).await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert!(read_body(response).await.starts_with(b"nothing is here: see /"));
}
