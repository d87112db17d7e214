//! An entry in a JSON file: put in, found, and taken out, with all else left as it stands.

use jsonc_parser::ParseOptions;
use jsonc_parser::cst::{CstInputValue, CstNode, CstObject, CstObjectProp, CstRootNode};

use serde::de::IgnoredAny;

use super::entry::{Broken, Entry, Found, Place, Value};

/// How much more than JSON a client reads. It refuses its file beyond that, so we do too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// JSON as in RFC 8259.
    Strict,
    /// Also comments.
    Comments,
    /// Also commas at the end of a list.
    CommentsAndCommas,
}

/// The text with the entry in it.
pub(super) fn set(
    text: &str,
    dialect: Dialect,
    place: Place<'_>,
    entry: &Entry,
) -> Result<String, Broken> {
    let root = parse(text, dialect)?;
    let top = root
        .object_value_or_create()
        .ok_or_else(|| Broken("it holds no JSON object".to_owned()))?;
    let servers = match only(&top, place.container)? {
        Some(property) => object(&property, place.container)?,
        None => top.object_value_or_set(place.container),
    };
    match only(&servers, place.name)? {
        Some(old) => update(&old, entry),
        None => {
            servers.append(place.name, whole(entry));
        }
    }
    Ok(root.to_string())
}

/// The text without the entry, and without the list of servers if it was the last one; `None`
/// where there is no such entry.
pub(super) fn remove(
    text: &str,
    dialect: Dialect,
    place: Place<'_>,
) -> Result<Option<String>, Broken> {
    let root = parse(text, dialect)?;
    let Some((list, property)) = look_up(&root, place)? else {
        return Ok(None);
    };
    property.remove();
    if list
        .object_value()
        .is_some_and(|servers| servers.properties().is_empty())
    {
        list.remove();
    }
    Ok(Some(root.to_string()))
}

/// What the entry says.
pub(super) fn find(
    text: &str,
    dialect: Dialect,
    place: Place<'_>,
) -> Result<Option<Found>, Broken> {
    let root = parse(text, dialect)?;
    let Some((_, property)) = look_up(&root, place)? else {
        return Ok(None);
    };
    let field = |key| {
        let value = property.object_value()?.get(key)?.value()?;
        value.as_string_lit()?.decoded_value().ok()
    };
    Ok(Some(Found {
        command: field("command"),
        url: field("url"),
    }))
}

fn parse(text: &str, dialect: Dialect) -> Result<CstRootNode, Broken> {
    let options = ParseOptions {
        allow_comments: dialect != Dialect::Strict,
        allow_trailing_commas: dialect == Dialect::CommentsAndCommas,
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    let broken = |line, column| Broken(format!("line {line}, column {column} is not JSON"));
    // The parser that keeps comments lets all of them pass.
    if dialect == Dialect::Strict && !text.trim().is_empty() {
        serde_json::from_str::<IgnoredAny>(text)
            .map_err(|error| broken(error.line(), error.column()))?;
    }
    CstRootNode::parse(text, &options)
        .map_err(|error| broken(error.line_display(), error.column_display()))
}

/// The list of servers and the entry in it.
fn look_up(
    root: &CstRootNode,
    place: Place<'_>,
) -> Result<Option<(CstObjectProp, CstObjectProp)>, Broken> {
    let Some(top) = root.object_value() else {
        return Ok(None);
    };
    let Some(list) = only(&top, place.container)? else {
        return Ok(None);
    };
    let entry = only(&object(&list, place.container)?, place.name)?;
    Ok(entry.map(|entry| (list, entry)))
}

/// The property of this name. Clients read the last of two, people the first.
fn only(object: &CstObject, name: &str) -> Result<Option<CstObjectProp>, Broken> {
    let mut named = object
        .properties()
        .into_iter()
        .filter(|property| property.decoded_name().as_deref() == Some(name));
    match (named.next(), named.next()) {
        (_, Some(_)) => Err(Broken(format!("it has {name:?} twice"))),
        (found, None) => Ok(found),
    }
}

fn object(property: &CstObjectProp, name: &str) -> Result<CstObject, Broken> {
    property
        .object_value()
        .ok_or_else(|| Broken(format!("its {name:?} is no object")))
}

/// Sets our fields and keeps what somebody added, unless the entry reaches the server otherwise.
fn update(property: &CstObjectProp, entry: &Entry) {
    let old = property
        .object_value()
        .filter(|old| old.get(entry.way()).is_some());
    let Some(old) = old else {
        property.set_value(whole(entry));
        return;
    };
    for (key, value) in &entry.fields {
        match old.get(key) {
            Some(field) if says(field.value(), value) => {}
            Some(field) => field.set_value(input(value)),
            None => {
                old.append(key, input(value));
            }
        }
    }
    for (key, value) in &entry.defaults {
        if old.get(key).is_none() {
            old.append(key, input(value));
        }
    }
}

/// Whether the value is the same, however it is laid out.
fn says(found: Option<CstNode>, wanted: &Value) -> bool {
    let text = |node: &CstNode| node.as_string_lit()?.decoded_value().ok();
    let Some(found) = found else { return false };
    match wanted {
        Value::Text(wanted) => text(&found).as_ref() == Some(wanted),
        Value::List(wanted) => found.as_array().is_some_and(|list| {
            let found: Vec<_> = list.elements().iter().map(text).collect();
            found.iter().map(Option::as_ref).eq(wanted.iter().map(Some))
        }),
    }
}

fn whole(entry: &Entry) -> CstInputValue {
    let fields = entry.fields.iter().chain(&entry.defaults);
    let fields = fields.map(|(key, value)| ((*key).to_owned(), input(value)));
    CstInputValue::Object(fields.collect())
}

fn input(value: &Value) -> CstInputValue {
    match value {
        Value::Text(text) => CstInputValue::String(text.clone()),
        Value::List(list) => {
            CstInputValue::Array(list.iter().cloned().map(CstInputValue::String).collect())
        }
    }
}
