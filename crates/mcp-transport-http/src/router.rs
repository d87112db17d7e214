//! The route table, and the steps of one call in the order they happen.

use std::{fmt::Display, sync::Arc};

use bytes::Bytes;
use http::{
    Extensions, HeaderValue, Method, Request, Response, StatusCode,
    header::{ALLOW, AUTHORIZATION, CONNECTION, CONTENT_TYPE, ORIGIN},
};
use http_body::Body;
use http_body_util::Full;
use mcp_auth::AccessToken;
use mcp_session::{Session, SessionTiers};
use rmcp::{
    ServerHandler,
    transport::streamable_http_server::{
        StreamableHttpServerConfig, StreamableHttpService, session::never::NeverSessionManager,
    },
};
use serde_json::json;

use crate::{
    authenticate::authenticate,
    body::{self, BoxedBody},
    challenge::{Challenger, unavailable},
    config::HttpConfig,
    drain::Drain,
    metadata,
    origin::{OriginRule, Refused, is_preflight, preflight},
    preview::RequestPreview,
    protocol,
    trace::{AccessLine, Name},
};

type AttachCaller = dyn Fn(&Session, &AccessToken, &mut Extensions) + Send + Sync;
type RequiredScopes = dyn Fn(&RequestPreview<'_>) -> Vec<String> + Send + Sync;

/// A hosted MCP server around an rmcp handler. Cheap to clone.
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
    pub(crate) sdk: StreamableHttpService<H, NeverSessionManager>,
    sessions: SessionTiers,
    attach_caller: Box<AttachCaller>,
    required_scopes: Box<RequiredScopes>,
    challenger: Challenger,
    origin_rule: OriginRule,
    metadata: Bytes,
    endpoint_path: String,
    metadata_path: String,
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
            Box::new(|_| Vec::new()),
        )
    }

    /// The same server with a rule that says which scopes a request needs; none by default. A
    /// token that lacks one gets 403 `insufficient_scope` naming all of them.
    #[must_use]
    pub fn with_required_scopes(
        self,
        rule: impl Fn(&RequestPreview<'_>) -> Vec<String> + Send + Sync + 'static,
    ) -> Self {
        match Arc::try_unwrap(self.inner) {
            Ok(inner) => Self {
                inner: Arc::new(Inner {
                    required_scopes: Box::new(rule),
                    ..inner
                }),
            },
            // Somebody serves it already: rules do not change under requests.
            Err(inner) => Self { inner },
        }
    }

    fn build(
        config: HttpConfig,
        sessions: SessionTiers,
        handler: H,
        attach_caller: Box<AttachCaller>,
        required_scopes: Box<RequiredScopes>,
    ) -> Self {
        let sdk_config = StreamableHttpServerConfig::default()
            // No protocol sessions: any instance answers any request of any revision.
            .with_legacy_session_mode(false)
            .with_json_response(true)
            .with_allowed_hosts(config.hosts())
            .with_allowed_origins(config.origins())
            .enforce_origin_validation()
            .with_max_request_body_bytes(config.max_body_bytes);
        let sdk = StreamableHttpService::new(
            move || Ok(handler.clone()),
            Arc::new(NeverSessionManager::default()),
            sdk_config,
        );
        let inner = Inner {
            drain: Arc::default(),
            sdk,
            sessions,
            attach_caller,
            required_scopes,
            challenger: Challenger::new(config.metadata_url(), &config.scopes_supported),
            origin_rule: OriginRule::new(config.origins(), config.hosts()),
            metadata: metadata::render(&config),
            endpoint_path: config.endpoint_path(),
            metadata_path: config.metadata_path(),
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
        let route = self.inner.route(request.uri().path());
        let mut line =
            AccessLine::start(request.method().clone(), route.label(), request.headers());
        let response = match route {
            // Probes come from inside, with whatever Host the platform gives them.
            Route::Health => body::json(StatusCode::OK, &json!({"status": "ok"})),
            Route::Ready => self.inner.ready(),
            // Public by design: readable from any origin.
            Route::Metadata => self.inner.metadata(&request),
            Route::Endpoint => self.inner.endpoint(request, &mut line).await,
            Route::Unknown => not_found(),
        };
        self.inner.close(response, route, line)
    }
}

impl<H: ServerHandler + Send + 'static> Inner<H> {
    fn route(&self, path: &str) -> Route {
        match path {
            path if path == self.endpoint_path => Route::Endpoint,
            path if path == self.metadata_path || path == metadata::WELL_KNOWN => Route::Metadata,
            "/health" => Route::Health,
            "/ready" => Route::Ready,
            _ => Route::Unknown,
        }
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

    /// The steps of one call, in request order.
    async fn call<B>(&self, request: Request<B>, line: &mut AccessLine) -> Response<BoxedBody>
    where
        B: Body<Data: Send> + Send + 'static,
        B::Error: Display + Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        // 1. Where it comes from: a page that may not call us learns nothing else.
        if let Err(refused) = self.check_origin(&request) {
            line.outcome = if refused == Refused::Origin {
                "origin"
            } else {
                "host"
            };
            return forbidden_origin(refused);
        }
        // 2. Browsers ask before they send credentials.
        if is_preflight(&request) {
            return preflight(request.headers(), "POST");
        }
        // 3. A stopping server starts nothing new.
        let Some(in_flight) = self.drain.enter() else {
            line.outcome = "draining";
            return draining();
        };
        // 4. Who it is: before the body is read, so strangers cost little.
        let (resolved, token) = match authenticate(&self.sessions, request.headers()).await {
            Ok(authenticated) => authenticated,
            Err(error) => {
                line.outcome = error.label();
                tracing::debug!(request_id = %line.request_id, %error, "request refused");
                return self.challenger.refuse(&error);
            }
        };
        line.tier = Some(resolved.tier.as_str());
        // 5. What it wants.
        let (mut parts, body) = request.into_parts();
        if parts.method != Method::POST {
            line.outcome = "method_not_allowed";
            return method_not_allowed("POST, OPTIONS");
        }
        if !is_json(parts.headers.get(CONTENT_TYPE)) {
            line.outcome = "media_type";
            return protocol::not_json();
        }
        let limit = self.config.max_body_bytes;
        let bytes = match body::read(body, limit, self.config.body_timeout).await {
            Ok(bytes) => bytes,
            Err(reason) => {
                line.outcome = "body";
                return protocol::unreadable(reason);
            }
        };
        let preview = match RequestPreview::parse(&bytes) {
            Ok(preview) => preview,
            Err(reason) => {
                line.outcome = "no_message";
                return protocol::no_message(reason);
            }
        };
        line.mcp_method = Some(Name::new(&preview.method));
        line.tool = preview.tool.as_deref().map(Name::new);
        line.protocol_version = preview.protocol_version.as_deref().map(Name::new);
        // 6. Whether it may: on the body, not on headers that older revisions do not compare.
        let required = (self.required_scopes)(&preview);
        let granted = resolved.session.principal().scopes();
        if !required.iter().all(|scope| granted.contains(scope)) {
            line.outcome = "insufficient_scope";
            return self.challenger.insufficient_scope(&required);
        }
        // 7. The work. The token ends here: nothing behind this line can see the header.
        parts.headers.remove(AUTHORIZATION);
        (self.attach_caller)(&resolved.session, &token, &mut parts.extensions);
        let legacy = preview.protocol_version.is_none();
        let request = Request::from_parts(parts, Full::new(bytes.clone()));
        let response = self.run(request, legacy).await;
        let response = protocol::mend(response, preview.id);
        if response.status().is_client_error() || response.status().is_server_error() {
            line.outcome = "protocol_error";
        }
        in_flight.until_sent(response)
    }

    /// Hands the request to the SDK. A client of the modern revision cancels by hanging up; with
    /// an older one a lost connection must not cancel anything, so its call gets its own task.
    async fn run(&self, request: Request<Full<Bytes>>, legacy: bool) -> Response<BoxedBody> {
        if !legacy {
            return self.sdk.handle(request).await;
        }
        let sdk = self.sdk.clone();
        match tokio::spawn(async move { sdk.handle(request).await }).await {
            Ok(response) => response,
            Err(_) => body::empty(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }

    fn check_origin<B>(&self, request: &Request<B>) -> Result<(), Refused> {
        self.origin_rule.check_origin(request.headers())?;
        self.origin_rule.check_host(request)
    }

    /// What every answer carries; closes the access line.
    fn close(
        &self,
        mut response: Response<BoxedBody>,
        route: Route,
        line: AccessLine,
    ) -> Response<BoxedBody> {
        let headers = response.headers_mut();
        headers.insert(
            "x-content-type-options",
            HeaderValue::from_static("nosniff"),
        );
        if let Some(id) = line.request_id_header() {
            headers.insert("x-request-id", id);
        }
        if self.drain.is_draining() {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        // Probes come every few seconds and say nothing new.
        if !matches!(route, Route::Health | Route::Ready) {
            line.finish(response.status());
        }
        response
    }
}

fn is_json(content_type: Option<&HeaderValue>) -> bool {
    let essence = content_type
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next().map(str::trim));
    essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"))
}

fn forbidden_origin(refused: Refused) -> Response<BoxedBody> {
    let description = match refused {
        Refused::Origin => "this origin may not call this server",
        Refused::Host => "this server is not reached under that host name",
    };
    body::json(
        StatusCode::FORBIDDEN,
        &json!({"error_description": description}),
    )
}

fn not_found() -> Response<BoxedBody> {
    body::json(
        StatusCode::NOT_FOUND,
        &json!({"error_description": "no such path"}),
    )
}

fn method_not_allowed(allowed: &'static str) -> Response<BoxedBody> {
    let mut response = body::empty(StatusCode::METHOD_NOT_ALLOWED);
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

fn draining() -> Response<BoxedBody> {
    unavailable(
        "this instance is stopping: try again",
        std::time::Duration::from_secs(1),
    )
}
