//! Limits: whether a request may go on, and what is said where it may not. How much is a limit, and whose,
//! is the host's.
//!
//! Who calls a tool too often gets a result that says so, for its model reads that: of an error of HTTP
//! most clients hand on no more than that there was one. Everything else is 429 (RFC 6585 section 4).

use http::{HeaderName, HeaderValue, Response, StatusCode, header::RETRY_AFTER};
use mcp_fleet::{Limited, Spending};
use mcp_session::Session;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    body::{self, BoxedBody},
    client_address::AddressBucket,
    preview::RequestPreview,
    protocol,
    refusal::refusal,
    server::Inner,
};

/// draft-ietf-httpapi-ratelimit-headers: the quota there is, and what is left of it.
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LEFT: HeaderName = HeaderName::from_static("ratelimit");

type OfCalls = dyn Fn(&Session, &RequestPreview<'_>) -> Spending + Send + Sync;
type OfStrangers = dyn Fn(AddressBucket) -> Spending + Send + Sync;

/// How often callers may call, and strangers from one address.
pub struct CallLimits {
    calls: Box<OfCalls>,
    strangers: Box<OfStrangers>,
}

impl CallLimits {
    /// `calls` counts each message of somebody who is known, `strangers` each request that turns out to
    /// be nobody's, and each of a mounted route.
    pub fn new(
        calls: impl Fn(&Session, &RequestPreview<'_>) -> Spending + Send + Sync + 'static,
        strangers: impl Fn(AddressBucket) -> Spending + Send + Sync + 'static,
    ) -> Self {
        Self {
            calls: Box::new(calls),
            strangers: Box::new(strangers),
        }
    }
}

impl<H> Inner<H> {
    /// The refusal of a message whose caller is over a limit.
    pub(crate) async fn over_limit(
        &self,
        session: &Session,
        preview: &RequestPreview<'_>,
    ) -> Option<Response<BoxedBody>> {
        let limits = self.limits.as_ref()?;
        let limited = (limits.calls)(session, preview).done().await.err()?;
        Some(refused(&limited, preview))
    }

    /// The refusal of a request that is nobody's, where too many come from its address. Where any number
    /// of clients may have one address, there is no such limit.
    pub(crate) async fn stranger_over_limit(
        &self,
        address: Option<AddressBucket>,
    ) -> Option<Response<BoxedBody>> {
        let (limits, address) = (self.limits.as_ref()?, address?);
        let limited = (limits.strangers)(address).done().await.err()?;
        let mut response = refusal(
            StatusCode::TOO_MANY_REQUESTS,
            "temporarily_unavailable",
            &limited.to_string(),
        );
        tell(&limited, &mut response);
        Some(response)
    }
}

/// Whether an answer is such a refusal.
pub(crate) fn is_refusal(response: &Response<BoxedBody>) -> bool {
    response.headers().contains_key(LEFT)
}

fn refused(limited: &Limited, preview: &RequestPreview<'_>) -> Response<BoxedBody> {
    let text = limited.to_string();
    let mut response = match preview.id {
        Some(id) if preview.method == "tools/call" => {
            body::json(StatusCode::OK, &ToolRefused::new(id, &text, preview))
        }
        id => protocol::too_many(id, &text),
    };
    tell(limited, &mut response);
    response
}

/// Numbers for programs. `Retry-After` has a meaning with an error only.
fn tell(limited: &Limited, response: &mut Response<BoxedBody>) {
    let (scope, rate): (&'static str, _) = (limited.scope.into(), limited.rate);
    let seconds = limited.seconds();
    let policy = format!(
        "\"{scope}\";q={};w={}",
        rate.limit(),
        rate.window().as_secs().max(1)
    );
    let left = format!("\"{scope}\";r=0;t={seconds}");
    let is_error = response.status() == StatusCode::TOO_MANY_REQUESTS;
    let headers = response.headers_mut();
    for (name, value) in [(POLICY, policy), (LEFT, left)] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
    if is_error {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
}

/// A tool's result that is an error: what a model reads.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToolRefused<'a> {
    jsonrpc: &'static str,
    id: &'a RawValue,
    result: ToolResult<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToolResult<'a> {
    /// Since 2026-07-28.
    #[serde(skip_serializing_if = "Option::is_none")]
    result_type: Option<&'static str>,
    content: [Text<'a>; 1],
    is_error: bool,
}

#[derive(Serialize)]
struct Text<'a> {
    r#type: &'static str,
    text: &'a str,
}

impl<'a> ToolRefused<'a> {
    fn new(id: &'a RawValue, text: &'a str, preview: &RequestPreview<'_>) -> Self {
        let text = Text {
            r#type: "text",
            text,
        };
        Self {
            jsonrpc: "2.0",
            id,
            result: ToolResult {
                result_type: preview.protocol_version.is_some().then_some("complete"),
                content: [text],
                is_error: true,
            },
        }
    }
}
