//! The fast path to the handler, past the SDK's HTTP service.
//!
//! The SDK starts a service with three tasks and as many channels for each request without a
//! session, and finds out by trying what kind of message it is: half of what a call costs. None of
//! it is needed for a tool that only answers. What is taken here is plain in every respect; whatever
//! is not, a missing header or a strange field, goes the SDK's way and gets the SDK's answer.

use std::{
    borrow::Cow,
    collections::HashSet,
    convert::Infallible,
    sync::{Arc, OnceLock},
};

use futures::FutureExt as _;
use http::{
    HeaderMap, Response, StatusCode,
    header::{ACCEPT, AsHeaderName},
    request::Parts,
};
use mcp_outbound::run_to_end;
use rmcp::{
    ErrorData, Peer, RoleServer, ServerHandler, Service,
    model::{
        CallToolRequest, CallToolRequestParams, ClientCapabilities, ClientJsonRpcMessage,
        ClientRequest, ErrorCode, Implementation, InitializeRequestParams, ListToolsRequest,
        PaginatedRequestParams, ProtocolVersion, RequestId, RequestMetaObject,
        ServerJsonRpcMessage, ServerResult,
    },
    service::{RequestContext, RxJsonRpcMessage, TxJsonRpcMessage, serve_directly},
    transport::Transport,
};
use serde::de::DeserializeOwned;

use crate::{
    body::{self, BoxedBody},
    headers::{MCP_METHOD, MCP_NAME, PROTOCOL_VERSION},
    preview::RequestPreview,
    refusal,
};

/// How a parameter of a tool says that a header repeats it (SEP-2243).
const MIRRORED: &str = "x-mcp-header";

/// The revisions whose header rules are known here. Calls of any other go the SDK's way, also when an
/// update of the SDK brings a new one.
const UNDERSTOOD: [ProtocolVersion; 5] = [
    ProtocolVersion::V_2024_11_05,
    ProtocolVersion::V_2025_03_26,
    ProtocolVersion::V_2025_06_18,
    ProtocolVersion::V_2025_11_25,
    ProtocolVersion::V_2026_07_28,
];

/// The tools that are called on the fast path, and their handler.
pub(crate) struct Direct<H> {
    handler: Arc<H>,
    tools: HashSet<Cow<'static, str>>,
    /// One for each revision that is understood. On none of them does anything ever arrive.
    peers: OnceLock<Vec<Peer<RoleServer>>>,
}

/// A request for the handler.
pub(crate) struct DirectCall {
    request: ClientRequest,
    context: RequestContext<RoleServer>,
    modern: bool,
}

/// What the handler made of a call: nothing, if it panicked.
pub(crate) struct Handled {
    id: RequestId,
    modern: bool,
    result: Option<Result<ServerResult, ErrorData>>,
}

impl<H: ServerHandler> Direct<H> {
    /// `names` without those the handler does not have, and those whose calls need their headers
    /// compared with their arguments.
    pub(crate) fn new<N: AsRef<str>>(handler: H, names: impl IntoIterator<Item = N>) -> Self {
        let plain = |name: N| {
            let tool = handler.get_tool(name.as_ref())?;
            let schema = serde_json::to_string(&tool.input_schema).ok()?;
            (!schema.contains(MIRRORED)).then_some(tool.name)
        };
        let tools = names.into_iter().filter_map(plain).collect();
        Self {
            handler: Arc::new(handler),
            tools,
            peers: OnceLock::new(),
        }
    }

    /// The name of a tool, if it is called on the fast path.
    pub(crate) fn tool(&self, name: &str) -> Option<Cow<'static, str>> {
        self.tools.get(name).cloned()
    }

    /// The request, if it can take the fast path; `wrapped` is the form in which it is read, if that is
    /// another one.
    pub(crate) fn take(
        &self,
        headers: &HeaderMap,
        preview: &RequestPreview<'_>,
        wrapped: Option<&[u8]>,
    ) -> Option<Box<DirectCall>> {
        if !preview.is_request || preview.is_mixed || !accepts_both(headers) {
            return None;
        }
        let tool = preview.tool.as_deref();
        let params = preview.params.map(serde_json::value::RawValue::get);
        let (request, meta) = match &*preview.method {
            "tools/call" if tool.is_some_and(|tool| self.tools.contains(tool)) => {
                let mut params: CallToolRequestParams = decode(params?)?;
                let meta = params.meta.take().unwrap_or_default();
                (CallToolRequest::new(params).into(), meta)
            }
            "tools/list" => {
                let mut params: PaginatedRequestParams = decode(params.unwrap_or("{}"))?;
                let meta = params.meta.take().unwrap_or_default();
                (ListToolsRequest::with_param(params).into(), meta)
            }
            _ => return None,
        };
        let request = match wrapped {
            Some(message) => request_in(message)?,
            None => request,
        };
        if meta.get_progress_token().is_some() {
            return None;
        }
        let revision = revision(headers, preview, &meta)?;
        let peer = self.peers().get(revision)?.clone();
        let mut context = RequestContext::new(decode(preview.id?.get())?, peer);
        let modern = meta.protocol_version().is_some();
        context.meta = meta;
        // Boxed: it would be moved many times.
        Some(Box::new(DirectCall {
            request,
            context,
            modern,
        }))
    }

    /// Has the call answered. `parts` are for the handler to find.
    ///
    /// When nobody waits any more, the handler goes on in a task of its own: told that it is not
    /// wanted, where a client cancels by hanging up (2026-07-28), else not, for with an older
    /// revision a lost connection cancels nothing.
    pub(crate) fn begin(
        &self,
        mut call: Box<DirectCall>,
        parts: Parts,
    ) -> impl Future<Output = Handled> + Send + Unpin + use<H> {
        call.context.extensions.insert(parts);
        let (id, modern) = (call.context.id.clone(), call.modern);
        let cancelled = call.context.ct.clone();
        let handler = Arc::clone(&self.handler);
        let work = async move { handler.handle_request(call.request, call.context).await };
        let left = move || {
            if modern {
                cancelled.cancel();
            }
        };
        run_to_end(work, left).map(move |result| Handled { id, modern, result })
    }

    fn peers(&self) -> &[Peer<RoleServer>] {
        self.peers.get_or_init(|| {
            UNDERSTOOD
                .iter()
                .map(|version| peer_of(&self.handler, version))
                .collect()
        })
    }
}

