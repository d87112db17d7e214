//! [`Keyring`]: seals session records with AES-256-GCM, opens them again, survives key rotation.
//!
//! Envelope: version (1 byte) ‖ key id (8) ‖ nonce (12, random) ‖ ciphertext and tag. Associated
//! data: version ‖ key id ‖ full store key name, so a record opens only in the place it was
//! written to. Every purpose has its own HKDF sub-key; the configured key itself is kept nowhere.

use std::fmt;

use aes_gcm::{
    Aes256Gcm, KeyInit, Nonce,
    aead::{Aead, Generate, Payload, consts::U12},
};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use mcp_auth::AccessToken;
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

use crate::key::SessionKey;

const VERSION: u8 = 1;
const ID_LEN: usize = 8;
const NONCE_LEN: usize = 12;
/// Bytes that sealing adds to a plaintext: the header and the 16-byte tag.
pub(crate) const OVERHEAD: usize = 1 + ID_LEN + NONCE_LEN + 16;

/// The encryption keys of a deployment. The current key seals; it and all previous keys open.
///
/// Rotation in two deploys, without a logout: first give every instance the new key as a previous
/// one, then make it the current key and the old one previous. Drop the old key after the longest
/// session lifetime.
pub struct Keyring {
    current: Key,
    previous: Vec<Key>,
}

/// Plaintext of a sealed record.
pub struct Opened {
    /// The record; wiped when dropped.
    pub plaintext: Zeroizing<Vec<u8>>,
    /// Sealed by a previous key: seal it again under the current one.
    pub stale: bool,
}

impl Keyring {
    /// A ring of a current key and any number of previous ones.
    pub fn new(current: &Zeroizing<[u8; 32]>, previous: &[Zeroizing<[u8; 32]>]) -> Self {
        Self {
            current: Key::new(current),
            previous: previous.iter().map(Key::new).collect(),
        }
    }

    /// A ring of one random key, for a store that nobody else reads. Its records are lost with it.
    pub fn random() -> Self {
        Self::new(&Zeroizing::new(<[u8; 32]>::generate()), &[])
    }

    /// A ring from keys written as 64 hexadecimal characters each.
    ///
    /// # Errors
    /// [`KeyringError`] names the key that cannot be used and says how to make a good one.
    pub fn from_hex(current: &str, previous: &[&str]) -> Result<Self, KeyringError> {
        let current = parse_hex(current, 0)?;
        let previous: Result<Vec<_>, _> = previous
            .iter()
            .enumerate()
            .map(|(at, key)| parse_hex(key, at + 1))
            .collect();
        Ok(Self::new(&current, &previous?))
    }

    /// The key a session is kept under: a keyed hash of its access token.
    pub fn session_key(&self, token: &AccessToken) -> SessionKey {
        self.current.session_key(token)
    }

    /// The keys under which earlier deployments kept the session, newest first.
    pub(crate) fn previous_keys(&self, token: &AccessToken) -> impl Iterator<Item = SessionKey> {
        self.previous.iter().map(|key| key.session_key(token))
    }

    /// Seals `plaintext` for the store entry `name` under the current key.
    ///
    /// # Errors
    /// [`SealError`] when the system has no randomness or the record is absurdly long.
    pub fn seal(&self, name: &str, plaintext: &[u8]) -> Result<Vec<u8>, SealError> {
        let key = &self.current;
        let nonce = Nonce::<U12>::try_generate().map_err(|_| SealError)?;
        let aad = key.associated_data(name);
        let payload = Payload {
            msg: plaintext,
            aad: &aad,
        };
        let ciphertext = key.cipher.encrypt(&nonce, payload).map_err(|_| SealError)?;
        let mut sealed = Vec::with_capacity(plaintext.len() + OVERHEAD);
        sealed.push(VERSION);
        sealed.extend_from_slice(&key.id);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&ciphertext);
        Ok(sealed)
    }

    /// Opens what was sealed for the store entry `name` by any key of the ring.
    ///
    /// # Errors
    /// [`OpenError`] when it was not: another format, an unknown key, another entry, or tampered.
    pub fn open(&self, name: &str, sealed: &[u8]) -> Result<Opened, OpenError> {
        let (version, rest) = sealed.split_first().ok_or(OpenError::Format)?;
        let (id, rest) = rest
            .split_first_chunk::<ID_LEN>()
            .ok_or(OpenError::Format)?;
        let (nonce, ciphertext) = rest
            .split_first_chunk::<NONCE_LEN>()
            .ok_or(OpenError::Format)?;
        if *version != VERSION {
            return Err(OpenError::Format);
        }
        let (key, stale) = self.find(*id).ok_or(OpenError::UnknownKey)?;
        let payload = Payload {
            msg: ciphertext,
            aad: &key.associated_data(name),
        };
        let nonce = Nonce::<U12>::from(*nonce);
        let plaintext = key
            .cipher
            .decrypt(&nonce, payload)
            .map_err(|_| OpenError::Tampered)?;
        Ok(Opened {
            plaintext: Zeroizing::new(plaintext),
            stale,
        })
    }

    fn find(&self, id: [u8; ID_LEN]) -> Option<(&Key, bool)> {
        if self.current.id == id {
            return Some((&self.current, false));
        }
        self.previous
            .iter()
            .find(|key| key.id == id)
            .map(|key| (key, true))
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyring([redacted], {} previous)", self.previous.len())
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opened([redacted], stale: {})", self.stale)
    }
}

