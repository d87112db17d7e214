//! The `OpenAPI` 3.1 document, made of the table of routes and the types that are sent.

use http::{Method, StatusCode};
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json as object};

use super::access::Needs;
use super::answer::{Problem, json};
use super::routes::{self, Content, Parameter, Route, schema};
use crate::operators::Right;

pub(super) static ROUTES: &[Route] = &[Route {
    method: Method::GET,
    path: "/openapi.json",
    needs: Needs::Nothing,
    id: "openapi",
    summary: "This document",
    query: &[],
    body: None,
    content: Content::Other("application/json"),
    answer: |admin, _| {
        Box::pin(async move {
            let numbers_need_token = admin.access.metrics_need_token();
            Ok(json(StatusCode::OK, &document(numbers_need_token)))
        })
    },
}];

/// The name of the one way to say who asks.
const TOKEN: &str = "token";

/// The document of a listener, where numbers need a token or do not.
fn document(numbers_need_token: bool) -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    let mut generator = settings.into_generator();
    let mut paths = Map::new();
    for route in routes::all() {
        let operation = operation(route, numbers_need_token, &mut generator);
        let path = paths.entry(route.path).or_insert_with(|| object!({}));
        if let Some(path) = path.as_object_mut() {
            path.insert(route.method.as_str().to_lowercase(), operation);
        }
    }
    let problem = content(&Content::Json(schema::<Problem>), &mut generator);
    object!({
        "openapi": "3.1.0",
        "info": {
            "title": "BrainGrid MCP server: operators",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "For those who run the server, on the listener of ADMIN_BIND.",
        },
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "responses": {
                "Problem": {
                    "description": "Why not, and what to do about it",
                    "content": problem,
                },
            },
            "securitySchemes": {
                TOKEN: {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token of ADMIN_TOKENS_FILE",
                },
            },
        },
    })
}

fn operation(route: &Route, numbers_need_token: bool, generator: &mut SchemaGenerator) -> Value {
    let operation = object!({
        "operationId": route.id,
        "summary": route.summary,
        "security": security(route.needs, numbers_need_token),
        "responses": responses(route, generator),
    });
    let parameters: Vec<_> = step(route)
        .into_iter()
        .chain(route.query.iter().map(in_query))
        .collect();
    let body = route.body.map(|body| {
        let content = content(&Content::Json(body), generator);
        object!({ "required": true, "content": content })
    });
    let parameters = (!parameters.is_empty()).then(|| parameters.into());
    let Value::Object(mut operation) = operation else {
        return operation;
    };
    operation.extend(parameters.map(|it| ("parameters".to_owned(), it)));
    operation.extend(body.map(|it| ("requestBody".to_owned(), it)));
    operation.into()
}

fn responses(route: &Route, generator: &mut SchemaGenerator) -> Value {
    let mut responses = object!({
        "200": { "description": route.summary, "content": content(&route.content, generator) },
        "default": { "$ref": "#/components/responses/Problem" },
    });
    if let (Content::JsonOr(_, status, when), Value::Object(all)) = (&route.content, &mut responses)
    {
        let content = content(&route.content, generator);
        let other = object!({ "description": when, "content": content });
        all.insert(status.as_str().to_owned(), other);
    }
    responses
}

/// Where numbers are open, a token is taken as well.
fn security(needs: Needs, numbers_need_token: bool) -> Value {
    match needs {
        Needs::Nothing => object!([]),
        Needs::Metrics if numbers_need_token => object!([{ TOKEN: [Right::Read.name()] }]),
        Needs::Metrics => object!([{}, { TOKEN: [Right::Read.name()] }]),
        Needs::Right(right) => object!([{ TOKEN: [right.name()] }]),
    }
}

fn content(content: &Content, generator: &mut SchemaGenerator) -> Value {
    match content {
        Content::Json(schema) | Content::JsonOr(schema, ..) => {
            object!({ "application/json": { "schema": schema(generator) } })
        }
        Content::Other(media_type) => object!({ *media_type: {} }),
    }
}

fn step(route: &Route) -> Option<Value> {
    let (_, name) = route.path.split_once('{')?;
    Some(object!({
        "name": name.trim_end_matches('}'),
        "in": "path",
        "required": true,
        "schema": { "type": "string" },
    }))
}

fn in_query(parameter: &Parameter) -> Value {
    let kind = if parameter.is_number {
        "integer"
    } else {
        "string"
    };
    object!({
        "name": parameter.name,
        "in": "query",
        "description": parameter.description,
        "schema": { "type": kind },
    })
}
