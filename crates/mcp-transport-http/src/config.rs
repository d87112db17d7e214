//! What the server must know about itself and its limits.

use std::time::Duration;

use url::Url;

use crate::{memory::MemoryBudget, trusted_proxies::TrustedProxies};

/// Settings of an [`crate::HttpServer`]. Times and sizes have defaults that suit a hosted server.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HttpConfig {
    /// Identifier of this resource (RFC 8707): the public URL of the MCP endpoint.
    pub resource: String,
    /// Issuers whose tokens are accepted, for the metadata document (RFC 9728 section 2).
    pub authorization_servers: Vec<String>,
    /// Scopes a client should ask for at first. Minimal: no wildcard, no `offline_access`.
    pub scopes_supported: Vec<String>,
    /// Human-readable name for consent screens (RFC 9728 section 2).
    pub resource_name: Option<String>,
    /// Origins of web pages that may call the endpoint, besides the public URL's own.
    pub allowed_origins: Vec<String>,
    /// `Host` values to accept, besides the public URL's own.
    pub allowed_hosts: Vec<String>,
    /// Proxies in front whose word about a client's address is taken. None by default.
    pub trusted_proxies: TrustedProxies,
    /// Largest request body, in bytes. 1 MiB by default.
    pub max_body_bytes: usize,
    /// Largest answer to a JSON-RPC batch, in bytes: what comes after so much is not done but answered
    /// with an error. 8 MiB by default.
    pub max_batch_bytes: usize,
    /// Open connections at a time. 10,000 by default, and never more than half of `memory` has room
    /// for. When all places are taken, connections that were never authenticated make room.
    pub max_connections: usize,
    /// Connections at a time of one address (IPv6: of one /64) that were never authenticated. No
    /// limit by default: behind a proxy, all clients have the proxy's address.
    pub max_strangers_per_address: Option<usize>,
    /// What connections, requests and answers may hold together. A quarter of what this process may
    /// use by default, each for connections and for work.
    pub memory: MemoryBudget,
    /// Time a client has to send its request line and headers. 15 s by default.
    pub header_timeout: Duration,
    /// Time a connection may go without a request before it is closed. 2 min by default: a proxy in
    /// front must give up its connections earlier, or it will use one that is being closed.
    pub idle_timeout: Duration,
    /// Time a client has to send its body. 30 s by default.
    pub body_timeout: Duration,
    /// Time a client has to read an answer. 1 min by default.
    pub answer_timeout: Duration,
    /// Time a request may go without an answer before a stream of events, or for clients that take none
    /// a JSON body with blanks in front, is begun for it. 5 s by default: clients and proxies give up
    /// what is silent for a minute.
    pub quiet_before_stream: Duration,
    /// Longest time between two signs of life on such a stream, and on one that tells of a call's
    /// progress. 10 s by default.
    pub keep_alive: Duration,
    /// Time a stop takes as a whole, see [`crate::Phase::times`]. 8 s by default: shorter than the
    /// shortest grace that platforms give.
    pub drain_timeout: Duration,
    public_url: Url,
}

/// A public URL that cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the public URL must be an absolute http or https URL without query or fragment, such as \
     https://mcp.example.com"
)]
#[non_exhaustive]
pub struct HttpConfigError;

impl HttpConfig {
    /// A server reached at `public_url`, whose endpoint is that URL with `/mcp` appended, or that URL
    /// where it ends so.
    ///
    /// # Errors
    /// When `public_url` is no absolute http(s) URL, or has a query or fragment.
    pub fn new<S: Into<String>>(
        public_url: &str,
        authorization_servers: impl IntoIterator<Item = S>,
    ) -> Result<Self, HttpConfigError> {
        let public_url = public_url.trim_end_matches('/');
        let url = Url::parse(public_url).map_err(|_| HttpConfigError)?;
        let usable = matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.query().is_none()
            && url.fragment().is_none();
        if !usable {
            return Err(HttpConfigError);
        }
        // Of the path: a host may be called so, too.
        let public_url = match url.path().trim_end_matches('/').strip_suffix("/mcp") {
            Some(_) => public_url.strip_suffix("/mcp").unwrap_or(public_url),
            None => public_url,
        };
        let public_url = public_url.trim_end_matches('/');
        let url = Url::parse(public_url).map_err(|_| HttpConfigError)?;
        Ok(Self {
            resource: format!("{public_url}/mcp"),
            authorization_servers: authorization_servers.into_iter().map(Into::into).collect(),
            scopes_supported: Vec::new(),
            resource_name: None,
            allowed_origins: Vec::new(),
            allowed_hosts: Vec::new(),
            trusted_proxies: TrustedProxies::default(),
            max_body_bytes: 1024 * 1024,
            max_batch_bytes: 8 * 1024 * 1024,
            max_connections: 10_000,
            max_strangers_per_address: None,
            memory: MemoryBudget::default(),
            header_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_mins(2),
            body_timeout: Duration::from_secs(30),
            answer_timeout: Duration::from_mins(1),
            quiet_before_stream: Duration::from_secs(5),
            keep_alive: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(8),
            public_url: url,
        })
    }

