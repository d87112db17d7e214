//! Settings: how sessions are kept.

use super::{Group, Kind, Setting, UsedBy};

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
