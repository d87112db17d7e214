//! Fields of answers as issuers write them: a number as text, a list for words, null for nothing.
//! What nobody reads may be anything.

use secrecy::SecretString;
use serde_json::Value;
use serde_json::value::RawValue;
use std::time::Duration;
use zeroize::Zeroizing;

/// Whole seconds, from a number or its text.
pub(crate) fn seconds(value: &Value) -> Option<u64> {
    let number = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    let time = Duration::try_from_secs_f64(number).ok()?;
    Some(time.as_secs())
}

/// Words, from a text or a list of texts.
pub(crate) fn words(value: &Value) -> Option<Vec<String>> {
    let split = |text: &str| text.split_whitespace().map(str::to_owned).collect();
    match value {
        Value::String(text) => Some(split(text)),
        Value::Array(items) => Some(
            items
                .iter()
                .filter_map(Value::as_str)
                .flat_map(split)
                .collect(),
        ),
        _ => None,
    }
}

/// A text that is not empty.
pub(crate) fn text<'a>(document: &'a Value, name: &str) -> Option<&'a str> {
    let text = document.get(name)?.as_str()?.trim();
    (!text.is_empty()).then_some(text)
}

/// A text that is not empty, or a whole number in its place: ids and codes as some issuers count them.
pub(crate) fn id(document: &Value, name: &str) -> Option<String> {
    match document.get(name)? {
        Value::Number(number) if !number.is_f64() => Some(number.to_string()),
        _ => text(document, name).map(str::to_owned),
    }
}

/// A secret text that is not empty and can travel in a header. No copy of it is left behind.
pub(crate) fn secret(raw: Option<&RawValue>) -> Option<SecretString> {
    let text = Zeroizing::new(serde_json::from_str::<String>(raw?.get()).ok()?);
    let text = text.trim();
    let legal = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    legal.then(|| SecretString::from(text))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_number_may_be_a_text() {
        let cases = [
            (json!(5), Some(5)),
            (json!("5"), Some(5)),
            (json!(" 5 "), Some(5)),
            (json!(5.0), Some(5)),
            (json!("5.0"), Some(5)),
            (json!(3_599.9), Some(3_599)),
            (json!(0), Some(0)),
            (json!(-1), None),
            (json!("-1"), None),
            (json!(""), None),
            (json!("soon"), None),
            (json!("NaN"), None),
            (json!(1e300), None),
            (json!(null), None),
            (json!(true), None),
            (json!([5]), None),
        ];
        for (value, expected) in cases {
            assert_eq!(seconds(&value), expected, "{value}");
        }
    }

    #[test]
    fn an_id_may_be_a_number() {
        let cases = [
            (json!("a"), Some("a")),
            (json!(" a "), Some("a")),
            (json!(4711), Some("4711")),
            (json!(12.5), None),
            (json!(""), None),
            (json!(null), None),
            (json!(true), None),
            (json!(["a"]), None),
        ];
        for (value, expected) in cases {
            let found = id(&json!({ "it": value }), "it");
            assert_eq!(found.as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn scopes_may_be_a_list() {
        let both = Some(vec!["a".to_owned(), "b".to_owned()]);
        assert_eq!(words(&json!("a b")), both);
        assert_eq!(words(&json!(["a", 7, "b"])), both);
        for nothing in [json!(null), json!(7), json!({})] {
            assert_eq!(words(&nothing), None, "{nothing}");
        }
    }
}
