//! The keys of one issuer: fetched once for many waiters, kept in the process.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tracing::{Instrument as _, Span};
use url::Url;

use crate::{
    claims::Unverified,
    discovery,
    error::{AuthError, InvalidReason},
    fetch::{FetchError, get_json},
    spans,
    status::Outcomes,
};

/// Keys of one set that may be tried for a token without `kid`.
const MAX_TRIES: usize = 8;

/// How long keys are believed, and how often an issuer is asked.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct KeyPolicy {
    /// Age at which a key set is refreshed in the background, while requests go on with it.
    pub fresh_for: Duration,
    /// Age up to which a key set may be used when it cannot be refreshed.
    pub stale_for: Duration,
    /// Least time between two fetches caused by tokens with an unknown key.
    pub cooldown: Duration,
    /// Least time between two fetches after a failed one.
    pub retry_after: Duration,
    /// Limit for one document.
    pub timeout: Duration,
}

impl Default for KeyPolicy {
    fn default() -> Self {
        Self {
            fresh_for: Duration::from_mins(10),
            stale_for: Duration::from_hours(24),
            cooldown: Duration::from_secs(10),
            retry_after: Duration::from_secs(2),
            timeout: Duration::from_secs(5),
        }
    }
}

/// The key set of one issuer and the way to get it.
#[derive(Debug)]
pub(crate) struct KeySource {
    issuer: String,
    client: reqwest::Client,
    policy: KeyPolicy,
    configured_uri: Option<Url>,
    current: ArcSwapOption<KeySet>,
    /// Holding this lock is the right to fetch: there is one fetch at a time.
    fetching: Arc<Mutex<FetchState>>,
    pub(crate) fetches: Outcomes,
}

#[derive(Debug, Default)]
struct FetchState {
    discovered_uri: Option<Url>,
    failed_at: Option<Instant>,
    /// When a token with an unknown key last caused a fetch.
    unknown_key_at: Option<Instant>,
}

/// Why a fetch is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    NoKeys,
    Age,
    UnknownKey,
}

impl Cause {
    fn as_str(self) -> &'static str {
        match self {
            Self::NoKeys => "no_keys",
            Self::Age => "age",
            Self::UnknownKey => "unknown_key",
        }
    }
}

impl KeySource {
    pub(crate) fn new(
        issuer: String,
        configured_uri: Option<Url>,
        client: reqwest::Client,
        policy: KeyPolicy,
    ) -> Arc<Self> {
        let fetching = Arc::default();
        let current = ArcSwapOption::empty();
        Arc::new(Self {
            issuer,
            client,
            policy,
            configured_uri,
            current,
            fetching,
            fetches: Outcomes::default(),
        })
    }

    /// A key set that may be used, without asking anybody.
    pub(crate) fn at_hand(&self, now: Instant) -> Option<Arc<KeySet>> {
        let set = self.current.load_full()?;
        (now.saturating_duration_since(set.asked_at) < self.policy.stale_for).then_some(set)
    }

    /// A key set that may be used; fetched if there is none, refreshed behind the request's back
    /// if it has aged.
    pub(crate) async fn usable(
        self: &Arc<Self>,
        arrived: Instant,
    ) -> Result<Arc<KeySet>, AuthError> {
        match self.at_hand(arrived) {
            None => self.fetch(Cause::NoKeys, arrived).await,
            Some(set) => {
                if arrived.saturating_duration_since(set.asked_at) >= self.policy.fresh_for {
                    self.refresh_in_background(arrived);
                }
                Ok(set)
            }
        }
    }

    /// A key set whose fetch began after `arrived`: what it lacks, the issuer lacks.
    pub(crate) async fn newer_than(
        self: &Arc<Self>,
        arrived: Instant,
    ) -> Result<Arc<KeySet>, AuthError> {
        self.fetch(Cause::UnknownKey, arrived).await
    }

    fn refresh_in_background(self: &Arc<Self>, arrived: Instant) {
        // Somebody who holds the lock is fetching already.
        if let Ok(state) = Arc::clone(&self.fetching).try_lock_owned()
            && self.blocked(&state, Cause::Age, arrived).is_none()
        {
            tokio::spawn(self.download(state, Cause::Age));
        }
    }

