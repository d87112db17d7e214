//! Reads what a body says of an error: its message, whether it says that nothing was done, and
//! whether it is BrainGrid's word at all.

use serde_json::{Map, Value};

use super::{
    decode::{DEPTH, without_mark},
    json::Json,
};

/// What an error body says, made fit to be shown: one line, limited, no control characters.
pub(crate) fn error_message(body: &[u8]) -> Option<String> {
    message_in(&serde_json::from_slice(without_mark(body)).ok()?)
}

/// The same of a body that was read.
pub(crate) fn message_in(body: &Value) -> Option<String> {
    let mut parts = Vec::new();
    collect_messages(body, &mut parts, 0);
    if parts.is_empty() {
        // Better than nothing: `{"error": {"code": "quota_exceeded"}}`.
        let codes = ["/error/code", "/error/type", "/code"].iter();
        parts.extend(
            codes
                .filter_map(|at| body.pointer(at).and_then(code))
                .take(1),
        );
    }
    parts.dedup();
    let text = parts.join("; ");
    let text: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let text: String = text.chars().filter(|c| !c.is_control()).take(300).collect();
    let text = text.trim_end_matches(['.', ' ']).to_owned();
    (!text.is_empty()).then_some(text)
}

fn code(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Where errors say what is wrong.
const MESSAGES: &[&str] = &[
    "message",
    "error",
    "error_description",
    "errorDescription",
    "error_message",
    "errorMessage",
    "detail",
    "details",
    "title",
    "errors",
];

/// `{message}`, `{error: "…"}`, `{error: {message}}`, `{errors: "…" | […] | {field: […]}}`.
fn collect_messages(value: &Value, parts: &mut Vec<String>, depth: usize) {
    if depth > DEPTH || parts.len() > 10 {
        return;
    }
    match value {
        Value::String(text) => parts.push(text.clone()),
        Value::Array(values) => values
            .iter()
            .for_each(|v| collect_messages(v, parts, depth + 1)),
        Value::Object(map) => {
            for &name in MESSAGES {
                match map.get(name) {
                    Some(Value::Object(fields)) if name == "errors" => {
                        by_field(fields, parts, depth);
                    }
                    Some(inner) => collect_messages(inner, parts, depth + 1),
                    None => {}
                }
            }
        }
        _ => {}
    }
}

fn by_field(fields: &Map<String, Value>, parts: &mut Vec<String>, depth: usize) {
    for (field, value) in fields {
        let mut found = Vec::new();
        collect_messages(value, &mut found, depth + 1);
        parts.extend(found.into_iter().map(|text| format!("{field}: {text}")));
    }
}

/// Whether a body is not JSON, and not the beginning of some either: a page, or a proxy's words.
/// What counts is the body: a content type may be wrong.
pub(crate) fn is_page(body: &[u8]) -> bool {
    let body = without_mark(body).trim_ascii();
    let opens = body.first().is_none_or(|first| b"{[\"".contains(first));
    !opens && serde_json::from_slice::<serde::de::IgnoredAny>(body).is_err()
}

/// What a body says of its own success, whatever its status says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing: it is a thing.
    Silent,
    /// It names an error, and may be a thing all the same.
    NamesError,
    /// `{success: false}`, `{ok: false}`, `{status: "error"}`.
    SaysNo,
}

pub(crate) fn verdict(body: &Json<'_>) -> Verdict {
    let Json::Object(body) = body else {
        return Verdict::Silent;
    };
    let no = |name| body.get(name) == Some(&Json::Bool(false));
    let failed = || {
        let failed = ["error", "fail", "failed", "failure"];
        let status = body.get("status").and_then(Json::as_str);
        // The status of a thing is its own affair.
        status.is_some_and(|status| failed.iter().any(|word| status.eq_ignore_ascii_case(word)))
            && body.get("id").is_none()
    };
    let error = |name| match body.get(name) {
        None | Some(Json::Null) => false,
        Some(Json::Bool(flag)) => *flag,
        Some(Json::String(text)) => !text.is_empty(),
        Some(Json::Array(all)) => !all.is_empty(),
        Some(Json::Object(all)) => all.names().next().is_some(),
        Some(Json::Number(_)) => true,
    };
    if no("success") || no("ok") || failed() {
        Verdict::SaysNo
    } else if error("error") || error("errors") {
        Verdict::NamesError
    } else {
        Verdict::Silent
    }
}

