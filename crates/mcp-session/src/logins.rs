//! Which logins were in vain: an issuer that refuses to exchange a token, or an API that refuses what
//! was granted with it, and the next ones that its user brings too, is no reason to send anybody to a
//! login again.

use std::{
    future::ready,
    hash::{DefaultHasher, Hash, Hasher},
    time::{Duration, SystemTime},
};

use mcp_auth::Principal;
use moka::future::Cache;

use crate::key::SessionKey;

/// A client renews its token before it has its user log in. So the first token that is newer than
/// a refusal proves nothing; the second one does.
const IN_VAIN: u8 = 2;

/// Whose tokens were refused lately.
pub(crate) struct Logins(Cache<u64, Refused>);

#[derive(Clone, Copy)]
struct Refused {
    /// The token that was refused last, and when.
    key: SessionKey,
    at: SystemTime,
    /// How many came after a refusal, and were refused as well.
    newer: u8,
}

impl Refused {
    fn is_in_vain(&self, key: SessionKey) -> bool {
        self.key == key && self.newer >= IN_VAIN
    }
}

impl Default for Logins {
    fn default() -> Self {
        let refused = Cache::builder()
            .name("of no use for the API")
            .max_capacity(50_000)
            .time_to_live(Duration::from_hours(1));
        Self(refused.build())
    }
}

impl Logins {
    /// The issuer refuses this token of the principal. Whether another login would be in vain.
    pub(crate) async fn refused(
        &self,
        key: SessionKey,
        principal: &Principal,
        now: SystemTime,
    ) -> bool {
        let first = Refused {
            key,
            at: now,
            newer: 0,
        };
        let entry = self.0.entry(who(principal)).and_upsert_with(|held| {
            ready(held.map_or(first, |held| {
                let held = held.into_value();
                if held.key != key && is_newer(principal, held.at) {
                    Refused {
                        newer: held.newer.saturating_add(1),
                        ..first
                    }
                } else {
                    held
                }
            }))
        });
        entry.await.into_value().is_in_vain(key)
    }

    /// Whether another login for this token would be in vain, as far as is known.
    pub(crate) async fn are_in_vain(&self, key: SessionKey, principal: &Principal) -> bool {
        let held = self.0.get(&who(principal)).await;
        held.is_some_and(|held| held.is_in_vain(key))
    }

    /// The issuer took this one. An older token of another device says nothing about the logins since.
    pub(crate) async fn took(&self, key: SessionKey, principal: &Principal) {
        let who = who(principal);
        if let Some(held) = self.0.get(&who).await
            && (held.key == key || is_newer(principal, held.at))
        {
            self.0.invalidate(&who).await;
        }
    }
}

/// Whether the token was issued after that time, by clocks that show seconds.
fn is_newer(principal: &Principal, at: SystemTime) -> bool {
    let second = Duration::from_secs(1);
    principal
        .issued_at()
        .is_none_or(|issued| issued + second > at)
}

/// Stands for a principal, whatever token it comes with.
fn who(principal: &Principal) -> u64 {
    let mut hasher = DefaultHasher::new();
    (
        principal.issuer(),
        principal.subject(),
        principal.client_id(),
    )
        .hash(&mut hasher);
    hasher.finish()
}
