//! The table of settings: one entry per setting, and everything that is said
//! about settings (flags, variables, file keys, defaults, documentation) comes from it.

use std::fmt;

/// One setting, as a file key, an environment variable and perhaps a flag.
#[derive(Debug)]
pub(crate) struct Setting {
    /// The key in the configuration file.
    pub(crate) key: &'static str,
    /// Environment variables, the first set one wins.
    pub(crate) env: &'static [&'static str],
    /// The long flag without its dashes, where there is one.
    pub(crate) flag: Option<&'static str>,
    /// What stands for the value in `--help`.
    pub(crate) placeholder: &'static str,
    /// The form of its value.
    pub(crate) kind: Kind,
    /// The value when nothing is set.
    pub(crate) default: Option<&'static str>,
    /// Never shown, and also read from the file that `NAME_FILE` names.
    pub(crate) secret: bool,
    /// Which transport reads it.
    pub(crate) used_by: UsedBy,
    /// The heading it stands under.
    pub(crate) group: Group,
    /// A few words, for `--help` and the first column of the documentation.
    pub(crate) summary: &'static str,
    /// The rest, for the documentation.
    pub(crate) detail: &'static str,
}

/// The form of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One text, number or duration.
    Text,
    /// A list: an array in the file, separated by commas elsewhere.
    List,
    /// On or off.
    Switch,
    /// An array of tables, in the file only.
    Tables,
    /// The path of the configuration file itself, which a file cannot hold.
    FilePath,
}

/// Which transport reads a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UsedBy {
    Both,
    Stdio,
    Http,
}

impl fmt::Display for UsedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Both => "both",
            Self::Stdio => "stdio",
            Self::Http => "http",
        })
    }
}

/// A heading of the documentation and of `--help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    General,
    Http,
    Identity,
    Sessions,
    BrainGrid,
    Login,
    Tools,
    Logs,
}

impl Group {
    /// The headings in the order in which they are printed.
    pub(crate) const ALL: [Self; 8] = [
        Self::General,
        Self::Http,
        Self::Identity,
        Self::Sessions,
        Self::BrainGrid,
        Self::Login,
        Self::Tools,
        Self::Logs,
    ];

    /// The heading.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::General => "Server",
            Self::Http => "HTTP",
            Self::Identity => "Who may call",
            Self::Sessions => "Sessions",
            Self::BrainGrid => "BrainGrid API",
            Self::Login => "Local login",
            Self::Tools => "Tools",
            Self::Logs => "Logs and traces",
        }
    }
}

impl Setting {
    const fn new(
        group: Group,
        used_by: UsedBy,
        key: &'static str,
        env: &'static [&'static str],
    ) -> Self {
        Self {
            key,
            env,
            flag: None,
            placeholder: "",
            kind: Kind::Text,
            default: None,
            secret: false,
            used_by,
            group,
            summary: "",
            detail: "",
        }
    }

    const fn flag(mut self, flag: &'static str, placeholder: &'static str) -> Self {
        self.flag = Some(flag);
        self.placeholder = placeholder;
        self
    }

    const fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    const fn default(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }

    const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    const fn says(mut self, summary: &'static str, detail: &'static str) -> Self {
        self.summary = summary;
        self.detail = detail;
        self
    }

    /// The name by which an operator knows it best: its first variable, else its key.
    pub(crate) fn name(&self) -> &'static str {
        self.env.first().copied().unwrap_or(self.key)
    }

    /// Whether the transport that was chosen reads it.
    pub(crate) fn read_by(&self, http: bool) -> bool {
        match self.used_by {
            UsedBy::Both => true,
            UsedBy::Stdio => !http,
            UsedBy::Http => http,
        }
    }
}

pub(crate) static CONFIG_FILE: Setting = Setting::new(
    Group::General,
    UsedBy::Both,
    "config",
    &["BRAINGRID_CONFIG"],
)
.flag("config", "FILE")
.kind(Kind::FilePath)
.says(
    "Configuration file",
    "Without it, `braingrid-mcp.toml` in your own configuration folder is read when it is there; \
             never one in the working directory. A file named here has to be there.",
);

pub(crate) static TRANSPORT: Setting = Setting::new(
    Group::General,
    UsedBy::Both,
    "transport",
    &["MCP_TRANSPORT"],
)
.flag("transport", "NAME")
.default("stdio")
.says(
    "stdio or http",
    "`stdio` serves one local client. `http` (also `httpStream`, `streamable-http`) serves \
             many users over Streamable HTTP.",
);

