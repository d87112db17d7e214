//! A file that keeps denials when the store and all instances are lost: a sealed one on each line, in
//! hexadecimal.

use std::{fs, io, path::PathBuf, sync::Arc};

use mcp_session::replace_file;

use super::Denial;

/// Cheap to clone. One process alone may have it.
#[derive(Debug, Clone)]
pub(super) struct DenialFile {
    path: Arc<PathBuf>,
}

impl DenialFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path: Arc::new(path),
        }
    }

    /// The denials in it. What does not open lets nobody begin: a wrong key must not let people in.
    pub(super) fn read(&self, open: impl Fn(&[u8]) -> Option<Denial>) -> io::Result<Vec<Denial>> {
        let text = match fs::read_to_string(&*self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let opened = text
            .lines()
            .map(|line| hex::decode(line).ok().and_then(|member| open(&member)));
        let opened: Option<Vec<Denial>> = opened.collect();
        let text = "a line of it does not open: is the key that sealed it among those there are?";
        opened.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, text))
    }

    /// Puts these in the place of what was in it.
    pub(super) fn write(&self, sealed: &[Vec<u8>]) -> io::Result<()> {
        let lines: String = sealed.iter().map(|it| hex::encode(it) + "\n").collect();
        replace_file(&self.path, lines.as_bytes())
    }
}
