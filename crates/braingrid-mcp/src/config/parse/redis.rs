//! Why a text is no address of Redis, and what to write instead. Never quotes it: of a password only
//! the character that has to be changed is named.

use secrecy::SecretString;

use super::{Parsed, hosts, refuse};
use crate::config::text::is_placeholder;

/// An address of Redis, its scheme in lower case.
pub(crate) fn address(value: &str) -> Parsed<SecretString> {
    let what = "it is no address of Redis";
    let Some((scheme, rest)) = value.split_once("://") else {
        return refuse(
            format!("{what}: it has no scheme"),
            "put redis:// in front, or rediss:// for TLS",
        );
    };
    if let Some(odd) = unencoded(rest) {
        let shown = if odd.is_whitespace() { '␣' } else { odd };
        return refuse(
            format!("{what}: its user or password holds {shown} as it is"),
            format!(
                "percent-encode it: write {} for {shown} (%23 for #, %2F for /, %3F for ?, %25 for %)",
                encoded(odd)
            ),
        );
    }
    if let Some((fault, fix)) = without_effect(scheme, rest) {
        return refuse(format!("{what}: {fault}"), fix);
    }
    let value = format!("{}://{rest}", scheme.to_ascii_lowercase());
    if let Err(expected) = mcp_session::RedisConfig::parse(&value) {
        let (user, servers) = rest.rsplit_once('@').unwrap_or(("", rest));
        return match servers_fault(servers) {
            _ if !value.starts_with("redis") && !value.starts_with("valkey") => {
                refuse(format!("{what}: its scheme is none"), expected.to_string())
            }
            Some((fault, fix)) => refuse(format!("{what}: {fault}"), fix),
            None if user.contains('%') => refuse(
                what,
                "percent-encode the % in user and password: write %25 for %",
            ),
            None => refuse(what, expected.to_string()),
        };
    }
    Ok(SecretString::from(value))
}

/// What the client library takes and does nothing with, or something else than is meant.
fn without_effect(scheme: &str, rest: &str) -> Option<(&'static str, &'static str)> {
    let (user, servers) = rest.rsplit_once('@').unwrap_or(("", rest));
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    if [name, password].into_iter().any(is_placeholder) {
        return Some((
            "its user or password is a placeholder that nothing has filled in",
            "write the password itself, or let the shell or the platform fill it in; write %24 for \
             a $ that belongs to it",
        ));
    }
    if !name.is_empty() && password.is_empty() {
        return Some((
            "it has a user and no password, so that nobody would be authenticated",
            "a password alone stands after a colon, as in redis://:PASSWORD@host; with a user, \
             write USER:PASSWORD",
        ));
    }
    let (hosts, options) = servers.split_once('?').unwrap_or((servers, ""));
    let known = |option: &str| option.starts_with("protocol=") && !scheme.contains('+');
    if !options.is_empty() && !options.split('&').all(known) {
        return Some((
            "it has options after ? that do nothing here",
            "leave out everything from ? on: TLS is rediss://, a private CA is REDIS_CA_FILE",
        ));
    }
    let hosts = hosts.split('/').next().unwrap_or_default().split(',');
    let mut names = hosts.map(|host| host.trim().split(':').next().unwrap_or_default());
    names
        .any(|name| !name.starts_with('[') && hosts::host_fault(name).is_some())
        .then_some((
            "its host is none",
            "write the name or address alone, as in redis://host:6379",
        ))
}

/// The first character before the last `@` that ends that part of a URL, or cannot stand there.
fn unencoded(rest: &str) -> Option<char> {
    let (user, _) = rest.rsplit_once('@')?;
    user.chars()
        .find(|c| matches!(c, '#' | '/' | '?' | '[' | ']' | '\\') || c.is_whitespace())
}

fn encoded(c: char) -> String {
    let mut bytes = [0; 4];
    let bytes = c.encode_utf8(&mut bytes).bytes();
    bytes.fold(String::new(), |text, byte| text + &format!("%{byte:02X}"))
}

