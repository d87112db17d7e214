//! Why a text is no URL, no origin or no host, and what to write instead.

use url::{ParseError, Url};

use super::parse::{Parsed, quoted, refuse};

/// The origins of hosted MCP clients whose requests name where they come from.
const KNOWN_CLIENTS: [&str; 6] = [
    "https://claude.ai",
    "https://claude.com",
    "https://chatgpt.com",
    "https://chat.openai.com",
    "https://vscode.dev",
    "https://github.dev",
];

/// The word that stands for [`KNOWN_CLIENTS`].
const KNOWN_CLIENTS_WORD: &str = "known-clients";

/// An absolute http(s) URL that carries no credentials.
pub(crate) fn url(value: &str) -> Parsed<Url> {
    let shown = quoted(value);
    if let Some(odd) = value.chars().find(|c| c.is_whitespace() || *c == '\\') {
        let name = if odd == '\\' {
            "a backslash"
        } else {
            "a blank"
        };
        return refuse(
            format!("{shown} holds {name}"),
            "write one URL, with / and without blanks",
        );
    }
    let Some((scheme, rest)) = value.split_once("://") else {
        return without_scheme(value, &shown);
    };
    if !matches!(&*scheme.to_ascii_lowercase(), "http" | "https") {
        let fix = match &*scheme.to_ascii_lowercase() {
            "grpc" | "grpcs" => {
                "only OTLP over HTTP is spoken here: write http:// or https:// and the collector's \
                 port for it, mostly 4318"
                    .to_owned()
            }
            _ => with_scheme(rest),
        };
        return refuse(format!("{shown} is no http or https URL"), fix);
    }
    let plain = rest.split(['?', '#']).next().unwrap_or_default();
    if let Some((first, second)) = plain.split_once("://") {
        if matches!(&*first.to_ascii_lowercase(), "http" | "https") {
            return refuse(format!("{shown} has two schemes"), with_scheme(second));
        }
        return refuse(format!("{shown} holds several URLs"), "write one URL");
    }
    let url = match Url::parse(value) {
        Ok(url) => url,
        Err(error) => return no_url(&shown, error),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return refuse(
            "it holds a user name or password",
            "leave out everything before the @",
        );
    }
    if url.port() == Some(0) {
        return refuse(format!("{shown} has the port 0"), PORT);
    }
    if url.host_str().is_some_and(|host| host.contains('*')) {
        return refuse(
            format!("{shown} has a wildcard (*) for a host"),
            "name each host, such as https://mcp.example.com",
        );
    }
    if let Some(fault) = url.domain().and_then(host_fault) {
        return refuse(format!("{shown} is no URL: {fault}"), EXAMPLE);
    }
    Ok(url)
}

/// What keeps a name from being that of a host, though a URL parser takes it.
pub(crate) fn host_fault(name: &str) -> Option<String> {
    let is_odd = |c: &char| !c.is_alphanumeric() && !matches!(c, '-' | '.' | '_');
    if let Some(odd) = name.chars().find(is_odd) {
        return Some(format!("no host has {odd} in its name"));
    }
    let is_cut = name.starts_with('.') || name.contains("..");
    is_cut.then(|| "a part of its host is empty, and stands for no subdomain".to_owned())
}

/// Why a text without a scheme is no URL.
fn without_scheme<T>(value: &str, shown: &str) -> Parsed<T> {
    if value.contains([',', ';']) {
        return refuse(format!("{shown} is no single URL"), "write one URL");
    }
    if value.starts_with('/') && !value.starts_with("//") {
        return refuse(
            format!("{shown} is a path without a host"),
            "write the whole URL, with https:// and the host in front",
        );
    }
    let rest = value
        .trim_start_matches("https:")
        .trim_start_matches("http:");
    let example = with_scheme(rest.trim_start_matches('/'));
    refuse(format!("{shown} has no http:// or https://"), example)
}

const PORT: &str = "write a port from 1 to 65535 after the host, or none";

const EXAMPLE: &str = "write it as https://mcp.example.com";

fn no_url<T>(shown: &str, error: ParseError) -> Parsed<T> {
    let example = EXAMPLE;
    match error {
        ParseError::InvalidPort => refuse(format!("{shown} has a port that is none"), PORT),
        ParseError::EmptyHost => refuse(format!("{shown} names no host"), example),
        ParseError::InvalidIpv4Address | ParseError::InvalidIpv6Address => refuse(
            format!("{shown} has an IP address that is none"),
            "write it as http://127.0.0.1:8080 or http://[::1]:8080",
        ),
        ParseError::InvalidDomainCharacter | ParseError::IdnaError => refuse(
            format!("{shown} has a character in its host that no host can have"),
            example,
        ),
        _ => refuse(format!("{shown} is no URL"), example),
    }
}

