//! A first look at the body of a request: what it asks for, before anything acts on it.

use std::borrow::Cow;

use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;

/// What a request asks for, read from its body.
///
/// Not from the `Mcp-Method` and `Mcp-Name` headers: older revisions do not compare them with the
/// body, so a client could announce one tool and call another.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct RequestPreview<'a> {
    /// JSON-RPC method; empty for a response.
    pub method: Cow<'a, str>,
    /// `params.name` of a `tools/call`.
    pub tool: Option<Cow<'a, str>>,
    /// Whether the message expects an answer.
    pub is_request: bool,
    /// Protocol version in the message's own `_meta` (2026-07-28 and later).
    pub protocol_version: Option<Cow<'a, str>>,
    /// `traceparent` in the message's own `_meta` (W3C Trace Context).
    pub(crate) traceparent: Option<Cow<'a, str>>,
    /// JSON-RPC id as it was sent, for error answers.
    pub(crate) id: Option<&'a RawValue>,
    /// `params` as they were sent.
    pub(crate) params: Option<&'a RawValue>,
    /// What no method has.
    pub(crate) strange: Option<Strange>,
    /// Whether it has parts of a response, too.
    pub(crate) is_mixed: bool,
}

/// What is in the parameters of a message, and fits no method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strange {
    /// `params`, or their `_meta`, that are no object.
    Params,
    /// A list's cursor that is no text, which the SDK would not see.
    Cursor,
}

/// Why a body is no message for this endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PreviewError {
    /// Not JSON.
    Parse,
    /// JSON, but no JSON-RPC 2.0 message.
    Invalid,
    /// A JSON-RPC batch.
    Batch,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    jsonrpc: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    error: Option<&'a RawValue>,
}

/// Raw, so that a strange `_meta` does not hide a `name`.
#[derive(Deserialize, Default)]
struct Params<'a> {
    #[serde(borrow, default)]
    name: Option<&'a RawValue>,
    #[serde(borrow, rename = "_meta", default)]
    meta: Option<&'a RawValue>,
    #[serde(borrow, default)]
    cursor: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
struct Meta<'a> {
    #[serde(borrow, rename = "io.modelcontextprotocol/protocolVersion", default)]
    protocol_version: Option<Cow<'a, str>>,
    /// Raw, so that a strange one does not hide the version.
    #[serde(borrow, default)]
    traceparent: Option<&'a RawValue>,
}

/// Tells what is absent from what is there and null.
pub(crate) fn present<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// JSON-RPC ids: MCP allows strings and integers, never null.
fn is_usable_id(id: &RawValue) -> bool {
    match id.get().as_bytes() {
        [b'"', ..] => true,
        [b'-' | b'0'..=b'9', rest @ ..] => !rest.iter().any(|b| matches!(b, b'.' | b'e' | b'E')),
        _ => false,
    }
}

/// The id of what is no message otherwise, where it has a usable one.
pub(crate) fn id_in(body: &[u8]) -> Option<&RawValue> {
    #[derive(Deserialize)]
    struct Identified<'a> {
        #[serde(borrow)]
        id: &'a RawValue,
    }
    let identified: Identified<'_> = serde_json::from_slice(body).ok()?;
    Some(identified.id).filter(|id| is_usable_id(id))
}

impl<'a> RequestPreview<'a> {
    /// The preview of a body, as a scope rule gets it; `None` for what is no message.
    pub fn of(body: &'a [u8]) -> Option<Self> {
        Self::parse(body).ok()
    }

    /// Whether nobody waits for an answer to it.
    pub(crate) fn is_notification(&self) -> bool {
        self.id.is_none() && !self.method.is_empty()
    }

    /// Reads what the gate needs to know; who answers decodes the rest.
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, PreviewError> {
        match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
            Some(b'{') => {}
            Some(b'[') if serde_json::from_slice::<IgnoredAny>(body).is_ok() => {
                return Err(PreviewError::Batch);
            }
            _ if serde_json::from_slice::<IgnoredAny>(body).is_ok() => {
                return Err(PreviewError::Invalid);
            }
            _ => return Err(PreviewError::Parse),
        }
        let message: Message<'a> = serde_json::from_slice(body).map_err(classify)?;
        let id_fits = message.id.is_none_or(is_usable_id);
        if message.jsonrpc.as_deref() != Some("2.0") || !id_fits {
            return Err(PreviewError::Invalid);
        }
        let is_request = message.method.is_some() && message.id.is_some();
        let raw_params = message.params;
        let params = params(raw_params)?;
        let method = message.method.unwrap_or_default();
        let begins = |value: Option<&RawValue>, with| {
            value.is_none_or(|value| value.get().starts_with(with))
        };
        let strange = if !begins(raw_params, '{') || !begins(params.meta, '{') {
            Some(Strange::Params)
        } else if method.ends_with("/list") && !begins(params.cursor, '"') {
            Some(Strange::Cursor)
        } else {
            None
        };
        let tool = params.name.filter(|_| method == "tools/call");
        let tool = tool.and_then(|name| serde_json::from_str(name.get()).ok());
        let meta: Option<Meta<'a>> = params
            .meta
            .and_then(|meta| serde_json::from_str(meta.get()).ok());
        let traceparent = meta.as_ref().and_then(|meta| meta.traceparent);
        let traceparent = traceparent.and_then(|text| serde_json::from_str(text.get()).ok());
        let protocol_version = meta.and_then(|meta| meta.protocol_version);
        Ok(Self {
            method,
            tool,
            is_request,
            protocol_version,
            traceparent,
            id: message.id,
            params: raw_params,
            strange,
            is_mixed: message.result.is_some() || message.error.is_some(),
        })
    }
}

