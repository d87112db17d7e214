//! One published key (RFC 7517, RFC 7518 section 6): what it verifies, or why it verifies nothing.
//!
//! Issuers write keys in more ways than the standards have. What is the same number in another
//! spelling is read; what is weak or of an unknown kind is kept as a [`RefusedKey`], so that a token
//! that names it is not called bad for its issuer's fault.

use base64::{
    Engine,
    alphabet::URL_SAFE,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use jsonwebtoken::Algorithm;
use serde_json::Value;

use crate::{jwt::Unverified, public_key::PublicKey};

/// A public key and the algorithms it may be used with.
#[derive(Debug)]
pub(crate) struct VerificationKey {
    pub(crate) kid: Option<String>,
    /// The same for the same key, whatever it is called and however it is written.
    pub(crate) id: u64,
    pub(crate) algorithms: Vec<Algorithm>,
    key: PublicKey,
}

/// A published key that verifies nothing here.
#[derive(Debug)]
pub(crate) struct RefusedKey {
    kid: Option<String>,
    family: Option<Family>,
    pub(crate) fault: Fault,
    /// Whether it is a key at all (RFC 7517 section 4.1), and not a list's stray member.
    pub(crate) has_type: bool,
}

/// Why a key is not used; for the operator's log, and for the sentence that its tokens get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Fault {
    /// No fault: it is published for another purpose.
    Purpose,
    Type,
    Curve,
    Algorithm,
    Encoding,
    Size,
    Exponent,
    Point,
}

impl Fault {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Purpose => "it is not for signatures (use, key_ops, alg)",
            Self::Type => "its type is not RSA, EC or OKP",
            Self::Curve => "its curve is not P-256, P-384 or Ed25519",
            Self::Algorithm => "its algorithm (alg) is unknown, unsafe or of another type of key",
            Self::Encoding => "its numbers (n, e, x, y) are missing or no base64url",
            Self::Size => "its modulus is shorter than 2048 bits or longer than 8192",
            Self::Exponent => "its exponent is even or too small",
            Self::Point => "its coordinates are too long, or no point of its curve",
        }
    }
}

/// Types of keys that can sign, as `kty` names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Rsa,
    Ec,
    Okp,
}

impl Family {
    fn named(kty: &str) -> Option<Self> {
        match kty.to_ascii_uppercase().as_str() {
            "RSA" => Some(Self::Rsa),
            "EC" => Some(Self::Ec),
            "OKP" => Some(Self::Okp),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Rsa => "RSA",
            Self::Ec => "EC",
            Self::Okp => "OKP",
        }
    }

    fn of(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::ES256 | Algorithm::ES384 => Self::Ec,
            Algorithm::EdDSA => Self::Okp,
            _ => Self::Rsa,
        }
    }
}

impl VerificationKey {
    /// Reads one member of `keys`.
    pub(crate) fn from_json(jwk: &Value) -> Result<Self, RefusedKey> {
        let family = text(jwk, "kty").and_then(Family::named);
        let kid = kid(jwk);
        match usable(jwk, family) {
            Ok((key, algorithms)) => Ok(Self {
                kid,
                id: key.id(),
                algorithms,
                key,
            }),
            Err(fault) => Err(RefusedKey {
                kid,
                family,
                fault,
                has_type: text(jwk, "kty").is_some(),
            }),
        }
    }

    pub(crate) fn verifies(&self, token: &Unverified<'_>, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm) && self.key.made(token, algorithm)
    }

    /// Whether it made this signature, in an algorithm of its type that its `alg` does not name.
    /// That says who signed, and lets nobody in: a key is used in the algorithm that it is for
    /// (RFC 7517 section 4.4, RFC 8725 section 3.1).
    pub(crate) fn made_in_another_algorithm(
        &self,
        token: &Unverified<'_>,
        algorithm: Algorithm,
    ) -> bool {
        let of_its_type = |own: &Algorithm| Family::of(*own) == Family::Rsa;
        Family::of(algorithm) == Family::Rsa
            && self.algorithms.iter().all(of_its_type)
            && !self.algorithms.contains(&algorithm)
            && self.key.made(token, algorithm)
    }
}

impl RefusedKey {
    /// Whether a token with this `kid` and algorithm may be signed with this key, so that nobody
    /// can call it bad.
    pub(crate) fn may_have_signed(&self, kid: Option<&str>, algorithm: Algorithm) -> bool {
        match kid {
            Some(kid) => self.kid.as_deref() == Some(kid),
            None => self.fault != Fault::Purpose && self.family == Some(Family::of(algorithm)),
        }
    }

