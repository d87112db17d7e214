//! [`SessionKey`]: under which name a session is kept. The only place that names store keys.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// A keyed hash (HMAC-SHA256) of an access token: which session, without saying whose.
///
/// It is no secret: without the encryption key nobody can compute it from a token or the other
/// way round. [`Keyring::session_key`](crate::Keyring::session_key) makes it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey([u8; 32]);

impl SessionKey {
    /// Prefix of every name. The version changes when old records must not be found any more.
    const PREFIX: &str = "mcp:session:v1:";

    const LEASE_PREFIX: &str = "mcp:exchange:v1:";

    /// Where instances tell each other which sessions to forget.
    pub(crate) const FORGOTTEN: &str = "mcp:forgotten:v1";

    /// The name of the lease on an exchange of its token.
    pub(crate) fn lease(&self) -> String {
        format!("{}{}", Self::LEASE_PREFIX, URL_SAFE_NO_PAD.encode(self.0))
    }

    pub(crate) fn new(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// The message that these keys are to be forgotten.
    pub(crate) fn to_message(keys: &[Self]) -> Vec<u8> {
        keys.iter().flat_map(|key| key.0).collect()
    }

    /// The keys of such a message; whatever is left over is ignored.
    pub(crate) fn from_message(message: &[u8]) -> impl Iterator<Item = Self> {
        let (digests, _) = message.as_chunks::<32>();
        digests.iter().map(|digest| Self(*digest))
    }
}

/// The name in the store: `mcp:session:v1:` and 43 characters of base64url.
impl fmt::Display for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", Self::PREFIX, URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionKey({self})")
    }
}

#[cfg(test)]
mod tests {
    use mcp_auth::AccessToken;
    use proptest::prelude::*;

    use super::SessionKey;
    use crate::Keyring;

    fn token(text: &str) -> AccessToken {
        AccessToken::parse(&format!("Bearer {text}")).unwrap()
    }

    #[test]
    fn the_name_has_a_fixed_shape() {
        let name = Keyring::random().session_key(&token("abc")).to_string();
        assert_eq!(name.len(), "mcp:session:v1:".len() + 43);
        assert!(name.starts_with("mcp:session:v1:"));
        assert!(!name.contains("abc"));
    }

    #[test]
    fn another_encryption_key_gives_another_name() {
        let token = token("abc");
        assert_ne!(
            Keyring::random().session_key(&token),
            Keyring::random().session_key(&token)
        );
    }

    proptest! {
        #[test]
        fn two_tokens_never_share_a_name(
            a in "[A-Za-z0-9._~+/-]{1,200}",
            b in "[A-Za-z0-9._~+/-]{1,200}",
        ) {
            let ring = Keyring::random();
            let (left, right) = (ring.session_key(&token(&a)), ring.session_key(&token(&b)));
            prop_assert_eq!(a == b, left == right);
            prop_assert_eq!(a == b, left.to_string() == right.to_string());
        }

        #[test]
        fn a_name_says_exactly_one_key(a: [u8; 32], b: [u8; 32]) {
            let (left, right) = (SessionKey::new(a), SessionKey::new(b));
            prop_assert_eq!(a == b, left.to_string() == right.to_string());
            prop_assert_ne!(left.to_string(), SessionKey::FORGOTTEN);
        }

        #[test]
        fn a_message_says_its_keys(digests: Vec<[u8; 32]>, rest in prop::collection::vec(any::<u8>(), 0..32)) {
            let keys: Vec<_> = digests.into_iter().map(SessionKey::new).collect();
            let message = [SessionKey::to_message(&keys), rest].concat();
            prop_assert_eq!(SessionKey::from_message(&message).collect::<Vec<_>>(), keys);
        }
    }
}
