//! IP addresses, and who stands behind them.

use std::net::{IpAddr, SocketAddr};

use mcp_transport_http::TrustedProxies;

use super::{Parsed, hosts, quoted, refuse};

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
    match hosts::host(value) {
        Ok(name) if !name.contains(':') => Ok(name),
        _ => refuse(
            format!("{} is no host", quoted(value)),
            "write a host name or an IP address; the port is DD_DOGSTATSD_PORT",
        ),
    }
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
