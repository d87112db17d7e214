//! The audit log: who did what for which organization, and who was sent away.
//!
//! One record of what a call is about to change, one of how it ended, one for each refusal, and one for
//! what an operator changes, to a file, to standard output or to an OpenTelemetry collector. Records go through a queue; when it
//! is full a record is lost, which is counted. Only a write waits, for its intent to be written, and
//! not for long: an audit log that takes nothing stops nobody. Arguments are not in a record, only a
//! keyed digest of them.

mod actor;
mod digest;
mod export;
mod hooks;
mod lines;
mod operators;

use std::collections::hash_map::RandomState;
use std::future::Future;
use std::hash::{BuildHasher as _, Hasher as _};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use opentelemetry::Context;
use opentelemetry::trace::{TraceContextExt as _, TraceId};
use serde::{Serialize, Serializer};
use tokio::sync::oneshot;

use actor::Actor;
pub(crate) use digest::Digest;
use export::Export;
use lines::Lines;
pub(crate) use operators::{OperatorAction, Target, target};

use crate::config::AuditTarget;
use crate::metrics::Observer;
use crate::metrics::names::{AUDIT_LOST, AUDIT_RECORDS};

/// Records that may wait. A record takes some 600 bytes.
const WAITING: usize = 8_192;

/// Refusals take no more than half of the places: strangers can make any number of them, and must
/// not push out what was done.
const WAITING_REFUSALS: usize = WAITING / 2;

/// How long a write waits for its intent to be written. After that it is sent all the same.
const INTENT_PATIENCE: Duration = Duration::from_secs(1);

/// Is told, or dropped, when a record is off the queue: written or lost.
type Settled = oneshot::Sender<()>;

/// One line of the audit log. The fields are documented in `docs/observability.md`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Record {
    /// When it was about to be sent, or when it ended.
    #[serde(serialize_with = "as_text")]
    pub(crate) time: Timestamp,
    /// What kind of record this is.
    pub(crate) event: Event,
    /// `pending`; or `ok`, or the name of what went wrong; or the reason of the refusal.
    pub(crate) outcome: &'static str,
    /// The same in the intent and the outcome of a call, and in no other record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) call_id: Option<String>,
    /// Who, as the issuer names them; absent where nobody was authenticated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<String>,
    /// The OAuth client that the caller's token was issued to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client: Option<String>,
    /// Who acts for the subject, by the token that BrainGrid is called with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) actor: Option<Actor>,
    /// Who acts for the subject by the client's own token, where another one is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_actor: Option<Actor>,
    /// For which organization.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) organization: Option<String>,
    /// Who runs this server and did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) operator: Option<String>,
    /// What an operator did, or who told what happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) action: Option<&'static str>,
    /// What that is about.
    #[serde(skip_serializing_if = "Target::is_empty")]
    pub(crate) target: Target,
    /// Why whoever was sent away is let in no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cause: Option<String>,
    /// The canonical name of the tool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tool: Option<String>,
    /// Of the arguments; see [`Digest`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) arguments: Option<String>,
    /// The id of the access line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) request_id: Option<String>,
    /// What the client called the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_request_id: Option<String>,
    /// From where it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_address: Option<IpAddr>,
    /// The trace it happened in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trace_id: Option<String>,
}

/// RFC 3339, in UTC.
fn as_text<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

/// What a record tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Event {
    /// A call of a tool is about to change something.
    Intent,
    /// How a call of a tool that changes something ended.
    ToolCall,
    /// A request that was sent away.
    Refusal,
    /// An operator changed something.
    OperatorAction,
    /// An identity provider said that somebody is to be signed out.
    #[serde(rename = "provider_event")]
    ToldByProvider,
}

impl Event {
    fn as_str(self) -> &'static str {
        match self {
            Self::Intent => "intent",
            Self::ToolCall => "tool_call",
            Self::Refusal => "refusal",
            Self::OperatorAction => "operator_action",
            Self::ToldByProvider => "provider_event",
        }
    }
}

impl Record {
    /// A record of now, in the current trace.
    pub(crate) fn now(event: Event, outcome: &'static str) -> Self {
        let trace_id = Context::map_current(|trace| trace.span().span_context().trace_id());
        Self {
            time: Timestamp::now(),
            event,
            outcome,
            call_id: None,
            subject: None,
            client: None,
            actor: None,
            client_actor: None,
            organization: None,
            operator: None,
            action: None,
            target: Target::new(),
            cause: None,
            tool: None,
            arguments: None,
            request_id: None,
            client_request_id: None,
            client_address: None,
            trace_id: (trace_id != TraceId::INVALID).then(|| trace_id.to_string()),
        }
    }
}

/// An id for a call that no other call has, of this process or of another.
fn new_call_id() -> String {
    static PROCESS: LazyLock<u64> = LazyLock::new(|| RandomState::new().build_hasher().finish());
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{:016x}-{number}", *PROCESS)
}

/// Takes records. A cheap handle.
#[derive(Clone)]
pub(crate) struct Audit(Arc<Inner>);

struct Inner {
    counts: Arc<Counts>,
    sink: Sink,
}

enum Sink {
    Lines(Lines),
    Export(Export),
}

