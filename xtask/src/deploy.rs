//! `cargo xtask deploy`: from a file that describes an environment to a running service.

mod cloud_run;
mod environment;
mod kubernetes;
mod live;
mod secrets;
mod vercel;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};
use lexopt::prelude::{Long, Short, Value, ValueExt as _};
use strum::{EnumString, IntoStaticStr, VariantNames};

use self::environment::{Changes, Environment};
use crate::shell;

const HELP: &str = "\
Deploy the server to a platform.

Reads deploy/environments/<name>.toml, renders everything below target/deploy, and shows what would
change. Only --apply changes anything. A file or a command line that holds something like a secret
is refused: files name where the platform keeps it.

Usage: cargo xtask deploy <cloud-run|kubernetes|vercel> [options]

  --environment <name>  which environment (default production)
  --image <reference>   another image than the environment names
  --set <NAME=VALUE>    another value for one setting; repeatable
  --plan                render and show, change nothing (the default)
  --apply               do it
  --build               with cloud-run: first let Cloud Build make the image
  --try                 with vercel: build without reaching Vercel, and call what was built
";

pub(crate) use environment::DIR as ENVIRONMENTS;
pub(crate) use vercel::step as vercel_step;

/// What can be deployed to. The names are those of the command line and of the sections of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, VariantNames, EnumString, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub(crate) enum Platform {
    CloudRun,
    Kubernetes,
    Vercel,
}

impl Platform {
    pub(crate) fn name(self) -> &'static str {
        self.into()
    }
}

/// What was asked for.
#[derive(Debug)]
struct Options {
    platform: Platform,
    environment: String,
    changes: Changes,
    apply: bool,
    build: bool,
    try_it: bool,
}

pub(crate) fn run(flags: lexopt::Parser) -> anyhow::Result<()> {
    let Some(options) = parse(flags)? else {
        print!("{HELP}");
        return Ok(());
    };
    if options.try_it {
        return vercel::try_it(&options.environment);
    }
    let environment = environment::read(&options.environment, options.platform, options.changes)?;
    let dir = folder(&environment, options.platform)?;
    match options.platform {
        Platform::CloudRun => cloud_run::deploy(&environment, &dir, options.build, options.apply)?,
        Platform::Kubernetes => kubernetes::deploy(&environment, &dir, options.apply)?,
        Platform::Vercel => vercel::deploy(&environment, &dir, options.apply)?,
    }
    Ok(())
}

/// Renders an environment for Kubernetes and gives the manifests; asks no cluster.
pub(crate) fn kubernetes_manifests(name: &str) -> anyhow::Result<PathBuf> {
    let environment = environment::read(name, Platform::Kubernetes, Changes::default())?;
    kubernetes::render(&environment, &folder(&environment, Platform::Kubernetes)?)
}

/// Whether an environment can be rendered for Cloud Run; asks nobody.
pub(crate) fn cloud_run_renders(name: &str) -> anyhow::Result<()> {
    let environment = environment::read(name, Platform::CloudRun, Changes::default())?;
    cloud_run::render(&environment).map(drop)
}

/// What the setting is there, unless it is the program's own default; asks nobody.
pub(crate) fn cloud_run_drain_timeout(name: &str) -> anyhow::Result<Option<String>> {
    let environment = environment::read(name, Platform::CloudRun, Changes::default())?;
    Ok(environment.settings.get("DRAIN_TIMEOUT").cloned())
}

/// Like [`cloud_run_drain_timeout`].
pub(crate) fn kubernetes_drain_timeout(name: &str) -> anyhow::Result<Option<String>> {
    let environment = environment::read(name, Platform::Kubernetes, Changes::default())?;
    Ok(kubernetes::settings(&environment).remove("DRAIN_TIMEOUT"))
}

/// Like [`cloud_run_drain_timeout`].
pub(crate) fn vercel_drain_timeout(name: &str) -> anyhow::Result<Option<String>> {
    let environment = environment::read(name, Platform::Vercel, Changes::default())?;
    Ok(vercel::settings(&environment).remove("DRAIN_TIMEOUT"))
}

