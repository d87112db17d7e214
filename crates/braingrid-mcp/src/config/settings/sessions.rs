//! Settings: how sessions are kept.

use std::time::Duration;

use secrecy::SecretString;
use zeroize::Zeroizing;

use super::{Group, Kind, Setting, Spec, UsedBy, WithDefault};
use crate::config::parse::{numbers, redis, secrets};

settings! {
    REDIS_URL: Setting<SecretString> =
        Setting::new(Group::Sessions, UsedBy::Http, "redis_url", &["REDIS_URL"], redis::address)
        .secret()
        .says(
            "Shared store of sessions",
            "`redis://`, `rediss://` (TLS), `redis+sentinel://` or `redis+cluster://`. Without it sessions stay in this process, which serves one \
             instance.",
        );

    FACTS_REDIS_URL: Setting<SecretString> = Setting::new(
        Group::Sessions, UsedBy::Http, "facts_redis_url", &["FACTS_REDIS_URL"],
        redis::address,
    )
        .secret()
        .says(
            "Another Redis for what must not be evicted",
            "Where writes and tasks are remembered, if not in the Redis of the sessions: that one may then evict. \
             Its `maxmemory-policy` is to be `noeviction`.",
        );

    REDIS_CA: Setting<Vec<u8>> = Setting::new(
        Group::Sessions, UsedBy::Http, "redis_ca_file", &["REDIS_CA_FILE"],
        secrets::certificates,
    )
        .kind(Kind::Path)
        .says(
            "Private CA of Redis",
            "A PEM file with the certificates to trust for `rediss://`, in place of the system's.",
        );

    ENCRYPTION_KEY: Setting<Zeroizing<[u8; 32]>> = Setting::new(
        Group::Sessions, UsedBy::Http, "encryption_key", &["ENCRYPTION_KEY"],
        secrets::key,
    )
        .secret()
        .says(
            "Key that seals sessions",
            "64 hexadecimal characters, the same on every instance; make one with `openssl rand -hex 32`. \
             Required with Redis.",
        );

    ENCRYPTION_KEYS_PREVIOUS: Setting<Zeroizing<[u8; 32]>> = Setting::new(
        Group::Sessions, UsedBy::Http, "encryption_keys_previous", &["ENCRYPTION_KEYS_PREVIOUS"],
        secrets::key,
    )
        .kind(Kind::List)
        .secret()
        .says(
            "Keys that only open sessions",
            "Before a key rotation the next key, after it the old one, separated by commas or lines; \
             docs/operations.md says how.",
        );

    SESSION_CACHE_TTL: WithDefault<Duration> = Setting::new(
        Group::Sessions, UsedBy::Http, "session_cache_ttl", &["SESSION_CACHE_TTL"],
        numbers::duration_within::<1, { 30 * 86_400 }>,
    )
        .default("604800")
        .says(
            "Longest life of a session",
            "A session never outlives its token, whatever stands here; at most 30 days.",
        );
}