pub(crate) static ENVIRONMENT: Setting = Setting::new(
    Group::General,
    UsedBy::Both,
    "environment",
    &["BRAINGRID_ENV"],
)
.default("production")
.says(
    "Name of the environment",
    "Goes to traces as `deployment.environment.name`. Changes no behaviour.",
);

pub(crate) static PORT: Setting = Setting::new(Group::Http, UsedBy::Http, "port", &["PORT"])
    .flag("port", "PORT")
    .default("8080")
    .says("Port to listen on", "0 lets the system choose a free one.");

pub(crate) static BIND: Setting = Setting::new(Group::Http, UsedBy::Http, "bind", &["BIND"])
    .flag("bind", "ADDR")
    .default("127.0.0.1")
    .says(
        "Address to listen on",
        "An IP address. `0.0.0.0` or `::` listens on every interface, as containers need it.",
    );

pub(crate) static PUBLIC_URL: Setting =
    Setting::new(Group::Http, UsedBy::Http, "public_url", &["MCP_HOST"])
        .flag("public-url", "URL")
        .says(
            "Base URL that clients use",
            "Scheme, host and port, and the path if a proxy hands on one path of a host. `https`, or \
             `http` on a loopback address. Tokens must be issued for the resource, which is this URL \
             plus `/mcp`, or this URL if it ends so. \
             Default: `http://127.0.0.1:PORT`.",
        );

pub(crate) static ALLOWED_ORIGINS: Setting = Setting::new(
    Group::Http,
    UsedBy::Http,
    "allowed_origins",
    &["ALLOWED_ORIGINS"],
)
.kind(Kind::List)
.says(
    "Web origins that may call",
    "For clients that name where they come from, as pages do, such as \
     `https://inspector.example.com`. `known-clients` stands for hosted ones: `https://claude.ai`, \
     `https://claude.com`, `https://chatgpt.com`, `https://chat.openai.com`, `https://vscode.dev`, \
     `https://github.dev`. The origin of the public URL is always allowed.",
);

pub(crate) static ALLOWED_HOSTS: Setting = Setting::new(
    Group::Http,
    UsedBy::Http,
    "allowed_hosts",
    &["ALLOWED_HOSTS"],
)
.kind(Kind::List)
.says(
    "Other names of this server",
    "`Host` names to accept beside that of the public URL, such as the platform's own name of the \
     service. Without a port, every port is meant.",
);

pub(crate) static TRUSTED_PROXIES: Setting = Setting::new(
    Group::Http,
    UsedBy::Http,
    "trusted_proxies",
    &["TRUSTED_PROXIES"],
)
.kind(Kind::List)
.says(
    "Proxies in front",
    "Whose `X-Forwarded-For` (or `Forwarded`) is believed, so that logs and limits know clients apart: \
     addresses and networks such as `10.0.0.0/8`, or `private` (every address that is not on the \
     internet), `loopback`, `peer` (whoever connects, where only the platform's proxy can), `none`. \
     `forwarded` besides where they write `Forwarded` only. Unset behind a proxy: limits per address \
     are off.",
);

pub(crate) static DRAIN_TIMEOUT: Setting = Setting::new(
    Group::Http,
    UsedBy::Http,
    "drain_timeout",
    &["DRAIN_TIMEOUT"],
)
.default("8s")
.says(
    "Time for a stop as a whole",
    "From the signal to the end of the process. The last quarter of it, at most two seconds, is for \
     answering calls that are not finished, and for what is still to be saved or sent. Keep it shorter \
     than the time after which the platform kills. `0` stops at once.",
);

pub(crate) static MAX_CONNECTIONS: Setting = Setting::new(
    Group::Http,
    UsedBy::Http,
    "max_connections",
    &["MAX_CONNECTIONS"],
)
.says(
    "Open connections at a time",
    "When all are taken, connections on which nobody ever authenticated make room, the oldest first, \
     and then those of whoever has most; probes are answered beyond it. Default: 10000, or what the \
     limit of open files and half of `MEMORY_BUDGET` have room for, if that is less.",
);

pub(crate) static MAX_CONNECTIONS_PER_ADDRESS: Setting = Setting::new(
    Group::Http,
    UsedBy::Http,
    "max_connections_per_address",
    &["MAX_CONNECTIONS_PER_ADDRESS"],
)
.says(
    "Of these, for one address",
    "Counted are connections on which nobody has authenticated yet, by the address they come from \
     (IPv6: its /64 network). Not counted are those of `TRUSTED_PROXIES`, and any while a proxy \
     in front is not configured. Default: a quarter of `MAX_CONNECTIONS`.",
);

