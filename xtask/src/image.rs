//! The image of a static binary, made by buildah: no daemon, no base image, no network.

use std::{
    fmt::Write as _,
    fs,
    io::{self, BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::{build::Built, lab, python, shell};

const RECIPE: &str = "deploy/docker/scratch.Dockerfile";

/// Mozilla's root certificates. Not the ones of this machine: it may trust authorities that nobody
/// else should.
const ROOTS: [&str; 1] = ["certifi==2026.10.18"];

/// The settings that the stand-ins give to the server that they start.
const SETTINGS: &[&str] = &[
    "ALLOWED_ORIGINS",
    "BIND",
    "BRAINGRID_API_URL",
    "BRAINGRID_ENV",
    "DRAIN_TIMEOUT",
    "ENCRYPTION_KEY",
    "LOG_FORMAT",
    "LOG_LEVEL",
    "MCP_HOST",
    "MCP_TRANSPORT",
    "OAUTH_ISSUER",
    "OAUTH_JWKS_URI",
    "PORT",
    "REDIS_URL",
    "SESSION_CACHE_TTL",
    "UPSTREAM_AUDIENCE",
    "UPSTREAM_CLIENT_ID",
    "UPSTREAM_CLIENT_SECRET",
    "UPSTREAM_MODE",
];

/// What this machine lacks to build images.
pub(crate) fn missing() -> Option<&'static str> {
    let there = shell::answers(Command::new("buildah").arg("--version"));
    (!there).then_some("images need buildah: apt-get install buildah")
}

pub(crate) fn default_tag() -> String {
    format!("braingrid-mcp:{}", env!("CARGO_PKG_VERSION"))
}

/// How to send it to a registry.
pub(crate) fn push_line(tag: &str) -> String {
    format!("buildah --storage-driver vfs push {tag} docker://REGISTRY/{tag}")
}

/// Builds the image and gives it this name in buildah's storage.
pub(crate) fn build(built: &Built, tag: &str) -> anyhow::Result<()> {
    if let Some(missing) = missing() {
        anyhow::bail!(missing);
    }
    let context = context(built)?;
    let mut bud = buildah(["bud", "--isolation=chroot", "--format=docker", "--quiet"]);
    bud.arg("--file").arg(shell::root().join(RECIPE));
    bud.arg(format!("--build-arg=VERSION={}", env!("CARGO_PKG_VERSION")));
    bud.arg(format!("--build-arg=REVISION={}", shell::revision()));
    bud.args(["--timestamp=0", "--tag", tag]).arg(&context);
    shell::run(bud.stdout(io::stderr()))
}

/// A folder with what the image holds.
fn context(built: &Built) -> anyhow::Result<PathBuf> {
    let roots = python::install("certifi", &ROOTS)?.join("certifi/cacert.pem");
    let dir = shell::target_dir()?.join("image");
    fs::create_dir_all(&dir).context("cannot make the folder for the image")?;
    let put = |from: &Path, name: &str| {
        fs::copy(from, dir.join(name))
            .with_context(|| format!("cannot copy {}", from.display()))
            .map(drop)
    };
    put(&built.path, "braingrid-mcp")?;
    put(&roots, "ca-certificates.crt")?;
    put(&shell::root().join("LICENSE"), "LICENSE")?;
    Ok(dir)
}

/// Looks at the image as a platform would, then starts it: the stand-ins and a real client make
/// calls to the server inside.
pub(crate) fn try_it(tag: &str) -> anyhow::Result<()> {
    let inspected = shell::output(&mut buildah(["inspect", "--type=image", tag]))?;
    let image: Value = serde_json::from_str(&inspected).context("buildah printed no JSON")?;
    check(&image)?;
    let container = shell::output(&mut buildah(["from", tag]))?;
    let container = Container(container.trim().to_owned());
    lab::build()?;
    // By variables alone: the container sees no file of this machine.
    let mut stand_ins = Command::new(shell::built("lab")?)
        .args(["dev", "--exchange", "--json", "--server"])
        .arg(container.program()?)
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start the stand-ins")?;
    let served = serves(&mut stand_ins, &container);
    // Asked to stop, they stop the server too.
    shell::answers(Command::new("kill").arg(stand_ins.id().to_string()));
    stand_ins.wait().context("cannot wait for the stand-ins")?;
    let port = served?;
    ensure!(
        !container.healthy(port),
        "the health check still says yes after the server has stopped"
    );
    eprintln!("the image serves: a real client called a tool of the server inside");
    container.serves_read_only()
}

/// Waits until a client has called a tool, and gives the port of the server inside.
fn serves(stand_ins: &mut Child, container: &Container) -> anyhow::Result<u16> {
    let mut line = String::new();
    let stdout = stand_ins.stdout.take().context("no output to read")?;
    BufReader::new(stdout).read_line(&mut line)?;
    ensure!(
        !line.is_empty(),
        "no call to the server in the image succeeded"
    );
    let ready: Value = serde_json::from_str(&line).context("the stand-ins printed no JSON")?;
    let url = ready.get("mcp_url").and_then(Value::as_str);
    let port = url.and_then(|url| url.rsplit(':').next()?.split('/').next()?.parse().ok());
    let port = port.context("the stand-ins name no port")?;
    ensure!(
        container.healthy(port),
        "the image's own health check fails"
    );
    Ok(port)
}

/// What every platform relies on.
fn check(image: &Value) -> anyhow::Result<()> {
    let config = image
        .pointer("/Docker/config")
        .context("buildah does not show the image's configuration")?;
    let text = |pointer: &str| config.pointer(pointer).and_then(Value::as_str);
    ensure!(
        text("/User") == Some("65532:65532"),
        "the image runs as {:?}",
        text("/User")
    );
    ensure!(
        text("/Healthcheck/Test/2") == Some("healthcheck"),
        "the image has no health check of its own"
    );
    ensure!(
        text("/Labels/org.opencontainers.image.version").is_some(),
        "the image has no labels"
    );
    Ok(())
}

/// A container, removed at the end.
struct Container(String);

impl Container {
    /// A program that runs the server inside, with the settings that it is given outside.
    fn program(&self) -> anyhow::Result<PathBuf> {
        let path = shell::target_dir()?.join("image/run.sh");
        let mut settings = String::new();
        for name in SETTINGS {
            let _ = write!(settings, " ${{{name}+--env=\"{name}=${name}\"}}");
        }
        // The network is this machine's, so that the stand-ins can be reached.
        let script = format!(
            "#!/bin/sh\nexec buildah --storage-driver vfs run --isolation=chroot --network=host{settings} \
             {} -- /usr/local/bin/braingrid-mcp \"$@\"\n",
            self.0
        );
        executable(&path, &script)
    }

    /// Another client calls a tool of the server when nothing below its root can be written.
    /// buildah's chroot isolation cannot mount a root read-only, so that a mount of our own does.
    fn serves_read_only(&self) -> anyhow::Result<()> {
        if !shell::answers(Command::new("unshare").args(["--mount", "true"])) {
            eprintln!("SKIPPED: the image with a read-only root: only root may mount here");
            return Ok(());
        }
        let root = shell::output(&mut buildah(["mount", self.0.as_str()]))?;
        let script = format!(
            "#!/bin/sh\nexec unshare --mount /bin/sh -e -c '\n\
             mount --bind \"$0\" \"$0\"\n\
             mount -o remount,bind,ro \"$0\"\n\
             if touch \"$0/x\" 2>/dev/null; then echo \"the root is not read-only\" >&2; exit 1; fi\n\
             exec chroot --userspec=65532:65532 \"$0\" /usr/local/bin/braingrid-mcp \"$@\"' {} \"$@\"\n",
            root.trim()
        );
        let program = executable(
            &shell::target_dir()?.join("image/run-read-only.sh"),
            &script,
        )?;
        let mut demonstration = Command::new(shell::built("lab")?);
        demonstration.args(["dev", "--exchange", "--once", "--json", "--server"]);
        shell::output(demonstration.arg(program))?;
        eprintln!("the image serves with a read-only root");
        Ok(())
    }
}

fn executable(path: &Path, script: &str) -> anyhow::Result<PathBuf> {
    fs::write(path, script).context("cannot write the container's start")?;
    shell::make_executable(path)?;
    Ok(path.to_owned())
}

impl Container {
    /// What the platform does with the image's `HEALTHCHECK`.
    fn healthy(&self, port: u16) -> bool {
        let mut check = buildah(["run", "--isolation=chroot", "--network=host"]);
        check.arg(format!("--env=PORT={port}")).arg(&self.0);
        check.args(["--", "/usr/local/bin/braingrid-mcp", "healthcheck"]);
        shell::answers(&mut check)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // It would only take up space.
        shell::answers(&mut buildah(["rm", self.0.as_str()]));
    }
}

/// `buildah`, with the storage that needs nothing of the kernel.
fn buildah<const N: usize>(arguments: [&str; N]) -> Command {
    let mut command = Command::new("buildah");
    command.args(["--storage-driver", "vfs"]).args(arguments);
    command
}
