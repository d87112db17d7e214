//! Where a request comes from: the peer of its connection, or whom a trusted proxy names.
//!
//! Anybody can write `X-Forwarded-For` and `Forwarded` (RFC 7239). Each proxy appends whom it was
//! asked by, so these lists are read from the right, as far as those who wrote are trusted: the first
//! entry that is no trusted proxy is the client. What stands left of it is the client's own word.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::atomic::{AtomicBool, Ordering},
};

use http::{Extensions, HeaderMap, HeaderName, HeaderValue, header::FORWARDED};
use mcp_auth::Asker;

use crate::trusted_proxies::TrustedProxies;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The peer of a connection. [`crate::HttpServer::serve`] puts it into the extensions of every
/// request; who calls [`crate::HttpServer::handle`] from a server of their own does the same, or
/// nothing is known of where requests come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddress(pub SocketAddr);

/// Where a request comes from. In the extensions of every request whose peer is known, before it is
/// authenticated; see [`PeerAddress`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress {
    client: IpAddr,
    peer: IpAddr,
    is_one_client: bool,
}

impl ClientAddress {
    /// That of a request, where it is known.
    pub fn of(extensions: &Extensions) -> Option<Self> {
        extensions.get().copied()
    }

    /// The client, as far as it is known: never an IPv4 address mapped into IPv6.
    pub fn ip(&self) -> IpAddr {
        self.client
    }

    /// Who is connected: the client itself, or a proxy.
    pub fn peer(&self) -> IpAddr {
        self.peer
    }

    /// What limits per address count by. `None` where no such limit may be applied, since any number
    /// of clients may have this address: a proxy that names none, or one that is not configured.
    pub fn bucket(&self) -> Option<AddressBucket> {
        self.is_one_client.then(|| AddressBucket::from(self.client))
    }
}

/// What is one client to a limit per address: an IPv4 address, or the /64 that one subscriber of
/// IPv6 gets at least, and can draw any number of addresses from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AddressBucket(IpAddr);

impl From<IpAddr> for AddressBucket {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << u64::BITS)).into(),
            ip @ IpAddr::V4(_) => ip,
        })
    }
}

impl From<AddressBucket> for Asker {
    fn from(AddressBucket(address): AddressBucket) -> Self {
        Self::new(match address {
            IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
            IpAddr::V6(ip) => ip.to_bits(),
        })
    }
}

impl fmt::Display for AddressBucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(ip) => ip.fmt(f),
            IpAddr::V6(ip) => write!(f, "{ip}/64"),
        }
    }
}

/// The rule for one server, and what it has seen.
#[derive(Debug)]
pub(crate) struct AddressRule {
    proxies: TrustedProxies,
    /// Nothing is said of proxies, but this server is reached by TLS, which it does not speak.
    hidden: bool,
    /// A peer that is no trusted proxy named a client.
    seen: AtomicBool,
}

impl AddressRule {
    /// `with_tls`: clients reach this server under `https`.
    pub(crate) fn new(proxies: TrustedProxies, with_tls: bool) -> Self {
        Self {
            hidden: with_tls && proxies.is_unset(),
            proxies,
            seen: AtomicBool::new(false),
        }
    }

    /// What a limit on connections counts by, before a request has come; `None` as for
    /// [`ClientAddress::bucket`]: the connections of a proxy are those of many clients.
    pub(crate) fn connection(&self, peer: SocketAddr) -> Option<AddressBucket> {
        let peer = peer.ip().to_canonical();
        let of_many = self.is_trusted_peer(peer) || self.is_hidden(peer);
        (!of_many).then(|| AddressBucket::from(peer))
    }

