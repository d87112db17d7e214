//! [`Auth0Events`]: what Auth0 posts: its event streams (`CloudEvents`), and its log streams.

use std::fmt;

use serde_json::Value;
use zeroize::Zeroizing;

use super::{
    EventError, EventKind, EventSubject, MAX_LEN, ProviderEvent, ReceivedEvents, is_bearer, name,
    time,
};

/// Reads what one tenant's streams post, which is authenticated by a token of the operator's choice.
pub struct Auth0Events(Zeroizing<String>);

impl Auth0Events {
    /// `token` is the one that the stream was given, without `Bearer`.
    pub fn new(token: Zeroizing<String>) -> Self {
        Self(token)
    }

    /// What a request tells; `authorization` is its header. A log stream may send several entries, as a
    /// JSON array or as lines.
    ///
    /// # Errors
    /// [`EventError::Unauthenticated`], [`EventError::Malformed`].
    pub fn verify(
        &self,
        authorization: Option<&str>,
        body: &[u8],
    ) -> Result<Vec<ReceivedEvents>, EventError> {
        if !is_bearer(authorization, &self.0) {
            return Err(EventError::Unauthenticated);
        }
        if body.len() > MAX_LEN {
            return Err(EventError::Malformed("it is too long"));
        }
        let mut told = Vec::new();
        for document in serde_json::Deserializer::from_slice(body).into_iter::<Value>() {
            match document.map_err(|_| EventError::Malformed("it is no JSON"))? {
                Value::Array(entries) => told.extend(entries.iter().map(received)),
                entry => told.push(received(&entry)),
            }
        }
        // One entry that cannot be read does not silence those beside it.
        if told.iter().any(Result::is_ok) {
            told.retain(Result::is_ok);
        }
        told.into_iter().collect()
    }
}

impl fmt::Debug for Auth0Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Auth0Events([redacted])")
    }
}

fn received(entry: &Value) -> Result<ReceivedEvents, EventError> {
    // What the dashboard sends to try a stream out is about nobody.
    let is_test = entry.get("a0purpose").is_some();
    let (id, told) = match entry.get("specversion") {
        Some(_) => (name(entry.get("id")), cloud_event(entry)),
        None => (name(entry.get("log_id")), log_entry(entry)),
    };
    let id = id.ok_or(EventError::Malformed("it has no id"))?;
    match told {
        Some(told) if !is_test => Ok(ReceivedEvents {
            id: Some(id),
            events: vec![told?],
        }),
        _ => Ok(ReceivedEvents::nothing(id)),
    }
}

type Told = Option<Result<ProviderEvent, EventError>>;

/// An event of an event stream (`CloudEvents` 1.0): nothing where it is of another kind.
fn cloud_event(entry: &Value) -> Told {
    let object = |path: &str| name(entry.pointer(&format!("/data/object/{path}")));
    let user = || object("user_id").map(EventSubject::User);
    let (subject, kind) = match entry.get("type")?.as_str()? {
        "user.deleted" => (user(), EventKind::Removed),
        "user.updated" => {
            let blocked = entry.pointer("/data/object/blocked")?.as_bool()?;
            let kind = if blocked {
                EventKind::Disabled
            } else {
                EventKind::Enabled
            };
            (user(), kind)
        }
        "organization.member.deleted" => {
            let ids = object("user/user_id").zip(object("organization/id"));
            let member =
                ids.map(|(user, organization)| EventSubject::Member { user, organization });
            (member, EventKind::Removed)
        }
        "organization.deleted" => (
            object("id").map(EventSubject::Organization),
            EventKind::Removed,
        ),
        _ => return None,
    };
    Some(event(subject, kind, entry.get("time")))
}

/// An entry of the tenant's log: nothing where it is of another kind.
fn log_entry(entry: &Value) -> Told {
    let data = entry.get("data")?;
    let user = || name(data.get("user_id")).map(EventSubject::User);
    let (subject, kind) = match data.get("type")?.as_str()? {
        // A user was deleted.
        "sdu" => (user(), EventKind::Removed),
        // A password was changed, by its user or for them.
        "scp" => (user(), EventKind::CredentialChanged),
        _ => return None,
    };
    Some(event(subject, kind, data.get("date")))
}

fn event(
    subject: Option<EventSubject>,
    kind: EventKind,
    at: Option<&Value>,
) -> Result<ProviderEvent, EventError> {
    let malformed = EventError::Malformed;
    Ok(ProviderEvent {
        issuer: None,
        subject: subject.ok_or(malformed("it does not say whom it is about"))?,
        kind,
        at: time(at).ok_or(malformed("it does not say when it happened"))?,
    })
}
