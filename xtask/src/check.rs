//! `cargo xtask check`: the repository's own rules, which no other tool knows.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use anyhow::{Context as _, bail};
use lexopt::prelude::{Long, Short, Value};

use crate::{docs, lab, layers, manifests, map, shell};

const HELP: &str = "\
The repository's own rules.

Usage: cargo xtask check [layers] [docs] [manifests] [--write]

  layers     crates depend only on what the table in docs/architecture.md allows
  docs       documents link to and name only what exists
  manifests  what platforms read fits their schemas (needs kubectl and pip)
  --write    first write docs/configuration.md anew, from the table of settings
";

const ARCHITECTURE: &str = "docs/architecture.md";
const SECURITY: &str = "docs/security.md";
const CONFIGURATION: &str = "docs/configuration.md";

pub(crate) fn run(mut flags: lexopt::Parser) -> anyhow::Result<()> {
    let mut chosen = BTreeSet::new();
    let mut write = false;
    while let Some(flag) = flags.next()? {
        match flag {
            Short('h') | Long("help") => {
                print!("{HELP}");
                return Ok(());
            }
            Long("write") => write = true,
            Value(name) if name == "layers" || name == "docs" || name == "manifests" => {
                chosen.insert(name.to_string_lossy().into_owned());
            }
            other => return Err(other.unexpected().into()),
        }
    }
    if write {
        write_configuration()?;
    }
    if chosen.is_empty() || chosen.contains("layers") {
        layers()?;
    }
    if chosen.is_empty() || chosen.contains("docs") {
        docs()?;
    }
    if chosen.is_empty() || chosen.contains("manifests") {
        manifests::check()?;
    }
    Ok(())
}

/// The manifests against the table in the architecture document.
pub(crate) fn layers() -> anyhow::Result<()> {
    let rules = layers::rules(&shell::read(ARCHITECTURE)?)?;
    let crates = layers::crates(&shell::metadata()?);
    report("layers", &layers::violations(&rules, &crates))
}

/// The documents against the tree. That docs/configuration.md is what the program prints is a test
/// of the program's own: here it would cost a second build.
pub(crate) fn docs() -> anyhow::Result<()> {
    report("docs", &wrong_names()?)
}

/// What the documents name and the repository does not have.
fn wrong_names() -> anyhow::Result<Vec<String>> {
    let files = shell::files().context("cannot list the repository")?;
    let crates: Vec<_> = layers::crates(&shell::metadata()?)
        .into_iter()
        .map(|one| one.name)
        .collect();
    let mut wrong = Vec::new();
    let mut documents = BTreeMap::new();
    for file in files.iter().filter(|file| docs::is_document(file)) {
        documents.insert(file.as_str(), shell::read(file)?);
    }
    for document in documents.keys() {
        wrong.extend(docs::broken_links(document, &documents, &files));
    }
    let (mut sources, mut by_file) = (String::new(), map::Sources::new());
    for file in &files {
        let (is_source, is_mapped) = (docs::is_source(file), map::is_mapped(file));
        if !is_source && !is_mapped {
            continue;
        }
        let text = shell::read(file)?;
        if is_source {
            sources.push_str(&text);
        }
        by_file.insert(file.clone(), text);
    }
    let repository = docs::Repository {
        files: &files,
        crates: &crates,
        sources: &sources,
    };
    let architecture = shell::read(ARCHITECTURE)?;
    wrong.extend(docs::unknown_names(&architecture, &repository));
    wrong.extend(map::faults(&architecture, &by_file));
    wrong.extend(docs::unknown_tests(
        SECURITY,
        &shell::read(SECURITY)?,
        &sources,
    ));
    Ok(wrong)
}

fn report(name: &str, wrong: &[String]) -> anyhow::Result<()> {
    if wrong.is_empty() {
        eprintln!("{name}: ok");
        return Ok(());
    }
    for line in wrong {
        eprintln!("{name}: {line}");
    }
    bail!("{} finding(s)", wrong.len())
}

/// Writes the configuration reference as the program prints it.
fn write_configuration() -> anyhow::Result<()> {
    lab::build()?;
    let mut program = Command::new(shell::built("braingrid-mcp")?);
    let text = shell::output(program.args(["config", "--docs"]))?;
    std::fs::write(shell::root().join(CONFIGURATION), text)
        .with_context(|| format!("cannot write {CONFIGURATION}"))
}
