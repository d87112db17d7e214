//! Audit records as OpenTelemetry log records, over OTLP.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _, Severity};
use opentelemetry_otlp::{LogExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{
    BatchConfigBuilder, BatchLogProcessor, LogBatch, LogExporter as Exporter, SdkLogger,
    SdkLoggerProvider,
};
use url::Url;

use super::{Actor, Counts, Record, Settled, WAITING};
use crate::telemetry;

/// The event name of a record.
const EVENT: &str = "mcp.audit";

/// Hands records to the exporter's own queue and thread.
pub(super) struct Export {
    provider: SdkLoggerProvider,
    logger: SdkLogger,
    /// Who waits for what was taken to be sent.
    waiting: Sender<Settled>,
}

impl Export {
    pub(super) fn to(url: &Url, environment: &str, counts: Arc<Counts>) -> anyhow::Result<Self> {
        let exporter = LogExporter::builder()
            .with_http()
            .with_endpoint(url.as_str())
            .build()
            .context("the exporter of the audit log cannot be built")?;
        // `Counts` keeps the bound: the queue behind it never overflows unseen.
        let queue = BatchConfigBuilder::default().with_max_queue_size(WAITING);
        let processor = BatchLogProcessor::builder(Counting { exporter, counts })
            .with_batch_config(queue.build())
            .build();
        let provider = SdkLoggerProvider::builder()
            .with_log_processor(processor)
            .with_resource(telemetry::resource(environment))
            .build();
        let logger = provider.logger(EVENT);
        let (waiting, waiters) = mpsc::channel();
        let flushed = provider.clone();
        let thread = std::thread::Builder::new().name("audit-flusher".to_owned());
        thread.spawn(move || flush(&flushed, &waiters))?;
        Ok(Self {
            provider,
            logger,
            waiting,
        })
    }

    pub(super) fn record(&self, record: Record, settled: Option<Settled>) {
        let mut log = self.logger.create_log_record();
        log.set_event_name(EVENT);
        log.set_severity_number(Severity::Info);
        log.set_severity_text("INFO");
        log.set_timestamp(SystemTime::from(record.time));
        let texts = [
            ("audit.event", Some(record.event.as_str().to_owned())),
            ("audit.outcome", Some(record.outcome.to_owned())),
            ("audit.call_id", record.call_id),
            ("enduser.id", record.subject),
            ("audit.client", record.client),
            ("audit.organization", record.organization),
            ("audit.operator", record.operator),
            ("audit.action", record.action.map(str::to_owned)),
            ("audit.cause", record.cause),
            ("gen_ai.tool.name", record.tool),
            ("audit.arguments", record.arguments),
            ("http.request.id", record.request_id),
            ("http.request.client_id", record.client_request_id),
            (
                "client.address",
                record.client_address.map(|ip| ip.to_string()),
            ),
        ];
        let actor = |actor: Option<Actor>| actor.unwrap_or_default();
        let (actor, client_actor) = (actor(record.actor), actor(record.client_actor));
        let actors = [
            ("audit.actor.subject", actor.subject),
            ("audit.actor.issuer", actor.issuer),
            ("audit.actor.client", actor.client),
            ("audit.client_actor.subject", client_actor.subject),
            ("audit.client_actor.issuer", client_actor.issuer),
            ("audit.client_actor.client", client_actor.client),
        ];
        for (name, text) in texts.into_iter().chain(actors) {
            if let Some(text) = text {
                log.add_attribute(name, AnyValue::from(text));
            }
        }
        for (name, text) in record.target {
            log.add_attribute(format!("audit.target.{name}"), AnyValue::from(text));
        }
        // The trace is that of the current context, which the logger asks for itself.
        self.logger.emit(log);
        if let Some(settled) = settled {
            // Without the thread nobody waits: the other end is dropped with the error.
            let _ = self.waiting.send(settled);
        }
    }

    pub(super) fn finish(&self, timeout: Duration) {
        // What was not sent is still counted as waiting.
        let _ = self.provider.shutdown_with_timeout(timeout);
    }
}

/// Has everything sent for those who wait, and does not let a second wait for its timer.
fn flush(provider: &SdkLoggerProvider, waiters: &Receiver<Settled>) {
    while let Ok(first) = waiters.recv() {
        let all: Vec<_> = std::iter::once(first).chain(waiters.try_iter()).collect();
        // What could not be sent is counted by the exporter.
        let _ = provider.force_flush();
        drop(all);
    }
}

/// Counts what the exporter sent and what it could not send.
#[derive(Debug)]
struct Counting {
    exporter: LogExporter,
    counts: Arc<Counts>,
}

impl Exporter for Counting {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        let records = batch.iter().count();
        let sent = self.exporter.export(batch).await;
        self.counts.leave(records, sent.is_ok());
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
