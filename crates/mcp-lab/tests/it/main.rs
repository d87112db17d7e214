//! The lab's short runs, with the built binary: each is three servers and all that fails around them.
mod chaos;
mod dev;
mod revocations;
mod storm;

use std::path::PathBuf;

use anyhow::{Context as _, ensure};

/// The server's binary, beside this test's: whoever builds all tests has built it. Another crate's
/// program, so cargo neither names it here nor builds it for this test alone.
fn server() -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe()?;
    // target/<profile>/deps/<test>
    let built = test.ancestors().nth(2).context("no target directory")?;
    let server = built.join(format!("braingrid-mcp{}", std::env::consts::EXE_SUFFIX));
    ensure!(
        server.is_file(),
        "there is no {}: run the tests of the whole workspace, or build it first",
        server.display()
    );
    Ok(server)
}
