//! Counters of what the tiers did, for whoever exports metrics.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    resolved::Tier,
    signouts::{RefusedTokens, SignOuts},
    verdict::DeniedCounts,
};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// The count since the process started.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn increment(&self) {
        self.add(1);
    }

    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }
}

/// What [`SessionTiers`](crate::SessionTiers) did since it was built.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct TierStats {
    /// Answered from process memory without waiting for anything.
    pub memory_hits: Counter,
    /// Answered by the work of another request that had the same token (single-flight).
    pub coalesced: Counter,
    /// Answered by a record of the shared store.
    pub store_hits: Counter,
    /// The store was asked and had nothing usable.
    pub store_misses: Counter,
    /// The store was asked and failed or was too slow to be waited for.
    pub store_errors: Counter,
    /// Tokens verified, whatever came out.
    pub verifications: Counter,
    /// Refused by the negative cache: the same token was proven bad a moment ago.
    pub known_bad_hits: Counter,
    /// Refused because the principal was denied.
    pub denied: DeniedCounts,
    /// Records that did not open (altered, or sealed by a foreign key); each was deleted.
    pub records_unopened: Counter,
    /// Records that opened and are not usable here: expired, another version, no longer accepted.
    pub records_unusable: Counter,
    /// Records found under or sealed by a previous key, and sealed again under the current one.
    pub records_resealed: Counter,
    /// Sessions written to the store.
    pub writes: Counter,
    /// Writes and deletions that the store did not take.
    pub writes_failed: Counter,
    /// Writes that were not attempted because too many were waiting.
    pub writes_dropped: Counter,
    /// Users sent away with a token that had been good.
    pub signouts: SignOuts,
    /// Tokens that an issuer did sign, and that are refused.
    pub refused_tokens: RefusedTokens,
    resolved: [Counter; 3],
}

impl TierStats {
    /// Counters for tokens of these issuers.
    pub(crate) fn of(issuers: impl Iterator<Item = String>) -> Self {
        Self {
            refused_tokens: RefusedTokens::of(issuers),
            ..Self::default()
        }
    }

    /// How many requests this tier answered; one that waited for another's work counts as memory.
    pub fn resolved(&self, tier: Tier) -> &Counter {
        let [memory, store, verification] = &self.resolved;
        match tier {
            Tier::Memory => memory,
            Tier::Store => store,
            Tier::Verification => verification,
        }
    }
}

/// Lets a few through per interval of ten seconds.
#[derive(Debug)]
pub(crate) struct Budget {
    few: u32,
    spent: Mutex<Option<(Instant, u32)>>,
}

impl Budget {
    const INTERVAL: Duration = Duration::from_secs(10);

    pub(crate) fn of(few: u32) -> Self {
        let spent = Mutex::default();
        Self { few, spent }
    }

    /// Whether one more may pass.
    pub(crate) fn spend(&self) -> bool {
        self.spend_at(Instant::now())
    }

    fn spend_at(&self, now: Instant) -> bool {
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, count) = spent
            .filter(|(since, _)| now.saturating_duration_since(*since) < Self::INTERVAL)
            .unwrap_or((now, 0));
        *spent = Some((since, count.saturating_add(1)));
        count < self.few
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_lets_a_few_through_per_interval() {
        let (budget, start) = (Budget::of(20), Instant::now());
        let passed = |at| (0..1_000).filter(|_| budget.spend_at(at)).count();
        assert_eq!(passed(start), 20);
        assert_eq!(passed(start + Duration::from_secs(9)), 0);
        assert_eq!(passed(start + Duration::from_secs(10)), 20);
    }
}
