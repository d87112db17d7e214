//! The route table, and the steps of one call in the order they happen.

use std::{borrow::Cow, fmt::Display, sync::Arc};

use bytes::Bytes;
use http::{
    Extensions, HeaderValue, Method, Request, Response, StatusCode,
    header::{CONNECTION, ORIGIN, USER_AGENT},
};
use http_body::Body;
use mcp_auth::AccessToken;
use mcp_outbound::HeadSampler;
use mcp_session::{Session, SessionTiers};
use rmcp::{
    ServerHandler,
    transport::streamable_http_server::{
        StreamableHttpServerConfig, StreamableHttpService, session::never::NeverSessionManager,
    },
};
use serde_json::json;
use tracing::Instrument as _;

use crate::{
    access_log::AccessLine,
    body::{self, BoxedBody},
    challenge::{Challenger, unavailable},
    client_address::{AddressRule, PeerAddress},
    config::HttpConfig,
    connections::{ConnectionCounts, Connections, Kind, Place},
    direct::Direct,
    drain::Drain,
    headers,
    memory::{MemoryBudget, MemoryUsage, RETRY_AFTER},
    metadata,
    observe::RequestObserver,
    origin::{OriginRule, preflight},
    preview::RequestPreview,
    refusal::{self, method_not_allowed, refusal},
};

type AttachCaller = dyn Fn(&Session, &AccessToken, &mut Extensions) + Send + Sync;
type ScopeRule = dyn Fn(&RequestPreview<'_>, &[String]) -> Result<(), Vec<String>> + Send + Sync;

/// A hosted MCP server around an rmcp handler. Cheap to clone, when it is set up: the clones share what
/// the `with_` methods set, and those change nothing where there are clones.
pub struct HttpServer<H> {
    pub(crate) inner: Arc<Inner<H>>,
}

impl<H> Clone for HttpServer<H> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

pub(crate) struct Inner<H> {
    pub(crate) config: HttpConfig,
    pub(crate) drain: Arc<Drain>,
    pub(crate) connections: Arc<Connections>,
    /// The fast path, for tools that only answer.
    pub(crate) direct: Option<Direct<H>>,
    handler: H,
    /// Those that the handler answers, where that was said.
    pub(crate) methods: Option<&'static [&'static str]>,
    pub(crate) sdk: StreamableHttpService<H, NeverSessionManager>,
    pub(crate) sessions: SessionTiers,
    pub(crate) attach_caller: Box<AttachCaller>,
    pub(crate) scope_rule: Box<ScopeRule>,
    pub(crate) challenger: Challenger,
    pub(crate) origin_rule: OriginRule,
    pub(crate) address_rule: AddressRule,
    pub(crate) head: Option<HeadSampler>,
    pub(crate) observer: Option<RequestObserver>,
    metadata: Bytes,
    endpoint_path: String,
    routes: Vec<(String, Route)>,
}

/// What can be seen of a server while it runs. A cheap handle.
#[derive(Debug, Clone)]
pub struct ServerStatus {
    drain: Arc<Drain>,
    connections: Arc<Connections>,
    memory: MemoryBudget,
}

impl ServerStatus {
    /// Whether it is stopping, and sends new calls away.
    pub fn is_draining(&self) -> bool {
        self.drain.is_draining()
    }

    /// Calls that are being answered.
    pub fn in_flight(&self) -> usize {
        self.drain.in_flight()
    }

    /// Its connections.
    pub fn connections(&self) -> ConnectionCounts {
        self.connections.counts()
    }

    /// What connections, requests and answers hold.
    pub fn memory(&self) -> MemoryUsage {
        self.memory.usage()
    }
}

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    Endpoint,
    Metadata,
    Health,
    Ready,
    Unknown,
}

impl Route {
    fn label(self) -> &'static str {
        match self {
            Self::Endpoint => "mcp",
            Self::Metadata => "metadata",
            Self::Health => "health",
            Self::Ready => "ready",
            Self::Unknown => "unknown",
        }
    }
}

