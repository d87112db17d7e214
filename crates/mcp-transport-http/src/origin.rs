//! Who may call from where: `Origin` and `Host` rules against DNS rebinding, and CORS for the
//! web pages that are allowed.

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
        ACCESS_CONTROL_REQUEST_METHOD, HOST, ORIGIN, VARY,
    },
};

use crate::body::{self, BoxedBody};

/// Headers a page may read from an answer.
const EXPOSED: &str = "WWW-Authenticate, Retry-After, MCP-Protocol-Version, X-Request-Id";
/// Headers a page may send when it does not name them (they are echoed when it does).
const ACCEPTED: &str = "Authorization, Content-Type, Accept, MCP-Protocol-Version, Mcp-Method, \
                        Mcp-Name, Mcp-Session-Id, Last-Event-ID, traceparent, tracestate";

/// The accepted origins and hosts.
#[derive(Debug)]
pub(crate) struct OriginRule {
    origins: Vec<String>,
    hosts: Vec<String>,
}

/// Why a request may not come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    Origin,
    Host,
}

impl OriginRule {
    pub(crate) fn new(origins: Vec<String>, hosts: Vec<String>) -> Self {
        Self { origins, hosts }
    }

    /// `Host` and `:authority`, whichever are there, must be names of this server.
    pub(crate) fn check_host<B>(&self, request: &Request<B>) -> Result<(), Refused> {
        let mut header = request.headers().get_all(HOST).iter();
        let is_own = |host: &HeaderValue| host.to_str().is_ok_and(|host| self.is_own(host));
        let accepted = match (request.uri().authority(), header.next(), header.next()) {
            (Some(authority), host, None) => {
                self.is_own(authority.as_str()) && host.is_none_or(is_own)
            }
            (None, Some(host), None) => is_own(host),
            _ => false,
        };
        if accepted { Ok(()) } else { Err(Refused::Host) }
    }

    fn is_own(&self, host: &str) -> bool {
        let name = without_port(host);
        // The root of all names, which nobody writes but some programs do.
        let name = name.strip_suffix('.').unwrap_or(name);
        let accepted =
            |own: &String| own.eq_ignore_ascii_case(host) || own.eq_ignore_ascii_case(name);
        self.hosts.iter().any(accepted)
    }

    /// `Origin`, where there is one, must be accepted. Clients that are no browsers send none.
    pub(crate) fn check_origin(&self, headers: &HeaderMap) -> Result<(), Refused> {
        let mut values = headers.get_all(ORIGIN).iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(()),
            (Some(origin), None) if self.accepts(origin) => Ok(()),
            _ => Err(Refused::Origin),
        }
    }

    fn accepts(&self, origin: &HeaderValue) -> bool {
        let Ok(origin) = origin.to_str() else {
            return false;
        };
        self.origins
            .iter()
            .any(|accepted| accepted.eq_ignore_ascii_case(origin))
    }

    /// Adds what lets the page that was accepted read the answer.
    pub(crate) fn allow(&self, origin: Option<&HeaderValue>, response: &mut Response<BoxedBody>) {
        let headers = response.headers_mut();
        headers.append(VARY, HeaderValue::from_static("origin"));
        if let Some(origin) = origin.filter(|origin| self.accepts(origin)) {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            headers.insert(
                ACCESS_CONTROL_EXPOSE_HEADERS,
                HeaderValue::from_static(EXPOSED),
            );
        }
    }
}

/// A host name without its port; brackets keep the colons of an IPv6 address together.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.is_empty() => name,
        _ => host,
    }
}

/// Whether this is a CORS preflight, which browsers send without credentials.
pub(crate) fn is_preflight<B>(request: &Request<B>) -> bool {
    request.method() == Method::OPTIONS
        && request.headers().contains_key(ORIGIN)
        && request
            .headers()
            .contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to a preflight. The caller adds [`OriginRule::allow`].
pub(crate) fn preflight(headers: &HeaderMap, methods: &'static str) -> Response<BoxedBody> {
    let mut response = body::empty(StatusCode::NO_CONTENT);
    let accepted = headers
        .get(ACCESS_CONTROL_REQUEST_HEADERS)
        .filter(|names| are_header_names(names))
        .cloned()
        .unwrap_or_else(|| HeaderValue::from_static(ACCEPTED));
    let answer = response.headers_mut();
    answer.insert(
        ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static(methods),
    );
    answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, accepted);
    answer.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("7200"));
    response
}

