//! [`Keyring`]: seals session records with AES-256-GCM, opens them again, survives key rotation.
//!
//! Envelope: version (1 byte) ‖ key id (8) ‖ nonce (12, random) ‖ ciphertext and tag. Associated
//! data: version ‖ key id ‖ full store key name, so a record opens only in the place it was
//! written to. Every purpose has its own HKDF sub-key; the configured key itself is kept nowhere.

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, KeyType, Prk, Salt},
    hmac,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use mcp_auth::AccessToken;
use zeroize::Zeroizing;

use crate::key::SessionKey;

const VERSION: u8 = 1;
const ID_LEN: usize = 8;
const NONCE_LEN: usize = 12;
const TAG_LEN: usize = 16;
/// Bytes that sealing adds to a plaintext: the header and the tag.
pub(crate) const OVERHEAD: usize = 1 + ID_LEN + NONCE_LEN + TAG_LEN;

/// The encryption keys of a deployment. The current key seals; it and all previous keys open.
///
/// Rotation in two deploys, without a logout: first give every instance the new key as a previous
/// one, then make it the current key and the old one previous. Drop the old key when nothing lives any
/// more that it names or seals: sessions, and facts.
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
        Self::new(&random_key(), &[])
    }

    /// A ring from keys written as 64 hexadecimal characters each.
    ///
    /// # Errors
    /// [`KeyringError`] names the key that cannot be used and says how to make a good one.
    pub fn from_hex(current: &str, previous: &[&str]) -> Result<Self, KeyringError> {
        let current = parse_nth(current, 0)?;
        let previous: Result<Vec<_>, _> = previous
            .iter()
            .enumerate()
            .map(|(at, key)| parse_nth(key, at + 1))
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

    /// The names of a fact, under the current key and then under every previous one: keyed hashes of
    /// its parts, of which no two lists give the same. Nobody without the key can compute one.
    pub fn names(&self, kind: &str, parts: &[&[u8]]) -> Vec<String> {
        let keys = std::iter::once(&self.current).chain(&self.previous);
        let name = |key: &Key| format!("mcp:{kind}:v1:{}", key.hash(kind, parts));
        keys.map(name).collect()
    }

    /// Seals `plaintext` for the store entry `name` under the current key.
    ///
    /// # Errors
    /// [`SealError`] when the system has no randomness or the record is absurdly long.
    pub fn seal(&self, name: &str, plaintext: &[u8]) -> Result<Vec<u8>, SealError> {
        let key = &self.current;
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(|_| SealError)?;
        let ciphertext = encrypt(&key.cipher, nonce, &key.associated_data(name), plaintext)?;
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
        let plaintext = decrypt(&key.cipher, *nonce, &key.associated_data(name), ciphertext)?;
        Ok(Opened { plaintext, stale })
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
    cipher: LessSafeKey,
    naming: hmac::Key,
    facts: hmac::Key,
}

impl Key {
    fn new(secret: &Zeroizing<[u8; 32]>) -> Self {
        let root = extract(secret);
        let seal = expand::<32>(&root, b"seal");
        let naming = expand::<64>(&root, b"session-key");
        let facts = expand::<64>(&root, b"fact-name");
        Self {
            id: *expand::<ID_LEN>(&root, b"key-id"),
            cipher: cipher(&seal),
            naming: hmac::Key::new(hmac::HMAC_SHA256, naming.as_slice()),
            facts: hmac::Key::new(hmac::HMAC_SHA256, facts.as_slice()),
        }
    }

    fn session_key(&self, token: &AccessToken) -> SessionKey {
        let tag = hmac::sign(&self.naming, token.expose().as_bytes());
        let mut digest = [0; 32];
        digest.copy_from_slice(tag.as_ref());
        SessionKey::new(digest)
    }

    fn hash(&self, kind: &str, parts: &[&[u8]]) -> String {
        let mut context = hmac::Context::with_key(&self.facts);
        for part in std::iter::once(kind.as_bytes()).chain(parts.iter().copied()) {
            // With its length before it, no part can run into the next.
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        URL_SAFE_NO_PAD.encode(context.sign())
    }

    fn associated_data(&self, name: &str) -> Vec<u8> {
        // The first two parts have a fixed length: no two inputs give the same bytes.
        [[VERSION].as_slice(), &self.id, name.as_bytes()].concat()
    }
}

#[expect(
    clippy::expect_used,
    reason = "the only error is a length, and the length is in the type"
)]
fn cipher(key: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("a key of 256 bits"))
}

