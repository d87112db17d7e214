//! How sessions are kept.

use std::fmt;
use std::time::Duration;

use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::config::layers::Origin;
use crate::config::reader::Reader;
use crate::config::settings;

/// How sessions are kept.
#[derive(Debug)]
pub(crate) struct SessionSettings {
    /// The shared store; memory of this process without it.
    pub(crate) redis_url: Option<SecretString>,
    /// Where facts are kept, if not there.
    pub(crate) facts_url: Option<SecretString>,
    /// Certificates to trust for it, as PEM; the system's without them.
    pub(crate) redis_ca: Option<Vec<u8>>,
    /// The keys that seal sessions; always there when `redis_url` is.
    pub(crate) keys: Option<SealingKeys>,
    /// The longest life of a session.
    pub(crate) max_lifetime: Duration,
}

/// Encryption keys.
pub(crate) struct SealingKeys {
    /// Seals and opens.
    pub(crate) current: Zeroizing<[u8; 32]>,
    /// Open only.
    pub(crate) previous: Vec<Zeroizing<[u8; 32]>>,
}

impl fmt::Debug for SealingKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "SealingKeys([redacted], {} previous)",
            self.previous.len()
        )
    }
}

pub(super) fn read_session(reader: &mut Reader) -> SessionSettings {
    let redis_url = reader.secret(&settings::REDIS_URL);
    let current = reader.secret(&settings::ENCRYPTION_KEY);
    let previous = reader.secrets(&settings::ENCRYPTION_KEYS_PREVIOUS);
    let key_given = reader.origin(&settings::ENCRYPTION_KEY) != Origin::Default;
    if reader.origin(&settings::REDIS_URL) != Origin::Default && !key_given {
        reader.report(
            &settings::ENCRYPTION_KEY,
            "it is not set, and sessions in Redis are always sealed",
            "make one with: openssl rand -hex 32 (the same on every instance)",
        );
    } else if !previous.is_empty() && !key_given {
        reader.report(
            &settings::ENCRYPTION_KEYS_PREVIOUS,
            "there is no ENCRYPTION_KEY that replaced them",
            "set ENCRYPTION_KEY to the current key",
        );
    }
    let facts_url = reader.secret(&settings::FACTS_REDIS_URL);
    if facts_url.is_some() && redis_url.is_none() {
        reader.report(
            &settings::FACTS_REDIS_URL,
            "there is no REDIS_URL, so that nothing is shared",
            "set REDIS_URL; both may name the same Redis",
        );
    }
    SessionSettings {
        redis_url,
        facts_url,
        redis_ca: reader.optional(&settings::REDIS_CA),
        keys: current.map(|current| SealingKeys { current, previous }),
        max_lifetime: reader.value(&settings::SESSION_CACHE_TTL),
    }
}