impl<H: ServerHandler + Clone + Sync + Send + 'static> HttpServer<H> {
    /// A server for `handler`. `caller` turns a session into what the tools will find in the
    /// extensions of the request's `http::request::Parts`; the token is there for the case that it
    /// is the upstream credential itself.
    pub fn new<C: Clone + Send + Sync + 'static>(
        config: HttpConfig,
        sessions: SessionTiers,
        handler: H,
        caller: impl Fn(&Session, &AccessToken) -> C + Send + Sync + 'static,
    ) -> Self {
        let attach = move |session: &Session, token: &AccessToken, extensions: &mut Extensions| {
            extensions.insert(caller(session, token));
        };
        Self::build(
            config,
            sessions,
            handler,
            Box::new(attach),
            Box::new(|_, _| Ok(())),
        )
    }

    /// The same server with a rule that says whether the granted scopes cover a request; without
    /// one, all do. `Err` names all scopes the request needs, for the challenge of a 403
    /// `insufficient_scope`.
    #[must_use]
    pub fn with_scope_rule(
        self,
        rule: impl Fn(&RequestPreview<'_>, &[String]) -> Result<(), Vec<String>> + Send + Sync + 'static,
    ) -> Self {
        self.changed(|inner| inner.scope_rule = Box::new(rule))
    }

    /// The same server, but calls of these tools, and `tools/list`, are handed to the handler without
    /// a service of the SDK around each: about half of what a call costs.
    ///
    /// For tools that do nothing but answer. One of these that sends the client anything before its
    /// answer gets `ServiceError::TransportClosed` instead, unless the client asked for progress:
    /// such a call goes the usual way, as does one of a tool that mirrors arguments in `Mcp-Param-*`
    /// headers, and everything that is not plain.
    #[must_use]
    pub fn with_direct_tools<N: AsRef<str>>(self, names: impl IntoIterator<Item = N>) -> Self {
        self.changed(|inner| inner.direct = Some(Direct::new(inner.handler.clone(), names)))
    }

    /// The same server, for a handler that answers these methods. A request of another one, with params
    /// that nobody can read, gets "method not found" (-32601) and not "invalid params" (-32602).
    #[must_use]
    pub fn with_methods(self, methods: &'static [&'static str]) -> Self {
        self.changed(|inner| inner.methods = Some(methods))
    }

    /// The same server; `head` decides which requests are traced.
    #[must_use]
    pub fn with_head_sampler(self, head: HeadSampler) -> Self {
        self.changed(|inner| inner.head = Some(head))
    }

    /// The same server; the observer, too, is told about every request that was answered.
    #[must_use]
    pub fn with_observer(self, observer: RequestObserver) -> Self {
        self.changed(|inner| {
            inner.observer = Some(match inner.observer.take() {
                Some(first) => Arc::new(move |request| {
                    first(request);
                    observer(request);
                }),
                None => observer,
            });
        })
    }

    /// Where somebody serves it already, nothing changes under the requests.
    fn changed(mut self, change: impl FnOnce(&mut Inner<H>)) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            change(inner);
        } else {
            tracing::error!("a server of which there are clones is not changed any more");
        }
        self
    }

    /// What can be seen of the server while it runs.
    pub fn status(&self) -> ServerStatus {
        ServerStatus {
            drain: Arc::clone(&self.inner.drain),
            connections: Arc::clone(&self.inner.connections),
            memory: self.inner.config.memory.clone(),
        }
    }

    fn build(
        config: HttpConfig,
        sessions: SessionTiers,
        handler: H,
        attach_caller: Box<AttachCaller>,
        scope_rule: Box<ScopeRule>,
    ) -> Self {
        let sdk_config = StreamableHttpServerConfig::default()
            // No protocol sessions: any instance answers any request of any revision.
            .with_legacy_session_mode(false)
            .with_json_response(true)
            .with_allowed_hosts(config.hosts())
            .with_allowed_origins(config.origins())
            .enforce_origin_validation()
            .with_max_request_body_bytes(config.max_body_bytes);
        let own = handler.clone();
        let sdk = StreamableHttpService::new(
            move || Ok(own.clone()),
            Arc::new(NeverSessionManager::default()),
            sdk_config,
        );
        let inner = Inner {
            drain: Arc::default(),
            connections: Arc::new(Connections::new(&config)),
            direct: None,
            handler,
            methods: None,
            sdk,
            sessions,
            attach_caller,
            scope_rule,
            challenger: Challenger::new(config.metadata_url(), &config.scopes_supported),
            origin_rule: OriginRule::new(config.origins(), config.hosts()),
            address_rule: AddressRule::new(config.trusted_proxies.clone(), config.has_tls()),
            head: None,
            observer: None,
            metadata: metadata::render(&config),
            endpoint_path: config.endpoint_path(),
            routes: routes(config.prefix()),
            config,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Answers one request. [`HttpServer::serve`] does this for every request of its listener; a
    /// host that brings its own server calls it from there.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<BoxedBody>
    where
        B: Body<Data: Send> + Send + 'static,
        B::Error: Display + Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.handle_on(request, None).await
    }

    /// The same for a request of one of the listener's connections.
    pub(crate) async fn handle_on<B>(
        &self,
        mut request: Request<B>,
        place: Option<&Arc<Place>>,
    ) -> Response<BoxedBody>
    where
        B: Body<Data: Send> + Send + 'static,
        B::Error: Display + Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let contradicted = headers::fold(request.headers_mut());
        let route = self.inner.route(request.uri().path());
        let path = match route {
            Route::Endpoint => Some(self.inner.endpoint_path.as_str()),
            _ => None,
        };
        let peer = request.extensions().get();
        let address =
            peer.map(|PeerAddress(peer)| self.inner.address_rule.request(*peer, request.headers()));
        let (head, headers) = (self.inner.head.as_ref(), request.headers());
        let mut line = AccessLine::start(head, request.method(), route.label(), path, headers);
        line.contradicted = contradicted;
        line.place = place.map(Arc::clone);
        if let Some(address) = address {
            line.from(address);
            request.extensions_mut().insert(address);
        }
        if self.inner.observer.is_some() {
            line.user_agent = request.headers().get(USER_AGENT).cloned();
        }
        let response = match route {
            // Probes come from inside, with whatever Host the platform gives them.
            Route::Health => health(),
            Route::Ready => self.inner.ready(),
            // Public by design: readable from any origin.
            Route::Metadata => self.inner.metadata(&request),
            Route::Endpoint => {
                let span = line.trace.span.clone();
                let answering = self.inner.endpoint(request, &mut line);
                answering.instrument(span).await
            }
            Route::Unknown => self.inner.not_found(request.uri().path()),
        };
        self.inner.close(response, line)
    }

    /// The answer to a request on a connection that found no place: a probe gets its own.
    pub(crate) fn turned_away<B>(&self, request: &Request<B>, kind: Kind) -> Response<BoxedBody> {
        let route = self.inner.route(request.uri().path());
        let head = self.inner.head.as_ref();
        let mut line = AccessLine::start(
            head,
            request.method(),
            route.label(),
            None,
            request.headers(),
        );
        if let Some(PeerAddress(peer)) = request.extensions().get() {
            line.from(self.inner.address_rule.request(*peer, request.headers()));
        }
        let response = match (route, kind) {
            (Route::Health, _) => health(),
            (Route::Ready, _) => self.inner.ready(),
            (_, Kind::TooMany) => {
                line.refuse("too_many_connections");
                let mut response = unavailable(
                    "too many connections of this address were never authenticated: close some, \
                     and try again",
                    RETRY_AFTER,
                );
                // RFC 6585 section 4.
                *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
                response
            }
            _ => {
                line.refuse("full");
                unavailable(
                    "every connection of this server is taken: try again",
                    RETRY_AFTER,
                )
            }
        };
        self.inner.close(response, line)
    }
}

