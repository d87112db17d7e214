//! Log lines: which are written, in what form, and how that is changed while the server runs.

use std::fmt;
use std::io::IsTerminal as _;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use opentelemetry::Context;
use opentelemetry::trace::{TraceContextExt as _, TraceId};
use tracing::{Event, Metadata, Subscriber};
use tracing_appender::non_blocking::NonBlocking;
use tracing_subscriber::Registry;
use tracing_subscriber::filter::{EnvFilter, FilterExt as _, filter_fn};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::{Filter, Layer};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::reload;

use super::OURS;
use super::json::JsonLine;
use crate::config::{LogFormat, LogSettings, log_level};

/// The target of the access log, one line for each request, written at every level.
pub(super) const ACCESS: &str = "access";

/// Changes, while the server runs, which lines are written. A cheap handle.
#[derive(Clone)]
pub(crate) struct LogControl {
    handle: reload::Handle<EnvFilter, Registry>,
    current: Arc<Mutex<String>>,
}

impl LogControl {
    /// What is in force: a level, or directives.
    pub(crate) fn current(&self) -> String {
        self.lock().clone()
    }

    /// Puts a level (as in `LOG_LEVEL`) or directives (as in `RUST_LOG`) in force, for the lines
    /// that follow. The access log stays as it is.
    ///
    /// # Errors
    /// [`InvalidFilter`] when it is neither; then nothing changes.
    pub(crate) fn set(&self, text: &str) -> Result<(), InvalidFilter> {
        let text = text.trim();
        let level = log_level(text).ok();
        let directives = level.map_or_else(|| text.to_owned(), level_directives);
        let filter = parse(&directives).map_err(|_| InvalidFilter)?;
        let mut current = self.lock();
        // Fails only when the subscriber is gone, which lives as long as the process.
        self.handle.reload(filter).map_err(|_| InvalidFilter)?;
        *current = level.unwrap_or(text).to_owned();
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, String> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A text that is neither a log level nor filter directives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InvalidFilter;

impl fmt::Display for InvalidFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "no log level and no log filter: use error, warn, info, debug, trace, off, or \
             directives such as info,mcp_session=debug",
        )
    }
}

impl std::error::Error for InvalidFilter {}

/// What lets the wanted lines through, and the handle that changes it.
pub(super) fn filter(
    log: &LogSettings,
) -> anyhow::Result<(impl Filter<Registry> + use<>, LogControl)> {
    let directives = log
        .filter
        .clone()
        .unwrap_or_else(|| level_directives(log.level));
    let (filter, handle) = reload::Layer::new(parse(&directives)?);
    let current = log.filter.clone().unwrap_or_else(|| log.level.to_owned());
    let control = LogControl {
        handle,
        current: Arc::new(Mutex::new(current)),
    };
    Ok((filter.and(filter_fn(is_discreet)), control))
}

fn parse(directives: &str) -> anyhow::Result<EnvFilter> {
    let filter = EnvFilter::builder()
        .parse(directives)
        .context("log filter")?;
    Ok(filter.add_directive(format!("{ACCESS}=info").parse().context("access log")?))
}

/// Whether a line may be written, whatever the filter says. Below `info`, libraries print whole
/// messages and headers: arguments of tools, tokens. `RUST_LOG=trace` must not lift that. The MCP
/// SDK quotes its peer in warnings too.
///
/// Spans are for the collector alone. The log has no use for them, and what nobody uses is not
/// even made: without a collector a request costs no span.
fn is_discreet(metadata: &Metadata<'_>) -> bool {
    let krate = metadata.target().split("::").next().unwrap_or_default();
    let most = match krate {
        "rmcp" => tracing::Level::ERROR,
        krate if OURS.contains(&krate) => tracing::Level::TRACE,
        _ => tracing::Level::INFO,
    };
    metadata.is_event() && *metadata.level() <= most
}

/// Our crates at `level`. Libraries are heard from `warn` on: what they say below that is about
/// themselves, and may quote what passes through them. The MCP SDK quotes its peer in warnings too.
fn level_directives(level: &str) -> String {
    let (others, sdk) = match level {
        "off" => ("off", "off"),
        "error" => ("error", "error"),
        _ => ("warn", "error"),
    };
    let ours: Vec<_> = OURS
        .iter()
        .map(|target| format!("{target}={level}"))
        .collect();
    format!("{others},rmcp={sdk},panic={others},{}", ours.join(","))
}

/// Log lines as JSON or for people.
pub(super) fn lines<S>(log: &LogSettings, writer: NonBlocking) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
{
    let terminal = std::io::stderr().is_terminal();
    let default = if terminal {
        LogFormat::Pretty
    } else {
        LogFormat::Json
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    match log.format.unwrap_or(default) {
        LogFormat::Json => lines.event_format(WithTrace(JsonLine)).boxed(),
        LogFormat::Pretty => lines.with_ansi(terminal).boxed(),
    }
}

/// Adds the id of the trace to a line that was written in one.
struct WithTrace<F>(F);

impl<S, N, F> FormatEvent<S, N> for WithTrace<F>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let trace_id = Context::map_current(|trace| trace.span().span_context().trace_id());
        if trace_id == TraceId::INVALID {
            return self.0.format_event(context, writer, event);
        }
        let mut line = String::new();
        self.0
            .format_event(context, Writer::new(&mut line), event)?;
        match line.trim_end().strip_suffix('}') {
            Some(object) => writeln!(writer, "{object},\"trace_id\":\"{trace_id}\"}}"),
            None => writer.write_str(&line),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::fmt::MakeWriter;
    use tracing_subscriber::layer::SubscriberExt as _;

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
            tracing_subscriber::registry().with(lines.with_filter(filter(&log).unwrap().0));
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

    #[test]
    fn what_is_written_can_be_changed_while_the_server_runs() {
        let log = LogSettings {
            level: "info",
            filter: None,
            format: None,
        };
        let (filter, control) = filter(&log).unwrap();
        let captured = Captured::default();
        let lines = tracing_subscriber::fmt::layer().with_writer(captured.clone());
        let subscriber = tracing_subscriber::registry().with(lines.with_filter(filter));
        tracing::subscriber::with_default(subscriber, || {
            let emit = |text: &str| tracing::debug!(target: "mcp_core::tools", "{text}");
            assert_eq!(control.current(), "info");
            emit("one");
            control.set(" DEBUG ").unwrap();
            assert_eq!(control.current(), "debug");
            emit("two");
            control.set("mcp_session=debug").unwrap();
            assert_eq!(control.current(), "mcp_session=debug");
            emit("three");
            tracing::info!(target: "access", "four");
            assert_eq!(control.set("a=b=c"), Err(InvalidFilter));
            assert_eq!(control.current(), "mcp_session=debug");
        });
        let bytes = captured.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
        for (word, written) in [
            ("one", false),
            ("two", true),
            ("three", false),
            ("four", true),
        ] {
            assert_eq!(text.contains(word), written, "{word} in {text}");
        }
    }

    #[test]
    fn the_log_alone_makes_no_span() {
        let log = LogSettings {
            level: "trace",
            filter: None,
            format: None,
        };
        let lines = tracing_subscriber::fmt::layer().with_writer(Captured::default());
        let subscriber =
            tracing_subscriber::registry().with(lines.with_filter(filter(&log).unwrap().0));
        tracing::subscriber::with_default(subscriber, || {
            assert!(tracing::info_span!(target: "mcp_core::tools", "tool").is_disabled());
        });
    }
}