impl Handled {
    pub(crate) async fn answer(self, request_id: &str) -> Response<BoxedBody> {
        match self.result {
            Some(Ok(result)) => {
                let message = ServerJsonRpcMessage::response(result, self.id);
                body::json(StatusCode::OK, &message)
            }
            Some(Err(error)) => {
                let status = if self.modern {
                    status_of(error.code)
                } else {
                    StatusCode::OK
                };
                let message = ServerJsonRpcMessage::error(error, Some(self.id));
                refusal::identify(body::json(status, &message), request_id).await
            }
            None => body::empty(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }
}

/// The request that a message is.
fn request_in(message: &[u8]) -> Option<ClientRequest> {
    match serde_json::from_slice(message).ok()? {
        ClientJsonRpcMessage::Request(message) => Some(message.request),
        _ => None,
    }
}

/// The handler as a service whose client has gone. Its peer says so to whoever sends on it.
fn peer_of<H: ServerHandler>(handler: &Arc<H>, version: &ProtocolVersion) -> Peer<RoleServer> {
    let client =
        InitializeRequestParams::new(ClientCapabilities::default(), Implementation::default());
    let client = client.with_protocol_version(version.clone());
    serve_directly(Arc::clone(handler), Gone, Some(client))
        .peer()
        .clone()
}

/// The way to a client that is not there.
struct Gone;

impl Transport<RoleServer> for Gone {
    type Error = Infallible;

    fn send(
        &mut self,
        _message: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = Result<(), Infallible>> + Send + 'static {
        std::future::ready(Ok(()))
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        None
    }

    async fn close(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// The place of the revision among those known, where headers and message agree on all that the
/// revision asks for.
fn revision(
    headers: &HeaderMap,
    preview: &RequestPreview<'_>,
    meta: &RequestMetaObject,
) -> Option<usize> {
    let named = one(headers, PROTOCOL_VERSION)?;
    // What an absent header means.
    let version = named.unwrap_or(ProtocolVersion::V_2025_03_26.as_str());
    let place = |known: &ProtocolVersion| known.as_str() == version;
    let place = UNDERSTOOD.iter().position(place)?;
    let has_headers = version >= ProtocolVersion::STANDARD_HEADERS.as_str();
    let agreed = match meta.protocol_version() {
        None => !has_headers,
        Some(_) if !has_headers => false,
        Some(said) => {
            said.as_str() == version
                && meta.missing_required_keys(&said).is_empty()
                && one(headers, MCP_METHOD)? == Some(&*preview.method)
                && match preview.tool.as_deref() {
                    Some(tool) => !tool.starts_with("=?") && one(headers, MCP_NAME)? == Some(tool),
                    None => true,
                }
        }
    };
    agreed.then_some(place)
}

/// The only value of a header, if it has one; `None` where that is not a plain text.
#[expect(
    clippy::option_option,
    reason = "outside: whether it is plain, inside: whether it is there"
)]
fn one(headers: &HeaderMap, name: impl AsHeaderName) -> Option<Option<&str>> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().map(|value| value.to_str().ok());
    match (value, values.next()) {
        (None, _) => Some(None),
        (Some(Some(text)), None) => Some(Some(text)),
        _ => None,
    }
}

/// Whether the client takes both kinds of answers, and says so without weights.
fn accepts_both(headers: &HeaderMap) -> bool {
    let Some(Some(accepted)) = one(headers, ACCEPT) else {
        return false;
    };
    let takes = |kind| accepted.split(',').any(|part| part.trim() == kind);
    takes("application/json") && takes("text/event-stream")
}

/// What the Streamable HTTP transport of 2026-07-28 wants for an error.
fn status_of(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::UNSUPPORTED_PROTOCOL_VERSION
        | ErrorCode::MISSING_REQUIRED_CLIENT_CAPABILITY
        | ErrorCode::HEADER_MISMATCH => StatusCode::BAD_REQUEST,
        ErrorCode::METHOD_NOT_FOUND => StatusCode::NOT_FOUND,
        _ => StatusCode::OK,
    }
}

fn decode<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_str(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A revision that the SDK learns is served by the SDK alone, until somebody has read its rules:
    /// then it belongs into `UNDERSTOOD`, and its headers into `revision`.
    #[test]
    fn the_sdk_knows_no_revision_whose_rules_were_not_read_here() {
        assert_eq!(ProtocolVersion::KNOWN_VERSIONS, &UNDERSTOOD);
    }
}
