//! `completions`: what a shell needs to complete this program's command line.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::cli::Cli;

/// The script for a shell.
pub(crate) fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "braingrid-mcp", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    if shell == Shell::Bash {
        // clap_complete 4.6 writes a hyphen in the program's name in two ways, and then finds no
        // subcommand's words.
        return script.replace("braingrid__subcmd__mcp", "braingrid__mcp");
    }
    script
}
