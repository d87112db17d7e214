//! From text to typed values. A refusal says what is wrong and what to write instead.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use mcp_transport_http::TrustedProxies;
use tracing_subscriber::EnvFilter;
use url::Url;
use zeroize::Zeroizing;

use super::{problem, web};

/// Why a value was refused.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) what: String,
    pub(crate) fix: String,
}

pub(crate) type Parsed<T> = Result<T, Refusal>;

pub(crate) fn refuse<T>(what: impl Into<String>, fix: impl Into<String>) -> Parsed<T> {
    Err(Refusal {
        what: what.into(),
        fix: fix.into(),
    })
}

/// A value as an error may quote it: short, and not at all where it could hold a password.
pub(crate) fn quoted(value: &str) -> String {
    if value.contains('@') {
        return "the value".to_owned();
    }
    let mut short: String = value.chars().take(40).collect();
    if short.len() < value.len() {
        short.push('…');
    }
    format!("{short:?}")
}

/// A key of the file as an error may name it.
pub(crate) fn key_name(key: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !key.is_empty() && key.len() <= 80 && key.chars().all(plain) {
        return key.to_owned();
    }
    quoted(key)
}

/// How clients reach the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Stdio,
    Http,
}

pub(crate) fn transport(value: &str) -> Parsed<Transport> {
    match value.to_ascii_lowercase().as_str() {
        "stdio" => Ok(Transport::Stdio),
        "http" | "httpstream" | "streamable-http" => Ok(Transport::Http),
        _ => refuse(
            format!("{} is no transport", quoted(value)),
            "use stdio or http",
        ),
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Json,
    Pretty,
}

pub(crate) fn log_format(value: &str) -> Parsed<LogFormat> {
    match value.to_ascii_lowercase().as_str() {
        "json" => Ok(LogFormat::Json),
        "pretty" => Ok(LogFormat::Pretty),
        _ => refuse(
            format!("{} is no log format", quoted(value)),
            "use json or pretty",
        ),
    }
}

pub(crate) fn log_level(value: &str) -> Parsed<&'static str> {
    match value.to_ascii_lowercase().as_str() {
        "off" => Ok("off"),
        "error" => Ok("error"),
        "warn" | "warning" => Ok("warn"),
        "info" => Ok("info"),
        "debug" => Ok("debug"),
        "trace" => Ok("trace"),
        _ => refuse(
            format!("{} is no log level", quoted(value)),
            "use error, warn, info, debug, trace or off; directives such as \
             info,mcp_session=debug go into RUST_LOG",
        ),
    }
}

pub(crate) fn log_filter(value: &str) -> Parsed<String> {
    // Fields and spans stand in brackets, and may hold anything.
    for directive in value
        .split(',')
        .filter(|it| !it.contains(['[', ']', '{', '}']))
    {
        let directive = directive.trim();
        let (target, _) = directive.split_once('=').unwrap_or((directive, ""));
        if directive.contains([';', '|']) || directive.contains(char::is_whitespace) {
            return refuse(
                format!("{} is no directive", quoted(directive)),
                "separate directives by commas, such as info,mcp_session=debug",
            );
        }
        // A word that is no level is a target, all of whose messages are wanted.
        let levels = ["off", "error", "warn", "info", "debug", "trace"];
        let is_bare = target == directive && !levels.contains(&&*target.to_ascii_lowercase());
        if is_bare
            && let Some(near) = problem::nearest(target, levels.into_iter().chain(["warning"]))
        {
            let near = if near == "warning" { "warn" } else { near };
            return refuse(
                format!("{} is no log level", quoted(target)),
                format!("did you mean {near}?"),
            );
        }
        if target.contains('-') && (target.starts_with("mcp-") || target.starts_with("braingrid-"))
        {
            return refuse(
                format!("{} is no target", quoted(target)),
                format!(
                    "write {}: the names of crates have _",
                    target.replace('-', "_")
                ),
            );
        }
    }
    let plain = if value.contains('[') {
        value.to_owned()
    } else {
        value
            .split(',')
            .map(str::trim)
            .collect::<Vec<_>>()
            .join(",")
    };
    match EnvFilter::builder().parse(&plain) {
        Ok(_) => Ok(plain),
        Err(_) => refuse(
            format!("{} is no log filter", quoted(value)),
            "write directives separated by commas, such as info,mcp_session=debug",
        ),
    }
}