fn health() -> Response<BoxedBody> {
    body::json(StatusCode::OK, &json!({"status": "ok"}))
}

impl<H: ServerHandler + Send + 'static> Inner<H> {
    /// The name under which the handler has a tool, if it has it.
    pub(crate) fn tool_name(&self, name: &str) -> Option<Cow<'static, str>> {
        let direct = self.direct.as_ref().and_then(|direct| direct.tool(name));
        direct.or_else(|| self.handler.get_tool(name).map(|tool| tool.name))
    }

    fn route(&self, path: &str) -> Route {
        if path == self.endpoint_path {
            return Route::Endpoint;
        }
        let path = spelled(path);
        let mut routes = self.routes.iter();
        let known = routes.find(|(known, _)| known.eq_ignore_ascii_case(&path));
        known.map_or(Route::Unknown, |(_, route)| *route)
    }

    fn not_found(&self, path: &str) -> Response<BoxedBody> {
        let resource = &self.config.resource;
        let path = spelled(path).to_ascii_lowercase();
        let text = if ISSUERS_OWN.iter().any(|own| path.contains(own)) {
            format!(
                "this server is no authorization server: {} names the one that issues its tokens",
                self.config.metadata_url()
            )
        } else {
            format!("no such path: the MCP endpoint is {resource}")
        };
        refusal(StatusCode::NOT_FOUND, "not_found", &text)
    }

    fn ready(&self) -> Response<BoxedBody> {
        if self.drain.is_draining() {
            body::json(
                StatusCode::SERVICE_UNAVAILABLE,
                &json!({"status": "draining"}),
            )
        } else {
            body::json(StatusCode::OK, &json!({"status": "ready"}))
        }
    }

    fn metadata<B>(&self, request: &Request<B>) -> Response<BoxedBody> {
        match *request.method() {
            Method::GET | Method::HEAD => metadata::answer(&self.metadata),
            Method::OPTIONS => {
                let mut response = preflight(request.headers(), "GET");
                let any = HeaderValue::from_static("*");
                response
                    .headers_mut()
                    .insert(http::header::ACCESS_CONTROL_ALLOW_ORIGIN, any);
                response
            }
            _ => method_not_allowed("GET, HEAD, OPTIONS"),
        }
    }

    /// Everything that CORS-relevant answers share goes around the call itself.
    async fn endpoint<B>(&self, request: Request<B>, line: &mut AccessLine) -> Response<BoxedBody>
    where
        B: Body<Data: Send> + Send + 'static,
        B::Error: Display + Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let origin = request.headers().get(ORIGIN).cloned();
        let mut response = self.call(request, line).await;
        self.origin_rule.allow(origin.as_ref(), &mut response);
        response
    }

    /// What every answer carries; closes the access line.
    fn close(
        &self,
        mut response: Response<BoxedBody>,
        mut line: AccessLine,
    ) -> Response<BoxedBody> {
        let headers = response.headers_mut();
        headers.insert(
            "x-content-type-options",
            HeaderValue::from_static("nosniff"),
        );
        headers.insert("x-request-id", line.request_id_header());
        refusal::finish(&mut response, line.request_id());
        let headers = response.headers_mut();
        if self.drain.is_draining() {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        line.finish(response.status());
        if let Some(observer) = &self.observer {
            observer(&line.answered(response.status()));
        }
        response
    }
}

