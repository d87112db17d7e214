//! One value as models and clients write it, read as what its schema says: the text of a number is
//! that number, the text of a list that list, an empty text is nothing. What cannot be meant is
//! refused with the field, the value and an example, so that nothing mangled is ever written.

use serde_json::{Map, Number, Value};

use super::super::{Arguments, error::ToolError};

/// The arguments that a tool takes.
#[derive(Debug)]
pub(in super::super) struct Fields {
    all: Vec<Field>,
    /// Nothing else is ignored, and a flag is one or its exact text: for what cannot be undone.
    pub(in super::super) closed: bool,
}

#[derive(Debug)]
struct Field {
    name: String,
    kind: Kind,
    required: bool,
}

#[derive(Debug)]
enum Kind {
    Id,
    /// One line of text.
    Line,
    /// Text of several lines.
    Prose,
    Word(Vec<String>),
    Number {
        least: u64,
        most: u64,
        default: Option<u64>,
    },
    Flag {
        strict: bool,
    },
    List,
}

impl Fields {
    /// From the schema as it was derived, in which `format` says what kind of text is meant.
    pub(in super::super) fn of(schema: &Value) -> Self {
        let closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
        let required = schema.get("required").and_then(Value::as_array);
        let is_required =
            |name: &str| required.is_some_and(|all| all.iter().any(|one| one == name));
        let properties = schema.get("properties").and_then(Value::as_object);
        let field = |(name, schema): (&String, &Value)| Field {
            name: name.clone(),
            kind: Kind::of(schema, closed),
            required: is_required(name),
        };
        Self {
            all: properties.into_iter().flatten().map(field).collect(),
            closed,
        }
    }

    pub(in super::super) fn has(&self, name: &str) -> bool {
        self.names().any(|known| known == name)
    }

    pub(in super::super) fn names(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|field| field.name.as_str())
    }

    /// The arguments, all of them known, as what they mean; and remarks on what was not taken as it
    /// came.
    ///
    /// # Errors
    /// With the first that means nothing.
    pub(in super::super) fn read(
        &self,
        mut arguments: Arguments,
        notes: &mut Vec<String>,
    ) -> Result<Arguments, ToolError> {
        let mut empty = Vec::new();
        for field in &self.all {
            let Some(slot) = arguments.get_mut(&field.name) else {
                continue;
            };
            let value = slot.take();
            let was_null = value.is_null();
            if let Some(value) = field.read(value, notes)? {
                *slot = value;
                continue;
            }
            if field.required {
                return Err(field.refused("it is empty", &field.example()));
            }
            if !was_null {
                empty.push(format!("`{}`", field.name));
            }
            arguments.remove(&field.name);
        }
        if !empty.is_empty() {
            notes.push(format!(
                "Empty, so taken as not given: {}.",
                empty.join(", ")
            ));
        }
        Ok(arguments)
    }
}

impl Kind {
    fn of(schema: &Value, closed: bool) -> Self {
        let kind = match schema.get("type") {
            Some(Value::Array(kinds)) => kinds.iter().find_map(Value::as_str),
            kind => kind.and_then(Value::as_str),
        };
        let number = |name: &str| schema.get(name).and_then(Value::as_u64);
        let words = schema.get("enum").and_then(Value::as_array);
        match (kind, schema.get("format").and_then(Value::as_str)) {
            (Some("array"), _) | (_, Some("names")) => Self::List,
            (Some("boolean"), _) => Self::Flag { strict: closed },
            (Some("integer"), _) => Self::Number {
                least: number("minimum").unwrap_or(0),
                most: number("maximum").unwrap_or(u64::from(u32::MAX)),
                default: number("default"),
            },
            (_, Some("id")) => Self::Id,
            (_, Some("markdown")) => Self::Prose,
            _ => match words {
                Some(words) => Self::Word(words.iter().filter_map(owned).collect()),
                None => Self::Line,
            },
        }
    }
}

