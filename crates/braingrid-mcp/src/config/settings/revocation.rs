//! Settings: who is let in no more, although the token is good by itself.

use std::path::PathBuf;
use std::time::Duration;

use super::{Group, Kind, Setting, Spec, UsedBy};
use crate::config::parse::{numbers, words};

settings! {
    DENIALS_MAX_AGE: Setting<Duration> = Setting::new(
        Group::Revocation, UsedBy::Http, "denials_max_age", &["DENIALS_MAX_AGE"],
        numbers::duration_within::<90, 86_400>,
    )
        .says(
            "Refuse writes when what is denied is older",
            "An instance reads all denials at its start and once a minute. Where it could not for so long, or not \
             yet, it refuses writes; reads go on. Unset: it goes by what it knows. From 90 seconds to a day.",
        );

    DENIALS_FILE: Setting<PathBuf> = Setting::new(
        Group::Revocation, UsedBy::Http, "denials_file", &["DENIALS_FILE"],
        words::path,
    )
        .kind(Kind::Path)
        .says(
            "File that keeps denials",
            "For this instance alone, sealed with `ENCRYPTION_KEY`, which it needs. Without it, denials are lost when \
             Redis and all instances are lost at the same time.",
        );
}
