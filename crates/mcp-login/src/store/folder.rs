//! Whose the folder of the login is, and who could put another login there: by writing it, or by
//! moving it away in one of the folders above.

use std::path::Path;

use super::StoreError;

/// In a sandbox with users of its own, the system's folders are shown as nobody's.
#[cfg(unix)]
const NOBODY: u32 = 65_534;

/// Refuses a folder that somebody else owns or can replace. One of this user that is merely too
/// open is closed.
#[cfg(unix)]
pub(super) fn guard(folder: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(real) = folder.canonicalize() else {
        // There is none yet; it is made for this user alone, and looked at again then.
        return Ok(());
    };
    let me = rustix::process::geteuid().as_raw();
    for (place, above) in real
        .ancestors()
        .zip([false].into_iter().chain(std::iter::repeat(true)))
    {
        let metadata = place.metadata().map_err(|problem| StoreError::File {
            path: place.to_owned(),
            problem,
        })?;
        let exposed = |what: &str| StoreError::Exposed {
            path: place.to_owned(),
            what: what.to_owned(),
        };
        let owner = metadata.uid();
        let trusted = [0, me].contains(&owner) || (above && owner == NOBODY);
        if !trusted {
            return Err(exposed(
                "belongs to another user, who could replace the login: choose a folder of your own \
                 with BRAINGRID_LOGIN_DIR",
            ));
        }
        // In a folder like /tmp everybody can write, but only to what is their own.
        let sticky = metadata.mode() & 0o1000 != 0;
        // The group of the user's own name, which many systems make, has nobody else in it.
        let private = metadata.gid() == metadata.uid();
        let open = metadata.mode() & 0o002 != 0 || (metadata.mode() & 0o020 != 0 && !private);
        if !open || sticky {
            continue;
        }
        if above || metadata.uid() != me {
            return Err(exposed(
                "can be written by other users, who could replace the login: take that away with \
                 `chmod go-w`, or choose another folder with BRAINGRID_LOGIN_DIR",
            ));
        }
        close(place, metadata.mode())?;
    }
    Ok(())
}

#[cfg(unix)]
fn close(folder: &Path, mode: u32) -> Result<(), StoreError> {
    use std::os::unix::fs::PermissionsExt as _;
    tracing::warn!(folder = %folder.display(), "others could write this folder; now they cannot");
    let closed = std::fs::Permissions::from_mode(mode & 0o700);
    std::fs::set_permissions(folder, closed).map_err(|problem| StoreError::File {
        path: folder.to_owned(),
        problem,
    })
}

/// The user's own folders are private already.
#[cfg(not(unix))]
pub(super) fn guard(_: &Path) -> Result<(), StoreError> {
    Ok(())
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt as _, chown};
    use std::path::PathBuf;

    use super::*;

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_folder_that_others_can_write_is_closed_and_one_above_it_is_named() {
        let root = tempfile::tempdir().unwrap();
        let above = root.path().canonicalize().unwrap().join("above");
        let folder = above.join("login");
        assert!(guard(&folder).is_ok(), "there is none yet");
        fs::create_dir_all(&folder).unwrap();
        mode(&above, 0o755);
        for open in [0o777, 0o772, 0o702] {
            mode(&folder, open);
            guard(&folder).unwrap();
            let now = folder.metadata().unwrap().permissions().mode();
            assert_eq!(now & 0o777, 0o700, "{open:o}");
        }
        let refused = |path: &PathBuf| match guard(&folder) {
            Err(StoreError::Exposed { path: named, .. }) => named == *path,
            _ => false,
        };
        mode(&above, 0o777);
        assert!(refused(&above));
        mode(&above, 0o1777);
        assert!(guard(&folder).is_ok(), "sticky, as /tmp is");
        mode(&above, 0o755);
        // Only root can give a folder away.
        for place in [&above, &folder] {
            if chown(place, Some(12_345), None).is_ok() {
                assert!(refused(place), "{}", place.display());
                chown(place, Some(0), None).unwrap();
            }
        }
        guard(&folder).unwrap();
    }
}