    /// Waits for the right to fetch; whoever got it first has answered the others by then.
    async fn fetch(
        self: &Arc<Self>,
        cause: Cause,
        arrived: Instant,
    ) -> Result<Arc<KeySet>, AuthError> {
        let state = Arc::clone(&self.fetching).lock_owned().await;
        let enough = |set: &Arc<KeySet>| cause != Cause::UnknownKey || set.asked_at >= arrived;
        if let Some(set) = self.at_hand(arrived).filter(enough) {
            return Ok(set);
        }
        if let Some(retry_after) = self.blocked(&state, cause, arrived) {
            let reason = if cause == Cause::UnknownKey {
                "the issuer's keys were just refreshed and will not be fetched again yet"
            } else {
                "the issuer's keys could not be fetched"
            };
            return Err(AuthError::Unavailable {
                reason,
                retry_after,
            });
        }
        // In its own task: a client that goes away takes nobody else's fetch with it.
        match tokio::spawn(self.download(state, cause)).await {
            Ok(Some(set)) => Ok(set),
            _ => Err(AuthError::Unavailable {
                reason: "the issuer's keys could not be fetched",
                retry_after: self.policy.retry_after,
            }),
        }
    }

    /// How long a fetch for this cause has to wait, if it has to.
    fn blocked(&self, state: &FetchState, cause: Cause, arrived: Instant) -> Option<Duration> {
        let now = Instant::now();
        let remaining = |since: Option<Instant>, pause: Duration| {
            since.and_then(|at| (at + pause).checked_duration_since(now))
        };
        // A fetch that failed while this request waited for it has answered this request too.
        if state.failed_at.is_some_and(|at| at >= arrived) {
            return Some(self.policy.retry_after);
        }
        let failed = remaining(state.failed_at, self.policy.retry_after);
        let cooling = match cause {
            Cause::UnknownKey => remaining(state.unknown_key_at, self.policy.cooldown),
            Cause::NoKeys | Cause::Age => None,
        };
        failed.max(cooling)
    }

    /// [`publish`](Self::publish) in a span below that of the request, if there is one.
    fn download(
        self: &Arc<Self>,
        state: OwnedMutexGuard<FetchState>,
        cause: Cause,
    ) -> impl Future<Output = Option<Arc<KeySet>>> + Send + use<> {
        let span = spans::fetch_keys(&self.issuer, cause.as_str());
        Arc::clone(self).publish(state, cause).instrument(span)
    }

    /// Fetches and publishes a key set. Holds the right to fetch until it is done.
    async fn publish(
        self: Arc<Self>,
        mut state: OwnedMutexGuard<FetchState>,
        cause: Cause,
    ) -> Option<Arc<KeySet>> {
        if cause == Cause::UnknownKey {
            state.unknown_key_at = Some(Instant::now());
        }
        let downloaded = self.download_from_issuer(&mut state).await;
        self.fetches.count(downloaded.is_ok());
        match downloaded {
            Ok(set) => {
                state.failed_at = None;
                tracing::info!(issuer = %self.issuer, keys = set.keys.len(), ?cause, "issuer keys fetched");
                let set = Arc::new(set);
                self.current.store(Some(Arc::clone(&set)));
                Some(set)
            }
            Err(error) => {
                spans::failed(&Span::current(), error.kind());
                state.failed_at = Some(Instant::now());
                state.discovered_uri = None;
                tracing::error!(issuer = %self.issuer, %error, ?cause, "issuer keys could not be fetched");
                None
            }
        }
    }

    async fn download_from_issuer(&self, state: &mut FetchState) -> Result<KeySet, FetchError> {
        let timeout = self.policy.timeout;
        let uri = match self
            .configured_uri
            .as_ref()
            .or(state.discovered_uri.as_ref())
        {
            Some(uri) => uri.clone(),
            None => {
                let found = discovery::find(&self.client, &self.issuer, timeout).await?;
                found.jwks_uri
            }
        };
        let asked_at = Instant::now();
        let document: JwkSet = get_json(&self.client, &uri, timeout).await?;
        let set = KeySet::usable(&document, asked_at);
        if set.keys.is_empty() {
            return Err(FetchError::Refused(
                "the key set holds no usable signature key",
            ));
        }
        if self.configured_uri.is_none() {
            state.discovered_uri = Some(uri);
        }
        Ok(set)
    }
}

