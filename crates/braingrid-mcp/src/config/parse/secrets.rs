//! Tokens, keys and certificates. What is secret is never quoted.

use mcp_auth::ClientKey;
use mcp_session::KeyProblem;
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::{Parsed, quoted, refuse};

/// A bearer token. Its text is never quoted.
pub(crate) fn token(value: &str) -> Parsed<SecretString> {
    let bare = value.trim();
    let bare = match bare.split_once(' ') {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("bearer") => rest.trim_start(),
        _ => bare,
    };
    if bare.chars().all(|c| c.is_ascii_graphic()) && !bare.is_empty() {
        return Ok(SecretString::from(bare));
    }
    refuse(
        "it is no token",
        "paste the token alone: no quotes, spaces or line breaks",
    )
}

/// A client's secret, whatever an issuer makes of one.
#[expect(clippy::unnecessary_wraps, reason = "a parser like the others")]
pub(crate) fn secret(value: &str) -> Parsed<SecretString> {
    Ok(SecretString::from(value))
}

/// What whoever sends events has in common with this server. Its text is never quoted.
pub(crate) fn event_secret(value: &str) -> Parsed<SecretString> {
    const LEAST: usize = 16;
    let secret = token(value)?;
    if secret.expose_secret().len() >= LEAST {
        return Ok(secret);
    }
    refuse(
        format!("it is shorter than {LEAST} characters, and can be guessed"),
        "use the one that the provider shows, or make one with: openssl rand -hex 32",
    )
}

/// The public keys of a client, a JWK set (RFC 7517 section 5).
pub(crate) fn public_keys(value: &str) -> Parsed<serde_json::Value> {
    if let Err(problem) = mcp_auth::AssertionKeys::parse(value.as_bytes()) {
        let fix = "write a JWK set with the client's public keys: {\"keys\": [...]}";
        return refuse(problem, fix);
    }
    serde_json::from_str(value).or_else(|_| refuse("it is no JSON", "write a JWK set"))
}

/// A client's private key. The text is never quoted.
pub(crate) fn client_key(value: &str) -> Parsed<ClientKey> {
    ClientKey::from_pem(value).or_else(|error| {
        refuse(
            error.to_string(),
            "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 makes one",
        )
    })
}

/// 32 bytes from 64 hexadecimal characters. The text is never quoted.
pub(crate) fn key(value: &str) -> Parsed<Zeroizing<[u8; 32]>> {
    let fix = "make one with: openssl rand -hex 32";
    mcp_session::parse_key(value).or_else(|problem| match problem {
        KeyProblem::Length(length) => {
            let hint = match length {
                44 => "; it may be base64, and has to be hexadecimal",
                66 if value.trim().starts_with("0x") => "; leave the 0x out",
                _ => "",
            };
            refuse(
                format!("a key has 64 characters, this one {length}{hint}"),
                fix,
            )
        }
        KeyProblem::NotHex => refuse("a key has hexadecimal characters only (0-9, a-f)", fix),
        KeyProblem::Weak => refuse("one byte repeated is no key", fix),
    })
}

/// A file with certificates in PEM form.
pub(crate) fn certificates(value: &str) -> Parsed<Vec<u8>> {
    match std::fs::read(value) {
        Ok(pem) if pem.windows(10).any(|text| text == b"-----BEGIN") => {
            Ok(crate::text::without_mark(&pem).to_vec())
        }
        Ok(_) => refuse(
            format!("{} holds no certificate", quoted(value)),
            "name a PEM file, which has -----BEGIN CERTIFICATE----- in it",
        ),
        Err(error) => refuse(
            format!("{} cannot be read ({})", quoted(value), error.kind()),
            "name a file that this process may read",
        ),
    }
}