    /// Whether clients reach this server by TLS, which somebody in front of it takes off.
    pub(crate) fn has_tls(&self) -> bool {
        self.public_url.scheme() == "https"
    }

    /// Path of the MCP endpoint.
    pub(crate) fn endpoint_path(&self) -> String {
        format!("{}/mcp", self.prefix())
    }

    /// Path of the public URL, without a slash at its end: empty for most.
    pub(crate) fn prefix(&self) -> &str {
        self.public_url.path().trim_end_matches('/')
    }

    /// Whether it is reached on the internet and not on a user's machine only.
    pub(crate) fn is_hosted(&self) -> bool {
        let host = self.public_url.host_str().unwrap_or_default();
        let is_local =
            LOOPBACK.contains(&host) || host.ends_with(".localhost") || host.starts_with("127.");
        self.has_tls() && !is_local
    }

    /// Path of the metadata document for the endpoint: the well-known part goes between host and
    /// path (RFC 9728 section 3.1).
    pub(crate) fn metadata_path(&self) -> String {
        format!("{}{}", crate::metadata::WELL_KNOWN, self.endpoint_path())
    }

    /// Absolute URL of the metadata document, as challenges name it.
    pub(crate) fn metadata_url(&self) -> String {
        format!(
            "{}{}",
            self.public_url.origin().ascii_serialization(),
            self.metadata_path()
        )
    }

    /// Origins to accept, serialized as browsers do.
    pub(crate) fn origins(&self) -> Vec<String> {
        let own = self.public_url.origin().ascii_serialization();
        let configured = self.allowed_origins.iter().map(|origin| {
            Url::parse(origin).map_or_else(
                |_| origin.to_ascii_lowercase(),
                |url| url.origin().ascii_serialization(),
            )
        });
        std::iter::once(own).chain(configured).collect()
    }

    /// `Host` values to accept: names without a port stand for every port.
    ///
    /// The rule guards against DNS rebinding, where the name is the attacker's; ports change with
    /// every proxy in between.
    pub(crate) fn hosts(&self) -> Vec<String> {
        let own = self.public_url.host_str().unwrap_or_default();
        let mut hosts = vec![own.to_owned()];
        // One machine, several names for it: a developer's client may use any of them.
        if LOOPBACK.contains(&own) {
            hosts.extend(LOOPBACK.map(str::to_owned));
        }
        hosts.extend(
            self.allowed_hosts
                .iter()
                .map(|host| host.to_ascii_lowercase()),
        );
        hosts.sort_unstable();
        hosts.dedup();
        hosts
    }
}

/// Names of this machine for itself.
pub(crate) const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_from_the_public_url() {
        let config = HttpConfig::new("https://mcp.test/", ["https://a.test"]).unwrap();
        assert_eq!(config.resource, "https://mcp.test/mcp");
        assert_eq!(config.endpoint_path(), "/mcp");
        assert_eq!(
            config.metadata_url(),
            "https://mcp.test/.well-known/oauth-protected-resource/mcp"
        );
        assert_eq!(config.hosts(), ["mcp.test"]);
        assert_eq!(config.origins(), ["https://mcp.test"]);
    }

    #[test]
    fn a_public_url_with_a_path_keeps_it() {
        let config = HttpConfig::new("https://h.test/x", ["https://a.test"]).unwrap();
        assert_eq!(config.resource, "https://h.test/x/mcp");
        let named = HttpConfig::new("https://h.test/x/mcp/", ["https://a.test"]).unwrap();
        assert_eq!(named.resource, config.resource);
        let host = HttpConfig::new("http://mcp", ["https://a.test"]).unwrap();
        assert_eq!(host.resource, "http://mcp/mcp");
        assert_eq!(config.endpoint_path(), "/x/mcp");
        assert_eq!(
            config.metadata_path(),
            "/.well-known/oauth-protected-resource/x/mcp"
        );
    }

    #[test]
    fn a_loopback_url_has_all_loopback_names() {
        let config = HttpConfig::new("http://127.0.0.1:8080", ["https://a.test"]).unwrap();
        assert_eq!(config.hosts(), ["127.0.0.1", "[::1]", "localhost"]);
    }

    #[test]
    fn what_is_no_public_url_is_refused() {
        for url in [
            "",
            "mcp.test",
            "ftp://mcp.test",
            "https://",
            "https://h.test/?a=1",
        ] {
            assert!(HttpConfig::new(url, ["https://a.test"]).is_err(), "{url}");
        }
    }
}
