//! What would change: a rendered document against the one that is live.

use std::collections::BTreeMap;

use serde_json::Value;

/// One line per difference; empty when there is none. What the platform adds on its own is no
/// difference, except for the server's variables.
pub(crate) fn changes(live: &Value, wanted: &Value) -> Vec<String> {
    let live = flat(live);
    let wanted = flat(wanted);
    let mut lines = Vec::new();
    for (path, value) in &wanted {
        match live.get(path) {
            None => lines.push(format!("+ {path} = {value}")),
            Some(old) if old != value => lines.push(format!("~ {path} = {value} (was {old})")),
            Some(_) => {}
        }
    }
    for (path, value) in &live {
        if path.contains(".env.") && !wanted.contains_key(path) {
            lines.push(format!("- {path} = {value}"));
        }
    }
    lines
}

fn flat(value: &Value) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    walk(value, String::new(), &mut found);
    found
}

fn walk(value: &Value, path: String, found: &mut BTreeMap<String, String>) {
    let below = |name: &str| match path.as_str() {
        "" => name.to_owned(),
        path => format!("{path}.{name}"),
    };
    match value {
        Value::Object(fields) => {
            for (name, value) in fields.iter().filter(|(name, _)| *name != "status") {
                walk(value, below(name), found);
            }
        }
        Value::Array(items) => {
            for (number, item) in items.iter().enumerate() {
                // Variables and containers are known by their names, not by their places.
                let name = item.get("name").and_then(Value::as_str);
                let name = name.map_or_else(|| number.to_string(), str::to_owned);
                walk(item, below(&name), found);
            }
        }
        Value::String(text) => drop(found.insert(path, text.clone())),
        scalar => drop(found.insert(path, scalar.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn variables_are_compared_by_name_and_additions_of_the_platform_are_ignored() {
        let env = |name: &str, value: &str| json!({ "name": name, "value": value });
        let live = json!({
            "spec": { "env": [env("B", "1"), env("A", "1")], "added": true },
            "status": { "url": "x" },
        });
        let wanted = json!({ "spec": { "env": [env("A", "2"), env("C", "3")], "timeout": 300 } });
        assert_eq!(
            changes(&live, &wanted),
            [
                "~ spec.env.A.value = 2 (was 1)",
                "+ spec.env.C.name = C",
                "+ spec.env.C.value = 3",
                "+ spec.timeout = 300",
                "- spec.env.B.name = B",
                "- spec.env.B.value = 1",
            ]
        );
        assert!(changes(&wanted, &wanted).is_empty());
    }
}
