//! Where a request may go, and where an issuer's metadata is.

use url::{Host, Url};

/// Whether a URL stays on this machine: `localhost` and names below it (RFC 6761 section 6.3), or
/// a loopback address.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => is_loopback_name(name),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Whether a name, in lower case, stands for this machine.
pub(crate) fn is_loopback_name(name: &str) -> bool {
    name == "localhost" || name.ends_with(".localhost")
}

/// Whether what is sent to a URL cannot be read on its way: `https`, or plain `http` that stays on
/// this machine.
///
/// ```
/// use mcp_outbound::is_secure;
///
/// assert!(is_secure(&"https://auth.example.com".parse()?));
/// assert!(is_secure(&"http://127.0.0.1:8080".parse()?));
/// assert!(!is_secure(&"http://auth.example.com".parse()?));
/// # Ok::<(), url::ParseError>(())
/// ```
pub fn is_secure(url: &Url) -> bool {
    match url.scheme() {
        "https" => url.has_host(),
        "http" => is_loopback(url),
        _ => false,
    }
}

/// Whether a text that a far end sent can be an issuer's identifier, so that it may be shown to an
/// operator as what to configure: a URL that is safe to ask, without query and fragment (RFC 8414
/// section 2), without a user or a password, that is not the address of its metadata.
pub fn is_issuer(text: &str) -> bool {
    let is_plain = text.len() <= 256 && text.bytes().all(|byte| byte.is_ascii_graphic());
    let url = Url::parse(text)
        .ok()
        .filter(|url| is_plain && is_secure(url));
    url.is_some_and(|url| {
        url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
            && !url.path().contains("/.well-known/")
    })
}

/// The URLs of an authorization server's metadata, in the order to try them: RFC 8414 section 3.1,
/// OpenID Connect Discovery with the issuer's path inserted, and with it in front. None where the
/// issuer is no URL that is safe to ask.
pub fn metadata_urls(issuer: &str) -> Vec<Url> {
    let Some(base) = Url::parse(issuer).ok().filter(is_secure) else {
        return Vec::new();
    };
    let path = base.path().trim_end_matches('/').to_owned();
    let mut paths = vec![
        format!("/.well-known/oauth-authorization-server{path}"),
        format!("/.well-known/openid-configuration{path}"),
    ];
    if !path.is_empty() {
        paths.push(format!("{path}/.well-known/openid-configuration"));
    }
    let url = |path: String| {
        let mut url = base.clone();
        url.set_path(&path);
        url.set_query(None);
        url
    };
    paths.into_iter().map(url).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(issuer: &str) -> Vec<String> {
        let urls = metadata_urls(issuer);
        urls.iter().map(Url::to_string).collect()
    }

    #[test]
    fn only_https_and_this_machine_are_secure() {
        let secure = |text: &str| Url::parse(text).is_ok_and(|url| is_secure(&url));
        for text in [
            "https://a.test",
            "http://localhost",
            "http://dev.localhost:1",
            "http://127.8.8.8",
            "http://[::1]/x",
        ] {
            assert!(secure(text), "{text}");
        }
        for text in [
            "http://a.test",
            "http://localhost.a.test",
            "http://evil-localhost",
            "http://[::2]",
            "ftp://localhost",
            "file:///etc/passwd",
            "data:,x",
        ] {
            assert!(!secure(text), "{text}");
        }
    }

    #[test]
    fn only_what_could_be_configured_is_an_issuer() {
        for text in ["https://a.test", "https://A.test/t/", "http://127.0.0.1:1"] {
            assert!(is_issuer(text), "{text}");
        }
        for text in [
            "",
            "a.test",
            "http://a.test",
            "javascript:x",
            "https://a.test/\n\u{1b}[2J",
            "https://user@a.test",
            "https://user:hunter2@a.test",
            "https://a.test/?tenant=1",
            "https://a.test/#x",
            "https://a.test/.well-known/openid-configuration",
        ] {
            assert!(!is_issuer(text), "{text:?}");
        }
        assert!(!is_issuer(&format!("https://a.test/{}", "x".repeat(256))));
    }

    #[test]
    fn an_issuer_without_path_has_the_two_root_documents() {
        let expected = [
            "https://a.test/.well-known/oauth-authorization-server",
            "https://a.test/.well-known/openid-configuration",
        ];
        assert_eq!(urls("https://a.test"), expected);
        assert_eq!(urls("https://a.test/"), expected);
        assert_eq!(urls("https://a.test/?x=1"), expected);
    }

    #[test]
    fn an_issuer_with_path_has_inserted_and_appended_documents() {
        let expected = [
            "https://a.test/.well-known/oauth-authorization-server/realms/x",
            "https://a.test/.well-known/openid-configuration/realms/x",
            "https://a.test/realms/x/.well-known/openid-configuration",
        ];
        assert_eq!(urls("https://a.test/realms/x"), expected);
        assert_eq!(urls("https://a.test/realms/x/"), expected);
    }

    #[test]
    fn what_is_not_safe_to_ask_is_not_asked() {
        for issuer in ["http://a.test", "a.test", "", "file:///etc"] {
            assert!(metadata_urls(issuer).is_empty(), "{issuer}");
        }
        assert_eq!(metadata_urls("http://127.0.0.1:1").len(), 2);
    }
}