    /// Where a request comes from.
    pub(crate) fn request(&self, peer: SocketAddr, headers: &HeaderMap) -> ClientAddress {
        let peer = peer.ip().to_canonical();
        if !self.is_trusted_peer(peer) {
            if !self.proxies.none && names_a_client(headers) {
                self.say_once(peer);
            }
            return ClientAddress {
                client: peer,
                peer,
                is_one_client: !self.is_hidden(peer),
            };
        }
        let client = self.named_client(headers);
        ClientAddress {
            client: client.unwrap_or(peer),
            peer,
            is_one_client: client.is_some_and(|client| client != peer),
        }
    }

    fn is_trusted_peer(&self, peer: IpAddr) -> bool {
        self.proxies.peer || self.proxies.has(peer)
    }

    /// Whether an unknown proxy may be in front of this peer's clients. That somebody on the internet
    /// sends such a header makes him none: his limits would be off by his own word.
    fn is_hidden(&self, peer: IpAddr) -> bool {
        self.hidden || (self.seen.load(Ordering::Relaxed) && is_internal(peer))
    }

    fn say_once(&self, peer: IpAddr) {
        if !is_internal(peer) && !self.hidden {
            tracing::debug!(%peer, "a forwarding header of somebody who is no trusted proxy");
        } else if !self.seen.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                %peer,
                "a proxy is in front that is not configured: limits per address are off for what \
                 comes through it, and logs name it instead of clients; name it in TRUSTED_PROXIES, \
                 or write none there if nothing is in front"
            );
        }
    }

    /// The right-most entry that is no trusted proxy; the left-most, where all are. An entry that is
    /// no address (`unknown`, `_hidden`, rubbish, nothing) ends the list: the proxy right of it is all that is
    /// known.
    fn named_client(&self, headers: &HeaderMap) -> Option<IpAddr> {
        // Never the other one: proxies leave what they do not write to whoever wants to lie.
        let (name, address): (_, fn(&str) -> Option<IpAddr>) = if self.proxies.forwarded {
            (FORWARDED, for_node)
        } else {
            (X_FORWARDED_FOR, node)
        };
        let mut last = None;
        // Several lines are one list (RFC 9110 section 5.3).
        for line in headers.get_all(name).iter().rev() {
            // Entry by entry, so that bytes which are no text end the list where they stand.
            for entry in line.as_bytes().rsplit(|byte| *byte == b',') {
                let entry = str::from_utf8(entry).unwrap_or_default();
                let Some(ip) = address(entry.trim()) else {
                    return last;
                };
                last = Some(ip);
                if !self.proxies.has(ip) {
                    return last;
                }
            }
        }
        last
    }
}

fn names_a_client(headers: &HeaderMap) -> bool {
    let is_filled = |value: &HeaderValue| !value.is_empty();
    [X_FORWARDED_FOR, FORWARDED]
        .into_iter()
        .any(|name| headers.get(name).is_some_and(is_filled))
}

/// Whether an address is not routed on the internet, as those of proxies seldom are.
fn is_internal(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let shared = Ipv4Addr::new(100, 64, 0, 0).to_bits();
            let is_shared = ip.to_bits() & (u32::MAX << 22) == shared;
            ip.is_loopback() || ip.is_private() || ip.is_link_local() || is_shared
        }
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

/// The node in one element of `Forwarded`: `for=192.0.2.60;proto=https`, `For="[2001:db8::17]:47011"`.
/// A comma inside quotes splits the element all the same, and then it names nobody: were quotes
/// followed across commas, one that a client leaves open would swallow what proxies append.
fn for_node(element: &str) -> Option<IpAddr> {
    let mut pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
    let value = value.trim();
    match value.strip_prefix('"') {
        Some(quoted) => node(quoted.strip_suffix('"')?),
        None => node(value),
    }
}

/// An address with or without a port: `192.0.2.43:47011`, `[2001:db8::17]:47011`, `2001:db8::17`.
fn node(text: &str) -> Option<IpAddr> {
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let ip = text.parse::<IpAddr>().ok().or_else(bracketed);
    let ip = ip.or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()))?;
    Some(ip.to_canonical())
}

#[cfg(test)]
mod tests;