/// The usable public keys of an issuer at one time.
#[derive(Debug)]
pub(crate) struct KeySet {
    keys: Vec<VerificationKey>,
    /// When the fetch began: a key published later may be missing.
    asked_at: Instant,
}

/// What a key set says about a token.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Verified,
    Invalid(InvalidReason),
    /// None of these keys is the token's: a newer set may have it.
    UnknownKey,
}

impl KeySet {
    /// The keys of a document that are fit to verify signatures.
    pub(crate) fn usable(document: &JwkSet, asked_at: Instant) -> Self {
        let keys = document.keys.iter();
        let keys = keys.filter_map(VerificationKey::from_json).collect();
        Self { keys, asked_at }
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
        ALGORITHMS.into_iter().filter(usable)
    }

    /// Whether a key for this `kid` is here (any key, for a token without `kid`).
    pub(crate) fn knows(&self, kid: Option<&str>) -> bool {
        kid.is_none_or(|kid| self.keys.iter().any(|key| key.kid.as_deref() == Some(kid)))
    }

    /// Checks the signature with the key that the token names, under an algorithm that both the
    /// key and the issuer's configuration allow (RFC 8725 sections 3.1 and 3.2).
    pub(crate) fn check(&self, token: &Unverified<'_>, allowed: &[Algorithm]) -> Verdict {
        let Some(algorithm) = algorithm_named(&token.header.alg) else {
            return Verdict::Invalid(InvalidReason::Algorithm);
        };
        if !allowed.contains(&algorithm) {
            return Verdict::Invalid(InvalidReason::Algorithm);
        }
        let kid = token.header.kid.as_deref();
        let named = |key: &&VerificationKey| kid.is_none() || key.kid.as_deref() == kid;
        let mut known = false;
        let mut fitting = 0;
        for key in self.keys.iter().filter(named) {
            known = true;
            if key.algorithms.contains(&algorithm) && fitting < MAX_TRIES {
                fitting += 1;
                if key.verifies(token, algorithm) {
                    return Verdict::Verified;
                }
            }
        }
        match (kid, known, fitting) {
            // Without a `kid`, "wrong signature" and "key not here yet" look the same.
            (None, _, _) | (_, false, _) => Verdict::UnknownKey,
            (Some(_), true, 0) => Verdict::Invalid(InvalidReason::Algorithm),
            (Some(_), true, _) => Verdict::Invalid(InvalidReason::Signature),
        }
    }
}

/// A public key and the algorithms it may be used with.
#[derive(Debug)]
struct VerificationKey {
    kid: Option<String>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

/// A JSON Web Key Set (RFC 7517 section 5). A key that does not decode is left out and spoils no
/// other.
#[derive(Debug, Deserialize)]
pub(crate) struct JwkSet {
    keys: Vec<serde_json::Value>,
}

/// The members of a JSON Web Key that matter here (RFC 7517 section 4, RFC 7518 section 6).
#[derive(Debug, Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    public_key_use: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl VerificationKey {
    fn from_json(value: &serde_json::Value) -> Option<Self> {
        let jwk = Jwk::deserialize(value).ok()?;
        let signs = jwk
            .public_key_use
            .as_deref()
            .is_none_or(|usage| usage == "sig")
            && jwk
                .key_ops
                .as_ref()
                .is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        if !signs {
            return None;
        }
        let (key, mut algorithms) = jwk.key()?;
        if let Some(alg) = &jwk.alg {
            algorithms.retain(|algorithm| algorithm_named(alg) == Some(*algorithm));
        }
        (!algorithms.is_empty()).then_some(Self {
            kid: jwk.kid,
            algorithms,
            key,
        })
    }

    fn verifies(&self, token: &Unverified<'_>, algorithm: Algorithm) -> bool {
        let message = token.message.as_bytes();
        jsonwebtoken::crypto::verify(token.signature, message, &self.key, algorithm)
            .unwrap_or(false)
    }
}

