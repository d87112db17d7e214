//! When a token begins and ends: `exp`, `nbf` and `iat` (RFC 7519 section 4.1), and the longest
//! life that this server gives any token.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::{
    claims::Claims,
    error::{ForbiddenReason, InvalidReason},
};

/// The year 5138 in seconds. Times in milliseconds are later, and so is every "for ever".
const ABSURD: f64 = 1e11;

/// The times of a token, in seconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Times {
    expires_at: u64,
    not_before: Option<u64>,
    issued_at: Option<u64>,
}

/// What this server allows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// How far clocks may disagree.
    pub(crate) leeway: Duration,
    /// How long a token lives at most.
    pub(crate) max_lifetime: Duration,
}

impl Times {
    /// Reads them. The standard gives `iat` no power to refuse (RFC 7519 section 4.1.6): one that
    /// makes no sense counts as absent, and so does zero, which is written for "unknown".
    pub(crate) fn of(claims: &Claims) -> Result<Self, ForbiddenReason> {
        Ok(Self {
            expires_at: date(claims, "exp")?.ok_or(ForbiddenReason::Claim("exp"))?,
            not_before: date(claims, "nbf")?,
            issued_at: date(claims, "iat").unwrap_or_default().filter(|at| *at > 0),
        })
    }

    /// Whether the token is good at `now`.
    pub(crate) fn check(&self, now: SystemTime, limits: Limits) -> Result<(), InvalidReason> {
        let (now, leeway) = (seconds(now), limits.leeway.as_secs());
        let is_over = |end: u64| end.saturating_add(leeway) <= now;
        if is_over(self.expires_at) {
            return Err(InvalidReason::Expired);
        }
        let oldest = limits.max_lifetime.as_secs();
        if self
            .issued_at
            .is_some_and(|at| is_over(at.saturating_add(oldest)))
        {
            return Err(InvalidReason::TooOld);
        }
        let begun = |begin: u64| begin <= now.saturating_add(leeway);
        if self.not_before.is_some_and(|begin| !begun(begin)) {
            return Err(InvalidReason::NotYetValid);
        }
        Ok(())
    }

    /// Whether it had been issued at that time, if it says when, and was good.
    pub(crate) fn were_good_at(&self, then: SystemTime, limits: Limits) -> bool {
        let issued = self.issued_at.is_none() || self.issued_at(then, limits).is_some();
        issued && self.check(then, limits).is_ok()
    }

    /// When it ends: at `exp`, or when it has lived for the longest life, since it was issued or,
    /// where it does not say when that was, since `now`.
    pub(crate) fn end(&self, now: SystemTime, limits: Limits) -> u64 {
        let begin = self.issued_at(now, limits).unwrap_or(seconds(now));
        let longest = begin.saturating_add(limits.max_lifetime.as_secs());
        self.expires_at.min(longest)
    }

    /// When it was issued, unless it says nothing, or a time to come.
    pub(crate) fn issued_at(&self, now: SystemTime, limits: Limits) -> Option<u64> {
        let latest = seconds(now).saturating_add(limits.leeway.as_secs());
        self.issued_at.filter(|at| *at <= latest)
    }
}

/// A `NumericDate` (RFC 7519 section 2): seconds, possibly with a fraction; `null` is none.
pub(crate) fn date(claims: &Claims, claim: &'static str) -> Result<Option<u64>, ForbiddenReason> {
    let Some(value) = claims.get(claim) else {
        return Ok(None);
    };
    let number = value.as_f64().ok_or(ForbiddenReason::Claim(claim))?;
    if !(0.0..ABSURD).contains(&number) {
        return Err(ForbiddenReason::AbsurdTime(claim));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is between zero and 10^11"
    )]
    Ok(Some(value.as_u64().unwrap_or(number as u64)))
}

/// The expiry an introspection answer gives, if it gives a sound one.
pub(crate) fn expiry(claims: &Claims) -> Option<u64> {
    date(claims, "exp").ok().flatten()
}

