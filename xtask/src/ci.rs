//! `cargo xtask ci`: every check, in order, with its duration; stops at the first failure.

use std::time::Instant;

use anyhow::Context as _;
use lexopt::prelude::{Long, Short};

use crate::{build, check, deploy, interop, lab, manifests, package, pages, shell, test};

const HELP: &str = "\
Everything the continuous integration runs, in its order.

Stops at the first failure and says how to repeat that step alone.

Usage: cargo xtask ci [--full]

  --full  also: whether the fuzz targets compile; licences, bans and sources by cargo-deny; the
          static release build, its image built by buildah, and a call to the server inside;
          what Vercel's builder makes of this repository, and a call to that
";

/// One step: what it is called, what repeats it, what it does.
struct Step {
    name: &'static str,
    repeat: &'static str,
    action: fn() -> anyhow::Result<()>,
}

const STEPS: &[Step] = &[
    Step {
        name: "format",
        repeat: "cargo fmt --all",
        action: format,
    },
    Step {
        name: "layers",
        repeat: "cargo xtask check layers",
        action: check::layers,
    },
    Step {
        name: "lints",
        repeat: "cargo clippy --workspace --all-targets --profile ci -- -D warnings",
        action: lints,
    },
    Step {
        name: "api docs",
        repeat: "RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --profile ci",
        action: api_docs,
    },
    Step {
        name: "docs",
        repeat: "cargo xtask check docs",
        action: check::docs,
    },
    Step {
        name: "manifests",
        repeat: "cargo xtask check manifests",
        action: manifests::check,
    },
    Step {
        name: "server.json",
        repeat: "cargo xtask package --index",
        action: package::step,
    },
    Step {
        name: "interop",
        repeat: "cargo xtask interop",
        action: interop::step,
    },
    Step {
        name: "pages",
        repeat: "cargo xtask pages",
        action: pages::step,
    },
    Step {
        name: "conformance",
        repeat: "cargo xtask conformance",
        action: lab::conformance_step,
    },
    Step {
        name: "instructions",
        repeat: "cargo xtask load-test instructions",
        action: lab::instructions_step,
    },
    Step {
        name: "tests",
        repeat: "cargo xtask test",
        action: tests,
    },
];

const FULL: &[Step] = &[
    Step {
        name: "fuzz targets",
        repeat: "RUSTFLAGS='--cfg fuzzing' cargo check --bins --manifest-path=fuzz/Cargo.toml",
        action: fuzz_targets,
    },
    Step {
        name: "supply chain",
        repeat: "cargo deny check licenses bans sources",
        action: supply_chain,
    },
    Step {
        name: "image",
        repeat: "cargo xtask build --image --try",
        action: build::step,
    },
    Step {
        name: "vercel",
        repeat: "cargo xtask deploy vercel --environment=staging --try",
        action: deploy::vercel_step,
    },
];

pub(crate) fn run(mut flags: lexopt::Parser) -> anyhow::Result<()> {
    let mut full = false;
    while let Some(flag) = flags.next()? {
        match flag {
            Short('h') | Long("help") => {
                print!("{HELP}");
                return Ok(());
            }
            Long("full") => full = true,
            other => return Err(other.unexpected().into()),
        }
    }
    if !full {
        let left_out: Vec<_> = FULL.iter().map(|step| step.name).collect();
        eprintln!(
            "left out, as they take long (--full): {}",
            left_out.join(", ")
        );
    }
    for step in in_order(full) {
        perform(step)?;
    }
    Ok(())
}

/// The tests stay last: their count is the result of the whole run.
fn in_order(full: bool) -> impl Iterator<Item = &'static Step> {
    let (before, last) = STEPS.split_at(STEPS.len() - 1);
    let extra = if full { FULL } else { &[] };
    before.iter().chain(extra).chain(last)
}

fn perform(step: &Step) -> anyhow::Result<()> {
    eprintln!("── {}", step.name);
    let start = Instant::now();
    (step.action)().with_context(|| {
        format!(
            "step '{}' failed; to repeat it alone: {}",
            step.name, step.repeat
        )
    })?;
    // After the tests nothing is printed, so that a run ends with the runner's own count.
    if step.name != "tests" {
        eprintln!(
            "── {} done in {:.1} s",
            step.name,
            start.elapsed().as_secs_f64()
        );
    }
    Ok(())
}

fn format() -> anyhow::Result<()> {
    shell::run(&mut shell::cargo(["fmt", "--all", "--check"]))
}

fn lints() -> anyhow::Result<()> {
    let clippy = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--profile=ci",
        "--locked",
        "--",
    ];
    shell::run(shell::cargo(clippy).args(["-D", "warnings"]))?;
    // As the image has it: without the login.
    let server = [
        "clippy",
        "--workspace",
        "--no-default-features",
        "--profile=ci",
        "--locked",
        "--",
    ];
    shell::run(shell::cargo(server).args(["-D", "warnings"]))
}

fn api_docs() -> anyhow::Result<()> {
    let doc = [
        "doc",
        "--workspace",
        "--no-deps",
        "--profile=ci",
        "--locked",
    ];
    shell::run(shell::cargo(doc).env("RUSTDOCFLAGS", "-D warnings"))
}

fn tests() -> anyhow::Result<()> {
    test::test(&[])
}

/// They are a workspace of their own, which takes modules of the binary in: nothing else builds it.
fn fuzz_targets() -> anyhow::Result<()> {
    let mut check = shell::cargo(["check", "--bins", "--locked"]);
    check.args([
        "--manifest-path=fuzz/Cargo.toml",
        "--target-dir=target/fuzz",
    ]);
    shell::run(check.env("RUSTFLAGS", "--cfg fuzzing"))
}

fn supply_chain() -> anyhow::Result<()> {
    if !shell::answers(&mut shell::cargo(["deny", "--version"])) {
        anyhow::bail!("cargo-deny is not installed: cargo install --locked cargo-deny");
    }
    shell::run(&mut shell::cargo([
        "deny", "check", "licenses", "bans", "sources",
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tests_are_the_last_step_in_both_kinds_of_run() {
        for full in [false, true] {
            assert_eq!(in_order(full).last().unwrap().name, "tests");
        }
        assert_eq!(in_order(true).count(), STEPS.len() + FULL.len());
    }

    #[test]
    fn a_failure_says_how_to_repeat_the_step() {
        let action = || anyhow::bail!("no");
        let error = perform(&Step {
            name: "x",
            repeat: "cargo x",
            action,
        })
        .unwrap_err();
        assert!(format!("{error:#}").contains("to repeat it alone: cargo x"));
    }
}