/// What happened to the records so far.
#[derive(Debug, Default)]
struct Counts {
    waiting: AtomicUsize,
    written: AtomicU64,
    lost: AtomicU64,
}

impl Counts {
    /// A place in the queue, if there is one for this kind of record.
    fn enter(&self, event: Event) -> bool {
        let limit = match event {
            Event::Intent | Event::ToolCall | Event::OperatorAction | Event::ToldByProvider => {
                WAITING
            }
            Event::Refusal => WAITING_REFUSALS,
        };
        let entered = self.waiting.fetch_add(1, Ordering::Relaxed) < limit;
        if !entered {
            self.leave(1, false);
        }
        entered
    }

    /// So many records are off the queue.
    fn leave(&self, records: usize, written: bool) {
        if records == 0 {
            return;
        }
        self.waiting.fetch_sub(records, Ordering::Relaxed);
        let count = if written { &self.written } else { &self.lost };
        count.fetch_add(
            u64::try_from(records).unwrap_or(u64::MAX),
            Ordering::Relaxed,
        );
    }
}

impl Audit {
    /// Opens the audit log. A place that cannot be written to is an error now, not later.
    pub(crate) fn open(target: &AuditTarget, environment: &str) -> anyhow::Result<Self> {
        let counts = Arc::<Counts>::default();
        let sink = match target {
            AuditTarget::File(path) => Sink::Lines(to_file(path.clone(), &counts)?),
            AuditTarget::Stdout => {
                Sink::Lines(Lines::to(Box::new(std::io::stdout()), Arc::clone(&counts))?)
            }
            AuditTarget::Otlp(url) => {
                Sink::Export(Export::to(url, environment, Arc::clone(&counts))?)
            }
        };
        Ok(Self(Arc::new(Inner { counts, sink })))
    }

    /// Takes a record, or counts it as lost. Never waits.
    pub(crate) fn record(&self, record: Record) {
        self.put(record, None);
    }

    /// Takes a record; completes when it is written through, or is lost, or takes too long.
    pub(crate) fn write(&self, record: Record) -> impl Future<Output = ()> + Send + use<> {
        let (settled, settles) = oneshot::channel();
        self.put(record, Some(settled));
        async move {
            // What is lost is counted and complained of where it is lost.
            if tokio::time::timeout(INTENT_PATIENCE, settles)
                .await
                .is_err()
            {
                tracing::error!(
                    "the audit log is slow: a write goes on before its record is written"
                );
            }
        }
    }

    fn put(&self, record: Record, settled: Option<Settled>) {
        if self.0.counts.enter(record.event) {
            match &self.0.sink {
                Sink::Lines(lines) => lines.record(&record, settled),
                Sink::Export(export) => export.record(record, settled),
            }
        }
    }

    /// Lets metrics tell how many records there were and how many are missing.
    pub(crate) fn observed_by(&self, observer: &Observer) {
        let counts = Arc::clone(&self.0.counts);
        observer.count(&AUDIT_RECORDS, move || {
            counts.written.load(Ordering::Relaxed)
        });
        let counts = Arc::clone(&self.0.counts);
        observer.count(&AUDIT_LOST, move || counts.lost.load(Ordering::Relaxed));
    }

    /// Waits until all that was taken is written, for at most `timeout`.
    pub(crate) async fn finish(self, timeout: Duration) {
        let inner = Arc::clone(&self.0);
        let finishing = tokio::task::spawn_blocking(move || match &inner.sink {
            Sink::Lines(lines) => lines.finish(timeout),
            Sink::Export(export) => export.finish(timeout),
        });
        let finished = tokio::time::timeout(timeout, finishing).await;
        let waiting = self.0.counts.waiting.load(Ordering::Relaxed);
        let lost = self.0.counts.lost.load(Ordering::Relaxed);
        if finished.is_err() || waiting > 0 || lost > 0 {
            tracing::error!(lost, waiting, "audit records are missing");
        }
    }
}

fn to_file(path: PathBuf, counts: &Arc<Counts>) -> anyhow::Result<Lines> {
    let file = lines::Appended::open(path.clone())
        .with_context(|| format!("AUDIT_LOG: {} cannot be appended to", path.display()))?;
    Lines::to(Box::new(file), Arc::clone(counts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_leave_room_for_what_was_done() {
        let counts = Counts::default();
        let entered = (0..WAITING).filter(|_| counts.enter(Event::Refusal));
        assert_eq!(entered.count(), WAITING_REFUSALS);
        let entered = (0..WAITING).filter(|_| counts.enter(Event::ToolCall));
        assert_eq!(entered.count(), WAITING - WAITING_REFUSALS);
        assert_eq!(counts.waiting.load(Ordering::Relaxed), WAITING);
        assert_eq!(counts.lost.load(Ordering::Relaxed), WAITING as u64);
        counts.leave(WAITING, true);
        assert!(counts.enter(Event::Refusal));
    }

    #[test]
    fn a_record_says_only_what_is_known() {
        let mut record = Record::now(Event::Refusal, "expired");
        record.time = Timestamp::UNIX_EPOCH;
        assert_eq!(
            serde_json::to_string(&record).unwrap(),
            r#"{"time":"1970-01-01T00:00:00Z","event":"refusal","outcome":"expired"}"#
        );
    }
}
