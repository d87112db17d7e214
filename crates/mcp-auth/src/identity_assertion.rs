//! [`IdentityAssertions`]: what an identity provider signs for a client that its user works with, to be
//! given to another authorization server for an access token (identity assertion JWT authorization
//! grant, draft-ietf-oauth-identity-assertion-authz-grant). What one grants is for that server to say.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde_json::{Map, Value};

use crate::{
    asker::Asker,
    assertion::{parts, unproven},
    claims::{Claims, Hashes},
    error::{AuthError, ConfigError, ForbiddenReason, InvalidReason},
    fetch::parse_url,
    jwk::ALGORITHMS,
    jwt::{Header, Unverified},
    key_source::{KeyPolicy, KeySource},
    times::{Limits, Times},
};

/// How far clocks may disagree, and for how long an assertion may be used, whatever its `exp` says.
const LIMITS: Limits = Limits {
    leeway: Duration::from_secs(90),
    max_lifetime: Duration::from_hours(1),
};

/// Its type (`typ`), which it has to name: nothing else that the same issuer signs is one.
const TYPE: &str = "oauth-id-jag+jwt";

/// Longest `jti`, in bytes.
const MAX_ID: usize = 256;

/// Verifies the identity assertions of one issuer.
#[derive(Debug)]
pub struct IdentityAssertions {
    issuer: String,
    keys: Arc<KeySource>,
}

/// An assertion that its issuer signed for this server and this client, and that is good now. That it is
/// used once is for the server to see to.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct IdentityAssertion {
    /// All that it says.
    pub claims: Map<String, Value>,
    /// What tells it from every other of its issuer (`jti`): between 1 and 256 bytes.
    pub id: String,
    /// When it was made.
    pub issued_at: SystemTime,
    /// Until when, by any clock that may be taken for right, somebody could use it.
    pub over_at: SystemTime,
}

impl fmt::Debug for IdentityAssertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdentityAssertion([redacted])")
    }
}

/// Who says that an assertion is its own (`iss`), to know whose keys to ask for. Nothing is proven.
pub fn assertion_issuer(assertion: &str) -> Option<String> {
    unproven(assertion, "iss")
}

impl IdentityAssertions {
    /// Checks the addresses; no I/O. The keys are at `jwks_uri`, or where the issuer's metadata says
    /// when absent, and are kept as those of a [`TokenVerifier`](crate::TokenVerifier). `client` must
    /// follow no redirect.
    ///
    /// # Errors
    /// [`ConfigError::Url`].
    pub fn new(
        issuer: impl Into<String>,
        jwks_uri: Option<&str>,
        client: reqwest::Client,
    ) -> Result<Self, ConfigError> {
        let issuer = issuer.into();
        parse_url(&issuer)?;
        let jwks_uri = jwks_uri.map(parse_url).transpose()?;
        Ok(Self {
            keys: KeySource::new(issuer.clone(), jwks_uri, client, KeyPolicy::default()),
            issuer,
        })
    }

    /// The assertion, if it is for the authorization server `audience` and its client `client_id`
    /// (section 4.4.1 of the draft). Nobody is asked for keys before the rest of it is right.
    ///
    /// # Errors
    /// As [`TokenVerifier::verify`](crate::TokenVerifier::verify).
    pub async fn verify(
        &self,
        assertion: &str,
        audience: &str,
        client_id: &str,
        now: SystemTime,
    ) -> Result<IdentityAssertion, AuthError> {
        let expected = Expected {
            issuer: &self.issuer,
            audience,
            client_id,
        };
        let (signed, read) = read(assertion, &expected, now)?;
        let token = Unverified {
            header: &signed.header,
            claims: &signed.claims,
            message: signed.message,
            signature: signed.signature,
        };
        let (asker, arrived) = (Asker::UNKNOWN, Instant::now());
        self.keys.verify(&token, ALGORITHMS, asker, arrived).await?;
        Ok(read)
    }
}

/// What an assertion has to say.
pub(crate) struct Expected<'e> {
    pub(crate) issuer: &'e str,
    pub(crate) audience: &'e str,
    pub(crate) client_id: &'e str,
}

