//! Where the API is: the configured address, and the path that every request begins with.

use bytes::Bytes;
use http::{Uri, uri::PathAndQuery};
use url::{Url, form_urlencoded};

use super::{ConfigError, routes::PREFIX, send::Request};

/// Where the API is.
pub(super) struct Base {
    /// The configured URL, for its scheme and host.
    pub(super) uri: Uri,
    /// Its path with the API's prefix, to the last slash.
    path: String,
}

impl Base {
    /// A path in the base is kept: a whole prefix, such as `/api/v2`, as it is; another one, such as
    /// that of a gateway, with [`PREFIX`] behind it, of which nothing is written twice.
    pub(super) fn new(mut base: Url) -> Result<Self, ConfigError> {
        if !matches!(base.scheme(), "http" | "https") || !base.has_host() {
            return Err(ConfigError::Base);
        }
        base.set_query(None);
        base.set_fragment(None);
        // Not in the way: a base with a host takes both.
        let _ = base.set_username("");
        let _ = base.set_password(None);
        Ok(Self {
            path: prefixed(base.path()),
            uri: base.as_str().parse().map_err(|_| ConfigError::Base)?,
        })
    }

    /// Where the request goes; none where a path cannot be written, which ids rule out.
    pub(super) fn uri_of(&self, request: &Request) -> Option<Uri> {
        let mut path = format!("{}{}", self.path, request.route.path);
        if !request.query.is_empty() {
            path.push('?');
            let start = path.len();
            let mut query = form_urlencoded::Serializer::for_suffix(&mut path, start);
            query.extend_pairs(&request.query).finish();
        }
        let mut parts = self.uri.clone().into_parts();
        parts.path_and_query = Some(PathAndQuery::from_maybe_shared(Bytes::from(path)).ok()?);
        Uri::from_parts(parts).ok()
    }
}

/// The path that every request begins with, from the path of the configured address.
fn prefixed(path: &str) -> String {
    let given = path.split('/').filter(|part| !part.is_empty());
    let mut parts: Vec<&str> = given.collect();
    if !parts.last().is_some_and(|last| is_version(last)) {
        let missing = PREFIX.split('/');
        let twice = |part: &&str| parts.last() == Some(part);
        parts.extend(missing.skip_while(twice).collect::<Vec<_>>());
    }
    format!("/{}/", parts.join("/"))
}

/// Whether a part of a path is a version, such as `v1`.
fn is_version(part: &str) -> bool {
    let number = part.strip_prefix(['v', 'V']).unwrap_or_default();
    !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_follows_the_path_of_the_base() {
        let uri = |base: &str, query| {
            let request = Request {
                gate: None,
                route: super::super::routes::profile(),
                query,
                body: None,
                organization: None,
            };
            let base = Base::new(base.parse().unwrap())?;
            Ok::<_, ConfigError>(base.uri_of(&request).unwrap().to_string())
        };
        assert_eq!(
            uri("https://a.example", vec![]).unwrap(),
            "https://a.example/api/v1/profile"
        );
        assert_eq!(
            uri(
                "https://a.example:8443/x/?q#f",
                vec![("page", "a b&c".to_owned())]
            )
            .unwrap(),
            "https://a.example:8443/x/api/v1/profile?page=a+b%26c"
        );
        assert!(uri("file:///tmp", vec![]).is_err());
    }

    #[test]
    fn nothing_of_the_prefix_is_written_twice() {
        for (path, whole) in [
            ("", "/api/v1/"),
            ("/", "/api/v1/"),
            ("/api", "/api/v1/"),
            ("/api/", "/api/v1/"),
            ("/api/v1", "/api/v1/"),
            ("//api//v1//", "/api/v1/"),
            ("/api/v2", "/api/v2/"),
            ("/gateway", "/gateway/api/v1/"),
            ("/gateway/api/v1/", "/gateway/api/v1/"),
            ("/v3", "/v3/"),
            ("/vault", "/vault/api/v1/"),
        ] {
            assert_eq!(prefixed(path), whole, "{path}");
        }
    }
}
