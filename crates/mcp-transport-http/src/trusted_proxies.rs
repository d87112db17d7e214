//! Which proxies in front are believed when they name a client, as settings write them.

use std::net::IpAddr;

use ipnet::IpNet;

/// The proxies whose word about a client's address is taken. Nobody's by default.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    /// Whoever is connected.
    pub(crate) peer: bool,
    /// They write `Forwarded`.
    pub(crate) forwarded: bool,
    /// It was said that there is none.
    pub(crate) none: bool,
}

/// A text that names no proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a trusted proxy is an address, a network in CIDR notation, loopback, private, peer, forwarded or none"
)]
#[non_exhaustive]
pub struct InvalidProxy;

/// Loopback.
const OWN_MACHINE: &[&str] = &["127.0.0.0/8", "::1/128"];
/// What is not routed on the internet: RFC 1918, RFC 6598, RFC 3927, RFC 4193, RFC 4291.
const PRIVATE: &[&str] = &[
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
            "loopback" => self.networks.extend(networks(OWN_MACHINE)),
            "private" => {
                self.networks.extend(networks(OWN_MACHINE));
                self.networks.extend(networks(PRIVATE));
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

    pub(crate) fn has(&self, ip: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&ip))
    }
}