/// What is to be signed by its issuer.
pub(crate) struct Signed<'a> {
    header: Header,
    claims: Claims,
    message: &'a str,
    signature: &'a str,
}

/// All but the signature.
pub(crate) fn read<'a>(
    assertion: &'a str,
    expected: &Expected<'_>,
    now: SystemTime,
) -> Result<(Signed<'a>, IdentityAssertion), AuthError> {
    let (header, claims, (message, signature)) =
        parts(assertion).ok_or(InvalidReason::Malformed)?;
    if !header.asks_for_nothing() {
        return Err(InvalidReason::Critical.into());
    }
    if !header.says(TYPE) {
        return Err(InvalidReason::Type.into());
    }
    expected.check(&claims)?;
    let times = Times::of(&claims)?;
    times.check(now, LIMITS)?;
    if claims.get("iat").is_none() {
        return Err(InvalidReason::Claim("iat").into());
    }
    let issued_at = times.issued_at(now, LIMITS);
    let id = claims.text("jti").filter(|id| id.len() <= MAX_ID);
    let at = |seconds: u64| UNIX_EPOCH + Duration::from_secs(seconds);
    let read = IdentityAssertion {
        id: id.ok_or(InvalidReason::Claim("jti"))?.to_owned(),
        issued_at: at(issued_at.ok_or(InvalidReason::NotYetValid)?),
        // The slowest clock is behind by the leeway, and allows the leeway.
        over_at: at(times.end(now, LIMITS)) + 2 * LIMITS.leeway,
        claims: claims.0.clone(),
    };
    let signed = Signed {
        header,
        claims,
        message,
        signature,
    };
    Ok((signed, read))
}

