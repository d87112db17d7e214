//! Kubernetes: a Kustomize overlay over `deploy/kubernetes/base`, rendered by kubectl.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::{
    Step,
    environment::{Environment, strings},
    next_steps, perform, write,
};
use crate::shell;

const BASE: &str = "deploy/kubernetes/base";

/// Pods have 30 seconds, of which they spend the first five waiting.
const DRAIN: &str = "20s";

/// The variables of the base that come from its Secret, the first of all.
const SECRETS: usize = 7;

/// Where the base names it for the file of operators.
const VOLUME: &str = "/spec/template/spec/volumes/0/secret/secretName";

/// The section `[kubernetes]`.
#[derive(Debug)]
struct Cluster {
    namespace: String,
    secret: String,
    /// Of the kubeconfig; none means the current one.
    context: Option<String>,
    min: u32,
    max: u32,
}

pub(crate) fn deploy(environment: &Environment, dir: &Path, apply: bool) -> anyhow::Result<()> {
    let cluster = section(environment)?;
    let file = render(environment, dir)?;
    show(&cluster, &file);
    let steps = steps(&cluster, &file);
    if apply {
        perform(steps)?;
        println!(
            "\ndeployed  braingrid-mcp to namespace {}",
            cluster.namespace
        );
    } else {
        println!("\nwould then, with --apply:");
        for step in &steps {
            println!("  {}", step.what);
        }
    }
    let mut keys = "encryption-key and redis-url".to_owned();
    if let Some(secrets) = environment.client_secrets() {
        let named = secrets.map(|name| name.to_lowercase().replace('_', "-"));
        keys = format!("{keys}, and {}", named.join(" or "));
    }
    println!(
        "\nThe cluster must hold the Secret {} with the keys {keys}.",
        cluster.secret
    );
    let dns = format!(
        "{}, by your ingress or gateway, to the Service braingrid-mcp, port 80",
        environment.host()
    );
    next_steps(environment, &dns);
    Ok(())
}

/// Writes an overlay of its own for the environment, and what Kustomize makes of it.
pub(crate) fn render(environment: &Environment, dir: &Path) -> anyhow::Result<PathBuf> {
    let cluster = section(environment)?;
    copy_base(&dir.join("base"))?;
    let overlay = overlay(environment, &cluster);
    // Kustomize looks for that name, and JSON is YAML.
    write(dir, "kustomization.yaml", &format!("{overlay:#}\n"))?;
    if !shell::answers(Command::new("kubectl").args(["version", "--client"])) {
        bail!("rendered an overlay; to go on, install kubectl (it brings Kustomize)");
    }
    let manifests = shell::output(Command::new("kubectl").arg("kustomize").arg(dir))?;
    write(dir, "manifests.yaml", &manifests)
}

/// What would change in the cluster, if there is one to ask.
fn show(cluster: &Cluster, file: &Path) {
    let diff = kubectl(cluster, ["diff", "--filename"]).arg(file).output();
    match diff {
        Ok(output) if output.status.success() => println!("\nnothing would change"),
        Ok(output) if output.status.code() == Some(1) && !output.stdout.is_empty() => {
            println!(
                "\nwould change:\n{}",
                String::from_utf8_lossy(&output.stdout)
            );
        }
        Ok(output) => {
            let complaint = String::from_utf8_lossy(&output.stderr);
            let last = complaint.lines().next_back().unwrap_or("kubectl failed");
            println!("\ncannot compare with what is live: {last}");
        }
        Err(error) => println!("\ncannot compare with what is live: {error}"),
    }
}

fn steps(cluster: &Cluster, file: &Path) -> Vec<Step> {
    let mut apply = kubectl(cluster, ["apply", "--filename"]);
    apply.arg(file);
    let mut wait = kubectl(cluster, ["rollout", "status"]);
    wait.args(["deployment/braingrid-mcp", "--timeout=300s"]);
    wait.args(["--namespace", &cluster.namespace]);
    vec![
        Step {
            what: "apply the manifests",
            command: apply,
        },
        Step {
            what: "wait until the new pods serve",
            command: wait,
        },
    ]
}

fn kubectl<const N: usize>(cluster: &Cluster, arguments: [&str; N]) -> Command {
    let mut command = Command::new("kubectl");
    if let Some(context) = &cluster.context {
        command.args(["--context", context]);
    }
    command.args(arguments);
    command
}

