//! Settings: how writes are remembered.

use std::time::Duration;

use mcp_fleet::WithoutStore;

use super::{Group, Setting, Spec, UsedBy, WithDefault};
use crate::config::parse::{numbers, words};

settings! {
    WRITE_JOURNAL_WINDOW: WithDefault<Duration> = Setting::new(
        Group::Writes, UsedBy::Both, "write_journal_window", &["WRITE_JOURNAL_WINDOW"],
        numbers::duration_within::<0, 86_400>,
    )
        .default("900")
        .says(
            "How long a write is remembered",
            "The same creation again within this time is shown what the first one made, and nothing is made twice; \
             at most a day. 0 remembers nothing: a call that is sent again is done again.",
        );

    WRITES: WithDefault<WithoutStore> = Setting::new(
        Group::Writes, UsedBy::Http, "writes", &["WRITES"],
        words::without_store,
    )
        .default("per-instance")
        .says(
            "Writes while Redis is away",
            "`per-instance`: each instance remembers its own, and what is sent again to another one may be done \
             twice. `refuse`: no write is sent until Redis is back.",
        );
}
