//! What must hold for any input, for the fuzz targets and for the replay of their seeds.

use std::time::Duration;

use bytes::Bytes;
use http::header::WWW_AUTHENTICATE;
use mcp_auth::{AuthError, ForbiddenReason, InvalidReason};
use serde_json::Value;

use crate::{batch, challenge::Challenger, preview::RequestPreview};

/// Whatever a challenge is made of, it is read back as exactly one challenge with the parameters
/// that were meant. The lines of the input are the metadata URL and scopes.
pub fn challenge(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.split('\n').map(str::to_owned);
    let metadata_url = lines.next().unwrap_or_default();
    let scopes: Vec<String> = lines.collect();
    let challenger = Challenger::new(metadata_url, &scopes);
    let errors = [
        AuthError::NoToken,
        AuthError::InvalidRequest("more than one Authorization header was sent"),
        InvalidReason::Signature.into(),
        AuthError::Forbidden(ForbiddenReason::NoOrganization),
    ];
    let mut responses: Vec<_> = errors
        .iter()
        .map(|error| challenger.refuse(error, None))
        .collect();
    responses.push(challenger.insufficient_scope(&scopes, None));
    for response in &responses {
        let mut values = response.headers().get_all(WWW_AUTHENTICATE).iter();
        let value = values
            .next()
            .map(|value| value.to_str().unwrap_or_default());
        assert!(values.next().is_none(), "one header");
        let names = one_challenge(value.unwrap_or_default());
        let names = names.unwrap_or_default();
        assert_eq!(names.last(), Some(&"resource_metadata"), "{value:?}");
        let known = ["error", "error_description", "scope", "resource_metadata"];
        assert!(names.iter().all(|name| known.contains(name)), "{value:?}");
    }
    let away = AuthError::Unavailable {
        reason: mcp_auth::UnavailableReason::Keys,
        retry_after: Duration::from_secs(1),
    };
    assert!(
        !challenger
            .refuse(&away, None)
            .headers()
            .contains_key(WWW_AUTHENTICATE)
    );
}

/// The parameter names of one `Bearer` challenge (RFC 9110 section 11.6.1), strictly: one blank
/// after the scheme, quoted strings without escapes, no name twice.
fn one_challenge(value: &str) -> Option<Vec<&str>> {
    let mut rest = value.strip_prefix("Bearer ")?;
    let mut names = Vec::new();
    loop {
        let (name, after) = rest.split_once("=\"")?;
        let token = |b: u8| b.is_ascii_lowercase() || b == b'_';
        if name.is_empty() || !name.bytes().all(token) || names.contains(&name) {
            return None;
        }
        let (value, after) = after.split_once('"')?;
        // RFC 6750 section 3: neither quote nor backslash, nothing beyond visible ASCII.
        if !value
            .bytes()
            .all(|b| matches!(b, b' '..=b'~') && b != b'\\')
        {
            return None;
        }
        names.push(name);
        if after.is_empty() {
            return Some(names);
        }
        rest = after.strip_prefix(", ")?;
    }
}

/// What the gate reads from a body is what any other reader of it would find there.
pub fn preview(data: &[u8]) {
    if let Some(messages) = batch::split(&Bytes::copy_from_slice(data)) {
        assert!(
            !messages.is_empty() && messages.iter().map(Bytes::len).sum::<usize>() < data.len()
        );
    }
    let Ok(preview) = RequestPreview::parse(data) else {
        return;
    };
    // Deeper than the SDK's parser goes: it refuses, nothing runs.
    let Ok(Value::Object(message)) = serde_json::from_slice(data) else {
        return;
    };
    assert_eq!(message.get("jsonrpc").and_then(Value::as_str), Some("2.0"));
    let method = message.get("method").and_then(Value::as_str);
    assert_eq!(preview.method, method.unwrap_or_default());
    let name = message.get("params").and_then(|params| params.get("name"));
    let tool = name
        .and_then(Value::as_str)
        .filter(|_| method == Some("tools/call"));
    assert_eq!(
        preview.tool.as_deref(),
        tool,
        "the scope of another tool would be asked for"
    );
    assert_eq!(
        preview.is_request,
        method.is_some() && message.contains_key("id")
    );
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    fn replay(target: &str, check: fn(&[u8])) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../fuzz/seeds")
            .join(target);
        let mut seeds = 0;
        for file in fs::read_dir(folder).unwrap() {
            check(&fs::read(file.unwrap().path()).unwrap());
            seeds += 1;
        }
        assert!(seeds > 0, "{target} has no seeds");
    }

    #[test]
    fn challenges_of_the_fuzz_seeds_parse_back_as_one() {
        replay("challenge", challenge);
    }

    #[test]
    fn bodies_of_the_fuzz_seeds_are_seen_as_they_are() {
        replay("preview", preview);
    }

    #[test]
    fn the_strict_parser_is_strict() {
        assert_eq!(
            one_challenge("Bearer a=\"b\", c=\"\""),
            Some(vec!["a", "c"])
        );
        for wrong in [
            "",
            "Bearer",
            "Bearer ",
            "bearer a=\"b\"",
            "Bearer a=b",
            "Bearer a=\"b\" c=\"d\"",
            "Bearer a=\"b\", a=\"c\"",
            "Bearer a=\"b\", Basic",
            "Bearer a=\"b\\\"\"",
            "Bearer a=\"b",
        ] {
            assert_eq!(one_challenge(wrong), None, "{wrong}");
        }
    }
}