pub(crate) fn port(value: &str) -> Parsed<u16> {
    match value.parse() {
        Ok(port) => Ok(port),
        Err(_) => refuse(
            format!("{} is no port", quoted(value)),
            "use a number from 0 to 65535, such as 8080",
        ),
    }
}

pub(crate) fn address(value: &str) -> Parsed<IpAddr> {
    let bare = value.trim_start_matches('[').trim_end_matches(']');
    match bare.parse() {
        Ok(address) => Ok(address),
        Err(_) if bare.eq_ignore_ascii_case("localhost") => Ok(IpAddr::from([127, 0, 0, 1])),
        Err(_) if value == "*" => refuse("\"*\" is no IP address", "use 0.0.0.0 or :: instead"),
        Err(_) if value.contains("://") => refuse(
            format!("{} is a URL and no IP address", quoted(value)),
            "use 127.0.0.1 or 0.0.0.0; the URL that clients use is MCP_HOST",
        ),
        Err(_) if socket_address(value).is_ok() => refuse(
            format!("{} has a port", quoted(value)),
            "write the address alone; the port is PORT",
        ),
        Err(_) => refuse(
            format!("{} is no IP address", quoted(value)),
            "use 127.0.0.1 for this machine only, 0.0.0.0 or :: for every interface",
        ),
    }
}

/// An IP address with a port.
pub(crate) fn socket_address(value: &str) -> Parsed<SocketAddr> {
    let bare = value.trim_start_matches(':');
    if bare.parse::<u16>().is_ok() {
        return refuse(
            format!("{} is a port without an address", quoted(value)),
            format!(
                "write 127.0.0.1:{bare} for this machine only, 0.0.0.0:{bare} for every interface"
            ),
        );
    }
    let local = value.strip_prefix("localhost:");
    let numeric = local.map_or_else(|| value.to_owned(), |port| format!("127.0.0.1:{port}"));
    match numeric.parse() {
        Ok(address) => Ok(address),
        Err(_) => refuse(
            format!("{} is no IP address with a port", quoted(value)),
            "write 127.0.0.1:9464 for this machine only, 0.0.0.0:9464 or [::]:9464 for every \
             interface",
        ),
    }
}

/// The name or address of an agent: IPv6 with or without brackets.
pub(crate) fn agent_host(value: &str) -> Parsed<String> {
    let bare = value.trim_start_matches('[').trim_end_matches(']');
    if bare.parse::<IpAddr>().is_ok() {
        return Ok(bare.to_owned());
    }
    match web::host(value) {
        Ok(name) if !name.contains(':') => Ok(name),
        _ => refuse(
            format!("{} is no host", quoted(value)),
            "write a host name or an IP address; the port is DD_DOGSTATSD_PORT",
        ),
    }
}

pub(crate) fn switch(value: &str) -> Parsed<bool> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "y" | "on" => Ok(true),
        "false" | "0" | "no" | "n" | "off" => Ok(false),
        _ => refuse(
            format!("{} is neither on nor off", quoted(value)),
            "use true or false",
        ),
    }
}

/// A whole number.
pub(crate) fn number(value: &str) -> Parsed<u32> {
    match value.parse() {
        Ok(number) => Ok(number),
        Err(_) => refuse(
            format!("{} is no whole number", quoted(value)),
            "use digits alone, such as 100; 0 or more",
        ),
    }
}

/// How many of something there may be.
pub(crate) fn count(value: &str) -> Parsed<usize> {
    match value.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => refuse(
            format!("{} is no whole number above 0", quoted(value)),
            "use one, such as 1000",
        ),
    }
}

