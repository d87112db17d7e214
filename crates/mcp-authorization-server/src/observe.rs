//! What an observer is told, for metrics. Every word of it is this program's: nothing of a user, a
//! client or the provider is in it.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, Response, StatusCode};

use crate::form::Form;

/// Something that happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The provider was asked something, repetitions included.
    Asked {
        /// `metadata`, `redeem` (a code), `refresh` or `revoke`.
        question: &'static str,
        /// `ok`, `refused` (the grant, or the user), `misconfigured` or `unavailable`.
        outcome: &'static str,
        /// From the question to the last answer.
        duration: Duration,
    },
    /// A user came back from the provider, and the client got a code.
    LoggedIn,
    /// A client got the next tokens for a refresh token, or those once more.
    Refreshed,
    /// The consent page was shown (`asked`) and answered (`given`, `withheld`), or was not needed
    /// (`remembered`).
    Consent(&'static str),
    /// A request came to nothing.
    Refused {
        /// `authorize`, `callback`, `token`, `refresh` (the token endpoint, for a refresh token),
        /// `register` or `revoke`.
        operation: &'static str,
        /// The error code for the client, or `not_this_browser`.
        reason: &'static str,
    },
}

/// Is told of events. It must not wait for anything.
#[derive(Clone, Default)]
pub struct Observer(Option<Arc<dyn Fn(Event) + Send + Sync>>);

impl Observer {
    /// One that is told by a call.
    pub fn new(told: impl Fn(Event) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(told)))
    }

    pub(crate) fn tell(&self, event: Event) {
        if let Some(told) = &self.0 {
            told(event);
        }
    }

    /// What an answer means, to a request for this.
    pub(crate) fn answered(&self, operation: &'static str, response: &mut Response<Bytes>) {
        let refused = response.extensions_mut().remove::<Refusal>();
        match (refused, operation, response.status()) {
            (Some(Refusal(reason)), ..) => self.tell(Event::Refused { operation, reason }),
            (None, "callback", StatusCode::SEE_OTHER) => self.tell(Event::LoggedIn),
            (None, "refresh", StatusCode::OK) => self.tell(Event::Refreshed),
            _ => {}
        }
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}

/// Why an answer is no success; for the observer alone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refusal(&'static str);

/// The same answer, marked as a refusal for this reason.
pub(crate) fn refused(reason: &'static str, mut response: Response<Bytes>) -> Response<Bytes> {
    response.extensions_mut().insert(Refusal(reason));
    response
}

/// What is asked for, where that can be refused.
pub(crate) fn operation(method: &Method, path: &str, body: &[u8]) -> Option<&'static str> {
    let refreshes = || {
        let form = Form::parse(body);
        form.is_ok_and(|form| form.get("grant_type") == Some("refresh_token"))
    };
    match path {
        "/authorize" => Some("authorize"),
        "/callback" => Some("callback"),
        "/token" if *method == Method::POST && refreshes() => Some("refresh"),
        "/token" => Some("token"),
        "/register" => Some("register"),
        "/revoke" => Some("revoke"),
        _ => None,
    }
}
