//! Settings: logs, traces, metrics and the audit log.

use url::Url;

use super::{Group, Kind, Setting, Spec, UsedBy, WithDefault};
use crate::config::parse::{
    addresses,
    endpoints::{self, CollectorUrls},
    logs::{self, AuditChoice, LogFormat},
    numbers, words,
};

settings! {
    LOG_LEVEL: WithDefault<&'static str> =
        Setting::new(Group::Logs, UsedBy::Both, "log_level", &["LOG_LEVEL"], logs::log_level)
        .flag("log-level", "LEVEL")
        .default("info")
        .says(
            "error, warn, info, debug, trace",
            "Of this server's own messages; libraries are heard from `warn` on. Also `off`. The \
             access log is written at every level.",
        );

    LOG_FILTER: Setting<String> =
        Setting::new(Group::Logs, UsedBy::Both, "log_filter", &["RUST_LOG"], logs::log_filter)
        .says(
                "Log filter directives",
                "In the syntax of `tracing_subscriber`'s `EnvFilter`, such as `info,mcp_session=debug`. \
                 Replaces `LOG_LEVEL`; the flag `--log-level` replaces both.",
            );

    LOG_FORMAT: Setting<LogFormat> =
        Setting::new(Group::Logs, UsedBy::Both, "log_format", &["LOG_FORMAT"], logs::log_format)
        .flag("log-format", "FORMAT")
        .says(
            "json or pretty",
            "Default: `pretty` when standard error is a terminal, else `json`. Logs go to \
             standard error, always.",
        );

    OTLP_ENDPOINT: Setting<CollectorUrls> = Setting::new(
        Group::Logs, UsedBy::Both, "otlp_endpoint", &["OTEL_EXPORTER_OTLP_ENDPOINT"],
        endpoints::collector_urls,
    )
        .says(
            "OpenTelemetry collector",
            "Base URL for OTLP over HTTP, such as `http://127.0.0.1:4318`; traces go to `/v1/traces` below \
             it, metrics to `/v1/metrics`. Unset: neither.",
        );

    OTLP_TRACES_ENDPOINT: Setting<Url> = Setting::new(
        Group::Logs, UsedBy::Both, "otlp_traces_endpoint", &["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"],
        endpoints::web_url,
    )
        .says(
            "Collector for traces",
            "The full URL for traces, used as it is; wins over the base URL.",
        );

    OTLP_METRICS_ENDPOINT: Setting<Url> = Setting::new(
        Group::Logs, UsedBy::Both, "otlp_metrics_endpoint", &["OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"],
        endpoints::web_url,
    )
        .says(
            "Collector for metrics",
            "The full URL for metrics, used as it is; wins over the base URL.",
        );

    DOGSTATSD_HOST: Setting<String> = Setting::new(
        Group::Logs, UsedBy::Both, "dogstatsd_host", &["DD_AGENT_HOST"],
        addresses::agent_host,
    )
        .says(
            "Datadog agent",
            "Host that takes metrics over DogStatsD (UDP): a name, an IPv4 or an IPv6 address. Unset: \
                 none are sent.",
        );

    DOGSTATSD_PORT: WithDefault<u16> = Setting::new(
        Group::Logs, UsedBy::Both, "dogstatsd_port", &["DD_DOGSTATSD_PORT"],
        numbers::port,
    )
        .default("8125")
        .says("Its port", "");

    DOGSTATSD_ENV: Setting<String> =
        Setting::new(Group::Logs, UsedBy::Both, "dogstatsd_env", &["DD_ENV"], words::word)
        .says(
                "Tag `env`",
                "Default: the name of the environment, see `BRAINGRID_ENV`.",
            );

    DOGSTATSD_SERVICE: WithDefault<String> =
        Setting::new(Group::Logs, UsedBy::Both, "dogstatsd_service", &["DD_SERVICE"], words::word)
        .default("braingrid-mcp")
        .says("Tag `service`", "");

    DOGSTATSD_VERSION: Setting<String> =
        Setting::new(Group::Logs, UsedBy::Both, "dogstatsd_version", &["DD_VERSION"], words::word)
        .says("Tag `version`", "Default: this program's own.");

    OTLP_LOGS_ENDPOINT: Setting<Url> = Setting::new(
        Group::Logs, UsedBy::Both, "otlp_logs_endpoint", &["OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"],
        endpoints::web_url,
    )
        .says(
            "Collector for the audit log",
            "The full URL for log records, used as it is; wins over the base URL. Read where `AUDIT_LOG` \
             is `otlp`.",
        );

    OTEL_DISABLED: WithDefault<bool> = Setting::new(
        Group::Logs, UsedBy::Both, "otel_sdk_disabled", &["OTEL_SDK_DISABLED"],
        words::switch,
    )
        .kind(Kind::Switch)
        .default("false")
        .says(
            "No OpenTelemetry",
            "Nothing is exported, whatever the other variables say. What a client sends as `traceparent` \
             still travels on to BrainGrid.",
        );

    TRACES_PER_SECOND: WithDefault<u32> = Setting::new(
        Group::Logs, UsedBy::Both, "traces_per_second", &["TRACES_PER_SECOND"],
        numbers::number,
    )
        .default("100")
        .says(
            "Traced requests a second",
            "At most so many, whoever asks for it; those that the caller does not trace (`traceparent`) are \
             not. Ordinary load stays below, and a busy instance spends its time on requests. Not read where \
             `OTEL_TRACES_SAMPLER` is set.",
        );

    OTEL_SAMPLER: Setting<String> = Setting::new(
        Group::Logs, UsedBy::Both, "otel_traces_sampler", &["OTEL_TRACES_SAMPLER"],
        words::word,
    )
        .says(
            "Which requests are traced",
            "`always_on`, `always_off`, `traceidratio`, or one of them after `parentbased_`, as OpenTelemetry \
             has it. Unset: `TRACES_PER_SECOND`.",
        );

    OTEL_SAMPLER_ARG: WithDefault<f64> = Setting::new(
        Group::Logs, UsedBy::Both, "otel_traces_sampler_arg", &["OTEL_TRACES_SAMPLER_ARG"],
        numbers::ratio,
    )
        .default("1.0")
        .says("Share of the traces", "Of `traceidratio`, from 0 to 1.");

    OTEL_PROPAGATORS: WithDefault<String> = Setting::new(
        Group::Logs, UsedBy::Both, "otel_propagators", &["OTEL_PROPAGATORS"],
        words::word,
    )
        .kind(Kind::List)
        .default("tracecontext")
        .says(
            "How traces are joined",
            "`tracecontext`, `baggage`, `none`. Baggage is off unless named: it would hand on to BrainGrid \
             whatever clients put into it.",
        );

    AUDIT_LOG: WithDefault<AuditChoice> =
        Setting::new(Group::Logs, UsedBy::Both, "audit_log", &["AUDIT_LOG"], logs::audit_target)
        .kind(Kind::WordOrPath)
        .default("off")
        .says(
            "Where the audit log goes",
            "`off`, the path of a file that is appended to, `stdout` (HTTP only), or `otlp`. It \
             names users and organizations, so it is off unless asked for.",
        );
}
