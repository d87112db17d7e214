//! Protected resource metadata (RFC 9728): where clients learn who issues tokens for us.

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE},
};
use serde::Serialize;

use crate::{
    body::{BoxedBody, full},
    config::HttpConfig,
    tenant::TenantPath,
};

/// Root form of the document's path (RFC 9728 section 3).
pub(crate) const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

#[derive(Serialize)]
struct Document<'a> {
    resource: &'a str,
    authorization_servers: &'a [String],
    #[serde(skip_serializing_if = "slice_is_empty")]
    scopes_supported: &'a [String],
    bearer_methods_supported: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_name: Option<&'a str>,
}

fn slice_is_empty(slice: &[String]) -> bool {
    slice.is_empty()
}

/// The document of the endpoint, rendered once.
pub(crate) fn render(config: &HttpConfig) -> Bytes {
    document(config, &config.resource, &config.authorization_servers)
}

/// The document of a tenant's endpoint. There is one for every name that a tenant can have.
pub(crate) fn render_at(
    config: &HttpConfig,
    path: &TenantPath,
    issuers: Option<&[String]>,
) -> Bytes {
    let resource = format!("{}/{}", config.resource, path.as_str());
    let issuers = issuers.unwrap_or(&config.authorization_servers);
    document(config, &resource, issuers)
}

fn document(config: &HttpConfig, resource: &str, issuers: &[String]) -> Bytes {
    let document = Document {
        resource,
        authorization_servers: issuers,
        scopes_supported: &config.scopes_supported,
        bearer_methods_supported: ["header"],
        resource_name: config.resource_name.as_deref(),
    };
    // Strings and lists of strings always serialize.
    serde_json::to_vec(&document).unwrap_or_default().into()
}

/// The answer to a GET. Public by design, so any web page may read it.
pub(crate) fn answer(document: &Bytes) -> Response<BoxedBody> {
    let mut response = Response::new(full(document.clone()));
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(
        CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=300"),
    );
    response
}
