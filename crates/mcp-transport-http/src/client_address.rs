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

use http::{Extensions, HeaderMap, HeaderValue};
use ipnet::IpNet;
use mcp_auth::Asker;

const FORWARDED: &str = "forwarded";
const X_FORWARDED_FOR: &str = "x-forwarded-for";

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

/// The proxies whose word about a client's address is taken. Nobody's by default.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    /// Whoever is connected.
    peer: bool,
    /// They write `Forwarded`.
    forwarded: bool,
    /// It was said that there is none.
    none: bool,
}

/// A text that names no proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a trusted proxy is an address, a network in CIDR notation, loopback, private, peer, forwarded or none"
)]
#[non_exhaustive]
pub struct InvalidProxy;

/// Loopback.
const OWN_MACHINE: [&str; 2] = ["127.0.0.0/8", "::1/128"];
/// What is not routed on the internet: RFC 1918, RFC 6598, RFC 3927, RFC 4193, RFC 4291.
const PRIVATE: [&str; 6] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "fc00::/7",
];

impl TrustedProxies {
    /// These as well: an address, a network (`10.0.0.0/8`), or a word: `loopback`; `private` for
    /// loopback and every network that is not routed on the internet; `peer` for whoever is connected,
    /// where nobody but the platform's own proxy can be; `forwarded` where they write `Forwarded` and
    /// leave `X-Forwarded-For` to whoever wants to lie; `none` to say that clients connect themselves.
    ///
    /// # Errors
    /// [`InvalidProxy`] for any other text.
    pub fn add(&mut self, entry: &str) -> Result<(), InvalidProxy> {
        let networks = |texts: &[&str]| -> Vec<IpNet> {
            texts.iter().filter_map(|text| text.parse().ok()).collect()
        };
        match entry {
            "none" => self.none = true,
            "peer" => self.peer = true,
            "forwarded" => self.forwarded = true,
            "loopback" => self.networks.extend(networks(&OWN_MACHINE)),
            "private" => {
                self.networks.extend(networks(&OWN_MACHINE));
                self.networks.extend(networks(&PRIVATE));
                self.networks.extend(networks(&["fe80::/10"]));
            }
            other => {
                let address = other.parse::<IpAddr>().map(|ip| ip.to_canonical());
                let network = address.map(IpNet::from).or_else(|_| other.parse());
                self.networks.push(network.map_err(|_| InvalidProxy)?);
            }
        }
        Ok(())
    }

    /// Whether nothing was said about proxies, not even that there is none.
    pub fn is_unset(&self) -> bool {
        self.networks.is_empty() && !self.peer && !self.none
    }

    fn has(&self, ip: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&ip))
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
mod tests {
    use super::*;

