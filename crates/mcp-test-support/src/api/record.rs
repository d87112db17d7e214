//! What the API was asked.

use std::fmt;

use aws_lc_rs::digest;
use bytes::Bytes;
use http::{HeaderMap, Request, Version};
use serde_json::{Map, Value};

use super::{caller, operation::Operation};

/// A write that was carried out, whether or not its answer was delivered.
#[derive(Clone, Debug)]
pub struct Performed {
    /// Which.
    pub operation: Operation,
    /// The body of its request; null when there is none.
    pub body: Value,
}

/// One request, as it arrived. `Debug` leaves the token out; [`Recorded::token`] has it.
#[derive(Clone)]
pub struct Recorded {
    /// HTTP/1.1 or HTTP/2.
    pub version: Version,
    /// `GET`, `POST`, …
    pub method: String,
    /// Path without query.
    pub path: String,
    /// Query, as sent.
    pub query: Option<String>,
    /// What it asks for, if that is known.
    pub operation: Option<Operation>,
    /// `sub` of the credential.
    pub subject: Option<String>,
    /// `org_id` of the credential.
    pub token_organization: Option<String>,
    /// `X-Organization-Id`.
    pub organization: Option<String>,
    /// SHA-256 of the token, hexadecimal.
    pub token_hash: Option<String>,
    /// All headers, the credential included.
    pub headers: HeaderMap,
    /// The body, if it is JSON.
    pub body: Option<Value>,
}

impl Recorded {
    pub(super) fn of(
        request: &Request<Bytes>,
        operation: Option<Operation>,
        claims: Option<&Map<String, Value>>,
    ) -> Self {
        let token = caller::token(request.headers());
        let text = |name: &str| claims?.get(name).and_then(Value::as_str).map(str::to_owned);
        Self {
            version: request.version(),
            method: request.method().to_string(),
            path: request.uri().path().to_owned(),
            query: request.uri().query().map(str::to_owned),
            operation,
            subject: text("sub"),
            token_organization: text("org_id"),
            organization: caller::named_organization(request.headers()).map(str::to_owned),
            token_hash: token.map(|token| {
                crate::hex(digest::digest(&digest::SHA256, token.as_bytes()).as_ref())
            }),
            headers: request.headers().clone(),
            body: serde_json::from_slice(request.body()).ok(),
        }
    }

    /// The whole bearer token.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        caller::token(&self.headers)
    }
}

impl fmt::Debug for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorded")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("query", &self.query)
            .field("operation", &self.operation)
            .field("subject", &self.subject)
            .field("organization", &self.organization)
            .field("body", &self.body)
            .finish_non_exhaustive()
    }
}
