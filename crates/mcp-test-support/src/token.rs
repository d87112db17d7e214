//! Tokens of every kind, good and broken.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

use crate::keys::SigningKey;

/// Builds one JWT. Made by [`Issuer::token`](crate::Issuer::token), which fills in a token that a
/// well-configured server accepts; each method then bends one thing.
#[derive(Clone, Debug)]
#[must_use]
pub struct TokenBuilder {
    header: Map<String, Value>,
    claims: Map<String, Value>,
    signature: Signature,
    key: Arc<SigningKey>,
    /// The issuer's clock when this was begun.
    now: i64,
}

#[derive(Clone, Copy, Debug)]
enum Signature {
    Right,
    Tampered,
    HmacWithPublicKey,
    None,
}

impl TokenBuilder {
    /// A token with the claims `iss`, `aud`, `sub`, `org_id`, `scope`, `iat`, `exp` (one hour)
    /// and `jti`, signed by `key`.
    pub fn new(issuer: &str, audience: &[String], key: Arc<SigningKey>) -> Self {
        Self::at(seconds(SystemTime::now()), issuer, audience, key)
    }

    /// The same by a clock that shows `now`, in seconds since 1970.
    pub(crate) fn at(now: i64, issuer: &str, audience: &[String], key: Arc<SigningKey>) -> Self {
        let claims = json!({
            "iss": issuer, "aud": audience, "sub": "user_1", "org_id": "org_1",
            "scope": "openid profile email offline_access",
            "iat": now, "exp": now + 3600, "jti": uuid::Uuid::new_v4().to_string(),
        });
        Self {
            header: Map::new(),
            claims: object(claims),
            signature: Signature::Right,
            key,
            now,
        }
        .signed_by_header()
    }

    /// Sets `sub`.
    pub fn subject(self, subject: &str) -> Self {
        self.claim("sub", subject)
    }

    /// Sets `org_id`.
    pub fn organization(self, organization: &str) -> Self {
        self.claim("org_id", organization)
    }

    /// Sets `aud` to this one audience, as a string.
    pub fn audience(self, audience: &str) -> Self {
        self.claim("aud", audience)
    }

    /// Sets `scope`, space-separated.
    pub fn scope(self, scope: &str) -> Self {
        self.claim("scope", scope)
    }

    /// Sets `exp` to so many seconds from now; negative for a token that has expired.
    pub fn expires_in(self, from_now: i64) -> Self {
        let at = self.now + from_now;
        self.claim("exp", at)
    }

    /// Sets `nbf` to so many seconds from now.
    pub fn not_before_in(self, from_now: i64) -> Self {
        let at = self.now + from_now;
        self.claim("nbf", at)
    }

    /// Sets any claim to any value.
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.to_owned(), value.into());
        self
    }

    /// Leaves a claim out.
    pub fn without(mut self, name: &str) -> Self {
        self.claims.remove(name);
        self
    }

    /// Sets any header field (`kid`, `typ`, `alg`, `crit`, …); the signature stays the key's own.
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header.insert(name.to_owned(), value.into());
        self
    }

    /// Leaves a header field out.
    pub fn without_header(mut self, name: &str) -> Self {
        self.header.remove(name);
        self
    }

    /// Signs with this key, and names it in `kid` and `alg`.
    pub fn signed_by(mut self, key: Arc<SigningKey>) -> Self {
        self.key = key;
        self.signed_by_header()
    }

    /// Breaks the signature: right form, right length, wrong bytes.
    pub fn tampered(mut self) -> Self {
        self.signature = Signature::Tampered;
        self
    }

    /// `alg: none` and an empty signature.
    pub fn unsigned(mut self) -> Self {
        self.signature = Signature::None;
        self.header("alg", "none")
    }

    /// `alg: HS256`, keyed with the public key in PEM form.
    pub fn hmac_with_public_key(mut self) -> Self {
        self.signature = Signature::HmacWithPublicKey;
        self.header("alg", "HS256")
    }

    /// The token.
    #[must_use]
    pub fn mint(&self) -> String {
        let message = format!("{}.{}", segment(&self.header), segment(&self.claims));
        let signature = match self.signature {
            Signature::Right => self.key.sign(message.as_bytes()),
            Signature::Tampered => self
                .key
                .sign(message.as_bytes())
                .iter()
                .map(|byte| byte ^ 0x55)
                .collect(),
            Signature::HmacWithPublicKey => self.key.hmac_with_public_key(message.as_bytes()),
            Signature::None => Vec::new(),
        };
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn signed_by_header(mut self) -> Self {
        self.header.insert("typ".into(), "at+jwt".into());
        self.header
            .insert("alg".into(), self.key.algorithm().name().into());
        self.header.insert("kid".into(), self.key.kid().into());
        self
    }
}

/// The claims of a JWT, **unverified**: what the API stand-in reads the owner from.
#[must_use]
pub fn payload_of(token: &str) -> Option<Map<String, Value>> {
    let payload = token.split('.').nth(1)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

fn segment(fields: &Map<String, Value>) -> String {
    URL_SAFE_NO_PAD.encode(Value::Object(fields.clone()).to_string())
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

pub(crate) fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
