//! An entry in a TOML file: put in, found, and taken out, with all else left as it stands.

use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike};

use super::entry::{Broken, Entry, Found, Place, Value};

/// The text with the entry in it.
pub(super) fn set(text: &str, place: Place<'_>, entry: &Entry) -> Result<String, Broken> {
    let mut document = parse(text)?;
    let servers = document
        .as_table_mut()
        .entry(place.container)
        .or_insert_with(|| {
            let mut servers = Table::new();
            servers.set_implicit(true);
            Item::Table(servers)
        });
    let inline = servers.is_inline_table();
    let servers = servers.as_table_like_mut().ok_or_else(|| no_table(place))?;
    let old = servers
        .get_mut(place.name)
        .and_then(Item::as_table_like_mut);
    match old.filter(|old| old.contains_key(entry.way())) {
        Some(old) => update(old, entry),
        None => {
            servers.insert(place.name, whole(entry, inline));
        }
    }
    let text = with_line_ends_of(text, document.to_string());
    // Tables can be spread over a file in ways that leave no room for one more.
    if find(&text, place)?.is_none() {
        return Err(Broken("it leaves no place for another table".to_owned()));
    }
    Ok(text)
}

/// The text without the entry, and without the table of servers if it was the last one; `None`
/// where there is no such entry.
pub(super) fn remove(text: &str, place: Place<'_>) -> Result<Option<String>, Broken> {
    let mut document = parse(text)?;
    let Some(servers) = document.get_mut(place.container) else {
        return Ok(None);
    };
    let servers = servers.as_table_like_mut().ok_or_else(|| no_table(place))?;
    if servers.remove(place.name).is_none() {
        return Ok(None);
    }
    if servers.is_empty() {
        document.remove(place.container);
    }
    Ok(Some(with_line_ends_of(text, document.to_string())))
}

/// What the entry says.
pub(super) fn find(text: &str, place: Place<'_>) -> Result<Option<Found>, Broken> {
    let document = parse(text)?;
    let Some(servers) = document.get(place.container) else {
        return Ok(None);
    };
    let servers = servers.as_table_like().ok_or_else(|| no_table(place))?;
    let Some(entry) = servers.get(place.name) else {
        return Ok(None);
    };
    let field = |key| entry.get(key).and_then(Item::as_str).map(str::to_owned);
    Ok(Some(Found {
        command: field("command"),
        url: field("url"),
    }))
}

fn parse(text: &str) -> Result<DocumentMut, Broken> {
    text.parse().map_err(|error: toml_edit::TomlError| {
        let before = error.span().and_then(|span| text.get(..span.start));
        match before {
            Some(before) => {
                let line = before.matches('\n').count() + 1;
                Broken(format!("line {line} is not TOML"))
            }
            None => Broken("it is not TOML".to_owned()),
        }
    })
}

fn no_table(place: Place<'_>) -> Broken {
    Broken(format!("its {} is no table", place.container))
}

fn update(old: &mut dyn TableLike, entry: &Entry) {
    for (key, value) in &entry.fields {
        if old.get(key).is_none_or(|found| !says(found, value)) {
            old.insert(key, item(value));
        }
    }
    for (key, value) in &entry.defaults {
        if !old.contains_key(key) {
            old.insert(key, item(value));
        }
    }
}

fn says(found: &Item, wanted: &Value) -> bool {
    match wanted {
        Value::Text(wanted) => found.as_str() == Some(wanted),
        Value::List(wanted) => found.as_array().is_some_and(|list| {
            let wanted = wanted.iter().map(|word| Some(word.as_str()));
            list.iter().map(toml_edit::Value::as_str).eq(wanted)
        }),
    }
}

fn whole(entry: &Entry, inline: bool) -> Item {
    let mut table = Table::new();
    for (key, value) in entry.fields.iter().chain(&entry.defaults) {
        table.insert(key, item(value));
    }
    if inline {
        let table: InlineTable = table.into_inline_table();
        return toml_edit::value(table);
    }
    Item::Table(table)
}

fn item(value: &Value) -> Item {
    match value {
        Value::Text(text) => toml_edit::value(text.as_str()),
        Value::List(list) => toml_edit::value(list.iter().collect::<Array>()),
    }
}

/// The library writes `\n` alone.
fn with_line_ends_of(old: &str, new: String) -> String {
    let windows = old.contains("\r\n") && !old.replace("\r\n", "").contains('\n');
    if windows {
        new.replace("\r\n", "\n").replace('\n', "\r\n")
    } else {
        new
    }
}
