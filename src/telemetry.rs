//! Logs and metrics. Fields carry ids and codes, never anything of a patient.

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{Log, LogFormat};

/// Starts logging to standard error, as the settings say. A second call changes nothing.
pub fn init(log: &Log) {
    // Every command opens the database, and need not say that it is up to date.
    let wanted =
        |filter: &str| EnvFilter::try_new(format!("sea_orm_migration=warn,sqlx::postgres::notice=warn,{filter}"));
    let filter = wanted(&log.filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let registry = tracing_subscriber::registry().with(filter);
    let output = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    // It fails only where a logger is in place already, as in tests.
    let _already_there = match log.format {
        LogFormat::Text => registry.with(output).try_init(),
        LogFormat::Json => registry.with(output.json()).try_init(),
    };
}

/// Starts collecting metrics; the handle renders them for `/metrics`. `None` where a collector is in place already.
pub fn metrics() -> Option<PrometheusHandle> {
    PrometheusBuilder::new().install_recorder().ok()
}