/// Bytes, or a number with a unit as Kubernetes and Docker write it; at least 16 MiB.
pub(crate) fn memory(value: &str) -> Parsed<usize> {
    let digits = value.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = value.split_at(digits);
    let scale: Option<usize> = match &*unit.trim().to_ascii_lowercase() {
        "" | "b" => Some(1),
        "k" | "kb" => Some(1_000),
        "m" | "mb" => Some(1_000_000),
        "g" | "gb" => Some(1_000_000_000),
        "ki" | "kib" => Some(1 << 10),
        "mi" | "mib" => Some(1 << 20),
        "gi" | "gib" => Some(1 << 30),
        _ => None,
    };
    let bytes = number.parse::<usize>().ok().zip(scale);
    match bytes.and_then(|(number, scale)| number.checked_mul(scale)) {
        Some(bytes) if bytes >= 16 << 20 => Ok(bytes),
        Some(_) => refuse(
            format!("{} is too little to serve anybody", quoted(value)),
            "use 16MiB or more",
        ),
        None => refuse(
            format!("{} is no amount of memory", quoted(value)),
            "use a number with a unit, such as 256MiB",
        ),
    }
}

/// A share of the whole.
pub(crate) fn ratio(value: &str) -> Parsed<f64> {
    match value.parse() {
        Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(ratio),
        _ => refuse(
            format!("{} is no number from 0 to 1", quoted(value)),
            "use one with a point, such as 0.05 for five percent",
        ),
    }
}

/// Seconds, or a number with `s`, `m`, `h` or `d`.
pub(crate) fn duration(value: &str) -> Parsed<Duration> {
    let split = value
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(value.len());
    let (number, unit) = value.split_at(split);
    let scale = match &*unit.trim().to_ascii_lowercase() {
        "" | "s" | "sec" | "secs" | "second" | "seconds" => Some(1),
        "m" | "min" | "mins" | "minute" | "minutes" => Some(60),
        "h" | "hour" | "hours" => Some(3_600),
        "d" | "day" | "days" => Some(86_400),
        _ => None,
    };
    let seconds = number
        .parse::<u64>()
        .ok()
        .zip(scale)
        .and_then(|(n, s)| n.checked_mul(s));
    match seconds {
        Some(seconds) => Ok(Duration::from_secs(seconds)),
        None => refuse(
            format!("{} is no duration", quoted(value)),
            "use whole seconds, or a whole number with a unit: 90, 10s, 5m, 12h, 7d",
        ),
    }
}

/// A duration between two bounds.
pub(crate) fn duration_within(value: &str, least: u64, most: u64) -> Parsed<Duration> {
    let duration = duration(value)?;
    if (least..=most).contains(&duration.as_secs()) {
        return Ok(duration);
    }
    refuse(
        format!("{} is out of range", quoted(value)),
        format!("use a duration from {least} to {most} seconds"),
    )
}

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
    web::url(value)
}

/// The base URL of a service: no query, no fragment.
pub(crate) fn base_url(value: &str) -> Parsed<Url> {
    let url = secure_url(value)?;
    web::without_query(value, &url)?;
    Ok(url)
}

/// The URL under which clients reach this server: scheme, host and port, and perhaps a path,
/// without a slash at its end.
pub(crate) fn public_url(value: &str) -> Parsed<String> {
    let url = base_url(value)?;
    let path = web::public_path(value, &url)?;
    Ok(url.origin().ascii_serialization() + &path)
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
    web::without_query(value, &url)?;
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

/// As whom to log in: an id, or the URL of a client metadata document.
pub(crate) fn client_id(value: &str) -> Parsed<String> {
    let value = word(value)?;
    if !value.contains("://") {
        return Ok(value);
    }
    let url = web_url(&value)?;
    if url.scheme() != "https" || url.path() == "/" {
        return refuse(
            format!("{} is no client metadata document", quoted(&value)),
            "write an https URL with a path, such as https://app.example.com/client.json, or the \
             id under which the client is registered",
        );
    }
    Ok(value)
}

/// A claim, or names with dots between them for what lies inside one.
pub(crate) fn claim(value: &str) -> Parsed<String> {
    let value = word(value)?;
    let is_cut = value.starts_with('.') || value.ends_with('.') || value.contains("..");
    if is_cut || value.starts_with(['$', '/', '[']) {
        return refuse(
            format!("{} names no claim", quoted(&value)),
            "write its name as the tokens have it, such as org_id; dots lead into objects, such as \
             org.id",
        );
    }
    Ok(value)
}

/// Signature algorithms that a token may use: never `none`, never a shared secret.
pub(crate) fn algorithm(value: &str) -> Parsed<String> {
    let mut known = mcp_auth::signature_algorithms();
    if let Some(known) = known.find(|known| known.eq_ignore_ascii_case(value)) {
        return Ok(known);
    }
    let all: Vec<_> = mcp_auth::signature_algorithms().collect();
    refuse(
        format!("{} is no accepted signature algorithm", quoted(value)),
        format!(
            "use {}; without any, all of them are accepted",
            all.join(", ")
        ),
    )
}

/// A name of our own or of the issuer: anything visible.
pub(crate) fn word(value: &str) -> Parsed<String> {
    if value.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return refuse(
            format!("{} holds white space", quoted(value)),
            "write one word without spaces or line breaks",
        );
    }
    Ok(value.to_owned())
}

