//! What came of a task: kept as text, told as the extension has it.

use rmcp::{
    ErrorData,
    model::{CallToolResponse, CallToolResult, ContentBlock, JsonObject, TaskPayload},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::{registry::Entry, stopped::check_of};

/// Longest result that is kept, in bytes of a text in JSON.
const MAX_RESULT: usize = 24 * 1024;

/// What came of a call, as it is kept.
#[derive(Serialize, Deserialize)]
enum Kept {
    Result(JsonObject),
    Error(JsonObject),
}

pub(super) fn kept(entry: &Entry, answer: Result<CallToolResponse, ErrorData>) -> String {
    let failed =
        matches!(&answer, Ok(CallToolResponse::Complete(result)) if result.is_error == Some(true));
    let kept = match answer {
        Ok(CallToolResponse::Complete(result)) => Kept::Result(object(result)),
        Ok(_) => Kept::Error(object(ErrorData::internal_error("no answer", None))),
        Err(error) => Kept::Error(object(error)),
    };
    let text = serde_json::to_string(&kept).unwrap_or_default();
    // As it stands in a record, a text within JSON.
    if serde_json::to_string(&text).is_ok_and(|text| text.len() <= MAX_RESULT) {
        return text;
    }
    let tool = &entry.tool.name;
    let check = check_of(tool).unwrap_or("BrainGrid");
    let what = if failed { "failed" } else { "is done" };
    let result = CallToolResult::error(vec![ContentBlock::text(format!(
        "{tool} {what}, and its answer is too long to be kept with the task. Look with {check}."
    ))]);
    serde_json::to_string(&Kept::Result(object(result))).unwrap_or_default()
}

fn object(value: impl Serialize) -> JsonObject {
    match serde_json::to_value(value) {
        Ok(Value::Object(object)) => object,
        _ => JsonObject::new(),
    }
}

pub(super) fn done(kept: &str) -> TaskPayload {
    match serde_json::from_str(kept) {
        Ok(Kept::Result(result)) => TaskPayload::Completed { result },
        Ok(Kept::Error(error)) => TaskPayload::Failed { error },
        Err(_) => TaskPayload::Failed {
            error: JsonObject::new(),
        },
    }
}
