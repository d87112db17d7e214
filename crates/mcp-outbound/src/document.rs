//! Documents that are asked for now and then: a client without redirects, and a bounded read.

use std::time::Duration;

use reqwest::{Client, Response, redirect};
use rustls::ClientConfig;
use zeroize::Zeroizing;

use crate::{pooled::FetchError, roots::TlsError};

/// A client for documents and questions. It follows no redirect, so that an answer can only come
/// from the host that was asked. 5 s to connect, 15 s in all unless a request says otherwise.
///
/// # Errors
/// When TLS cannot be set up.
pub fn http_client(tls: ClientConfig, user_agent: &str) -> Result<Client, TlsError> {
    Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(redirect::Policy::none())
        .connect_timeout(Duration::from_secs(5))
        .timeout(Duration::from_secs(15))
        .user_agent(user_agent)
        .build()
        .map_err(|error| TlsError(chain(&error)))
}

/// Reads a whole body of at most `limit` bytes, which may be a secret. A byte order mark in front
/// is no part of it (RFC 8259 section 8.1).
///
/// # Errors
/// [`FetchError::TooLarge`], or what became of the connection.
pub async fn read_body(
    mut response: Response,
    limit: usize,
) -> Result<Zeroizing<Vec<u8>>, FetchError> {
    const MARK: &[u8] = b"\xEF\xBB\xBF";
    let mut body = Zeroizing::new(Vec::new());
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > limit {
            return Err(FetchError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    if body.starts_with(MARK) {
        body.drain(..MARK.len());
    }
    Ok(body)
}

impl From<reqwest::Error> for FetchError {
    fn from(error: reqwest::Error) -> Self {
        if error.is_connect() {
            Self::NotSent
        } else if error.is_timeout() {
            Self::Timeout
        } else {
            Self::Broken
        }
    }
}

/// An error and its causes in one line; reqwest's own text is only "builder error".
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    let causes = causes.map(ToString::to_string).collect::<Vec<_>>();
    if causes.is_empty() {
        return error.to_string();
    }
    causes.join(": ")
}