pub(crate) static MEMORY_BUDGET: Setting = Setting::new(
    Group::Http,
    UsedBy::Http,
    "memory_budget",
    &["MEMORY_BUDGET"],
)
.says(
    "Memory for requests",
    "What connections, request bodies, answers of the API and answers that are not read yet may take \
     together, such as `256MiB`; a request beyond it is answered 503. Default: half of the memory \
     that the container (its control group) or the machine allows.",
);

pub(crate) static OAUTH_ISSUER: Setting = Setting::new(
    Group::Identity,
    UsedBy::Both,
    "oauth_issuer",
    &["OAUTH_ISSUER", "WORKOS_ISSUER"],
)
.flag("oauth-issuer", "URL")
.default("https://auth.braingrid.ai")
.says(
    "Authorization server",
    "Its issuer identifier, exactly as its metadata spells it. Set in the environment or by flag it \
     replaces every `[[issuers]]` of the file. `braingrid-mcp login` logs in there.",
);

pub(crate) static OAUTH_JWKS_URI: Setting = Setting::new(
    Group::Identity,
    UsedBy::Http,
    "oauth_jwks_uri",
    &["OAUTH_JWKS_URI"],
)
.says(
    "Key set of that server",
    "Only for an authorization server without discovery metadata.",
);

pub(crate) static WORKOS_CLIENT_ID: Setting = Setting::new(
    Group::Identity,
    UsedBy::Http,
    "workos_client_id",
    &["WORKOS_CLIENT_ID"],
)
.says(
    "Client id accepted as audience",
    "For WorkOS tokens that carry no resource. Tokens of that client for any other service are \
     then accepted too: prefer tokens issued for the resource.",
);

pub(crate) static ISSUERS: Setting = Setting::new(Group::Identity, UsedBy::Http, "issuers", &[])
    .kind(Kind::Tables)
    .says(
        "Several authorization servers",
        "An array of tables, in the file only; see below.",
    );

pub(crate) static OAUTH_LEEWAY: Setting = Setting::new(
    Group::Identity,
    UsedBy::Http,
    "oauth_leeway",
    &["OAUTH_LEEWAY"],
)
.default("90s")
.says(
    "Clock difference allowed",
    "Between this server and the authorization server; at most 10 minutes.",
);

pub(crate) static TOKEN_MAX_LIFETIME: Setting = Setting::new(
    Group::Identity,
    UsedBy::Http,
    "token_max_lifetime",
    &["TOKEN_MAX_LIFETIME"],
)
.default("31d")
.says(
    "Longest life of an access token",
    "Whatever its `exp` says: since its `iat`, or since it is first verified where it has none. \
     From 5 minutes to 366 days. Sessions, stored ones too, end with it.",
);

pub(crate) static UPSTREAM_AUDIENCE: Setting = Setting::new(
    Group::Identity,
    UsedBy::Both,
    "upstream_audience",
    &["UPSTREAM_AUDIENCE"],
)
.flag("upstream-audience", "NAME")
.says(
    "Audience of the API",
    "The one under which the BrainGrid API accepts tokens. Required for http. Tokens must carry it in `aud` beside the resource; a token that does is \
     also good for the BrainGrid API and is sent to it (same-audience mode). When the API is the \
     same resource by agreement, this is the resource itself. Over stdio it is optional: \
     `braingrid-mcp login` then asks for tokens for this resource (RFC 8707).",
);

pub(crate) static OAUTH_SCOPES: Setting = Setting::new(
    Group::Identity,
    UsedBy::Http,
    "oauth_scopes",
    &["OAUTH_SCOPES"],
)
.kind(Kind::List)
.says(
    "Scopes that clients are to ask for",
    "Named in the challenge and in the metadata (`scopes_supported`), and required of no token. \
     Without any, some clients ask for no scope, and get no refresh token. Scopes that \
     `TOOL_SCOPES` needs for reading are named with them. Default: `openid profile email` where \
     every issuer has a preset or is BrainGrid's own, else none. Leave `offline_access` out: \
     clients add it themselves where the issuer offers it.",
);

pub(crate) static TOOL_SCOPES: Setting = Setting::new(
    Group::Identity,
    UsedBy::Http,
    "tool_scopes",
    &["TOOL_SCOPES"],
)
.kind(Kind::List)
.says(
    "Scopes that tools need",
    "Entries `NAME=SCOPE SCOPE`, where `NAME` is `read` (all tools that change nothing), `write` \
     (all that do) or one tool. Unset: no scope is needed. With it, the tool list shows only what \
     the grant covers.",
);

pub(crate) static SCOPE_HIERARCHY: Setting = Setting::new(
    Group::Identity,
    UsedBy::Http,
    "scope_hierarchy",
    &["SCOPE_HIERARCHY"],
)
.kind(Kind::List)
.says(
    "Scopes that include others",
    "Entries `SCOPE=SCOPE SCOPE`: who was granted the first was granted the others too.",
);

