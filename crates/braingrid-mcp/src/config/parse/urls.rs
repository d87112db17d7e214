//! Why a text is no URL, and what to write instead.

use url::{ParseError, Url};

use super::{Parsed, hosts, quoted, refuse};

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
    if let Some(fault) = url.domain().and_then(hosts::host_fault) {
        return refuse(format!("{shown} is no URL: {fault}"), EXAMPLE);
    }
    Ok(url)
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
    let is_host = local || (host.contains('.') && hosts::host_fault(host).is_none());
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
