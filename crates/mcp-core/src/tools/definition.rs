//! What a tool is: name, description, hints, schemas and the function that does it.

use std::{future::Future, sync::Arc};

use futures::{FutureExt, future::BoxFuture};
use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use schemars::{
    JsonSchema,
    generate::{Contract, SchemaSettings},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    Arguments,
    args::{self, filter::filter_unknown, read::Fields},
    call::Call,
    error::ToolError,
    journal::{ALLOW_DUPLICATE, ShowAgain},
};
use crate::Caller;

/// What a tool does to BrainGrid; it decides how the call is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Effect {
    /// Nothing: dropped when the client leaves.
    Read,
    /// A change: finished once begun.
    Write,
    /// A change in which BrainGrid's AI works for minutes: reports progress.
    Slow,
}

impl Effect {
    pub(crate) fn changes_something(self) -> bool {
        self != Self::Read
    }
}

/// What a tool answers: text for the model and the same as an object.
#[derive(Debug)]
pub(crate) struct ToolOutput {
    pub(crate) text: String,
    pub(crate) structured: Value,
}

/// What a built-in tool gives back.
pub(crate) type Outcome = Result<ToolOutput, ToolError>;

/// Runs a tool with arguments that it has.
pub(crate) type RunTool = Arc<dyn Fn(Call, Arguments) -> BoxFuture<'static, Outcome> + Send + Sync>;

/// What runs a built-in tool.
pub(crate) struct BuiltIn {
    pub(crate) fields: Fields,
    pub(crate) run: RunTool,
    /// Whether it makes something: the same call twice would make two.
    pub(crate) creates: bool,
    /// Whether it is about all projects of an organization at once.
    pub(crate) of_all_projects: bool,
    /// Shows what a call did before, in place of doing it again.
    pub(crate) show_again: Option<ShowAgain>,
}

impl BuiltIn {
    /// What the arguments of a call mean; what became of the rest is noted.
    ///
    /// # Errors
    /// With the first that means nothing.
    pub(crate) fn read(&self, arguments: Arguments, call: &Call) -> Result<Arguments, ToolError> {
        let mut notes = Vec::new();
        let read = self.read_for(call.caller(), arguments, &mut notes);
        call.note_all(notes);
        read
    }

    /// The same, before there is a call.
    pub(crate) fn read_for(
        &self,
        caller: &Caller,
        arguments: Arguments,
        notes: &mut Vec<String>,
    ) -> Result<Arguments, ToolError> {
        let arguments = Self::without_organization(arguments, caller)?;
        let read = filter_unknown(arguments, &self.fields, notes)?;
        self.with_project(read, caller)
    }
}

/// A built-in tool.
pub(crate) struct Definition {
    pub(crate) name: &'static str,
    pub(crate) effect: Effect,
    pub(crate) experimental: bool,
    pub(crate) built_in: BuiltIn,
    description: &'static str,
    hints: ToolAnnotations,
    input: JsonObject,
    output: JsonObject,
}

impl Definition {
    /// A tool that changes nothing and answers an `O`.
    pub(crate) fn read<A, O, F, Fut>(name: &'static str, description: &'static str, run: F) -> Self
    where
        A: DeserializeOwned + JsonSchema,
        O: Serialize + JsonSchema,
        F: Fn(Call, A) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(String, O), ToolError>> + Send + 'static,
    {
        let mut definition = Self::write(name, description, run);
        definition.effect = Effect::Read;
        definition.hints = ToolAnnotations::new().read_only(true).open_world(false);
        definition
    }

    /// A tool that makes something; a second one only where the call says so.
    pub(crate) fn create<A, O, F, Fut>(
        name: &'static str,
        description: &'static str,
        run: F,
        show_again: ShowAgain,
    ) -> Self
    where
        A: DeserializeOwned + JsonSchema,
        O: Serialize + JsonSchema,
        F: Fn(Call, A) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(String, O), ToolError>> + Send + 'static,
    {
        let mut schema = derived::<A>(Contract::Deserialize);
        let properties = schema.get_mut("properties");
        if let Some(properties) = properties.and_then(Value::as_object_mut) {
            let allow = json!({
                "type": "boolean",
                "description": "Once more",
            });
            properties.insert(ALLOW_DUPLICATE.to_owned(), allow);
        }
        let mut definition = Self::with_schema(name, description, schema, run);
        definition.built_in.creates = true;
        definition.show_again(show_again)
    }

    /// A tool that changes something.
    pub(crate) fn write<A, O, F, Fut>(name: &'static str, description: &'static str, run: F) -> Self
    where
        A: DeserializeOwned + JsonSchema,
        O: Serialize + JsonSchema,
        F: Fn(Call, A) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(String, O), ToolError>> + Send + 'static,
    {
        Self::with_schema(name, description, derived::<A>(Contract::Deserialize), run)
    }

