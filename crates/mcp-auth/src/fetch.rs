//! Fetches small JSON documents from an issuer: bounded in time and size, never redirected.

use std::time::Duration;

use mcp_outbound::{FetchError as Outbound, SystemRoots, read_body};
use serde::de::DeserializeOwned;
use url::Url;
use zeroize::Zeroizing;

use crate::error::ConfigError;

/// What is taken for a document. Some servers answer 406 to a client that does not name the
/// document's own media type, and not all mean the same one.
pub(crate) const JSON: &str = "application/json, application/*+json;q=0.9, */*;q=0.1";

/// The same for a key set (RFC 7517 section 8.5.1).
pub(crate) const KEY_SET: &str = "application/jwk-set+json, application/json, */*;q=0.1";

/// Largest metadata document or key set that is read, in bytes. Real ones are below 20 KiB.
const MAX_BODY: usize = 512 * 1024;

/// An HTTP client fit for [`crate::TokenVerifier`]: no redirects, so that a document can only come
/// from the host that was configured; connect and total timeouts. The system's root certificates
/// are read at once.
///
/// # Errors
/// When there are none, or the TLS stack cannot be set up.
pub fn http_client() -> Result<reqwest::Client, ConfigError> {
    let roots = SystemRoots::new();
    roots.read()?;
    http_client_over(roots.tls_config()?)
}

/// [`http_client`] with this TLS.
///
/// # Errors
/// When the TLS stack cannot be set up.
pub fn http_client_over(tls: rustls::ClientConfig) -> Result<reqwest::Client, ConfigError> {
    let agent = concat!("mcp-auth/", env!("CARGO_PKG_VERSION"));
    Ok(mcp_outbound::http_client(tls, agent)?)
}

/// Why a document could not be had; for the operator's log, never for a client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("no answer: {0}")]
    NoAnswer(Outbound),
    #[error("status {0}")]
    Status(u16),
    #[error("larger than {MAX_BODY} bytes")]
    TooLarge,
    #[error("not the expected JSON document")]
    Json,
    #[error("{0}")]
    Refused(&'static str),
    /// With its own spelling, where that can be shown.
    #[error(
        "metadata names another issuer{}",
        .0.as_ref().map(|name| format!(": if it is the one you mean, configure it as {name}"))
            .unwrap_or_default()
    )]
    AnotherIssuer(Option<String>),
}

impl FetchError {
    /// A name for spans.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::NoAnswer(_) => "no_answer",
            Self::Status(_) => "status",
            Self::TooLarge => "too_large",
            Self::Json => "json",
            Self::Refused(_) | Self::AnotherIssuer(_) => "refused",
        }
    }
}

/// GETs and decodes one document.
pub(crate) async fn get_json<T: DeserializeOwned>(
    client: &reqwest::Client,
    url: &Url,
    accept: &'static str,
    timeout: Duration,
) -> Result<T, FetchError> {
    let (document, _) = get_document(client, url, accept, timeout).await?;
    Ok(document)
}

/// The same, with the bytes that it was written in.
pub(crate) async fn get_document<T: DeserializeOwned>(
    client: &reqwest::Client,
    url: &Url,
    accept: &'static str,
    timeout: Duration,
) -> Result<(T, Zeroizing<Vec<u8>>), FetchError> {
    let request = client.get(url.clone()).header("accept", accept);
    read(request.timeout(timeout)).await
}

/// Sends a request and decodes its answer, which must be a 200 of bounded size. Some issuers write
/// a byte order mark before it, and some say 200 where they mean an error.
pub(crate) async fn read_json<T: DeserializeOwned>(
    request: reqwest::RequestBuilder,
) -> Result<T, FetchError> {
    let (document, _) = read(request).await?;
    Ok(document)
}

async fn read<T: DeserializeOwned>(
    request: reqwest::RequestBuilder,
) -> Result<(T, Zeroizing<Vec<u8>>), FetchError> {
    let response = request.send().await.map_err(Outbound::from)?;
    if response.status() != reqwest::StatusCode::OK {
        return Err(FetchError::Status(response.status().as_u16()));
    }
    let body = read_body(response, MAX_BODY).await?;
    Ok((decode(&body)?, body))
}

fn decode<T: DeserializeOwned>(json: &[u8]) -> Result<T, FetchError> {
    serde_json::from_slice(json).map_err(|_| match serde_json::from_slice(json) {
        Ok(OAuthError { error: Some(_) }) => {
            FetchError::Refused("an OAuth error with status 200, not the expected document")
        }
        _ => FetchError::Json,
    })
}

/// RFC 6749 section 5.2.
#[derive(serde::Deserialize)]
struct OAuthError {
    error: Option<String>,
}

impl From<Outbound> for FetchError {
    fn from(error: Outbound) -> Self {
        match error {
            Outbound::TooLarge => Self::TooLarge,
            error => Self::NoAnswer(error),
        }
    }
}

/// Parses an issuer or key set URL: `https`, or plain `http` on a loopback host.
pub(crate) fn parse_url(text: &str) -> Result<Url, ConfigError> {
    let url = Url::parse(text).ok().filter(mcp_outbound::is_secure);
    url.ok_or_else(|| ConfigError::Url(text.to_owned()))
}

/// Client id and secret go form-encoded into HTTP Basic (RFC 6749 section 2.3.1).
pub(crate) fn form_encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