fn encrypt(
    cipher: &LessSafeKey,
    nonce: [u8; NONCE_LEN],
    aad: &[u8],
    plaintext: &[u8],
) -> Result<Vec<u8>, SealError> {
    let mut sealed = Zeroizing::new(Vec::with_capacity(plaintext.len() + TAG_LEN));
    sealed.extend_from_slice(plaintext);
    let nonce = Nonce::assume_unique_for_key(nonce);
    cipher
        .seal_in_place_append_tag(nonce, Aad::from(aad), &mut *sealed)
        .map_err(|_| SealError)?;
    Ok(std::mem::take(&mut *sealed))
}

fn decrypt(
    cipher: &LessSafeKey,
    nonce: [u8; NONCE_LEN],
    aad: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let mut opened = Zeroizing::new(sealed.to_vec());
    let nonce = Nonce::assume_unique_for_key(nonce);
    let length = cipher
        .open_in_place(nonce, Aad::from(aad), &mut opened)
        .map_err(|_| OpenError::Tampered)?
        .len();
    opened.truncate(length);
    Ok(opened)
}

/// A secret that nobody else has, where none is configured.
///
/// # Panics
/// When the system has no randomness.
#[expect(
    clippy::expect_used,
    reason = "without randomness nothing here is safe, and no caller could go on"
)]
pub fn random_key() -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    getrandom::fill(key.as_mut_slice()).expect("the system has randomness");
    key
}

/// A key for another purpose than sessions, from the same secret. Whoever has it learns nothing
/// about the secret or about any other key (HKDF, RFC 5869).
pub fn sub_key(secret: &Zeroizing<[u8; 32]>, purpose: &str) -> Zeroizing<[u8; 64]> {
    // No purpose of the ring's own begins like this.
    expand(&extract(secret), format!("for {purpose}").as_bytes())
}

fn extract(secret: &Zeroizing<[u8; 32]>) -> Prk {
    Salt::new(HKDF_SHA256, b"mcp-session v1").extract(secret.as_slice())
}

fn expand<const N: usize>(root: &Prk, purpose: &[u8]) -> Zeroizing<[u8; N]> {
    struct Length(usize);
    impl KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
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
    root.expand(&[purpose], Length(N))
        .and_then(|filled| filled.fill(key.as_mut_slice()))
        .expect("a length that HKDF can give");
    key
}

/// A key written as 64 hexadecimal characters.
///
/// # Errors
/// [`KeyProblem`], which holds nothing of the text.
pub fn parse_key(text: &str) -> Result<Zeroizing<[u8; 32]>, KeyProblem> {
    let text = text.trim();
    if text.len() != 64 {
        return Err(KeyProblem::Length(text.len()));
    }
    let mut key = Zeroizing::new([0_u8; 32]);
    hex::decode_to_slice(text, key.as_mut_slice()).map_err(|_| KeyProblem::NotHex)?;
    if key.iter().all(|byte| Some(byte) == key.first()) {
        return Err(KeyProblem::Weak);
    }
    Ok(key)
}

fn parse_nth(text: &str, position: usize) -> Result<Zeroizing<[u8; 32]>, KeyringError> {
    parse_key(text).map_err(|problem| KeyringError { position, problem })
}

/// A key of the ring cannot be used. Says which and what to do, never what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyringError {
    position: usize,
    problem: KeyProblem,
}

/// What is wrong with the text of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyProblem {
    /// It has so many bytes, and not 64.
    Length(usize),
    /// It has other characters than 0-9, a-f and A-F.
    NotHex,
    /// It repeats one byte.
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
mod tests;
#[cfg(test)]
mod vectors;
