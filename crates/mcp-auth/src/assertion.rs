//! [`AssertionKeys`]: what an OAuth client signs to prove who it is (RFC 7523 section 2.2), checked with
//! the keys that it published. What the claims must be is for the authorization server to say.

use std::{fmt, time::Instant};

use serde_json::{Map, Value};

use crate::{
    claims::Claims,
    jwk::ALGORITHMS,
    jwt::{Header, Unverified, decode},
    key_set::{JwkSet, KeySet, Verdict},
};

/// Longest assertion that is looked at, in bytes.
const MAX_LEN: usize = 8 * 1024;

/// Most keys of a client. Without `kid` each of them is tried.
const MAX_KEYS: usize = 20;

/// The public keys of a client.
pub struct AssertionKeys(KeySet);

/// Why an assertion is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AssertionError {
    /// None of the keys is the one that it names: a newer set may have it.
    #[error("it is signed with a key that its client does not publish")]
    UnknownKey,
    /// It is none, or not signed by its client.
    #[error("{0}")]
    Invalid(&'static str),
}

impl AssertionKeys {
    /// The keys of a JWK set (RFC 7517 section 5).
    ///
    /// # Errors
    /// A sentence, when it is none, has no key that verifies signatures (RSA, P-256, P-384 or Ed25519), or
    /// publishes a secret one.
    pub fn parse(json: &[u8]) -> Result<Self, &'static str> {
        let set: JwkSet = serde_json::from_slice(json).map_err(|_| "it is no JWK set")?;
        if set.keys.len() > MAX_KEYS {
            return Err("it has more than 20 keys");
        }
        if set.keys.iter().any(is_secret) {
            return Err("it publishes a secret key");
        }
        let keys = KeySet::usable(&set, Instant::now());
        match keys.len() {
            0 => Err("none of its keys can verify a signature"),
            _ => Ok(Self(keys)),
        }
    }

    /// The claims of an assertion that one of these keys signed. Their meaning is not checked.
    ///
    /// # Errors
    /// [`AssertionError`], which shows nothing of the assertion.
    pub fn verify(&self, assertion: &str) -> Result<Map<String, Value>, AssertionError> {
        let (header, claims, signed) = parts(assertion).ok_or(MALFORMED)?;
        if !header.asks_for_nothing() {
            return Err(AssertionError::Invalid(
                "its header has critical parameters",
            ));
        }
        if !header.is_type(&["jwt", "client-authentication+jwt"]) {
            return Err(AssertionError::Invalid(
                "its type says it is another kind of token",
            ));
        }
        let unverified = Unverified {
            header: &header,
            claims: &claims,
            message: signed.0,
            signature: signed.1,
        };
        match self.0.check(&unverified, ALGORITHMS) {
            Verdict::Verified(_) => Ok(claims.0),
            Verdict::UnknownKey => Err(AssertionError::UnknownKey),
            _ => Err(AssertionError::Invalid(
                "its signature is not one of its client's keys",
            )),
        }
    }
}

impl fmt::Debug for AssertionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AssertionKeys({})", self.0.len())
    }
}

/// Whose an assertion says it is (`sub`), to know whose keys to ask for. Nothing is proven.
pub fn assertion_subject(assertion: &str) -> Option<String> {
    unproven(assertion, "sub")
}

/// What an assertion says in a claim, proven or not.
pub(crate) fn unproven(assertion: &str, claim: &str) -> Option<String> {
    let (_, claims, _) = parts(assertion)?;
    claims.0.get(claim)?.as_str().map(str::to_owned)
}

const MALFORMED: AssertionError = AssertionError::Invalid("it is no signed JWT");

pub(crate) type Parts<'a> = (Header, Claims, (&'a str, &'a str));

/// Header, claims, and the signature beside what it covers, of a JWT that is no access token.
pub(crate) fn parts(assertion: &str) -> Option<Parts<'_>> {
    if assertion.len() > MAX_LEN {
        return None;
    }
    let (message, signature) = assertion.rsplit_once('.')?;
    let (header, claims) = message.split_once('.')?;
    let header = decode(header).ok()?;
    let claims = decode(claims).ok()?;
    Some((header, claims, (message, signature)))
}