    fn rule(entries: &[&str], with_tls: bool) -> AddressRule {
        let mut proxies = TrustedProxies::default();
        for entry in entries {
            proxies.add(entry).unwrap();
        }
        AddressRule::new(proxies, with_tls)
    }

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            let name = http::HeaderName::from_static(name);
            (name, HeaderValue::from_bytes(value.as_bytes()).unwrap())
        };
        lines.iter().map(pair).collect()
    }

    fn peer(ip: &str) -> SocketAddr {
        SocketAddr::new(ip.parse().unwrap(), 4711)
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table, one row a list")]
    fn the_client_is_the_right_most_entry_that_is_no_trusted_proxy() {
        const X: &str = "x-forwarded-for";
        const F: &str = "forwarded";
        let mut proxies = vec!["10.0.0.0/8", "2001:db8:1::/48", "192.0.2.1"];
        let old = rule(&proxies, true);
        proxies.push("forwarded");
        let new = rule(&proxies, true);
        for (case, peer_ip, lines, client, is_one) in [
            ("nobody named", "10.0.0.1", vec![], "10.0.0.1", false),
            (
                "one",
                "10.0.0.1",
                vec![(X, "203.0.113.9")],
                "203.0.113.9",
                true,
            ),
            (
                "a client's own word",
                "10.0.0.1",
                vec![(X, "1.1.1.1, 203.0.113.9")],
                "203.0.113.9",
                true,
            ),
            (
                "two proxies",
                "10.0.0.1",
                vec![(X, "1.1.1.1,203.0.113.9 ,10.2.3.4")],
                "203.0.113.9",
                true,
            ),
            (
                "two lines",
                "10.0.0.1",
                vec![(X, "1.1.1.1"), (X, "203.0.113.9"), (X, "192.0.2.1")],
                "203.0.113.9",
                true,
            ),
            (
                "all trusted",
                "10.0.0.1",
                vec![(X, "10.9.9.9, 10.2.3.4")],
                "10.9.9.9",
                true,
            ),
            (
                "with a port",
                "10.0.0.1",
                vec![(X, "203.0.113.9:4711")],
                "203.0.113.9",
                true,
            ),
            (
                "IPv6",
                "10.0.0.1",
                vec![(X, "2001:db8:2::7")],
                "2001:db8:2::7",
                true,
            ),
            (
                "IPv6 with a port",
                "10.0.0.1",
                vec![(X, "[2001:db8:2::7]:80")],
                "2001:db8:2::7",
                true,
            ),
            (
                "IPv4 in IPv6",
                "::ffff:10.0.0.1",
                vec![(X, "::ffff:203.0.113.9")],
                "203.0.113.9",
                true,
            ),
            (
                "no address",
                "10.0.0.1",
                vec![(X, "203.0.113.9, unknown")],
                "10.0.0.1",
                false,
            ),
            (
                "no address further left",
                "10.0.0.1",
                vec![(X, "203.0.113.9, rubbish, 10.2.3.4")],
                "10.2.3.4",
                true,
            ),
            (
                "no text further left",
                "10.0.0.1",
                vec![(X, "\u{ff}, 203.0.113.9")],
                "203.0.113.9",
                true,
            ),
            ("empty", "10.0.0.1", vec![(X, "")], "10.0.0.1", false),
            (
                "an empty entry",
                "10.0.0.1",
                vec![(X, "1.1.1.1,,10.2.3.4")],
                "10.2.3.4",
                true,
            ),
            (
                "not from a proxy",
                "203.0.113.7",
                vec![(X, "1.1.1.1")],
                "203.0.113.7",
                false,
            ),
            (
                "Forwarded",
                "10.0.0.1",
                vec![(F, "for=1.1.1.1, For=203.0.113.9;proto=https;by=10.0.0.1")],
                "203.0.113.9",
                true,
            ),
            (
                "quoted",
                "10.0.0.1",
                vec![(F, r#"for="203.0.113.9:4711""#)],
                "203.0.113.9",
                true,
            ),
            (
                "quoted IPv6 with a port",
                "2001:db8:1::1",
                vec![(F, r#"proto=http; for="[2001:db8:2::7]:4711""#)],
                "2001:db8:2::7",
                true,
            ),
            (
                "quoted IPv6",
                "10.0.0.1",
                vec![(F, r#"for="[2001:db8:2::7]""#)],
                "2001:db8:2::7",
                true,
            ),
            (
                "an open quote",
                "10.0.0.1",
                vec![(F, r#"for="1.1.1.1, for=203.0.113.9"#)],
                "203.0.113.9",
                true,
            ),
            (
                "hidden",
                "10.0.0.1",
                vec![(F, "for=1.1.1.1, for=_secret")],
                "10.0.0.1",
                false,
            ),
            (
                "without for",
                "10.0.0.1",
                vec![(F, "for=1.1.1.1, proto=https")],
                "10.0.0.1",
                false,
            ),
            (
                "both",
                "10.0.0.1",
                vec![(F, "for=1.1.1.1"), (X, "203.0.113.9")],
                "203.0.113.9",
                true,
            ),
            (
                "both, the other way",
                "10.0.0.1",
                vec![(X, "1.1.1.1"), (F, "for=203.0.113.9")],
                "203.0.113.9",
                true,
            ),
            (
                "only the one that is not configured",
                "10.0.0.1",
                vec![(F, "for=1.1.1.1"), (X, "")],
                "10.0.0.1",
                false,
            ),
            (
                "a comma at the end",
                "10.0.0.1",
                vec![(X, "1.1.1.1,")],
                "10.0.0.1",
                false,
            ),
        ] {
            let peer = peer(peer_ip);
            // The last line is of the header that is configured.
            let is_old = lines.last().is_none_or(|(name, _)| *name == X);
            let rule = if is_old { &old } else { &new };
            let address = rule.request(peer, &headers(&lines));
            assert_eq!(address.ip(), client.parse::<IpAddr>().unwrap(), "{case}");
            let is_one = is_one || case == "not from a proxy";
            assert_eq!(address.bucket().is_some(), is_one, "{case}");
        }
    }

    #[test]
    fn where_proxies_write_forwarded_the_other_header_is_a_strangers() {
        let rule = rule(&["loopback", "forwarded"], true);
        let lines = [
            ("x-forwarded-for", "1.1.1.1"),
            ("forwarded", "for=203.0.113.9"),
        ];
        let address = rule.request(peer("127.0.0.1"), &headers(&lines));
        assert_eq!(address.ip().to_string(), "203.0.113.9");
        let address = rule.request(peer("127.0.0.1"), &headers(&lines[..1]));
        assert_eq!(address.bucket(), None);
    }

    #[test]
    fn whoever_is_connected_is_the_platform_where_that_was_said() {
        let rule = rule(&["peer"], true);
        let lines = headers(&[("x-forwarded-for", "1.1.1.1, 203.0.113.9")]);
        let address = rule.request(peer("169.254.1.1"), &lines);
        assert_eq!(address.ip().to_string(), "203.0.113.9");
        assert_eq!(address.peer().to_string(), "169.254.1.1");
        assert_eq!(rule.connection(peer("169.254.1.1")), None);
    }

    #[test]
    fn an_unknown_proxy_turns_limits_per_address_off_and_a_stranger_does_not() {
        let named = headers(&[("x-forwarded-for", "1.1.1.1")]);
        let none = HeaderMap::new();
        // Reached by TLS, and nothing is said: somebody takes it off in front.
        let tls = rule(&[], true);
        assert_eq!(tls.connection(peer("203.0.113.7")), None);
        assert_eq!(tls.request(peer("203.0.113.7"), &none).bucket(), None);
        let said = rule(&["none"], true);
        assert!(said.connection(peer("203.0.113.7")).is_some());
        assert!(said.request(peer("10.0.0.1"), &named).bucket().is_some());
        assert!(said.request(peer("10.0.0.1"), &none).bucket().is_some());

        let plain = rule(&[], false);
        assert!(plain.connection(peer("10.0.0.1")).is_some());
        assert!(
            plain
                .request(peer("203.0.113.7"), &named)
                .bucket()
                .is_some()
        );
        assert!(
            plain.connection(peer("10.0.0.1")).is_some(),
            "a stranger's word"
        );
        assert_eq!(plain.request(peer("10.0.0.1"), &named).bucket(), None);
        assert_eq!(plain.connection(peer("10.0.0.1")), None);
        assert!(plain.connection(peer("203.0.113.7")).is_some());
    }

    #[test]
    fn a_subscriber_of_ipv6_is_one_client() {
        let bucket = |ip: &str| AddressBucket::from(ip.parse::<IpAddr>().unwrap()).to_string();
        assert_eq!(bucket("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
        assert_eq!(bucket("2001:db8:1:2:ffff::"), bucket("2001:db8:1:2::1"));
        assert_ne!(bucket("2001:db8:1:3::1"), bucket("2001:db8:1:2::1"));
        assert_eq!(bucket("::ffff:192.0.2.1"), "192.0.2.1");
        assert_ne!(bucket("192.0.2.1"), bucket("192.0.2.2"));
    }

    #[test]
    fn a_proxy_is_an_address_a_network_or_a_word() {
        for good in [
            "10.0.0.1",
            "10.0.0.0/8",
            "::1",
            "fd00::/8",
            "loopback",
            "private",
            "peer",
            "none",
        ] {
            assert_eq!(TrustedProxies::default().add(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "*",
            "10.0.0.0/33",
            "proxy.example.com",
            "10.0.0",
            "all",
            "::/129",
        ] {
            assert_eq!(
                TrustedProxies::default().add(bad),
                Err(InvalidProxy),
                "{bad}"
            );
        }
        let private = rule(&["private"], true);
        for ip in [
            "10.1.1.1",
            "127.0.0.1",
            "100.64.1.1",
            "fe80::1",
            "::1",
            "172.31.0.1",
        ] {
            assert!(private.is_trusted_peer(ip.parse().unwrap()), "{ip}");
        }
        assert!(!private.is_trusted_peer("8.8.8.8".parse().unwrap()));
    }
}