fn owned(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

impl Field {
    /// What the value means; nothing when it says nothing.
    fn read(&self, value: Value, notes: &mut Vec<String>) -> Result<Option<Value>, ToolError> {
        let value = match value {
            Value::Null => return Ok(None),
            Value::String(text) if says_nothing(&text) => return Ok(None),
            value => value,
        };
        match &self.kind {
            Kind::Id => self.id(value).map(Some),
            Kind::Line | Kind::Prose => self.text(value, notes),
            Kind::Word(words) => self.word(&value, words).map(Some),
            Kind::Number {
                least,
                most,
                default,
            } => self.number(&value, (*least, *most), *default, notes),
            Kind::Flag { strict } => self.flag(value, *strict).map(Some),
            Kind::List => self.list(value, notes),
        }
    }

    fn id(&self, value: Value) -> Result<Value, ToolError> {
        if let Some(number) = whole(&value) {
            return Ok(number.to_string().into());
        }
        match value {
            Value::String(text) => Ok(unquoted(&text).into()),
            other => Err(self.is_no("id", &other)),
        }
    }

    fn number(
        &self,
        value: &Value,
        (least, most): (u64, u64),
        default: Option<u64>,
        notes: &mut Vec<String>,
    ) -> Result<Option<Value>, ToolError> {
        let number = whole(value).ok_or_else(|| self.is_no("whole number", value))?;
        let within = u64::try_from(number).ok().filter(|number| *number >= least);
        let taken = match (within, default) {
            (Some(number), _) if number <= most => return Ok(Some(number.into())),
            (Some(_), Some(_)) => most,
            (None, Some(default)) => default,
            (_, None) => {
                let range = format!("{number} is not between {least} and {most}");
                return Err(self.refused(&range, &self.example()));
            }
        };
        notes.push(format!(
            "`{}` cannot be {number}: {taken} was used.",
            self.name
        ));
        Ok(Some(taken.into()))
    }

    fn flag(&self, value: Value, strict: bool) -> Result<Value, ToolError> {
        let text = match &value {
            Value::Bool(_) => return Ok(value),
            // Some clients send every value as text; anything but this word is somebody's guess.
            Value::String(text) if strict => text.clone(),
            Value::String(text) => unquoted(text).to_ascii_lowercase(),
            _ => String::new(),
        };
        match text.as_str() {
            "true" => Ok(true.into()),
            "false" => Ok(false.into()),
            _ => Err(self.is_no("true or false", &value)),
        }
    }

    fn word(&self, value: &Value, words: &[String]) -> Result<Value, ToolError> {
        let text = value.as_str().map(unquoted).unwrap_or_default();
        let word = text.to_ascii_uppercase().replace(['-', ' '], "_");
        if words.contains(&word) {
            return Ok(word.into());
        }
        let reason = format!("{} is none of these", seen(value));
        Err(self.refused(&reason, &words.join(", ")))
    }

    fn text(&self, value: Value, notes: &mut Vec<String>) -> Result<Option<Value>, ToolError> {
        let text = match value {
            Value::Number(number) => number_text(&number),
            Value::String(text) => text,
            other => return Err(self.is_no("text", &other)),
        };
        let text = match decoded(&text) {
            Some(inner) => {
                notes.push(format!(
                    "Quotes around all of `{}` were taken off.",
                    self.name
                ));
                if says_nothing(&inner) {
                    return Ok(None);
                }
                inner
            }
            None => text,
        };
        if let Some(reason) = mangled(&text) {
            let example = match self.kind {
                Kind::Prose => format!(
                    "{}; JSON that is meant goes into a code block",
                    self.example()
                ),
                _ => self.example(),
            };
            return Err(self.refused(reason, &example));
        }
        if has_escaped_lines(&text) {
            if !matches!(self.kind, Kind::Prose) {
                return Err(self.refused("it is one line, and holds several", &self.example()));
            }
            notes.push(format!(
                "`\\n` in `{}` was read as a line break.",
                self.name
            ));
            return Ok(Some(with_lines(&text).into()));
        }
        Ok(Some(text.into()))
    }

    /// A list, its text as JSON or as Python writes it, or words between commas.
    fn list(&self, value: Value, notes: &mut Vec<String>) -> Result<Option<Value>, ToolError> {
        let items = match value {
            Value::Array(items) => items,
            Value::String(text) if text.trim_start().starts_with(['[', '{']) => {
                match list_of(text.trim()) {
                    Some(items) => items,
                    None => return Err(self.is_no("list", &text.into())),
                }
            }
            Value::String(text) => unquoted(&text)
                .split(',')
                .map(|part| part.trim().into())
                .collect(),
            Value::Number(number) => vec![Value::Number(number)],
            other => return Err(self.is_no("list", &other)),
        };
        let mut list = Vec::with_capacity(items.len());
        for item in items {
            match item {
                Value::Null => {}
                Value::String(text) if says_nothing(&text) => {}
                item => list.extend(self.text(item, notes)?),
            }
        }
        Ok((!list.is_empty()).then_some(Value::Array(list)))
    }

    fn is_no(&self, noun: &str, value: &Value) -> ToolError {
        let is = if noun.starts_with("true") {
            "is not"
        } else {
            "is no"
        };
        self.refused(&format!("{} {is} {noun}", seen(value)), &self.example())
    }

    fn refused(&self, reason: &str, example: &str) -> ToolError {
        let name = &self.name;
        ToolError::Refused(format!(
            "Bad argument `{name}`: {reason}. Example: {example}."
        ))
    }

    fn example(&self) -> String {
        let text = match (&self.kind, self.name.as_str()) {
            (Kind::Id, "project_id") => "\"PROJ-1\"",
            (Kind::Id, "task_id") => "\"TASK-3\"",
            (Kind::Id, _) => "\"REQ-12\"",
            (Kind::Line, _) => "\"Pay by invoice\"",
            (Kind::Prose, _) => "\"Let shoppers pay by invoice\"",
            (Kind::List, "tags") => "[\"payment\"]",
            (Kind::List, _) => "\"owner/name\"",
            (Kind::Flag { strict: true }, _) => "true, once the user has agreed",
            (Kind::Flag { .. }, _) => "true",
            (Kind::Word(words), _) => return words.join(", "),
            (Kind::Number { default, least, .. }, _) => {
                return default.unwrap_or(*least).to_string();
            }
        };
        text.to_owned()
    }
}

/// Whether a text stands for "nothing", as models and clients write that.
pub(in super::super) fn says_nothing(text: &str) -> bool {
    const NOTHING: &[&str] = &["", "null", "none", "nil", "undefined", "nan"];
    let text = text.trim().trim_matches('"').trim();
    NOTHING
        .iter()
        .any(|nothing| text.eq_ignore_ascii_case(nothing))
}

/// A whole number: `5`, `5.0`, and the texts of these.
fn whole(value: &Value) -> Option<i128> {
    match value {
        Value::Number(number) => whole_number(&number.to_string()),
        Value::String(text) => whole_number(unquoted(text)),
        _ => None,
    }
}

fn whole_number(text: &str) -> Option<i128> {
    let text = match text.split_once('.') {
        Some((whole, fraction)) if !fraction.is_empty() && fraction.bytes().all(|c| c == b'0') => {
            whole
        }
        Some(_) => return None,
        None => text,
    };
    text.parse().ok()
}

fn number_text(number: &Number) -> String {
    let text = number.to_string();
    whole_number(&text).map_or(text, |whole| whole.to_string())
}

/// Without the space and the one pair of quotes around it.
fn unquoted(text: &str) -> &str {
    let text = text.trim();
    let inner = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    inner.unwrap_or(text).trim()
}

/// The text whose JSON this is.
fn decoded(text: &str) -> Option<String> {
    let text = text.trim();
    if text.len() < 2 || !text.starts_with('"') {
        return None;
    }
    serde_json::from_str(text).ok()
}

/// Why a text can only be what was left of something else.
fn mangled(text: &str) -> Option<&'static str> {
    let text = text.trim();
    if text.starts_with("[object ") && text.ends_with(']') {
        return Some("\"[object …]\" is what a program makes of an object; send its text");
    }
    if has_controls(text) {
        return Some("it holds control characters");
    }
    if !text.starts_with(['[', '{']) {
        return None;
    }
    let python = (text.starts_with("['") && text.ends_with("']"))
        || (text.starts_with("{'") && text.ends_with('}'));
    let json = || serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    (python || json()).then_some("it is the text of a list or an object, where words are meant")
}