fn section(environment: &Environment) -> anyhow::Result<Cluster> {
    let mut wrong = Vec::new();
    let table = toml::Value::Table(environment.platform.clone());
    let mut texts: BTreeMap<_, _> = strings(Some(table), "kubernetes", &mut wrong);
    let mut or = |key: &str, default: &str| texts.remove(key).unwrap_or_else(|| default.to_owned());
    let (namespace, secret) = (
        or("namespace", "braingrid-mcp"),
        or("secret_name", "braingrid-mcp"),
    );
    let (min, max) = (or("min_replicas", "2"), or("max_replicas", "20"));
    let context = texts.remove("context");
    wrong.extend(
        texts
            .keys()
            .map(|key| format!("unknown key kubernetes.{key}")),
    );
    let (min, max) = match (min.parse(), max.parse()) {
        (Ok(min), Ok(max)) if min >= 1 && min <= max => (min, max),
        _ => {
            wrong.push(
                "kubernetes.min_replicas and max_replicas must be numbers, in order".to_owned(),
            );
            (1, 1)
        }
    };
    if !wrong.is_empty() {
        bail!(
            "the environment '{}' cannot be deployed: {}",
            environment.name,
            wrong.join("; ")
        );
    }
    Ok(Cluster {
        namespace,
        secret,
        context,
        min,
        max,
    })
}

/// Beside the overlay, for Kustomize reads nothing that is above it by an absolute path.
fn copy_base(to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    let from = shell::root().join(BASE);
    for entry in fs::read_dir(&from).with_context(|| format!("cannot read {BASE}"))? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name())).context("cannot copy a manifest")?;
    }
    Ok(())
}

/// What the server is told.
pub(crate) fn settings(environment: &Environment) -> BTreeMap<String, String> {
    let mut settings = environment.settings.clone();
    for (name, value) in [("PORT", "8080"), ("DRAIN_TIMEOUT", DRAIN)] {
        settings
            .entry(name.to_owned())
            .or_insert_with(|| value.to_owned());
    }
    settings
}

fn overlay(environment: &Environment, cluster: &Cluster) -> Value {
    let literals: Vec<_> = settings(environment)
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let replicas = json!([
        { "op": "replace", "path": "/spec/minReplicas", "value": cluster.min },
        { "op": "replace", "path": "/spec/maxReplicas", "value": cluster.max },
    ]);
    let of_variables = (0..SECRETS).map(|number| {
        format!("/spec/template/spec/containers/0/env/{number}/valueFrom/secretKeyRef/name")
    });
    let secrets: Vec<_> = of_variables
        .chain([VOLUME.to_owned()])
        .map(|path| json!({ "op": "replace", "path": path, "value": cluster.secret }))
        .collect();
    json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": cluster.namespace,
        "resources": ["base"],
        "images": [image(&environment.image)],
        // Its name carries a digest: a changed setting rolls the pods.
        "configMapGenerator": [{ "name": "braingrid-mcp", "literals": literals }],
        "patches": [
            { "target": { "kind": "HorizontalPodAutoscaler" }, "patch": replicas.to_string() },
            { "target": { "kind": "Deployment" }, "patch": Value::from(secrets).to_string() },
        ],
    })
}

/// Name, and digest or tag. A colon before the last slash belongs to the registry's port.
fn image(reference: &str) -> Value {
    if let Some((name, digest)) = reference.split_once('@') {
        return json!({ "name": "braingrid-mcp", "newName": name, "digest": digest });
    }
    match reference.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => {
            json!({ "name": "braingrid-mcp", "newName": name, "newTag": tag })
        }
        _ => json!({ "name": "braingrid-mcp", "newName": reference, "newTag": "latest" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_secret_of_the_base_is_taken_from_the_secret_that_is_named() {
        let base = shell::read(&format!("{BASE}/deployment.yaml")).unwrap();
        let (_, variables) = base.split_once("          env:\n").unwrap();
        let mut variables = variables.split("- name: ").skip(1);
        let from_secret = |it: &str| it.contains("secretKeyRef");
        assert!(variables.by_ref().take(SECRETS).all(from_secret));
        assert!(!variables.any(from_secret), "they stand first");
        let volumes: Vec<_> = base.matches("secretName: ").collect();
        assert_eq!(volumes.len(), 1, "the overlay names the first alone");
    }

    #[test]
    fn the_file_of_operators_is_where_the_server_looks_for_it() {
        let base = shell::read(&format!("{BASE}/deployment.yaml")).unwrap();
        let after = |name: &str| {
            let (_, rest) = base.split_once(name).unwrap();
            rest.lines().next().unwrap().trim()
        };
        let (folder, file) = (after("mountPath: "), after("                path: "));
        let named = after("- name: ADMIN_TOKENS_FILE\n              value: ");
        assert_eq!(named, format!("{folder}/{file}"));
    }

    #[test]
    fn an_image_is_named_by_tag_or_digest() {
        assert_eq!(image("r:5000/a/b")["newName"], "r:5000/a/b");
        assert_eq!(image("r:5000/a/b:1.2")["newTag"], "1.2");
        assert_eq!(image("a/b@sha256:00")["digest"], "sha256:00");
    }
}
