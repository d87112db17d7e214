//! What can be seen of a verifier from outside: its issuers, and which of them a token names.

use std::time::{Duration, Instant};

use crate::{
    introspection::Introspection, issuer::Issuer, jwt::Unverified, token::AccessToken,
    verifier::TokenVerifier,
};

/// How it stands with one configured issuer, for metrics and for operators.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct IssuerStatus {
    /// Its identifier.
    pub issuer: String,
    /// Usable keys in this process.
    pub keys: usize,
    /// How long ago these keys were asked for; `None` when there are none.
    pub keys_age: Option<Duration>,
    /// Seconds by which our clock is ahead of its; `None` when that was not seen lately.
    pub clock_ahead: Option<i64>,
    /// Key sets fetched since the start.
    pub fetched: u64,
    /// Fetches that failed since the start.
    pub fetches_failed: u64,
    /// Tokens that were asked about (RFC 7662) since the start.
    pub introspected: u64,
    /// Questions about a token that got no answer.
    pub introspections_failed: u64,
    /// Requests that wait until there is asked about their opaque token.
    pub introspections_waiting: usize,
}

impl TokenVerifier {
    /// How it stands with every configured issuer; asks nobody.
    pub fn status(&self) -> Vec<IssuerStatus> {
        let now = Instant::now();
        let status = self.issuers().iter().map(|issuer| {
            let keys = issuer.keys.at_hand(now);
            let (fetched, fetches_failed) = issuer.keys.fetches.get();
            let questions = issuer.introspection.as_ref();
            let (introspected, introspections_failed) =
                questions.map_or((0, 0), |asked| asked.questions.get());
            IssuerStatus {
                issuer: issuer.config.issuer.clone(),
                keys: keys.as_ref().map_or(0, |keys| keys.len()),
                keys_age: keys.map(|keys| issuer.keys.age(&keys, now)),
                clock_ahead: issuer.clock.ahead(),
                fetched,
                fetches_failed,
                introspected,
                introspections_failed,
                introspections_waiting: questions.map_or(0, Introspection::waiting),
            }
        });
        status.collect()
    }

    /// What a token says that it is for, as a line for operators, of plain characters and bounded.
    /// It proves nothing.
    pub fn audience_of(&self, token: &AccessToken) -> Option<String> {
        let token = token.jwt().ok()?;
        let audiences = token.claims.audiences().ok()?;
        let shown = audiences.iter().take(3).map(|audience| {
            let plain = |c: char| if c.is_ascii_graphic() { c } else { '?' };
            audience.chars().take(120).map(plain).collect::<String>()
        });
        let mut shown: Vec<_> = shown.collect();
        match audiences.len() {
            0 => shown.push("none".to_owned()),
            4.. => shown.push("...".to_owned()),
            _ => {}
        }
        Some(shown.join(" "))
    }

    /// The configured issuer that a token names, good or not; `None` for any other. It proves
    /// nothing: for counting refusals by issuer.
    pub fn issuer_named_by(&self, token: &AccessToken) -> Option<&str> {
        if let Some((issuer, _)) = self.introspector_of(token) {
            return Some(&issuer.config.issuer);
        }
        let token = token.jwt().ok()?;
        let issuer = self.issuer_of(token.claims).ok()?;
        Some(&issuer.config.issuer)
    }

    /// Whether a configured issuer signed this token with a key that is in this process, for this
    /// server: all but its times. It was good once, then, though it may be over. Asks nobody.
    pub fn was_issued(&self, token: &AccessToken) -> bool {
        let for_us = |issuer: &Issuer, token: &Unverified<'_>| {
            matches!(issuer.meant_for(token.claims), Ok(Some(_)))
        };
        self.signed(token, for_us).is_some()
    }

    /// The configured issuer that stands behind a token which was refused: it signed it with a key
    /// that is in this process, for whomever. Of an opaque token it is the one that is asked; the
    /// refusal must have followed its answer. Asks nobody.
    pub fn issuer_behind(&self, token: &AccessToken) -> Option<&str> {
        let asked = self.introspector_of(token).map(|(issuer, _)| issuer);
        let issuer = asked.or_else(|| self.signed(token, |_, _| true))?;
        Some(&issuer.config.issuer)
    }

    /// The issuer that signed a token which meets a condition.
    fn signed(
        &self,
        token: &AccessToken,
        condition: impl Fn(&Issuer, &Unverified<'_>) -> bool,
    ) -> Option<&Issuer> {
        let token = token.jwt().ok()?;
        let issuer = self.issuer_of(token.claims).ok()?;
        let keys = issuer.keys.at_hand(Instant::now())?;
        let signed = || keys.check(&token, &issuer.algorithms).is_verified();
        (condition(issuer, &token) && signed()).then_some(issuer)
    }
}
