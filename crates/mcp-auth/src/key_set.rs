//! The usable keys of an issuer at one time, and what they say about a token.

use std::time::{Duration, Instant};

use jsonwebtoken::Algorithm;
use serde::Deserialize;

use crate::{
    error::{AuthError, ForbiddenReason, InvalidReason, UnusableKey},
    jwk::{ALGORITHMS, Fault, RefusedKey, VerificationKey, algorithm_named},
    jwt::Unverified,
};

/// The usable public keys of an issuer at one time.
#[derive(Debug)]
pub(crate) struct KeySet {
    pub(crate) keys: Vec<VerificationKey>,
    pub(crate) refused: Vec<RefusedKey>,
    /// When the fetch began: a key published later may be missing.
    pub(crate) asked_at: Instant,
}

/// What a key set says about a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// By the key with this fingerprint.
    Verified(u64),
    /// No key could verify it.
    Invalid(InvalidReason),
    /// The key it names does not verify it: in a newer set it may be another.
    Mismatch(InvalidReason),
    /// None of these keys is the token's: a newer set may have it.
    UnknownKey,
    /// Its key is here and cannot be used.
    Unusable(UnusableKey),
}

impl Verdict {
    pub(crate) fn is_verified(self) -> bool {
        matches!(self, Self::Verified(_))
    }

    /// The key that made the signature, or what is wrong.
    pub(crate) fn into_result(self) -> Result<u64, AuthError> {
        match self {
            Self::Verified(key) => Ok(key),
            Self::Invalid(reason) | Self::Mismatch(reason) => Err(reason.into()),
            Self::UnknownKey => Err(InvalidReason::UnknownKey.into()),
            Self::Unusable(key) => Err(ForbiddenReason::UnusableKey(key).into()),
        }
    }
}

impl KeySet {
    /// The keys of a document that are fit to verify signatures.
    pub(crate) fn usable(document: &JwkSet, asked_at: Instant) -> Self {
        let (mut keys, mut refused) = (Vec::new(), Vec::new());
        for jwk in &document.keys {
            match VerificationKey::from_json(jwk) {
                Ok(key) => keys.push(key),
                Err(key) => refused.push(key),
            }
        }
        Self {
            keys,
            refused,
            asked_at,
        }
    }

    /// What is wrong with its keys, if it has some and none that can be used.
    pub(crate) fn fault(&self) -> Option<Fault> {
        let mut refused = self.refused.iter().filter(|key| key.has_type);
        let first = refused.next().filter(|_| self.keys.is_empty())?;
        // One that is for another purpose says less than one that is broken.
        let broken = refused.find(|key| key.fault != Fault::Purpose);
        Some(match first.fault {
            Fault::Purpose => broken.map_or(Fault::Purpose, |key| key.fault),
            fault => fault,
        })
    }

    /// The keys that should verify signatures and do not, with their faults.
    pub(crate) fn faults(&self) -> impl Iterator<Item = String> {
        let real = self
            .refused
            .iter()
            .filter(|key| key.has_type && key.fault != Fault::Purpose);
        real.map(|key| format!("key {}: {}", key.name(), key.fault.as_str()))
    }

    /// Whether none of its keys, of which there are some, has this fingerprint.
    pub(crate) fn lacks(&self, key: u64) -> bool {
        !self.keys.is_empty() && self.keys.iter().all(|known| known.id != key)
    }

    /// How many keys there are.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// How long ago the fetch began.
    pub(crate) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.asked_at)
    }

    /// The algorithms that at least one key can be used with.
    pub(crate) fn algorithms(&self) -> impl Iterator<Item = Algorithm> {
        let usable = |algorithm: &Algorithm| {
            self.keys
                .iter()
                .any(|key| key.algorithms.contains(algorithm))
        };
        ALGORITHMS.iter().copied().filter(usable)
    }

    /// Checks the signature with the key that the token names, under an algorithm that both the
    /// key and the issuer's configuration allow (RFC 8725 sections 3.1 and 3.2). A token or a key
    /// without `kid` is tried with every key or token of its algorithm.
    pub(crate) fn check(&self, token: &Unverified<'_>, allowed: &[Algorithm]) -> Verdict {
        let Some(algorithm) = algorithm_named(&token.header.alg) else {
            return Verdict::Invalid(InvalidReason::Algorithm);
        };
        if !allowed.contains(&algorithm) {
            return Verdict::Invalid(InvalidReason::Algorithm);
        }
        let kid = token.header.kid.as_deref().filter(|kid| !kid.is_empty());
        let (mut mismatch, mut other_algorithm) = (None, false);
        for key in &self.keys {
            let named = kid.is_some() && key.kid.as_deref() == kid;
            if !named && kid.is_some() && key.kid.is_some() {
                continue;
            }
            if key.verifies(token, algorithm) {
                return Verdict::Verified(key.id);
            }
            // Without a `kid`, "wrong signature" and "key not here yet" look the same.
            if named && key.algorithms.contains(&algorithm) {
                mismatch = Some(InvalidReason::Signature);
            } else if key.made_in_another_algorithm(token, algorithm) {
                other_algorithm = true;
            } else if named {
                mismatch = mismatch.or(Some(InvalidReason::Algorithm));
            }
        }
        let refused = |key: &&RefusedKey| key.may_have_signed(kid, algorithm);
        let unusable = |fault: Fault| Verdict::Unusable(UnusableKey(fault.as_str()));
        match (mismatch, self.refused.iter().find(refused)) {
            _ if other_algorithm => Verdict::Unusable(UnusableKey::OTHER_ALGORITHM),
            (Some(InvalidReason::Signature), _) => Verdict::Mismatch(InvalidReason::Signature),
            (_, Some(key)) => unusable(key.fault),
            (Some(reason), _) => Verdict::Mismatch(reason),
            // Of an issuer without any key that could be used, no login brings a better token.
            (None, None) => self.fault().map_or(Verdict::UnknownKey, unusable),
        }
    }
}

/// A JSON Web Key Set (RFC 7517 section 5). A key that does not decode is left out and spoils no
/// other.
#[derive(Debug, Deserialize)]
pub(crate) struct JwkSet {
    pub(crate) keys: Vec<serde_json::Value>,
}
