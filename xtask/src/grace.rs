//! `cargo xtask check manifests`: a server is through with its stop before its platform kills it.

use std::{fs, time::Duration};

use anyhow::{Context as _, ensure};

use crate::{deploy, shell};

/// What Cloud Run gives between SIGTERM and SIGKILL; it cannot be set.
const CLOUD_RUN: Duration = Duration::from_secs(10);

/// What Vercel gives its functions.
const VERCEL: Duration = Duration::from_millis(500);

/// What a stop takes at most with `DRAIN_TIMEOUT=0`.
const SHORTEST_STOP: Duration = Duration::from_millis(400);

const OVERLAYS: &str = "deploy/kubernetes/overlays";

/// All that is shipped.
pub(crate) fn check() -> anyhow::Result<()> {
    let default = default_stop()?;
    compose(&shell::read("deploy/compose.yaml")?, default)?;
    let base = shell::read("deploy/kubernetes/base/deployment.yaml")?;
    for name in names(OVERLAYS)? {
        let overlay = shell::read(&format!("{OVERLAYS}/{name}/kustomization.yaml"))?;
        kubernetes(&format!("{base}\n{overlay}"), default).context(name)?;
    }
    for file in names(deploy::ENVIRONMENTS)? {
        let name = file.trim_end_matches(".toml");
        let stop = |set: Option<String>| set.map_or(Ok(default), |set| duration(&set));
        let cloud_run = stop(deploy::cloud_run_drain_timeout(name)?)?;
        fits("Cloud Run", cloud_run, CLOUD_RUN).context(name.to_owned())?;
        let vercel = stop(deploy::vercel_drain_timeout(name)?)?;
        fits("Vercel", vercel, VERCEL).context(name.to_owned())?;
        let set = stop(deploy::kubernetes_drain_timeout(name)?)?;
        let text = format!("{base}\nDRAIN_TIMEOUT: {}s", set.as_secs());
        kubernetes(&text, default).context(name.to_owned())?;
    }
    Ok(())
}

fn compose(text: &str, default: Duration) -> anyhow::Result<()> {
    let grace = value(text, "stop_grace_period").context("compose has no stop_grace_period")?;
    fits("compose", stop_in(text, default)?, duration(grace)?)
}

/// What the pod does first, `preStop`, is part of the grace.
fn kubernetes(text: &str, default: Duration) -> anyhow::Result<()> {
    let grace = value(text, "terminationGracePeriodSeconds").context("no grace period")?;
    let waits = match text.split_once("preStop:") {
        Some((_, hook)) => duration(value(hook, "seconds").context("preStop is no sleep")?)?,
        None => Duration::ZERO,
    };
    fits(
        "Kubernetes",
        waits + stop_in(text, default)?,
        duration(grace)?,
    )
}

fn fits(platform: &str, stop: Duration, grace: Duration) -> anyhow::Result<()> {
    let stop = stop.max(SHORTEST_STOP);
    ensure!(
        stop < grace,
        "{platform} kills after {grace:?}, and a stop takes up to {stop:?}: lower DRAIN_TIMEOUT, or \
         raise the grace period"
    );
    Ok(())
}

/// The time that a manifest sets, or the default.
fn stop_in(text: &str, default: Duration) -> anyhow::Result<Duration> {
    let set = value(text, "DRAIN_TIMEOUT").or_else(|| {
        let (_, literal) = text.split_once("- DRAIN_TIMEOUT=")?;
        literal.lines().next()
    });
    set.map_or(Ok(default), duration)
}

/// What the program itself says of it.
fn default_stop() -> anyhow::Result<Duration> {
    let text = shell::read("docs/configuration.md")?;
    let mut rows = text.lines();
    let row = rows.find(|row| row.starts_with("| `DRAIN_TIMEOUT`"));
    let column = row.and_then(|row| row.split('|').nth(4));
    duration(column.context("no DRAIN_TIMEOUT in docs/configuration.md")?)
}

/// The value of a key of YAML, wherever it stands.
fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let line = line.trim_start().trim_start_matches("- ");
        let value = line.strip_prefix(key)?.strip_prefix(':')?;
        Some(value.split('#').next().unwrap_or(value))
    })
}

/// `8s`, `1m`, or seconds.
fn duration(text: &str) -> anyhow::Result<Duration> {
    let text = text.trim_matches(|c: char| c.is_whitespace() || "\"'`".contains(c));
    let (number, scale) = match text.strip_suffix('m') {
        Some(number) => (number, 60),
        None => (text.strip_suffix('s').unwrap_or(text), 1),
    };
    let number: u64 = number
        .parse()
        .with_context(|| format!("'{text}' is no duration"))?;
    Ok(Duration::from_secs(number * scale))
}

/// What a folder of the repository holds, in order.
fn names(dir: &str) -> anyhow::Result<Vec<String>> {
    let entries = fs::read_dir(shell::root().join(dir)).with_context(|| format!("no {dir}"))?;
    let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    let mut names: Vec<_> = entries.flatten().map(name).collect();
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_platform_leaves_a_stop_its_time() {
        check().unwrap();
    }

    #[test]
    fn a_stop_that_does_not_fit_is_found() {
        let default = Duration::from_secs(8);
        let pod = |grace: u32, set: &str| {
            let text = format!(
                "terminationGracePeriodSeconds: {grace} # spare\n{set}\npreStop:\n  sleep:\n    seconds: 5\n"
            );
            kubernetes(&text, default)
        };
        assert!(pod(14, "").is_ok());
        assert!(pod(13, "").is_err(), "5 and 8 are 13");
        assert!(pod(30, "DRAIN_TIMEOUT: \"24s\"").is_ok());
        assert!(pod(30, "DRAIN_TIMEOUT: 25").is_err());
        assert!(pod(30, "  - DRAIN_TIMEOUT=1m").is_err());
        assert!(compose("stop_grace_period: 15s", default).is_ok());
        assert!(compose("DRAIN_TIMEOUT: 15s\nstop_grace_period: 15s", default).is_err());
        assert!(compose("", default).is_err());
        assert!(fits("Vercel", Duration::ZERO, VERCEL).is_ok());
        assert!(fits("Vercel", Duration::from_secs(1), VERCEL).is_err());
    }
}
