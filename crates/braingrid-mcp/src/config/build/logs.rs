//! What is logged and how, and where the audit log goes.

use std::path::PathBuf;

use url::Url;

use crate::config::layers::Origin;
use crate::config::parse::logs::{AuditChoice, LogFormat};
use crate::config::parse::words::Transport;
use crate::config::reader::Reader;
use crate::config::settings;

/// What to log, and how.
#[derive(Debug)]
pub(crate) struct LogSettings {
    /// The level of this server's own messages.
    pub(crate) level: &'static str,
    /// Filter directives that replace the level.
    pub(crate) filter: Option<String>,
    /// The form of a line; `None` lets the terminal decide.
    pub(crate) format: Option<LogFormat>,
}

pub(super) fn read_log(reader: &mut Reader) -> LogSettings {
    let level = reader.value(&settings::LOG_LEVEL);
    let filter = reader.optional(&settings::LOG_FILTER);
    let by_flag = matches!(reader.origin(&settings::LOG_LEVEL), Origin::Flag { .. });
    LogSettings {
        level,
        filter: filter.filter(|_| !by_flag),
        format: reader.optional(&settings::LOG_FORMAT),
    }
}

/// Where the audit log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AuditTarget {
    /// A file that is appended to.
    File(PathBuf),
    /// Standard output.
    Stdout,
    /// A collector, as log records over OTLP/HTTP.
    Otlp(Url),
}

pub(super) fn read_audit(
    reader: &mut Reader,
    transport: Transport,
    logs: Option<Url>,
) -> Option<AuditTarget> {
    let setting = &settings::AUDIT_LOG;
    match reader.optional(setting)? {
        AuditChoice::Off => None,
        AuditChoice::File(path) => Some(AuditTarget::File(path)),
        AuditChoice::Stdout if transport == Transport::Http => Some(AuditTarget::Stdout),
        AuditChoice::Stdout => {
            let what = "over stdio, standard output belongs to MCP";
            reader.report(setting, what, "name a file, or use otlp");
            None
        }
        AuditChoice::Otlp if logs.is_some() => logs.map(AuditTarget::Otlp),
        AuditChoice::Otlp => {
            reader.report(
                setting,
                "there is no collector that it could go to",
                "set OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_LOGS_ENDPOINT, and leave \
                 OTEL_SDK_DISABLED unset",
            );
            None
        }
    }
}
