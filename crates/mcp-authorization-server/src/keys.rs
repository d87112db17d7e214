//! Every key of the authorization server, derived from the deployment's encryption keys: the same on
//! every instance, and turned with the key ring. Each kind of sealed text has a sub-key of its own, and
//! is bound to the issuer and the resource by its associated data, so that nothing sealed for one use
//! opens in another.

use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
};

use aws_lc_rs::{
    digest::{SHA256, digest},
    signature::{Ed25519KeyPair, KeyPair as _},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use mcp_session::{Keyring, sub_key};
use serde_json::{Value, json};
use zeroize::Zeroizing;

/// What a sealed text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The part of an access token that only this server reads.
    Access,
    /// A refresh token.
    Refresh,
    /// What an authorization code stands for, in the store.
    Code,
    /// The registration that a client's id holds.
    Client,
    /// What a browser's user agreed to, in its cookie.
    Consent,
    /// An authorization request on its way: in the form of the consent page, and in the browser's cookie
    /// while the user is with the provider.
    Request,
    /// The state of a family of refresh tokens, in the store.
    Family,
    /// An identity assertion that was used, in the store.
    Assertion,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::Access,
        Self::Refresh,
        Self::Code,
        Self::Client,
        Self::Consent,
        Self::Request,
        Self::Family,
        Self::Assertion,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Refresh => "refresh",
            Self::Code => "code",
            Self::Client => "client",
            Self::Consent => "consent",
            Self::Request => "request",
            Self::Family => "family",
            Self::Assertion => "assertion",
        }
    }
}

/// The keys of one authorization server.
pub(crate) struct Keys {
    rings: Vec<Keyring>,
    signing: Signing,
    previous: Vec<Signing>,
    /// Issuer and resource, with their lengths: part of every associated data.
    bound_to: String,
    /// Whether it was said that a previous key is in use.
    told: AtomicBool,
}

/// A key that signs access tokens.
struct Signing {
    pair: Ed25519KeyPair,
    id: String,
}

/// The text was not sealed here, or for something else, or by a key that is no longer known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotOurs;

/// The system has no randomness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CannotSeal;

impl Keys {
    /// The keys that come of the deployment's current encryption key and its previous ones.
    pub(crate) fn new(
        current: &Zeroizing<[u8; 32]>,
        previous: &[Zeroizing<[u8; 32]>],
        issuer: &str,
        resource: &str,
    ) -> Self {
        let ring = |kind: &Kind| {
            let purpose = format!("authorization-server seal {}", kind.as_str());
            let current = half(&sub_key(current, &purpose));
            let previous: Vec<_> = previous
                .iter()
                .map(|key| half(&sub_key(key, &purpose)))
                .collect();
            Keyring::new(&current, &previous)
        };
        Self {
            rings: Kind::ALL.iter().map(ring).collect(),
            signing: Signing::new(current),
            previous: previous.iter().map(Signing::new).collect(),
            bound_to: format!("{} {issuer} {} {resource}", issuer.len(), resource.len()),
            told: AtomicBool::new(false),
        }
    }

