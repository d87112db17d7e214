//! [`SecurityEvents`]: security event tokens (RFC 8417) of the Shared Signals Framework, with the events of
//! CAEP and RISC.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::{
    EventError, EventKind, EventSubject, ProviderEvent, ReceivedEvents, name, signed::Signed,
};
use crate::{claims::Claims, error::ConfigError};

/// What is understood, by the last parts of its name.
const KINDS: &[(&str, EventKind)] = &[
    ("caep/event-type/session-revoked", EventKind::SignedOut),
    (
        "caep/event-type/credential-change",
        EventKind::CredentialChanged,
    ),
    (
        "caep/event-type/token-claims-change",
        EventKind::ClaimsChanged,
    ),
    ("risc/event-type/sessions-revoked", EventKind::SignedOut),
    ("risc/event-type/account-disabled", EventKind::Disabled),
    ("risc/event-type/account-enabled", EventKind::Enabled),
    ("risc/event-type/account-purged", EventKind::Removed),
    ("oauth/event-type/tokens-revoked", EventKind::SignedOut),
];

/// What the names of all of them begin with.
const SCHEMA: &str = "https://schemas.openid.net/secevent/";

/// Verifies the security event tokens of one transmitter.
#[derive(Debug)]
pub struct SecurityEvents(Signed);

impl SecurityEvents {
    /// Checks the addresses; no I/O. `audiences` are what the transmitter calls this receiver. The keys
    /// are at `jwks_uri`, or where the transmitter's metadata as an issuer says when absent; `client` must
    /// follow no redirect.
    ///
    /// # Errors
    /// [`ConfigError`], for an address that is none, or without any audience.
    pub fn new(
        transmitter: impl Into<String>,
        audiences: Vec<String>,
        jwks_uri: Option<&str>,
        client: reqwest::Client,
    ) -> Result<Self, ConfigError> {
        Signed::new(transmitter.into(), audiences, jwks_uri, client).map(Self)
    }

    /// What a security event token tells. Events of other kinds, and of subjects that are not named by
    /// issuer and subject, are passed over.
    ///
    /// # Errors
    /// [`EventError`].
    pub async fn verify(&self, token: &str, now: SystemTime) -> Result<ReceivedEvents, EventError> {
        let types = ["secevent+jwt", "jwt"];
        let proven = self.0.prove(token, &types, now).await?;
        Ok(ReceivedEvents {
            events: told(&proven.claims, proven.issued_at)?,
            id: Some(proven.id),
        })
    }
}

/// What its claims tell.
pub(crate) fn told(
    claims: &Claims,
    issued_at: SystemTime,
) -> Result<Vec<ProviderEvent>, EventError> {
    let Some(Value::Object(events)) = claims.get("events") else {
        return Err(EventError::Malformed("it holds no events"));
    };
    let told = events.iter().filter_map(|(uri, event)| {
        let named = claims.get("sub_id").or_else(|| event.get("subject"));
        let (issuer, subject) = subject(named)?;
        Some(ProviderEvent {
            issuer: Some(issuer),
            subject,
            kind: kind(uri)?,
            at: happened_at(event, claims.get("toe"), issued_at),
        })
    });
    Ok(told.collect())
}

fn kind(uri: &str) -> Option<EventKind> {
    let uri = uri.strip_prefix(SCHEMA)?;
    let known = KINDS.iter().find(|(name, _)| *name == uri);
    known.map(|(_, kind)| *kind)
}

/// A subject identifier (RFC 9493) that names issuer and subject: itself, or the user of one that names
/// several things. Older transmitters write `subject_type` for `format`.
fn subject(named: Option<&Value>) -> Option<(String, EventSubject)> {
    let named = named?;
    let named = named.get("user").unwrap_or(named);
    let format = named.get("format").or_else(|| named.get("subject_type"));
    match format?.as_str()? {
        "iss_sub" | "iss-sub" | "id_token_claims" => {
            let (issuer, user) = (name(named.get("iss"))?, name(named.get("sub"))?);
            Some((issuer, EventSubject::User(user)))
        }
        _ => None,
    }
}

/// When it happened, as far as that is no later than it was said.
fn happened_at(event: &Value, toe: Option<&Value>, said_at: SystemTime) -> SystemTime {
    let stamp = event.get("event_timestamp").or(toe);
    let stamp = stamp.and_then(Value::as_f64).filter(|at| *at >= 1.0);
    let at = stamp.and_then(|at| Duration::try_from_secs_f64(at).ok());
    let at = at.and_then(|at| UNIX_EPOCH.checked_add(at));
    at.map_or(said_at, |at| at.min(said_at))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn subjects_are_named_by_issuer_and_subject_in_every_spelling() {
        let ada = json!({"format": "iss_sub", "iss": "https://a.test", "sub": "ada"});
        for named in [
            ada.clone(),
            json!({"subject_type": "iss-sub", "iss": "https://a.test", "sub": "ada"}),
            json!({"user": ada, "session": {"format": "opaque", "id": "s"}}),
            json!({"format": "complex", "user": ada, "tenant": {"format": "opaque", "id": "t"}}),
        ] {
            let (issuer, subject) = subject(Some(&named)).unwrap();
            assert_eq!(issuer, "https://a.test", "{named}");
            assert_eq!(subject, EventSubject::User("ada".to_owned()), "{named}");
        }
        let long = "a".repeat(513);
        for named in [
            json!({"format": "email", "email": "ada@a.test"}),
            json!({"format": "opaque", "id": "ada"}),
            json!({"format": "iss_sub", "sub": "ada"}),
            json!({"format": "iss_sub", "iss": "https://a.test", "sub": ""}),
            json!({"format": "iss_sub", "iss": "https://a.test", "sub": long}),
            json!({"session": {"format": "opaque", "id": "s"}}),
            json!("ada"),
            json!(null),
        ] {
            assert_eq!(subject(Some(&named)), None, "{named}");
        }
        assert_eq!(subject(None), None);
    }

    #[test]
    fn an_event_is_no_later_than_it_was_said() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let happened = |event: &Value, toe| happened_at(event, toe, at(1_000));
        assert_eq!(happened(&json!({"event_timestamp": 900}), None), at(900));
        let toe = json!(800);
        assert_eq!(happened(&json!({}), Some(&toe)), at(800));
        for event in [
            json!({}),
            json!({"event_timestamp": 1_700_000_000_000_u64}),
            json!({"event_timestamp": -1}),
            json!({"event_timestamp": 1e300}),
            json!({"event_timestamp": "900"}),
            json!(7),
        ] {
            assert_eq!(happened(&event, None), at(1_000), "{event}");
        }
    }
}
