//! Settings: the listener for operators.

use std::net::SocketAddr;
use std::path::PathBuf;

use secrecy::SecretString;
use url::Url;

use super::{Group, Kind, Setting, Spec, UsedBy, WithDefault};
use crate::config::parse::{addresses, endpoints, hosts, secrets, words};

settings! {
    ADMIN_BIND: Setting<SocketAddr> = Setting::new(
        Group::Operators, UsedBy::Http, "admin_bind", &["ADMIN_BIND"],
        addresses::socket_address,
    )
        .flag("admin-bind", "ADDRESS")
        .says(
            "Address for operators",
            "Address and port of a second listener, such as `127.0.0.1:9464`: `/metrics` for Prometheus and \
             readiness in detail; for the operators of `ADMIN_TOKENS_FILE` the Admin API, its pages at `/ui`, \
             and what the commands `admin`, `revoke`, `suspend` and `resume` ask. Never make it public. \
             Unset: there is none.",
        );

    ADMIN_ALLOWED_HOSTS: Setting<String> = Setting::new(
        Group::Operators, UsedBy::Http, "admin_allowed_hosts", &["ADMIN_ALLOWED_HOSTS"],
        hosts::host,
    )
        .kind(Kind::List)
        .says(
            "Host names for operators",
            "Under which the second listener is reached, beside loopback names and the address itself.",
        );

    ADMIN_TOKENS_FILE: Setting<PathBuf> = Setting::new(
        Group::Operators, UsedBy::Http, "admin_tokens_file", &["ADMIN_TOKENS_FILE"],
        words::path,
    )
        .kind(Kind::Path)
        .says(
            "Operators and their tokens",
            "A file with a line for each operator: a name for the audit log, `read` or `write`, and a token \
             of at least 32 characters (`openssl rand -hex 32`). It is read again with each token, so a \
             change holds at once. Unset: nobody sees or changes anything but what `ADMIN_METRICS` leaves open.",
        );

    ADMIN_METRICS: WithDefault<bool> = Setting::new(
        Group::Operators, UsedBy::Http, "admin_metrics", &["ADMIN_METRICS"],
        words::open_or_token,
    )
        .default("open")
        .says(
            "Who may see metrics and status",
            "`open`: whoever reaches the listener sees `/metrics`, `/ready`, `/build` and the log level. \
             `token`: these need a token, too. `/health` never does.",
        );

    ADMIN_URL: Setting<Url> = Setting::new(
        Group::Operators, UsedBy::Both, "admin_url", &["ADMIN_URL"],
        endpoints::secure_url,
    )
        .flag("admin-url", "URL")
        .says(
            "Where commands find the listener",
            "Base URL of a server's listener for operators, for the commands `admin`, `revoke`, `suspend` and \
             `resume`: `https`, or `http` on this machine. Default: the address of `ADMIN_BIND`, \
             `http://127.0.0.1:9464` without it.",
        );

    ADMIN_TOKEN: Setting<SecretString> = Setting::new(
        Group::Operators, UsedBy::Both, "admin_token", &["ADMIN_TOKEN"],
        secrets::token,
    )
        .secret()
        .says(
            "Token of these commands",
            "Sent by these commands: the third word of an operator's line in the server's `ADMIN_TOKENS_FILE`, and \
             nothing else.",
        );
}
