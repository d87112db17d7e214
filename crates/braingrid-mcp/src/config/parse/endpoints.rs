//! The URLs of services: this one, its issuers, BrainGrid and collectors.

use url::Url;

use super::{Parsed, quoted, refuse, urls};

/// An absolute http(s) URL that carries no credentials, `https` unless it stays on this machine.
pub(crate) fn secure_url(value: &str) -> Parsed<Url> {
    let url = web_url(value)?;
    if mcp_outbound::is_secure(&url) {
        return Ok(url);
    }
    refuse(
        format!("{} is not encrypted", quoted(value)),
        "use https; http is accepted for 127.0.0.1, [::1] and localhost only",
    )
}

/// An absolute http(s) URL that carries no credentials.
pub(crate) fn web_url(value: &str) -> Parsed<Url> {
    urls::url(value)
}

/// The base URL of a service: no query, no fragment.
pub(crate) fn base_url(value: &str) -> Parsed<Url> {
    let url = secure_url(value)?;
    urls::without_query(value, &url)?;
    Ok(url)
}

/// The URL under which clients reach this server: scheme, host and port, and perhaps a path,
/// without a slash at its end.
pub(crate) fn public_url(value: &str) -> Parsed<String> {
    let url = base_url(value)?;
    let path = public_path(value, &url)?;
    Ok(url.origin().ascii_serialization() + &path)
}

/// The path of a public URL, without a slash at its end; empty for none.
fn public_path(value: &str, url: &Url) -> Parsed<String> {
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

/// An issuer identifier, kept as it is written: it is compared as a string (RFC 8414), and a
/// parsed URL would gain a slash.
pub(crate) fn issuer(value: &str) -> Parsed<String> {
    let url = secure_url(value).map_err(|mut refusal| {
        if value.contains([',', ';']) {
            refusal.fix += "; several authorization servers are [[issuers]] in the file";
        }
        refusal
    })?;
    urls::without_query(value, &url)?;
    if let Some((before, after)) = value.split_once("/.well-known/") {
        // What follows the name of the document is the path of the issuer (RFC 8414 section 3.1).
        let path = after.split_once('/').map_or("", |(_, path)| path);
        let slash = if path.is_empty() { "" } else { "/" };
        return refuse(
            format!("{} is the address of its metadata", quoted(value)),
            format!("write the issuer that they name, mostly {before}{slash}{path}"),
        );
    }
    Ok(value.to_owned())
}

/// The base URL of BrainGrid's API. What stands behind the version would be a part of every path.
pub(crate) fn api_url(value: &str) -> Parsed<Url> {
    let url = base_url(value)?;
    let path: Vec<_> = url
        .path()
        .split('/')
        .filter(|part| !part.is_empty())
        .collect();
    let is_version = |part: &&str| {
        let number = part.strip_prefix(['v', 'V']).unwrap_or_default();
        !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit())
    };
    match path.iter().position(is_version) {
        Some(at) if at + 1 < path.len() => {
            let kept: Vec<_> = path.iter().take(at + 1).copied().collect();
            let origin = url.origin().ascii_serialization();
            refuse(
                format!("{} goes on after the version", quoted(value)),
                format!("leave out what follows it: {origin}/{}", kept.join("/")),
            )
        }
        _ => Ok(url),
    }
}

/// The URL of a key set.
pub(crate) fn key_set_url(value: &str) -> Parsed<String> {
    let url = secure_url(value)?;
    let documents = ["/openid-configuration", "/oauth-authorization-server"];
    if url.path().contains("/.well-known/") && documents.iter().any(|it| url.path().contains(it)) {
        return refuse(
            format!("{} is the issuer's metadata", quoted(value)),
            "leave it out: the metadata are found by the issuer's name; or write the address that \
             they give",
        );
    }
    Ok(value.to_owned())
}

/// The URLs of one collector, by what is sent there.
#[derive(Debug, Clone)]
pub(crate) struct CollectorUrls {
    pub(crate) traces: Url,
    pub(crate) metrics: Url,
    pub(crate) logs: Url,
}

/// The base URL of a collector.
pub(crate) fn collector_urls(value: &str) -> Parsed<CollectorUrls> {
    let base = web_url(value)?;
    let path = base.path().trim_end_matches('/');
    for signal in ["traces", "metrics", "logs"] {
        if path.ends_with(&format!("/v1/{signal}")) {
            let name = signal.to_uppercase();
            return refuse(
                format!("{} is the URL for {signal}, and no base URL", quoted(value)),
                format!(
                    "leave out /v1/{signal}, which is added, or set OTEL_EXPORTER_OTLP_{name}_ENDPOINT"
                ),
            );
        }
    }
    let below = |signal: &str| {
        let mut url = base.clone();
        url.set_path(&format!(
            "{}/v1/{signal}",
            base.path().trim_end_matches('/')
        ));
        url
    };
    Ok(CollectorUrls {
        traces: below("traces"),
        metrics: below("metrics"),
        logs: below("logs"),
    })
}
