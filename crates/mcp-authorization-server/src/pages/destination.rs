//! Where a redirect URI leads, in words for a person.

use std::net::{Ipv4Addr, Ipv6Addr};

use maud::{Markup, html};
use url::{Host, Url};

/// Who receives the client's code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Destination {
    /// A web server, by its host.
    Web(String),
    /// Whatever listens on the browser's machine.
    Loopback,
    /// Whatever is registered there for a scheme (RFC 8252 section 7.1).
    Scheme(String),
}

impl Destination {
    pub(super) fn of(redirect_uri: &Url) -> Self {
        if !matches!(redirect_uri.scheme(), "http" | "https") {
            return Self::Scheme(redirect_uri.scheme().to_owned());
        }
        if is_loopback(redirect_uri) {
            Self::Loopback
        } else {
            Self::Web(host(redirect_uri))
        }
    }
}

impl maud::Render for Destination {
    fn render(&self) -> Markup {
        match self {
            Self::Web(host) => html! { strong { (host) } },
            Self::Loopback => html! { "an app " strong { "on this computer" } },
            Self::Scheme(scheme) => {
                html! { "the app on this device that opens " strong { (scheme) ":" } " links" }
            }
        }
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address == Ipv4Addr::LOCALHOST,
        Some(Host::Ipv6(address)) => address == Ipv6Addr::LOCALHOST,
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Host and port as the address bar has them, names of other alphabets in their ASCII form, which no
/// letter of theirs can pass for another's.
pub(super) fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_uri_is_a_host_this_computer_or_a_scheme() {
        let of = |uri: &str| Destination::of(&uri.parse().unwrap());
        for web in ["https://a.test/cb", "http://a.test"] {
            assert_eq!(of(web), Destination::Web("a.test".to_owned()), "{web}");
        }
        for (web, host) in [
            ("https://a.test:8443/cb", "a.test:8443"),
            ("https://localhost.a.test", "localhost.a.test"),
            ("https://127.0.0.1.a.test", "127.0.0.1.a.test"),
            ("https://127.0.0.1@a.test/", "a.test"),
            ("https://а.test", "xn--80a.test"),
            ("http://10.0.0.1/", "10.0.0.1"),
        ] {
            assert_eq!(of(web), Destination::Web(host.to_owned()), "{web}");
        }
        for local in [
            "http://127.0.0.1:33418/",
            "http://[::1]/cb",
            "http://localhost:1/cb",
        ] {
            assert_eq!(of(local), Destination::Loopback, "{local}");
        }
        for (uri, scheme) in [
            ("cursor://a.test/cb", "cursor"),
            ("com.example.app:/cb", "com.example.app"),
        ] {
            assert_eq!(of(uri), Destination::Scheme(scheme.to_owned()), "{uri}");
        }
    }
}