/// The same text with the scheme that it most likely lacks.
fn with_scheme(rest: &str) -> String {
    let host = rest.split(['/', ':']).next().unwrap_or_default();
    let local = host == "localhost" || host.starts_with("127.") || rest.starts_with("[::1]");
    let scheme = if local { "http" } else { "https" };
    let is_host = local || (host.contains('.') && host_fault(host).is_none());
    if !is_host || rest.len() > 80 || rest.contains(['@', '?', '#']) {
        return "write an absolute URL, such as https://mcp.example.com".to_owned();
    }
    format!("write {scheme}://{rest}")
}

/// Neither query nor fragment.
pub(crate) fn without_query(value: &str, url: &Url) -> Parsed<()> {
    if url.query().is_none() && url.fragment().is_none() {
        return Ok(());
    }
    refuse(
        format!("{} has a query or a fragment", quoted(value)),
        "leave out everything from ? or # on",
    )
}

/// The path of a public URL, without a slash at its end; empty for none.
pub(crate) fn public_path(value: &str, url: &Url) -> Parsed<String> {
    let origin = url.origin().ascii_serialization();
    let path = url.path().trim_end_matches('/');
    // That of the endpoint itself, which is added.
    let path = path
        .strip_suffix("/mcp")
        .unwrap_or(path)
        .trim_end_matches('/');
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~' | '/');
    if !path.chars().all(plain) || path.contains("//") {
        return refuse(
            format!("{} has a path with more than plain segments", quoted(value)),
            format!(
                "use letters, digits, - . _ ~ and single slashes, such as {origin}/tools, or {origin}"
            ),
        );
    }
    Ok(path.to_owned())
}

/// The origins that an entry of `ALLOWED_ORIGINS` means.
pub(crate) fn origins(value: &str) -> Parsed<Vec<String>> {
    if value.eq_ignore_ascii_case(KNOWN_CLIENTS_WORD) {
        return Ok(KNOWN_CLIENTS.map(str::to_owned).to_vec());
    }
    origin(value).map(|origin| vec![origin])
}

fn origin(value: &str) -> Parsed<String> {
    if value.contains('*') || value.eq_ignore_ascii_case("null") {
        let fault = match value {
            "*" | "null" => "would admit every web page",
            _ => "has a wildcard (*)",
        };
        return refuse(
            format!("{} {fault}", quoted(value)),
            format!(
                "name each origin, such as https://inspector.example.com; {KNOWN_CLIENTS_WORD} \
                 stands for those of hosted clients"
            ),
        );
    }
    if super::problem::nearest(value, [KNOWN_CLIENTS_WORD]).is_some() {
        return refuse(
            format!("{} is no origin", quoted(value)),
            format!("did you mean {KNOWN_CLIENTS_WORD}?"),
        );
    }
    let url = url(value)?;
    without_query(value, &url)?;
    let bare = url.origin().ascii_serialization();
    if url.path() != "/" {
        return refuse(
            format!("{} has a path", quoted(value)),
            format!("use {bare}"),
        );
    }
    Ok(bare)
}

