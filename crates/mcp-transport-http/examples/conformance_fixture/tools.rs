//! The list of the tools. Names are the suite's.

use rmcp::{ErrorData, model::Tool};
use serde_json::{Value, json};

use crate::samples::wire;

/// Tools without arguments, and what they are for.
const PLAIN: &[(&str, &str)] = &[
    ("test_simple_text", "Gives a text"),
    ("test_image_content", "Gives an image"),
    ("test_audio_content", "Gives a sound"),
    ("test_embedded_resource", "Gives a resource"),
    (
        "test_multiple_content_types",
        "Gives a text, an image and a resource",
    ),
    ("test_error_handling", "Fails"),
    ("test_tool_with_progress", "Reports progress"),
    (
        "test_tool_with_logging",
        "Logs in revisions that negotiate it once",
    ),
    (
        "test_logging_tool",
        "Logs if the call says from which level on",
    ),
    (
        "test_missing_capability",
        "Works for clients with sampling only",
    ),
    (
        "test_streaming_elicitation",
        "Asks a question in its result",
    ),
    (
        "test_trigger_tool_change",
        "Tells listeners that the tools changed",
    ),
    (
        "test_trigger_prompt_change",
        "Tells listeners that the prompts changed",
    ),
    ("test_input_required_result_elicitation", "Asks for a name"),
    (
        "test_input_required_result_sampling",
        "Asks the client's model",
    ),
    (
        "test_input_required_result_list_roots",
        "Asks for the client's roots",
    ),
    (
        "test_input_required_result_request_state",
        "Asks, and sends state along",
    ),
    (
        "test_input_required_result_multiple_inputs",
        "Asks three things at once",
    ),
    (
        "test_input_required_result_multi_round",
        "Asks twice, one after the other",
    ),
    (
        "test_input_required_result_tampered_state",
        "Refuses state that was changed",
    ),
    (
        "test_input_required_result_capabilities",
        "Asks only what the client can do",
    ),
    ("test_without_arguments", "Does nothing"),
    ("failing_job", "Fails in a task"),
    ("protocol_error_job", "Breaks in a task"),
    ("multi_input", "Asks two things at once in a task"),
    ("test_tool_with_task", "Asks, and goes on in a task"),
];

pub(crate) fn all() -> Result<Vec<Tool>, ErrorData> {
    let none = || json!({"type": "object", "properties": {}});
    let plain = PLAIN
        .iter()
        .map(|(name, description)| tool(name, description, none()));
    let header = json!({
        "type": "object",
        "properties": {"value": {"type": "string", "x-mcp-header": "Value"}},
        "required": ["value"],
    });
    let of_one =
        |name: &str, kind: &str| json!({"type": "object", "properties": {name: {"type": kind}}});
    let special = [
        tool("greet", "Greets", of_one("name", "string")),
        tool(
            "slow_compute",
            "Takes so long, in a task",
            of_one("seconds", "integer"),
        ),
        tool(
            "confirm_delete",
            "Asks in a task",
            of_one("filename", "string"),
        ),
        tool(
            "test_custom_header",
            "Takes an argument that is also a header",
            header,
        ),
        tool(
            "json_schema_2020_12_tool",
            "Has a schema with many keywords",
            rich_schema(),
        ),
    ];
    plain.chain(special).map(wire).collect()
}

fn tool(name: &str, description: &str, schema: Value) -> Value {
    json!({"name": name, "description": description, "inputSchema": schema})
}

/// Keywords that a server must pass on even if it does not know them (SEP-1613, SEP-2106).
fn rich_schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {
            "address": {
                "$anchor": "address",
                "type": "object",
                "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
            },
        },
        "properties": {
            "name": {"type": "string"},
            "address": {"$ref": "#/$defs/address"},
            "contact": {"enum": ["phone", "email"]},
            "phone": {"type": "string"},
            "email": {"type": "string"},
        },
        "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
        "if": {"properties": {"contact": {"const": "phone"}}, "required": ["contact"]},
        "then": {"required": ["phone"]},
        "else": {"required": ["email"]},
        "additionalProperties": false,
    })
}
