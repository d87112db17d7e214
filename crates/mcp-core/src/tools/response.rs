//! From what a tool gives back to the response of MCP: its text, its structure, and what else there
//! is to say.

use std::{
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError},
};

use http::HeaderValue;
use rmcp::{
    ErrorData,
    model::{CallToolResponse, CallToolResult, ContentBlock},
};
use serde_json::Value;

use super::{
    definition::{NOTES, Outcome},
    error::ToolError,
};

/// The answer to a call, and the name of its outcome for spans and metrics.
pub(super) type Done = (Result<CallToolResponse, ErrorData>, &'static str);

/// What an answer says beside what it shows.
#[derive(Clone, Default)]
pub(super) struct Notes(Arc<Mutex<Vec<Note>>>);

pub(super) struct Note {
    sentence: String,
    /// The text says it already in its own place.
    in_text: bool,
}

impl Notes {
    pub(super) fn add(&self, sentence: String, in_text: bool) {
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        notes.push(Note { sentence, in_text });
    }

    pub(super) fn take(&self) -> Vec<Note> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

pub(super) fn done_with(error: &ToolError) -> Done {
    (Ok(failed(error)), error.kind())
}

pub(super) fn response(
    outcome: Outcome,
    notes: Vec<Note>,
    request: Option<&HeaderValue>,
) -> CallToolResponse {
    let mut remarks = String::new();
    for note in notes.iter().filter(|note| !note.in_text) {
        remarks.push_str(if remarks.is_empty() { "\n\n" } else { "\n" });
        remarks.push_str(&note.sentence);
    }
    match outcome {
        Ok(mut answer) => {
            if let Value::Object(shown) = &mut answer.structured
                && !notes.is_empty()
            {
                let notes = notes.into_iter().map(|note| note.sentence.into()).collect();
                shown.insert(NOTES.to_owned(), Value::Array(notes));
            }
            let text = answer.text + &remarks;
            let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
            result.structured_content = Some(answer.structured);
            result.into()
        }
        Err(error) => failed_with(&error, &remarks, request),
    }
}

fn failed(error: &ToolError) -> CallToolResponse {
    failed_with(error, "", None)
}

/// An error has no structure, so that every client shows its text.
pub(super) fn failed_with(
    error: &ToolError,
    remarks: &str,
    request: Option<&HeaderValue>,
) -> CallToolResponse {
    let mut text = error.text() + remarks;
    if error.is_for_an_operator()
        && let Some(id) = request.and_then(|id| id.to_str().ok())
    {
        // Many clients show no headers, and whoever looks this up needs it.
        let _ = write!(text, "\nRequest id: {id}");
    }
    CallToolResult::error(vec![ContentBlock::text(text)]).into()
}
