//! JSON values as YAML that people read: block style, and quotes around every text, so that no text
//! is taken for a number or a truth value.

use serde_json::Value;

/// A document; ends with a newline.
pub(crate) fn document(value: &Value) -> String {
    let mut text = String::new();
    write(value, 0, &mut text);
    text
}

fn write(value: &Value, depth: usize, out: &mut String) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                indent(depth, out);
                out.push_str(name);
                out.push(':');
                child(value, depth, out);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                let mut text = String::new();
                write(item, depth + 1, &mut text);
                indent(depth, out);
                out.push_str("- ");
                out.push_str(text.trim_start());
            }
        }
        scalar => {
            // JSON's quoting is YAML's double-quoted style.
            out.push_str(&scalar.to_string());
            out.push('\n');
        }
    }
}

/// What follows a name and its colon.
fn child(value: &Value, depth: usize, out: &mut String) {
    let nested = match value {
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    };
    if nested {
        out.push('\n');
        write(value, depth + 1, out);
    } else {
        out.push(' ');
        write(value, 0, out);
    }
}

fn indent(depth: usize, out: &mut String) {
    out.extend(std::iter::repeat_n("  ", depth));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn texts_stay_texts_and_lists_stay_below_their_names() {
        let value =
            json!({ "a": { "b": [{ "c": "1", "d": { "e": 2 } }, "yes"] }, "f": [], "g": {} });
        let text =
            "a:\n  b:\n    - c: \"1\"\n      d:\n        e: 2\n    - \"yes\"\nf: []\ng: {}\n";
        assert_eq!(document(&value), text);
    }
}
