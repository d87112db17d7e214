//! The issuer's metadata under this server's own name, for clients of MCP 2025-03-26: they look for an
//! authorization server at the resource, and nowhere else.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use mcp_auth::{MetadataMirror, MirrorError, MirroredMetadata};
use mcp_core::ToolSet;
use mcp_transport_http::{HttpServer, MountedRoutes};
use serde_json::json;

use crate::config::AuthSettings;

/// Where they look, for a resource with the path `/mcp` (RFC 8414 section 3.1) and without.
const OAUTH: [&str; 2] = [
    "/.well-known/oauth-authorization-server",
    "/.well-known/oauth-authorization-server/mcp",
];

/// The same of OpenID Connect Discovery, for an issuer that has its metadata there.
const OPENID: [&str; 2] = [
    "/.well-known/openid-configuration",
    "/.well-known/openid-configuration/mcp",
];

/// In the access log and in metrics.
const LABEL: &str = "issuer_metadata";

/// As long as the protected resource metadata.
const CACHED: &str = "public, max-age=300";

/// The same server, with the metadata of its only issuer: of several, nobody could say which are asked
/// for.
pub(crate) fn beside(
    server: HttpServer<ToolSet>,
    auth: &AuthSettings,
    client: &reqwest::Client,
) -> anyhow::Result<HttpServer<ToolSet>> {
    match auth.issuers.as_slice() {
        [only] if auth.metadata_mirror => {
            let mirror = MetadataMirror::new(&only.accepted.issuer, client.clone())?;
            Ok(server.with_routes(routes(mirror))?)
        }
        _ => Ok(server),
    }
}

/// Where the mirror is.
fn routes(mirror: MetadataMirror) -> MountedRoutes {
    let routes = MountedRoutes::new(move |request: Request<Bytes>| {
        let mirror = mirror.clone();
        async move { answer(&mirror, &request).await }
    });
    let paths = OAUTH.into_iter().chain(OPENID);
    paths.fold(routes, |routes, path| routes.path(path, LABEL))
}

/// Public by design, as the document itself: any web page may read it.
async fn answer(mirror: &MetadataMirror, request: &Request<Bytes>) -> Response<Bytes> {
    let mut response = match *request.method() {
        Method::GET => {
            let openid = OPENID.contains(&request.uri().path());
            match mirror.document().await {
                Ok(document) if document.is_openid || !openid => found(&document),
                // Without a body: the server says where to look instead.
                Ok(_) | Err(MirrorError::NoDocument) => status(StatusCode::NOT_FOUND),
                Err(error) => unavailable(error),
            }
        }
        Method::OPTIONS => preflight(),
        _ => {
            let mut response = status(StatusCode::METHOD_NOT_ALLOWED);
            let allowed = HeaderValue::from_static("GET, HEAD, OPTIONS");
            response.headers_mut().insert(header::ALLOW, allowed);
            response
        }
    };
    let any = HeaderValue::from_static("*");
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, any);
    response
}

fn status(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::default();
    *response.status_mut() = status;
    response
}

fn found(document: &MirroredMetadata) -> Response<Bytes> {
    let mut response = Response::new(Bytes::copy_from_slice(&document.body));
    let headers = response.headers_mut();
    let json = HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, json);
    let cached = HeaderValue::from_static(CACHED);
    headers.insert(header::CACHE_CONTROL, cached);
    response
}

fn unavailable(error: MirrorError) -> Response<Bytes> {
    let body = json!({
        "error": "temporarily_unavailable",
        "error_description": "the authorization server does not answer: try again",
    });
    let mut response = Response::new(body.to_string().into());
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    let headers = response.headers_mut();
    let json = HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, json);
    if let MirrorError::Unavailable { retry_after } = error {
        let seconds = HeaderValue::from(retry_after.as_secs().max(1));
        headers.insert(header::RETRY_AFTER, seconds);
    }
    response
}

/// Clients in web pages name the protocol's revision in a header, which is asked for first.
fn preflight() -> Response<Bytes> {
    let mut response = status(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "*"),
        (header::ACCESS_CONTROL_MAX_AGE, "7200"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