/// Whether a text holds control characters that are no white space.
fn has_controls(text: &str) -> bool {
    let is_white = |c| matches!(c, '\n' | '\r' | '\t');
    // To the end, whatever is found: without a branch, many bytes are looked at in one step. Those
    // beyond ASCII begin with 0xC2, as other characters do.
    let begins_one =
        |byte: u8| (byte.is_ascii_control() && !is_white(char::from(byte))) || byte == 0xC2;
    let may_hold = text
        .bytes()
        .fold(false, |found, byte| found | begins_one(byte));
    may_hold && text.chars().any(|c| c.is_control() && !is_white(c))
}

/// The items of a list written as JSON or as Python does.
fn list_of(text: &str) -> Option<Vec<Value>> {
    let json = serde_json::from_str(text).ok();
    json.or_else(|| {
        let python = text.starts_with("['") && !text.contains('"');
        python.then(|| serde_json::from_str(&text.replace('\'', "\"")).ok())?
    })
}

/// Whether line breaks were escaped twice: there are none, but `\n` where Markdown has them.
fn has_escaped_lines(text: &str) -> bool {
    const MARKDOWN: &[&str] = &["\\n\\n", "\\n#", "\\n- ", "\\n* ", "\\n1. ", "\\n```"];
    // Most texts hold no backslash, and are done with here.
    text.contains('\\') && !text.contains('\n') && MARKDOWN.iter().any(|sign| text.contains(sign))
}

fn with_lines(text: &str) -> String {
    text.replace("\\r\\n", "\n")
        .replace("\\n", "\n")
        .replace("\\t", "\t")
        .replace("\\\"", "\"")
}

/// A value as it may stand in a text.
fn seen(value: &Value) -> String {
    let text: String = value
        .to_string()
        .chars()
        .filter(|c| !c.is_control())
        .collect();
    if text.chars().count() <= 60 {
        return text;
    }
    text.chars().take(60).chain(['…']).collect()
}

/// The object that a value is, or whose text it is.
pub(in super::super) fn object_in(value: &Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(map) => Some(map.clone()),
        Value::String(text) => serde_json::from_str(text).ok(),
        _ => None,
    }
}