/// Whether this is how a gateway or a CDN words an error in JSON, which BrainGrid does not.
pub(crate) fn is_of_a_gateway(body: &[u8]) -> bool {
    // Of AWS, which says so also where only the path is wrong.
    const AWS: &[&str] = &[
        "Missing Authentication Token",
        "User is not authorized to access this resource",
        "Authorization header requires",
    ];
    let Ok(Value::Object(body)) = serde_json::from_slice(without_mark(body)) else {
        return false;
    };
    let message = body.get("message").or_else(|| body.get("Message"));
    let text = message.and_then(Value::as_str).unwrap_or_default();
    let of_aws = body.len() == 1 && AWS.iter().any(|words| text.starts_with(words));
    let codes = body.get("errors").and_then(Value::as_array);
    let numbered = codes.is_some_and(|all| {
        !all.is_empty()
            && all
                .iter()
                .all(|error| error.get("code").is_some_and(Value::is_u64))
    });
    let of_cloudflare = numbered && body.get("success") == Some(&Value::Bool(false));
    of_aws || of_cloudflare || body.get("cloudflare_error") == Some(&Value::Bool(true))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_form_of_error_gives_a_message() {
        for body in [
            r#"{"error": "bad name"}"#,
            r#"{"message": "bad name."}"#,
            r#"{"error": {"message": "bad\nname"}}"#,
            r#"{"errors": "bad name"}"#,
            r#"{"errors": ["bad name"]}"#,
            r#"{"errors": [{"message": "bad name"}]}"#,
        ] {
            assert_eq!(
                error_message(body.as_bytes()).as_deref(),
                Some("bad name"),
                "{body}"
            );
        }
        let fields = error_message(br#"{"errors": {"name": ["too short"]}}"#);
        assert_eq!(fields.as_deref(), Some("name: too short"));
        assert_eq!(error_message(b"<html>"), None);
    }

    #[test]
    fn code_of_an_error_stands_in_for_its_message() {
        for (body, said) in [
            (
                r#"{"error":{"code":"quota","message":"too much"}}"#,
                "too much",
            ),
            (r#"{"error":{"code":"quota"}}"#, "quota"),
            ("\u{feff}{\"error\":{\"code\":4}}", "4"),
            (r#"{"errorMessage":"too much","code":7}"#, "too much"),
            (
                r#"{"type":"about:blank","title":"Too much","status":403}"#,
                "Too much",
            ),
        ] {
            assert_eq!(
                error_message(body.as_bytes()).as_deref(),
                Some(said),
                "{body}"
            );
        }
    }

    #[test]
    fn errors_are_found_whatever_the_status() {
        for (body, said) in [
            (json!({"error": "x"}), Verdict::NamesError),
            (json!({"error": {"code": 1}}), Verdict::NamesError),
            (json!({"errors": ["x"]}), Verdict::NamesError),
            (
                json!({"id": 1, "status": "error", "error": 7}),
                Verdict::NamesError,
            ),
            (json!({"success": false}), Verdict::SaysNo),
            (json!({"ok": false, "error": "x"}), Verdict::SaysNo),
            (json!({"status": "Error"}), Verdict::SaysNo),
            (json!({"error": null}), Verdict::Silent),
            (json!({"errors": []}), Verdict::Silent),
            (json!({"error": false}), Verdict::Silent),
            (json!({"success": true}), Verdict::Silent),
            (json!({"status": "PLANNED"}), Verdict::Silent),
            (json!({"id": 1, "status": "failed"}), Verdict::Silent),
            (json!(["error"]), Verdict::Silent),
            (json!("error"), Verdict::Silent),
        ] {
            assert_eq!(verdict(&body.clone().into()), said, "{body}");
        }
    }
}
