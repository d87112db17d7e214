//! What the user of a browser agreed to before, in a sealed cookie of that browser.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, Response};
use serde::{Deserialize, Serialize};

use crate::{
    keys::{CannotSeal, Kind},
    request::{AuthorizationRequest, seconds},
    server::Inner,
};

const COOKIE: &str = "consent";

/// For how long a consent holds.
const LASTS: Duration = Duration::from_hours(90 * 24);

/// Most consents that a browser keeps; of more, the oldest goes. A cookie has 4,096 bytes.
const MOST: usize = 24;

/// What was agreed to, the oldest first.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Consents(Vec<(String, u64)>);

impl Consents {
    /// What this browser's user agreed to, as far as it still holds.
    pub(crate) fn of(inner: &Inner, headers: &HeaderMap, now: SystemTime) -> Self {
        let sealed = inner.cookies.get(headers, COOKIE);
        let opened = sealed.and_then(|sealed| inner.keys.open(Kind::Consent, "", sealed).ok());
        let consents = opened.and_then(|plain| serde_json::from_slice::<Self>(&plain).ok());
        let mut consents = consents.unwrap_or_default();
        consents
            .0
            .retain(|(_, at)| at + LASTS.as_secs() > seconds(now));
        consents
    }

    /// Whether just this was agreed to.
    pub(crate) fn has(&self, request: &AuthorizationRequest) -> bool {
        let asked = request.consent_to();
        self.0.iter().any(|(agreed, _)| *agreed == asked)
    }

    /// The cookie's value when this is agreed to as well.
    pub(crate) fn with(
        mut self,
        inner: &Inner,
        request: &AuthorizationRequest,
        now: SystemTime,
    ) -> Result<String, CannotSeal> {
        let agreed = request.consent_to();
        self.0.retain(|(other, _)| *other != agreed);
        self.0.push((agreed, seconds(now)));
        let too_many = self.0.len().saturating_sub(MOST);
        self.0.drain(..too_many);
        let plain = serde_json::to_vec(&self).map_err(|_| CannotSeal)?;
        inner.keys.seal(Kind::Consent, "", &plain)
    }

    /// Has the browser keep it.
    pub(crate) fn keep(inner: &Inner, response: &mut Response<Bytes>, value: &str) {
        inner.cookies.set(response, COOKIE, value, LASTS);
    }
}
