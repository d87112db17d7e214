//! A login as it is kept: who issued it to whom, its tokens, and when they end.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mcp_core::own_token::{claims, organization_claim};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::purpose::Purpose;

/// A user's login.
#[derive(Clone)]
pub struct StoredCredential {
    /// Names this login, through all its refreshes.
    pub id: String,
    /// What it is for; none for one that an older version kept, which did not say.
    pub purpose: Option<Purpose>,
    /// The organization that BrainGrid said it is for, when it was made.
    pub confirmed: Option<String>,
    /// Who issued the tokens, exactly as its metadata spells it (RFC 8414); none for a token that
    /// was given by hand and does not say.
    pub issuer: Option<String>,
    /// The client the tokens were issued to; none for a token that was given by hand.
    pub client_id: Option<String>,
    /// The resource the tokens were asked for (RFC 8707).
    pub resource: Option<String>,
    /// What was granted.
    pub scopes: Vec<String>,
    /// When the access token came.
    pub obtained_at: SystemTime,
    /// When the access token ends, where the issuer said so.
    pub expires_at: Option<SystemTime>,
    pub(crate) access_token: SecretString,
    pub(crate) refresh_token: Option<SecretString>,
}

impl StoredCredential {
    /// An access token without anything else.
    pub fn new(access_token: SecretString, obtained_at: SystemTime) -> Self {
        Self {
            id: Uuid::new_v4().simple().to_string(),
            purpose: None,
            confirmed: None,
            issuer: None,
            client_id: None,
            resource: None,
            scopes: Vec::new(),
            obtained_at,
            expires_at: None,
            access_token,
            refresh_token: None,
        }
    }

    /// The token for the BrainGrid API.
    pub fn access_token(&self) -> &SecretString {
        &self.access_token
    }

    /// The token that gets the next access token, where there is one.
    pub fn refresh_token(&self) -> Option<&SecretString> {
        self.refresh_token.as_ref()
    }

    /// The organization it speaks for: as BrainGrid said, else as the access token says.
    pub fn organization(&self) -> Option<String> {
        let confirmed = self.confirmed.clone();
        confirmed.or_else(|| organization_claim(&self.access_token))
    }

    /// Whether the token says itself that it is for this API, or was asked for it.
    pub(crate) fn names_api(&self, origin: &str) -> bool {
        let claims = claims(&self.access_token).unwrap_or_default();
        let audience = claims.get("aud").cloned().unwrap_or_default();
        let audiences = match &audience {
            Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
            Value::String(one) => vec![one.as_str()],
            _ => Vec::new(),
        };
        let resource = self.resource.as_deref();
        audiences.into_iter().chain(resource).any(|named| {
            let url = Url::parse(named);
            url.is_ok_and(|url| url.origin().ascii_serialization() == origin)
        })
    }

    /// Whether the access token is over. One without a known end never is.
    pub fn is_expired(&self, now: SystemTime) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    /// Whether the access token ends soon enough to get the next one: within two minutes, or
    /// within the last fifth of a short life.
    pub fn is_due(&self, now: SystemTime) -> bool {
        const AHEAD: Duration = Duration::from_mins(2);
        let Some(end) = self.expires_at else {
            return false;
        };
        let life = end.duration_since(self.obtained_at).unwrap_or_default();
        end <= now + AHEAD.min(life / 5)
    }

    /// The form in which it is kept.
    pub(crate) fn to_json(&self) -> Zeroizing<String> {
        let wire = Wire {
            id: self.id.as_str().into(),
            purpose: self.purpose.clone(),
            confirmed: self.confirmed.clone(),
            issuer: self.issuer.as_deref().map(Into::into),
            client_id: self.client_id.as_deref().map(Into::into),
            resource: self.resource.as_deref().map(Into::into),
            scopes: self.scopes.clone(),
            obtained_at: seconds(self.obtained_at),
            expires_at: self.expires_at.map(seconds),
            access_token: self.access_token.expose_secret().into(),
            refresh_token: self
                .refresh_token
                .as_ref()
                .map(|token| token.expose_secret().into()),
        };
        // Strings and numbers always become JSON.
        Zeroizing::new(serde_json::to_string(&wire).unwrap_or_default())
    }