pub(crate) static REDIS_URL: Setting =
    Setting::new(Group::Sessions, UsedBy::Http, "redis_url", &["REDIS_URL"])
        .secret()
        .says(
            "Shared store of sessions",
            "`redis://`, `rediss://` (TLS), `redis+sentinel://` or `redis+cluster://`. Without it sessions stay in this process, which serves one \
             instance.",
        );

pub(crate) static REDIS_CA: Setting = Setting::new(
    Group::Sessions,
    UsedBy::Http,
    "redis_ca_file",
    &["REDIS_CA_FILE"],
)
.says(
    "Private CA of Redis",
    "A PEM file with the certificates to trust for `rediss://`, in place of the system's.",
);

pub(crate) static ENCRYPTION_KEY: Setting = Setting::new(
    Group::Sessions,
    UsedBy::Http,
    "encryption_key",
    &["ENCRYPTION_KEY"],
)
.secret()
.says(
    "Key that seals sessions",
    "64 hexadecimal characters, the same on every instance; make one with `openssl rand -hex 32`. \
     Required with Redis.",
);

pub(crate) static ENCRYPTION_KEYS_PREVIOUS: Setting = Setting::new(
    Group::Sessions,
    UsedBy::Http,
    "encryption_keys_previous",
    &["ENCRYPTION_KEYS_PREVIOUS"],
)
.kind(Kind::List)
.secret()
.says(
    "Keys that only open sessions",
    "Before a key rotation the next key, after it the old one, separated by commas or lines; \
     docs/operations.md says how.",
);

pub(crate) static SESSION_CACHE_TTL: Setting = Setting::new(
    Group::Sessions,
    UsedBy::Http,
    "session_cache_ttl",
    &["SESSION_CACHE_TTL"],
)
.default("604800")
.says(
    "Longest life of a session",
    "A session never outlives its token, whatever stands here; at most 30 days.",
);

pub(crate) static API_URL: Setting = Setting::new(
    Group::BrainGrid,
    UsedBy::Both,
    "api_url",
    &["BRAINGRID_API_URL"],
)
.flag("api-url", "URL")
.default("https://app.braingrid.ai")
.says(
    "Base URL of the API",
    "`https`, or `http` on a loopback address. A path that ends with a version \
     (`/api/v2`) is used as it is; else `/api/v1` follows.",
);

pub(crate) static API_TOKEN: Setting = Setting::new(
    Group::BrainGrid,
    UsedBy::Stdio,
    "api_token",
    &["BRAINGRID_API_TOKEN"],
)
.secret()
.says(
    "Your BrainGrid token",
    "The credential of the local server. Without one it starts and lists its tools, and a call \
     says how to provide one. Wins over a login.",
);

pub(crate) static ORGANIZATION_ID: Setting = Setting::new(
    Group::BrainGrid,
    UsedBy::Stdio,
    "organization_id",
    &["BRAINGRID_ORGANIZATION_ID"],
)
.flag("organization-id", "ID")
.says(
    "Your organization",
    "Without it: the organization of your profile, else the one your token names.",
);

pub(crate) static CLIENT_ID: Setting = Setting::new(
    Group::Login,
    UsedBy::Stdio,
    "client_id",
    &["BRAINGRID_CLIENT_ID"],
)
.flag("client-id", "ID")
.says(
    "Client id of the login",
    "As registered at the authorization server for a public client with a loopback redirect, or \
     the https URL of a client metadata document. Without one, `login` registers itself where the \
     server lets it.",
);

pub(crate) static LOGIN_SCOPES: Setting = Setting::new(
    Group::Login,
    UsedBy::Stdio,
    "login_scopes",
    &["BRAINGRID_LOGIN_SCOPES"],
)
.flag("login-scopes", "SCOPES")
.kind(Kind::List)
.default("openid,profile,email,offline_access")
.says(
    "Scopes of the login",
    "What `braingrid-mcp login` asks for. Without `offline_access`, many servers give no refresh \
     token, and the login ends within the hour.",
);

pub(crate) static LOGIN_STORE: Setting = Setting::new(
    Group::Login,
    UsedBy::Stdio,
    "login_store",
    &["BRAINGRID_LOGIN_STORE"],
)
.flag("login-store", "PLACE")
.default("auto")
.says(
    "auto, keychain or file",
    "Where the login is kept: the system's keychain, or a file that only you can read. `auto` \
     takes the file where there is no keychain, and says so.",
);