/// An audience, compared as a string.
pub(crate) fn audience(value: &str) -> Parsed<String> {
    let value = word(value)?;
    if let Some(odd) = value.chars().find(|c| matches!(c, '*' | ',' | ';')) {
        return refuse(
            format!(
                "{} holds {odd}: audiences are compared as they stand",
                quoted(&value)
            ),
            "write one audience exactly as the tokens name it",
        );
    }
    Ok(value)
}

/// Where logins are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoginStore {
    Auto,
    Keychain,
    File,
}

#[cfg(feature = "login")]
impl LoginStore {
    /// As a setting.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Keychain => "keychain",
            Self::File => "file",
        }
    }
}

pub(crate) fn login_store(value: &str) -> Parsed<LoginStore> {
    match value.to_ascii_lowercase().as_str() {
        "auto" => Ok(LoginStore::Auto),
        "keychain" => Ok(LoginStore::Keychain),
        "file" => Ok(LoginStore::File),
        _ => refuse(
            format!("{} is no place for logins", quoted(value)),
            "use auto, keychain or file",
        ),
    }
}

/// An organization's id.
pub(crate) fn organization(value: &str) -> Parsed<String> {
    match value.parse::<mcp_core::OrganizationId>() {
        Ok(id) => Ok(id.as_str().to_owned()),
        Err(_) => refuse(
            format!("{} is no organization id", quoted(value)),
            "give a UUID or org_…, or unset it to use the organization of your profile",
        ),
    }
}

/// A tool, under its canonical name.
pub(crate) fn tool(value: &str) -> Parsed<String> {
    let canonical = mcp_core::tools::canonical_name;
    if let Some(name) = canonical(value) {
        return Ok(name.to_owned());
    }
    let fix = if value.contains('*') {
        "name each tool: there are no wildcards; unset, every tool is meant".to_owned()
    } else {
        let names = mcp_core::ToolOptions::every_name();
        let folded = value.to_ascii_lowercase().replace('-', "_");
        match problem::nearest(&folded, names) {
            Some(near) => format!("did you mean {near}?"),
            None => "use names from the server's tool list, such as get_project or \
                     create_requirement"
                .to_owned(),
        }
    };
    refuse(format!("{} is no tool", quoted(value)), fix)
}

/// `TOOL=SCOPE SCOPE`: which scopes a tool needs, or all that read or write.
pub(crate) fn tool_scopes(value: &str) -> Parsed<(String, Vec<String>)> {
    let (name, scopes) = scopes_of(value)?;
    match name {
        "read" | "write" => Ok((name.to_owned(), scopes)),
        name => Ok((tool(name)?, scopes)),
    }
}

/// `SCOPE=SCOPE SCOPE`: which scopes another one includes.
pub(crate) fn scope_hierarchy(value: &str) -> Parsed<(String, Vec<String>)> {
    let (name, scopes) = scopes_of(value)?;
    Ok((tool_scope(name)?, scopes))
}

fn scopes_of(value: &str) -> Parsed<(&str, Vec<String>)> {
    let Some((name, scopes)) = value.split_once('=') else {
        return refuse(
            format!("{} has no =", quoted(value)),
            "write NAME=SCOPE, with blanks between several scopes",
        );
    };
    let scopes: Vec<_> = scopes
        .split_ascii_whitespace()
        .map(tool_scope)
        .collect::<Result<_, _>>()?;
    if scopes.is_empty() {
        return refuse(
            format!("{} names no scope", quoted(value)),
            "write at least one scope after the =",
        );
    }
    Ok((name.trim(), scopes))
}