    /// Its `kid`, short and plain, for a log line.
    pub(crate) fn name(&self) -> String {
        let kid = self.kid.as_deref().unwrap_or("-");
        kid.chars()
            .filter(char::is_ascii_graphic)
            .take(64)
            .collect()
    }
}

fn usable(jwk: &Value, family: Option<Family>) -> Result<(PublicKey, Vec<Algorithm>), Fault> {
    if !is_for_signatures(jwk) || text(jwk, "alg").is_some_and(encrypts) {
        return Err(Fault::Purpose);
    }
    // A symmetric key (`oct`) is never used: anybody who reads the key set could sign with it.
    let family = family.ok_or(Fault::Type)?;
    let key = match family {
        Family::Rsa => rsa(jwk)?,
        Family::Ec => ec(jwk)?,
        Family::Okp => okp(jwk)?,
    };
    let mut algorithms: Vec<_> = key.algorithms().collect();
    // Some write the type once more, or nothing.
    if let Some(named) = text(jwk, "alg").filter(|alg| !alg.eq_ignore_ascii_case(family.name())) {
        algorithms.retain(|algorithm| algorithm_of_key(named) == Some(*algorithm));
    }
    if algorithms.is_empty() {
        return Err(Fault::Algorithm);
    }
    Ok((key, algorithms))
}

/// Whether an algorithm manages keys for encryption (RFC 7518 section 4.1): many issuers publish
/// such a key beside those for signatures, some without `use`.
fn encrypts(alg: &str) -> bool {
    let alg = alg.to_ascii_uppercase();
    let begins = |start: &&str| alg.starts_with(*start);
    ["RSA-OAEP", "RSA1_5", "ECDH-ES"].iter().any(begins)
}

/// `use` and `key_ops` (RFC 7517 sections 4.2 and 4.3). What is empty, null or of another type says
/// nothing; `sign` is what the private half does.
fn is_for_signatures(jwk: &Value) -> bool {
    let means = |value: &str, words: &[&str]| words.iter().any(|it| it.eq_ignore_ascii_case(value));
    let signs =
        text(jwk, "use").is_none_or(|usage| means(usage, &["sig", "sign", "signing", "signature"]));
    let ops = match jwk.get("key_ops") {
        Some(Value::Array(ops)) => ops.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(op)) => vec![op.as_str()],
        _ => Vec::new(),
    };
    let verifies = |op: &&str| means(op.trim(), &["verify", "sign"]);
    signs && (ops.iter().all(|op| op.trim().is_empty()) || ops.iter().any(verifies))
}

/// An RSA key of 2,048 bits or more (RFC 7518 section 3.3), up to what the library takes.
fn rsa(jwk: &Value) -> Result<PublicKey, Fault> {
    let (n, e) = (number(jwk, "n")?, number(jwk, "e")?);
    let bits = n.len() * 8 - n.first().map_or(0, |byte| byte.leading_zeros() as usize);
    if !(2048..=8192).contains(&bits) {
        return Err(Fault::Size);
    }
    match e.as_slice() {
        [] | [1] => return Err(Fault::Exponent),
        [.., last] if last % 2 == 0 => return Err(Fault::Exponent),
        _ => {}
    }
    PublicKey::rsa(&n, &e).map_err(|_| Fault::Size)
}

fn ec(jwk: &Value) -> Result<PublicKey, Fault> {
    let (algorithm, length): (_, usize) = match text(jwk, "crv") {
        Some("P-256") => (Algorithm::ES256, 32),
        Some("P-384") => (Algorithm::ES384, 48),
        _ => return Err(Fault::Curve),
    };
    // Uncompressed: 0x04, x, y (SEC 1 section 2.3.3).
    let mut point = vec![0x04];
    for name in ["x", "y"] {
        let coordinate = number(jwk, name)?;
        let missing = length.checked_sub(coordinate.len()).ok_or(Fault::Point)?;
        point.extend(std::iter::repeat_n(0, missing));
        point.extend(coordinate);
    }
    PublicKey::of_curve(algorithm, &point).map_err(|_| Fault::Point)
}

fn okp(jwk: &Value) -> Result<PublicKey, Fault> {
    if text(jwk, "crv") != Some("Ed25519") {
        return Err(Fault::Curve);
    }
    let x = bytes(jwk, "x")?;
    PublicKey::of_curve(Algorithm::EdDSA, &x).map_err(|_| Fault::Point)
}

/// A member that is text and says something.
fn text<'j>(jwk: &'j Value, name: &str) -> Option<&'j str> {
    let text = jwk.get(name)?.as_str()?.trim();
    (!text.is_empty()).then_some(text)
}

