//! The smallest possible media, and the way from JSON to the SDK's types.

use rmcp::ErrorData;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A PNG of one red pixel.
const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC";

/// A WAV without a single sample.
const WAV: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA=";

/// Reads what is written here as it appears on the wire; the suite's descriptions are in that form.
pub(crate) fn wire<T: DeserializeOwned>(message: Value) -> Result<T, ErrorData> {
    serde_json::from_value(message)
        .map_err(|error| ErrorData::internal_error(format!("the fixture is wrong: {error}"), None))
}

/// A finished result. The SDK takes the mark away again for clients whose revision has none.
pub(crate) fn complete<T: DeserializeOwned>(mut result: Value) -> Result<T, ErrorData> {
    if let Some(result) = result.as_object_mut() {
        result.insert("resultType".to_owned(), "complete".into());
    }
    wire(result)
}

pub(crate) fn text(text: impl Into<String>) -> Value {
    json!({"type": "text", "text": text.into()})
}

pub(crate) fn image() -> Value {
    json!({"type": "image", "data": PNG, "mimeType": "image/png"})
}

pub(crate) fn audio() -> Value {
    json!({"type": "audio", "data": WAV, "mimeType": "audio/wav"})
}

/// A resource inside a result.
pub(crate) fn embedded(uri: &str) -> Value {
    let text = "The content of an embedded resource.";
    json!({"type": "resource", "resource": {"uri": uri, "mimeType": "text/plain", "text": text}})
}

/// A binary resource, as `resources/read` gives it.
pub(crate) fn binary(uri: &str) -> Value {
    json!({"uri": uri, "mimeType": "image/png", "blob": PNG})
}