/// The sub-keys of one configured key.
struct Key {
    id: [u8; ID_LEN],
    cipher: Aes256Gcm,
    naming: Hmac<Sha256>,
}

impl Key {
    fn new(secret: &Zeroizing<[u8; 32]>) -> Self {
        let (mut extracted, hkdf) =
            Hkdf::<Sha256>::extract(Some(b"mcp-session v1"), secret.as_slice());
        extracted.as_mut_slice().zeroize();
        let seal = expand::<32>(&hkdf, b"seal");
        let naming = expand::<64>(&hkdf, b"session-key");
        Self {
            id: *expand::<ID_LEN>(&hkdf, b"key-id"),
            cipher: Aes256Gcm::new((&*seal).into()),
            naming: Hmac::new((&*naming).into()),
        }
    }

    fn session_key(&self, token: &AccessToken) -> SessionKey {
        let mut mac = self.naming.clone();
        mac.update(token.expose().as_bytes());
        SessionKey::new(mac.finalize().into_bytes().into())
    }

    fn associated_data(&self, name: &str) -> Vec<u8> {
        // The first two parts have a fixed length: no two inputs give the same bytes.
        [[VERSION].as_slice(), &self.id, name.as_bytes()].concat()
    }
}

fn expand<const N: usize>(hkdf: &Hkdf<Sha256>, purpose: &[u8]) -> Zeroizing<[u8; N]> {
    const {
        assert!(
            N <= 255 * 32,
            "RFC 5869 section 2.3: at most 255 hash lengths"
        );
    };
    let mut key = Zeroizing::new([0; N]);
    #[expect(
        clippy::expect_used,
        reason = "the only error is a length that is checked above"
    )]
    hkdf.expand(purpose, key.as_mut_slice())
        .expect("a length that HKDF can give");
    key
}

fn parse_hex(text: &str, position: usize) -> Result<Zeroizing<[u8; 32]>, KeyringError> {
    let text = text.trim();
    let wrong = |problem| KeyringError { position, problem };
    if text.len() != 64 {
        return Err(wrong(KeyProblem::Length(text.len())));
    }
    let mut key = Zeroizing::new([0_u8; 32]);
    let (pairs, _) = text.as_bytes().as_chunks::<2>();
    for (byte, pair) in key.iter_mut().zip(pairs) {
        let high = hex_digit(pair[0]).ok_or_else(|| wrong(KeyProblem::NotHex))?;
        let low = hex_digit(pair[1]).ok_or_else(|| wrong(KeyProblem::NotHex))?;
        *byte = high << 4 | low;
    }
    if key.windows(2).all(|pair| pair.first() == pair.last()) {
        key.zeroize();
        return Err(wrong(KeyProblem::Weak));
    }
    Ok(key)
}

fn hex_digit(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}

/// A key of the ring cannot be used. Says which and what to do, never what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyringError {
    position: usize,
    problem: KeyProblem,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeyProblem {
    Length(usize),
    NotHex,
    Weak,
}

impl fmt::Display for KeyringError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            0 => write!(f, "the encryption key ")?,
            previous => write!(f, "previous encryption key {previous} ")?,
        }
        match self.problem {
            KeyProblem::Length(found) => write!(f, "has {found} characters instead of 64")?,
            KeyProblem::NotHex => write!(f, "has characters other than 0-9 and a-f")?,
            KeyProblem::Weak => write!(f, "repeats one byte and protects nothing")?,
        }
        write!(f, ": make one with `openssl rand -hex 32`")
    }
}

impl std::error::Error for KeyringError {}

/// A record could not be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the record could not be sealed")]
pub struct SealError;

