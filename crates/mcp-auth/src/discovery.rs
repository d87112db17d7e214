//! Where an issuer keeps its keys: RFC 8414 and OpenID Connect Discovery.

use std::time::Duration;

use mcp_outbound::{is_issuer, metadata_urls};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use crate::fetch::{FetchError, JSON, get_json, parse_url};

/// The part of an authorization server's metadata that a resource server needs.
#[derive(Debug, Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: String,
    /// Only told to operators: whatever it holds spoils nothing.
    #[serde(default)]
    code_challenge_methods_supported: Value,
}

/// What an issuer's metadata says.
#[derive(Debug)]
pub(crate) struct Discovered {
    pub(crate) jwks_uri: Url,
    /// Whether it says that it takes S256 code challenges, without which MCP clients refuse it.
    pub(crate) pkce: bool,
}

/// Finds the metadata of `issuer`.
///
/// The document's `issuer` must equal the configured one as a string (RFC 8414 section 3.3): URL
/// parsing would add a slash and make two different issuers equal.
pub(crate) async fn find(
    client: &reqwest::Client,
    issuer: &str,
    timeout: Duration,
) -> Result<Discovered, FetchError> {
    let mut outcome = FetchError::Refused("the issuer URL has no host");
    for url in metadata_urls(issuer) {
        match get_json::<Metadata>(client, &url, JSON, timeout).await {
            Ok(metadata) if metadata.issuer == issuer => {
                let methods = metadata.code_challenge_methods_supported.as_array();
                return Ok(Discovered {
                    jwks_uri: checked(&metadata, &url)?,
                    pkce: methods.is_some_and(|named| named.iter().any(|it| it == "S256")),
                });
            }
            Ok(metadata) => outcome = FetchError::AnotherIssuer(spelling(metadata.issuer)),
            // An issuer that does not answer will not answer the next path either.
            Err(error @ FetchError::NoAnswer(_)) => return Err(error),
            Err(error) => outcome = error,
        }
    }
    Err(outcome)
}

/// What an issuer calls itself, if an operator could configure that: for logs and terminals.
fn spelling(issuer: String) -> Option<String> {
    is_issuer(&issuer).then_some(issuer)
}

/// The key set must live on the issuer's own host and port; others have to be configured
/// explicitly, or a document under an attacker's control could point the server anywhere.
fn checked(metadata: &Metadata, source: &Url) -> Result<Url, FetchError> {
    let uri = parse_url(&metadata.jwks_uri)
        .map_err(|_| FetchError::Refused("jwks_uri is not an https URL"))?;
    let place = |url: &Url| {
        (
            url.host_str().map(str::to_owned),
            url.port_or_known_default(),
        )
    };
    if place(&uri) == place(source) {
        Ok(uri)
    } else {
        Err(FetchError::Refused(
            "jwks_uri is on another host or port: if that is meant, name it in jwks_uri \
             (OAUTH_JWKS_URI)",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_of_another_name_is_shown_only_where_it_could_be_configured() {
        let shown = |name: &str| FetchError::AnotherIssuer(spelling(name.to_owned())).to_string();
        let good = shown("https://a.test/");
        assert!(good.ends_with("configure it as https://a.test/"), "{good}");
        for odd in [
            "http://a.test",
            "https://a.test/\n\u{1b}[2J",
            "javascript:x",
            "https://user:hunter2@a.test",
            "",
        ] {
            assert_eq!(shown(odd), "metadata names another issuer", "{odd:?}");
        }
    }

    #[test]
    fn a_key_set_on_another_host_is_refused() {
        let source = Url::parse("https://a.test/.well-known/openid-configuration").unwrap();
        let metadata = |jwks_uri: &str| Metadata {
            issuer: "https://a.test".to_owned(),
            jwks_uri: jwks_uri.to_owned(),
            code_challenge_methods_supported: Value::Null,
        };
        for uri in ["https://a.test/keys", "https://a.test:443/keys"] {
            assert!(checked(&metadata(uri), &source).is_ok(), "{uri}");
        }
        for uri in [
            "https://evil.test/keys",
            "https://a.test:8443/keys",
            "http://a.test/keys",
            "file:///etc/passwd",
            "",
        ] {
            assert!(checked(&metadata(uri), &source).is_err(), "{uri}");
        }
    }
}
