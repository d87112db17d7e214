//! [`WorkosWebhooks`]: events of WorkOS, each signed with the secret of its endpoint.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::hmac;
use serde_json::Value;

use super::{
    EventError, EventKind, EventSubject, MAX_LEN, ProviderEvent, ReceivedEvents, name, time,
};

/// How far the time of a signature may be from ours.
const WINDOW: Duration = Duration::from_mins(5);

/// An event that is understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr)]
pub enum WorkosEvent {
    /// A user is gone.
    #[strum(serialize = "user.deleted")]
    UserDeleted,
    /// A user is in an organization no more.
    #[strum(serialize = "organization_membership.deleted")]
    OrganizationMembershipDeleted,
    /// A session ended: also by an ordinary sign-out on the web.
    #[strum(serialize = "session.revoked")]
    SessionRevoked,
}

/// Verifies the webhooks of one endpoint.
pub struct WorkosWebhooks {
    /// None of an empty secret, which anybody has.
    key: Option<hmac::Key>,
    events: Vec<WorkosEvent>,
}

impl WorkosWebhooks {
    /// `secret` is the one that WorkOS shows with the endpoint; with an empty one nothing is believed. Other
    /// events than these tell nothing.
    pub fn new(secret: &str, events: Vec<WorkosEvent>) -> Self {
        let key =
            (!secret.is_empty()).then(|| hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()));
        Self { key, events }
    }

    /// What a request tells; `signature` is its header `WorkOS-Signature`. That the same did not come
    /// before is for the caller to see to.
    ///
    /// # Errors
    /// [`EventError::Unauthenticated`], [`EventError::Stale`] five minutes after it was signed,
    /// [`EventError::Malformed`].
    pub fn verify(
        &self,
        signature: Option<&str>,
        body: &[u8],
        now: SystemTime,
    ) -> Result<ReceivedEvents, EventError> {
        if body.len() > MAX_LEN {
            return Err(EventError::Malformed("it is too long"));
        }
        let signature = signature.and_then(Signature::parse);
        let signature = signature.ok_or(EventError::Unauthenticated)?;
        let key = self.key.as_ref().ok_or(EventError::Unauthenticated)?;
        let signed = [signature.stamp.as_bytes(), b".", body].concat();
        hmac::verify(key, &signed, &signature.tag).map_err(|_| EventError::Unauthenticated)?;
        let at = signature.time().ok_or(EventError::Unauthenticated)?;
        let ahead = at.duration_since(now).unwrap_or_default();
        let behind = now.duration_since(at).unwrap_or_default();
        if ahead.max(behind) > WINDOW {
            return Err(EventError::Stale);
        }
        received(body, &self.events, at)
    }
}

impl fmt::Debug for WorkosWebhooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkosWebhooks")
            .field("key", &"[redacted]")
            .field("events", &self.events)
            .finish()
    }
}

/// `t=…, v1=…`: milliseconds since 1970, and an HMAC-SHA256 in hexadecimal.
struct Signature<'a> {
    stamp: &'a str,
    tag: Vec<u8>,
}

impl<'a> Signature<'a> {
    fn parse(header: &'a str) -> Option<Self> {
        let mut parts = header.split(',').map(str::trim);
        let stamp = parts.next()?.strip_prefix("t=")?;
        let tag = hex::decode(parts.next()?.strip_prefix("v1=")?).ok()?;
        let whole = parts.next().is_none();
        whole.then_some(Self { stamp, tag })
    }

    fn time(&self) -> Option<SystemTime> {
        UNIX_EPOCH.checked_add(Duration::from_millis(self.stamp.parse().ok()?))
    }
}

pub(crate) fn received(
    body: &[u8],
    events: &[WorkosEvent],
    signed_at: SystemTime,
) -> Result<ReceivedEvents, EventError> {
    let malformed = EventError::Malformed;
    let body: Value = serde_json::from_slice(body).map_err(|_| malformed("it is no JSON"))?;
    let id = name(body.get("id")).ok_or(malformed("it has no id"))?;
    let at = time(body.get("created_at")).map_or(signed_at, |at| at.min(signed_at));
    let word = |name| body.get("data").and_then(|data: &Value| data.get(name));
    let user = |claim| name(word(claim)).map(EventSubject::User);
    let member = || {
        let (user, organization) = (name(word("user_id"))?, name(word("organization_id"))?);
        Some(EventSubject::Member { user, organization })
    };
    let event = body.get("event").and_then(Value::as_str);
    let event = event.ok_or(malformed("it tells of no event"))?;
    let known = event.parse().ok().filter(|event| events.contains(event));
    let (subject, kind) = match known {
        Some(WorkosEvent::UserDeleted) => (user("id"), EventKind::Removed),
        Some(WorkosEvent::OrganizationMembershipDeleted) => (member(), EventKind::Removed),
        Some(WorkosEvent::SessionRevoked) => (user("user_id"), EventKind::SignedOut),
        None => return Ok(ReceivedEvents::nothing(id)),
    };
    let event = ProviderEvent {
        issuer: None,
        subject: subject.ok_or(malformed("it does not say whom it is about"))?,
        kind,
        at,
    };
    Ok(ReceivedEvents {
        id: Some(id),
        events: vec![event],
    })
}

impl ReceivedEvents {
    /// A message that tells nothing that is understood.
    pub(super) fn nothing(id: String) -> Self {
        Self {
            id: Some(id),
            events: Vec::new(),
        }
    }
}
