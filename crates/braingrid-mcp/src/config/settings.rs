//! The table of settings: one entry per setting, and everything that is said
//! about settings (flags, variables, file keys, defaults, documentation) comes from it.

mod braingrid;
mod http;
mod identity;
mod login;
mod logs;
mod server;
mod sessions;
mod tools;

use std::fmt;

pub(crate) use braingrid::*;
pub(crate) use http::*;
pub(crate) use identity::*;
pub(crate) use login::*;
pub(crate) use logs::*;
pub(crate) use server::*;
pub(crate) use sessions::*;
pub(crate) use tools::*;

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
