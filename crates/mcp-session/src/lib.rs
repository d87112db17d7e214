//! Remembers verified principals as encrypted sessions, in memory and in Redis.
//!
//! A hosted server is asked "who is this?" by every request. [`SessionTiers::resolve`] answers:
//! from process memory when it can, from a store shared by all instances when it must, and by
//! verifying the token otherwise. So an instance that was started a moment ago serves a token that
//! another one has seen, even while the issuer is away, and nobody is logged out by a deploy.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::{sync::Arc, time::Duration};
//! use mcp_auth::{AccessToken, IssuerConfig, TokenVerifier, VerifierConfig};
//! use mcp_session::{Keyring, RedisConfig, RedisStore, SessionTiers};
//!
//! let issuer = IssuerConfig::new("https://auth.example.com", ["https://mcp.example.com/mcp"]);
//! let verifier =
//!     TokenVerifier::new(vec![issuer], mcp_auth::http_client()?, VerifierConfig::default())?;
//! // `openssl rand -hex 32`; the second list holds the keys of earlier deployments.
//! let keyring = Keyring::from_hex(&std::fs::read_to_string("/run/secrets/encryption-key")?, &[])?;
//! let store = RedisStore::new(RedisConfig::parse("rediss://redis.example.com")?)?;
//!
//! let sessions = SessionTiers::builder(verifier, keyring, Arc::new(store))
//!     .max_lifetime(Duration::from_hours(24))
//!     .build();
//!
//! let token = AccessToken::parse("Bearer eyJhbGciOi…")?;
//! let resolved = sessions.resolve(&token).await?;
//! println!("{} ({})", resolved.session.principal().subject(), resolved.tier.as_str());
//! sessions.flush(Duration::from_secs(2)).await;
//! # Ok(()) }
//! ```
//!
//! `examples/two_instances.rs` runs the whole story against a stand-in issuer:
//! `cargo run -p mcp-session --example two_instances [redis://…]`.
//!
//! # The order of the tiers
//!
//! 1. **Memory**: bounded by bytes, every entry until its session is over. No I/O.
//! 2. Keys at hand: **verification** first. It takes microseconds, so a forged token never reaches
//!    the store, be its key known or made up. (While the issuer is away, a few tokens of an unknown
//!    key do: another instance may have seen that key.)
//! 3. No keys, or an opaque token: the **store** first, after the checks that need no key. A store
//!    that is slow does not hold up the verification: after a moment both are under way, and
//!    whichever knows the answer gives it.
//!
//! Requests with the same new token share one attempt. Only proof makes a token bad: an issuer
//! that cannot be asked is [`AuthError::Unavailable`](mcp_auth::AuthError), a store that cannot be
//! asked is no error at all. A token that was proven bad is remembered for ten seconds.
//!
//! # What is stored
//!
//! Under `mcp:session:v1:` and a keyed hash of the token: principal, upstream token and expiry,
//! sealed with AES-256-GCM and bound to that name. Never the inbound token, no user id in a key.
//! [`Keyring`] describes the envelope and the rotation of keys; [`RedisStore`] lists the commands
//! it sends. An entry lives as long as its session. Losing one, or all, costs a verification each:
//! an eviction policy such as `volatile-lru` is fine, unless facts are kept there too, and no backup is
//! needed.
//!
//! # What this crate does not do
//!
//! It knows no protocol, no HTTP status and no application. It does not revoke: `forget` removes
//! what is remembered, and `denied` is asked on every path for who is not welcome any more.

mod begin;
mod builder;
mod establish;
mod facts;
#[cfg(any(fuzzing, test))]
#[doc(hidden)]
pub mod fuzzing;
mod granted;
mod key;
mod lease;
mod listener;
mod logins;
mod record;
mod redis;
mod refused;
mod renewals;
mod resolved;
mod seal;
mod session;
mod signouts;
mod spans;
mod stats;
mod store;
mod stored;
#[cfg(test)]
mod testing;
mod tiers;
mod under_way;
mod upstream;
mod verdict;
mod writer;

pub use self::redis::{RedisConfig, RedisConfigError, RedisStore};
pub use builder::SessionTiersBuilder;
pub use facts::{
    Fact, FactStore, FileFacts, MAX_FACT, MAX_MEMBER, MemoryFacts, Put, Rate, Spent, Swap,
    replace_file,
};
pub use key::SessionKey;
pub use resolved::{Resolved, Tier};
pub use seal::{
    KeyProblem, Keyring, KeyringError, OpenError, Opened, SealError, parse_key, random_key, sub_key,
};
pub use session::Session;
pub use signouts::{RefusedTokens, SignOuts};
pub use stats::{Counter, TierStats};
pub use store::{Heard, MemoryStore, SharedStore, StoreError};
pub use tiers::SessionTiers;
pub use verdict::{DeniedCounts, Verdict};
