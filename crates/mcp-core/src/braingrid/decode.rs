//! Reads what BrainGrid answers, in every shape that was seen: envelopes, lists, pages.
//!
//! Nothing here fails because of an unknown field or a surprising type; it gives less instead.

use super::json::{Json, Object};

/// A JSON object whose known fields are taken out one by one.
pub(crate) struct Fields<'a> {
    object: Object<'a>,
    /// Whether any name may be in camel case: twins are looked for only then.
    camel: bool,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(object: Object<'a>) -> Self {
        let capital = |name: &str| name.bytes().any(|letter| letter.is_ascii_uppercase());
        let camel = object.names().any(capital);
        Self { object, camel }
    }

    /// Whether the field was sent, be it as null.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.object.get(name).is_some()
    }

    /// The first of the names that is there and not null, each also in camel case.
    fn take(&mut self, names: &[&str]) -> Option<Json<'a>> {
        names.iter().find_map(|name| {
            let plain = self.object.find_mut(|known| known == *name);
            let plain = plain.and_then(taken);
            if plain.is_some() || !self.camel || !name.contains('_') {
                return plain;
            }
            let twin = self.object.find_mut(|known| is_twin(known, name));
            twin.and_then(taken)
        })
    }

    /// A string; a number or a flag is written as one.
    pub(crate) fn text(&mut self, names: &[&str]) -> Option<String> {
        text_of(self.take(names)?)
    }

    /// A number that counts something; a string of digits is one.
    pub(crate) fn count(&mut self, names: &[&str]) -> Option<u64> {
        count_of(&self.take(names)?)
    }

    pub(crate) fn object(&mut self, names: &[&str]) -> Option<Fields<'a>> {
        match self.take(names)? {
            Json::Object(object) => Some(Fields::new(object)),
            _ => None,
        }
    }

    pub(crate) fn value(&mut self, names: &[&str]) -> Option<Json<'a>> {
        self.take(names)
    }

    pub(crate) fn array(&mut self, names: &[&str]) -> Option<Vec<Json<'a>>> {
        match self.take(names)? {
            Json::Array(items) => Some(items),
            _ => None,
        }
    }
}

/// Leaves null behind, which is as good as not there.
fn taken<'a>(value: &mut Json<'a>) -> Option<Json<'a>> {
    (!value.is_null()).then(|| value.take())
}

/// Whether a name is another one in camel case: `shortId` is `short_id` in an API that writes names
/// like this.
fn is_twin(twin: &str, name: &str) -> bool {
    let mut letters = name.bytes();
    let same = twin.bytes().all(|letter| match letters.next() {
        Some(b'_') => letters.next().map(|next| next.to_ascii_uppercase()) == Some(letter),
        other => other == Some(letter),
    });
    same && letters.next().is_none()
}

/// A string, or a number or flag written as one; anything else is nothing.
pub(crate) fn text_of(value: Json<'_>) -> Option<String> {
    match value {
        Json::String(text) => Some(text.into_owned()),
        Json::Number(number) => Some(number.to_string()),
        Json::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

fn count_of(value: &Json<'_>) -> Option<u64> {
    match value {
        Json::String(text) => text.trim().parse().ok(),
        Json::Number(number) => number.as_u64(),
        _ => None,
    }
}

/// How deep envelopes may be nested.
pub(super) const DEPTH: usize = 4;

/// The object that stands for `noun`: bare, or inside `data`, `result` or its own name.
pub(crate) fn entity<'a>(body: Json<'a>, noun: &str) -> Option<Fields<'a>> {
    let mut current = body;
    for _ in 0..DEPTH {
        let Json::Object(mut object) = current else {
            return None;
        };
        // An entity may have a field named like an envelope (a task's `result`): a thing with an id
        // is the thing itself.
        let mut names = [noun, "data", "result"].into_iter();
        let envelope = names.find(|name| matches!(object.get(name), Some(Json::Object(_))));
        let inner = envelope.filter(|_| object.get("id").is_none());
        match inner.and_then(|name| object.find_mut(|known| known == name)) {
            Some(value) => current = value.take(),
            None => return Some(Fields::new(object)),
        }
    }
    None
}

/// A list with what is known about its length.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    /// `None` when BrainGrid did not say; that is not "no more".
    pub(crate) has_more: Option<bool>,
    pub(crate) total: Option<u64>,
}

/// The list of `nouns`: a bare array, or inside `data`, `items`, `results` or their own name.
pub(crate) fn list<T>(
    body: Json<'_>,
    nouns: &str,
    decode: impl Fn(Fields<'_>) -> Option<T>,
) -> Option<Page<T>> {
    let (mut has_more, mut total) = (None, None);
    let mut current = body;
    for _ in 0..=DEPTH {
        match current {
            Json::Array(values) => {
                let sent = values.len();
                let objects = values.into_iter().filter_map(|value| match value {
                    Json::Object(object) => Some(Fields::new(object)),
                    _ => None,
                });
                let items: Vec<T> = objects.filter_map(decode).collect();
                // Things of which none can be read are not "there are none".
                return (sent == 0 || !items.is_empty()).then_some(Page {
                    items,
                    has_more,
                    total,
                });
            }
            Json::Object(object) => {
                let mut fields = Fields::new(object);
                page_facts(&mut fields, &mut has_more, &mut total);
                current = fields.value(&[nouns, "data", "items", "results", "result"])?;
            }
            _ => return None,
        }
    }
    None
}

fn page_facts(fields: &mut Fields<'_>, has_more: &mut Option<bool>, total: &mut Option<u64>) {
    const MORE: &[&str] = &["has_more", "has_next", "has_next_page"];
    const TOTAL: &[&str] = &["total_count", "total", "count"];
    let flag = |fields: &mut Fields<'_>| match fields.take(MORE) {
        Some(Json::Bool(flag)) => Some(flag),
        _ => None,
    };
    let nested = fields.object(&["pagination", "page_info", "meta"]);
    *has_more = has_more.or(flag(fields));
    *total = total.or(fields.count(TOTAL));
    if let Some(mut nested) = nested {
        *has_more = has_more.or(flag(&mut nested));
        *total = total.or(nested.count(TOTAL));
    }
}