impl Jwk {
    /// The key with the algorithms of its type. A symmetric key (`oct`) is never used: anybody who
    /// can read the key set could sign with it.
    fn key(&self) -> Option<(DecodingKey, Vec<Algorithm>)> {
        match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => {
                let key = DecodingKey::from_rsa_components(self.n.as_deref()?, self.e.as_deref()?);
                Some((key.ok()?, RSA.to_vec()))
            }
            ("EC", Some(curve)) => {
                let algorithm = match curve {
                    "P-256" => Algorithm::ES256,
                    "P-384" => Algorithm::ES384,
                    _ => return None,
                };
                let key = DecodingKey::from_ec_components(self.x.as_deref()?, self.y.as_deref()?);
                Some((key.ok()?, vec![algorithm]))
            }
            ("OKP", Some("Ed25519")) => {
                let key = DecodingKey::from_ed_components(self.x.as_deref()?);
                Some((key.ok()?, vec![Algorithm::EdDSA]))
            }
            _ => None,
        }
    }
}

const RSA: [Algorithm; 6] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

/// Every algorithm that may ever be configured: no `none`, no HMAC.
pub(crate) const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// The algorithm a name stands for (RFC 7518 section 3.1, RFC 8037, RFC 9864), if it is a safe one.
/// Names are case-sensitive.
pub(crate) fn algorithm_named(name: &str) -> Option<Algorithm> {
    Some(match name {
        "RS256" => Algorithm::RS256,
        "RS384" => Algorithm::RS384,
        "RS512" => Algorithm::RS512,
        "PS256" => Algorithm::PS256,
        "PS384" => Algorithm::PS384,
        "PS512" => Algorithm::PS512,
        "ES256" => Algorithm::ES256,
        "ES384" => Algorithm::ES384,
        "EdDSA" | "Ed25519" => Algorithm::EdDSA,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const N: &str = "sXchDaQebHnPiGvyDOAT4saGEUetSyo9MKLOoWFsueri23bOdgWp4Dy1WlUzewbgBHod5pcM9H95GQRV3JDXboIRROSBigeC5yjU1hGzHHyXss8UDprecbAYxknTcQkhslANGRUZmdTOQ5qTRsLAt6BTYuyvVRdhS8exSZEy_c4gs_7svlJJQ4H9_NxsiIoLwAEk7-Q3UXERGYw_75IDrGA84-lA_-Ct4eTlXHBIY2EaV7t7LjJaynVJCpkv4LKjTTAumiGUIuQhrNhZLuF_RJLqHpM2kgWFLU7-VTdL1VbC2tejvcI2BlMkEpk1BzBZI0KQB0GaDWFLN-aEAw3vRw";

    fn algorithms(jwk: serde_json::Value) -> Option<Vec<Algorithm>> {
        VerificationKey::from_json(&jwk).map(|key| key.algorithms)
    }

    #[test]
    fn a_key_is_bound_to_its_algorithms() {
        let rsa = |extra: serde_json::Value| {
            let mut jwk = json!({"kty": "RSA", "n": N, "e": "AQAB"});
            jwk.as_object_mut()
                .unwrap()
                .extend(extra.as_object().unwrap().clone());
            algorithms(jwk)
        };
        assert_eq!(rsa(json!({})), Some(RSA.to_vec()));
        assert_eq!(rsa(json!({"alg": "PS256"})), Some(vec![Algorithm::PS256]));
        assert_eq!(
            rsa(json!({"use": "sig", "alg": "RS256"})),
            Some(vec![Algorithm::RS256])
        );
        assert_eq!(rsa(json!({"use": "enc"})), None);
        assert_eq!(rsa(json!({"key_ops": ["encrypt"]})), None);
        assert_eq!(rsa(json!({"alg": "RSA-OAEP"})), None);
        assert_eq!(rsa(json!({"alg": "HS256"})), None);
    }

    #[test]
    fn symmetric_and_unknown_keys_are_never_used() {
        assert_eq!(algorithms(json!({"kty": "oct", "k": "c2VjcmV0"})), None);
        assert_eq!(
            algorithms(json!({"kty": "oct", "k": "c2VjcmV0", "alg": "RS256"})),
            None
        );
        assert_eq!(
            algorithms(json!({"kty": "EC", "crv": "P-521", "x": "AA", "y": "AA"})),
            None
        );
        assert_eq!(
            algorithms(json!({"kty": "OKP", "crv": "X25519", "x": "AA"})),
            None
        );
        assert_eq!(algorithms(json!({"kty": "RSA"})), None);
        assert_eq!(algorithms(json!("RSA")), None);
    }

    #[test]
    fn unsafe_algorithms_have_no_name_here() {
        for name in [
            "none", "None", "HS256", "HS384", "HS512", "rs256", "ES512", "ES256K", "",
        ] {
            assert_eq!(algorithm_named(name), None, "{name}");
        }
        for algorithm in ALGORITHMS {
            assert_eq!(algorithm_named(&format!("{algorithm:?}")), Some(algorithm));
        }
    }

    /// RFC 7518 section 3.3: a key of less than 2,048 bits is no key. Both signatures are good.
    #[test]
    fn a_short_rsa_key_verifies_nothing() {
        const SHORT: (&str, &str) = (
            "0rjvl1q0Gk00DOwpZAUailiYENanh1DSoeOt-svvFiYlrAAOPfJWRKlNIBcOGPBqVcBs_V4cFgttssDlBTo0YzDjwRCheg1nxIAQ9_XjK1G-Ob_dlZGIyTcrsd2J0ssjdCmvFWOTpnWg77I8JfqEFOOz1Fik6KpoFL6WpIvaGwc",
            "eyJhbGciOiJSUzI1NiJ9.e30.nXF91Mc-Kx21c9I5CgDQV-kglY8y0QWkb63hK0o9r5Taa6D4w4ODEIR0jmjnvVuVKKt3qUkJjO8v15u92EH_De_qq-BZ0S_nnvxqtv2uPiuCaWLWITcCWgrJvWbSCCi3a-kTDtrOJMNFsDQ5XXbjxFIxZkcZR-CBk4P5Q8mFwP4",
        );
        const LONG: (&str, &str) = (
            "pF9v45_mbEHqZpEWO0kOKPjF9FlR7gv8TOexAkFd6Oxj20h7Wa0JSEHeCWsf0twCtaSmWvk0MOAXsyWUN9yHoXpOCuZ6EGP8v5RFpwkR_TuCAwRToWF_XcHtzBaxaDSrNOtuOhny8UvZnVL7hH6U5td0eHcRVHLvI8dfqd6kcV2JVBWgCjGF4BcUvHjAkIub9Cwla-vMO6dBktD5YXDefd4085EXRoExMaYnZjFyypWroJNQWpaptFL9u7aTXp07-8ql18__RfayadGHwRXq5PbpA5cJiktkyabC1Tr0IsllXRQhpmNtZTfFKgbpUGwmjligetGj8FqoE3UsS_iJiQ",
            "eyJhbGciOiJSUzI1NiJ9.e30.MeJz65CLfE6XUADKWefcMq0UyIIltyiOHYp_oNdRqv_ZzcWM2iFaPz-f4NtlZs6xsUdTGxcNd_1TGDJkTZNS38NCArY0sn5q9pKkiX-KFi3cOLuWv10eAhKBwBfG2TSz_ZIRKk85W2U8xgKAajr2D4uaBGppkYyqKN1aTstSKJ8NtwLI5yhoakwIG44s4SsShuIyoRPn3KGkCFdL44vV6GTigSZzO6gEeyjWgMdlo1efxRzue4GVaQH59EykqIA2RScAu3aBPtanRfkvfkWvSdiPUf3gp-h2Tyy3qJSNybCKOkRPpbKKepDpkA68RVS3woqvtckPCrFtoHGAvaVSrw",
        );
        let verdict = |(n, token): (&str, &str)| {
            let set = json!({"keys": [{"kty": "RSA", "n": n, "e": "AQAB"}]});
            let set = JwkSet::deserialize(set).unwrap();
            let token = crate::AccessToken::parse(&format!("Bearer {token}")).unwrap();
            let token = Unverified::parse(&token).unwrap();
            KeySet::usable(&set, Instant::now()).check(&token, &ALGORITHMS)
        };
        assert_eq!(verdict(LONG), Verdict::Verified);
        assert_ne!(verdict(SHORT), Verdict::Verified);
    }
}
