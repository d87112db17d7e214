//! A stand-in for a cluster's API server, as far as kubectl needs one: it knows which kinds there are,
//! keeps the objects that it is sent, calls every Deployment ready, and can be told to refuse.
//! It checks no object: `cargo xtask check manifests` does, with Kubernetes' own schemas.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};

use crate::http;

/// API group and version, resource, kind.
const KINDS: &[(&str, &str, &str)] = &[
    ("api/v1", "configmaps", "ConfigMap"),
    ("api/v1", "serviceaccounts", "ServiceAccount"),
    ("api/v1", "services", "Service"),
    ("apis/apps/v1", "deployments", "Deployment"),
    (
        "apis/autoscaling/v2",
        "horizontalpodautoscalers",
        "HorizontalPodAutoscaler",
    ),
    (
        "apis/networking.k8s.io/v1",
        "networkpolicies",
        "NetworkPolicy",
    ),
    (
        "apis/policy/v1",
        "poddisruptionbudgets",
        "PodDisruptionBudget",
    ),
];

#[derive(Default)]
struct State {
    /// By the path of their API.
    objects: BTreeMap<String, Value>,
    writes: Vec<String>,
    refuses: Option<&'static str>,
}

/// A running stand-in; it lives as long as the test's process.
pub(crate) struct Cluster {
    pub(crate) port: u16,
    state: Arc<Mutex<State>>,
}

impl Cluster {
    pub(crate) fn start() -> Self {
        let state = Arc::<Mutex<State>>::default();
        let answering = state.clone();
        let port = http::serve(move |line, body| answering.lock().unwrap().answer(line, body));
        Self { port, state }
    }

    /// Every write with this word in its line is refused from now on.
    pub(crate) fn refuse(&self, word: &'static str) {
        self.state.lock().unwrap().refuses = Some(word);
    }

    /// What changed something, as `METHOD path`.
    pub(crate) fn writes(&self) -> Vec<String> {
        self.state.lock().unwrap().writes.clone()
    }

    /// The kept object whose path ends so.
    pub(crate) fn object(&self, end: &str) -> Option<Value> {
        let state = self.state.lock().unwrap();
        let mut found = state.objects.iter().filter(|(path, _)| path.ends_with(end));
        found.next().map(|(_, object)| object.clone())
    }
}

impl State {
    fn answer(&mut self, line: &str, body: &[u8]) -> (u16, Value) {
        let (method, target) = line.split_once(' ').unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        if let Some(answer) = discovery(path) {
            return (200, answer);
        }
        if method == "GET" {
            return self.read(path);
        }
        let body: Value = serde_json::from_slice(body).unwrap();
        let dry = query.contains("dryRun");
        if !dry {
            self.writes.push(format!("{method} {path}"));
            if self.refuses.is_some_and(|word| line.contains(word)) {
                return failure(403, "Forbidden");
            }
        }
        let (path, object) = match method {
            "POST" => {
                let name = body["metadata"]["name"].as_str().unwrap();
                (format!("{path}/{name}"), ready(body))
            }
            _ => {
                let mut object = self.objects[path].clone();
                merge(&mut object, &body);
                (path.to_owned(), ready(object))
            }
        };
        if !dry {
            self.objects.insert(path, object.clone());
        }
        (if method == "POST" { 201 } else { 200 }, object)
    }

    fn read(&self, path: &str) -> (u16, Value) {
        if let Some(object) = self.objects.get(path) {
            return (200, object.clone());
        }
        if !KINDS
            .iter()
            .any(|(_, resource, _)| path.ends_with(resource))
        {
            return failure(404, "NotFound");
        }
        let below = format!("{path}/");
        let found = self
            .objects
            .iter()
            .filter(|(path, _)| path.starts_with(&below));
        let items: Vec<_> = found.map(|(_, object)| object).collect();
        let metadata = json!({ "resourceVersion": "1" });
        (
            200,
            json!({ "apiVersion": "v1", "kind": "List", "metadata": metadata, "items": items }),
        )
    }
}

