//! Sealing and opening: what comes back, and everything that must not.

use std::time::{Duration, UNIX_EPOCH};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use mcp_auth::{Principal, PrincipalRecord};
use proptest::prelude::*;

use super::*;
use crate::{record, session::Session, testing};

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
    fn wiped<T: zeroize::ZeroizeOnDrop>(_: &T) {}
    // The contexts of the cipher and of the keyed hash are aws-lc's, which wipes whatever it frees
    // (`OPENSSL_free`, `HMAC_CTX_cleanup`).
    let root = extract(&random_key());
    wiped(&expand::<32>(&root, b"seal"));
    let ring = ring(1, &[]);
    wiped(
        &ring
            .open(NAME, &ring.seal(NAME, b"x").unwrap())
            .unwrap()
            .plaintext,
    );
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

    /// Whoever writes to the store cannot make one principal's record answer for another's token,
    /// however much the two have in common.
    #[test]
    fn no_principal_reads_the_record_of_another(a in who(), b in who()) {
        let ring = ring(1, &[2]);
        let name = |who: &Who| {
            let segment = |text: String| URL_SAFE_NO_PAD.encode(text);
            let claims = segment(format!("{who:?}"));
            let header = segment("{}".to_owned());
            let token = AccessToken::parse(&format!("Bearer {header}.{claims}.sig")).unwrap();
            ring.session_key(&token).to_string()
        };
        let session = Session::new(principal_of(&a), None, UNIX_EPOCH, Duration::from_hours(1));
        let sealed = ring.seal(&name(&a), &record::encode(&session).unwrap()).unwrap();
        let opened = ring.open(&name(&b), &sealed);
        prop_assert_eq!(opened.is_ok(), a == b);
        if let Ok(opened) = opened {
            let found = record::decode(&opened.plaintext, Duration::MAX).unwrap();
            prop_assert_eq!(found.principal(), &principal_of(&b));
        }
    }
}

/// Issuer, subject, organization and client.
type Who = (String, String, Option<String>, Option<String>);

/// From few letters, so that two of them often share some parts, or all.
fn who() -> impl Strategy<Value = Who> {
    let word = || "[ab]{1,2}";
    let (organization, client) = (prop::option::of(word()), prop::option::of(word()));
    (word(), word(), organization, client)
}

fn principal_of((issuer, subject, organization, client): &Who) -> Principal {
    Principal::from_record(PrincipalRecord {
        issuer: issuer.clone(),
        subject: subject.clone(),
        organization: organization.clone(),
        client_id: client.clone(),
        ..testing::principal("", 5_000).to_record()
    })
}

#[test]
fn a_sub_key_is_its_own_for_each_purpose_and_secret() {
    let (one, other) = (Zeroizing::new([1; 32]), Zeroizing::new([2; 32]));
    assert_eq!(sub_key(&one, "audit"), sub_key(&one, "audit"));
    assert_ne!(sub_key(&one, "audit"), sub_key(&one, "seal"));
    assert_ne!(sub_key(&one, "audit"), sub_key(&other, "audit"));
    assert!(!sub_key(&one, "audit").starts_with(&*one));
}

/// By HKDF as RFC 5869 has it, computed elsewhere: an instance of any version finds what another sealed.
#[test]
fn sub_keys_are_derived_as_the_standard_says() {
    let secret = Zeroizing::new([1; 32]);
    let id = expand::<ID_LEN>(&extract(&secret), b"key-id");
    assert_eq!(hex::encode(*id), "e5ba712460f69747");
    assert_eq!(
        hex::encode(*sub_key(&secret, "audit")),
        "fd6701c7c39c7b0b88dd89c60f4733717cd90c9f8678f434d78bf4bcf5024c1d\
         31e15c49bd8d811eb58175bc16108fdda9894c4e0678501a82d031eb5a4e9418"
    );
}
