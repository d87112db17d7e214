//! Counters of the limits, without whom they were for.

use std::sync::atomic::{AtomicU64, Ordering};

use strum::VariantArray as _;

use super::Scope;

/// What the limits have done.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct LimitStats {
    /// Times that the store was told what was spent, each one command.
    pub told: AtomicU64,
    /// Calls that were decided without the store while it was away or late.
    pub alone: AtomicU64,
    limited: [AtomicU64; Scope::VARIANTS.len()],
}

impl LimitStats {
    /// Calls that reached their limit, by what it was for.
    pub fn by_scope(&self) -> impl Iterator<Item = (Scope, u64)> {
        let counts = Scope::VARIANTS.iter().copied().zip(&self.limited);
        counts.map(|(scope, count)| (scope, count.load(Ordering::Relaxed)))
    }

    pub(super) fn limited(&self, scope: Scope) {
        let mut counts = Scope::VARIANTS.iter().zip(&self.limited);
        if let Some((_, count)) = counts.find(|(it, _)| **it == scope) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}
