//! What stays on the disk between two starts, and is found by other programs: the key, a token, logs.

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use mcp_test_support::{Captured, Journal, ServerProcess, random_hex};
use tempfile::TempDir;

/// After it the copy looks by itself whether there is more.
const A_WHILE: Duration = Duration::from_hours(1);

/// The folder of one port.
pub(super) struct Folder {
    path: PathBuf,
    /// Where nobody named one, it goes with this run.
    _temporary: Option<TempDir>,
}

impl Folder {
    /// For the server on this port, below `parent` or for this run alone.
    pub(super) fn new(parent: Option<&Path>, port: u16) -> anyhow::Result<Self> {
        let temporary = match parent {
            Some(_) => None,
            None => Some(TempDir::new()?),
        };
        let parent = parent.or(temporary.as_ref().map(TempDir::path));
        let path = parent.unwrap_or(Path::new(".")).join(port.to_string());
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self {
            path,
            _temporary: temporary,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The server's key. The same at each start: a client that has registered is known again.
    pub(super) fn encryption_key(&self) -> anyhow::Result<String> {
        let file = self.path.join("encryption-key");
        if let Ok(key) = fs::read_to_string(&file) {
            return Ok(key);
        }
        let key = random_hex(32);
        write_secret(&file, &key)?;
        Ok(key)
    }

    /// A token for scripts; the file.
    pub(super) fn keep_token(&self, token: &str) -> anyhow::Result<PathBuf> {
        let file = self.path.join("token");
        write_secret(&file, token)?;
        Ok(file)
    }

    /// Writes down what the server says as it says it; the file.
    pub(super) fn keep_log(
        &self,
        server: &ServerProcess,
        number: usize,
    ) -> anyhow::Result<PathBuf> {
        let path = self.path.join(format!("server-{number}.log"));
        let file =
            File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
        tokio::spawn(copy(server.shared_output(), file));
        Ok(path)
    }
}

async fn copy(output: Arc<Journal<Captured>>, mut file: File) {
    let mut written = 0;
    loop {
        output
            .wait_until(|lines| lines.len() > written, A_WHILE)
            .await;
        for line in output.entries().iter().skip(written) {
            // A full disk ends no demonstration.
            let _ = writeln!(file, "{}", line.text);
            written += 1;
        }
    }
}

/// Readable by its owner alone, from its first byte.
fn write_secret(file: &Path, text: &str) -> anyhow::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let written = options
        .open(file)
        .and_then(|mut opened| opened.write_all(text.as_bytes()));
    written.with_context(|| format!("cannot write {}", file.display()))
}
