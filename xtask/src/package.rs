//! `cargo xtask package`: what a release consists of, in `dist`.
//!
//! An archive for people, a bundle for clients that install servers by a click (MCPB), and
//! `server.json` for the MCP registry.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail, ensure};
use lexopt::prelude::{Long, Short, ValueExt as _};
use serde_json::{Value, json};

use crate::{
    build::{self, Built},
    node, python, shell,
};
use describe::{Bundle, manifest, program_name, server_json};

mod describe;

const HELP: &str = "\
Make what a release consists of, in dist.

For one target: a .tar.gz with the binary, completions, README.md, CHANGELOG.md and LICENSE, and an
.mcpb bundle, which clients such as Claude Desktop install by a click. Then, from all bundles that
are in dist, server.json for the MCP registry, checked against the registry's schema; and SHA256SUMS.

Usage: cargo xtask package [options]

  --target <triple>  for another target than the static one for Linux
  --index            build nothing: only server.json and SHA256SUMS, of what is in dist
";

/// The schema of `server.json`, and what checks it.
const SCHEMA: &str = "xtask/schemas/server-2025-12-11.json";
const VALIDATOR: [&str; 1] = ["check-jsonschema==0.39.0"];

/// Completions, as each shell wants the file to be called.
const COMPLETIONS: &[(&str, &str)] = &[
    ("bash", "braingrid-mcp.bash"),
    ("zsh", "_braingrid-mcp"),
    ("fish", "braingrid-mcp.fish"),
    ("powershell", "_braingrid-mcp.ps1"),
];

/// What was asked for.
#[derive(Debug, Default, PartialEq)]
struct Options {
    target: Option<String>,
    index: bool,
}

pub(crate) fn run(flags: lexopt::Parser) -> anyhow::Result<()> {
    let Some(options) = parse(flags)? else {
        print!("{HELP}");
        return Ok(());
    };
    let dist = shell::root().join("dist");
    fs::create_dir_all(&dist).context("cannot make dist")?;
    if !options.index {
        let built = build::binary(options.target.as_deref(), build::Edition::Whole)?;
        archive(&built, &dist)?;
        bundle(&built, &dist)?;
    }
    let server = dist.join("server.json");
    write_json(&server, &server_json(&version()?, &bundles(&dist)?))?;
    validate(&server)?;
    sums(&dist)?;
    println!("made    {}", dist.display());
    Ok(())
}

/// The step of `cargo xtask ci`: `server.json` as a release would have it, against the schema.
pub(crate) fn step() -> anyhow::Result<()> {
    if !shell::answers(Command::new("python3").args(["-m", "pip", "--version"])) {
        if shell::in_ci() {
            bail!("server.json is checked by a program from PyPI: install python3-pip");
        }
        eprintln!("SKIPPED: server.json: Python 3 with pip is not installed");
        return Ok(());
    }
    let file = shell::target_dir()?.join("server.json");
    let bundle = Bundle {
        file: "braingrid-mcp-example.mcpb".to_owned(),
        sha256: "0".repeat(64),
    };
    let version = version()?;
    write_json(&file, &server_json(&version, &[bundle]))?;
    validate(&file)?;
    // The validator must be able to say no.
    write_json(&file, &json!({ "name": "no namespace" }))?;
    let accepted = shell::answers(&mut validator(&file)?);
    ensure!(!accepted, "the schema refuses nothing");
    Ok(())
}

/// None when help was asked for.
fn parse(mut flags: lexopt::Parser) -> anyhow::Result<Option<Options>> {
    let mut options = Options::default();
    while let Some(flag) = flags.next()? {
        match flag {
            Short('h') | Long("help") => return Ok(None),
            Long("target") => options.target = Some(flags.value()?.string()?),
            Long("index") => options.index = true,
            other => return Err(other.unexpected().into()),
        }
    }
    if options.index && options.target.is_some() {
        bail!("--index builds nothing: leave --target out");
    }
    Ok(Some(options))
}

/// The version of the workspace.
fn version() -> anyhow::Result<String> {
    let metadata = shell::metadata()?;
    let packages = metadata.get("packages").and_then(Value::as_array);
    let ours = packages
        .into_iter()
        .flatten()
        .find(|package| package.get("name").and_then(Value::as_str) == Some("braingrid-mcp"));
    let version = ours.and_then(|package| package.get("version")?.as_str());
    version
        .map(str::to_owned)
        .context("cargo metadata names no version")
}

/// `braingrid-mcp-v1.2.3-x86_64-unknown-linux-musl`
fn stem(built: &Built) -> anyhow::Result<String> {
    Ok(format!("braingrid-mcp-v{}-{}", version()?, built.target))
}

/// The archive for people.
fn archive(built: &Built, dist: &Path) -> anyhow::Result<()> {
    let stem = stem(built)?;
    let folder = fresh(&stem)?;
    let program = folder.join(program_name(built));
    fs::copy(&built.path, &program).context("cannot copy the binary")?;
    for file in ["README.md", "CHANGELOG.md", "LICENSE"] {
        fs::copy(shell::root().join(file), folder.join(file)).context("cannot copy a document")?;
    }
    let completions = folder.join("completions");
    fs::create_dir(&completions).context("cannot make a folder for completions")?;
    for &(shell, file) in COMPLETIONS {
        let script = shell::output(Command::new(&program).args(["completions", shell]))?;
        fs::write(completions.join(file), script).context("cannot write completions")?;
    }
    let mut tar = Command::new("tar");
    tar.arg("-czf").arg(dist.join(format!("{stem}.tar.gz")));
    tar.arg("-C")
        .arg(folder.parent().unwrap_or(dist))
        .arg(&stem);
    shell::run(&mut tar)
}

