//! Traces and metrics.

use url::Url;

use crate::config::parse::traces::{Propagator, TraceSampler};
use crate::config::reader::Reader;
use crate::config::settings::{self, Spec};

/// Where traces and metrics go.
#[derive(Debug)]
pub(crate) struct TelemetrySettings {
    /// The URL for traces over OTLP/HTTP; `None` turns traces off.
    pub(crate) traces_endpoint: Option<Url>,
    /// The URL for metrics over OTLP/HTTP; `None` turns metrics off.
    pub(crate) metrics_endpoint: Option<Url>,
    /// Whether Prometheus may ask for metrics.
    pub(crate) prometheus: bool,
    /// The Datadog agent that takes metrics.
    pub(crate) dogstatsd: Option<DogStatsdSettings>,
    /// Which requests are traced.
    pub(crate) sampler: TraceSampler,
    /// How a trace is joined and passed on.
    pub(crate) propagators: Vec<Propagator>,
    /// The name of the environment.
    pub(crate) environment: String,
}

/// A Datadog agent, and what it is told about this process.
#[derive(Debug, Clone)]
pub(crate) struct DogStatsdSettings {
    /// Name or address.
    pub(crate) host: String,
    /// UDP port.
    pub(crate) port: u16,
    /// Datadog's unified tags: `env`, `service`, `version`.
    pub(crate) tags: [(&'static str, String); 3],
}

/// Also where log records would go.
pub(super) fn read_telemetry(reader: &mut Reader) -> (TelemetrySettings, Option<Url>) {
    let base = reader.optional(&settings::OTLP_ENDPOINT);
    let traces = reader.optional(&settings::OTLP_TRACES_ENDPOINT);
    let metrics = reader.optional(&settings::OTLP_METRICS_ENDPOINT);
    let logs = reader.optional(&settings::OTLP_LOGS_ENDPOINT);
    let disabled = reader.value(&settings::OTEL_DISABLED);
    for (setting, url, path) in [
        (
            &*settings::OTLP_ENDPOINT,
            base.as_ref().map(|it| &it.traces),
            "",
        ),
        (
            &settings::OTLP_TRACES_ENDPOINT,
            traces.as_ref(),
            "/v1/traces",
        ),
        (
            &settings::OTLP_METRICS_ENDPOINT,
            metrics.as_ref(),
            "/v1/metrics",
        ),
        (&settings::OTLP_LOGS_ENDPOINT, logs.as_ref(), "/v1/logs"),
    ] {
        reader.warnings.extend(collector_doubt(setting, url, path));
    }
    let base = base.filter(|_| !disabled);
    let environment = reader.value(&settings::ENVIRONMENT);
    let settings = TelemetrySettings {
        traces_endpoint: traces
            .filter(|_| !disabled)
            .or_else(|| base.clone().map(|base| base.traces)),
        metrics_endpoint: metrics
            .filter(|_| !disabled)
            .or_else(|| base.clone().map(|base| base.metrics)),
        prometheus: false,
        dogstatsd: read_dogstatsd(reader, &environment),
        sampler: read_sampler(reader),
        propagators: read_propagators(reader),
        environment,
    };
    let logs = logs
        .filter(|_| !disabled)
        .or_else(|| base.map(|base| base.logs));
    (settings, logs)
}

/// What makes it unlikely that a collector takes anything at this URL. No error: the variable may
/// be meant for other programs with the same environment.
fn collector_doubt(setting: &Spec, url: Option<&Url>, path: &str) -> Option<String> {
    let (name, url) = (setting.name(), url?);
    if url.port() == Some(4317) {
        return Some(format!(
            "{name} has port 4317, which is that of OTLP over gRPC: this server speaks OTLP over \
             HTTP, for which collectors listen on 4318"
        ));
    }
    (url.path() == "/" && !path.is_empty())
        .then(|| format!("{name} is used as it is and has no path: collectors take this at {path}"))
}

/// Without a sampler by name, this server's own. One that is not known here is meant for other
/// programs with the same environment.
fn read_sampler(reader: &mut Reader) -> TraceSampler {
    let per_second = reader.value(&settings::TRACES_PER_SECOND);
    let own = TraceSampler::AtMost(per_second);
    let Some(name) = reader.optional(&settings::OTEL_SAMPLER) else {
        return own;
    };
    let ratio = || reader.value(&settings::OTEL_SAMPLER_ARG);
    TraceSampler::named(&name, ratio).unwrap_or_else(|| {
        reader.warnings.push(format!(
            "OTEL_TRACES_SAMPLER is {name:?}, which this server does not have; TRACES_PER_SECOND is \
             in force"
        ));
        own
    })
}

/// One that is not known here is meant for other programs with the same environment.
fn read_propagators(reader: &mut Reader) -> Vec<Propagator> {
    let names = reader.list(&settings::OTEL_PROPAGATORS);
    let mut propagators = Vec::new();
    for name in names {
        match Propagator::named(&name) {
            Some(propagator) => propagators.push(propagator),
            None if name == "none" => {}
            None => reader.warnings.push(format!(
                "OTEL_PROPAGATORS names {name:?}, which this server does not have; it has \
                 tracecontext and baggage"
            )),
        }
    }
    propagators
}

fn read_dogstatsd(reader: &mut Reader, environment: &str) -> Option<DogStatsdSettings> {
    let env = reader.optional(&settings::DOGSTATSD_ENV);
    let service = reader.value(&settings::DOGSTATSD_SERVICE);
    let version = reader.optional(&settings::DOGSTATSD_VERSION);
    let version = version.unwrap_or_else(|| env!("CARGO_PKG_VERSION").to_owned());
    let port = reader.value(&settings::DOGSTATSD_PORT);
    let host = reader.optional(&settings::DOGSTATSD_HOST)?;
    let env = env.unwrap_or_else(|| environment.to_owned());
    Some(DogStatsdSettings {
        host,
        port,
        tags: [("env", env), ("service", service), ("version", version)],
    })
}
