//! Settings: logs, traces, metrics and the audit log.

use super::{Group, Kind, Setting, UsedBy};

pub(crate) static LOG_LEVEL: Setting =
    Setting::new(Group::Logs, UsedBy::Both, "log_level", &["LOG_LEVEL"])
        .flag("log-level", "LEVEL")
        .default("info")
        .says(
            "error, warn, info, debug, trace",
            "Of this server's own messages; libraries are heard from `warn` on. Also `off`. The \
             access log is written at every level.",
        );

pub(crate) static LOG_FILTER: Setting =
    Setting::new(Group::Logs, UsedBy::Both, "log_filter", &["RUST_LOG"]).says(
        "Log filter directives",
        "In the syntax of `tracing_subscriber`'s `EnvFilter`, such as `info,mcp_session=debug`. \
         Replaces `LOG_LEVEL`; the flag `--log-level` replaces both.",
    );

pub(crate) static LOG_FORMAT: Setting =
    Setting::new(Group::Logs, UsedBy::Both, "log_format", &["LOG_FORMAT"])
        .flag("log-format", "FORMAT")
        .says(
            "json or pretty",
            "Default: `pretty` when standard error is a terminal, else `json`. Logs go to \
             standard error, always.",
        );

pub(crate) static OTLP_ENDPOINT: Setting = Setting::new(
    Group::Logs,
    UsedBy::Both,
    "otlp_endpoint",
    &["OTEL_EXPORTER_OTLP_ENDPOINT"],
)
.says(
    "OpenTelemetry collector",
    "Base URL for OTLP over HTTP, such as `http://127.0.0.1:4318`; traces go to `/v1/traces` below \
     it, metrics to `/v1/metrics`. Unset: neither.",
);

pub(crate) static OTLP_TRACES_ENDPOINT: Setting = Setting::new(
    Group::Logs,
    UsedBy::Both,
    "otlp_traces_endpoint",
    &["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"],
)
.says(
    "Collector for traces",
    "The full URL for traces, used as it is; wins over the base URL.",
);

pub(crate) static OTLP_METRICS_ENDPOINT: Setting = Setting::new(
    Group::Logs,
    UsedBy::Both,
    "otlp_metrics_endpoint",
    &["OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"],
)
.says(
    "Collector for metrics",
    "The full URL for metrics, used as it is; wins over the base URL.",
);

pub(crate) static ADMIN_BIND: Setting =
    Setting::new(Group::Logs, UsedBy::Http, "admin_bind", &["ADMIN_BIND"])
        .flag("admin-bind", "ADDRESS")
        .says(
            "Address for operators",
            "Address and port of a second listener, such as `127.0.0.1:9464`: `/metrics` for \
             Prometheus, log level, readiness in detail. It asks nobody who they are: never make it \
             public. Unset: there is none.",
        );

pub(crate) static ADMIN_ALLOWED_HOSTS: Setting = Setting::new(
    Group::Logs,
    UsedBy::Http,
    "admin_allowed_hosts",
    &["ADMIN_ALLOWED_HOSTS"],
)
.kind(Kind::List)
.says(
    "Host names for operators",
    "Under which the second listener is reached, beside loopback names and the address itself.",
);

pub(crate) static DOGSTATSD_HOST: Setting = Setting::new(
    Group::Logs,
    UsedBy::Both,
    "dogstatsd_host",
    &["DD_AGENT_HOST"],
)
.says(
    "Datadog agent",
    "Host that takes metrics over DogStatsD (UDP): a name, an IPv4 or an IPv6 address. Unset: \
         none are sent.",
);

pub(crate) static DOGSTATSD_PORT: Setting = Setting::new(
    Group::Logs,
    UsedBy::Both,
    "dogstatsd_port",
    &["DD_DOGSTATSD_PORT"],
)
.default("8125")
.says("Its port", "");

pub(crate) static DOGSTATSD_ENV: Setting =
    Setting::new(Group::Logs, UsedBy::Both, "dogstatsd_env", &["DD_ENV"]).says(
        "Tag `env`",
        "Default: the name of the environment, see `BRAINGRID_ENV`.",
    );

pub(crate) static DOGSTATSD_SERVICE: Setting = Setting::new(
    Group::Logs,
    UsedBy::Both,
    "dogstatsd_service",
    &["DD_SERVICE"],
)
.default("braingrid-mcp")
.says("Tag `service`", "");

pub(crate) static DOGSTATSD_VERSION: Setting = Setting::new(
    Group::Logs,
    UsedBy::Both,
    "dogstatsd_version",
    &["DD_VERSION"],
)
.says("Tag `version`", "Default: this program's own.");

pub(crate) static OTLP_LOGS_ENDPOINT: Setting = Setting::new(
    Group::Logs,
    UsedBy::Both,
    "otlp_logs_endpoint",
    &["OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"],
)
.says(
    "Collector for the audit log",
    "The full URL for log records, used as it is; wins over the base URL. Read where `AUDIT_LOG` \
     is `otlp`.",
);

pub(crate) static OTEL_DISABLED: Setting = Setting::new(
    Group::Logs,
    UsedBy::Both,
    "otel_sdk_disabled",
    &["OTEL_SDK_DISABLED"],
)
.kind(Kind::Switch)
.default("false")
.says(
    "No OpenTelemetry",
    "Nothing is exported, whatever the other variables say. What a client sends as `traceparent` \
     still travels on to BrainGrid.",
);

pub(crate) static TRACES_PER_SECOND: Setting = Setting::new(
    Group::Logs,
    UsedBy::Both,
    "traces_per_second",
    &["TRACES_PER_SECOND"],
)
.default("100")
.says(
    "Traced requests a second",
    "At most so many, whoever asks for it; those that the caller does not trace (`traceparent`) are \
     not. Ordinary load stays below, and a busy instance spends its time on requests. Not read where \
     `OTEL_TRACES_SAMPLER` is set.",
);

pub(crate) static OTEL_SAMPLER: Setting = Setting::new(
    Group::Logs,
    UsedBy::Both,
    "otel_traces_sampler",
    &["OTEL_TRACES_SAMPLER"],
)
.says(
    "Which requests are traced",
    "`always_on`, `always_off`, `traceidratio`, or one of them after `parentbased_`, as OpenTelemetry \
     has it. Unset: `TRACES_PER_SECOND`.",
);

pub(crate) static OTEL_SAMPLER_ARG: Setting = Setting::new(
    Group::Logs,
    UsedBy::Both,
    "otel_traces_sampler_arg",
    &["OTEL_TRACES_SAMPLER_ARG"],
)
.default("1.0")
.says("Share of the traces", "Of `traceidratio`, from 0 to 1.");

pub(crate) static OTEL_PROPAGATORS: Setting = Setting::new(
    Group::Logs,
    UsedBy::Both,
    "otel_propagators",
    &["OTEL_PROPAGATORS"],
)
.kind(Kind::List)
.default("tracecontext")
.says(
    "How traces are joined",
    "`tracecontext`, `baggage`, `none`. Baggage is off unless named: it would hand on to BrainGrid \
     whatever clients put into it.",
);

pub(crate) static AUDIT_LOG: Setting =
    Setting::new(Group::Logs, UsedBy::Both, "audit_log", &["AUDIT_LOG"])
        .default("off")
        .says(
            "Where the audit log goes",
            "`off`, the path of a file that is appended to, `stdout` (HTTP only), or `otlp`. It \
             names users and organizations, so it is off unless asked for.",
        );