/// What stands in `params`. Another shape is for the SDK to refuse, with the method in hand; an
/// object that names a thing twice is refused here, for the SDK might read the other one.
fn params(raw: Option<&RawValue>) -> Result<Params<'_>, PreviewError> {
    match raw.map(RawValue::get) {
        Some(object) if object.starts_with('{') => {
            serde_json::from_str(object).map_err(|_| PreviewError::Invalid)
        }
        _ => Ok(Params::default()),
    }
}

fn classify(error: serde_json::Error) -> PreviewError {
    if error.is_data() {
        PreviewError::Invalid
    } else {
        PreviewError::Parse
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<RequestPreview<'_>, PreviewError> {
        RequestPreview::parse(body.as_bytes())
    }

    #[test]
    fn a_tool_call_shows_its_tool_and_version() {
        let preview = parse(
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x\u0041",
               "_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#,
        )
        .unwrap();
        assert_eq!(preview.method, "tools/call");
        assert_eq!(preview.tool.as_deref(), Some("xA"));
        assert_eq!(preview.protocol_version.as_deref(), Some("2026-07-28"));
        assert!(preview.is_request);
    }

    #[test]
    fn other_methods_name_no_tool() {
        let preview =
            parse(r#"{"jsonrpc":"2.0","id":"a","method":"prompts/get","params":{"name":"p"}}"#);
        assert_eq!(preview.unwrap().tool, None);
        let notification =
            parse(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).unwrap();
        assert!(!notification.is_request);
    }

    #[test]
    fn strange_params_are_left_to_the_sdk() {
        for params in ["[]", "7", "null", r#"{"name":7}"#, r#"{"_meta":[]}"#] {
            let body =
                format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#);
            assert_eq!(parse(&body).unwrap().tool, None, "{params}");
        }
    }

    #[test]
    fn nothing_hides_the_name_of_a_tool() {
        let call = |params: &str| {
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#)
        };
        for meta in [
            "[]",
            "7",
            r#"{"io.modelcontextprotocol/protocolVersion":7}"#,
        ] {
            let body = call(&format!(r#"{{"name":"x","_meta":{meta}}}"#));
            assert_eq!(parse(&body).unwrap().tool.as_deref(), Some("x"), "{meta}");
        }
        for twice in [
            r#"{"name":"x","name":"y"}"#,
            r#"{"name":"x","n\u0061me":"y"}"#,
        ] {
            assert_eq!(
                parse(&call(twice)).err(),
                Some(PreviewError::Invalid),
                "{twice}"
            );
        }
    }

    #[test]
    fn params_that_fit_no_method_are_seen() {
        for (params, list, call) in [
            ("{}", None, None),
            ("null", None, None),
            (r#"{"_meta":null,"cursor":null}"#, None, None),
            (r#"{"_meta":{},"cursor":"x"}"#, None, None),
            ("[]", Some(Strange::Params), Some(Strange::Params)),
            ("7", Some(Strange::Params), Some(Strange::Params)),
            (r#""x""#, Some(Strange::Params), Some(Strange::Params)),
            (
                r#"{"_meta":7}"#,
                Some(Strange::Params),
                Some(Strange::Params),
            ),
            (r#"{"cursor":7}"#, Some(Strange::Cursor), None),
            (r#"{"cursor":{}}"#, Some(Strange::Cursor), None),
        ] {
            for (method, expected) in [("tools/list", list), ("tools/call", call)] {
                let body =
                    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
                assert_eq!(parse(&body).unwrap().strange, expected, "{body}");
            }
        }
    }

    #[test]
    fn what_is_no_message_says_why() {
        for (body, expected) in [
            ("", PreviewError::Parse),
            ("{", PreviewError::Parse),
            ("\u{0}", PreviewError::Parse),
            ("[1,2]", PreviewError::Batch),
            (
                r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#,
                PreviewError::Batch,
            ),
            ("[", PreviewError::Parse),
            ("7", PreviewError::Invalid),
            ("{}", PreviewError::Invalid),
            (
                r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#,
                PreviewError::Invalid,
            ),
            (
                r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#,
                PreviewError::Invalid,
            ),
            (
                r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#,
                PreviewError::Invalid,
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":7}"#,
                PreviewError::Invalid,
            ),
        ] {
            assert_eq!(parse(body).err(), Some(expected), "{body}");
        }
    }
}
