//! Where an issuer keeps its keys and gives out tokens: RFC 8414 and OpenID Connect Discovery.

use std::time::Duration;

use mcp_outbound::{is_issuer, metadata_urls};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use url::Url;
use zeroize::Zeroizing;

use crate::fetch::{FetchError, JSON, get_document, parse_url};

/// The part of an authorization server's metadata that a resource server needs.
#[derive(Debug, Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: String,
    /// Only for those who exchange tokens: whatever it holds spoils nothing else.
    #[serde(default)]
    token_endpoint: Value,
    /// Only told to operators: whatever it holds spoils nothing.
    #[serde(default)]
    code_challenge_methods_supported: Value,
}

/// What an issuer's metadata says.
#[derive(Debug)]
pub(crate) struct Discovered {
    metadata: Metadata,
    source: Url,
}

impl Discovered {
    /// Where its keys are.
    pub(crate) fn jwks_uri(&self) -> Result<Url, FetchError> {
        let uri = checked(&self.metadata.jwks_uri, &self.source);
        uri.map_err(|misplaced| match misplaced {
            Misplaced::NoUrl => FetchError::Refused("jwks_uri is not an https URL"),
            Misplaced::Elsewhere => FetchError::Refused(
                "jwks_uri is on another host or port: if that is meant, name it in jwks_uri \
                 (OAUTH_JWKS_URI)",
            ),
        })
    }

    /// Where it exchanges tokens.
    pub(crate) fn token_endpoint(&self) -> Result<Url, FetchError> {
        let named = self.metadata.token_endpoint.as_str().unwrap_or_default();
        checked(named, &self.source).map_err(|misplaced| match misplaced {
            Misplaced::NoUrl => FetchError::Refused("token_endpoint is not an https URL"),
            Misplaced::Elsewhere => FetchError::Refused(
                "token_endpoint is on another host or port: if that is meant, configure it",
            ),
        })
    }

    /// Whether it says that it takes S256 code challenges, without which MCP clients refuse it.
    pub(crate) fn pkce(&self) -> bool {
        let methods = self.metadata.code_challenge_methods_supported.as_array();
        methods.is_some_and(|named| named.iter().any(|it| it == "S256"))
    }
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
    let found = document::<Metadata>(client, issuer, timeout).await?;
    Ok(Discovered {
        metadata: found.document,
        source: found.source,
    })
}

/// A document that says whose it is.
pub(crate) trait Names: DeserializeOwned {
    /// Its `issuer`; empty where there is none.
    fn issuer(&self) -> &str;
}

impl Names for Metadata {
    fn issuer(&self) -> &str {
        &self.issuer
    }
}

/// An issuer's metadata, and where and how they were written.
pub(crate) struct Found<T> {
    pub(crate) document: T,
    pub(crate) body: Zeroizing<Vec<u8>>,
    pub(crate) source: Url,
}

/// The same document, as something else.
pub(crate) async fn document<T: Names>(
    client: &reqwest::Client,
    issuer: &str,
    timeout: Duration,
) -> Result<Found<T>, FetchError> {
    let mut outcome = FetchError::Refused("the issuer URL has no host");
    for source in metadata_urls(issuer) {
        match get_document::<T>(client, &source, JSON, timeout).await {
            Ok((document, body)) if document.issuer() == issuer => {
                return Ok(Found {
                    document,
                    body,
                    source,
                });
            }
            Ok((other, _)) => {
                outcome = FetchError::AnotherIssuer(spelling(other.issuer().to_owned()));
            }
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

/// Why an address in the metadata is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Misplaced {
    NoUrl,
    Elsewhere,
}

/// What the metadata names must live on the issuer's own host and port; others have to be
/// configured explicitly, or a document under an attacker's control could point the server, with
/// its secrets, anywhere.
fn checked(named: &str, source: &Url) -> Result<Url, Misplaced> {
    let uri = parse_url(named).map_err(|_| Misplaced::NoUrl)?;
    let place = |url: &Url| {
        (
            url.host_str().map(str::to_owned),
            url.port_or_known_default(),
        )
    };
    if place(&uri) == place(source) {
        Ok(uri)
    } else {
        Err(Misplaced::Elsewhere)
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
    fn what_is_on_another_host_is_refused() {
        let source = Url::parse("https://a.test/.well-known/openid-configuration").unwrap();
        let found = |uri: &str| Discovered {
            metadata: Metadata {
                issuer: "https://a.test".to_owned(),
                jwks_uri: uri.to_owned(),
                token_endpoint: uri.into(),
                code_challenge_methods_supported: Value::Null,
            },
            source: source.clone(),
        };
        for uri in ["https://a.test/keys", "https://a.test:443/keys"] {
            assert!(found(uri).jwks_uri().is_ok(), "{uri}");
            assert!(found(uri).token_endpoint().is_ok(), "{uri}");
        }
        for uri in [
            "https://evil.test/keys",
            "https://a.test:8443/keys",
            "http://a.test/keys",
            "file:///etc/passwd",
            "",
        ] {
            assert!(found(uri).jwks_uri().is_err(), "{uri}");
            assert!(found(uri).token_endpoint().is_err(), "{uri}");
        }
    }
}
