//! The organization a token names: where issuers keep it, and in which shapes.

use serde_json::{Map, Value};

/// The organization at `path`: the name of a claim, or names with dots between them for what lies
/// inside (`o.id`). A name may hold dots itself; the longest name that exists counts.
///
/// An empty value, the placeholder `default` and a choice of several name none.
pub fn organization_at(claims: &Map<String, Value>, path: &str) -> Option<String> {
    let name = name_of(claim_at(claims, path)?)?;
    Some(name).filter(|name| !name.trim().is_empty() && name != "default")
}

/// The claim at a `path` as [`organization_at`] has it, unless it is `null`.
pub fn claim_at<'c>(claims: &'c Map<String, Value>, path: &str) -> Option<&'c Value> {
    let here = claims.get(path).filter(|value| !value.is_null());
    here.or_else(|| {
        let mut dots = path.rmatch_indices('.');
        dots.find_map(|(at, _)| {
            let (name, rest) = (path.get(..at)?, path.get(at + 1..)?);
            claim_at(inside(claims.get(name)?)?, rest)
        })
    })
}

fn inside(value: &Value) -> Option<&Map<String, Value>> {
    match value {
        Value::Object(map) => Some(map),
        Value::Array(list) => match list.as_slice() {
            [one] => one.as_object(),
            _ => None,
        },
        _ => None,
    }
}

/// A text or a whole number; a list that names one, however often; an object by its `id` (Clerk), or with one member that
/// is an object, whose `id` counts if it has one, else the member's name (Keycloak).
fn name_of(value: &Value) -> Option<String> {
    match value {
        Value::Array(list) => {
            let mut names = list.iter().filter(|one| !one.is_null()).map(name_of);
            let first = names.next()??;
            let same = names.all(|name| name.as_deref() == Some(&*first));
            same.then_some(first)
        }
        Value::Object(map) => match map.get("id").and_then(word) {
            Some(id) => Some(id),
            None if map.len() == 1 => {
                let (name, about) = map.iter().next()?;
                let about = about.as_object()?;
                about
                    .get("id")
                    .and_then(word)
                    .or_else(|| Some(name.clone()))
            }
            None => None,
        },
        other => word(other),
    }
}

/// A text, or a whole number as its text; what is neither is none.
pub fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            None => Some(number.to_string()),
            // Beyond this a float is no longer what the issuer wrote.
            Some(float) if float.fract() == 0.0 && float.abs() < 1e15 => {
                Some(format!("{float:.0}"))
            }
            Some(_) => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_organization_is_found_where_issuers_keep_it() {
        for (claims, path, expected) in [
            (json!({"org_id": "a"}), "org_id", Some("a")),
            (json!({"org_id": 7}), "org_id", Some("7")),
            (json!({"org_id": 7.0}), "org_id", Some("7")),
            (json!({"org_id": 7.5}), "org_id", None),
            (json!({"org_id": "  "}), "org_id", None),
            (json!({"org_id": ""}), "org_id", None),
            (json!({"org_id": "default"}), "org_id", None),
            (json!({"org_id": null}), "org_id", None),
            (json!({"org_id": true}), "org_id", None),
            (json!({}), "org_id", None),
            // Wrapped, but not ambiguous.
            (json!({"o": ["acme"]}), "o", Some("acme")),
            (json!({"o": ["acme", "other"]}), "o", None),
            (json!({"o": ["acme", null, "acme"]}), "o", Some("acme")),
            (json!({"o": ["acme", {}]}), "o", None),
            (json!({"o": [null]}), "o", None),
            (
                json!({"o": [{"id": "a", "rol": 1}, {"id": "a", "rol": 2}]}),
                "o",
                Some("a"),
            ),
            (json!({"o": []}), "o", None),
            (json!({"o": {"acme": {}}}), "o", Some("acme")),
            (json!({"o": {"acme": {"id": "42"}}}), "o", Some("42")),
            (json!({"o": {"acme": {}, "other": {}}}), "o", None),
            (json!({"o": {"id": {"id": "42"}}}), "o", Some("42")),
            (json!({"o": {"name": "acme"}}), "o", None),
            (json!({"o": [{"id": "a", "name": "Acme"}]}), "o", Some("a")),
            // Clerk's second version, and paths in general.
            (
                json!({"o": {"id": "org_1", "rol": "admin", "slg": "acme"}}),
                "o",
                Some("org_1"),
            ),
            (
                json!({"o": {"id": "org_1", "rol": "admin"}}),
                "o.id",
                Some("org_1"),
            ),
            (json!({"o": {"id": "default"}}), "o.id", None),
            (json!({"o": "org_1"}), "o.id", None),
            (json!({"o": {}}), "o.id", None),
            (
                json!({"ext": {"tenant": {"key": "t"}}}),
                "ext.tenant.key",
                Some("t"),
            ),
            (json!({"orgs": [{"id": "a"}]}), "orgs.id", Some("a")),
            (json!({"orgs": [{"id": "a"}, {"id": "b"}]}), "orgs.id", None),
            (
                json!({"o.id": "flat", "o": {"id": "deep"}}),
                "o.id",
                Some("flat"),
            ),
            (
                json!({"o.id": null, "o": {"id": "deep"}}),
                "o.id",
                Some("deep"),
            ),
            (
                json!({"https://stytch.com/organization": {"organization_id": "s"}}),
                "https://stytch.com/organization.organization_id",
                Some("s"),
            ),
            (
                json!({"https://acme.test/org": "u"}),
                "https://acme.test/org",
                Some("u"),
            ),
            (json!({"a": {"b.c": "x"}}), "a.b.c", Some("x")),
            (json!({"a": "x"}), ".a", None),
            (json!({"a": "x"}), "a.", None),
        ] {
            let Value::Object(map) = &claims else {
                panic!()
            };
            assert_eq!(
                organization_at(map, path).as_deref(),
                expected,
                "{path} of {claims}"
            );
        }
    }
}
