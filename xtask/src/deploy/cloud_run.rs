//! Google Cloud Run: a service description for `gcloud run services replace`.

mod service;

use std::{path::Path, process::Command};

use anyhow::{Context as _, bail};
use serde_json::Value;

use self::service::CloudRun;
use super::{Step, environment::Environment, live, next_steps, perform, write};
use crate::shell;

pub(crate) fn deploy(
    environment: &Environment,
    dir: &Path,
    build: bool,
    apply: bool,
) -> anyhow::Result<()> {
    let run = service::section(environment)?;
    let service = service::render(environment, &run);
    let file = write(dir, "service.json", &format!("{service:#}\n"))?;
    if !run.secrets.contains_key("REDIS_URL") {
        println!("note: no REDIS_URL: instances share no sessions, each verifies tokens itself");
    }
    show(&run, &service);
    let steps = steps(environment, &run, &file, build);
    if !apply {
        println!("\nwould then, with --apply:");
        for step in &steps {
            println!("  {}", step.what);
        }
        next_steps(environment, &dns(environment, None));
        return Ok(());
    }
    perform(steps)?;
    let url = read_live(&run).ok().flatten();
    let url = url.as_ref().and_then(|live| live.pointer("/status/url"));
    let url = url.and_then(Value::as_str);
    println!(
        "\ndeployed  {} to {}",
        run.service,
        url.unwrap_or("Cloud Run")
    );
    next_steps(environment, &dns(environment, url));
    Ok(())
}

fn dns(environment: &Environment, url: Option<&str>) -> String {
    let host = environment.host();
    match url {
        Some(url) if url.ends_with(host) => "nothing: the public URL is Cloud Run's own".to_owned(),
        _ => format!(
            "let {host} reach the service: a load balancer with a serverless backend, or a domain mapping"
        ),
    }
}

/// What would change, as far as this machine may look.
fn show(run: &CloudRun, service: &Value) {
    match read_live(run) {
        Ok(None) => println!("\n{} does not exist yet: it would be created", run.service),
        Ok(Some(live)) => {
            let changes = live::changes(&live, service);
            if changes.is_empty() {
                println!("\n{} is as described: nothing would change", run.service);
            } else {
                println!("\n{} would change:", run.service);
                for line in changes {
                    println!("  {line}");
                }
            }
        }
        Err(error) => println!("\ncannot compare with what is live: {error:#}"),
    }
}

/// The live service; none if there is none. Changes nothing.
fn read_live(run: &CloudRun) -> anyhow::Result<Option<Value>> {
    let mut describe = gcloud(run, ["run", "services", "describe", &run.service]);
    let output = describe
        .arg("--format=json")
        .output()
        .context("gcloud is not installed")?;
    if output.status.success() {
        let live = serde_json::from_slice(&output.stdout);
        return live.map(Some).context("gcloud printed no JSON");
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    if complaint.contains("Cannot find service") {
        return Ok(None);
    }
    let last = complaint.lines().rfind(|line| line.starts_with("ERROR"));
    bail!("{}", last.unwrap_or("gcloud failed"))
}

fn steps(environment: &Environment, run: &CloudRun, file: &Path, build: bool) -> Vec<Step> {
    let mut steps = Vec::new();
    if build {
        let mut submit = gcloud_without_region(run, ["builds", "submit"]);
        submit.arg("--config=deploy/cloud-run/cloudbuild.yaml");
        submit.arg("--ignore-file=deploy/cloud-run/gcloudignore");
        submit.arg(format!("--substitutions=_IMAGE={}", environment.image));
        submit.arg(".");
        steps.push(Step {
            what: "build the image with Cloud Build",
            command: submit,
        });
    }
    let mut replace = gcloud(run, ["run", "services", "replace"]);
    replace.arg(file);
    steps.push(Step {
        what: "replace the service",
        command: replace,
    });
    // The server authenticates every call; the platform must let them through.
    let mut open = gcloud(run, ["run", "services", "add-iam-policy-binding"]);
    open.args([
        &run.service,
        "--member=allUsers",
        "--role=roles/run.invoker",
    ]);
    steps.push(Step {
        what: "let everyone reach it, as the server itself authenticates",
        command: open,
    });
    steps
}

fn gcloud<const N: usize>(run: &CloudRun, arguments: [&str; N]) -> Command {
    let mut command = gcloud_without_region(run, arguments);
    command.arg(format!("--region={}", run.region));
    command
}

fn gcloud_without_region<const N: usize>(run: &CloudRun, arguments: [&str; N]) -> Command {
    let mut command = Command::new("gcloud");
    command.current_dir(shell::root()).args(arguments);
    command
        .arg(format!("--project={}", run.project))
        .arg("--quiet");
    command
}

/// The service description alone.
pub(crate) fn render(environment: &Environment) -> anyhow::Result<Value> {
    Ok(service::render(
        environment,
        &service::section(environment)?,
    ))
}
