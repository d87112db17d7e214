//! What the claims of a client's assertion must be (RFC 7523 section 3), and that it is used once.

use std::time::{Duration, SystemTime};

use mcp_auth::{AssertionError, AssertionKeys};
use serde_json::{Map, Value};

use super::{Asker, Client, ClientError, Clients, client::PublishedKeys};
use crate::{keys::Kind, once::is_first_use};

/// Longest time that an assertion may still be good for: for so long its use is remembered.
const MAX_LIFETIME: u64 = 300;

/// What clocks may differ, in seconds.
const LEEWAY: u64 = 30;

/// Longest `jti`, in bytes.
const MAX_JTI: usize = 256;

impl Clients {
    /// Whether an assertion proves that a request is the client's. That it is new is for
    /// [`Clients::use_up`] to say.
    pub(super) async fn check_assertion(
        &self,
        client: &Client,
        keys: &PublishedKeys,
        assertion: &str,
        asker: Asker,
        now: SystemTime,
    ) -> Result<Used, ClientError> {
        let claims = self.verified(keys, assertion, asker, now).await?;
        let seconds = now.duration_since(SystemTime::UNIX_EPOCH);
        let seconds = seconds.unwrap_or_default().as_secs();
        let audiences = self.audiences.each_ref().map(String::as_str);
        check_claims(&claims, &client.id, audiences, seconds).map_err(ClientError::NotAuthenticated)
    }

    async fn verified(
        &self,
        keys: &PublishedKeys,
        assertion: &str,
        asker: Asker,
        now: SystemTime,
    ) -> Result<Map<String, Value>, ClientError> {
        let verify = |keys: &AssertionKeys| keys.verify(assertion);
        let verified = match keys {
            PublishedKeys::Here(keys) => verify(keys),
            PublishedKeys::At(url) => {
                let sets = self.key_sets.as_ref().ok_or(ClientError::Unavailable)?;
                match verify(&*sets.get(url, asker, now).await?) {
                    // Published since, perhaps.
                    Err(AssertionError::UnknownKey) => verify(&*sets.newer(url, asker, now).await?),
                    verified => verified,
                }
            }
        };
        verified.map_err(|error| {
            ClientError::NotAuthenticated(match error {
                AssertionError::UnknownKey => {
                    "the client_assertion is signed with a key that the client does not publish"
                }
                AssertionError::Invalid(_) => "the client_assertion is not signed by the client",
            })
        })
    }

    pub(super) async fn use_once(&self, client_id: &str, used: &Used) -> Result<(), ClientError> {
        let parts: [&[u8]; 3] = [b"jti", client_id.as_bytes(), used.jti.as_bytes()];
        let named = (Kind::Client, &parts[..]);
        match is_first_use(&self.keys, &*self.facts, named, used.remember_for).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(ClientError::NotAuthenticated(
                "the client_assertion was used before",
            )),
            Err(error) => {
                tracing::warn!(%error, "a client_assertion cannot be seen to be new");
                Err(ClientError::Unavailable)
            }
        }
    }
}

/// What makes an assertion's use its only one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Used {
    jti: String,
    remember_for: Duration,
}

/// `now` in seconds since the epoch.
fn check_claims(
    claims: &Map<String, Value>,
    client_id: &str,
    audiences: [&str; 2],
    now: u64,
) -> Result<Used, &'static str> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if text("iss") != Some(client_id) || text("sub") != Some(client_id) {
        return Err("iss and sub of the client_assertion are not both the client_id");
    }
    let is_ours = |value: &Value| value.as_str().is_some_and(|it| audiences.contains(&it));
    let is_for_us = match claims.get("aud") {
        Some(Value::Array(many)) => many.iter().any(is_ours),
        Some(one) => is_ours(one),
        None => false,
    };
    if !is_for_us {
        return Err("aud of the client_assertion is neither the issuer nor the token endpoint");
    }
    let exp = seconds(claims, "exp")?.ok_or("exp of the client_assertion is missing")?;
    if exp.saturating_add(LEEWAY) <= now {
        return Err("the client_assertion is expired");
    }
    if exp > now.saturating_add(MAX_LIFETIME + LEEWAY) {
        return Err("the client_assertion expires in more than 5 minutes");
    }
    for name in ["nbf", "iat"] {
        if seconds(claims, name)?.is_some_and(|from| from > now.saturating_add(LEEWAY)) {
            return Err("the client_assertion is not valid yet");
        }
    }
    let is_jti = |jti: &&str| (1..=MAX_JTI).contains(&jti.len());
    let jti = text("jti").filter(is_jti);
    Ok(Used {
        jti: jti
            .ok_or("jti of the client_assertion is missing or longer than 256 bytes")?
            .to_owned(),
        // Until it is expired by the slowest clock.
        remember_for: Duration::from_secs(exp.saturating_add(2 * LEEWAY).saturating_sub(now)),
    })
}

