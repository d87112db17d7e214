//! [`ProviderTokens`]: what a provider gave for a user, as grants carry it, sealed.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// The tokens of one login. They are written down nowhere but inside a sealed text.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProviderTokens {
    /// What the user's requests upstream are made with.
    #[serde(with = "secret")]
    pub(crate) access_token: Zeroizing<String>,
    /// What the next access token is got with, if there is one.
    #[serde(with = "secret::optional", default)]
    pub(crate) refresh_token: Option<Zeroizing<String>>,
    /// When the access token ends, in seconds since 1970; `None` where the provider does not say.
    #[serde(default)]
    pub(crate) expires_at: Option<u64>,
    /// The scopes that the provider granted, where it says.
    #[serde(default)]
    pub(crate) scope: Option<String>,
}

impl fmt::Debug for ProviderTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let refresh_token = self.refresh_token.as_ref().map(|_| "[redacted]");
        f.debug_struct("ProviderTokens")
            .field("access_token", &"[redacted]")
            .field("refresh_token", &refresh_token)
            .field("expires_at", &self.expires_at)
            .field("scope", &self.scope)
            .finish()
    }
}

/// Secrets that are written down inside a sealed text.
pub(crate) mod secret {
    use serde::{Deserialize as _, Deserializer, Serializer};
    use zeroize::Zeroizing;

    pub(crate) fn serialize<S: Serializer>(
        secret: &Zeroizing<String>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(secret)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Zeroizing<String>, D::Error> {
        String::deserialize(from).map(Zeroizing::new)
    }

    pub(crate) mod optional {
        use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};
        use zeroize::Zeroizing;

        #[expect(clippy::ref_option, reason = "serde calls it so")]
        pub(crate) fn serialize<S: Serializer>(
            secret: &Option<Zeroizing<String>>,
            to: S,
        ) -> Result<S::Ok, S::Error> {
            secret.as_ref().map(|it| it.as_str()).serialize(to)
        }

        pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
            from: D,
        ) -> Result<Option<Zeroizing<String>>, D::Error> {
            Ok(Option::<String>::deserialize(from)?.map(Zeroizing::new))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back_as_they_were_written_and_are_not_shown() {
        let tokens = ProviderTokens {
            access_token: Zeroizing::new("hush".to_owned()),
            refresh_token: Some(Zeroizing::new("quiet".to_owned())),
            expires_at: Some(7),
            scope: Some("a b".to_owned()),
        };
        let bare = ProviderTokens {
            refresh_token: None,
            expires_at: None,
            scope: None,
            ..tokens.clone()
        };
        for tokens in [tokens, bare] {
            let written = serde_json::to_vec(&tokens).unwrap();
            assert_eq!(
                serde_json::from_slice::<ProviderTokens>(&written).unwrap(),
                tokens
            );
            let shown = format!("{tokens:?}");
            assert!(
                !shown.contains("hush") && !shown.contains("quiet"),
                "{shown}"
            );
        }
        let least = serde_json::from_str::<ProviderTokens>(r#"{"access_token":"x"}"#);
        assert_eq!(least.unwrap().refresh_token, None);
    }
}
