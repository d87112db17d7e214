//! Tells the program for which target it is built.
#![expect(
    clippy::disallowed_methods,
    reason = "that is how a build script is asked"
)]

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = std::env::var("TARGET").unwrap_or_default();
    println!("cargo::rustc-env=BRAINGRID_TARGET={target}");
}
