//! The document of the listener: it is what it says, path by path.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Operators, WRITE};
use crate::world::World;

/// Everything in a document below a key.
fn all<'d>(value: &'d Value, key: &str, found: &mut Vec<&'d Value>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if name == key {
                    found.push(value);
                }
                all(value, key, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| all(item, key, found)),
        _ => {}
    }
}

/// What a body may be, so that nothing comes of it. What is new has a line here.
fn harmless(operation: &str) -> Option<Value> {
    Some(match operation {
        "set_log_level" => json!({"level": "info"}),
        "revoke" | "suspend" | "resume" => json!({"whom": {"kind": "user", "subject": "nobody"}}),
        _ => return None,
    })
}

#[tokio::test]
async fn every_operation_of_the_document_is_answered_as_it_says() {
    let world = World::small().await;
    let (_server, operators) = Operators::start(&world, world.command()).await;
    let document = operators.get("/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    let mut references = Vec::new();
    all(&document, "$ref", &mut references);
    assert!(references.len() > 10);
    for reference in references {
        let place = reference.as_str().unwrap().strip_prefix('#').unwrap();
        assert!(document.pointer(place).is_some(), "{place} leads nowhere");
    }
    let mut ids = BTreeSet::new();
    let mut count = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            count += 1;
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id), "{id} is there twice");
            let method = method.to_uppercase();
            let path = path.replace("{id}", "none");
            let body = operation
                .get("requestBody")
                .map(|_| harmless(id).expect(id));
            let ask = async |token: Option<&str>| {
                let mut request = operators.request(&method, &path);
                if let Some(token) = token {
                    request = request.bearer_auth(token);
                }
                if let Some(body) = &body {
                    request = request.json(body);
                }
                operators.send(request).await
            };
            let security = operation["security"].as_array().unwrap();
            let is_open = security.is_empty() || security.contains(&json!({}));
            let anybody = ask(None).await;
            assert_eq!(anybody.status != 401, is_open, "{id}: {}", anybody.text);
            let answer = ask(Some(WRITE)).await;
            // Of a thing that is not there, the operation says so.
            let is_known = answer.status == 200
                || (answer.status == 404 && !answer.text.contains("no such path"));
            assert!(is_known, "{id}: {} {}", answer.status, answer.text);
            let (media_type, _) = operation["responses"]["200"]["content"]
                .as_object()
                .unwrap()
                .iter()
                .next()
                .unwrap();
            assert!(
                answer
                    .header("content-type")
                    .starts_with(media_type.as_str()),
                "{id}"
            );
        }
    }
    assert_eq!(count, ids.len());
    let listed = operators.get("/").await.json();
    let listed: BTreeSet<_> = listed["paths"]
        .as_array()
        .unwrap()
        .iter()
        .map(Value::as_str)
        .collect();
    let described: BTreeSet<_> = document["paths"]
        .as_object()
        .unwrap()
        .keys()
        .map(|it| Some(it.as_str()))
        .collect();
    assert_eq!(listed, described);
}

#[tokio::test]
async fn the_document_says_what_else_may_come_and_who_needs_a_token() {
    let world = World::small().await;
    let (_server, operators) = Operators::start(&world, world.command()).await;
    let document = operators.get("/openapi.json").await.json();
    for (path, method, status) in [
        ("/ready", "get", "503"),
        ("/admin/v1/revoke", "post", "202"),
        ("/admin/v1/suspend", "post", "202"),
        ("/admin/v1/resume", "post", "202"),
    ] {
        let responses = &document["paths"][path][method]["responses"];
        assert_eq!(responses[status]["content"], responses["200"]["content"]);
        assert!(responses[status]["content"].is_object(), "{path}");
    }
    let security = |document: &Value| document["paths"]["/metrics"]["get"]["security"].clone();
    assert_eq!(security(&document), json!([{}, {"token": ["read"]}]));
    let command = world.command().env("ADMIN_METRICS", "token");
    let (_server, operators) = Operators::start(&world, command).await;
    let document = operators.get("/openapi.json").await.json();
    assert_eq!(security(&document), json!([{"token": ["read"]}]));
}
