//! Vercel: the same binary as a standalone server, which the framework preset `rust` builds and
//! starts on `$PORT`.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};

use super::{
    Platform, Step,
    environment::{Changes, Environment, read, strings},
    folder, next_steps, perform, write,
};
use crate::{build, lab, node, shell};

/// Vercel's command line, pinned.
const CLI: &str = "deploy/vercel";

const MISSING: &str = "Vercel's command line needs npm: install Node.js with your package manager";

/// The section `[vercel]`.
struct Project {
    id: String,
    team: String,
    region: Option<String>,
}

pub(crate) fn deploy(environment: &Environment, dir: &Path, apply: bool) -> anyhow::Result<()> {
    let project = section(environment)?;
    render(&project, dir)?;
    println!(
        "\na new deployment of project {}; the one that is live serves until then",
        project.id
    );
    println!("with these settings, and the secrets that the project holds:");
    for (name, value) in &settings(environment) {
        println!("  {name} = {value}");
    }
    if apply {
        ensure!(node::npm_answers(), MISSING);
        perform(steps(environment, dir)?)?;
        println!("\ndeployed  project {}", project.id);
    } else {
        println!("\nwould then, with --apply:\n  build the functions\n  send them to production");
    }
    let secrets = environment.client_secrets();
    let client = secrets.map_or_else(String::new, |all| format!(", and {}", all.join(" or ")));
    println!(
        "\nThe project must hold ENCRYPTION_KEY and REDIS_URL{client}: vercel env add NAME production --sensitive"
    );
    let dns = format!("{}, as a domain of the project", environment.host());
    next_steps(environment, &dns);
    Ok(())
}

/// What the server is told. Vercel kills half a second after it asks to stop.
pub(crate) fn settings(environment: &Environment) -> BTreeMap<String, String> {
    let mut settings = environment.settings.clone();
    settings
        .entry("DRAIN_TIMEOUT".to_owned())
        .or_insert_with(|| "0".to_owned());
    settings
}

fn steps(environment: &Environment, dir: &Path) -> anyhow::Result<Vec<Step>> {
    let mut build = vercel(dir)?;
    build.args(["build", "--prod", "--yes"]);
    let mut send = vercel(dir)?;
    send.args(["deploy", "--prebuilt", "--prod", "--yes"]);
    for (name, value) in &settings(environment) {
        send.arg("--env").arg(format!("{name}={value}"));
    }
    Ok(vec![
        Step {
            what: "build the functions",
            command: build,
        },
        Step {
            what: "send them to production",
            command: send,
        },
    ])
}

/// The command line, in the rendered folder, with what it needs to build.
fn vercel(dir: &Path) -> anyhow::Result<Command> {
    let installed = node::install_unlocked(CLI, "tools/vercel")?;
    let zig = build::zig()?;
    let mut command = Command::new(node::program(&installed));
    command
        .current_dir(dir)
        .arg(installed.join("node_modules/vercel/dist/vc.js"))
        .env("PATH", shell::path_with(&zig.join("bin"))?)
        .env("CARGO_ZIGBUILD_ZIG_PATH", zig.join("ziglang/zig"))
        .env("CARGO_TARGET_DIR", shell::target_dir()?.join("vercel"))
        .env("VERCEL_TELEMETRY_DISABLED", "1");
    Ok(command)
}

/// A copy of the repository's files, linked to the project: Vercel writes beside what it builds.
fn render(project: &Project, dir: &Path) -> anyhow::Result<()> {
    let listed = shell::output(
        Command::new("git")
            .current_dir(shell::root())
            .args(["ls-files", "-z"]),
    )?;
    for file in listed.split('\0').filter(|file| !file.is_empty()) {
        let from = shell::root().join(file);
        if from.is_file() {
            let to = dir.join(file);
            fs::create_dir_all(to.parent().unwrap_or(dir))?;
            fs::copy(&from, &to).with_context(|| format!("cannot copy {file}"))?;
        }
    }
    let mut settings = json!({ "framework": "rust" });
    if let (Some(region), Some(fields)) = (&project.region, settings.as_object_mut()) {
        fields.insert("regions".to_owned(), json!([region]));
    }
    write(dir, "vercel.json", &format!("{settings:#}\n"))?;
    fs::create_dir_all(dir.join(".vercel"))?;
    let link = json!({
        "projectId": project.id,
        "orgId": project.team,
        "settings": { "framework": "rust" },
    });
    write(&dir.join(".vercel"), "project.json", &format!("{link:#}\n"))?;
    Ok(())
}

fn section(environment: &Environment) -> anyhow::Result<Project> {
    let mut wrong = Vec::new();
    let table = toml::Value::Table(environment.platform.clone());
    let mut texts = strings(Some(table), "vercel", &mut wrong);
    let (id, team) = (texts.remove("project_id"), texts.remove("org_id"));
    let region = texts.remove("region");
    wrong.extend(texts.keys().map(|key| format!("unknown key vercel.{key}")));
    let (Some(id), Some(team), true) = (id, team, wrong.is_empty()) else {
        wrong.push(
            "[vercel] needs project_id and org_id, from .vercel/project.json after `vercel link`"
                .to_owned(),
        );
        bail!(
            "the environment '{}' cannot be deployed: {}",
            environment.name,
            wrong.join("; ")
        );
    };
    Ok(Project { id, team, region })
}

/// The step of `cargo xtask ci --full`; skipped where it cannot run, except in the continuous
/// integration.
pub(crate) fn step() -> anyhow::Result<()> {
    if !node::npm_answers() {
        ensure!(!shell::in_ci(), MISSING);
        eprintln!("SKIPPED: {MISSING}");
        return Ok(());
    }
    try_it("staging")
}

/// Vercel's own builder makes a function of this repository, without reaching Vercel, and what it
/// made answers a real client.
pub(super) fn try_it(environment: &str) -> anyhow::Result<()> {
    let environment = read(environment, Platform::Vercel, Changes::default())?;
    let dir = folder(&environment, Platform::Vercel)?;
    render(&section(&environment)?, &dir)?;
    let mut build = vercel(&dir)?;
    // Nobody listens there, so that no build depends on Vercel. What is built is thrown away: the
    // slow link is spared.
    build
        .args(["build", "--yes", "--token=none", "--api=http://127.0.0.1:9"])
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    shell::run(node::to_stderr(&mut build))?;
    let function = function(&dir.join(".vercel/output/functions"))?;
    let config = fs::read_to_string(function.join(".vc-config.json"))?;
    let config: Value =
        serde_json::from_str(&config).context("the function's settings are no JSON")?;
    let streams = config
        .get("supportsResponseStreaming")
        .and_then(Value::as_bool);
    ensure!(
        streams == Some(true),
        "the function does not stream its answers"
    );
    lab::build()?;
    let mut demonstration = Command::new(shell::built("lab")?);
    demonstration.args(["dev", "--once", "--json", "--server"]);
    shell::output(demonstration.arg(function.join("user-server")))?;
    eprintln!("the function serves: a real client called a tool of the server that Vercel built");
    Ok(())
}

/// The folder of the one function.
fn function(dir: &Path) -> anyhow::Result<PathBuf> {
    let entries = fs::read_dir(dir).context("Vercel built no functions")?;
    let mut functions = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "func"));
    match (functions.next(), functions.next()) {
        (Some(function), None) => Ok(function),
        _ => bail!("Vercel built not exactly one function"),
    }
}
