//! Settings: the HTTP edge.

use std::net::IpAddr;
use std::time::Duration;

use super::{Group, Kind, Setting, Spec, UsedBy, WithDefault};
use crate::config::parse::{addresses, endpoints, hosts, numbers};

settings! {
    PORT: WithDefault<u16> =
        Setting::new(Group::Http, UsedBy::Http, "port", &["PORT"], numbers::port)
        .flag("port", "PORT")
        .default("8080")
        .says("Port to listen on", "0 lets the system choose a free one.");

    BIND: WithDefault<IpAddr> =
        Setting::new(Group::Http, UsedBy::Http, "bind", &["BIND"], addresses::address)
        .flag("bind", "ADDR")
        .default("127.0.0.1")
        .says(
            "Address to listen on",
            "An IP address. `0.0.0.0` or `::` listens on every interface, as containers need it.",
        );

    PUBLIC_URL: Setting<String> =
        Setting::new(Group::Http, UsedBy::Http, "public_url", &["MCP_HOST"], endpoints::public_url)
        .flag("public-url", "URL")
        .says(
            "Base URL that clients use",
            "Scheme, host and port, and the path if a proxy hands on one path of a host. `https`, or \
             `http` on a loopback address. Tokens must be issued for the resource, which is this URL \
             plus `/mcp`, or this URL if it ends so. \
             Default: `http://127.0.0.1:PORT`.",
        );

    ALLOWED_ORIGINS: Setting<Vec<String>> = Setting::new(
        Group::Http, UsedBy::Http, "allowed_origins", &["ALLOWED_ORIGINS"],
        hosts::origins,
    )
        .kind(Kind::List)
        .says(
            "Web origins that may call",
            "For clients that name where they come from, as pages do, such as \
             `https://inspector.example.com`. `known-clients` stands for hosted ones: `https://claude.ai`, \
             `https://claude.com`, `https://chatgpt.com`, `https://chat.openai.com`, `https://vscode.dev`, \
             `https://github.dev`. The origin of the public URL is always allowed.",
        );

    ALLOWED_HOSTS: Setting<String> =
        Setting::new(Group::Http, UsedBy::Http, "allowed_hosts", &["ALLOWED_HOSTS"], hosts::host)
        .kind(Kind::List)
        .says(
            "Other names of this server",
            "`Host` names to accept beside that of the public URL, such as the platform's own name of the \
             service. Without a port, every port is meant.",
        );

    TRUSTED_PROXIES: Setting<String> = Setting::new(
        Group::Http, UsedBy::Http, "trusted_proxies", &["TRUSTED_PROXIES"],
        addresses::proxy,
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

    DRAIN_TIMEOUT: WithDefault<Duration> = Setting::new(
        Group::Http, UsedBy::Http, "drain_timeout", &["DRAIN_TIMEOUT"],
        numbers::duration_within::<0, 3_600>,
    )
        .default("8s")
        .says(
            "Time for a stop as a whole",
            "From the signal to the end of the process. The last quarter of it, at most two seconds, is for \
             answering calls that are not finished, and for what is still to be saved or sent. Keep it shorter \
             than the time after which the platform kills. `0` stops at once.",
        );

    MAX_CONNECTIONS: Setting<usize> = Setting::new(
        Group::Http, UsedBy::Http, "max_connections", &["MAX_CONNECTIONS"],
        numbers::count,
    )
        .says(
            "Open connections at a time",
            "When all are taken, connections on which nobody ever authenticated make room, the oldest first, \
             and then those of whoever has most; probes are answered beyond it. Default: 10000, or what the \
             limit of open files and half of `MEMORY_BUDGET` have room for, if that is less.",
        );

    MAX_CONNECTIONS_PER_ADDRESS: Setting<usize> = Setting::new(
        Group::Http, UsedBy::Http, "max_connections_per_address", &["MAX_CONNECTIONS_PER_ADDRESS"],
        numbers::count,
    )
        .says(
            "Of these, for one address",
            "Counted are connections on which nobody has authenticated yet, by the address they come from \
             (IPv6: its /64 network). Not counted are those of `TRUSTED_PROXIES`, and any while a proxy \
             in front is not configured. Default: a quarter of `MAX_CONNECTIONS`.",
        );

    MEMORY_BUDGET: Setting<usize> = Setting::new(
        Group::Http, UsedBy::Http, "memory_budget", &["MEMORY_BUDGET"],
        numbers::memory,
    )
        .says(
            "Memory for requests",
            "What connections, request bodies, answers of the API and answers that are not read yet may take \
             together, such as `256MiB`; a request beyond it is answered 503. Default: half of the memory \
             that the container (its control group) or the machine allows.",
        );
}