/// The bundle for clients: a zip of a manifest and the binary.
fn bundle(built: &Built, dist: &Path) -> anyhow::Result<()> {
    let stem = stem(built)?;
    let folder = fresh(&format!("{stem}.mcpb"))?;
    let server = folder.join("server");
    fs::create_dir(&server).context("cannot make the bundle's folder")?;
    fs::copy(&built.path, server.join(program_name(built))).context("cannot copy the binary")?;
    write_json(&folder.join("manifest.json"), &manifest(built, &version()?))?;
    let mut zip = Command::new("python3");
    zip.args(["-m", "zipfile", "-c"])
        .arg(dist.join(format!("{stem}.mcpb")));
    shell::run(zip.current_dir(&folder).args(["manifest.json", "server"]))
}

/// An empty folder below the target directory.
fn fresh(name: &str) -> anyhow::Result<PathBuf> {
    let folder = shell::target_dir()?.join("package").join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).context("cannot remove what was packaged before")?;
    }
    fs::create_dir_all(&folder).context("cannot make a folder to package")?;
    Ok(folder)
}

fn bundles(dist: &Path) -> anyhow::Result<Vec<Bundle>> {
    let mut bundles = Vec::new();
    for file in files(dist)? {
        if Path::new(&file).extension() == Some(OsStr::new("mcpb")) {
            let sha256 = build::sha256(&dist.join(&file))?;
            bundles.push(Bundle { file, sha256 });
        }
    }
    Ok(bundles)
}

/// The names in `dist`, in order.
fn files(dist: &Path) -> anyhow::Result<Vec<String>> {
    let entries = fs::read_dir(dist).context("cannot read dist")?.flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<_> = names.collect();
    names.sort();
    Ok(names)
}

/// By the registry's own schema, as it is in this repository: no network.
fn validate(file: &Path) -> anyhow::Result<()> {
    shell::run(node::to_stderr(&mut validator(file)?))
}

fn validator(file: &Path) -> anyhow::Result<Command> {
    let tools = python::install("schema", &VALIDATOR)?;
    let mut validate = Command::new("python3");
    validate.env("PYTHONPATH", &tools);
    validate.args(["-m", "check_jsonschema", "--schemafile"]);
    validate.arg(shell::root().join(SCHEMA)).arg(file);
    Ok(validate)
}

fn write_json(file: &Path, value: &Value) -> anyhow::Result<()> {
    let text = format!("{value:#}\n");
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// Checksums, in the form that `sha256sum --check` reads.
fn sums(dist: &Path) -> anyhow::Result<()> {
    let mut sums = String::new();
    for file in files(dist)?.iter().filter(|file| *file != "SHA256SUMS") {
        let sum = build::sha256(&dist.join(file))?;
        sums.extend([sum.as_str(), "  ", file, "\n"]);
    }
    fs::write(dist.join("SHA256SUMS"), sums).context("cannot write the checksums")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_say_what_to_make() {
        let parse = |flags: &[&str]| parse(lexopt::Parser::from_args(flags));
        let options = parse(&["--target", "aarch64-apple-darwin"])
            .unwrap()
            .unwrap();
        assert_eq!(options.target.as_deref(), Some("aarch64-apple-darwin"));
        assert!(parse(&["--index"]).unwrap().unwrap().index);
        assert!(parse(&["--index", "--target", "x"]).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn an_archive_and_a_bundle_hold_what_they_should() {
        let dir = std::env::temp_dir().join(format!("xtask-package-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let program = dir.join("program");
        fs::write(&program, "#!/bin/sh\necho \"$@\"\n").unwrap();
        shell::make_executable(&program).unwrap();
        let built = Built {
            path: program,
            target: format!("of-test-{}", std::process::id()),
        };
        archive(&built, &dir).unwrap();
        bundle(&built, &dir).unwrap();
        let stem = stem(&built).unwrap();
        let unpack = |program: &str, arguments: &[&str]| {
            let mut command = Command::new(program);
            shell::run(command.current_dir(&dir).args(arguments)).unwrap();
        };
        unpack("tar", &["-xzf", &format!("{stem}.tar.gz")]);
        let read = |file: &str| fs::read_to_string(dir.join(&stem).join(file)).unwrap();
        assert_eq!(read("completions/_braingrid-mcp"), "completions zsh\n");
        assert!(read("LICENSE").contains("Apache License"));
        let program = dir.join(&stem).join("braingrid-mcp");
        assert!(shell::answers(&mut Command::new(program)));
        let bundle = format!("{stem}.mcpb");
        unpack("python3", &["-m", "zipfile", "-e", &bundle, "bundle"]);
        let manifest = fs::read(dir.join("bundle/manifest.json")).unwrap();
        let manifest: Value = serde_json::from_slice(&manifest).unwrap();
        let entry = manifest["server"]["entry_point"].as_str().unwrap();
        assert!(dir.join("bundle").join(entry).is_file());
        assert_eq!(bundles(&dir).unwrap().len(), 1);
        for made in [stem, bundle] {
            fs::remove_dir_all(shell::target_dir().unwrap().join("package").join(made)).unwrap();
        }
        fs::remove_dir_all(dir).unwrap();
    }
}