/// A time (RFC 7519 section 2), which may have a fraction.
fn seconds(claims: &Map<String, Value>, name: &str) -> Result<Option<u64>, &'static str> {
    const NO_TIME: &str = "exp, nbf or iat of the client_assertion is no time";
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match (value.as_u64(), value.as_f64()) {
            (Some(seconds), _) => Ok(Some(seconds)),
            (None, Some(seconds)) if (0.0..1e15).contains(&seconds) => {
                let whole = Duration::try_from_secs_f64(seconds).map_err(|_| NO_TIME)?;
                Ok(Some(whole.as_secs()))
            }
            _ => Err(NO_TIME),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: u64 = 1_800_000_000;
    const AUDIENCES: [&str; 2] = ["https://as.test", "https://as.test/token"];

    fn with(more: &Value) -> Result<(String, u64), &'static str> {
        let mut claims = json!({
            "iss": "c", "sub": "c", "aud": AUDIENCES[0], "exp": NOW + 60, "jti": "1",
        });
        let claims = claims.as_object_mut().unwrap();
        claims.extend(more.as_object().unwrap().clone());
        let used = check_claims(claims, "c", AUDIENCES, NOW)?;
        Ok((used.jti.clone(), used.remember_for.as_secs()))
    }

    #[test]
    fn claims_of_the_client_for_this_server_and_this_moment() {
        for more in [
            json!({}),
            json!({"aud": AUDIENCES[1]}),
            json!({"aud": ["https://other.test", AUDIENCES[0]]}),
            json!({"iat": NOW, "nbf": NOW}),
            json!({"iat": NOW + LEEWAY, "nbf": null}),
            json!({"iat": 1_800_000_000.5}),
        ] {
            assert_eq!(with(&more), Ok(("1".to_owned(), 120)), "{more}");
        }
        let longest = json!({"exp": NOW + MAX_LIFETIME + LEEWAY});
        assert_eq!(with(&longest), Ok(("1".to_owned(), 390)));
        let shortest = json!({"exp": NOW - LEEWAY + 1});
        assert_eq!(with(&shortest), Ok(("1".to_owned(), 31)));
    }

    #[test]
    fn any_other_claims_prove_nothing() {
        for more in [
            json!({"iss": "d"}),
            json!({"sub": "d"}),
            json!({"sub": null}),
            json!({"aud": null}),
            json!({"aud": []}),
            json!({"aud": "https://other.test"}),
            json!({"aud": "https://as.test/"}),
            json!({"exp": null}),
            json!({"exp": "1800000060"}),
            json!({"exp": -1}),
            json!({"exp": NOW - LEEWAY}),
            json!({"exp": NOW + MAX_LIFETIME + LEEWAY + 1}),
            json!({"exp": u64::MAX}),
            json!({"exp": 1e300}),
            json!({"nbf": NOW + LEEWAY + 1}),
            json!({"iat": NOW + LEEWAY + 1}),
            json!({"iat": "x"}),
            json!({"jti": null}),
            json!({"jti": ""}),
            json!({"jti": 1}),
            json!({"jti": "x".repeat(MAX_JTI + 1)}),
        ] {
            assert!(with(&more).is_err(), "{more}");
        }
    }
}
