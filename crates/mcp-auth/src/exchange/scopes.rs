//! Whether an issuer grants what was asked for.

use serde_json::Value;

/// Stands for whatever was consented to (Entra), and is in no answer.
const DEFAULT: &str = "/.default";

/// The scopes that were asked for and are not in the `scope` of an answer, which is there where they are
/// not the same (RFC 6749 section 5.1).
pub(super) fn missing(asked: &[String], granted: &Value) -> Vec<String> {
    let granted: Vec<&str> = match granted {
        Value::String(text) => text.split_ascii_whitespace().collect(),
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    // Then nothing was said.
    if granted.is_empty() {
        return Vec::new();
    }
    let asked = asked.iter().filter(|scope| !scope.ends_with(DEFAULT));
    let missing = asked.filter(|scope| !granted.contains(&scope.as_str()));
    missing.cloned().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_asked_for_and_not_granted_is_missing() {
        let missing = |asked: &[&str], granted| {
            let asked: Vec<_> = asked.iter().map(|&scope| scope.to_owned()).collect();
            missing(&asked, &granted)
        };
        let both = ["read", "write"];
        assert_eq!(missing(&both, json!("read openid")), ["write"]);
        assert_eq!(missing(&both, json!(["write"])), ["read"]);
        assert_eq!(missing(&both, json!("READ write")), ["read"]);
        for all in [
            json!(null),
            json!(""),
            json!(7),
            json!([]),
            json!("write read more"),
        ] {
            assert!(missing(&both, all.clone()).is_empty(), "{all}");
        }
        let default = ["api://x/.default"];
        assert!(missing(&default, json!("api://x/read")).is_empty());
        assert!(missing(&[], json!("read")).is_empty());
    }
}
