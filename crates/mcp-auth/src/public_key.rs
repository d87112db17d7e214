//! [`PublicKey`]: made ready once for each algorithm of its type. Made ready for each signature anew,
//! an RSA key takes a tenth of what checking one does.

use aws_lc_rs::{
    digest,
    error::KeyRejected,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey,
        RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
        RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512,
        RsaParameters, RsaPublicKeyComponents, VerificationAlgorithm,
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;

use crate::jwt::Unverified;

/// A public key, under every algorithm that its type has.
#[derive(Debug)]
pub(crate) struct PublicKey {
    id: u64,
    ready: Vec<(Algorithm, ParsedPublicKey)>,
}

/// RFC 7518 sections 3.3 and 3.5.
const RSA: &[(Algorithm, &RsaParameters)] = &[
    (Algorithm::RS256, &RSA_PKCS1_2048_8192_SHA256),
    (Algorithm::RS384, &RSA_PKCS1_2048_8192_SHA384),
    (Algorithm::RS512, &RSA_PKCS1_2048_8192_SHA512),
    (Algorithm::PS256, &RSA_PSS_2048_8192_SHA256),
    (Algorithm::PS384, &RSA_PSS_2048_8192_SHA384),
    (Algorithm::PS512, &RSA_PSS_2048_8192_SHA512),
];

impl PublicKey {
    /// Modulus and exponent, big-endian without leading zeros. The modulus' length is checked with
    /// each signature.
    pub(crate) fn rsa(n: &[u8], e: &[u8]) -> Result<Self, KeyRejected> {
        let key = RsaPublicKeyComponents { n, e };
        let ready = |(algorithm, parameters): &(Algorithm, &'static RsaParameters)| {
            let key = key.to_parsed_public_key(parameters)?;
            Ok::<_, KeyRejected>((*algorithm, key))
        };
        Ok(Self {
            id: fingerprint(&[n, e]),
            ready: RSA.iter().map(ready).collect::<Result<_, _>>()?,
        })
    }

    /// A point of the curve that the algorithm is for.
    pub(crate) fn of_curve(algorithm: Algorithm, point: &[u8]) -> Result<Self, KeyRejected> {
        let verification: &'static dyn VerificationAlgorithm = match algorithm {
            Algorithm::ES384 => &ECDSA_P384_SHA384_FIXED,
            Algorithm::EdDSA => &ED25519,
            _ => &ECDSA_P256_SHA256_FIXED,
        };
        let key = ParsedPublicKey::new(verification, point)?;
        Ok(Self {
            id: fingerprint(&[point]),
            ready: vec![(algorithm, key)],
        })
    }

    /// The same for the same key, whatever it is called and however it is written.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// The algorithms of its type.
    pub(crate) fn algorithms(&self) -> impl Iterator<Item = Algorithm> {
        self.ready.iter().map(|(algorithm, _)| *algorithm)
    }

    /// Whether it made the token's signature, in this algorithm.
    pub(crate) fn made(&self, token: &Unverified<'_>, algorithm: Algorithm) -> bool {
        let Some((_, key)) = self.ready.iter().find(|(own, _)| *own == algorithm) else {
            return false;
        };
        let signature = URL_SAFE_NO_PAD.decode(unpadded(token.signature));
        signature.is_ok_and(|it| key.verify_sig(token.message.as_bytes(), &it).is_ok())
    }
}

/// Some issuers pad. Only as far as base64 pads (RFC 4648 section 3.2): a token that could be written
/// in many ways would be a new one each time.
fn unpadded(signature: &str) -> &str {
    let bare = signature.trim_end_matches('=');
    let is_padded = signature.len() - bare.len() <= 2 && signature.len().is_multiple_of(4);
    if is_padded { bare } else { signature }
}

/// A fingerprint of the numbers that a key is made of.
fn fingerprint(numbers: &[&[u8]]) -> u64 {
    let mut hash = digest::Context::new(&digest::SHA256);
    for number in numbers {
        hash.update(&(number.len() as u64).to_be_bytes());
        hash.update(number);
    }
    let hash = hash.finish();
    let first = hash.as_ref().iter().take(8);
    first.fold(0, |id, byte| (id << 8) | u64::from(*byte))
}
