//! Tokens, keys and certificates. What is secret is never quoted.

use secrecy::SecretString;
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

/// 32 bytes from 64 hexadecimal characters. The text is never quoted.
pub(crate) fn key(value: &str) -> Parsed<Zeroizing<[u8; 32]>> {
    let fix = "make one with: openssl rand -hex 32";
    let digits = Zeroizing::new(value.trim().as_bytes().to_vec());
    if digits.len() != 64 {
        let hint = match digits.len() {
            44 => "; it may be base64, and has to be hexadecimal",
            66 if digits.starts_with(b"0x") => "; leave the 0x out",
            _ => "",
        };
        return refuse(
            format!("a key has 64 characters, this one {}{hint}", digits.len()),
            fix,
        );
    }
    let mut key = Zeroizing::new([0_u8; 32]);
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |at: Option<&u8>| at.copied().and_then(nibble);
        let (Some(high), Some(low)) = (digit(pair.first()), digit(pair.last())) else {
            return refuse("a key has hexadecimal characters only (0-9, a-f)", fix);
        };
        *byte = high << 4 | low;
    }
    if key.iter().all(|byte| Some(byte) == key.first()) {
        return refuse("one byte repeated is no key", fix);
    }
    Ok(key)
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
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
