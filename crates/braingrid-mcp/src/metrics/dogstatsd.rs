//! Metrics for a Datadog agent, over DogStatsD (UDP).
//!
//! Tool calls are told one by one, for the agent makes percentiles of them; everything else in
//! steps, as differences since the last one. Nothing waits: the socket does not block, and what the
//! agent does not take is lost.

use std::{
    borrow::Cow,
    io,
    net::{IpAddr, SocketAddr, ToSocketAddrs as _, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use cadence::{
    BufferedUdpMetricSink, Counted as _, Gauged as _, MetricBuilder, StatsdClient, Timed as _,
};
use opentelemetry::KeyValue;
use opentelemetry_sdk::{
    error::OTelSdkResult,
    metrics::{
        PeriodicReader, Temporality,
        data::{AggregatedMetrics, Metric, MetricData, ResourceMetrics, ScopeMetrics},
        exporter::PushMetricExporter,
    },
};

use super::names::PREFIX;
use crate::config::DogStatsdSettings;

/// Between two steps. The agent itself sums up for ten seconds.
const STEP: Duration = Duration::from_secs(5);

/// Fits an Ethernet frame.
const PACKET: usize = 1_432;

/// A Datadog agent, found or not found yet.
pub(crate) struct Agent {
    settings: DogStatsdSettings,
    client: ArcSwapOption<StatsdClient>,
    warned: AtomicBool,
}

impl Agent {
    /// Looks for the agent in the background: a name may take long to resolve, or may not resolve
    /// before the agent runs.
    pub(super) fn new(settings: &DogStatsdSettings) -> Arc<Self> {
        let agent = Arc::new(Self {
            settings: settings.clone(),
            client: ArcSwapOption::empty(),
            warned: AtomicBool::new(false),
        });
        // An address is found at once.
        let found = agent.settings.host.parse::<IpAddr>().is_ok() && agent.find();
        if !found {
            let searching = Arc::downgrade(&agent);
            std::thread::spawn(move || {
                while searching.upgrade().is_some_and(|agent| !agent.find()) {
                    std::thread::sleep(STEP);
                }
            });
        }
        agent
    }

    /// What sends the rest of the metrics.
    pub(super) fn reader(self: &Arc<Self>) -> PeriodicReader<Steps> {
        let steps = Steps(Arc::clone(self));
        PeriodicReader::builder(steps).with_interval(STEP).build()
    }

    /// A call of a tool is over.
    pub(super) fn tool_called(&self, tool: &str, done: bool, duration: Duration) {
        let client = self.client.load();
        let Some(client) = client.as_deref() else {
            return;
        };
        let status = if done { "ok" } else { "error" };
        let status = [("tool", tool), ("status", status)];
        send(
            client.time_with_tags("tool.call.duration", duration),
            status,
        );
        send(client.count_with_tags("tool.call.count", 1_u64), status);
    }

    /// Whether it was found.
    fn find(&self) -> bool {
        match self.connect() {
            Ok(client) => {
                self.client.store(Some(Arc::new(client)));
                return true;
            }
            Err(error) if !self.warned.swap(true, Ordering::Relaxed) => {
                let host = &self.settings.host;
                tracing::warn!(host, %error, "the Datadog agent is not found; looking again");
            }
            Err(_) => {}
        }
        false
    }

    fn connect(&self) -> io::Result<StatsdClient> {
        let DogStatsdSettings { host, port, tags } = &self.settings;
        let address = (host.as_str(), *port).to_socket_addrs()?.next();
        let address = address.ok_or(io::ErrorKind::NotFound)?;
        let any: SocketAddr = match address {
            SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
            SocketAddr::V6(_) => ([0, 0, 0, 0, 0, 0, 0, 0], 0).into(),
        };
        let socket = UdpSocket::bind(any)?;
        socket.set_nonblocking(true)?;
        let sink = BufferedUdpMetricSink::builder().with_capacity(PACKET);
        let sink = sink.build(address, socket).map_err(io::Error::other)?;
        let client = StatsdClient::builder(PREFIX, sink);
        let tagged = tags.iter().fold(client, |client, (tag, value)| {
            client.with_tag(*tag, plain(value))
        });
        Ok(tagged.build())
    }
}

/// Sends differences, step by step, and whatever waits in the buffer.
pub(super) struct Steps(Arc<Agent>);

impl PushMetricExporter for Steps {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let client = self.0.client.load();
        if let Some(client) = client.as_deref() {
            for metric in metrics.scope_metrics().flat_map(ScopeMetrics::metrics) {
                send_all(client, metric);
            }
            // An agent that is not there is no reason to say so each time.
            let _ = client.flush();
        }
        Ok(())
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.shutdown()
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        let client = self.0.client.load();
        if let Some(client) = client.as_deref() {
            let _ = client.flush();
        }
        Ok(())
    }

    fn temporality(&self) -> Temporality {
        Temporality::Delta
    }
}

fn send_all(client: &StatsdClient, metric: &Metric) {
    let name = metric.name();
    let name = name.strip_prefix(PREFIX).unwrap_or(name);
    match metric.data() {
        AggregatedMetrics::U64(MetricData::Sum(sum)) => {
            for point in sum.data_points().filter(|point| point.value() > 0) {
                let tags = tags(point.attributes());
                send(client.count_with_tags(name, point.value()), borrowed(&tags));
            }
        }
        AggregatedMetrics::U64(MetricData::Gauge(gauge)) => {
            for point in gauge.data_points() {
                let tags = tags(point.attributes());
                send(client.gauge_with_tags(name, point.value()), borrowed(&tags));
            }
        }
        // How many: percentiles would need every value.
        AggregatedMetrics::F64(MetricData::Histogram(histogram)) => {
            let name = format!("{name}.count");
            for point in histogram.data_points().filter(|point| point.count() > 0) {
                let tags = tags(point.attributes());
                send(
                    client.count_with_tags(&name, point.count()),
                    borrowed(&tags),
                );
            }
        }
        _ => {}
    }
}

/// A metric with its tags; what goes wrong is the metric's loss.
fn send<'m, T: cadence::Metric + From<String>>(
    metric: MetricBuilder<'m, '_, T>,
    tags: impl IntoIterator<Item = (&'m str, &'m str)>,
) {
    let tags = tags.into_iter();
    let tagged = tags.fold(metric, |metric, (tag, value)| metric.with_tag(tag, value));
    tagged.send();
}

fn tags<'a>(labels: impl Iterator<Item = &'a KeyValue>) -> Vec<(&'a str, String)> {
    let tag = |label: &'a KeyValue| {
        let value = label.value.to_string();
        (label.key.as_str(), plain(&value).into_owned())
    };
    labels.map(tag).collect()
}

fn borrowed<'a>(tags: &'a [(&'a str, String)]) -> impl Iterator<Item = (&'a str, &'a str)> {
    tags.iter().map(|(tag, value)| (*tag, value.as_str()))
}

/// A tag's value without what separates tags and metrics.
fn plain(value: &str) -> Cow<'_, str> {
    let special = |c: char| matches!(c, ',' | '|' | '#') || c.is_whitespace() || c.is_control();
    if value.contains(special) {
        value.replace(special, "_").into()
    } else {
        value.into()
    }
}