/// The JSON of a body: plain, or the last readable `data` of an event stream.
pub(crate) fn json(body: &[u8], event_stream: bool) -> Option<Json<'_>> {
    // All of it at once, which is cheaper than text by text.
    let text = std::str::from_utf8(without_mark(body)).ok()?;
    if !event_stream {
        return serde_json::from_str(text).ok();
    }
    let text = text.replace("\r\n", "\n");
    text.split("\n\n").filter_map(event_data).last()
}

/// A body without the byte order mark that some servers put before it.
pub(super) fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

fn event_data(event: &str) -> Option<Json<'static>> {
    let data: Vec<_> = event
        .lines()
        .filter_map(|line| line.strip_prefix("data:"))
        .collect();
    let text = data.join("\n");
    let value: Json<'_> = serde_json::from_str(&text).ok()?;
    matches!(value, Json::Object(_)).then(|| value.into_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn entity(body: Value, noun: &str) -> Option<Fields<'static>> {
        super::entity(body.into(), noun)
    }

    fn list<T>(body: Value, nouns: &str, of: fn(Fields<'_>) -> Option<T>) -> Option<Page<T>> {
        super::list(body.into(), nouns, of)
    }

    fn name(mut fields: Fields<'_>) -> Option<String> {
        fields.text(&["name"])
    }

    #[test]
    fn every_envelope_of_an_entity_is_opened() {
        for body in [
            json!({"id": 1, "name": "a"}),
            json!({"data": {"id": 1, "name": "a"}}),
            json!({"requirement": {"id": 1, "name": "a"}}),
            json!({"data": {"requirement": {"id": 1, "name": "a", "result": {}}}}),
        ] {
            assert_eq!(
                name(entity(body.clone(), "requirement").unwrap()).unwrap(),
                "a",
                "{body}"
            );
        }
        assert!(entity(json!([]), "requirement").is_none());
    }

    #[test]
    fn every_envelope_of_a_list_is_opened() {
        for body in [
            json!([{"name": "a"}, 7]),
            json!({"tasks": [{"name": "a"}]}),
            json!({"data": [{"name": "a"}]}),
            json!({"data": {"tasks": [{"name": "a"}]}}),
            json!({"items": [{"name": "a"}]}),
        ] {
            assert_eq!(
                list(body.clone(), "tasks", name).unwrap().items,
                ["a"],
                "{body}"
            );
        }
        assert!(list(json!({"x": 1}), "tasks", name).is_none());
    }

    #[test]
    fn missing_page_facts_mean_unknown() {
        let page = |body| list(body, "tasks", name).unwrap();
        assert_eq!(page(json!([])).has_more, None);
        assert_eq!(
            page(json!({"tasks": [], "has_more": true})).has_more,
            Some(true)
        );
        let nested =
            page(json!({"data": {"tasks": []}, "pagination": {"has_more": false, "total": "3"}}));
        assert_eq!((nested.has_more, nested.total), (Some(false), Some(3)));
    }

    #[test]
    fn fields_have_twins_in_camel_case() {
        let read = |body: Value| match body.into() {
            Json::Object(object) => Fields::new(object).text(&["short_id", "project_short_id"]),
            _ => None,
        };
        for (body, found) in [
            (json!({"short_id": "a"}), Some("a")),
            (json!({"shortId": "a"}), Some("a")),
            (json!({"projectShortId": "a"}), Some("a")),
            (json!({"short_id": null, "shortId": "a"}), Some("a")),
            (json!({"short_id": null, "shortId": null}), None),
            (
                json!({"shortID": "a", "ShortId": "a", "shortId_": "a", "short": "a"}),
                None,
            ),
        ] {
            assert_eq!(read(body.clone()).as_deref(), found, "{body}");
        }
    }

    #[test]
    fn things_of_which_none_can_be_read_are_no_empty_list() {
        for (body, count) in [
            (json!({"tasks": []}), Some(0)),
            (json!({"tasks": [null, {"name": "a"}]}), Some(1)),
            (json!({"tasks": [null, {}]}), None),
            (json!([7]), None),
        ] {
            let page = list(body.clone(), "tasks", name);
            assert_eq!(page.map(|page| page.items.len()), count, "{body}");
        }
    }

    #[test]
    fn last_event_of_a_stream_is_the_answer() {
        let body =
            b"data: {\"id\":1}\r\n\r\nevent: done\ndata: {\"id\":\ndata: 2}\n\ndata: [DONE]\n\n";
        assert_eq!(json(body, true), Some(json!({"id": 2}).into()));
    }
}
