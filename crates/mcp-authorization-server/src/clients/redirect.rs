//! Redirect URIs: which a client may have (RFC 8252 section 7), and which one a request means.

use url::{Host, Url};

/// Longest redirect URI, in bytes.
const MAX_LEN: usize = 1024;

/// Most redirect URIs of a client.
pub(crate) const MAX_COUNT: usize = 10;

/// Where a redirect URI leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RedirectKind {
    /// To an app that listens on the user's computer.
    Loopback,
    /// To an app that claimed the scheme on the user's device.
    PrivateUse,
    /// To a host of the web.
    Web,
}

/// The redirect URI of one authorization request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Redirect {
    /// As the request has it.
    pub(crate) uri: String,
    /// Where it leads.
    pub(crate) kind: RedirectKind,
}

/// Schemes that run a script, read a file, or lead back into the browser, and one that means "show the code
/// to the user". None of them belongs to an app.
const NEVER: &[&str] = &[
    "about",
    "blob",
    "chrome",
    "content",
    "data",
    "edge",
    "file",
    "filesystem",
    "ftp",
    "intent",
    "jar",
    "javascript",
    "livescript",
    "mailto",
    "mhtml",
    "ms-msdt",
    "resource",
    "search-ms",
    "sms",
    "tel",
    "urn",
    "vbscript",
    "view-source",
    "ws",
    "wss",
];

/// Where a redirect URI leads.
///
/// # Errors
/// What is wrong with it, to be read after "a redirect URI".
pub(crate) fn check(uri: &str) -> Result<RedirectKind, &'static str> {
    if uri.is_empty() || uri.len() > MAX_LEN {
        return Err("is empty or longer than 1,024 bytes");
    }
    if !uri.bytes().all(is_of_a_uri) {
        return Err("has characters that no URI has");
    }
    if uri.contains('#') {
        return Err("has a fragment");
    }
    let url = Url::parse(uri).map_err(|_| "is not an absolute URI")?;
    // A parser of URLs mends what is not written like this, and not each in the same way.
    let of_the_web = ["https://", "http://"]
        .iter()
        .find_map(|it| uri.strip_prefix(it));
    let is_written_out = of_the_web.is_some_and(|rest| !rest.starts_with('/'));
    if matches!(url.scheme(), "https" | "http") && !is_written_out {
        return Err("does not begin with https:// or http:// and a host");
    }
    if !url.username().is_empty() || url.password().is_some() || has_user(uri) {
        return Err("has a user or a password in it");
    }
    match url.scheme() {
        "https" | "http" if is_this_computer(&url) => Ok(RedirectKind::Loopback),
        "https" => Ok(RedirectKind::Web),
        "http" => Err("is plain http to another host than 127.0.0.1, [::1] or localhost"),
        scheme if NEVER.contains(&scheme) => Err("has a scheme that is not allowed"),
        _ => Ok(RedirectKind::PrivateUse),
    }
}

/// RFC 3986 section 2. Others are read in different ways by different programs, a backslash above all.
fn is_of_a_uri(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte)
}

/// Whether there is user information, an empty one too, in front of the host.
fn has_user(uri: &str) -> bool {
    let rest = uri.split_once("://").map_or("", |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or("");
    authority.contains('@')
}

fn is_this_computer(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address == std::net::Ipv4Addr::LOCALHOST,
        Some(Host::Ipv6(address)) => address == std::net::Ipv6Addr::LOCALHOST,
        None => false,
    }
}

/// The redirect URI that a request asks for, if its client has it registered: the same text, except that
/// an app on the user's computer may take any port (RFC 8252 section 7.3). A request that names none
/// means the only one there is.
pub(crate) fn find(registered: &[String], asked: Option<&str>) -> Option<Redirect> {
    let uri = match (asked, registered) {
        (Some(asked), _) => {
            let is_it = |known: &String| known == asked || differ_in_port(known, asked);
            registered.iter().any(is_it).then_some(asked)?
        }
        (None, [only]) => only,
        (None, _) => return None,
    };
    Some(Redirect {
        uri: uri.to_owned(),
        kind: check(uri).ok()?,
    })
}

fn differ_in_port(known: &str, asked: &str) -> bool {
    match (without_port(known), without_port(asked)) {
        (Some(known), Some(asked)) => known == asked,
        _ => false,
    }
}

