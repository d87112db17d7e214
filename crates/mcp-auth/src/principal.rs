//! Who a verified token speaks for.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use crate::{actor::Actor, asker::Asker};

/// Who a token speaks for, proven: it can only come from a verified token, or from a record that
/// was sealed by this service after it verified one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal(PrincipalRecord);

/// The stored form of a [`Principal`]: plain data, seconds since the epoch, short JSON names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrincipalRecord {
    /// Issuer identifier (`iss`), compared as an exact string.
    #[serde(rename = "i")]
    pub issuer: String,
    /// Subject (`sub`), unique within the issuer only.
    #[serde(rename = "s")]
    pub subject: String,
    /// OAuth client (`client_id`, else `azp`).
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Who acts for the subject (`act`), for an audit log.
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Actor>,
    /// Organization (tenant) the token is bound to.
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
    /// Granted scopes, sorted, without repetition.
    #[serde(rename = "p", default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Audiences of the token (`aud`).
    #[serde(rename = "a")]
    pub audiences: Vec<String>,
    /// The client that stood in for them, where the token has none.
    #[serde(rename = "w", default, skip_serializing_if = "Option::is_none")]
    pub stand_in: Option<String>,
    /// Expiry (`exp`), seconds since the epoch.
    #[serde(rename = "e")]
    pub expires_at: u64,
    /// Time of issue (`iat`), seconds since the epoch.
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    pub issued_at: Option<u64>,
    /// The token's id (`jti`).
    #[serde(rename = "j", default, skip_serializing_if = "Option::is_none")]
    pub token_id: Option<String>,
    /// Fingerprint of the issuer's key that verified it; none where the issuer was asked.
    #[serde(rename = "k", default, skip_serializing_if = "Option::is_none")]
    pub verified_by: Option<u64>,
}

impl Principal {
    /// Brings a stored principal back.
    ///
    /// Only for bytes that this service sealed itself and that passed authenticated decryption:
    /// a `Principal` is proof of identity.
    pub fn from_record(record: PrincipalRecord) -> Self {
        Self(record)
    }

    /// The form to seal and store.
    pub fn to_record(&self) -> PrincipalRecord {
        self.0.clone()
    }

    /// Stands for its subject where users take turns.
    pub fn asker(&self) -> Asker {
        let mut hasher = DefaultHasher::new();
        self.subject().hash(&mut hasher);
        Asker::new(hasher.finish().into())
    }

    /// Issuer identifier (`iss`).
    pub fn issuer(&self) -> &str {
        &self.0.issuer
    }

    /// Subject (`sub`): unique within its issuer only.
    pub fn subject(&self) -> &str {
        &self.0.subject
    }

    /// OAuth client the token was issued to.
    pub fn client_id(&self) -> Option<&str> {
        self.0.client_id.as_deref()
    }

    /// Who acts for the subject, by the token itself. Nothing is decided by it.
    pub fn actor(&self) -> Option<&Actor> {
        self.0.actor.as_ref()
    }

    /// Organization (tenant).
    pub fn organization(&self) -> Option<&str> {
        self.0.organization.as_deref()
    }

    /// Granted scopes, sorted, without repetition.
    pub fn scopes(&self) -> &[String] {
        &self.0.scopes
    }

    /// Audiences that the token names; none where its client stood in for them.
    pub fn audiences(&self) -> &[String] {
        &self.0.audiences
    }

    /// The client that stood in for the audience of a token without one (see
    /// [`AudienceFrom`](crate::AudienceFrom)). Apart from [`Self::audiences`]: whoever may choose a
    /// client's id must not choose an audience with it.
    pub fn stand_in(&self) -> Option<&str> {
        self.0.stand_in.as_deref()
    }

    /// When the token expires.
    pub fn expires_at(&self) -> SystemTime {
        at(self.0.expires_at)
    }

    /// When the token was issued, if it says so.
    pub fn issued_at(&self) -> Option<SystemTime> {
        self.0.issued_at.map(at)
    }

    /// The token's id (`jti`), unique within its issuer.
    pub fn token_id(&self) -> Option<&str> {
        self.0.token_id.as_deref()
    }

    /// Which of its issuer's keys verified it.
    pub(crate) fn verified_by(&self) -> Option<u64> {
        self.0.verified_by
    }

    /// Whether a record of the same token says the same of it: one that an older version wrote does not
    /// say everything.
    pub fn agrees_with(&self, record: &Self) -> bool {
        let mut own = self.0.clone();
        if record.0.token_id.is_none() {
            own.token_id = None;
        }
        if record.0.verified_by.is_none() {
            own.verified_by = None;
        }
        own == record.0
    }
}

/// A far future instead of an overflow for absurd times.
fn at(seconds: u64) -> SystemTime {
    const YEAR_9999: u64 = 253_402_300_799;
    UNIX_EPOCH + Duration::from_secs(seconds.min(YEAR_9999))
}