pub(crate) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const LIMITS: Limits = Limits {
        leeway: Duration::from_secs(90),
        max_lifetime: Duration::from_secs(10_000),
    };

    fn times(value: Value) -> Result<Times, ForbiddenReason> {
        Times::of(&Claims::of(value))
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn times_are_checked_with_leeway() {
        for (claims, now, expected) in [
            (json!({"exp": 1000}), 1089, Ok(())),
            (json!({"exp": 1000}), 1090, Err(InvalidReason::Expired)),
            (json!({"exp": 0}), 1000, Err(InvalidReason::Expired)),
            (json!({"exp": 1000.5}), 999, Ok(())),
            (json!({"exp": 9000, "nbf": 1090}), 1000, Ok(())),
            (
                json!({"exp": 9000, "nbf": 1091}),
                1000,
                Err(InvalidReason::NotYetValid),
            ),
            (json!({"exp": 9000, "nbf": null, "iat": null}), 1000, Ok(())),
            // `iat` refuses nobody, unless the token is older than any may be.
            (json!({"exp": 9000, "iat": 2000}), 1000, Ok(())),
            (
                json!({"exp": 9000, "iat": 1_700_000_000_000_u64}),
                1000,
                Ok(()),
            ),
            (json!({"exp": 9000, "iat": -1}), 1000, Ok(())),
            (json!({"exp": 99_000, "iat": 0}), 50_000, Ok(())),
            (json!({"exp": 9000, "iat": "yesterday"}), 1000, Ok(())),
            (json!({"exp": 99_000, "iat": 1000}), 11_089, Ok(())),
            (
                json!({"exp": 99_000, "iat": 1000}),
                11_090,
                Err(InvalidReason::TooOld),
            ),
        ] {
            let shown = claims.to_string();
            assert_eq!(
                times(claims).unwrap().check(at(now), LIMITS),
                expected,
                "{shown}"
            );
        }
    }

    #[test]
    fn absurd_times_are_refused_with_a_reason_of_their_own() {
        for claim in ["exp", "nbf"] {
            for absurd in [
                json!(-1),
                json!(-0.5),
                json!(u64::MAX),
                json!(1e300),
                // The year 9999, and now in milliseconds.
                json!(253_402_300_799_u64),
                json!(1_790_000_000_000_u64),
            ] {
                let mut token = json!({"exp": 9000});
                token[claim] = absurd.clone();
                let refused = Err(ForbiddenReason::AbsurdTime(claim));
                assert_eq!(times(token), refused, "{claim}: {absurd}");
            }
            for odd in [json!("1000"), json!(true), json!([1000]), json!({})] {
                let mut token = json!({"exp": 9000});
                token[claim] = odd.clone();
                assert_eq!(
                    times(token),
                    Err(ForbiddenReason::Claim(claim)),
                    "{claim}: {odd}"
                );
            }
        }
        assert_eq!(times(json!({})), Err(ForbiddenReason::Claim("exp")));
        assert_eq!(
            times(json!({"exp": null})),
            Err(ForbiddenReason::Claim("exp"))
        );
    }

    #[test]
    fn a_token_ends_with_its_expiry_or_its_longest_life() {
        for (claims, end) in [
            (json!({"exp": 5000, "iat": 1000}), 5000),
            (json!({"exp": 50_000, "iat": 1000}), 11_000),
            // The year 3000.
            (json!({"exp": 32_503_680_000_u64, "iat": 1000}), 11_000),
            // No word of when it was issued, or none to be believed: from first sight.
            (json!({"exp": 50_000}), 12_000),
            (json!({"exp": 50_000, "iat": 1_700_000_000_000_u64}), 12_000),
            (json!({"exp": 50_000, "iat": 40_000}), 12_000),
        ] {
            let shown = claims.to_string();
            assert_eq!(times(claims).unwrap().end(at(2000), LIMITS), end, "{shown}");
        }
    }

    #[test]
    fn a_time_of_issue_to_come_is_none() {
        let issued = |iat: u64| {
            let times = times(json!({"exp": 9000, "iat": iat})).unwrap();
            times.issued_at(at(1000), LIMITS)
        };
        assert_eq!(issued(1090), Some(1090));
        assert_eq!(issued(1091), None);
    }
}
