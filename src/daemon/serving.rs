//! Serves HTTP, on the port that was asked for or on one that can be had.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use tracing::{info, warn};

use super::reporting::Reporting;
use crate::config::{Config, Listen};
use crate::http::{self, Hosts, HttpError, Views};
use crate::metrics;
use crate::pipeline::Telemetry;

/// Serves what there is to see of a replay.
pub(super) fn serve(
    config: &Config,
    recorder: PrometheusHandle,
    telemetry: &Telemetry,
    reporting: &Reporting,
) -> anyhow::Result<()> {
    let upkeep = recorder.clone();
    actix_rt::spawn(async move {
        let mut every_second = tokio::time::interval(Duration::from_secs(1));
        loop {
            every_second.tick().await;
            upkeep.run_upkeep();
        }
    });
    let address = match config.listen {
        Listen::Off => return Ok(()),
        Listen::On(address) | Listen::Preferably(address) => address,
    };
    let (tally, connections) = (telemetry.tally.clone(), telemetry.health.clone());
    let refresh = move || {
        let tally = tally.lock().clone();
        metrics::publish_process();
        metrics::publish_tally(&tally);
        let (source, target) = connections.conditions();
        metrics::connected(metrics::Side::Source, source.is_met());
        metrics::connected(metrics::Side::Target, target.is_met());
    };
    let (reporting, overview) = (reporting.clone(), telemetry.overview.clone());
    let views = Views {
        health: telemetry.health.clone(),
        metrics: recorder,
        refresh: Arc::new(refresh),
        report: Arc::new(move || reporting.report()),
        sessions: Arc::new(move || overview.count_sessions()),
        hosts: Hosts::new(&config.http_hosts),
    };
    let (server, address) = match http::serve(address, views.clone()) {
        Err(taken @ HttpError::Taken { .. }) if matches!(config.listen, Listen::Preferably(_)) => {
            warn!("{taken}; this replay has an end and takes a free port");
            http::serve(SocketAddr::new(address.ip(), 0), views)?
        }
        served => served?,
    };
    info!("HTTP on http://{address}: /metrics, /livez, /readyz, /report and a page at /");
    actix_rt::spawn(server);
    Ok(())
}
