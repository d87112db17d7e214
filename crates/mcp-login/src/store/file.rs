//! Small files that only their owner can read, replaced as a whole.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use uuid::Uuid;
use zeroize::Zeroizing;

use super::StoreError;

/// The content, or `None` where there is no such file. Access of others is taken away.
pub(super) fn read(path: &Path) -> Result<Option<Zeroizing<String>>, StoreError> {
    match fs::read_to_string(path) {
        Ok(text) => {
            if !is_mine(path).map_err(problem(path))? {
                return Err(StoreError::Exposed {
                    path: path.to_owned(),
                    what: format!(
                        "belongs to another user: remove it, and run `{} login`",
                        crate::program::program()
                    ),
                });
            }
            tighten(path).map_err(problem(path))?;
            Ok(Some(Zeroizing::new(text)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err(StoreError::Damaged(path.to_owned()))
        }
        Err(error) => Err(problem(path)(error)),
    }
}

/// Replaces the file: whoever reads it sees the old content or the new one.
pub(super) fn write(path: &Path, text: &str) -> Result<(), StoreError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    make_folder(folder).map_err(problem(folder))?;
    let fresh = path.with_extension(format!("{}.tmp", Uuid::new_v4().simple()));
    let written = create(&fresh)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            // The tokens before may be worth nothing any more: these have to last.
            file.sync_all()
        })
        .and_then(|()| fs::rename(&fresh, path));
    if written.is_err() {
        let _ = fs::remove_file(&fresh);
    }
    written.map_err(problem(path))
}

/// Removes the file where there is one.
pub(super) fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(problem(path)(error)),
        _ => Ok(()),
    }
}

fn problem(path: &Path) -> impl Fn(io::Error) -> StoreError {
    move |problem| StoreError::File {
        path: path.to_owned(),
        problem,
    }
}

#[cfg(unix)]
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
}

#[cfg(unix)]
fn create(path: &Path) -> io::Result<fs::File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

#[cfg(unix)]
fn is_mine(path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let owner = fs::metadata(path)?.uid();
    Ok([0, rustix::process::geteuid().as_raw()].contains(&owner))
}

#[cfg(unix)]
fn tighten(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(path)?.permissions().mode();
    let others = mode & 0o077;
    if others == 0 {
        return Ok(());
    }
    tracing::warn!(file = %path.display(), "others could read this file; now they cannot");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
}

/// The user's own folders are private already.
#[cfg(not(unix))]
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)
}

#[cfg(not(unix))]
fn create(path: &Path) -> io::Result<fs::File> {
    fs::File::create_new(path)
}

#[cfg(not(unix))]
fn is_mine(_: &Path) -> io::Result<bool> {
    Ok(true)
}

#[cfg(not(unix))]
fn tighten(_: &Path) -> io::Result<()> {
    Ok(())
}
