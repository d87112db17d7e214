//! One access line per request. It tells what happened, never who: no user, organization or token.

use std::{fmt, time::Instant};

use http::{HeaderMap, HeaderValue, Method, StatusCode};
use uuid::Uuid;

use crate::observe::{AnsweredRequest, Refusal};

/// Longest name of a method or tool that is written down.
const MAX_NAME: usize = 64;

/// What the access line of one request will say; filled in on the way.
#[derive(Debug)]
pub(crate) struct AccessLine {
    started: Instant,
    pub(crate) request_id: String,
    http_method: &'static str,
    /// The route, never the path as sent: a path may hold anything.
    route: &'static str,
    pub(crate) mcp_method: Option<Name>,
    pub(crate) tool: Option<Name>,
    pub(crate) protocol_version: Option<Name>,
    pub(crate) tier: Option<&'static str>,
    pub(crate) outcome: &'static str,
    /// What an observer wants to know of a refusal; filled in only where there is one.
    pub(crate) issuer: Option<String>,
    pub(crate) user_agent: Option<HeaderValue>,
    refused: bool,
}

/// A name a client sent, fit for a log: anything but a plain identifier becomes `-`.
#[derive(Debug)]
pub(crate) struct Name(String);

impl Name {
    pub(crate) fn new(name: &str) -> Self {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-./".contains(&b);
        let fits = !name.is_empty() && name.len() <= MAX_NAME && name.bytes().all(plain);
        Self(if fits {
            name.to_owned()
        } else {
            "-".to_owned()
        })
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AccessLine {
    pub(crate) fn start(http_method: Method, route: &'static str, headers: &HeaderMap) -> Self {
        Self {
            started: Instant::now(),
            request_id: request_id(headers),
            http_method: name_of(&http_method),
            route,
            mcp_method: None,
            tool: None,
            protocol_version: None,
            tier: None,
            outcome: "ok",
            issuer: None,
            user_agent: None,
            refused: false,
        }
    }

    /// The request is sent away before any work begins.
    pub(crate) fn refuse(&mut self, reason: &'static str) {
        self.outcome = reason;
        self.refused = true;
    }

    /// What an observer is told.
    pub(crate) fn answered(&self, status: StatusCode) -> AnsweredRequest<'_> {
        let refusal = || Refusal {
            reason: self.outcome,
            issuer: self.issuer.as_deref(),
            user_agent: self
                .user_agent
                .as_ref()
                .and_then(|agent| agent.to_str().ok()),
        };
        AnsweredRequest {
            http_method: self.http_method,
            route: self.route,
            status: status.as_u16(),
            duration: self.started.elapsed(),
            refusal: self.refused.then(refusal),
        }
    }

    /// Writes the line. For a streamed answer the duration is that until its head.
    pub(crate) fn finish(&self, status: StatusCode) {
        let duration_us = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        tracing::info!(
            target: "access",
            request_id = %self.request_id,
            http_method = self.http_method,
            route = self.route,
            mcp_method = self.mcp_method.as_ref().map(tracing::field::display),
            tool = self.tool.as_ref().map(tracing::field::display),
            protocol_version = self.protocol_version.as_ref().map(tracing::field::display),
            tier = self.tier,
            outcome = self.outcome,
            status = status.as_u16(),
            duration_us,
            "request"
        );
    }

    /// The request id as a header value.
    pub(crate) fn request_id_header(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.request_id).ok()
    }
}

/// A method that has a standard; a client may send any word of any length for another.
fn name_of(method: &Method) -> &'static str {
    let known = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"];
    known
        .into_iter()
        .find(|name| *name == method.as_str())
        .unwrap_or("other")
}

/// The caller's request id when it is a plain one, else a new one.
fn request_id(headers: &HeaderMap) -> String {
    let plain = |id: &&str| {
        (8..=MAX_NAME).contains(&id.len())
            && id
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let given = headers
        .get("x-request-id")
        .and_then(|id| id.to_str().ok())
        .filter(plain);
    given.map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_clients_are_plain_or_a_dash() {
        assert_eq!(Name::new("tools/call").to_string(), "tools/call");
        let long = "x".repeat(MAX_NAME + 1);
        for name in ["", "a b", "a\n", "é", "{\"a\":1}", long.as_str()] {
            assert_eq!(Name::new(name).to_string(), "-", "{name}");
        }
    }

    #[test]
    fn a_method_nobody_knows_is_not_written_down() {
        assert_eq!(name_of(&Method::POST), "POST");
        let long = Method::from_bytes("X".repeat(100_000).as_bytes()).unwrap();
        assert_eq!(name_of(&long), "other");
    }

    #[test]
    fn a_request_id_is_kept_when_it_is_plain() {
        let id = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-request-id", HeaderValue::from_static(value));
            request_id(&headers)
        };
        assert_eq!(id("abcdef-123"), "abcdef-123");
        assert_ne!(id("a b c d e f"), "a b c d e f");
        assert_ne!(id("short"), "short");
    }
}
