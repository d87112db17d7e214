//! Remembers verified principals as encrypted sessions, in memory and in Redis.

mod builder;
mod key;
mod record;
mod redis;
mod seal;
mod session;
mod stats;
mod store;
#[cfg(test)]
mod testing;
mod tiers;
mod writer;

pub use builder::SessionTiersBuilder;
pub use key::SessionKey;
pub use redis::{RedisConfig, RedisConfigError, RedisStore};
pub use seal::{Keyring, KeyringError, OpenError, Opened, SealError};
pub use session::Session;
pub use stats::{Counter, TierStats};
pub use store::{MemoryStore, SharedStore, StoreError};
pub use tiers::{Resolved, SessionTiers, Tier};
