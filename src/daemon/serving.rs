//! Serves HTTP, on the port that was asked for or on one that can be had.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use tracing::{info, warn};

use super::reporting::Reporting;
use super::take;
use crate::actors::overview::Overview;
use crate::config::{Config, Listen};
use crate::health::Health;
use crate::http::{self, HttpError, Views};
use crate::metrics;

/// Serves what there is to see of a replay.
pub(super) fn serve(
    config: &Config,
    recorder: PrometheusHandle,
    health: &Health,
    overview: &Arc<Overview>,
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
    let (tally, connections) = (reporting.tally.clone(), health.clone());
    let refresh = move || {
        let tally = take(&tally);
        metrics::publish_process();
        metrics::publish_tally(&tally);
        let (source, target) = connections.conditions();
        metrics::connected(metrics::Side::Source, source.is_met());
        metrics::connected(metrics::Side::Target, target.is_met());
    };
    let (reporting, overview) = (reporting.clone(), overview.clone());
    let views = Views {
        health: health.clone(),
        metrics: recorder,
        refresh: Arc::new(refresh),
        report: Arc::new(move || reporting.report()),
        sessions: Arc::new(move || overview.count_sessions()),
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
