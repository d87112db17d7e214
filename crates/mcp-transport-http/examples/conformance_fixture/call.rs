//! What each tool does.

use std::time::Duration;

use rmcp::{
    ErrorData, RoleServer,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities,
        ProgressNotificationParam,
    },
    service::RequestContext,
};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    handler::{Change, Fixture, is_modern},
    input::{Answers, confirmation, open, question, required, roots, sampling, seal},
    samples::{self, audio, embedded, image, text, wire},
};

pub(crate) type Called = Result<CallToolResponse, ErrorData>;

/// Between the notifications of one call, so that they are seen to arrive one by one.
const STEP: Duration = Duration::from_millis(50);

pub(crate) async fn call(
    fixture: &Fixture,
    request: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Called {
    if let Some(called) = fixture.tasks().call(request, context).await {
        return called;
    }
    match request.name.as_ref() {
        "greet" => done(text(format!("Hello, {}!", name_in(request)))),
        "test_simple_text" => done(text("A simple text.")),
        "test_image_content" => done(image()),
        "test_audio_content" => done(audio()),
        "test_embedded_resource" => done(embedded("test://embedded-resource")),
        "test_multiple_content_types" => {
            let resource = embedded("test://mixed-content-resource");
            complete(json!({"content": [text("Three things:"), image(), resource]}))
        }
        "test_error_handling" => {
            let reason = text("This tool always fails, on purpose.");
            complete(json!({"content": [reason], "isError": true}))
        }
        "test_tool_with_progress" => progress(context).await,
        "test_tool_with_logging" => logging(context, !is_modern(context)).await,
        "test_logging_tool" => logging(context, context.meta.log_level().is_some()).await,
        "test_missing_capability" => missing_capability(context),
        "test_trigger_tool_change" => announce(fixture, Change::Tools),
        "test_trigger_prompt_change" => announce(fixture, Change::Prompts),
        "test_custom_header" | "test_without_arguments" | "json_schema_2020_12_tool" => {
            done(text("Done."))
        }
        _ => input(fixture, request, context),
    }
}

/// Whom to greet.
fn name_in(request: &CallToolRequestParams) -> &str {
    let name = request.arguments.as_ref().and_then(|it| it.get("name"));
    name.and_then(Value::as_str).unwrap_or_default()
}

/// The tools that need input from the client.
fn input(
    fixture: &Fixture,
    request: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Called {
    let answers = Answers::of(request.input_responses.as_ref());
    let name_question = || question("What is your name?", "name");
    match request.name.as_ref() {
        "test_input_required_result_elicitation" | "test_streaming_elicitation" => {
            match answers.accepted("user_name", "name")? {
                Some(name) => done(text(format!("Hello, {}!", plain(name)))),
                None => ask(json!({"user_name": name_question()}), None),
            }
        }
        "test_input_required_result_sampling" => match answers.get("capital_question")? {
            Some(answer) => done(text(format!("The model says: {answer}"))),
            None => {
                let request = sampling("What is the capital of France?");
                ask(json!({"capital_question": request}), None)
            }
        },
        "test_input_required_result_list_roots" => match answers.get("client_roots")? {
            Some(answer) => done(text(format!("The roots are: {answer}"))),
            None => ask(json!({"client_roots": roots()}), None),
        },
        "test_input_required_result_request_state"
        | "test_input_required_result_tampered_state" => with_state(fixture, request, &answers),
        "test_input_required_result_multiple_inputs" => several(fixture, request, &answers),
        "test_input_required_result_multi_round" => two_rounds(fixture, request, &answers),
        "test_input_required_result_capabilities" => possible(context),
        _ => Err(ErrorData::invalid_params("unknown tool", None)),
    }
}

fn with_state(fixture: &Fixture, request: &CallToolRequestParams, answers: &Answers<'_>) -> Called {
    let tool = request.name.as_ref();
    if answers.accepted("confirm", "ok")?.is_none() {
        let state = seal(fixture.keyring(), tool, "asked")?;
        let confirm = confirmation("Please confirm", "ok");
        return ask(json!({"confirm": confirm}), Some(state));
    }
    let state = open(fixture.keyring(), tool, request.request_state.as_deref())?;
    done(text(format!("state-ok: {state}")))
}

fn several(fixture: &Fixture, request: &CallToolRequestParams, answers: &Answers<'_>) -> Called {
    let tool = request.name.as_ref();
    let name = answers.accepted("user_name", "name")?;
    let greeting = answers.get("greeting")?;
    let (Some(name), Some(greeting), Some(roots_answer)) =
        (name, greeting, answers.get("client_roots")?)
    else {
        let requests = json!({
            "user_name": question("What is your name?", "name"),
            "greeting": sampling("Write a greeting"),
            "client_roots": roots(),
        });
        return ask(requests, Some(seal(fixture.keyring(), tool, "asked")?));
    };
    open(fixture.keyring(), tool, request.request_state.as_deref())?;
    done(text(format!("{}: {greeting}, {roots_answer}", plain(name))))
}

/// Which answer is due stands in the state, not in the answers.
fn two_rounds(fixture: &Fixture, request: &CallToolRequestParams, answers: &Answers<'_>) -> Called {
    let (keyring, tool) = (fixture.keyring(), request.name.as_ref());
    let state = match &request.request_state {
        Some(sealed) => open(keyring, tool, Some(sealed))?,
        None => String::new(),
    };
    if let Some(name) = state.strip_prefix("name:")
        && let Some(color) = answers.accepted("step2", "color")?
    {
        return done(text(format!("{name} likes {}.", plain(color))));
    }
    match answers.accepted("step1", "name")? {
        Some(name) if state == "step1" => {
            let state = seal(keyring, tool, &format!("name:{}", plain(name)))?;
            let color = question("Step 2: What is your favourite color?", "color");
            ask(json!({"step2": color}), Some(state))
        }
        _ => {
            let name = question("Step 1: What is your name?", "name");
            ask(json!({"step1": name}), Some(seal(keyring, tool, "step1")?))
        }
    }
}

/// Asks whatever this client declared that it can answer.
fn possible(context: &RequestContext<RoleServer>) -> Called {
    let client = context.client_capabilities().unwrap_or_default();
    let mut requests = serde_json::Map::new();
    if client.sampling.is_some() {
        requests.insert("greeting".to_owned(), sampling("Write a greeting"));
    }
    if client.elicitation.is_some() {
        let name = question("What is your name?", "name");
        requests.insert("user_name".to_owned(), name);
    }
    if client.roots.is_some() {
        requests.insert("client_roots".to_owned(), roots());
    }
    if requests.is_empty() {
        return done(text("This client can be asked nothing."));
    }
    ask(requests.into(), None)
}

fn missing_capability(context: &RequestContext<RoleServer>) -> Called {
    let client = context.client_capabilities().unwrap_or_default();
    if client.sampling.is_some() {
        return done(text("This client has sampling."));
    }
    let needed: ClientCapabilities = wire(json!({"sampling": {}}))?;
    Err(ErrorData::missing_required_client_capability(needed))
}

async fn progress(context: &RequestContext<RoleServer>) -> Called {
    if let Some(token) = context.meta.get_progress_token() {
        for progress in [0.0, 50.0, 100.0] {
            let step = ProgressNotificationParam::new(token.clone(), progress).with_total(100.0);
            send(context.peer.notify_progress(step).await)?;
            sleep(STEP).await;
        }
    }
    done(text("Done in three steps."))
}

#[expect(
    deprecated,
    reason = "the suite checks logging as long as revisions have it"
)]
async fn logging(context: &RequestContext<RoleServer>, wanted: bool) -> Called {
    use rmcp::model::{LoggingLevel, LoggingMessageNotificationParam};
    if wanted {
        for step in ["started", "working", "finished"] {
            let message = LoggingMessageNotificationParam::new(LoggingLevel::Info, json!(step));
            send(context.peer.notify_logging_message(message).await)?;
            sleep(STEP).await;
        }
    }
    done(text("Done."))
}

fn announce(fixture: &Fixture, change: Change) -> Called {
    fixture.announce(change);
    done(text("Every listener was told."))
}

fn send<E: std::fmt::Display>(sent: Result<(), E>) -> Result<(), ErrorData> {
    sent.map_err(|error| ErrorData::internal_error(error.to_string(), None))
}

pub(crate) fn done(content: Value) -> Called {
    complete(json!({"content": [content]}))
}

pub(crate) fn complete(result: Value) -> Called {
    let result: CallToolResult = samples::complete(result)?;
    Ok(result.into())
}

pub(crate) fn ask(requests: Value, state: Option<String>) -> Called {
    Ok(required(requests, state)?.into())
}

/// A text without its quotes.
pub(crate) fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}