/// Which kinds there are, and that the server itself validates them.
fn discovery(path: &str) -> Option<Value> {
    let path = path.strip_prefix('/')?;
    let groups = KINDS.iter().map(|(group, _, _)| *group);
    match path {
        "api" => return Some(json!({ "kind": "APIVersions", "versions": ["v1"] })),
        "apis" => {
            let groups = groups
                .filter_map(|group| group.strip_prefix("apis/"))
                .map(|version| {
                    let (name, short) = version.split_once('/').unwrap();
                    let version = json!({ "groupVersion": version, "version": short });
                    json!({ "name": name, "versions": [version], "preferredVersion": version })
                });
            let groups: Vec<_> = groups.collect();
            return Some(json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups }));
        }
        "openapi/v3" => {
            let paths = groups.map(|group| {
                let url = format!("/openapi/v3/{group}");
                (group.to_owned(), json!({ "serverRelativeURL": url }))
            });
            return Some(json!({ "paths": paths.collect::<serde_json::Map<_, _>>() }));
        }
        _ => {}
    }
    let (group, schema) = match path.strip_prefix("openapi/v3/") {
        Some(group) => (group, true),
        None => (path, false),
    };
    let kinds: Vec<_> = KINDS.iter().filter(|(name, _, _)| *name == group).collect();
    if kinds.is_empty() {
        return None;
    }
    if schema {
        let paths = kinds.iter().map(|kind| validated(kind));
        let paths = paths.collect::<serde_json::Map<_, _>>();
        let info = json!({ "title": "stand-in", "version": "1" });
        return Some(json!({ "openapi": "3.0.0", "info": info, "paths": paths }));
    }
    let verbs = ["create", "get", "list", "patch", "watch"];
    let resources = kinds.iter().map(|(_, name, kind)| {
        json!({ "name": name, "singularName": "", "namespaced": true, "kind": kind, "verbs": verbs })
    });
    let resources: Vec<_> = resources.collect();
    let version = group.trim_start_matches("apis/").trim_start_matches("api/");
    Some(json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": version,
        "resources": resources,
    }))
}

/// The path of a kind, with the parameter by which kubectl knows that it need not validate.
fn validated((group, resource, kind): &(&str, &str, &str)) -> (String, Value) {
    let version = group.trim_start_matches("apis/").trim_start_matches("api/");
    let (name, version) = version.split_once('/').unwrap_or(("", version));
    let patch = json!({
        "x-kubernetes-group-version-kind": { "group": name, "version": version, "kind": kind },
        "parameters": [{ "name": "fieldValidation", "in": "query" }],
        "responses": { "200": { "description": "OK" } },
    });
    let object = format!("/{group}/namespaces/{{namespace}}/{resource}/{{name}}");
    (object, json!({ "patch": patch }))
}

/// As a controller leaves it once all pods serve.
fn ready(mut object: Value) -> Value {
    object["metadata"]["uid"] = "00000000-0000-4000-8000-000000000000".into();
    object["metadata"]["resourceVersion"] = "1".into();
    if object["kind"] == "Deployment" {
        object["metadata"]["generation"] = 1.into();
        object["status"] = json!({
            "observedGeneration": 1,
            "replicas": 1,
            "updatedReplicas": 1,
            "readyReplicas": 1,
            "availableReplicas": 1,
        });
    }
    object
}

/// A merge patch (RFC 7396). A list is replaced whole, which is a simplification: kubectl sends
/// lists as strategic merge patches, keyed by name.
fn merge(into: &mut Value, patch: &Value) {
    let (Some(fields), true) = (patch.as_object(), into.is_object()) else {
        *into = patch.clone();
        return;
    };
    for (name, value) in fields {
        if value.is_null() {
            into.as_object_mut().unwrap().remove(name);
        } else {
            merge(&mut into[name], value);
        }
    }
}

fn failure(code: u16, reason: &str) -> (u16, Value) {
    let message = "as the test wants it";
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure",
        "code": code, "reason": reason, "message": message,
    });
    (code, status)
}
