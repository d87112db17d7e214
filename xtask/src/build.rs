//! `cargo xtask build`: the one way every deployment gets its binary.
//!
//! A static binary runs in an empty image, on any distribution, and on platforms that bring their
//! own. It is linked against musl where that can be had, else against glibc.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail, ensure};
use lexopt::prelude::{Long, Short, ValueExt as _};

use crate::{elf, image, python, shell};

const HELP: &str = "\
Build the binary that deployments use, and an image around it.

Without --target: a static binary for Linux on this machine's processor, linked against musl by
Zig's linker (both are installed below the target directory), or against glibc where musl cannot be
had. Prints its path, size and SHA-256.

Usage: cargo xtask build [options]

  --target <triple>  another target
  --image            without the login, and also put into an empty image, with buildah
  --tag <name>       the image's name (default braingrid-mcp:<version>)
  --try              also start the image, and let a real client make a call
";

/// What builds C and links for musl: the newest that were tried together.
const ZIG: [&str; 2] = ["cargo-zigbuild==0.24.0", "ziglang==0.17.1"];

/// What was asked for.
#[derive(Debug, Default, PartialEq)]
struct Options {
    target: Option<String>,
    image: bool,
    tag: Option<String>,
    try_it: bool,
}

/// What is in a binary.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Edition {
    /// Everything, for people's machines.
    Whole,
    /// No login and no keychain: a server for many has neither.
    Server,
}

/// A binary, built.
pub(crate) struct Built {
    pub(crate) path: PathBuf,
    pub(crate) target: String,
}

pub(crate) fn run(flags: lexopt::Parser) -> anyhow::Result<()> {
    let Some(options) = parse(flags)? else {
        print!("{HELP}");
        return Ok(());
    };
    let edition = if options.image {
        Edition::Server
    } else {
        Edition::Whole
    };
    let built = binary(options.target.as_deref(), edition)?;
    report(&built)?;
    if !options.image {
        return Ok(());
    }
    let tag = options.tag.unwrap_or_else(image::default_tag);
    image::build(&built, &tag)?;
    println!(
        "image   {tag}   (in buildah's storage; push it with `{}`)",
        image::push_line(&tag)
    );
    if options.try_it {
        image::try_it(&tag)?;
    }
    Ok(())
}

/// The step of `cargo xtask ci --full`: the static binary, and its image where buildah is.
pub(crate) fn step() -> anyhow::Result<()> {
    let built = binary(None, Edition::Server)?;
    report(&built)?;
    match image::missing() {
        Some(missing) if shell::in_ci() => bail!(missing),
        Some(missing) => {
            eprintln!("SKIPPED: the image: {missing}");
            Ok(())
        }
        None => {
            let tag = image::default_tag();
            image::build(&built, &tag)?;
            image::try_it(&tag)
        }
    }
}

/// None when help was asked for.
fn parse(mut flags: lexopt::Parser) -> anyhow::Result<Option<Options>> {
    let mut options = Options::default();
    while let Some(flag) = flags.next()? {
        match flag {
            Short('h') | Long("help") => return Ok(None),
            Long("target") => options.target = Some(flags.value()?.string()?),
            Long("image") => options.image = true,
            Long("tag") => options.tag = Some(flags.value()?.string()?),
            Long("try") => options.try_it = true,
            other => return Err(other.unexpected().into()),
        }
    }
    if !options.image && (options.tag.is_some() || options.try_it) {
        bail!("--tag and --try are about the image: add --image");
    }
    Ok(Some(options))
}

/// Builds the server for a target; static where the target is Linux and none is named.
pub(crate) fn binary(target: Option<&str>, edition: Edition) -> anyhow::Result<Built> {
    let built = match target {
        None => linux_static(edition)?,
        Some(target) if target.ends_with("-linux-musl") => {
            ensure!(
                musl_is_there(target),
                "the Rust target {target} cannot be had"
            );
            musl(target, edition)?
        }
        Some(target) => plain(target, "", edition)?,
    };
    if target.is_none_or(|target| target.ends_with("-musl")) {
        let bytes = fs::read(&built.path).context("cannot read what was built")?;
        ensure!(
            elf::is_static(&bytes),
            "{} is not static",
            built.path.display()
        );
    }
    Ok(built)
}