/// Why sealed bytes did not open. All of them mean: there is no such record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Too short, or a version this program does not write.
    #[error("unknown envelope format")]
    Format,
    /// Sealed by a key that is not in the ring.
    #[error("sealed by an unknown key")]
    UnknownKey,
    /// Altered, or moved here from another entry.
    #[error("authentication failed")]
    Tampered,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NAME: &str = "mcp:session:v1:abc";

    fn ring(current: u8, previous: &[u8]) -> Keyring {
        let key = |seed: u8| Zeroizing::new([seed; 32]);
        let previous: Vec<_> = previous.iter().map(|seed| key(*seed)).collect();
        Keyring::new(&key(current), &previous)
    }

    fn open_error(result: Result<Opened, OpenError>) -> OpenError {
        result.expect_err("must not open")
    }

    #[test]
    fn what_was_sealed_opens_again() {
        let ring = ring(1, &[]);
        let sealed = ring.seal(NAME, b"hello").unwrap();
        let opened = ring.open(NAME, &sealed).unwrap();
        assert_eq!(opened.plaintext.as_slice(), b"hello");
        assert!(!opened.stale);
        assert_eq!(sealed.len(), 5 + OVERHEAD);
    }

    #[test]
    fn two_seals_of_one_record_share_no_nonce() {
        let ring = ring(1, &[]);
        let nonce = |sealed: Vec<u8>| sealed[1 + ID_LEN..1 + ID_LEN + NONCE_LEN].to_vec();
        let first = nonce(ring.seal(NAME, b"x").unwrap());
        assert_ne!(first, nonce(ring.seal(NAME, b"x").unwrap()));
    }

    #[test]
    fn a_record_moved_to_another_entry_does_not_open() {
        let ring = ring(1, &[]);
        let sealed = ring.seal(NAME, b"hello").unwrap();
        let moved = ring.open("mcp:session:v1:abd", &sealed);
        assert_eq!(open_error(moved), OpenError::Tampered);
    }

    #[test]
    fn the_previous_key_opens_and_says_so() {
        let sealed = ring(1, &[]).seal(NAME, b"hello").unwrap();
        let opened = ring(2, &[1]).open(NAME, &sealed).unwrap();
        assert_eq!(opened.plaintext.as_slice(), b"hello");
        assert!(opened.stale);
    }

    #[test]
    fn a_foreign_key_opens_nothing() {
        let sealed = ring(1, &[]).seal(NAME, b"hello").unwrap();
        assert_eq!(
            open_error(ring(2, &[3]).open(NAME, &sealed)),
            OpenError::UnknownKey
        );
    }

    #[test]
    fn bad_keys_are_refused_with_the_fix() {
        let good = "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF";
        assert!(Keyring::from_hex(good, &[good]).is_ok());
        let cases = [
            ("short", "the encryption key has 5 characters instead of 64"),
            (
                &good.replace('0', "g"),
                "the encryption key has characters other than",
            ),
            (&"7f".repeat(32), "the encryption key repeats one byte"),
        ];
        for (key, expected) in cases {
            let message = Keyring::from_hex(key, &[]).unwrap_err().to_string();
            assert!(message.starts_with(expected), "{message}");
            assert!(message.ends_with("openssl rand -hex 32`"), "{message}");
        }
        let message = Keyring::from_hex(good, &[good, "x"])
            .unwrap_err()
            .to_string();
        assert!(
            message.starts_with("previous encryption key 2 has 1 characters"),
            "{message}"
        );
    }

    #[test]
    fn keys_are_wiped_when_they_are_dropped() {
        fn wiped<T: zeroize::ZeroizeOnDrop>() {}
        wiped::<Aes256Gcm>();
        // An HMAC holds nothing but two states of its hash.
        wiped::<Sha256>();
        wiped::<Zeroizing<[u8; 32]>>();
    }

    #[test]
    fn debug_shows_no_key_and_no_plaintext() {
        let ring = ring(1, &[2]);
        assert_eq!(format!("{ring:?}"), "Keyring([redacted], 1 previous)");
        let sealed = ring.seal(NAME, b"hello").unwrap();
        let opened = ring.open(NAME, &sealed).unwrap();
        assert_eq!(format!("{opened:?}"), "Opened([redacted], stale: false)");
    }

    #[test]
    fn every_flipped_byte_is_refused() {
        let ring = ring(1, &[2]);
        let sealed = ring
            .seal(NAME, b"a principal and its upstream token")
            .unwrap();
        for at in 0..sealed.len() {
            for bit in 0..8 {
                let mut altered = sealed.clone();
                altered[at] ^= 1 << bit;
                assert!(ring.open(NAME, &altered).is_err(), "byte {at}, bit {bit}");
            }
        }
    }

    proptest! {
        #[test]
        fn nothing_but_the_sealed_bytes_opens(
            plaintext in prop::collection::vec(any::<u8>(), 0..512),
            at in any::<prop::sample::Index>(),
            flip in 1_u8..,
            cut in any::<prop::sample::Index>(),
        ) {
            let ring = ring(1, &[2]);
            let sealed = ring.seal(NAME, &plaintext).unwrap();
            let opened = ring.open(NAME, &sealed).unwrap();
            prop_assert_eq!(opened.plaintext.as_slice(), plaintext.as_slice());
            let mut altered = sealed.clone();
            altered[at.index(sealed.len())] ^= flip;
            prop_assert!(ring.open(NAME, &altered).is_err());
            prop_assert!(ring.open(NAME, &sealed[..cut.index(sealed.len())]).is_err());
        }

        #[test]
        fn no_token_opens_the_record_of_another(
            a in "[A-Za-z0-9._-]{1,100}",
            b in "[A-Za-z0-9._-]{1,100}",
        ) {
            let ring = ring(1, &[]);
            let name = |token: &str| {
                let token = AccessToken::parse(&format!("Bearer {token}")).unwrap();
                ring.session_key(&token).to_string()
            };
            let sealed = ring.seal(&name(&a), b"a principal").unwrap();
            prop_assert_eq!(ring.open(&name(&b), &sealed).is_ok(), a == b);
        }

        #[test]
        fn arbitrary_bytes_never_open(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
            prop_assert!(ring(1, &[2]).open(NAME, &bytes).is_err());
        }
    }
}