    /// Reads [`to_json`](Self::to_json) back.
    pub(crate) fn from_json(text: &str) -> Option<Self> {
        let wire: Wire<'_> = serde_json::from_str(text).ok()?;
        Some(Self {
            id: wire.id.into(),
            purpose: wire.purpose,
            confirmed: wire.confirmed,
            issuer: wire.issuer.map(Into::into),
            client_id: wire.client_id.map(Into::into),
            resource: wire.resource.map(Into::into),
            scopes: wire.scopes,
            obtained_at: UNIX_EPOCH + Duration::from_secs(wire.obtained_at),
            expires_at: wire
                .expires_at
                .map(|end| UNIX_EPOCH + Duration::from_secs(end)),
            access_token: SecretString::from(&*wire.access_token),
            refresh_token: wire.refresh_token.as_deref().map(SecretString::from),
        })
    }
}

/// Names no token, and nobody.
impl fmt::Debug for StoredCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredCredential")
            .field("issuer", &self.issuer)
            .field("expires_at", &self.expires_at)
            .field("refresh_token", &self.refresh_token.is_some())
            .finish_non_exhaustive()
    }
}

/// Borrows, so that no copy of a token is left behind.
#[derive(Serialize, Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(rename = "for", default, skip_serializing_if = "Option::is_none")]
    purpose: Option<Purpose>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    confirmed: Option<String>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    issuer: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    client_id: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    resource: Option<Text<'a>>,
    #[serde(default)]
    scopes: Vec<String>,
    obtained_at: u64,
    expires_at: Option<u64>,
    #[serde(borrow)]
    access_token: Text<'a>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    refresh_token: Option<Text<'a>>,
}

type Text<'a> = std::borrow::Cow<'a, str>;

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credential(life: Option<u64>) -> StoredCredential {
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let mut credential = StoredCredential::new(SecretString::from("sesame"), now);
        credential.refresh_token = Some(SecretString::from("again"));
        credential.expires_at = life.map(|life| now + Duration::from_secs(life));
        credential
    }

    #[test]
    fn what_is_kept_is_what_was_there() {
        let mut before = credential(Some(3600));
        before.issuer = Some("https://auth.test".to_owned());
        before.purpose = Some(Purpose {
            issuer: "https://auth.test/".to_owned(),
            api: "https://api.test".to_owned(),
            organization: Some("org_a".to_owned()),
        });
        before.confirmed = Some("org_a".to_owned());
        before.client_id = Some("a \"quoted\" client".to_owned());
        before.resource = Some("https://api.test".to_owned());
        before.scopes = vec!["openid".to_owned(), "offline_access".to_owned()];
        let after = StoredCredential::from_json(&before.to_json()).unwrap();
        assert_eq!(*after.to_json(), *before.to_json());
        assert_eq!(after.access_token().expose_secret(), "sesame");
        assert_eq!(after.refresh_token().unwrap().expose_secret(), "again");
        assert_eq!(after.expires_at, before.expires_at);
        assert_eq!(after.client_id, before.client_id);
        assert_eq!(after.purpose, before.purpose);
        assert_eq!(after.organization().as_deref(), Some("org_a"));
        for garbage in ["", "{}", "[]", r#"{"access_token":7,"obtained_at":1}"#] {
            assert!(StoredCredential::from_json(garbage).is_none(), "{garbage}");
        }
    }

    #[test]
    fn no_token_is_in_the_debug_form() {
        let shown = format!("{:?}", credential(None));
        assert!(
            !shown.contains("sesame") && !shown.contains("again"),
            "{shown}"
        );
    }

    #[test]
    fn a_token_is_due_before_it_ends() {
        let cases = [
            // life, age, due, expired
            (Some(3600), 0, false, false),
            (Some(3600), 3479, false, false),
            (Some(3600), 3480, true, false),
            (Some(3600), 3600, true, true),
            (Some(10), 7, false, false),
            (Some(10), 8, true, false),
            (None, 1_000_000, false, false),
        ];
        for (life, age, due, expired) in cases {
            let credential = credential(life);
            let now = credential.obtained_at + Duration::from_secs(age);
            assert_eq!(credential.is_due(now), due, "{life:?} at {age}");
            assert_eq!(credential.is_expired(now), expired, "{life:?} at {age}");
        }
    }
}