fn linux_static(edition: Edition) -> anyhow::Result<Built> {
    let processor = std::env::consts::ARCH;
    let target = format!("{processor}-unknown-linux-musl");
    if musl_is_there(&target) && zig().is_ok() {
        return musl(&target, edition);
    }
    ensure!(
        cfg!(target_os = "linux"),
        "a static binary for Linux needs the Rust target {target} (rustup target add {target}) and \
         Zig from PyPI"
    );
    eprintln!("the Rust target {target} or Zig cannot be had: linking against glibc instead");
    // The target is named so that build scripts and macros are not linked statically too.
    plain(
        &format!("{processor}-unknown-linux-gnu"),
        "-C target-feature=+crt-static",
        edition,
    )
}

/// Whether the compiler has the target, or rustup can get it.
fn musl_is_there(target: &str) -> bool {
    let libraries = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", target])
        .output();
    let installed = libraries.is_ok_and(|output| {
        let dir = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        output.status.success() && Path::new(&dir).is_dir()
    });
    installed || shell::answers(Command::new("rustup").args(["target", "add", target]))
}

/// The folder of Zig and of what makes cargo use it.
pub(crate) fn zig() -> anyhow::Result<PathBuf> {
    python::install("zig", &ZIG)
}

fn musl(target: &str, edition: Edition) -> anyhow::Result<Built> {
    let zig = zig()?;
    let mut build = shell::cargo(["zigbuild"]);
    build
        .env("PATH", shell::path_with(&zig.join("bin"))?)
        .env("CARGO_ZIGBUILD_ZIG_PATH", zig.join("ziglang/zig"));
    compile(build, target, edition)
}

fn plain(target: &str, rustflags: &str, edition: Edition) -> anyhow::Result<Built> {
    let mut build = shell::cargo(["build"]);
    if !rustflags.is_empty() {
        build.env("RUSTFLAGS", rustflags);
    }
    compile(build, target, edition)
}

fn compile(mut build: Command, target: &str, edition: Edition) -> anyhow::Result<Built> {
    build.env("BRAINGRID_COMMIT", shell::revision());
    build.args([
        "--release",
        "--locked",
        "--package=braingrid-mcp",
        "--target",
        target,
    ]);
    if edition == Edition::Server {
        build.arg("--no-default-features");
    }
    shell::run(&mut build)?;
    let dir = shell::target_dir()?.join(target).join("release");
    Ok(Built {
        path: dir.join("braingrid-mcp"),
        target: target.to_owned(),
    })
}

fn report(built: &Built) -> anyhow::Result<()> {
    let size = fs::metadata(&built.path)
        .with_context(|| format!("cannot read {}", built.path.display()))?
        .len();
    println!("binary  {}", built.path.display());
    println!("target  {}", built.target);
    println!("size    {size} bytes");
    println!("sha256  {}", sha256(&built.path)?);
    Ok(())
}

/// The file's SHA-256, as hexadecimal digits.
pub(crate) fn sha256(file: &Path) -> anyhow::Result<String> {
    let mut program = if shell::answers(Command::new("sha256sum").arg("--version")) {
        Command::new("sha256sum")
    } else {
        let mut shasum = Command::new("shasum");
        shasum.args(["-a", "256"]);
        shasum
    };
    let line = shell::output(program.arg(file))?;
    let sum = line.split_whitespace().next();
    sum.map(str::to_owned).context("sha256sum printed nothing")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_about_the_image_need_the_image() {
        let parse = |flags: &[&str]| parse(lexopt::Parser::from_args(flags));
        let options = parse(&["--image", "--tag=a/b:1", "--try"])
            .unwrap()
            .unwrap();
        assert!(options.image && options.try_it);
        assert_eq!(options.tag.as_deref(), Some("a/b:1"));
        assert!(parse(&["--help"]).unwrap().is_none());
        assert!(parse(&["--try"]).is_err());
        assert!(parse(&["--tag", "a"]).is_err());
    }
}
