//! What is logged, in which form, and where the audit log goes.

use std::path::PathBuf;

use tracing_subscriber::EnvFilter;

use super::{Parsed, quoted, refuse};
use crate::config::problem;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Json,
    Pretty,
}

pub(crate) fn log_format(value: &str) -> Parsed<LogFormat> {
    match value.to_ascii_lowercase().as_str() {
        "json" => Ok(LogFormat::Json),
        "pretty" => Ok(LogFormat::Pretty),
        _ => refuse(
            format!("{} is no log format", quoted(value)),
            "use json or pretty",
        ),
    }
}

pub(crate) fn log_level(value: &str) -> Parsed<&'static str> {
    match value.to_ascii_lowercase().as_str() {
        "off" => Ok("off"),
        "error" => Ok("error"),
        "warn" | "warning" => Ok("warn"),
        "info" => Ok("info"),
        "debug" => Ok("debug"),
        "trace" => Ok("trace"),
        _ => refuse(
            format!("{} is no log level", quoted(value)),
            "use error, warn, info, debug, trace or off; directives such as \
             info,mcp_session=debug go into RUST_LOG",
        ),
    }
}

pub(crate) fn log_filter(value: &str) -> Parsed<String> {
    // Fields and spans stand in brackets, and may hold anything.
    for directive in value
        .split(',')
        .filter(|it| !it.contains(['[', ']', '{', '}']))
    {
        let directive = directive.trim();
        let (target, _) = directive.split_once('=').unwrap_or((directive, ""));
        if directive.contains([';', '|']) || directive.contains(char::is_whitespace) {
            return refuse(
                format!("{} is no directive", quoted(directive)),
                "separate directives by commas, such as info,mcp_session=debug",
            );
        }
        // A word that is no level is a target, all of whose messages are wanted.
        let levels = ["off", "error", "warn", "info", "debug", "trace"];
        let is_bare = target == directive && !levels.contains(&&*target.to_ascii_lowercase());
        if is_bare
            && let Some(near) = problem::nearest(target, levels.into_iter().chain(["warning"]))
        {
            let near = if near == "warning" { "warn" } else { near };
            return refuse(
                format!("{} is no log level", quoted(target)),
                format!("did you mean {near}?"),
            );
        }
        if target.contains('-') && (target.starts_with("mcp-") || target.starts_with("braingrid-"))
        {
            return refuse(
                format!("{} is no target", quoted(target)),
                format!(
                    "write {}: the names of crates have _",
                    target.replace('-', "_")
                ),
            );
        }
    }
    let plain = if value.contains('[') {
        value.to_owned()
    } else {
        value
            .split(',')
            .map(str::trim)
            .collect::<Vec<_>>()
            .join(",")
    };
    match EnvFilter::builder().parse(&plain) {
        Ok(_) => Ok(plain),
        Err(_) => refuse(
            format!("{} is no log filter", quoted(value)),
            "write directives separated by commas, such as info,mcp_session=debug",
        ),
    }
}

/// What `AUDIT_LOG` says, before it is known whether that is possible.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum AuditChoice {
    Off,
    File(PathBuf),
    Stdout,
    Otlp,
}

/// Only a path is taken for a file: `AUDIT_LOG=on` must not make a file of that name.
pub(crate) fn audit_target(value: &str) -> Parsed<AuditChoice> {
    match value {
        "off" => Ok(AuditChoice::Off),
        "stdout" => Ok(AuditChoice::Stdout),
        "otlp" => Ok(AuditChoice::Otlp),
        path if path.contains(['/', std::path::MAIN_SEPARATOR]) => {
            Ok(AuditChoice::File(PathBuf::from(path)))
        }
        _ => refuse(
            format!("{} is no place for the audit log", quoted(value)),
            "use off, stdout, otlp, or a path such as /var/log/braingrid-mcp/audit.jsonl or ./audit.jsonl",
        ),
    }
}
