//! Logs and traces. The only file that installs a subscriber or an exporter.
//!
//! Logs go to standard error, never to standard output, which belongs to MCP. A writer that
//! never blocks stands between them and the requests: when standard error is not read, lines
//! are dropped and counted.

mod export;
mod json;
mod logs;
mod panics;
mod propagation;
mod sampling;
mod writer;

use std::time::Duration;

use anyhow::Context as _;
use mcp_outbound::HeadSampler;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Subscriber;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::{FilterExt as _, LevelFilter, Targets, dynamic_filter_fn};
use tracing_subscriber::layer::{Filter, Layer as _, SubscriberExt as _};

pub(crate) use export::resource;
use export::tracer_provider;
pub(crate) use logs::LogControl;
pub(crate) use panics::install_panic_hook;
pub(crate) use propagation::pass_on;

use self::sampling::{AbidingTracer, Sampling, is_wanted};
use crate::config::{LogSettings, TelemetrySettings};
use crate::metrics::{self, Metrics, names::LOG_LINES_DROPPED};

/// Our crates, as targets.
const OURS: &[&str] = &[
    "braingrid_mcp",
    "mcp_auth",
    "mcp_core",
    "mcp_login",
    "mcp_session",
    "mcp_transport_http",
    "mcp_transport_stdio",
];

/// Lines that may wait for standard error before lines are dropped.
const WAITING_LINES: usize = 16_384;

/// What has to be finished before the process ends.
pub(crate) struct Telemetry {
    provider: Option<SdkTracerProvider>,
    head: Option<HeadSampler>,
    metrics: Option<Metrics>,
    control: LogControl,
    dropped: ErrorCounter,
    /// Writes what is waiting when it is dropped: the last field to go.
    _writer: WorkerGuard,
}

/// Installs logs, and traces where a collector is configured.
pub(crate) fn start(log: &LogSettings, telemetry: &TelemetrySettings) -> anyhow::Result<Telemetry> {
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(WAITING_LINES)
        .lossy(true)
        .thread_name("log-writer")
        .finish(writer::Gathering::new(std::io::stderr()));
    let dropped = writer.error_counter();
    propagation::install(&telemetry.propagators);
    let sampling = Sampling::new(&telemetry.sampler);
    let provider = tracer_provider(telemetry, &sampling)?;
    let (filter, control) = logs::filter(log)?;
    let lines = logs::lines(log, writer).with_filter(filter);
    // A list, for an absent layer in it wants no spans; one that is `None` wants them all.
    let mut layers = vec![lines.boxed()];
    if let Some(provider) = &provider {
        let spans = tracing_opentelemetry::layer()
            .with_tracer(AbidingTracer::new(provider))
            // Spans say what they say; where in the code they were made is no news to operators.
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false);
        layers.push(spans.with_filter(wanted()).boxed());
    }
    let subscriber = tracing_subscriber::registry().with(layers);
    tracing::subscriber::set_global_default(subscriber).context("logs are already set up")?;
    let metrics = metrics::start(telemetry, resource(&telemetry.environment))?;
    if let Some(metrics) = &metrics {
        let dropped = dropped.clone();
        let lost = move || dropped.dropped_lines() as u64;
        metrics.observer().count(&LOG_LINES_DROPPED, lost);
    }
    Ok(Telemetry {
        head: provider.as_ref().map(|_| sampling.head()),
        provider,
        metrics,
        control,
        dropped,
        _writer: guard,
    })
}

impl Telemetry {
    /// What changes which log lines are written.
    pub(crate) fn log_control(&self) -> LogControl {
        self.control.clone()
    }

    /// What decides at the head of a request whether it is traced, where anybody collects spans.
    pub(crate) fn head_sampler(&self) -> Option<HeadSampler> {
        self.head.clone()
    }

    /// Metrics, if anybody reads them.
    pub(crate) fn metrics(&self) -> Option<&Metrics> {
        self.metrics.as_ref()
    }