/// A scope that a tool can need.
fn tool_scope(value: &str) -> Parsed<String> {
    if value == "offline_access" {
        return refuse(
            "offline_access is no scope of a tool",
            "leave it out: it is between a client and the issuer (MCP 2026-07-28, authorization)",
        );
    }
    scope(value)
}

/// Scopes, separated by blanks as OAuth has them.
pub(crate) fn scopes(value: &str) -> Parsed<Vec<String>> {
    value.split_ascii_whitespace().map(scope).collect()
}

/// A scope token (RFC 6749 section 3.3).
pub(crate) fn scope(value: &str) -> Parsed<String> {
    if value == "*" {
        return refuse(
            "\"*\" is no scope that means all",
            "name each scope, as the authorization server has it",
        );
    }
    if value.eq_ignore_ascii_case("none") {
        return refuse(
            format!("{} is no scope", quoted(value)),
            "leave it out; for no scope at all unset the setting, or write [] in the file",
        );
    }
    // Legal in a scope, and yet meant as something else: what follows would be part of the name.
    if let Some(mark) = value.chars().find(|c| ",;<>".contains(*c)) {
        return refuse(
            format!("{} holds {mark}", quoted(value)),
            "separate entries by commas and scopes by blanks, and write names as the authorization \
             server has them",
        );
    }
    let legal = |c: char| c.is_ascii_graphic() && c != '"' && c != '\\';
    if !value.is_empty() && value.chars().all(legal) {
        return Ok(value.to_owned());
    }
    refuse(
        format!("{} is no scope", quoted(value)),
        "use visible ASCII characters without quotation marks, such as requirements:read",
    )
}

/// A proxy whose word about clients is taken.
pub(crate) fn proxy(value: &str) -> Parsed<String> {
    let word = value.to_ascii_lowercase();
    let (address, width) = word.split_once('/').unwrap_or((&word, "128"));
    // Unique local addresses, the widest network that is nobody's on the internet, are fc00::/7.
    let least = if address.contains(':') { 7 } else { 8 };
    let is_everybody = width.parse::<u8>().is_ok_and(|width| width < least)
        || address.parse().is_ok_and(|it: IpAddr| it.is_unspecified());
    if is_everybody {
        return refuse(
            format!(
                "{} is everybody: any client could name any address",
                quoted(value)
            ),
            "name the proxies; where only the platform's proxy can connect, write peer",
        );
    }
    match TrustedProxies::default().add(&word) {
        Ok(()) => Ok(word),
        Err(_) => refuse(
            format!("{} is no proxy", quoted(value)),
            "write addresses or networks such as 10.0.0.0/8, or loopback, private, peer, none",
        ),
    }
}

/// One of the presets for well-known issuers.
pub(crate) fn preset(value: &str) -> Parsed<mcp_auth::Preset> {
    match value.parse() {
        Ok(preset) => Ok(preset),
        Err(_) => {
            let names = mcp_auth::Preset::ALL.map(mcp_auth::Preset::name);
            let fix = match problem::meant(value, names.into_iter()) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("use one of {}, or leave it out", names.join(", ")),
            };
            refuse(format!("{} is no preset", quoted(value)), fix)
        }
    }
}

/// A claim that names the client a token was issued to.
pub(crate) fn client_claim(value: &str) -> Parsed<String> {
    match value {
        "client_id" | "azp" | "cid" => Ok(value.to_owned()),
        _ => refuse(
            format!("{} names no client", quoted(value)),
            "use client_id, azp or cid, as the tokens have it",
        ),
    }
}

/// The id of an organization, as tokens have it.
pub(crate) fn bound_organization(value: &str) -> Parsed<String> {
    let value = word(value)?;
    if value.is_empty() || value.contains(['*', '"', '\'', ',', ';']) {
        return refuse(
            format!("{} is no organization", quoted(&value)),
            "write each id as the tokens have it, in an entry of its own and without wildcards; \
             remove the key for any",
        );
    }
    Ok(value)
}

/// A bearer token. Its text is never quoted.
pub(crate) fn token(value: &str) -> Parsed<String> {
    let bare = value.trim();
    let bare = match bare.split_once(' ') {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("bearer") => rest.trim_start(),
        _ => bare,
    };
    if bare.chars().all(|c| c.is_ascii_graphic()) && !bare.is_empty() {
        return Ok(bare.to_owned());
    }
    refuse(
        "it is no token",
        "paste the token alone: no quotes, spaces or line breaks",
    )
}

