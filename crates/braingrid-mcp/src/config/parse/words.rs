//! Single words: those to choose from, and those that are only not to be broken.

use std::path::PathBuf;

use mcp_fleet::WithoutStore;
use mcp_transport_http::TenantAudience;

use super::{Parsed, quoted, refuse};

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

/// What a client is called at an authorization server: printable ASCII, blanks included (RFC 6749
/// appendix A.1).
pub(crate) fn client_id(value: &str) -> Parsed<String> {
    match value.chars().find(|c| !matches!(c, ' '..='~')) {
        None => Ok(value.to_owned()),
        Some(stranger) => refuse(
            format!(
                "{} holds {stranger:?}, which no client id has",
                quoted(value)
            ),
            "write it as the authorization server shows it: letters, digits, punctuation and blanks",
        ),
    }
}

/// A path, as the system takes it.
#[expect(clippy::unnecessary_wraps, reason = "a parser like the others")]
pub(crate) fn path(value: &str) -> Parsed<PathBuf> {
    Ok(PathBuf::from(value))
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

/// Whether a token is needed.
pub(crate) fn open_or_token(value: &str) -> Parsed<bool> {
    match value.to_ascii_lowercase().as_str() {
        "open" => Ok(false),
        "token" => Ok(true),
        _ => refuse(
            format!("{} does not say who may see them", quoted(value)),
            "use open or token",
        ),
    }
}

/// What happens to writes while the shared store is away.
pub(crate) fn without_store(value: &str) -> Parsed<WithoutStore> {
    match value.to_ascii_lowercase().as_str() {
        "per-instance" => Ok(WithoutStore::PerInstance),
        "refuse" => Ok(WithoutStore::Refuse),
        _ => refuse(
            format!("{} says nothing about writes", quoted(value)),
            "use per-instance or refuse",
        ),
    }
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

/// What the API is called with for users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UpstreamMode {
    SameAudience,
    Exchange,
}

pub(crate) fn upstream_mode(value: &str) -> Parsed<UpstreamMode> {
    match value.to_ascii_lowercase().as_str() {
        "exchange" => Ok(UpstreamMode::Exchange),
        "same-audience" => Ok(UpstreamMode::SameAudience),
        _ => refuse(
            format!("{} is no mode", quoted(value)),
            "use exchange or same-audience",
        ),
    }
}

/// Which tokens are good at the address of an organization.
pub(crate) fn organization_tokens(value: &str) -> Parsed<TenantAudience> {
    match value.to_ascii_lowercase().as_str() {
        "shared" => Ok(TenantAudience::OwnOrAbove),
        "own" => Ok(TenantAudience::Own),
        _ => refuse(
            format!("{} says nothing about tokens", quoted(value)),
            "use shared or own",
        ),
    }
}

/// How this server proves to an issuer which client it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientMethod {
    Basic,
    Post,
    Key,
}

pub(crate) fn client_method(value: &str) -> Parsed<ClientMethod> {
    match value {
        "client_secret_basic" => Ok(ClientMethod::Basic),
        "client_secret_post" => Ok(ClientMethod::Post),
        "private_key_jwt" => Ok(ClientMethod::Key),
        _ => refuse(
            format!("{} is no way to authenticate", quoted(value)),
            "use client_secret_basic, client_secret_post or private_key_jwt",
        ),
    }
}