/// A host name, with a port or for every port.
///
/// The ports that URLs leave out are left out: a `Host` header does not have them either.
pub(crate) fn host(value: &str) -> Parsed<String> {
    let shown = quoted(value);
    if value.contains('*') {
        return refuse(
            format!("{shown} has a wildcard (*)"),
            "name each host, such as mcp.example.com; without a port, every port is meant",
        );
    }
    if ["none", "all", "any", "true", "false"].contains(&&*value.to_ascii_lowercase()) {
        return refuse(
            format!("{shown} is no host"),
            "name each host, such as mcp.example.com, or unset it: there is no word for all or none",
        );
    }
    let bare = value.split_once("://").map_or(value, |(_, rest)| rest);
    if let Some(fault) = host_fault(
        bare.split([':', '/', '?', '#', '['])
            .next()
            .unwrap_or_default(),
    ) {
        return refuse(
            format!("{shown} is no host: {fault}"),
            "name each host as it is, such as mcp.example.com",
        );
    }
    let name = bare.split(['/', '?', '#']).next().unwrap_or_default();
    let read = url(&format!("http://{name}"));
    let whole = name == value || value.strip_suffix('/') == Some(name);
    match read {
        Ok(url) if whole => {
            let name = url.host_str().unwrap_or_default().trim_end_matches('.');
            Ok(match url.port() {
                Some(port) if port != 443 => format!("{name}:{port}"),
                _ => name.to_owned(),
            })
        }
        Ok(_) if !name.is_empty() => refuse(
            format!("{shown} is no host"),
            format!("write {name}, without https:// and path"),
        ),
        _ => refuse(
            format!("{shown} is no host"),
            "write a host name such as mcp.example.com, without https:// and path",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_url_has_many_spellings() {
        for value in [
            "https://mcp.example.com",
            "https://mcp.example.com/",
            "HTTPS://MCP.Example.COM",
            "https://mcp.example.com:443/",
        ] {
            assert_eq!(origin(value).unwrap(), "https://mcp.example.com", "{value}");
            let url = url(value).unwrap();
            assert_eq!(url.as_str(), "https://mcp.example.com/", "{value}");
        }
        for value in [
            "mcp.example.com",
            "MCP.example.com",
            "mcp.example.com/",
            "mcp.example.com.",
            "mcp.example.com:443",
            "mcp.example.com:80",
        ] {
            assert_eq!(host(value).unwrap(), "mcp.example.com", "{value}");
        }
        assert_eq!(
            host("MCP.example.com:8443").unwrap(),
            "mcp.example.com:8443"
        );
        assert_eq!(host("[::1]").unwrap(), "[::1]");
    }

    #[test]
    fn every_refused_url_is_told_what_to_write() {
        for (value, what, fix) in [
            (
                "mcp.example.com",
                "has no http",
                "write https://mcp.example.com",
            ),
            (
                "//mcp.example.com",
                "has no http",
                "write https://mcp.example.com",
            ),
            (
                "https:/mcp.example.com",
                "has no http",
                "write https://mcp.example.com",
            ),
            (
                "localhost:8080",
                "has no http",
                "write http://localhost:8080",
            ),
            (
                "htps://mcp.example.com",
                "no http or https",
                "write https://mcp.example.com",
            ),
            (
                "wss://mcp.example.com",
                "no http or https",
                "write https://mcp.example.com",
            ),
            ("grpc://collector:4317", "no http or https", "4318"),
            ("https://mcp.example.com:99999", "port", "1 to 65535"),
            ("https://mcp.example.com:0", "port", "1 to 65535"),
            ("https://mcp.example.com:8o80", "port", "1 to 65535"),
            ("https://", "no host", "https://mcp.example.com"),
            ("https://*.example.com", "wildcard (*)", "name each"),
            ("https://a b.example.com", "a blank", "without blanks"),
            ("https:\\\\mcp.example.com", "a backslash", "with /"),
            ("https://[::1", "IP address", "[::1]:8080"),
            ("/jwks", "a path without a host", "the whole URL"),
            ("$HOST", "no http", "such as https://"),
            ("https://{{issuer}}", "no host has {", "https://mcp"),
            ("https://a.test;", "no host has ;", "https://mcp"),
            (
                "https://.a.test",
                "a part of its host is empty",
                "https://mcp",
            ),
            (
                "https://https://a.test",
                "two schemes",
                "write https://a.test",
            ),
            (
                "http://https://a.test/x",
                "two schemes",
                "write https://a.test/x",
            ),
            ("https://a.test;https://b.test", "several URLs", "write one"),
            ("https://a.test,https://b.test", "several URLs", "write one"),
            ("a.test,b.test", "no single URL", "write one"),
            ("none", "no http", "such as https://"),
            ("https://<domain>", "character", "https://mcp.example.com"),
            (
                "https://ada:hunter2@mcp.example.com",
                "user name",
                "before the @",
            ),
        ] {
            let refusal = url(value).unwrap_err();
            assert!(refusal.what.contains(what), "{value}: {refusal:?}");
            assert!(refusal.fix.contains(fix), "{value}: {refusal:?}");
            assert!(!format!("{refusal:?}").contains("hunter2"));
        }
    }

    #[test]
    fn every_refused_host_and_origin_is_told_what_to_write() {
        for (value, fix) in [
            ("https://mcp.example.com", "write mcp.example.com,"),
            ("mcp.example.com/mcp", "write mcp.example.com,"),
            ("*", "name each host"),
            ("*.example.com", "name each host"),
            ("mcp.example.com:99999", "host name"),
            ("a b", "as it is"),
            ("a.test;b.test", "as it is"),
            ("a.test;", "as it is"),
            (".example.com", "as it is"),
            ("$HOST", "as it is"),
            ("{{host}}", "as it is"),
            ("all", "no word for all or none"),
            ("None", "no word for all or none"),
        ] {
            let refusal = host(value).unwrap_err();
            assert!(refusal.fix.contains(fix), "{value}: {refusal:?}");
        }
        for (value, fix) in [
            ("*", "known-clients"),
            ("null", "name each origin"),
            ("https://*.example.com", "name each"),
            (
                "inspector.example.com",
                "write https://inspector.example.com",
            ),
            (
                "https://inspector.example.com/mcp",
                "use https://inspector.example.com",
            ),
            ("chrome-extension://abc", "such as https://"),
            ("all", "such as https://"),
            ("known_clients", "did you mean known-clients?"),
        ] {
            let refusal = origins(value).unwrap_err();
            assert!(refusal.fix.contains(fix), "{value}: {refusal:?}");
        }
    }

    #[test]
    fn known_clients_are_origins_like_others() {
        let known = origins("Known-Clients").unwrap();
        assert!(known.contains(&"https://claude.ai".to_owned()));
        for known in known {
            assert_eq!(origin(&known).unwrap(), known);
        }
    }
}
