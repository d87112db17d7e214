//! A stand-in OpenTelemetry collector: takes OTLP over HTTP in protobuf, decodes what it gets and
//! shows it plainly. Like a real one it can be away, or take connections and never answer.

mod decode;

use std::{
    collections::BTreeMap,
    future, io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, StatusCode};
use serde_json::Value;
use tokio::sync::Mutex as AsyncMutex;

use crate::{
    http::{Answer, Closed, HttpServer, listen, with_type},
    journal::Journal,
};

/// Attributes by name; values as JSON.
pub type Attributes = BTreeMap<String, Value>;

/// A running collector. Clones are handles to the same one.
#[derive(Clone)]
pub struct Collector {
    inner: Arc<Inner>,
    server: Arc<AsyncMutex<Option<HttpServer>>>,
}

struct Inner {
    port: u16,
    spans: Journal<Span>,
    points: Journal<MetricPoint>,
    logs: Journal<LogRecord>,
    bodies: Journal<Bytes>,
    connections: Journal<String>,
    hangs: AtomicBool,
}

/// A span as it was exported.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// 32 hexadecimal digits.
    pub trace_id: String,
    /// 16 hexadecimal digits.
    pub span_id: String,
    /// The same of its parent; empty for a root.
    pub parent_span_id: String,
    /// `tracestate`, as it travels on.
    pub trace_state: String,
    /// Its name.
    pub name: String,
    /// `internal`, `server`, `client`, `producer`, `consumer` or `unspecified`.
    pub kind: &'static str,
    /// What it says.
    pub attributes: Attributes,
    /// Trace id and span id of each link.
    pub links: Vec<(String, String)>,
    /// Name and attributes of each event.
    pub events: Vec<(String, Attributes)>,
    /// Whether its status is "error".
    pub is_error: bool,
    /// What the status says beside that.
    pub status_message: String,
    /// From start to end.
    pub duration: Duration,
    /// Who made it: service name and the like.
    pub resource: Attributes,
    /// The instrumentation scope.
    pub scope: String,
}

/// One point of a metric as it was exported; an export gives every point anew.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricPoint {
    /// Name of the metric.
    pub name: String,
    /// Its unit (UCUM).
    pub unit: String,
    /// What it says of itself.
    pub description: String,
    /// The labels.
    pub attributes: Attributes,
    /// The numbers.
    pub value: PointValue,
    /// Who made it.
    pub resource: Attributes,
}

/// The numbers of a point.
#[derive(Clone, Debug, PartialEq)]
pub enum PointValue {
    /// A value that comes and goes.
    Gauge(f64),
    /// A sum; monotonic ones are counters.
    Sum {
        /// The sum so far.
        value: f64,
        /// Whether it only grows.
        monotonic: bool,
    },
    /// A distribution.
    Histogram {
        /// How many values.
        count: u64,
        /// Their sum.
        sum: f64,
        /// Upper bounds of the buckets, the last one (infinity) left out.
        bounds: Vec<f64>,
        /// How many values each bucket has.
        buckets: Vec<u64>,
    },
    /// A kind this stand-in does not read.
    Other,
}

/// A log record as it was exported.
#[derive(Clone, Debug, PartialEq)]
pub struct LogRecord {
    /// What kind of event it tells of.
    pub event_name: String,
    /// `INFO` and the like.
    pub severity: String,
    /// The body.
    pub body: Value,
    /// What it says beside that.
    pub attributes: Attributes,
    /// The trace it belongs to; empty for none.
    pub trace_id: String,
    /// Who made it.
    pub resource: Attributes,
}

impl Collector {
    /// Starts on a free port of the loopback address.
    pub async fn start() -> io::Result<Self> {
        let (listener, port) = listen(0).await?;
        let inner = Arc::new(Inner {
            port,
            spans: Journal::new(),
            points: Journal::new(),
            logs: Journal::new(),
            bodies: Journal::new(),
            connections: Journal::new(),
            hangs: AtomicBool::new(false),
        });
        let server = HttpServer::start(listener, {
            let inner = Arc::clone(&inner);
            move |request| Arc::clone(&inner).take(request)
        });
        Ok(Self {
            inner,
            server: Arc::new(AsyncMutex::new(Some(server))),
        })
    }

    /// The base URL, for `OTEL_EXPORTER_OTLP_ENDPOINT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.inner.port)
    }

    /// Closes the listener and all connections: from now on connections are refused.
    pub async fn stop(&self) {
        if let Some(server) = self.server.lock().await.take() {
            server.stop().await;
        }
    }

    /// From now on it reads requests and never answers them.
    pub fn hang(&self) {
        self.inner.hangs.store(true, Ordering::SeqCst);
    }

    /// Every span so far; also what to wait on.
    #[must_use]
    pub fn spans(&self) -> &Journal<Span> {
        &self.inner.spans
    }

    /// Every point of every metric so far.
    #[must_use]
    pub fn points(&self) -> &Journal<MetricPoint> {
        &self.inner.points
    }

    /// The last exported points of this metric, one for each set of labels.
    #[must_use]
    pub fn metric(&self, name: &str) -> Vec<MetricPoint> {
        let mut last = BTreeMap::new();
        for point in self.inner.points.entries() {
            if point.name == name {
                last.insert(format!("{:?}", point.attributes), point);
            }
        }
        last.into_values().collect()
    }

    /// Every log record so far.
    #[must_use]
    pub fn logs(&self) -> &Journal<LogRecord> {
        &self.inner.logs
    }

    /// The path of every request so far, answered or not.
    #[must_use]
    pub fn requests(&self) -> &Journal<String> {
        &self.inner.connections
    }

    /// Every body as it came, for a search for what must not be in it. Protobuf keeps texts as
    /// they are.
    #[must_use]
    pub fn bodies(&self) -> Vec<Bytes> {
        self.inner.bodies.entries()
    }
}

impl Inner {
    async fn take(self: Arc<Self>, request: Request<Bytes>) -> Result<Answer, Closed> {
        self.connections.push(request.uri().path().to_owned());
        if self.hangs.load(Ordering::SeqCst) {
            return future::pending().await;
        }
        let body = request.body();
        let taken = match request.uri().path() {
            "/v1/traces" => decode::spans(body).map(|spans| all(&self.spans, spans)),
            "/v1/metrics" => decode::points(body).map(|points| all(&self.points, points)),
            "/v1/logs" => decode::logs(body).map(|logs| all(&self.logs, logs)),
            _ => None,
        };
        self.bodies.push(body.clone());
        let status = match taken {
            Some(()) => StatusCode::OK,
            None => StatusCode::BAD_REQUEST,
        };
        // An empty message says that everything was taken.
        Ok(with_type(status, "application/x-protobuf", String::new()))
    }
}

fn all<T: Clone>(journal: &Journal<T>, entries: Vec<T>) {
    for entry in entries {
        journal.push(entry);
    }
}
