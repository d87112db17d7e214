//! How this server proves to an issuer which of its clients it is.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::digest::{SHA256, digest};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::error::ConfigError;

/// How a client authenticates at the token endpoint.
#[derive(Clone)]
pub enum ClientAuthentication {
    /// `client_secret_basic`: the secret in HTTP Basic (RFC 6749 section 2.3.1).
    SecretBasic(Zeroizing<String>),
    /// `client_secret_post`: the secret in the form.
    SecretPost(Zeroizing<String>),
    /// `private_key_jwt`: an assertion for each request (RFC 7523 section 2.2).
    PrivateKeyJwt(ClientKey),
}

impl fmt::Debug for ClientAuthentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SecretBasic(_) => "SecretBasic([redacted])",
            Self::SecretPost(_) => "SecretPost([redacted])",
            Self::PrivateKeyJwt(_) => "PrivateKeyJwt([redacted])",
        })
    }
}

/// The private key that a client signs its assertions with.
#[derive(Clone)]
pub struct ClientKey(Box<Signer>);

#[derive(Clone)]
struct Signer {
    key: EncodingKey,
    header: Header,
}

/// How long an assertion is good. Each is sent once, at once: this is for clocks that differ.
const ASSERTION_LIFETIME: Duration = Duration::from_mins(5);

impl ClientKey {
    /// Reads an RSA, P-256, P-384 or Ed25519 key in PKCS #8. Where a certificate is in the text
    /// too, assertions name it by its thumbprint and are signed with PSS, as Entra wants it.
    ///
    /// # Errors
    /// [`ConfigError::ClientKey`], which holds nothing of the text.
    pub fn from_pem(pem: &str) -> Result<Self, ConfigError> {
        let private = block(pem, "PRIVATE KEY").ok_or(ConfigError::ClientKey(
            "is not in PEM, or is encrypted: PKCS #8 (BEGIN PRIVATE KEY) is read",
        ))?;
        let certificate = block(pem, "CERTIFICATE").map(thumbprint).transpose()?;
        let of_rsa = if certificate.is_some() {
            Algorithm::PS256
        } else {
            Algorithm::RS256
        };
        let private = private.as_bytes();
        let readings = [
            (of_rsa, EncodingKey::from_rsa_pem(private)),
            (Algorithm::ES256, EncodingKey::from_ec_pem(private)),
            (Algorithm::ES384, EncodingKey::from_ec_pem(private)),
            (Algorithm::EdDSA, EncodingKey::from_ed_pem(private)),
        ];
        for (algorithm, key) in readings {
            let Ok(key) = key else { continue };
            let mut header = Header::new(algorithm);
            header.x5t_s256.clone_from(&certificate);
            let key = Self(Box::new(Signer { key, header }));
            // That it can be read does not say that it can sign.
            if key.sign(&json!({})).is_some() {
                return Ok(key);
            }
        }
        Err(ConfigError::ClientKey(
            "is of a kind that cannot sign here: RSA, P-256, P-384 and Ed25519 can",
        ))
    }

    /// The same key, with the id under which the issuer knows it (`kid`).
    #[must_use]
    pub fn named(mut self, id: impl Into<String>) -> Self {
        self.0.header.kid = Some(id.into());
        self
    }

    /// An assertion that this is `client`, for `audience`. `None` when there is no randomness.
    pub fn assertion(
        &self,
        client: &str,
        audience: &str,
        now: SystemTime,
    ) -> Option<Zeroizing<String>> {
        let mut id = [0; 16];
        aws_lc_rs::rand::fill(&mut id).ok()?;
        let now = now.duration_since(UNIX_EPOCH).ok()?.as_secs();
        self.sign(&json!({
            "iss": client, "sub": client, "aud": audience, "jti": URL_SAFE_NO_PAD.encode(id),
            "iat": now, "exp": now + ASSERTION_LIFETIME.as_secs(),
        }))
    }

    fn sign(&self, claims: &Value) -> Option<Zeroizing<String>> {
        let signed = jsonwebtoken::encode(&self.0.header, claims, &self.0.key);
        signed.ok().map(Zeroizing::new)
    }
}

impl fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientKey([redacted])")
    }
}

/// The first block of this label, with its lines around it.
fn block<'a>(pem: &'a str, label: &str) -> Option<&'a str> {
    let end = format!("-----END {label}-----");
    let from = pem.find(&format!("-----BEGIN {label}-----"))?;
    let rest = pem.get(from..)?;
    rest.get(..rest.find(&end)? + end.len())
}

/// `x5t#S256` (RFC 7515 section 4.1.8).
fn thumbprint(certificate: &str) -> Result<String, ConfigError> {
    let body = certificate.lines().filter(|line| !line.contains("-----"));
    let body: String = body.map(str::trim).collect();
    let der = STANDARD.decode(body);
    let der = der.map_err(|_| ConfigError::ClientKey("comes with a certificate that is no PEM"))?;
    Ok(URL_SAFE_NO_PAD.encode(digest(&SHA256, &der)))
}
