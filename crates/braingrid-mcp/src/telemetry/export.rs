//! The exporter of traces over OTLP, and what every exporter says of this process.

use anyhow::Context as _;
use opentelemetry::KeyValue;
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;

use super::sampling::Sampling;
use crate::config::TelemetrySettings;

/// The exporter of traces; `None` when no collector is configured.
pub(super) fn tracer_provider(
    settings: &TelemetrySettings,
    sampling: &Sampling,
) -> anyhow::Result<Option<SdkTracerProvider>> {
    let Some(endpoint) = &settings.traces_endpoint else {
        return Ok(None);
    };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_endpoint(endpoint.as_str())
        .build()
        .context("the exporter of traces cannot be built")?;
    let provider = sampling
        .bind(SdkTracerProvider::builder())
        .with_batch_exporter(exporter)
        .with_resource(resource(&settings.environment))
        .build();
    Ok(Some(provider))
}

/// What everything exported says about this process. The SDK's own detectors read `OTEL_SERVICE_NAME` and
/// `OTEL_RESOURCE_ATTRIBUTES`; a name found there stays.
pub(crate) fn resource(environment: &str) -> Resource {
    let detected = Resource::builder().build();
    let name = detected
        .get(&"service.name".into())
        .map(|name| name.to_string());
    let named = name.filter(|name| !name.starts_with("unknown_service"));
    Resource::builder()
        .with_service_name(named.unwrap_or_else(|| env!("CARGO_PKG_NAME").to_owned()))
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new(
            "deployment.environment.name",
            environment.to_owned(),
        ))
        .build()
}
