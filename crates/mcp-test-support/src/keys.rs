//! Key pairs made at start: no private key is ever in the repository.

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der},
    hmac,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
        Ed25519KeyPair, KeyPair, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256,
        RSA_PSS_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey, VerificationAlgorithm,
    },
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};

/// How a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RSA 2048, PKCS#1 v1.5, SHA-256.
    Rs256,
    /// ECDSA over P-256, SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// The name in a JOSE header.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// A private key with the id it is published under.
#[derive(Debug)]
pub struct SigningKey {
    kid: String,
    pair: Pair,
}

#[derive(Debug)]
enum Pair {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl SigningKey {
    /// A new key pair with a random key id.
    #[must_use]
    pub fn generate(algorithm: Algorithm) -> Self {
        let pair = match algorithm {
            Algorithm::Rs256 => RsaKeyPair::generate(KeySize::Rsa2048).map(Pair::Rsa),
            Algorithm::Es256 => {
                EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map(Pair::P256)
            }
            Algorithm::EdDsa => Ed25519KeyPair::generate().map(Pair::Ed25519),
        };
        Self {
            kid: crate::random_hex(8),
            pair: pair.expect("the library makes keys"),
        }
    }

    /// The key id.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The algorithm it signs with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match self.pair {
            Pair::Rsa(_) => Algorithm::Rs256,
            Pair::P256(_) => Algorithm::Es256,
            Pair::Ed25519(_) => Algorithm::EdDsa,
        }
    }

    /// The raw signature over `message`, in the form JOSE uses.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .expect("the buffer is as long as the modulus");
                signature
            }
            Pair::P256(pair) => pair
                .sign(&random, message)
                .expect("a P-256 key signs")
                .as_ref()
                .to_vec(),
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// Whether this key made the signature; `algorithm` is the name in the JOSE header.
    #[must_use]
    pub fn verifies(&self, algorithm: &str, message: &[u8], signature: &[u8]) -> bool {
        let (public, how): (&[u8], &'static dyn VerificationAlgorithm) =
            match (&self.pair, algorithm) {
                (Pair::Rsa(pair), "RS256") => {
                    (pair.public_key().as_ref(), &RSA_PKCS1_2048_8192_SHA256)
                }
                (Pair::Rsa(pair), "PS256") => {
                    (pair.public_key().as_ref(), &RSA_PSS_2048_8192_SHA256)
                }
                (Pair::P256(pair), "ES256") => {
                    (pair.public_key().as_ref(), &ECDSA_P256_SHA256_FIXED)
                }
                (Pair::Ed25519(pair), "EdDSA") => (pair.public_key().as_ref(), &ED25519),
                _ => return false,
            };
        UnparsedPublicKey::new(how, public)
            .verify(message, signature)
            .is_ok()
    }

    /// The private half as PEM (PKCS #8), as a client has it in a file.
    #[must_use]
    pub fn private_pem(&self) -> String {
        let der = |pair: &dyn AsDer<Pkcs8V1Der<'static>>| Ok(pair.as_der()?.as_ref().to_vec());
        let der = match &self.pair {
            Pair::Rsa(pair) => der(pair),
            Pair::P256(pair) => pair.to_pkcs8v1().map(|it| it.as_ref().to_vec()),
            Pair::Ed25519(pair) => der(pair),
        };
        let der = der.expect("a key pair has a DER form");
        pem("PRIVATE KEY", &der)
    }

    /// The public half as a JWK (RFC 7517).
    #[must_use]
    pub fn jwk(&self) -> Value {
        let mut jwk = match &self.pair {
            Pair::Rsa(pair) => {
                let public = pair.public_key();
                json!({
                    "kty": "RSA",
                    "n": URL_SAFE_NO_PAD.encode(public.modulus().big_endian_without_leading_zero()),
                    "e": URL_SAFE_NO_PAD.encode(public.exponent().big_endian_without_leading_zero()),
                })
            }
            Pair::P256(pair) => {
                // Uncompressed point: 0x04, x, y (SEC 1, section 2.3.3).
                let point = pair.public_key().as_ref();
                let (x, y) = point.split_at(1).1.split_at(32);
                json!({
                    "kty": "EC", "crv": "P-256",
                    "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
                })
            }
            Pair::Ed25519(pair) => json!({
                "kty": "OKP", "crv": "Ed25519",
                "x": URL_SAFE_NO_PAD.encode(pair.public_key().as_ref()),
            }),
        };
        if let Some(fields) = jwk.as_object_mut() {
            fields.insert("kid".into(), self.kid.clone().into());
            fields.insert("use".into(), "sig".into());
            fields.insert("alg".into(), self.algorithm().name().into());
        }
        jwk
    }

    /// The public half as PEM (`SubjectPublicKeyInfo`).
    #[must_use]
    pub fn public_pem(&self) -> String {
        let der: PublicKeyX509Der<'_> = match &self.pair {
            Pair::Rsa(pair) => pair.public_key().as_der(),
            Pair::P256(pair) => pair.public_key().as_der(),
            Pair::Ed25519(pair) => pair.public_key().as_der(),
        }
        .expect("a public key has a DER form");
        pem("PUBLIC KEY", der.as_ref())
    }

    /// HMAC-SHA-256 keyed with the *public* key: the classic key confusion attack.
    #[must_use]
    pub fn hmac_with_public_key(&self, message: &[u8]) -> Vec<u8> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.public_pem().as_bytes());
        hmac::sign(&key, message).as_ref().to_vec()
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines = text.as_bytes().chunks(64).map(String::from_utf8_lossy);
    let lines: Vec<_> = lines.collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}