/// None when help was asked for.
fn parse(mut flags: lexopt::Parser) -> anyhow::Result<Option<Options>> {
    let mut platform = None;
    let mut options = Options {
        platform: Platform::CloudRun,
        environment: "production".to_owned(),
        changes: Changes::default(),
        apply: false,
        build: false,
        try_it: false,
    };
    let mut plan = false;
    while let Some(flag) = flags.next()? {
        match flag {
            Short('h') | Long("help") => return Ok(None),
            Long("environment") => options.environment = flags.value()?.string()?,
            Long("image") => options.changes.image = Some(flags.value()?.string()?),
            Long("set") => {
                let text = flags.value()?.string()?;
                // Not shown: without a name it may be anything.
                let (name, value) = text.split_once('=').context("--set takes NAME=VALUE")?;
                let setting = (name.to_owned(), value.to_owned());
                options.changes.settings.push(setting);
            }
            Long("plan") => plan = true,
            Long("apply") => options.apply = true,
            Long("build") => options.build = true,
            Long("try") => options.try_it = true,
            Value(name) if platform.is_none() => platform = Some(name.string()?),
            Value(_) => bail!("one platform at a time"),
            other => return Err(other.unexpected().into()),
        }
    }
    options.platform = platform
        .and_then(|name| name.parse().ok())
        .with_context(|| format!("deploy where? One of: {}", Platform::VARIANTS.join(", ")))?;
    if plan && options.apply {
        bail!("--plan changes nothing and --apply does: choose one");
    }
    if options.build && options.platform != Platform::CloudRun {
        bail!("--build is for cloud-run; elsewhere: cargo xtask build --image");
    }
    if options.try_it && (options.platform != Platform::Vercel || options.apply) {
        bail!(
            "--try is for vercel, and applies nothing; for the image: cargo xtask build --image --try"
        );
    }
    Ok(Some(options))
}

/// A fresh folder for what is rendered.
fn folder(environment: &Environment, platform: Platform) -> anyhow::Result<PathBuf> {
    let dir = shell::target_dir()?
        .join("deploy")
        .join(&environment.name)
        .join(platform.name());
    if dir.exists() {
        fs::remove_dir_all(&dir).with_context(|| format!("cannot empty {}", dir.display()))?;
    }
    fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    Ok(dir)
}

fn write(dir: &Path, name: &str, text: &str) -> anyhow::Result<PathBuf> {
    let path = dir.join(name);
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    println!("rendered  {}", path.display());
    Ok(path)
}

/// One command of a deployment, and what it does.
struct Step {
    what: &'static str,
    command: Command,
}

/// Runs them in order. After a failure it is clear what was done and what was not.
fn perform(steps: Vec<Step>) -> anyhow::Result<()> {
    let all: Vec<_> = steps.iter().map(|step| step.what).collect();
    for (number, mut step) in steps.into_iter().enumerate() {
        eprintln!("\n{}/{}  {}", number + 1, all.len(), step.what);
        let done = all.get(..number).unwrap_or_default().join(", ");
        let left = all.get(number..).unwrap_or_default().join(", ");
        shell::run(&mut step.command).with_context(|| {
            let done = if done.is_empty() { "nothing" } else { &done };
            format!(
                "the deployment stopped half way. Done: {done}. Not done: {left}. \
                 Every step can be repeated: run the same command again"
            )
        })?;
    }
    Ok(())
}

/// What is left for people, once it is planned or done.
fn next_steps(environment: &Environment, dns: &str) {
    let resource = environment.resource();
    println!("\nWhat to do next");
    println!("  DNS      {dns}");
    if let Some(issuer) = &environment.issuer {
        println!("  issuer   {issuer}");
        println!("           let it issue tokens for the resource (audience) {resource}");
        println!("           and let clients register there; docs/issuers says how");
    }
    if let Some(client) = environment.provider_client() {
        let callback = format!("{}/callback", environment.public_url);
        println!("  provider register the redirect URI {callback} for the client {client}");
    }
    if let Some((client, api)) = environment.exchange() {
        println!("           let the client {client} exchange tokens of that resource for {api}");
    }
    println!("  check    curl {}/ready", environment.public_url);
    println!("  client   claude mcp add --transport http braingrid {resource}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(flags: &[&str]) -> anyhow::Result<Option<Options>> {
        parse(lexopt::Parser::from_args(flags))
    }

    #[test]
    fn planning_is_the_default_and_applying_is_said() {
        assert!(!parsed(&["cloud-run"]).unwrap().unwrap().apply);
        assert!(parsed(&["cloud-run", "--apply"]).unwrap().unwrap().apply);
        assert!(parsed(&["cloud-run", "--apply", "--plan"]).is_err());
        assert!(parsed(&["the-moon"]).is_err());
        assert!(parsed(&["kubernetes", "--build"]).is_err());
        assert!(parsed(&["--help"]).unwrap().is_none());
    }

    #[test]
    fn a_failure_says_what_was_done_and_what_was_not() {
        let step = |what, program| Step {
            what,
            command: Command::new(program),
        };
        let steps = vec![
            step("first", "true"),
            step("second", "false"),
            step("third", "true"),
        ];
        let error = format!("{:#}", perform(steps).unwrap_err());
        assert!(
            error.contains("Done: first. Not done: second, third."),
            "{error}"
        );
    }
}
