//! Whose a file is, and who else may write it. Elsewhere than on Unix, a user's folder is the
//! user's alone.

use std::fs::Metadata;
use std::path::Path;

/// Whether a file that is read unasked, and the folder it is in, can be written by nobody but
/// their user. One that is not there does no harm.
///
/// # Errors
/// What is wrong with it, naming the path.
pub(crate) fn check(path: &Path) -> Result<(), String> {
    for place in [path.parent(), Some(path)].into_iter().flatten() {
        let Ok(metadata) = place.metadata() else {
            continue;
        };
        if !is_mine(&metadata) {
            return Err(format!("{} belongs to another user", place.display()));
        }
        if others_write(&metadata) {
            return Err(format!("{} can be written by others", place.display()));
        }
    }
    Ok(())
}

/// Whether it belongs to this user, or to the system.
#[cfg(unix)]
pub(crate) fn is_mine(metadata: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    [0, rustix::process::geteuid().as_raw()].contains(&metadata.uid())
}

/// Whether two belong to the same user.
#[cfg(unix)]
pub(crate) fn same(one: &Metadata, other: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    one.uid() == other.uid()
}

/// The group of the user's own name, which many systems make, has nobody else in it.
#[cfg(unix)]
fn others_write(metadata: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let (mode, private) = (metadata.mode(), metadata.gid() == metadata.uid());
    mode & 0o002 != 0 || (mode & 0o020 != 0 && !private)
}

#[cfg(not(unix))]
pub(crate) fn is_mine(_: &Metadata) -> bool {
    true
}

#[cfg(not(unix))]
pub(crate) fn same(_: &Metadata, _: &Metadata) -> bool {
    true
}

#[cfg(not(unix))]
fn others_write(_: &Metadata) -> bool {
    false
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt as _, chown};

    use super::*;

    #[test]
    fn a_file_that_others_can_write_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("braingrid-mcp.toml");
        assert_eq!(check(&file), Ok(()), "nothing is there");
        fs::write(&file, "").unwrap();
        for (mode, good) in [(0o600, true), (0o644, true), (0o646, false)] {
            fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
            assert_eq!(check(&file).is_ok(), good, "{mode:o}");
        }
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
        assert!(check(&file).unwrap_err().contains("written by others"));
        fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
        // Only root can give a file away.
        if chown(&file, Some(12_345), None).is_ok() {
            assert!(check(&file).unwrap_err().contains("another user"));
        }
    }
}
