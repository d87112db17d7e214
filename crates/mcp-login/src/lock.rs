//! One process at a time: a lock on a file beside the login.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

/// Held until it is dropped, or until the process ends in whatever way.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: Option<File>,
}

/// How long to wait for another process.
#[derive(Debug, Clone, Copy)]
pub(crate) enum LockWait {
    /// Not at all.
    None,
    /// For as long as a refresh can take.
    Refresh,
}

impl Lock {
    /// The lock of this folder, or `None` when another process holds it for longer than is waited.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub(crate) async fn take(folder: &Path, wait: LockWait) -> io::Result<Option<Self>> {
        let deadline = Instant::now()
            + match wait {
                LockWait::None => Duration::ZERO,
                LockWait::Refresh => Duration::from_mins(1),
            };
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(folder.join("login.lock"))?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(Self { _file: Some(file) })),
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => return Ok(None),
                // Systems tell no one that a lock is free but those who block a thread for it.
                Err(TryLockError::WouldBlock) => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                    tracing::warn!("this folder knows no locks: two servers may refresh at once");
                    return Ok(Some(Self { _file: None }));
                }
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }
}
