//! Settings: how much callers may do.

use mcp_session::Rate;

use super::{Group, Setting, Spec, UsedBy, WithDefault};
use crate::config::parse::numbers;

settings! {
    LIMIT_TENANT: WithDefault<Option<Rate>> = Setting::new(
        Group::Limits, UsedBy::Http, "limit_tenant", &["LIMIT_TENANT"],
        numbers::rate,
    )
        .default("12000/1m")
        .says(
            "Tool calls of an organization",
            "So many in so long, such as `12000/1m`, on all instances together; `off` for no limit. They come \
             back evenly, so that this many may come at once. A user without an organization is one by \
             themselves.",
        );

    LIMIT_USER: WithDefault<Option<Rate>> = Setting::new(
        Group::Limits, UsedBy::Http, "limit_user", &["LIMIT_USER"],
        numbers::rate,
    )
        .default("1200/1m")
        .says("Messages of a user", "Tool calls, and everything else that the user's client asks.");

    LIMIT_READS: WithDefault<Option<Rate>> = Setting::new(
        Group::Limits, UsedBy::Http, "limit_reads", &["LIMIT_READS"],
        numbers::rate,
    )
        .default("off")
        .says("Of these, tool calls that change nothing", "");

    LIMIT_WRITES: WithDefault<Option<Rate>> = Setting::new(
        Group::Limits, UsedBy::Http, "limit_writes", &["LIMIT_WRITES"],
        numbers::rate,
    )
        .default("600/1m")
        .says("Of these, tool calls that change something", "Those that take minutes are not among them.");

    LIMIT_EXPENSIVE: WithDefault<Option<Rate>> = Setting::new(
        Group::Limits, UsedBy::Http, "limit_expensive", &["LIMIT_EXPENSIVE"],
        numbers::rate,
    )
        .default("120/1m")
        .says("Of these, tool calls that take minutes", "Those in which BrainGrid's AI works.");

    LIMIT_ADDRESS: WithDefault<Option<Rate>> = Setting::new(
        Group::Limits, UsedBy::Http, "limit_address", &["LIMIT_ADDRESS"],
        numbers::rate,
    )
        .default("3000/1m")
        .says(
            "Requests of one address without a login",
            "Those that are refused, and all to an authorization server here; IPv6 by its /64 network. Whoever \
             is logged in is never refused for an address. Without effect while a proxy in front is not \
             configured (`TRUSTED_PROXIES`).",
        );

    API_RATE_LIMIT: WithDefault<Option<Rate>> = Setting::new(
        Group::Limits, UsedBy::Http, "api_rate_limit", &["API_RATE_LIMIT"],
        numbers::rate,
    )
        .default("off")
        .says(
            "Requests to the BrainGrid API",
            "Of all users on all instances together, where the API itself has such a limit. Calls wait up to \
             five seconds for their turn, by turns of the organizations; then they are told when to come again.",
        );
}