/// What clients of 2025-03-26 and of authorization servers ask for.
const ISSUERS_OWN: [&str; 5] = [
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
    "/authorize",
    "/token",
    "/register",
];

/// Every path that leads somewhere. Where the public URL has a path, a proxy in front may hand that on
/// or take it off.
fn routes(prefix: &str) -> Vec<(String, Route)> {
    let known = metadata::WELL_KNOWN;
    let below = |prefix: &str| {
        [
            (format!("{prefix}/mcp"), Route::Endpoint),
            (format!("{prefix}{known}"), Route::Metadata),
            (format!("{prefix}{known}/mcp"), Route::Metadata),
            (format!("{prefix}/health"), Route::Health),
            (format!("{prefix}/ready"), Route::Ready),
        ]
    };
    let mut routes = Vec::from(below(""));
    if !prefix.is_empty() {
        routes.extend(below(prefix));
        // RFC 9728 section 3.1: the well-known part goes between host and path.
        routes.push((format!("{known}{prefix}"), Route::Metadata));
        routes.push((format!("{known}{prefix}/mcp"), Route::Metadata));
    }
    routes
}

/// A path in the one spelling that routes have. People type slashes at the end and twice; programs
/// escape what needs none. It is served as meant, for redirects lose bodies and headers.
fn spelled(path: &str) -> String {
    let mut spelled = String::with_capacity(path.len());
    let segments = path
        .split('/')
        .filter(|segment| !matches!(*segment, "" | "."));
    for segment in segments {
        spelled.push('/');
        let mut rest = segment;
        while let Some((plain, escaped)) = rest.split_once('%') {
            spelled.push_str(plain);
            let byte = escaped
                .get(..2)
                .and_then(|hex| u8::from_str_radix(hex, 16).ok());
            // No separator comes out of a segment, nor anything but what needs no escape.
            match byte.filter(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(byte)) {
                Some(byte) => {
                    spelled.push(char::from(byte));
                    rest = escaped.split_at(2).1;
                }
                None => {
                    spelled.push('%');
                    rest = escaped;
                }
            }
        }
        spelled.push_str(rest);
    }
    spelled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_spelling() {
        for path in [
            "/mcp",
            "/mcp/",
            "//mcp",
            "/mcp//",
            "/./mcp",
            "/%6dcp",
            "/m%63p/",
            "/%6D%63%70",
        ] {
            assert_eq!(spelled(path), "/mcp", "{path}");
        }
        for other in [
            "/a%2Fmcp",
            "/mcp%00",
            "/%",
            "/%6",
            "/%zz",
            "/../mcp",
            "/mcp%20",
            "/x/../mcp",
            "/%é",
        ] {
            assert_ne!(spelled(other), "/mcp", "{other}");
        }
        assert_eq!(spelled("/"), "");
    }
}