    /// Sends the spans and metrics that are waiting, for at most `timeout`. What is dropped after
    /// that writes the rest of the log.
    pub(crate) async fn finish(&mut self, timeout: Duration) {
        let (provider, metrics) = (self.provider.take(), self.metrics.take());
        // Each blocks until the collector has answered, hence threads of their own.
        let spans = tokio::task::spawn_blocking(move || {
            provider.is_none_or(|provider| provider.shutdown_with_timeout(timeout).is_ok())
        });
        let metrics = tokio::task::spawn_blocking(move || {
            let ended = |metrics: Metrics| metrics.provider().shutdown_with_timeout(timeout);
            metrics.is_none_or(|metrics| ended(metrics).is_ok())
        });
        let spans = tokio::time::timeout(timeout, spans);
        let metrics = tokio::time::timeout(timeout, metrics);
        let (spans, metrics) = tokio::join!(spans, metrics);
        if !matches!(spans, Ok(Ok(true))) {
            tracing::warn!("the last spans did not reach the collector");
        }
        if !matches!(metrics, Ok(Ok(true))) {
            tracing::warn!("the last metrics did not reach everybody");
        }
        let lost = self.dropped.dropped_lines();
        if lost > 0 {
            tracing::warn!(
                lost,
                "log lines were dropped because standard error was not read"
            );
        }
    }
}

/// Which spans and events go to the collector, whatever the log level: ours, of what is traced.
fn wanted<S: Subscriber>() -> impl Filter<S> {
    let ours = Targets::new().with_targets(OURS.iter().map(|&target| (target, LevelFilter::INFO)));
    let wanted = dynamic_filter_fn(|metadata, _| is_wanted(metadata));
    let wanted = ours.and(wanted.with_max_level_hint(LevelFilter::INFO));
    // In no span, so it goes nowhere. But all layers are asked, each time, about what only some of
    // them want, and that line is written for every request.
    wanted.or(Targets::new().with_target(logs::ACCESS, LevelFilter::INFO))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::TraceSampler;
    use std::io::{self, Write as _};

    /// A collector that accepts one export; hands out its request line and body.
    fn collector() -> (String, std::thread::JoinHandle<String>) {
        use std::io::{BufRead as _, BufReader, Read as _};

        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1/traces", listener.local_addr().unwrap());
        let export = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let head: Vec<String> = reader
                .by_ref()
                .lines()
                .map(Result::unwrap)
                .take_while(|l| !l.is_empty())
                .collect();
            let length = head
                .iter()
                .filter_map(|line| line.split_once(": "))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .and_then(|(_, length)| length.parse().ok())
                .unwrap_or_default();
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                .unwrap();
            format!("{} {}", head[0], String::from_utf8_lossy(&body))
        });
        (url, export)
    }

    #[tokio::test]
    async fn spans_reach_a_collector_at_the_latest_at_the_end() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let (url, export) = collector();
        let settings = TelemetrySettings {
            traces_endpoint: Some(url.parse().unwrap()),
            metrics_endpoint: None,
            prometheus: false,
            dogstatsd: None,
            propagators: Vec::new(),
            sampler: TraceSampler::AlwaysOn,
            environment: "staging".to_owned(),
        };
        let sampling = Sampling::new(&settings.sampler);
        let provider = tracer_provider(&settings, &sampling).unwrap().unwrap();
        let spans = tracing_opentelemetry::layer().with_tracer(AbidingTracer::new(&provider));
        let subscriber = tracing_subscriber::registry().with(spans.with_filter(wanted()));
        tracing::subscriber::with_default(subscriber, || {
            tracing::info_span!(target: "mcp_core::tools", "our own").in_scope(|| ());
            tracing::info_span!(target: "hyper", "of a library").in_scope(|| ());
        });
        let (writer, guard) = NonBlockingBuilder::default().finish(io::sink());
        let log = LogSettings {
            level: "info",
            filter: None,
            format: None,
        };
        let mut telemetry = Telemetry {
            head: None,
            provider: Some(provider),
            metrics: None,
            control: logs::filter(&log).unwrap().1,
            dropped: writer.error_counter(),
            _writer: guard,
        };
        telemetry.finish(Duration::from_secs(5)).await;
        let export = tokio::task::spawn_blocking(|| export.join().unwrap())
            .await
            .unwrap();
        assert!(export.starts_with("POST /v1/traces HTTP/1.1"), "{export}");
        for text in ["our own", "braingrid-mcp", "staging"] {
            assert!(export.contains(text), "{text} in {export}");
        }
        assert!(!export.contains("of a library"), "{export}");
    }
}
