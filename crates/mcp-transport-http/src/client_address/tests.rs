use super::*;
use crate::trusted_proxies::InvalidProxy;

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