/// 32 bytes from 64 hexadecimal characters. The text is never quoted.
pub(crate) fn key(value: &str) -> Parsed<Zeroizing<[u8; 32]>> {
    let fix = "make one with: openssl rand -hex 32";
    let digits = Zeroizing::new(value.trim().as_bytes().to_vec());
    if digits.len() != 64 {
        let hint = match digits.len() {
            44 => "; it may be base64, and has to be hexadecimal",
            66 if digits.starts_with(b"0x") => "; leave the 0x out",
            _ => "",
        };
        return refuse(
            format!("a key has 64 characters, this one {}{hint}", digits.len()),
            fix,
        );
    }
    let mut key = Zeroizing::new([0_u8; 32]);
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |at: Option<&u8>| at.copied().and_then(nibble);
        let (Some(high), Some(low)) = (digit(pair.first()), digit(pair.last())) else {
            return refuse("a key has hexadecimal characters only (0-9, a-f)", fix);
        };
        *byte = high << 4 | low;
    }
    if key.iter().all(|byte| Some(byte) == key.first()) {
        return refuse("one byte repeated is no key", fix);
    }
    Ok(key)
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
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

/// A way to join traces and to pass them on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Propagator {
    /// W3C Trace Context.
    TraceContext,
    /// W3C Baggage.
    Baggage,
}

impl Propagator {
    /// The one that `OTEL_PROPAGATORS` calls by this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "tracecontext" => Some(Self::TraceContext),
            "baggage" => Some(Self::Baggage),
            _ => None,
        }
    }
}

/// Which requests are traced.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum TraceSampler {
    /// So many a second.
    AtMost(u32),
    /// All.
    AlwaysOn,
    /// None.
    AlwaysOff,
    /// This share of all traces, by their ids.
    Ratio(f64),
    /// Those that the caller traces, and of those that begin here what this one says.
    ParentBased(Box<TraceSampler>),
}

impl TraceSampler {
    /// The one that `OTEL_TRACES_SAMPLER` calls by this name.
    pub(crate) fn named(name: &str, ratio: f64) -> Option<Self> {
        if let Some(root) = name.strip_prefix("parentbased_") {
            let root = Self::named(root, ratio)?;
            return Some(Self::ParentBased(Box::new(root)));
        }
        match name {
            "always_on" => Some(Self::AlwaysOn),
            "always_off" => Some(Self::AlwaysOff),
            "traceidratio" => Some(Self::Ratio(ratio)),
            _ => None,
        }
    }
}

/// What `AUDIT_LOG` says, before it is known whether that is possible.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum AuditChoice {
    Off,
    File(PathBuf),
    Stdout,
    Otlp,
}

/// Only a path is taken for a file: `AUDIT_LOG=on` must not make a file of that name.
pub(crate) fn audit_target(value: &str) -> Parsed<AuditChoice> {
    match value {
        "off" => Ok(AuditChoice::Off),
        "stdout" => Ok(AuditChoice::Stdout),
        "otlp" => Ok(AuditChoice::Otlp),
        path if path.contains(['/', std::path::MAIN_SEPARATOR]) => {
            Ok(AuditChoice::File(PathBuf::from(path)))
        }
        _ => refuse(
            format!("{} is no place for the audit log", quoted(value)),
            "use off, stdout, otlp, or a path such as /var/log/braingrid-mcp/audit.jsonl or ./audit.jsonl",
        ),
    }
}

/// A file with certificates in PEM form.
pub(crate) fn certificates(value: &str) -> Parsed<Vec<u8>> {
    match std::fs::read(value) {
        Ok(pem) if pem.windows(10).any(|text| text == b"-----BEGIN") => {
            Ok(crate::text::without_mark(&pem).to_vec())
        }
        Ok(_) => refuse(
            format!("{} holds no certificate", quoted(value)),
            "name a PEM file, which has -----BEGIN CERTIFICATE----- in it",
        ),
        Err(error) => refuse(
            format!("{} cannot be read ({})", quoted(value), error.kind()),
            "name a file that this process may read",
        ),
    }
}
