//! Headers that mean one thing, sent twice.
//!
//! Proxies and clients repeat headers, in two lines or in one (`2025-11-25, 2025-11-25`, as Claude
//! Code's arrives behind some). The same twice is the same once. Two different values are a request
//! that two readers would understand differently.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{AUTHORIZATION, CONTENT_TYPE, ORIGIN},
};

// Names, and not texts: a text is read as a name for each look-up.
pub(crate) const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
pub(crate) const MCP_METHOD: HeaderName = HeaderName::from_static("mcp-method");
pub(crate) const MCP_NAME: HeaderName = HeaderName::from_static("mcp-name");
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// What the message is about: a contradiction refuses it.
const OF_THE_MESSAGE: [&str; 3] = ["mcp-protocol-version", "mcp-method", "mcp-name"];
/// What only observers read: a contradiction says nothing.
const OF_OBSERVERS: [&str; 2] = ["x-request-id", "traceparent"];

/// Makes one line of what is said twice alike. Gives back the header of the message that has two
/// values; `Authorization`, `Origin` and `Content-Type` that have two are refused where they are read.
pub(crate) fn fold(headers: &mut HeaderMap) -> Option<&'static str> {
    let is_odd = |(name, value): (&HeaderName, &HeaderValue)| {
        (value.is_empty() || has_comma(value)) && is_folded(name)
    };
    // Most requests say everything once: one walk without a look-up.
    if headers.len() == headers.keys_len() && !headers.iter().any(is_odd) {
        return None;
    }
    for name in [AUTHORIZATION, ORIGIN, CONTENT_TYPE] {
        fold_one(headers, &name);
    }
    for name in OF_OBSERVERS.map(HeaderName::from_static) {
        if !fold_one(headers, &name) {
            headers.remove(name);
        }
    }
    let mut contradicted = None;
    for name in OF_THE_MESSAGE {
        if !fold_one(headers, &HeaderName::from_static(name)) {
            contradicted = contradicted.or(Some(name));
        }
    }
    contradicted
}

fn has_comma(value: &HeaderValue) -> bool {
    // To the end, whatever is found: without a branch, many bytes are looked at in one step.
    let is_comma = |byte: &u8| *byte == b',';
    let bytes = value.as_bytes().iter();
    bytes.fold(false, |found, byte| found | is_comma(byte))
}

fn is_folded(name: &HeaderName) -> bool {
    [AUTHORIZATION, ORIGIN, CONTENT_TYPE].contains(name)
        || OF_OBSERVERS.contains(&name.as_str())
        || OF_THE_MESSAGE.contains(&name.as_str())
}

/// Whether the header has one value at most, which then stands in one line.
fn fold_one(headers: &mut HeaderMap, name: &HeaderName) -> bool {
    let mut lines = headers.get_all(name).iter();
    let Some(first) = lines.next() else {
        return true;
    };
    let of_the_message = OF_THE_MESSAGE.contains(&name.as_str());
    let is_odd = first.as_bytes().contains(&b',') || (of_the_message && first.is_empty());
    if lines.next().is_none() && !is_odd {
        return true;
    }
    let lines = headers.get_all(name).iter();
    let values = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    // Empty elements of a list say nothing (RFC 9110 section 5.6.1).
    let mut values = values
        .map(<[u8]>::trim_ascii)
        .filter(|value| !(of_the_message && value.is_empty()));
    let one = values.next().unwrap_or_default();
    if of_the_message && one.is_empty() {
        headers.remove(name);
        return true;
    }
    if one.is_empty() || !values.all(|other| other == one) {
        // One line with a comma in it may be one strange value.
        return headers.get_all(name).iter().count() == 1
            && !OF_THE_MESSAGE[..1].contains(&name.as_str());
    }
    let Ok(mut one) = HeaderValue::from_bytes(one) else {
        return false;
    };
    one.set_sensitive(*name == AUTHORIZATION);
    headers.insert(name, one);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_twice_is_the_same_once() {
        let others = ["authorization", "origin", "content-type"];
        let names = OF_THE_MESSAGE.into_iter().chain(OF_OBSERVERS);
        for name in names.chain(others) {
            let name = HeaderName::from_static(name);
            let headers = |lines: &[&'static str]| -> HeaderMap {
                let lines = lines.iter().map(|line| HeaderValue::from_static(line));
                lines.map(|line| (name.clone(), line)).collect()
            };
            for lines in [
                &["a b"][..],
                &["a b", "a b"],
                &["a b, a b"],
                &["a b,a b ", "a b"],
            ] {
                let mut same = headers(lines);
                assert_eq!(fold(&mut same), None, "{name} {lines:?}");
                let folded: Vec<_> = same.get_all(&name).iter().collect();
                assert_eq!(folded, ["a b"], "{name} {lines:?}");
            }
            let mut different = headers(&["a", "b"]);
            let contradicted = fold(&mut different).is_some();
            assert_eq!(
                contradicted,
                OF_THE_MESSAGE.contains(&name.as_str()),
                "{name}"
            );
            let kept = different.get_all(&name).iter().count();
            let expected = if OF_OBSERVERS.contains(&name.as_str()) {
                0
            } else {
                2
            };
            assert_eq!(kept, expected, "{name}");
        }
        let version = |line| {
            [(
                HeaderName::from_static("mcp-protocol-version"),
                HeaderValue::from_static(line),
            )]
        };
        for (line, said) in [
            ("2025-11-25,", Some("2025-11-25")),
            (", 2025-11-25", Some("2025-11-25")),
            ("", None),
            (",", None),
        ] {
            let mut odd = HeaderMap::from_iter(version(line));
            assert_eq!(fold(&mut odd), None, "{line}");
            let left = odd
                .get("mcp-protocol-version")
                .map(|value| value.to_str().unwrap());
            assert_eq!(left, said, "{line}");
        }
        let mut two = HeaderMap::from_iter(version("2025-11-25, 2025-06-18"));
        assert_eq!(fold(&mut two), Some("mcp-protocol-version"));
    }
}
