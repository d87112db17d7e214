//! JSON as an answer holds it: what can be is borrowed from the answer, and an object is a list, in
//! which the few names that are looked for are found faster than a map is made.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::{Number, Value};

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json<'a> {
    Null,
    Bool(bool),
    Number(Number),
    String(Cow<'a, str>),
    Array(Vec<Json<'a>>),
    Object(Object<'a>),
}

/// Names and values in their order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Object<'a>(Vec<(Cow<'a, str>, Json<'a>)>);

impl<'a> Object<'a> {
    /// The last of that name: the one that counts in other readers of JSON, too.
    pub(crate) fn get(&self, name: &str) -> Option<&Json<'a>> {
        let mut all = self.0.iter().rev();
        all.find_map(|(known, value)| (known == name).then_some(value))
    }

    /// The last whose name is such.
    pub(crate) fn find_mut(&mut self, is: impl Fn(&str) -> bool) -> Option<&mut Json<'a>> {
        let mut all = self.0.iter_mut().rev();
        all.find_map(|(known, value)| is(known).then_some(value))
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| &**name)
    }
}

impl<'a> Json<'a> {
    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The value, with null in its place.
    pub(crate) fn take(&mut self) -> Self {
        std::mem::replace(self, Self::Null)
    }

    /// The value, borrowed from nothing.
    pub(crate) fn into_owned(self) -> Json<'static> {
        match self {
            Self::Null => Json::Null,
            Self::Bool(flag) => Json::Bool(flag),
            Self::Number(number) => Json::Number(number),
            Self::String(text) => Json::String(text.into_owned().into()),
            Self::Array(items) => Json::Array(items.into_iter().map(Json::into_owned).collect()),
            Self::Object(Object(all)) => {
                let owned = |(name, value): (Cow<'a, str>, Json<'a>)| {
                    (Cow::from(name.into_owned()), value.into_owned())
                };
                Json::Object(Object(all.into_iter().map(owned).collect()))
            }
        }
    }
}

impl From<Json<'_>> for Value {
    fn from(json: Json<'_>) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(flag) => Self::Bool(flag),
            Json::Number(number) => Self::Number(number),
            Json::String(text) => Self::String(text.into_owned()),
            Json::Array(items) => items.into_iter().map(Self::from).collect(),
            Json::Object(Object(all)) => {
                let all = all.into_iter();
                all.map(|(name, value)| (name.into_owned(), Self::from(value)))
                    .collect()
            }
        }
    }
}

#[cfg(test)]
impl From<Value> for Json<'static> {
    fn from(value: Value) -> Self {
        let text = value.to_string();
        serde_json::from_str::<Json<'_>>(&text)
            .unwrap()
            .into_owned()
    }
}

impl<'de> Deserialize<'de> for Json<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Self::Value, E> {
        Ok(Json::Bool(flag))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Json::Number(number.into()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Json::Number(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Number::from_f64(number).map_or(Json::Null, Json::Number))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Json::String(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Json::String(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut all = Vec::new();
        while let Some(item) = items.next_element()? {
            all.push(item);
        }
        Ok(Json::Array(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut all = Vec::new();
        while let Some(name) = entries.next_key()? {
            if all.is_empty() {
                // About as many as a thing of BrainGrid has; nothing for the many that are empty.
                all.reserve(12);
            }
            if let Json::String(name) = name {
                all.push((name, entries.next_value()?));
            } else {
                entries.next_value::<serde::de::IgnoredAny>()?;
            }
        }
        Ok(Json::Object(Object(all)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_read_is_what_was_written() {
        let value = json!({
            "a": [null, true, -1, 18_446_744_073_709_551_615_u64, 1.5, "x", "y\n\u{1f600}"],
            "b\"": {}, "": {"c": []},
        });
        assert_eq!(Value::from(Json::from(value.clone())), value);
    }

    #[test]
    fn of_two_of_one_name_the_last_counts() {
        let text = r#"{"a": 1, "a": null, "b": 2}"#;
        let Json::Object(mut object) = serde_json::from_str(text).unwrap() else {
            panic!("no object");
        };
        assert_eq!(object.get("a"), Some(&Json::Null));
        assert_eq!(object.find_mut(|name| name == "a"), Some(&mut Json::Null));
        assert_eq!(object.names().count(), 3);
        assert_eq!(
            Value::from(Json::Object(object)),
            json!({"a": null, "b": 2})
        );
    }

    #[test]
    fn too_deep_is_an_error_and_no_panic() {
        let deep = "[".repeat(100_000);
        assert!(serde_json::from_str::<Json<'_>>(&deep).is_err());
    }
}
