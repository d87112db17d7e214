//! Logs and traces. The only file that installs a subscriber or an exporter.
//!
//! Logs go to standard error, never to standard output, which belongs to MCP. A writer that
//! never blocks stands between them and the requests: when standard error is not read, lines
//! are dropped and counted.

use std::io::{IsTerminal, Write as _};
use std::panic::PanicHookInfo;
use std::time::Duration;

use anyhow::Context as _;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{MetricExporter, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::{EnvFilter, FilterExt as _, LevelFilter, Targets, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

use crate::config::{LogFormat, LogSettings, TelemetrySettings};

/// The target of the access log, one line for each request, written at every level.
const ACCESS: &str = "access";

/// Our crates, as targets.
const OURS: [&str; 6] = [
    "braingrid_mcp",
    "mcp_auth",
    "mcp_core",
    "mcp_session",
    "mcp_transport_http",
    "mcp_transport_stdio",
];

/// Lines that may wait for standard error before lines are dropped.
const WAITING_LINES: usize = 16_384;

/// What has to be finished before the process ends.
pub(crate) struct Telemetry {
    provider: Option<SdkTracerProvider>,
    meters: Option<SdkMeterProvider>,
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
        .finish(std::io::stderr());
    let dropped = writer.error_counter();
    let provider = tracer_provider(telemetry)?;
    let discreet = filter_fn(|line| is_discreet(line.target(), *line.level()));
    let lines = lines(log, writer).with_filter(filter(log)?.and(discreet));
    let spans = provider.as_ref().map(|provider| {
        let tracer = provider.tracer(env!("CARGO_PKG_NAME"));
        tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_filter(traced())
    });
    let subscriber = tracing_subscriber::registry().with(lines).with(spans);
    tracing::subscriber::set_global_default(subscriber).context("logs are already set up")?;
    let meters = meter_provider(telemetry)?;
    if let Some(meters) = &meters {
        opentelemetry::global::set_meter_provider(meters.clone());
    }
    Ok(Telemetry {
        provider,
        meters,
        dropped,
        _writer: guard,
    })
}

impl Telemetry {
    /// Sends the spans that are waiting, for at most `patience`, and then the log.
    pub(crate) async fn finish(self, patience: Duration) {
        if let Some(provider) = self.provider {
            // Blocks until the collector has answered, hence a thread of its own.
            let flush =
                tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(patience));
            if !matches!(tokio::time::timeout(patience, flush).await, Ok(Ok(Ok(())))) {
                tracing::warn!("the last spans did not reach the collector");
            }
        }
        if let Some(meters) = self.meters {
            let flush = tokio::task::spawn_blocking(move || meters.shutdown());
            if !matches!(tokio::time::timeout(patience, flush).await, Ok(Ok(Ok(())))) {
                tracing::warn!("the last metrics did not reach the collector");
            }
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

/// Which log lines are written.
fn filter(log: &LogSettings) -> anyhow::Result<EnvFilter> {
    let directives = log
        .filter
        .clone()
        .unwrap_or_else(|| level_directives(log.level));
    let filter = EnvFilter::builder()
        .parse(directives)
        .context("log filter")?;
    Ok(filter.add_directive(format!("{ACCESS}=info").parse().context("access log")?))
}

/// Whether a line may be written, whatever the filter says. Below `info`, libraries print whole
/// messages and headers: arguments of tools, tokens. `RUST_LOG=trace` must not lift that.
fn is_discreet(target: &str, level: tracing::Level) -> bool {
    let krate = target.split("::").next().unwrap_or_default();
    level <= tracing::Level::INFO || OURS.contains(&krate)
}

/// Our crates at `level`. Libraries are heard from `warn` on: what they say below that is about
/// themselves, and may quote what passes through them. The MCP SDK quotes its peer in warnings too.
fn level_directives(level: &str) -> String {
    let (others, sdk) = match level {
        "off" => ("off", "off"),
        "error" => ("error", "error"),
        _ => ("warn", "error"),
    };
    let ours = OURS.map(|target| format!("{target}={level}"));
    format!("{others},rmcp={sdk},panic={others},{}", ours.join(","))
}

/// Which spans and events go to the collector, whatever the log level: ours.
fn traced() -> Targets {
    Targets::new().with_targets(OURS.map(|target| (target, LevelFilter::INFO)))
}

/// Log lines as JSON or for people.
fn lines<S>(log: &LogSettings, writer: NonBlocking) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
{
    let terminal = std::io::stderr().is_terminal();
    let default = if terminal {
        LogFormat::Pretty
    } else {
        LogFormat::Json
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    match log.format.unwrap_or(default) {
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .boxed(),
        LogFormat::Pretty => lines.with_ansi(terminal).boxed(),
    }
}

/// The exporter of traces; `None` when no collector is configured.
fn tracer_provider(settings: &TelemetrySettings) -> anyhow::Result<Option<SdkTracerProvider>> {
    let Some(endpoint) = &settings.traces_endpoint else {
        return Ok(None);
    };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_endpoint(endpoint.as_str())
        .build()
        .context("the exporter of traces cannot be built")?;
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource(&settings.environment))
        .build();
    Ok(Some(provider))
}

/// The exporter of metrics, once a minute; `None` when no collector is configured.
fn meter_provider(settings: &TelemetrySettings) -> anyhow::Result<Option<SdkMeterProvider>> {
    let Some(endpoint) = &settings.metrics_endpoint else {
        return Ok(None);
    };
    let exporter = MetricExporter::builder()
        .with_http()
        .with_endpoint(endpoint.as_str())
        .build()
        .context("the exporter of metrics cannot be built")?;
    let provider = SdkMeterProvider::builder()
        .with_periodic_exporter(exporter)
        .with_resource(resource(&settings.environment))
        .build();
    Ok(Some(provider))
}

/// What the spans say about this process. The SDK's own detectors read `OTEL_SERVICE_NAME` and
/// `OTEL_RESOURCE_ATTRIBUTES`; a name found there stays.
fn resource(environment: &str) -> Resource {
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

/// Replaces the panic message, which may quote anything, by the place where it happened.
pub(crate) fn install_panic_hook() {
    std::panic::set_hook(Box::new(report_panic));
}

fn report_panic(panic: &PanicHookInfo<'_>) {
    let location = panic
        .location()
        .map(ToString::to_string)
        .unwrap_or_default();
    let thread = std::thread::current()
        .name()
        .unwrap_or("unnamed")
        .to_owned();
    if tracing::dispatcher::has_been_set() {
        tracing::error!(target: "panic", location, thread, "panicked; the message is not logged");
    } else {
        // Standard error may be closed; a panic hook has no one else to tell.
        let _ = writeln!(
            std::io::stderr(),
            "panicked at {location}; the message is not shown"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::fmt::MakeWriter;

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Captured {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    /// What is written under these settings by `emit`.
    fn logged(level: &'static str, directives: Option<&str>, emit: impl FnOnce()) -> String {
        let log = LogSettings {
            level,
            filter: directives.map(str::to_owned),
            format: None,
        };
        let captured = Captured::default();
        let lines = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_writer(captured.clone());
        let subscriber =
            tracing_subscriber::registry().with(lines.with_filter(filter(&log).unwrap()));
        tracing::subscriber::with_default(subscriber, emit);
        let bytes = captured.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn the_access_log_is_written_at_every_level() {
        let access = || tracing::info!(target: "access", "answered");
        for level in ["off", "error", "warn", "info"] {
            assert!(logged(level, None, access).contains("answered"), "{level}");
        }
        assert!(logged("info", Some("error,access=off"), access).contains("answered"));
    }

    #[test]
    fn a_level_is_about_our_crates_and_directives_replace_it() {
        let emit = || {
            tracing::debug!(target: "mcp_session::tiers", "ours");
            tracing::info!(target: "hyper", "theirs");
            tracing::warn!(target: "rmcp::service", "theirs, about a request");
        };
        let text = logged("debug", None, emit);
        assert!(text.contains("ours") && !text.contains("theirs"), "{text}");
        let text = logged("debug", Some("hyper=info"), emit);
        assert!(!text.contains("ours") && text.contains("theirs"), "{text}");
    }

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
            environment: "staging".to_owned(),
        };
        let provider = tracer_provider(&settings).unwrap().unwrap();
        let spans = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        let subscriber = tracing_subscriber::registry().with(spans.with_filter(traced()));
        tracing::subscriber::with_default(subscriber, || {
            tracing::info_span!(target: "mcp_core::tools", "our own").in_scope(|| ());
            tracing::info_span!(target: "hyper", "of a library").in_scope(|| ());
        });
        let (writer, guard) = NonBlockingBuilder::default().finish(io::sink());
        Telemetry {
            provider: Some(provider),
            meters: None,
            dropped: writer.error_counter(),
            _writer: guard,
        }
        .finish(Duration::from_secs(5))
        .await;
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