    /// Seals a text of this kind, for the `place` it belongs in. As text for URLs and headers.
    pub(crate) fn seal(&self, kind: Kind, place: &str, plain: &[u8]) -> Result<String, CannotSeal> {
        let sealed = self.seal_bytes(kind, place, plain)?;
        Ok(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// The same as bytes, for the store.
    pub(crate) fn seal_bytes(
        &self,
        kind: Kind,
        place: &str,
        plain: &[u8],
    ) -> Result<Vec<u8>, CannotSeal> {
        let ring = self.ring(kind).ok_or(CannotSeal)?;
        ring.seal(&self.associated(kind, place), plain)
            .map_err(|_| CannotSeal)
    }

    /// Opens what [`Keys::seal`] made for the same kind and place, under any key of the ring.
    pub(crate) fn open(
        &self,
        kind: Kind,
        place: &str,
        sealed: &str,
    ) -> Result<Zeroizing<Vec<u8>>, NotOurs> {
        let sealed = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| NotOurs)?;
        self.open_bytes(kind, place, &sealed)
    }

    /// Opens what [`Keys::seal_bytes`] made.
    pub(crate) fn open_bytes(
        &self,
        kind: Kind,
        place: &str,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, NotOurs> {
        let ring = self.ring(kind).ok_or(NotOurs)?;
        let opened = ring.open(&self.associated(kind, place), sealed);
        let opened = opened.map_err(|_| NotOurs)?;
        // All else is sealed anew when it is used; a client keeps its id.
        if kind == Kind::Client && opened.stale && !self.told.swap(true, Ordering::Relaxed) {
            tracing::info!(
                "a previous encryption key is still needed: a client that registered itself under it is at \
                 work (told once)"
            );
        }
        Ok(opened.plaintext)
    }

    /// The names of a fact in the store, under the current key and then under every previous one.
    pub(crate) fn names(&self, kind: Kind, parts: &[&[u8]]) -> Vec<String> {
        let ring = self.ring(kind);
        ring.map_or_else(Vec::new, |ring| {
            ring.names(&format!("as-{}", kind.as_str()), parts)
        })
    }

    /// The name of a fact that is found by something nobody can guess, such as a family. It is the same
    /// under every key, so that instances agree while keys are turned.
    pub(crate) fn place(&self, kind: Kind, parts: &[&str]) -> String {
        let joined = joined(parts.iter().copied());
        let digest = digest_of(&format!("{}{joined}", self.associated(kind, "")));
        format!(
            "mcp:as-{}:v1:{}",
            kind.as_str(),
            URL_SAFE_NO_PAD.encode(digest)
        )
    }

    /// Signs the claims of an access token (RFC 9068).
    pub(crate) fn sign(&self, claims: &Value) -> String {
        let header = json!({"alg": "EdDSA", "typ": "at+jwt", "kid": self.signing.id});
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let mut token = format!("{}.{}", part(&header), part(claims));
        let signature = self.signing.pair.sign(token.as_bytes());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature.as_ref(), &mut token);
        token
    }

    /// The public keys (RFC 7517, RFC 8037), the current one first.
    pub(crate) fn jwks(&self) -> Value {
        let signing = std::iter::once(&self.signing).chain(&self.previous);
        let keys: Vec<_> = signing.map(Signing::jwk).collect();
        json!({ "keys": keys })
    }

    fn ring(&self, kind: Kind) -> Option<&Keyring> {
        let at = Kind::ALL.iter().position(|known| *known == kind)?;
        self.rings.get(at)
    }

    fn associated(&self, kind: Kind, place: &str) -> String {
        format!("{} {} {place}", kind.as_str(), self.bound_to)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys([redacted], {} previous)", self.previous.len())
    }
}

impl Signing {
    #[expect(
        clippy::expect_used,
        reason = "the only error is a length, and the length is in the type"
    )]
    fn new(secret: &Zeroizing<[u8; 32]>) -> Self {
        let seed = half(&sub_key(secret, "authorization-server sign"));
        let pair =
            Ed25519KeyPair::from_seed_unchecked(seed.as_slice()).expect("a seed of 32 bytes");
        // From the public key alone: whoever sees the id learns nothing.
        let digest = digest(&SHA256, pair.public_key().as_ref());
        let id = URL_SAFE_NO_PAD.encode(digest.as_ref().get(..12).unwrap_or_default());
        Self { pair, id }
    }

    fn jwk(&self) -> Value {
        let x = URL_SAFE_NO_PAD.encode(self.pair.public_key().as_ref());
        json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": self.id, "x": x})
    }
}

fn half(key: &Zeroizing<[u8; 64]>) -> Zeroizing<[u8; 32]> {
    let mut half = Zeroizing::new([0; 32]);
    let (first, _) = key.split_at(32);
    half.copy_from_slice(first);
    half
}

/// Parts as one text: with its length before it, no part can run into the next.
pub(crate) fn joined<'p>(parts: impl IntoIterator<Item = &'p str>) -> String {
    let mut joined = String::new();
    for part in parts {
        joined.push_str(&part.len().to_string());
        joined.push(' ');
        joined.push_str(part);
        joined.push(' ');
    }
    joined
}

/// A digest of a text, to compare or to keep in its place.
pub(crate) fn digest_of(text: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    bytes
}

/// Something that nobody can guess, as text for URLs: so many random bytes.
pub(crate) fn random<const N: usize>() -> Result<String, CannotSeal> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(bytes.as_mut_slice()).map_err(|_| CannotSeal)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes.as_slice()))
}