fn servers_fault(servers: &str) -> Option<(&'static str, &'static str)> {
    let (hosts, path) = servers.split_once('/').unwrap_or((servers, ""));
    if path.contains(['#', '?']) || hosts.contains(['#', '?']) {
        return Some((
            "it has options after ? or #",
            "leave out everything from ? or # on; TLS is rediss://. If it belongs to a password: \
             write %23 for #, %3F for ?",
        ));
    }
    for host in hosts.split(',') {
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !host.ends_with(']') => (name, port),
            _ => (host, "6379"),
        };
        if name.trim().is_empty() {
            return Some((
                "it names no host",
                "write it as redis://host:6379; in a password, write %2F for / and put an @ after it",
            ));
        }
        if !port.parse::<u16>().is_ok_and(|port| port > 0) {
            return Some((
                "its port is none",
                "write a port from 1 to 65535 after the host; in a password, write %3A for : and \
                 put an @ after it",
            ));
        }
    }
    let database = path.rsplit('/').next().unwrap_or_default();
    (!database.is_empty() && database.parse::<u32>().is_err()).then_some((
        "what follows the host is no database",
        "write its number, such as redis://host:6379/0",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redis_password_is_never_quoted_and_its_character_is_named() {
        for (value, what, fix) in [
            (
                "redis://u:hun#ter2@cache:6379",
                "holds # as it is",
                "%23 for #",
            ),
            (
                "redis://u:hun/ter2@cache:6379",
                "holds / as it is",
                "%2F for /",
            ),
            (
                "redis://u:12/34@cache:6379",
                "holds / as it is",
                "%2F for /",
            ),
            (
                "redis://u:hun?ter2@cache:6379",
                "holds ? as it is",
                "%3F for ?",
            ),
            (
                "redis://u:hun ter2@cache:6379",
                "holds ␣ as it is",
                "%20 for",
            ),
            ("redis://u:hun%ffter2@cache:6379", "no address", "%25 for %"),
            ("redis://hunter2@cache", "no password", "redis://:PASSWORD@"),
            (
                "redis://hunter2:@cache",
                "no password",
                "redis://:PASSWORD@",
            ),
            ("redis://u:$HUNTER2@cache", "placeholder", "%24"),
            ("redis://u:<hunter2>@cache", "placeholder", "%24"),
            ("redis://$HOST:6379", "its host", "redis://host:6379"),
            ("redis://a,{{host}}:6379", "its host", "redis://host:6379"),
            (
                "redis://cache/?ssl_cert_reqs=none",
                "do nothing",
                "rediss://",
            ),
            (
                "rediss://cache/0?insecure=true",
                "do nothing",
                "REDIS_CA_FILE",
            ),
            (
                "rediss://cache:6379?insecure=true",
                "do nothing",
                "rediss://",
            ),
            (
                "redis+cluster://a,b/?protocol=resp3",
                "do nothing",
                "rediss://",
            ),
            ("cache.internal:6379", "no scheme", "redis://"),
            ("http://cache.internal:6379", "scheme", "rediss://"),
            ("redis://cache.internal:99999", "port", "1 to 65535"),
            ("redis://cache.internal:abc", "port", "1 to 65535"),
            ("redis://cache.internal:6379/db", "no database", "number"),
            ("redis://:6379", "no host", "redis://host"),
            (
                "rediss://cache.internal:6379#insecure",
                "options",
                "rediss://",
            ),
        ] {
            let refusal = address(value).unwrap_err();
            assert!(refusal.what.contains(what), "{value}: {refusal:?}");
            assert!(refusal.fix.contains(fix), "{value}: {refusal:?}");
            let said = format!("{refusal:?}");
            assert!(!said.contains("hun") && !said.contains("ter2"), "{said}");
        }
        for value in [
            "redis://u:p@ss@cache:6379",
            "redis://u:50%off@cache:6379",
            "REDIS://cache:6379/1",
            "redis+sentinel://:x@a:26379,b/mymaster/3",
            "rediss+cluster://a,b:7000",
            "redis://[::1]:6379",
            "redis://:pa$s.x@cache:6379",
            "redis://cache/0?protocol=resp3",
        ] {
            assert!(address(value).is_ok(), "{value}");
        }
    }
}