/// Host and path of `http` to this computer. No path is the path `/` (RFC 3986 section 6.2.3).
fn without_port(uri: &str) -> Option<(&str, &str)> {
    let rest = uri.strip_prefix("http://")?;
    let of_host = |host: &&str| rest.starts_with(*host);
    let host = ["127.0.0.1", "[::1]", "localhost"]
        .into_iter()
        .find(of_host)?;
    let rest = rest.get(host.len()..)?;
    let (port, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let is_port = |port: &str| port.parse::<u16>().is_ok() && !port.starts_with('+');
    if !port.is_empty() && !port.strip_prefix(':').is_some_and(is_port) {
        return None;
    }
    Some((host, if path.is_empty() { "/" } else { path }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirect_uris_by_where_they_lead() {
        for (uri, kind) in [
            ("https://claude.ai/api/mcp/auth_callback", RedirectKind::Web),
            ("https://a.test:8443/cb?x=1", RedirectKind::Web),
            ("https://vscode.dev/redirect", RedirectKind::Web),
            ("http://127.0.0.1", RedirectKind::Loopback),
            ("http://127.0.0.1:33418/", RedirectKind::Loopback),
            ("http://[::1]:1/callback", RedirectKind::Loopback),
            ("http://localhost/callback", RedirectKind::Loopback),
            ("https://localhost:3000/callback", RedirectKind::Loopback),
            (
                "cursor://anysphere.cursor-retrieval/oauth/user-x/callback",
                RedirectKind::PrivateUse,
            ),
            ("com.example.app:/callback", RedirectKind::PrivateUse),
            ("vscode://publisher.extension/cb", RedirectKind::PrivateUse),
        ] {
            assert_eq!(check(uri), Ok(kind), "{uri}");
        }
    }

    #[test]
    fn redirect_uris_that_no_client_may_have() {
        let long = format!("https://a.test/{}", "x".repeat(MAX_LEN));
        for uri in [
            "",
            "/callback",
            "a.test/callback",
            "http://a.test/cb",
            "http://localhost.a.test/cb",
            "http://127.0.0.2/cb",
            "http://10.0.0.1/cb",
            "http://localhost@a.test/cb",
            "http://localhost:80@a.test/cb",
            "https://user:pw@a.test/cb",
            "https://@a.test/cb",
            "app://user@host/cb",
            "https://a.test/cb#x",
            "https://a.test/cb#",
            "https://a.test\\@evil.test/",
            "https://a.test/ö",
            "https://a.test/a b",
            "https://a.test/\r\nset-cookie:x",
            "https:///",
            "https:///a.test/cb",
            "https:a.test/cb",
            "HTTPS://a.test/cb",
            "javascript:alert(1)",
            "JavaScript:alert(1)",
            "java\nscript:alert(1)",
            "data:text/html,x",
            "file:///etc/passwd",
            "about:blank",
            "blob:https://a.test/x",
            "vbscript:x",
            "view-source:https://a.test",
            "filesystem:https://a.test/x",
            "urn:ietf:wg:oauth:2.0:oob",
            "ws://a.test/",
            long.as_str(),
        ] {
            assert!(check(uri).is_err(), "{uri}");
        }
    }

    fn found(registered: &[&str], asked: Option<&str>) -> bool {
        let registered: Vec<_> = registered.iter().map(|&uri| uri.to_owned()).collect();
        find(&registered, asked).is_some_and(|it| asked.is_none_or(|asked| it.uri == asked))
    }

    #[test]
    fn an_app_on_this_computer_takes_any_port() {
        for (registered, asked) in [
            ("http://127.0.0.1/cb", "http://127.0.0.1:51004/cb"),
            ("http://127.0.0.1:1/cb", "http://127.0.0.1:2/cb"),
            ("http://localhost:1/cb", "http://localhost/cb"),
            ("http://[::1]/cb", "http://[::1]:65535/cb"),
            ("http://127.0.0.1/", "http://127.0.0.1:33418"),
            ("http://localhost/cb?a=1", "http://localhost:9/cb?a=1"),
        ] {
            assert!(found(&[registered], Some(asked)), "{registered} {asked}");
        }
    }

    #[test]
    fn anything_else_is_the_same_text() {
        for (registered, asked) in [
            ("https://a.test/cb", "https://a.test/cb/"),
            ("https://a.test/cb", "https://a.test:443/cb"),
            ("https://a.test/cb", "https://A.test/cb"),
            ("https://a.test/cb", "https://a.test/cb?x=1"),
            ("https://a.test/cb", "https://b.test/cb"),
            ("https://localhost:1/cb", "https://localhost:2/cb"),
            ("http://localhost/cb", "http://127.0.0.1/cb"),
            ("http://localhost/cb", "https://localhost/cb"),
            ("http://localhost/cb", "http://localhost:1/other"),
            ("http://localhost/cb", "http://localhost:65536/cb"),
            ("http://localhost/cb", "http://localhost:+1/cb"),
            ("http://localhost/cb", "http://localhost:1@evil.test/cb"),
            ("http://localhost/cb", "http://localhost.evil.test/cb"),
            ("http://localhost/", "http://localhost:1?x"),
            ("http://localhost/cb", "HTTP://localhost:1/cb"),
            ("app://a/cb", "app://a:1/cb"),
        ] {
            assert!(!found(&[registered], Some(asked)), "{registered} {asked}");
        }
    }

    #[test]
    fn a_request_that_names_none_means_the_only_one() {
        assert!(found(&["https://a.test/cb"], None));
        assert!(!found(&["https://a.test/cb", "https://a.test/2"], None));
        assert!(!found(&[], None));
        assert!(!found(&[], Some("https://a.test/cb")));
    }
}