impl Expected<'_> {
    fn check(&self, claims: &Claims) -> Result<(), AuthError> {
        if claims.issuer()? != self.issuer {
            return Err(InvalidReason::Issuer.into());
        }
        // One that is for others, too, could be used by one of them.
        let is_ours = match claims.get("aud") {
            Some(Value::String(one)) => one == self.audience,
            Some(Value::Array(many)) => {
                matches!(&**many, [Value::String(one)] if one == self.audience)
            }
            _ => false,
        };
        if !is_ours {
            return Err(InvalidReason::Audience.into());
        }
        if claims.text("client_id") != Some(self.client_id) {
            return Err(InvalidReason::Claim("client_id").into());
        }
        claims.check_kind(Hashes::SayNothing)?;
        if claims.subject().is_none() {
            return Err(ForbiddenReason::NoSubject.into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    use serde_json::json;

    use super::*;

    const NOW: u64 = 1_700_000_000;

    /// An assertion with these changes of its header and its claims.
    fn changed(header: &Value, claims: &Value) -> Result<IdentityAssertion, AuthError> {
        let mut parts = [
            json!({"alg": "RS256", "typ": TYPE}),
            json!({
                "iss": "https://a.test", "aud": "https://as.test", "client_id": "agent",
                "sub": "ada", "jti": "1", "iat": NOW, "exp": NOW + 300,
            }),
        ];
        for (part, changes) in parts.iter_mut().zip([header, claims]) {
            let changes = changes.as_object().unwrap().clone();
            part.as_object_mut().unwrap().extend(changes);
        }
        let [header, claims] = parts.map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let expected = Expected {
            issuer: "https://a.test",
            audience: "https://as.test",
            client_id: "agent",
        };
        let now = UNIX_EPOCH + Duration::from_secs(NOW);
        read(&format!("{header}.{claims}.AAAA"), &expected, now).map(|(_, read)| read)
    }

    fn over_in(claims: &Value) -> u64 {
        let over_at = changed(&json!({}), claims).unwrap().over_at;
        let since = over_at.duration_since(UNIX_EPOCH).unwrap();
        since.as_secs() - NOW
    }

    #[test]
    fn an_assertion_for_this_server_and_this_client_is_good() {
        for (header, claims) in [
            (json!({}), json!({})),
            (json!({"typ": "application/OAuth-ID-JAG+jwt"}), json!({})),
            (json!({}), json!({"aud": ["https://as.test"]})),
            (json!({}), json!({"sub": 7, "act": {"sub": "x"}, "cnf": {}})),
            (json!({}), json!({"iat": NOW + 90, "nbf": NOW + 90})),
            (json!({}), json!({"iat": NOW - 300, "exp": NOW - 89})),
        ] {
            let read = changed(&header, &claims).unwrap();
            assert_eq!(read.id, "1", "{header} {claims}");
        }
    }

    #[test]
    fn its_use_is_remembered_until_nobody_takes_it_any_more() {
        assert_eq!(over_in(&json!({})), 300 + 180);
        // It is good for an hour at most.
        for exp in [NOW + 3_600, NOW + 7_200, NOW + 90_000] {
            assert_eq!(over_in(&json!({"exp": exp})), 3_600 + 180, "{exp}");
        }
    }

    #[test]
    fn what_was_signed_for_something_else_is_bad() {
        for (header, reason) in [
            (json!({"typ": null}), InvalidReason::Type),
            (json!({"typ": "JWT"}), InvalidReason::Type),
            (json!({"typ": "at+jwt"}), InvalidReason::Type),
            (json!({"crit": ["b64"]}), InvalidReason::Critical),
        ] {
            assert_eq!(changed(&header, &json!({})), Err(reason.into()), "{header}");
        }
        let ours = "https://as.test";
        for (claims, reason) in [
            (json!({"iss": "https://a.test/"}), InvalidReason::Issuer),
            (json!({"iss": null}), InvalidReason::Claim("iss")),
            (json!({"aud": null}), InvalidReason::Audience),
            (json!({"aud": []}), InvalidReason::Audience),
            (json!({"aud": "https://as.test/"}), InvalidReason::Audience),
            (
                json!({"aud": [ours, "https://b.test"]}),
                InvalidReason::Audience,
            ),
            (json!({"aud": [ours, 7]}), InvalidReason::Audience),
            (json!({"aud": {"0": ours}}), InvalidReason::Audience),
            (
                json!({"client_id": "other"}),
                InvalidReason::Claim("client_id"),
            ),
            (
                json!({"client_id": null, "azp": "agent"}),
                InvalidReason::Claim("client_id"),
            ),
            (json!({"jti": null}), InvalidReason::Claim("jti")),
            (json!({"jti": ""}), InvalidReason::Claim("jti")),
            (json!({"jti": 1}), InvalidReason::Claim("jti")),
            (
                json!({"jti": "x".repeat(MAX_ID + 1)}),
                InvalidReason::Claim("jti"),
            ),
            (json!({"exp": NOW - 90}), InvalidReason::Expired),
            (json!({"nbf": NOW + 91}), InvalidReason::NotYetValid),
            (json!({"iat": NOW + 91}), InvalidReason::NotYetValid),
            (json!({"iat": null}), InvalidReason::Claim("iat")),
            (json!({"iat": NOW - 3_690}), InvalidReason::TooOld),
            (json!({"cnf": {"jkt": "x"}}), InvalidReason::KeyBound),
            (json!({"typ": "Refresh"}), InvalidReason::Type),
        ] {
            assert_eq!(changed(&json!({}), &claims), Err(reason.into()), "{claims}");
        }
        for (claims, reason) in [
            (json!({"sub": null}), ForbiddenReason::NoSubject),
            (json!({"sub": " "}), ForbiddenReason::NoSubject),
            (json!({"exp": null}), ForbiddenReason::Claim("exp")),
            (json!({"exp": 1e13}), ForbiddenReason::AbsurdTime("exp")),
        ] {
            assert_eq!(changed(&json!({}), &claims), Err(reason.into()), "{claims}");
        }
        let now = UNIX_EPOCH + Duration::from_secs(NOW);
        for text in ["", "..", "a.b.c", "e30.e30.", "opaque"] {
            assert_eq!(assertion_issuer(text), None, "{text}");
            let expected = Expected {
                issuer: "",
                audience: "",
                client_id: "",
            };
            assert!(read(text, &expected, now).is_err(), "{text}");
        }
    }

    #[test]
    fn an_assertion_is_not_shown() {
        let shown = format!("{:?}", changed(&json!({}), &json!({})).unwrap());
        assert_eq!(shown, "IdentityAssertion([redacted])");
    }
}
