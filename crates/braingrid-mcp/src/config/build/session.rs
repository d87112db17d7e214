//! How sessions are kept.

use crate::config::layers::Origin;
use crate::config::model::{SealingKeys, SessionSettings};
use crate::config::reader::Reader;
use crate::config::settings;

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
    SessionSettings {
        redis_url,
        redis_ca: reader.optional(&settings::REDIS_CA),
        keys: current.map(|current| SealingKeys { current, previous }),
        max_lifetime: reader.value(&settings::SESSION_CACHE_TTL),
    }
}
