//! The section `[cloud-run]` of an environment, and the service description made of it.

use std::collections::BTreeMap;

use anyhow::bail;
use serde_json::{Map, Value, json};

use crate::deploy::environment::{Environment, strings};

/// The port that the server is told; Cloud Run sets `PORT` to it.
const PORT: u16 = 8080;

/// The section `[cloud-run]`.
#[derive(Debug)]
pub(super) struct CloudRun {
    pub(super) project: String,
    pub(super) region: String,
    pub(super) service: String,
    pub(super) service_account: Option<String>,
    pub(super) network: Option<(String, String)>,
    pub(super) cpu: String,
    pub(super) memory: String,
    pub(super) min_instances: String,
    pub(super) max_instances: String,
    pub(super) concurrency: u32,
    pub(super) timeout: u32,
    /// Variable and secret, as `name:version`.
    pub(super) secrets: BTreeMap<String, (String, String)>,
}

pub(super) fn section(environment: &Environment) -> anyhow::Result<CloudRun> {
    let mut table = environment.platform.clone();
    let mut wrong = Vec::new();
    let references = strings(table.remove("secrets"), "cloud-run.secrets", &mut wrong);
    let mut texts = strings(Some(toml::Value::Table(table)), "cloud-run", &mut wrong);
    let mut take = |key: &str| texts.remove(key);
    let mut or = |key: &str, default: &str| take(key).unwrap_or_else(|| default.to_owned());
    let (cpu, memory) = (or("cpu", "1"), or("memory", "512Mi"));
    let service = or("service", "braingrid-mcp");
    let (min_instances, max_instances) = (or("min_instances", "1"), or("max_instances", "100"));
    let (concurrency, timeout) = (or("concurrency", "80"), or("timeout", "300"));
    let network = take("network").map(|network| {
        let subnet = take("subnet").unwrap_or_else(|| network.clone());
        (network, subnet)
    });
    let (project, region) = (take("project"), take("region"));
    let service_account = take("service_account");
    wrong.extend(
        texts
            .keys()
            .map(|key| format!("unknown key cloud-run.{key}")),
    );
    let mut secrets = BTreeMap::new();
    for (name, reference) in references {
        match secret(&reference) {
            Some(secret) => drop(secrets.insert(name, secret)),
            None => wrong.push(format!(
                "cloud-run.secrets.{name} must be name:version of a secret"
            )),
        }
    }
    let named = environment.client_secrets();
    if let Some(named) = named.filter(|all| !all.iter().any(|it| secrets.contains_key(*it))) {
        wrong.push(format!(
            "cloud-run.secrets has none of {}: the server cannot prove which client it is",
            named.join(" and ")
        ));
    }
    if environment.settings.contains_key("PORT") {
        wrong.push("Cloud Run sets PORT itself".to_owned());
    }
    for (name, value) in [
        ("concurrency", &concurrency),
        ("timeout", &timeout),
        ("min_instances", &min_instances),
        ("max_instances", &max_instances),
    ] {
        if value.parse::<u32>().is_err() {
            wrong.push(format!("cloud-run.{name} must be a number"));
        }
    }
    for (name, value) in [("project", &project), ("region", &region)] {
        if value.is_none() {
            wrong.push(format!("cloud-run.{name} is missing"));
        }
    }
    if !wrong.is_empty() {
        bail!(
            "the environment '{}' cannot be deployed: {}",
            environment.name,
            wrong.join("; ")
        );
    }
    Ok(CloudRun {
        project: project.unwrap_or_default(),
        region: region.unwrap_or_default(),
        service,
        service_account,
        network,
        cpu,
        memory,
        min_instances,
        max_instances,
        concurrency: concurrency.parse()?,
        timeout: timeout.parse()?,
        secrets,
    })
}

/// `name` or `name:version` of Secret Manager.
fn secret(reference: &str) -> Option<(String, String)> {
    let (name, version) = reference.split_once(':').unwrap_or((reference, "latest"));
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let named = !name.is_empty() && name.chars().all(plain);
    let versioned = version == "latest" || version.parse::<u32>().is_ok();
    (named && versioned).then(|| (name.to_owned(), version.to_owned()))
}

pub(super) fn render(environment: &Environment, run: &CloudRun) -> Value {
    let mut spec = fields(json!({
        "containerConcurrency": run.concurrency,
        "timeoutSeconds": run.timeout,
        "containers": [{
            "image": environment.image,
            "ports": [{ "name": "http1", "containerPort": PORT }],
            "env": variables(environment, run),
            "resources": { "limits": { "cpu": run.cpu, "memory": run.memory } },
            // Not /healthz, which Google's front end answers itself.
            "startupProbe": probe(1, 30),
            "livenessProbe": probe(10, 3),
        }],
    }));
    if let Some(account) = &run.service_account {
        spec.insert("serviceAccountName".to_owned(), json!(account));
    }
    json!({
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {
            "name": run.service,
            "labels": { "environment": environment.name },
            "annotations": { "run.googleapis.com/ingress": "all" },
        },
        "spec": {
            "template": { "metadata": { "annotations": annotations(run) }, "spec": spec },
            "traffic": [{ "percent": 100, "latestRevision": true }],
        },
    })
}

fn annotations(run: &CloudRun) -> Map<String, Value> {
    let mut annotations = fields(json!({
        "autoscaling.knative.dev/minScale": run.min_instances,
        "autoscaling.knative.dev/maxScale": run.max_instances,
        "run.googleapis.com/startup-cpu-boost": "true",
        "run.googleapis.com/execution-environment": "gen2",
    }));
    if let Some((network, subnet)) = &run.network {
        // Only what is private, which is Redis, goes through the network.
        let interfaces = json!([{ "network": network, "subnetwork": subnet }]).to_string();
        annotations.extend(fields(json!({
            "run.googleapis.com/network-interfaces": interfaces,
            "run.googleapis.com/vpc-access-egress": "private-ranges-only",
        })));
    }
    annotations
}

/// An object's fields, for those that are only sometimes there.
fn fields(object: Value) -> Map<String, Value> {
    match object {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn probe(period: u32, failures: u32) -> Value {
    json!({
        "httpGet": { "path": "/health", "port": PORT },
        "periodSeconds": period,
        "timeoutSeconds": 1,
        "failureThreshold": failures,
    })
}

fn variables(environment: &Environment, run: &CloudRun) -> Vec<Value> {
    let plain = environment
        .settings
        .iter()
        .map(|(name, value)| json!({ "name": name, "value": value }));
    let secret = run.secrets.iter().map(|(variable, (name, version))| {
        let reference = json!({ "name": name, "key": version });
        json!({ "name": variable, "valueFrom": { "secretKeyRef": reference } })
    });
    plain.chain(secret).collect()
}
