//! Metrics: one place to record, several to read from.
//!
//! OpenTelemetry's instruments are the one recording interface. Its readers are the collector
//! (OTLP), Prometheus (asked through the admin listener) and the Datadog agent; whichever is
//! configured reads the same numbers. Without any, nothing is recorded and nothing costs.

mod client;
mod dogstatsd;
pub(crate) mod names;
mod observe;
mod record;
mod series;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use anyhow::Context as _;
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry_otlp::{MetricExporter, WithExportConfig as _};
use opentelemetry_sdk::{
    Resource,
    metrics::{Instrument, MeterProviderBuilder, SdkMeterProvider, Stream},
};
use prometheus::{Registry, TextEncoder};

use self::dogstatsd::Agent;
pub(crate) use self::{observe::Observer, record::Recorder};
use crate::config::TelemetrySettings;

/// The readers and what they read from.
pub(crate) struct Metrics {
    provider: SdkMeterProvider,
    registry: Registry,
    recorder: Arc<Recorder>,
}

/// Sets up what is configured; `None` when nobody wants to know.
pub(crate) fn start(
    settings: &TelemetrySettings,
    resource: Resource,
) -> anyhow::Result<Option<Metrics>> {
    let endpoint = settings.metrics_endpoint.as_ref();
    let agent = settings.dogstatsd.as_ref().map(Agent::new);
    if endpoint.is_none() && agent.is_none() && !settings.prometheus {
        return Ok(None);
    }
    let mut provider = SdkMeterProvider::builder()
        .with_resource(resource)
        .with_view(bounded);
    // First: at the end, a collector that does not answer takes all the time there is.
    if let Some(agent) = &agent {
        provider = provider.with_reader(agent.reader());
    }
    let registry = Registry::new();
    if settings.prometheus {
        provider = provider.with_reader(prometheus_reader(&registry)?);
    }
    if let Some(endpoint) = endpoint {
        provider = with_collector(provider, endpoint.as_str())?;
    }
    let provider = provider.build();
    let meter = provider.meter(env!("CARGO_PKG_NAME"));
    Ok(Some(Metrics {
        recorder: Arc::new(Recorder::new(&meter, agent)),
        provider,
        registry,
    }))
}

impl Metrics {
    /// Where events are recorded.
    pub(crate) fn recorder(&self) -> Arc<Recorder> {
        Arc::clone(&self.recorder)
    }

    /// Where states are looked at.
    pub(crate) fn observer(&self) -> Observer {
        Observer(self.provider.meter(env!("CARGO_PKG_NAME")))
    }

    /// What Prometheus gets when it asks. A cheap handle.
    pub(crate) fn exposition(&self) -> Exposition {
        Exposition(self.registry.clone())
    }

    /// What sends the last numbers when it is shut down.
    pub(crate) fn provider(&self) -> &SdkMeterProvider {
        &self.provider
    }
}

/// All metrics as Prometheus reads them.
#[derive(Clone)]
pub(crate) struct Exposition(Registry);

impl Exposition {
    /// The media type of [`Exposition::text`].
    pub(crate) const MEDIA_TYPE: &str = prometheus::TEXT_FORMAT;

    /// The numbers of this moment.
    pub(crate) fn text(&self) -> String {
        let families = self.0.gather();
        // Fails only for metrics without a name or a value, which the reader does not make.
        TextEncoder::new()
            .encode_to_string(&families)
            .unwrap_or_default()
    }
}

fn prometheus_reader(
    registry: &Registry,
) -> anyhow::Result<opentelemetry_prometheus::PrometheusExporter> {
    opentelemetry_prometheus::exporter()
        .with_registry(registry.clone())
        .scope_info_enabled(false)
        .build()
        .context("the metrics for Prometheus cannot be set up")
}

/// The collector, once a minute or as `OTEL_METRIC_EXPORT_INTERVAL` says.
fn with_collector(
    provider: MeterProviderBuilder,
    endpoint: &str,
) -> anyhow::Result<MeterProviderBuilder> {
    let exporter = MetricExporter::builder()
        .with_http()
        .with_endpoint(endpoint)
        .build()
        .context("the exporter of metrics cannot be built")?;
    Ok(provider.with_periodic_exporter(exporter))
}

/// However many labels there are, a metric takes only so much memory.
fn bounded(_: &Instrument) -> Option<Stream> {
    let stream = Stream::builder().with_cardinality_limit(names::MOST_SERIES);
    stream.build().ok()
}
