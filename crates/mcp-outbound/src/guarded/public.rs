//! Which addresses belong to the public internet, by the registries of special-purpose addresses
//! (RFC 6890 and what IANA added since).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address is one that anybody on the internet could reach: no loopback, private, shared,
/// link-local, multicast, documentation, benchmarking or reserved address, in no spelling.
///
/// ```
/// use mcp_outbound::is_public;
///
/// assert!(is_public([93, 184, 215, 14].into()));
/// assert!(!is_public([169, 254, 169, 254].into()));
/// assert!(!is_public("::ffff:10.0.0.1".parse()?));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let special = match address.octets() {
        // "This network" (RFC 791), private (RFC 1918), loopback; multicast, reserved, broadcast.
        [0 | 10 | 127 | 224..=255, ..]
        | [172, 16..=31, ..]
        | [192, 168, ..]
        // Shared by carriers (RFC 6598): also where one cloud has its metadata.
        | [100, 64..=127, ..]
        // Link-local (RFC 3927): where most clouds have theirs.
        | [169, 254, ..]
        // Protocol assignments (RFC 6890) and documentation (RFC 5737); the anycast of 6to4 (RFC 7526).
        | [192, 0, 0 | 2, _]
        | [198, 51, 100, _]
        | [203, 0, 113, _]
        | [192, 88, 99, _]
        // Benchmarks (RFC 2544).
        | [198, 18..=19, ..]
        // In every virtual machine of Azure its host, which gives out configuration.
        | [168, 63, 129, 16] => true,
        _ => false,
    };
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // IPv4 in the clothes of IPv6 (RFC 4291 section 2.5.5.2), and through NAT64 (RFC 6052).
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            let [a, b] = high.to_be_bytes();
            let [c, d] = low.to_be_bytes();
            is_public_v4(Ipv4Addr::new(a, b, c, d))
        }
        // Protocol assignments (RFC 2928): Teredo, benchmarks, ORCHID. 6to4 (RFC 7526). Teredo and 6to4
        // hold an IPv4 address, and no public host depends on them. Documentation (RFC 3849, RFC 9637).
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x2002, ..] | [0x3fff, 0..=0xfff, ..] => false,
        // Global unicast as far as it is given out (RFC 4291 section 2.4); outside of it are loopback,
        // IPv4-compatible, local NAT64, unique local, link-local, site-local and multicast addresses.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public(text: &str) -> bool {
        is_public(text.parse().unwrap())
    }

    #[test]
    fn what_anybody_can_reach_is_public() {
        for text in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "168.63.129.15",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.88.98.255",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2000::1",
            "2001:200::1",
            "2606:4700:4700::1111",
            "2a00:1450:4001:82a::200e",
            "3ffe::1",
            "::ffff:1.1.1.1",
            "64:ff9b::1.1.1.1",
        ] {
            assert!(public(text), "{text}");
        }
    }

    #[test]
    fn special_addresses_of_ipv4_are_not_public() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.100.100.200",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
        ] {
            assert!(!public(text), "{text}");
        }
    }

    #[test]
    fn special_addresses_of_ipv6_are_not_public() {
        for text in [
            "::",
            "::1",
            "::2",
            "100::1",
            "2001::1",
            "2001:0:7f00:1::",
            "2001:2::1",
            "2001:10::1",
            "2001:1ff::1",
            "2001:db8::1",
            "2002::1",
            "2002:c0a8:1::",
            "2002:101:101::1",
            "3fff::1",
            "3fff:fff::1",
            "4000::1",
            "5f00::1",
            "64:ff9b:1::1.1.1.1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "feff::1",
            "ff02::1",
            "ffff::1",
        ] {
            assert!(!public(text), "{text}");
        }
    }

    #[test]
    fn a_private_address_is_private_inside_of_another_too() {
        for inner in [
            "127.0.0.1",
            "10.0.0.1",
            "169.254.169.254",
            "192.168.1.1",
            "0.0.0.0",
        ] {
            for outer in ["::ffff:", "::", "64:ff9b::", "64:ff9b:1::", "::ffff:0:"] {
                assert!(!public(&format!("{outer}{inner}")), "{outer}{inner}");
            }
            let [a, b, c, d] = inner.parse::<Ipv4Addr>().unwrap().octets();
            let six_to_four = format!("2002:{a:02x}{b:02x}:{c:02x}{d:02x}::1");
            assert!(!public(&six_to_four), "{six_to_four}");
        }
        for outer in ["::", "64:ff9b:1::", "::ffff:0:"] {
            assert!(!public(&format!("{outer}1.1.1.1")), "{outer}");
        }
    }
}
