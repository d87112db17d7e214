//! The prompts.

use rmcp::{
    ErrorData,
    model::{GetPromptRequestParams, GetPromptResponse, GetPromptResult, ListPromptsResult},
};
use serde_json::{Value, json};

use crate::{
    input::{Answers, question, required},
    samples::{complete, embedded, image, text},
};

pub(crate) fn list() -> Result<ListPromptsResult, ErrorData> {
    let argument =
        |name| json!({"name": name, "description": "Appears in the text", "required": true});
    complete(json!({"prompts": [
        {"name": "test_simple_prompt", "description": "A fixed text"},
        {"name": "test_prompt_with_arguments", "description": "A text with both arguments in it",
         "arguments": [argument("arg1"), argument("arg2")]},
        {"name": "test_prompt_with_embedded_resource", "description": "A resource and a text",
         "arguments": [argument("resourceUri")]},
        {"name": "test_prompt_with_image", "description": "An image and a text"},
        {"name": "test_input_required_result_prompt", "description": "Asks for its context first"},
    ]}))
}

pub(crate) fn get(request: &GetPromptRequestParams) -> Result<GetPromptResponse, ErrorData> {
    let argument = |name: &str| {
        let value = request.arguments.as_ref().and_then(|all| all.get(name));
        value
            .and_then(Value::as_str)
            .ok_or_else(|| ErrorData::invalid_params(format!("{name} is missing"), None))
    };
    let contents = match request.name.as_str() {
        "test_simple_prompt" => vec![text("A simple prompt.")],
        "test_prompt_with_arguments" => {
            let (first, second) = (argument("arg1")?, argument("arg2")?);
            vec![text(format!("The arguments are {first} and {second}."))]
        }
        "test_prompt_with_embedded_resource" => {
            vec![embedded(argument("resourceUri")?), text("Summarize it.")]
        }
        "test_prompt_with_image" => vec![image(), text("Describe it.")],
        "test_input_required_result_prompt" => {
            let answers = Answers::of(request.input_responses.as_ref());
            let Some(context) = answers.accepted("user_context", "context")? else {
                let ask = question("Which context should the prompt use?", "context");
                let input = required(json!({"user_context": ask}), None)?;
                return Ok(input.into());
            };
            vec![text(format!("Use this context: {context}"))]
        }
        _ => return Err(ErrorData::invalid_params("unknown prompt", None)),
    };
    let messages: Vec<_> = contents
        .into_iter()
        .map(|content| json!({"role": "user", "content": content}))
        .collect();
    let result: GetPromptResult = complete(json!({"messages": messages}))?;
    Ok(result.into())
}