/// `kid` as text, if it has any; a number stands for its digits.
fn kid(jwk: &Value) -> Option<String> {
    match jwk.get("kid")? {
        Value::String(kid) => Some(kid.clone()).filter(|kid| !kid.is_empty()),
        Value::Number(kid) => Some(kid.to_string()),
        _ => None,
    }
}

/// An unsigned number without leading zeros: RFC 7518 section 6.3.1.1 warns of libraries that
/// write one too many, and some leave out those of coordinates.
fn number(jwk: &Value, name: &str) -> Result<Vec<u8>, Fault> {
    let bytes = bytes(jwk, name)?;
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    Ok(bytes.into_iter().skip(zeros).collect())
}

/// base64url, with what is harmless beside it: padding, the plain alphabet, line breaks.
fn bytes(jwk: &Value, name: &str) -> Result<Vec<u8>, Fault> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &URL_SAFE,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    );
    let spelled = text(jwk, name).ok_or(Fault::Encoding)?;
    let plain = spelled.chars().filter(|c| !c.is_ascii_whitespace());
    let plain = plain.map(|c| match c {
        '+' => '-',
        '/' => '_',
        other => other,
    });
    LENIENT
        .decode(plain.collect::<String>())
        .map_err(|_| Fault::Encoding)
}

/// Every algorithm that may ever be configured: no `none`, no HMAC.
pub(crate) const ALGORITHMS: &[Algorithm] = &[
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

/// The signature algorithms that may be configured, by name (RFC 7518 section 3.1, RFC 8037).
///
/// ```
/// assert!(mcp_auth::signature_algorithms().any(|name| name == "ES256"));
/// ```
pub fn signature_algorithms() -> impl Iterator<Item = String> {
    ALGORITHMS.iter().map(|algorithm| format!("{algorithm:?}"))
}

/// The algorithm a name stands for (RFC 7518 section 3.1, RFC 8037, RFC 9864), if it is a safe one.
/// Names are case-sensitive.
pub(crate) fn algorithm_named(name: &str) -> Option<Algorithm> {
    let name = if name == "Ed25519" { "EdDSA" } else { name };
    let algorithm: Algorithm = name.parse().ok()?;
    ALGORITHMS.contains(&algorithm).then_some(algorithm)
}

/// The algorithm that a key's `alg` names. It only narrows what the key's type allows, so its case
/// is forgiven, which that of a token's `alg` is not.
fn algorithm_of_key(name: &str) -> Option<Algorithm> {
    let same = |known: &&Algorithm| format!("{known:?}").eq_ignore_ascii_case(name);
    let known = ALGORITHMS.iter().find(same).copied();
    known.or_else(|| algorithm_named(name))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use serde_json::json;

    use super::*;
    use crate::key_set::KeySet;

    const N: &str = "sXchDaQebHnPiGvyDOAT4saGEUetSyo9MKLOoWFsueri23bOdgWp4Dy1WlUzewbgBHod5pcM9H95GQRV3JDXboIRROSBigeC5yjU1hGzHHyXss8UDprecbAYxknTcQkhslANGRUZmdTOQ5qTRsLAt6BTYuyvVRdhS8exSZEy_c4gs_7svlJJQ4H9_NxsiIoLwAEk7-Q3UXERGYw_75IDrGA84-lA_-Ct4eTlXHBIY2EaV7t7LjJaynVJCpkv4LKjTTAumiGUIuQhrNhZLuF_RJLqHpM2kgWFLU7-VTdL1VbC2tejvcI2BlMkEpk1BzBZI0KQB0GaDWFLN-aEAw3vRw";

    fn algorithms(jwk: serde_json::Value) -> Option<Vec<Algorithm>> {
        VerificationKey::from_json(&jwk)
            .ok()
            .map(|key| key.algorithms)
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
        let of_its_type = |it: &Algorithm| Family::of(*it) == Family::Rsa;
        let all = ALGORITHMS.iter().copied().filter(of_its_type).collect();
        assert_eq!(rsa(json!({})), Some(all));
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
        for &algorithm in ALGORITHMS {
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
            let set = serde_json::from_value(set).unwrap();
            let token = crate::AccessToken::parse(&format!("Bearer {token}")).unwrap();
            let token = token.jwt().unwrap();
            KeySet::usable(&set, Instant::now()).check(&token, ALGORITHMS)
        };
        assert!(verdict(LONG).is_verified());
        assert!(!verdict(SHORT).is_verified());
    }
}
