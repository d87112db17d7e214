//! Whether a structured answer is what its tool's `outputSchema` says.

use serde_json::Value;

/// Where and how `value` differs from `schema`; `None` when it does not.
///
/// Knows the part of JSON Schema that tools use. A keyword it does not know is a difference too:
/// nothing passes because it was not looked at.
#[must_use]
pub fn nonconformity(value: &Value, schema: &Value) -> Option<String> {
    differs(value, schema, "$")
}

fn differs(value: &Value, schema: &Value, at: &str) -> Option<String> {
    let Some(keywords) = schema.as_object() else {
        return (schema != true).then(|| format!("{at}: the schema is {schema}"));
    };
    if let Some(rule) = keywords.get("type")
        && !is_of_type(value, rule)
    {
        return Some(format!("{at}: {value} is no {rule}"));
    }
    keywords
        .iter()
        .find_map(|(keyword, rule)| match keyword.as_str() {
            "enum" => {
                let known = rule.as_array().is_some_and(|all| all.contains(value));
                (!known).then(|| format!("{at}: {value} is none of {rule}"))
            }
            "required" => missing(value, rule, at),
            "properties" => each_property(value, rule, at),
            "additionalProperties" if rule == false => additional(value, schema, at),
            "items" => (0..)
                .zip(value.as_array().into_iter().flatten())
                .find_map(|(index, item): (u32, _)| differs(item, rule, &format!("{at}[{index}]"))),
            "type" | "additionalProperties" | "description" | "title" => None,
            unknown => Some(format!("{at}: unknown keyword {unknown}")),
        })
}

fn is_of_type(value: &Value, rule: &Value) -> bool {
    let is = |name: &Value| match name.as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_u64() || value.is_i64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some("null") => value.is_null(),
        _ => false,
    };
    match rule {
        Value::Array(names) => names.iter().any(is),
        name => is(name),
    }
}

fn missing(value: &Value, names: &Value, at: &str) -> Option<String> {
    let names = names.as_array().into_iter().flatten();
    let mut absent = names.filter(|name| value.get(name.as_str().unwrap_or_default()).is_none());
    absent.next().map(|name| format!("{at} lacks {name}"))
}

fn each_property(value: &Value, properties: &Value, at: &str) -> Option<String> {
    let fields = value.as_object().into_iter().flatten();
    fields.into_iter().find_map(|(name, field)| {
        let rule = properties.get(name)?;
        differs(field, rule, &format!("{at}.{name}"))
    })
}

fn additional(value: &Value, schema: &Value, at: &str) -> Option<String> {
    let mut names = value.as_object().into_iter().flat_map(|map| map.keys());
    let unknown = names.find(|name| {
        schema
            .get("properties")
            .is_none_or(|all| all.get(name.as_str()).is_none())
    });
    unknown.map(|name| format!("{at} has {name} besides"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn differences_are_found_and_named() {
        let schema = json!({
            "type": "object", "required": ["tasks"],
            "properties": {"tasks": {"type": "array", "items": {
                "type": "object", "properties": {"n": {"type": "integer"}}
            }}},
        });
        assert_eq!(
            nonconformity(&json!({"tasks": [{"n": 1, "m": null}]}), &schema),
            None
        );
        for (value, at) in [
            (json!([]), "$: [] is no"),
            (json!({}), "$ lacks \"tasks\""),
            (json!({"tasks": [{"n": 1}, {"n": "1"}]}), "$.tasks[1].n"),
        ] {
            let difference = nonconformity(&value, &schema).unwrap_or_default();
            assert!(difference.starts_with(at), "{difference}");
        }
        let closed = json!({"additionalProperties": false, "properties": {"a": {}}});
        assert!(nonconformity(&json!({"b": 1}), &closed).is_some());
        assert!(nonconformity(&json!(1), &json!({"maximum": 0})).is_some());
    }
}
