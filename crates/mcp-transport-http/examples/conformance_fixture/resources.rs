//! The resources, and the one template.

use rmcp::{
    ErrorData,
    model::{ListResourceTemplatesResult, ListResourcesResult, ReadResourceResult},
};
use serde_json::json;

use crate::samples::{binary, complete};

const TEXT: &str = "test://static-text";
const BINARY: &str = "test://static-binary";
const WATCHED: &str = "test://watched-resource";

pub(crate) fn list() -> Result<ListResourcesResult, ErrorData> {
    complete(json!({"resources": [
        {"uri": TEXT, "name": "static-text", "description": "A text", "mimeType": "text/plain"},
        {"uri": BINARY, "name": "static-binary", "description": "An image", "mimeType": "image/png"},
        {"uri": WATCHED, "name": "watched-resource", "description": "A text to subscribe to",
         "mimeType": "text/plain"},
    ]}))
}

pub(crate) fn templates() -> Result<ListResourceTemplatesResult, ErrorData> {
    complete(json!({"resourceTemplates": [{
        "uriTemplate": "test://template/{id}/data",
        "name": "template",
        "description": "Data of the thing with this id",
        "mimeType": "application/json",
    }]}))
}

pub(crate) fn read(uri: &str) -> Result<ReadResourceResult, ErrorData> {
    let content = match (uri, template_id(uri)) {
        (TEXT | WATCHED, _) => {
            json!({"uri": uri, "mimeType": "text/plain", "text": "The content of a text resource."})
        }
        (BINARY, _) => binary(uri),
        (_, Some(id)) => {
            let data = json!({"id": id}).to_string();
            json!({"uri": uri, "mimeType": "application/json", "text": data})
        }
        _ => {
            let data = Some(json!({"uri": uri}));
            return Err(ErrorData::resource_not_found("no such resource", data));
        }
    };
    complete(json!({"contents": [content]}))
}

fn template_id(uri: &str) -> Option<&str> {
    let id = uri
        .strip_prefix("test://template/")?
        .strip_suffix("/data")?;
    (!id.is_empty() && !id.contains('/')).then_some(id)
}