pub(crate) static LOGIN_DIR: Setting = Setting::new(
    Group::Login,
    UsedBy::Stdio,
    "login_dir",
    &["BRAINGRID_LOGIN_DIR"],
)
.flag("login-dir", "FOLDER")
.says(
    "Folder of the login",
    "Default: `braingrid-mcp` in `$XDG_CONFIG_HOME` or `~/.config`; on macOS in \
     `~/Library/Application Support`, on Windows in `%APPDATA%`.",
);

pub(crate) static READ_ONLY: Setting = Setting::new(
    Group::Tools,
    UsedBy::Both,
    "read_only",
    &["BRAINGRID_READ_ONLY"],
)
.flag("read-only", "")
.kind(Kind::Switch)
.default("false")
.says(
    "Tools that only read",
    "No tool that changes anything is offered.",
);

pub(crate) static TOOLS: Setting =
    Setting::new(Group::Tools, UsedBy::Both, "tools", &["BRAINGRID_TOOLS"])
        .flag("tools", "NAMES")
        .kind(Kind::List)
        .says("Offer only these tools", "Default: all of them.");

pub(crate) static EXCLUDE_TOOLS: Setting = Setting::new(
    Group::Tools,
    UsedBy::Both,
    "exclude_tools",
    &["BRAINGRID_EXCLUDE_TOOLS"],
)
.flag("exclude-tools", "NAMES")
.kind(Kind::List)
.says("Leave these tools out", "");

pub(crate) static EXPERIMENTAL: Setting = Setting::new(
    Group::Tools,
    UsedBy::Both,
    "experimental",
    &["BRAINGRID_EXPERIMENTAL"],
)
.flag("experimental", "")
.kind(Kind::Switch)
.default("false")
.says(
    "Also unproven tools",
    "Tools whose BrainGrid API call is not publicly documented.",
);

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

/// The setting that has this name in a file, in the environment or on the command line.
pub(crate) fn called(name: &str) -> Option<&'static Setting> {
    let mut settings = SETTINGS.iter().copied();
    settings.find(|setting| {
        let names = setting.env.iter().copied().chain(setting.flag);
        let mut names = names.chain([setting.key]);
        setting.kind != Kind::FilePath && names.any(|known| known.eq_ignore_ascii_case(name))
    })
}

/// Every setting, in the order in which they are printed.
pub(crate) static SETTINGS: &[&Setting] = &[
    &CONFIG_FILE,
    &TRANSPORT,
    &ENVIRONMENT,
    &PORT,
    &BIND,
    &PUBLIC_URL,
    &ALLOWED_ORIGINS,
    &ALLOWED_HOSTS,
    &TRUSTED_PROXIES,
    &DRAIN_TIMEOUT,
    &MAX_CONNECTIONS,
    &MAX_CONNECTIONS_PER_ADDRESS,
    &MEMORY_BUDGET,
    &OAUTH_ISSUER,
    &OAUTH_JWKS_URI,
    &WORKOS_CLIENT_ID,
    &ISSUERS,
    &OAUTH_LEEWAY,
    &TOKEN_MAX_LIFETIME,
    &UPSTREAM_AUDIENCE,
    &OAUTH_SCOPES,
    &TOOL_SCOPES,
    &SCOPE_HIERARCHY,
    &REDIS_URL,
    &REDIS_CA,
    &ENCRYPTION_KEY,
    &ENCRYPTION_KEYS_PREVIOUS,
    &SESSION_CACHE_TTL,
    &API_URL,
    &API_TOKEN,
    &ORGANIZATION_ID,
    &CLIENT_ID,
    &LOGIN_SCOPES,
    &LOGIN_STORE,
    &LOGIN_DIR,
    &READ_ONLY,
    &TOOLS,
    &EXCLUDE_TOOLS,
    &EXPERIMENTAL,
    &LOG_LEVEL,
    &LOG_FILTER,
    &LOG_FORMAT,
    &OTLP_ENDPOINT,
    &OTLP_TRACES_ENDPOINT,
    &OTLP_METRICS_ENDPOINT,
    &ADMIN_BIND,
    &ADMIN_ALLOWED_HOSTS,
    &DOGSTATSD_HOST,
    &DOGSTATSD_PORT,
    &DOGSTATSD_ENV,
    &DOGSTATSD_SERVICE,
    &DOGSTATSD_VERSION,
    &OTLP_LOGS_ENDPOINT,
    &OTEL_DISABLED,
    &TRACES_PER_SECOND,
    &OTEL_SAMPLER,
    &OTEL_SAMPLER_ARG,
    &OTEL_PROPAGATORS,
    &AUDIT_LOG,
];