/// A symmetric key, or the private half of a pair (RFC 7518 section 6).
fn is_secret(jwk: &Value) -> bool {
    jwk.get("k").is_some() || jwk.get("d").is_some()
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    use mcp_test_support::{Algorithm, SigningKey};
    use serde_json::json;

    use super::*;

    fn sign(key: &SigningKey, header: Value) -> String {
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", encode(&header), encode(&json!({"sub": "ada"})));
        let signature = URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()));
        format!("{message}.{signature}")
    }

    fn keys(keys: &[&SigningKey]) -> AssertionKeys {
        let keys: Vec<_> = keys.iter().map(|key| key.jwk()).collect();
        AssertionKeys::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
    }

    #[test]
    fn what_a_clients_key_signed_is_its_word() {
        for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
            let (key, other) = (
                SigningKey::generate(algorithm),
                SigningKey::generate(algorithm),
            );
            let header = json!({"alg": algorithm.name(), "kid": key.kid()});
            let assertion = sign(&key, header);
            let claims = keys(&[&other, &key]).verify(&assertion);
            assert_eq!(
                claims,
                Ok(json!({"sub": "ada"}).as_object().unwrap().clone())
            );
            assert_eq!(
                keys(&[&other]).verify(&assertion),
                Err(AssertionError::UnknownKey)
            );
            let forged = sign(&other, json!({"alg": algorithm.name(), "kid": key.kid()}));
            let refused = keys(&[&key]).verify(&forged);
            assert!(
                matches!(refused, Err(AssertionError::Invalid(_))),
                "{refused:?}"
            );
        }
    }

    #[test]
    fn another_kind_of_token_is_no_assertion() {
        let key = SigningKey::generate(Algorithm::EdDsa);
        for (extra, is_taken) in [
            (json!({}), true),
            (json!({"typ": "JWT"}), true),
            (json!({"typ": "client-authentication+jwt"}), true),
            (
                json!({"typ": "application/client-authentication+jwt"}),
                true,
            ),
            (json!({"typ": "at+jwt"}), false),
            (json!({"typ": "dpop+jwt"}), false),
            (json!({"crit": ["b64"]}), false),
        ] {
            let mut header = json!({"alg": "EdDSA", "kid": key.kid()});
            let extra_members = extra.as_object().unwrap().clone();
            header.as_object_mut().unwrap().extend(extra_members);
            let verified = keys(&[&key]).verify(&sign(&key, header));
            assert_eq!(verified.is_ok(), is_taken, "{extra}: {verified:?}");
        }
    }

    #[test]
    fn unsigned_and_symmetric_assertions_are_refused() {
        let key = SigningKey::generate(Algorithm::EdDsa);
        for alg in ["none", "HS256", "eddsa"] {
            let assertion = sign(&key, json!({"alg": alg, "kid": key.kid()}));
            let refused = keys(&[&key]).verify(&assertion);
            assert!(
                matches!(refused, Err(AssertionError::Invalid(_))),
                "{alg}: {refused:?}"
            );
        }
        let long = format!("{}.", "x".repeat(MAX_LEN));
        for text in ["", ".", "..", "a.b.c", "e30.e30", long.as_str()] {
            assert!(keys(&[&key]).verify(text).is_err());
            assert_eq!(assertion_subject(text), None);
        }
    }

    #[test]
    fn keys_that_are_no_public_keys_are_refused() {
        let key = SigningKey::generate(Algorithm::Es256).jwk();
        let mut private = key.clone();
        private["d"] = "AA".into();
        for set in [
            json!([]),
            json!({"keys": []}),
            json!({"keys": [private]}),
            json!({"keys": [key, {"kty": "oct", "k": "AA"}]}),
            json!({"keys": [{"kty": "EC", "crv": "P-521", "x": "AA", "y": "AA"}]}),
            json!({"keys": vec![key; MAX_KEYS + 1]}),
        ] {
            assert!(
                AssertionKeys::parse(set.to_string().as_bytes()).is_err(),
                "{set}"
            );
        }
    }
}
