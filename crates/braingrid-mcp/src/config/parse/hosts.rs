//! Why a text is no host and no origin, and what to write instead.

use super::{Parsed, quoted, refuse, urls};
use crate::config::problem;

/// The origins of hosted MCP clients whose requests name where they come from.
const KNOWN_CLIENTS: &[&str] = &[
    "https://claude.ai",
    "https://claude.com",
    "https://chatgpt.com",
    "https://chat.openai.com",
    "https://vscode.dev",
    "https://github.dev",
];

/// The word that stands for [`KNOWN_CLIENTS`].
const KNOWN_CLIENTS_WORD: &str = "known-clients";

/// The origins that an entry of `ALLOWED_ORIGINS` means.
pub(crate) fn origins(value: &str) -> Parsed<Vec<String>> {
    if value.eq_ignore_ascii_case(KNOWN_CLIENTS_WORD) {
        return Ok(KNOWN_CLIENTS.iter().copied().map(str::to_owned).collect());
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
    if problem::nearest(value, [KNOWN_CLIENTS_WORD]).is_some() {
        return refuse(
            format!("{} is no origin", quoted(value)),
            format!("did you mean {KNOWN_CLIENTS_WORD}?"),
        );
    }
    let url = urls::url(value)?;
    urls::without_query(value, &url)?;
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
    let read = urls::url(&format!("http://{name}"));
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

/// What keeps a name from being that of a host, though a URL parser takes it.
pub(crate) fn host_fault(name: &str) -> Option<String> {
    let is_odd = |c: &char| !c.is_alphanumeric() && !matches!(c, '-' | '.' | '_');
    if let Some(odd) = name.chars().find(is_odd) {
        return Some(format!("no host has {odd} in its name"));
    }
    let is_cut = name.starts_with('.') || name.contains("..");
    is_cut.then(|| "a part of its host is empty, and stands for no subdomain".to_owned())
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
            let url = urls::url(value).unwrap();
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
