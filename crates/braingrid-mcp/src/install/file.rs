//! A client's file: read as it is, replaced whole, never left half written.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::clients::Scope;

/// What the name of a backup ends with.
const BACKUP: &str = ".braingrid-backup";

/// A client's file as it was read.
#[derive(Debug)]
pub(super) struct ClientFile {
    /// Behind any links.
    path: PathBuf,
    /// `None` where there is no file yet.
    text: Option<String>,
    permissions: Option<Permissions>,
    scope: Scope,
}

impl ClientFile {
    /// Reads it; a file that is not there yet is no error.
    pub(super) fn read(path: &Path, scope: Scope) -> anyhow::Result<Self> {
        let path = match fs::canonicalize(path) {
            Ok(path) => path,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if fs::symlink_metadata(path).is_ok() {
                    bail!("it is a link to a file that is not there");
                }
                return Ok(Self {
                    path: path.to_path_buf(),
                    text: None,
                    permissions: None,
                    scope,
                });
            }
            Err(error) => return Err(error).context("it cannot be read"),
        };
        let bytes = fs::read(&path).context("it cannot be read")?;
        let text = String::from_utf8(bytes).ok().context("it is not UTF-8")?;
        let permissions = fs::metadata(&path)
            .context("it cannot be read")?
            .permissions();
        Ok(Self {
            path,
            text: Some(text),
            permissions: Some(permissions),
            scope,
        })
    }

    /// Its text; empty where there is no file.
    pub(super) fn text(&self) -> &str {
        self.text.as_deref().unwrap_or_default()
    }

    /// The text before the first of our changes; `None` where no backup is kept.
    pub(super) fn before(&self) -> Option<String> {
        fs::read_to_string(self.backup_path()).ok()
    }

    /// Keeps the text that was read as a backup; gives the backup's path, if there was a file.
    pub(super) fn back_up(&self) -> anyhow::Result<Option<PathBuf>> {
        let Some(text) = &self.text else {
            return Ok(None);
        };
        let backup = self.backup_path();
        self.write_to(&backup, text)
            .context("its backup cannot be written")?;
        Ok(Some(backup))
    }

    /// Replaces the text, unless somebody else did since it was read.
    pub(super) fn replace(&self, text: &str) -> anyhow::Result<()> {
        self.must_be_unchanged()?;
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder).context("its folder cannot be made")?;
        }
        self.write_to(&self.path, text)
            .context("it cannot be written")
    }

    /// Removes the file.
    pub(super) fn delete(&self) -> anyhow::Result<()> {
        self.must_be_unchanged()?;
        fs::remove_file(&self.path).context("it cannot be removed")
    }

    /// Removes the backup, if there is one.
    pub(super) fn forget_backup(&self) {
        let _ = fs::remove_file(self.backup_path());
    }

    fn backup_path(&self) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(BACKUP);
        PathBuf::from(name)
    }

    fn must_be_unchanged(&self) -> anyhow::Result<()> {
        let now = match fs::read_to_string(&self.path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error).context("it cannot be read"),
        };
        if now != self.text {
            bail!("another program changed it in the meantime: try again");
        }
        Ok(())
    }

    /// Writes beside the target, then puts it in its place in one step.
    fn write_to(&self, target: &Path, text: &str) -> io::Result<()> {
        let folder = target.parent().unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        builder.prefix(".braingrid-");
        #[cfg(unix)]
        if self.scope == Scope::Project {
            use std::os::unix::fs::PermissionsExt as _;
            // For all who have the project, less what the umask takes away. A user's own file is
            // made for the user alone: clients put more into it, tokens among them.
            builder.permissions(Permissions::from_mode(0o666));
        }
        let mut file = builder.tempfile_in(folder)?;
        file.write_all(text.as_bytes())?;
        if let Some(permissions) = &self.permissions {
            file.as_file().set_permissions(permissions.clone())?;
            #[cfg(unix)]
            keep_owner(&self.path, file.as_file())?;
        }
        file.as_file().sync_all()?;
        file.persist(target)?;
        Ok(())
    }
}

/// For those who run this as root.
#[cfg(unix)]
fn keep_owner(original: &Path, file: &fs::File) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, fchown};
    let (owner, ours) = (fs::metadata(original)?, file.metadata()?);
    if (owner.uid(), owner.gid()) == (ours.uid(), ours.gid()) {
        return Ok(());
    }
    fchown(file, Some(owner.uid()), Some(owner.gid()))
}
