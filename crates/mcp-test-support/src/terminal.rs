//! A terminal for a program that asks its user something.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    os::fd::OwnedFd,
    process::{Child, Command},
};

/// A program whose standard input and standard error are a terminal.
#[derive(Debug)]
pub struct OnTerminal {
    /// The program; its standard output is as the command says.
    pub child: Child,
    screen: File,
}

impl OnTerminal {
    /// Starts the program.
    pub fn spawn(mut command: Command) -> io::Result<Self> {
        let terminal = nix::pty::openpty(None, None)?;
        let theirs: OwnedFd = terminal.slave;
        command.stdin(theirs.try_clone()?).stderr(theirs);
        let child = command.spawn()?;
        // With the command goes our copy of their side: the screen ends when the program does.
        drop(command);
        let screen = File::from(terminal.master);
        Ok(Self { child, screen })
    }

    /// Reads the screen until this text is on it.
    ///
    /// # Errors
    ///
    /// When the program ends first; with what is on the screen.
    pub fn wait_for(&mut self, text: &str) -> io::Result<String> {
        let mut seen = Vec::new();
        let mut byte = [0];
        loop {
            let shown = String::from_utf8_lossy(&seen).into_owned();
            if shown.contains(text) {
                return Ok(shown);
            }
            match self.screen.read(&mut byte) {
                Ok(1) => seen.extend(byte),
                _ => return Err(io::Error::other(format!("the program ended: {shown}"))),
            }
        }
    }

    /// Types a line.
    pub fn enter(&mut self, line: &str) -> io::Result<()> {
        self.screen.write_all(format!("{line}\n").as_bytes())
    }
}
