//! Asking the client for more: results that name what is missing, answers in the repeated call,
//! and state that travels through the client and back, sealed.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use mcp_session::Keyring;
use rmcp::{
    ErrorData,
    model::{InputRequiredResult, InputResponses},
};
use serde_json::{Value, json};

use crate::samples::wire;

/// A result that asks for these inputs, by key.
pub(crate) fn required(
    requests: Value,
    state: Option<String>,
) -> Result<InputRequiredResult, ErrorData> {
    wire(json!({
        "resultType": "input_required",
        "inputRequests": requests,
        "requestState": state,
    }))
}

/// Asks the person for one text.
pub(crate) fn question(message: &str, field: &str) -> Value {
    form(message, field, "string")
}

/// Asks the person for a yes or no.
pub(crate) fn confirmation(message: &str, field: &str) -> Value {
    form(message, field, "boolean")
}

fn form(message: &str, field: &str, kind: &str) -> Value {
    let schema = json!({
        "type": "object",
        "properties": {field: {"type": kind}},
        "required": [field],
    });
    let params = json!({"message": message, "requestedSchema": schema});
    json!({"method": "elicitation/create", "params": params})
}

/// Asks the client's model.
pub(crate) fn sampling(prompt: &str) -> Value {
    let message = json!({"role": "user", "content": {"type": "text", "text": prompt}});
    let params = json!({"messages": [message], "maxTokens": 100});
    json!({"method": "sampling/createMessage", "params": params})
}

/// Asks for the client's roots.
pub(crate) fn roots() -> Value {
    json!({"method": "roots/list", "params": {}})
}

/// The answers that came with a repeated call. Keys nobody asked for are ignored.
pub(crate) struct Answers<'a>(Option<&'a InputResponses>);

impl<'a> Answers<'a> {
    pub(crate) fn of(responses: Option<&'a InputResponses>) -> Self {
        Self(responses)
    }

    /// The answer under this key: none is a reason to ask again, a malformed one is an error.
    pub(crate) fn get(&self, key: &str) -> Result<Option<&'a Value>, ErrorData> {
        let Some(answer) = self.0.and_then(|answers| answers.get(key)) else {
            return Ok(None);
        };
        if !answer.is_object() {
            let message = format!("the answer to {key} is not an object");
            return Err(ErrorData::invalid_params(message, None));
        }
        Ok(Some(answer))
    }

    /// What the person entered in this field of the form; none if they did not.
    pub(crate) fn accepted(&self, key: &str, field: &str) -> Result<Option<&'a Value>, ErrorData> {
        let accepted = self
            .get(key)?
            .filter(|answer| answer.get("action").and_then(Value::as_str) == Some("accept"));
        Ok(accepted.and_then(|answer| answer.get("content")?.get(field)))
    }
}

/// State for the client to carry: it can neither read it nor change it, nor use it elsewhere.
pub(crate) fn seal(keyring: &Keyring, tool: &str, state: &str) -> Result<String, ErrorData> {
    let sealed = keyring.seal(&name(tool), state.as_bytes());
    let sealed = sealed.map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
    Ok(URL_SAFE_NO_PAD.encode(sealed))
}

/// The state as it was sealed for this tool.
pub(crate) fn open(
    keyring: &Keyring,
    tool: &str,
    sealed: Option<&str>,
) -> Result<String, ErrorData> {
    let bytes = sealed.and_then(|sealed| URL_SAFE_NO_PAD.decode(sealed).ok());
    let opened = bytes.and_then(|bytes| keyring.open(&name(tool), &bytes).ok());
    let state = opened.and_then(|opened| String::from_utf8(opened.plaintext.to_vec()).ok());
    state.ok_or_else(|| ErrorData::invalid_params("the requestState is not ours", None))
}

fn name(tool: &str) -> String {
    format!("request-state:{tool}")
}
