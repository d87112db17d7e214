//! Finding things by UUID or short id, and cutting lists into pages.

use serde_json::{Map, Value, json};

use super::state::ErrorResponse;

/// A JSON object with `id` and `short_id`.
pub(super) type Fields = Map<String, Value>;

/// Whether `asked` names the thing: UUID or short id, in any case.
pub(super) fn is_named(fields: &Fields, asked: &str) -> bool {
    ["id", "short_id"].iter().any(|field| {
        let known = fields.get(*field).and_then(Value::as_str);
        known.is_some_and(|known| known.eq_ignore_ascii_case(asked))
    })
}

/// One page of a list, in the envelope we assume: `{<name>: [...], pagination: {...}}`.
pub(super) fn page(name: &str, all: &[Value], query: &Query) -> Value {
    let limit = query.number("limit").unwrap_or(20).clamp(1, 100);
    let page = query.number("page").unwrap_or(1).max(1);
    let shown: Vec<_> = all
        .iter()
        .skip((page - 1) * limit)
        .take(limit)
        .cloned()
        .collect();
    json!({
        name: shown,
        "pagination": {
            "page": page, "limit": limit, "total": all.len(),
            "has_more": page * limit < all.len(),
        },
    })
}

/// Keeps what has the `status` the query asks for, if it asks.
pub(super) fn of_status(all: Vec<Value>, query: &Query) -> Vec<Value> {
    let Some(status) = query.text("status") else {
        return all;
    };
    all.into_iter()
        .filter(|item| item.get("status") == Some(&Value::from(status)))
        .collect()
}

/// Copies the fields of `body` that may be written, or refuses a status nobody knows.
pub(super) fn update(
    fields: &mut Fields,
    body: &Fields,
    writable: &[&str],
    statuses: &[&str],
) -> Result<(), ErrorResponse> {
    if let Some(status) = body.get("status") {
        let known = status
            .as_str()
            .is_some_and(|status| statuses.contains(&status));
        if !known {
            return Err(ErrorResponse::invalid(&format!(
                "status: must be one of {statuses:?}"
            )));
        }
    }
    for name in writable {
        if let Some(value) = body.get(*name) {
            fields.insert((*name).to_owned(), value.clone());
        }
    }
    Ok(())
}

/// A text field that must be there.
pub(super) fn required<'a>(body: &'a Fields, name: &str) -> Result<&'a str, ErrorResponse> {
    let text = body
        .get(name)
        .and_then(Value::as_str)
        .filter(|text| !text.trim().is_empty());
    text.ok_or_else(|| ErrorResponse::invalid(&format!("{name}: is required")))
}

/// The query of a request.
#[derive(Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(query: Option<&str>) -> Self {
        Self(
            url::form_urlencoded::parse(query.unwrap_or_default().as_bytes())
                .into_owned()
                .collect(),
        )
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    fn number(&self, name: &str) -> Option<usize> {
        self.text(name)?.parse().ok()
    }
}
