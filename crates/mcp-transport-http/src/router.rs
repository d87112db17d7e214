//! The route table: which path leads where, and what every answer carries.

use std::{borrow::Cow, fmt::Display, sync::Arc};

use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{CONNECTION, ORIGIN, USER_AGENT, X_CONTENT_TYPE_OPTIONS},
};
use http_body::Body;
use rmcp::ServerHandler;
use serde_json::json;
use tracing::Instrument as _;

use crate::{
    access_log::AccessLine,
    body::{self, BoxedBody},
    challenge::unavailable,
    client_address::PeerAddress,
    connections::{Kind, Place},
    headers::{self, REQUEST_ID},
    memory::RETRY_AFTER,
    metadata,
    origin::preflight,
    refusal::{self, method_not_allowed, refusal},
    server::{HttpServer, Inner},
    tenant::TenantPath,
};

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    Endpoint,
    Metadata,
    Health,
    Ready,
    /// Of the host: which one, and its label.
    Mounted(usize, &'static str),
    Unknown,
}

impl Route {
    fn label(self) -> &'static str {
        match self {
            Self::Endpoint => "mcp",
            Self::Metadata => "metadata",
            Self::Health => "health",
            Self::Ready => "ready",
            Self::Mounted(_, label) => label,
            Self::Unknown => "unknown",
        }
    }
}

impl<H: ServerHandler + Clone + Sync + Send + 'static> HttpServer<H> {
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
        let (route, tenant) = self.inner.route(request.uri().path());
        let path =
            (route == Route::Endpoint).then(|| self.inner.endpoint_template(tenant.as_ref()));
        if let Some(tenant) = tenant {
            request.extensions_mut().insert(tenant);
        }
        let peer = request.extensions().get();
        let address =
            peer.map(|PeerAddress(peer)| self.inner.address_rule.request(*peer, request.headers()));
        let (head, headers) = (self.inner.head.as_ref(), request.headers());
        let mut line = AccessLine::start(
            head,
            request.method(),
            route.label(),
            path.as_deref(),
            headers,
        );
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
            Route::Mounted(index, _) => {
                let path = request.uri().path().to_owned();
                let answering = self.inner.answer_mounted(index, request, &mut line);
                // Boxed: few requests are such ones.
                let answer = Box::pin(answering).await;
                self.inner.or_not_found(&path, answer)
            }
            Route::Unknown => self.inner.not_found(request.uri().path()),
        };
        self.inner.close(response, line)
    }

    /// The answer to a request on a connection that found no place: a probe gets its own.
    pub(crate) fn turned_away<B>(&self, request: &Request<B>, kind: Kind) -> Response<BoxedBody> {
        let (route, _) = self.inner.route(request.uri().path());
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

    /// Where a path leads, and the tenant that it names.
    fn route(&self, path: &str) -> (Route, Option<TenantPath>) {
        if path == self.endpoint_path {
            return (Route::Endpoint, None);
        }
        let path = spelled(path);
        let mut routes = self.routes.iter();
        let known = routes.find(|(known, _)| known.eq_ignore_ascii_case(&path));
        match known {
            Some((_, route)) => (*route, None),
            None => self.tenant_route(&path).unwrap_or((Route::Unknown, None)),
        }
    }

    /// A tenant's path is one of the endpoint's, or of its metadata's, with names behind it.
    fn tenant_route(&self, path: &str) -> Option<(Route, Option<TenantPath>)> {
        let tenants = self.tenants.as_ref()?;
        let mut routes = self.routes.iter();
        routes.find_map(|(known, route)| {
            let has_tenants = matches!(route, Route::Endpoint | Route::Metadata);
            let (above, below) = path.split_at_checked(known.len()).filter(|_| has_tenants)?;
            let names = below.strip_prefix('/')?;
            let is_endpoints = known.ends_with("/mcp") && above.eq_ignore_ascii_case(known);
            let tenant = tenants.path(names).filter(|_| is_endpoints)?;
            Some((*route, Some(tenant)))
        })
    }

    /// The endpoint's path as spans name it: what a client makes up is not in it.
    fn endpoint_template(&self, tenant: Option<&TenantPath>) -> Cow<'_, str> {
        let endpoint = &self.endpoint_path;
        match tenant.map(TenantPath::part) {
            None => Cow::Borrowed(endpoint),
            Some(None) => Cow::Owned(format!("{endpoint}/{{tenant}}")),
            Some(Some(_)) => Cow::Owned(format!("{endpoint}/{{tenant}}/{{part}}")),
        }
    }

    fn not_found(&self, path: &str) -> Response<BoxedBody> {
        let resource = &self.config.resource;
        let path = spelled(path).to_ascii_lowercase();
        let asks_issuer = ISSUERS_OWN.iter().any(|own| path.contains(own));
        let text = if asks_issuer && !self.has_mounted("/token") {
            format!(
                "this server is no authorization server: {} names the one that issues its tokens",
                self.config.metadata_url()
            )
        } else {
            let tenants = if self.tenants.is_some() {
                ", and an organization's own is one name below it"
            } else {
                ""
            };
            format!("no such path: the MCP endpoint is {resource}{tenants}")
        };
        refusal(StatusCode::NOT_FOUND, "not_found", &text)
    }

    /// What a mounted route answered, unless it has nothing there.
    fn or_not_found(&self, path: &str, answer: Response<BoxedBody>) -> Response<BoxedBody> {
        let is_empty = answer.body().size_hint().exact() == Some(0);
        if answer.status() != StatusCode::NOT_FOUND || !is_empty {
            return answer;
        }
        let mut own = self.not_found(path);
        own.headers_mut().extend(answer.into_parts().0.headers);
        own
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
            Method::GET | Method::HEAD => match TenantPath::of(request.extensions()) {
                Some(path) => {
                    let issuers = self.tenants.as_ref().and_then(|it| it.issuers(path));
                    let issuers = issuers.as_deref();
                    metadata::answer(&metadata::render_at(&self.config, path, issuers))
                }
                None => metadata::answer(&self.metadata),
            },
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
    async fn endpoint<B>(
        self: &Arc<Self>,
        request: Request<B>,
        line: &mut AccessLine,
    ) -> Response<BoxedBody>
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
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(REQUEST_ID, line.request_id_header());
        refusal::finish(&mut response, line.request_id());
        let headers = response.headers_mut();
        if self.drain.is_draining() {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        line.finish(response.status(), self.observer.as_ref());
        response
    }
}

/// What clients of 2025-03-26 and of authorization servers ask for.
const ISSUERS_OWN: &[&str] = &[
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
    "/authorize",
    "/token",
    "/register",
];

/// Every path that leads somewhere. Where the public URL has a path, a proxy in front may hand that on
/// or take it off.
pub(crate) fn routes(prefix: &str) -> Vec<(String, Route)> {
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
pub(crate) fn spelled(path: &str) -> String {
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