    fn with_schema<A, O, F, Fut>(
        name: &'static str,
        description: &'static str,
        schema: Value,
        run: F,
    ) -> Self
    where
        A: DeserializeOwned,
        O: Serialize + JsonSchema,
        F: Fn(Call, A) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(String, O), ToolError>> + Send + 'static,
    {
        let fields = Fields::of(&schema);
        Self {
            name,
            effect: Effect::Write,
            experimental: false,
            description,
            hints: ToolAnnotations::new()
                .read_only(false)
                .destructive(false)
                .idempotent(false)
                .open_world(false),
            input: compacted(schema),
            output: output::<O>(),
            built_in: BuiltIn {
                fields,
                creates: false,
                of_all_projects: false,
                show_again: None,
                run: Arc::new(move |call, arguments| match args::parse::<A>(arguments) {
                    Ok(arguments) => run(call, arguments).map(|done| answer(done?)).boxed(),
                    Err(error) => std::future::ready(Err(error)).boxed(),
                }),
            },
        }
    }

    /// What shows, in place of doing it again, what a call did before.
    pub(crate) fn show_again(mut self, show: ShowAgain) -> Self {
        self.built_in.show_again = Some(show);
        self
    }

    /// Doing it twice is doing it once.
    pub(crate) fn idempotent(mut self) -> Self {
        self.hints.idempotent_hint = Some(true);
        self
    }

    /// It overwrites or deletes.
    pub(crate) fn destructive(mut self) -> Self {
        self.hints.destructive_hint = Some(true);
        self
    }

    /// It lets BrainGrid's AI work for minutes, which costs credits.
    pub(crate) fn slow(mut self) -> Self {
        self.effect = Effect::Slow;
        self.open_world()
    }

    /// It reaches beyond BrainGrid.
    pub(crate) fn open_world(mut self) -> Self {
        self.hints.open_world_hint = Some(true);
        self
    }

    /// It shows what there is in all projects: at the address of one it is not there.
    pub(crate) fn of_all_projects(mut self) -> Self {
        self.built_in.of_all_projects = true;
        self
    }

    /// Its route is a guess: off unless asked for.
    pub(crate) fn experimental(mut self) -> Self {
        self.experimental = true;
        self
    }

    pub(crate) fn tool(&self) -> Tool {
        Tool::new(self.name, self.description, Arc::new(self.input.clone()))
            .with_title(title(self.name))
            .with_annotations(self.hints.clone())
            .with_raw_output_schema(Arc::new(self.output.clone()))
    }
}

/// The name as people read it: `list_projects` is "List projects".
fn title(name: &str) -> String {
    let words = name.replace('_', " ");
    let mut letters = words.chars();
    let initial = letters.next().map(|letter| letter.to_ascii_uppercase());
    initial.into_iter().chain(letters).collect()
}

pub(super) fn answer<O: Serialize>((text, shown): (String, O)) -> Outcome {
    let structured = serde_json::to_value(shown).map_err(|_| ToolError::internal())?;
    Ok(ToolOutput { text, structured })
}

/// The schema of `T`.
fn derived<T: JsonSchema>(contract: Contract) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.meta_schema = None;
        settings.contract = contract;
        settings.inline_subschemas = true;
    });
    settings
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value()
}

/// The schema of what is answered: what comes back speaks for itself, and any of it may have notes.
fn output<T: JsonSchema>() -> JsonObject {
    let mut schema = derived::<T>(Contract::Serialize);
    without_descriptions(&mut schema);
    let mut schema = compacted(schema);
    let properties = schema.entry("properties").or_insert_with(|| json!({}));
    if let Some(properties) = properties.as_object_mut() {
        let notes = json!({"type": "array", "items": {"type": "string"}});
        properties.insert(NOTES.to_owned(), notes);
    }
    schema
}

/// Where an answer says what else there is to say.
pub(super) const NOTES: &str = "notes";

/// The schema without what costs tokens and says nothing.
fn compacted(mut schema: Value) -> JsonObject {
    if let Some(root) = schema.as_object_mut() {
        root.remove("description");
        // Required by MCP also where there are no arguments.
        root.entry("type").or_insert_with(|| "object".into());
    }
    compact(&mut schema);
    match schema {
        Value::Object(schema) => schema,
        _ => JsonObject::new(),
    }
}

fn compact(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if map.get("default").is_some_and(Value::is_null) {
                map.remove("default");
            }
            for noise in ["title", "format"] {
                // Only as a keyword: a property may have that name.
                if !map.get(noise).is_some_and(Value::is_object) {
                    map.remove(noise);
                }
            }
            if map.get("minimum") == Some(&Value::from(0)) {
                map.remove("minimum");
            }
            if let Some(kind) = map.get_mut("type") {
                without_null(kind);
            }
            if let Some(Value::Array(values)) = map.get_mut("enum") {
                values.retain(|value| !value.is_null());
            }
            map.values_mut().for_each(compact);
        }
        Value::Array(values) => values.iter_mut().for_each(compact),
        _ => {}
    }
}

fn without_descriptions(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if map.get("description").is_some_and(Value::is_string) {
                map.remove("description");
            }
            map.values_mut().for_each(without_descriptions);
        }
        Value::Array(values) => values.iter_mut().for_each(without_descriptions),
        _ => {}
    }
}

/// `["string", "null"]` is `"string"`: what is not there is left out.
fn without_null(kind: &mut Value) {
    let Some(kinds) = kind.as_array_mut() else {
        return;
    };
    kinds.retain(|kind| kind != "null");
    if let [only] = kinds.as_slice() {
        *kind = only.clone();
    }
}
