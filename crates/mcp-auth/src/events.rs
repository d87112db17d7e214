//! What an identity provider tells unasked: that a user was signed out, changed or removed. Each way it
//! comes is proven by its own means, and gives the same [`ProviderEvent`]s.
//!
//! None says when a token ends: what an event is worth is for whoever remembers it to decide. All are
//! harmless when they come again, for they hold the time at which they happened.

mod auth0;
mod logout;
pub(crate) mod security;
mod signed;
pub(crate) mod workos;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use serde_json::Value;

pub use auth0::Auth0Events;
pub use logout::LogoutTokens;
pub use security::SecurityEvents;
pub use workos::{WorkosEvent, WorkosWebhooks};

/// Longest message that is looked at, in bytes.
const MAX_LEN: usize = 64 * 1024;

/// Longest name of a user or an organization, in bytes.
const MAX_NAME: usize = 512;

/// What came in one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedEvents {
    /// The message's id, the same when it comes again; none where it has none.
    pub id: Option<String>,
    /// What it says, as far as it is understood: often nothing.
    pub events: Vec<ProviderEvent>,
}

/// That something happened to somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderEvent {
    /// Who names the subject, where the message says so: else who sent it.
    pub issuer: Option<String>,
    /// To whom.
    pub subject: EventSubject,
    /// What.
    pub kind: EventKind,
    /// When, by the provider's clock.
    pub at: SystemTime,
}

/// Whom an event is about, by the provider's names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum EventSubject {
    /// A user (`sub`).
    User(String),
    /// A user, as a member of one organization.
    Member {
        /// The user (`sub`).
        user: String,
        /// The organization.
        organization: String,
    },
    /// An organization.
    Organization(String),
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventKind {
    /// A session, or all of them, were ended.
    SignedOut,
    /// A password, a key or another credential was changed.
    CredentialChanged,
    /// What tokens say of the subject is not so any more.
    ClaimsChanged,
    /// The subject is gone.
    Removed,
    /// The subject is locked out, until it is [enabled](Self::Enabled).
    Disabled,
    /// It is not locked out any more.
    Enabled,
}

/// Why a message is not believed. It shows nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// It is no such message.
    #[error("{0}")]
    Malformed(&'static str),
    /// It does not show that its sender knows the secret.
    #[error("it is not authenticated")]
    Unauthenticated,
    /// It is not signed with a key of its issuer.
    #[error("it is not signed with a key of its issuer")]
    Key,
    /// Another issuer's.
    #[error("it is of another issuer")]
    Issuer,
    /// Meant for somebody else.
    #[error("it is meant for somebody else")]
    Audience,
    /// Sent too long ago, or later than now.
    #[error("it is too old, or of a time to come")]
    Stale,
    /// The issuer's keys are not at hand: worth another try.
    #[error("its issuer's keys are not at hand")]
    Unavailable {
        /// When.
        retry_after: Duration,
    },
}

/// Whether an `Authorization` header holds exactly this secret, bare or as a bearer token. How much of
/// it is right does not show in the time that it takes. No header holds an empty secret.
pub fn is_bearer(header: Option<&str>, secret: &str) -> bool {
    let Some(header) = header.filter(|_| !secret.is_empty()) else {
        return false;
    };
    let is = |text: &str| verify_slices_are_equal(text.as_bytes(), secret.as_bytes()).is_ok();
    let token = header
        .split_at_checked(7)
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer "));
    is(header) || token.is_some_and(|(_, token)| is(token.trim()))
}

/// A name that is a text, and neither empty nor too long.
fn name(value: Option<&Value>) -> Option<String> {
    let name = value?.as_str()?;
    (!name.is_empty() && name.len() <= MAX_NAME).then(|| name.to_owned())
}

/// A time as RFC 3339 writes it.
fn time(value: Option<&Value>) -> Option<SystemTime> {
    let time: jiff::Timestamp = value?.as_str()?.parse().ok()?;
    Some(SystemTime::from(time)).filter(|at| *at > UNIX_EPOCH)
}
