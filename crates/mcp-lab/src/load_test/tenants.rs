//! Tenants, their tokens, and the marks by which an answer shows whose it is.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use mcp_test_support::{Issuer, TokenBuilder};

/// A user of an organization, and the token it calls with.
#[derive(Clone, Debug)]
pub(super) struct Tenant {
    /// `user-0007`, or the `sub` of a given token.
    pub(super) subject: Arc<str>,
    pub(super) token: Arc<str>,
}

/// Lifetime of a token: longer than any run.
const LIFETIME: i64 = 24 * 3600;

impl Tenant {
    /// The tenant of this number, with a token that nobody has seen.
    pub(super) fn fresh(issuer: &Issuer, number: usize) -> Self {
        let subject = format!("user-{number:04}");
        let token = builder(issuer, number, &subject).mint();
        Self {
            subject: subject.into(),
            token: token.into(),
        }
    }

    /// The owner of a token that was given to us.
    pub(super) fn of(token: &str) -> Self {
        let claims = mcp_test_support::payload_of(token);
        let subject = claims.as_ref().and_then(|claims| claims.get("sub"));
        let subject = subject.and_then(Value::as_str).unwrap_or("unknown");
        Self {
            subject: subject.into(),
            token: token.into(),
        }
    }
}

fn builder(issuer: &Issuer, number: usize, subject: &str) -> TokenBuilder {
    let token = issuer.token().subject(subject).expires_in(LIFETIME);
    token.organization(&format!("org-{number:04}"))
}

/// So many tenants. RS256 signatures take the time.
pub(super) fn many(issuer: &Issuer, count: usize) -> Vec<Tenant> {
    (0..count).map(|it| Tenant::fresh(issuer, it)).collect()
}

/// The tenants named in a text, `user-0007` or `org-0007`, as `0007`.
pub(super) fn named_in(text: &str) -> impl Iterator<Item = &str> {
    let starts = ["user-", "org-"].into_iter().flat_map(|prefix| {
        let found = text.match_indices(prefix);
        found.map(|(at, prefix)| at + prefix.len())
    });
    starts.filter_map(|start| {
        let number = text.get(start..start + 4)?;
        let digits = number.bytes().all(|digit| digit.is_ascii_digit());
        digits.then_some(number)
    })
}

/// What went wrong, by kind, with the first few in words.
#[derive(Clone, Debug, Default)]
pub(super) struct Complaints {
    pub(super) by_kind: BTreeMap<String, u64>,
    pub(super) samples: Vec<String>,
}

/// How many are kept in words.
const SAMPLES: usize = 5;

impl Complaints {
    pub(super) fn add(&mut self, kind: &str, words: String) {
        *self.by_kind.entry(kind.to_owned()).or_default() += 1;
        if self.samples.len() < SAMPLES {
            self.samples.push(words);
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        for (kind, count) in other.by_kind {
            *self.by_kind.entry(kind).or_default() += count;
        }
        let room = SAMPLES.saturating_sub(self.samples.len());
        self.samples.extend(other.samples.into_iter().take(room));
    }

    pub(super) fn count(&self) -> u64 {
        self.by_kind.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_are_found_in_any_text() {
        let text = r#"{"name":"user-0007 wants","org":"org-0012","agent":"user-agent"}"#;
        assert_eq!(named_in(text).collect::<Vec<_>>(), ["0007", "0012"]);
    }

    #[test]
    fn complaints_are_counted_and_the_first_are_kept() {
        let mut all = Complaints::default();
        for number in 0..7 {
            let mut one = Complaints::default();
            one.add("late", format!("call {number}"));
            all.merge(one);
        }
        assert_eq!(all.count(), 7);
        assert_eq!(all.samples.len(), SAMPLES);
    }
}