/// `Mcp-Param-*` headers cannot be listed in advance, so well-formed names are echoed.
fn are_header_names(value: &HeaderValue) -> bool {
    value.to_str().is_ok_and(|names| {
        names
            .split(',')
            .all(|name| HeaderName::try_from(name.trim()).is_ok())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule() -> OriginRule {
        let hosts = vec!["mcp.test".to_owned(), "localhost:8080".to_owned()];
        OriginRule::new(vec!["https://mcp.test".to_owned()], hosts)
    }

    fn request(uri: &str, headers: &[(&'static str, &str)]) -> Request<()> {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    #[test]
    fn only_own_hosts_are_accepted() {
        let check = |headers: &[(&'static str, &str)]| rule().check_host(&request("/mcp", headers));
        assert_eq!(check(&[("host", "mcp.test")]), Ok(()));
        assert_eq!(check(&[("host", "MCP.test")]), Ok(()));
        assert_eq!(check(&[("host", "mcp.test:443")]), Ok(()));
        assert_eq!(check(&[("host", "mcp.test.")]), Ok(()));
        assert_eq!(check(&[("host", ".")]), Err(Refused::Host));
        assert_eq!(
            check(&[("host", "mcp.test:443.evil.test")]),
            Err(Refused::Host)
        );
        assert_eq!(check(&[("host", "evil.test:mcp.test")]), Err(Refused::Host));
        assert_eq!(check(&[("host", "localhost:8080")]), Ok(()));
        assert_eq!(check(&[("host", "localhost")]), Err(Refused::Host));
        assert_eq!(check(&[("host", "evil.test")]), Err(Refused::Host));
        assert_eq!(
            check(&[("host", "mcp.test"), ("host", "evil.test")]),
            Err(Refused::Host)
        );
        assert_eq!(check(&[]), Err(Refused::Host));
        assert_eq!(
            rule().check_host(&request("https://mcp.test/mcp", &[])),
            Ok(())
        );
        assert_eq!(
            rule().check_host(&request("https://evil.test/mcp", &[])),
            Err(Refused::Host)
        );
        let both = |uri, host| rule().check_host(&request(uri, &[("host", host)]));
        assert_eq!(both("https://mcp.test/mcp", "mcp.test"), Ok(()));
        assert_eq!(
            both("https://mcp.test/mcp", "evil.test"),
            Err(Refused::Host)
        );
        assert_eq!(
            both("https://evil.test/mcp", "mcp.test"),
            Err(Refused::Host)
        );
    }

    #[test]
    fn an_origin_is_optional_but_never_foreign() {
        let check = |headers: &[(&'static str, &str)]| {
            rule().check_origin(request("/mcp", headers).headers())
        };
        assert_eq!(check(&[]), Ok(()));
        assert_eq!(check(&[("origin", "https://mcp.test")]), Ok(()));
        assert_eq!(
            check(&[("origin", "https://evil.test")]),
            Err(Refused::Origin)
        );
        assert_eq!(
            check(&[("origin", "http://mcp.test")]),
            Err(Refused::Origin)
        );
        assert_eq!(check(&[("origin", "null")]), Err(Refused::Origin));
        assert_eq!(
            check(&[("origin", "https://mcp.test.evil.test")]),
            Err(Refused::Origin)
        );
    }

    #[test]
    fn a_preflight_echoes_header_names_only() {
        let headers = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(
                ACCESS_CONTROL_REQUEST_HEADERS,
                HeaderValue::from_static(value),
            );
            preflight(&headers, "POST").headers()[ACCESS_CONTROL_ALLOW_HEADERS].clone()
        };
        assert_eq!(
            headers("authorization, mcp-param-x"),
            "authorization, mcp-param-x"
        );
        assert_eq!(headers("a b"), ACCEPTED);
    }
}
