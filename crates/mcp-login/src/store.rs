//! Where a login is kept: the system's keychain, else a file that only its owner can read.
//!
//! The file `login.json` is always there. It says where the tokens are and carries a stamp that
//! changes with every change, so that a running server notices a new login without asking the
//! keychain.

mod file;
mod keychain;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::credential::StoredCredential;
use super::lock::{Lock, Patience};

/// Where logins may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keeping {
    /// In the keychain where there is one, else in a file.
    #[default]
    Auto,
    /// In the keychain, or not at all.
    Keychain,
    /// In a file.
    File,
}

/// Where a login is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// In the system's keychain, under the store's service name.
    Keychain,
    /// In this file.
    File(PathBuf),
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keychain => f.write_str("the system's keychain"),
            Self::File(path) => write!(f, "the file {}", path.display()),
        }
    }
}

/// Why a login cannot be read or kept. The text tells the user what to do and holds no secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file cannot be read or written.
    #[error(
        "{}: {problem} (this user has to be able to read and write it)",
        path.display()
    )]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        problem: std::io::Error,
    },
    /// The file holds something else.
    #[error(
        "{} is damaged or of a newer version: run `braingrid-mcp logout`, then `braingrid-mcp login`",
        .0.display()
    )]
    Damaged(PathBuf),
    /// The keychain cannot be used.
    #[error("the system's keychain cannot be used: {0}")]
    Keychain(String),
    /// The keychain lost what it was given.
    #[error("the login is no longer in the system's keychain: run `braingrid-mcp login`")]
    Lost,
}

/// A login and the state of the store it came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The login.
    pub credential: StoredCredential,
    /// Where it is kept.
    pub kept: Kept,
    /// Changes whenever the store does.
    pub stamp: String,
}

/// What can be told of a login without its tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glance {
    /// [`StoredCredential::id`].
    pub id: String,
    /// The organization that its token names.
    pub organization: Option<String>,
    /// Changes whenever the store does.
    pub stamp: String,
}

/// Keeps one login. Cheap; makes no I/O until it is asked something. Its calls block, on a
/// keychain that asks its user for a password as long as that takes.
#[derive(Debug, Clone)]
pub struct CredentialStore {
    directory: PathBuf,
    service: String,
    keeping: Keeping,
}

/// The file's content.
#[derive(Serialize, Deserialize)]
struct Record<'a> {
    version: u32,
    stamp: String,
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    organization: Option<String>,
    /// Absent: it is in the keychain.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    credential: Option<&'a RawValue>,
}

const VERSION: u32 = 1;

/// How long a keychain may wait for its user's password: shorter than clients wait for a tool.
const PATIENCE: Duration = Duration::from_secs(45);

impl CredentialStore {
    /// The service name under which the keychain shows the login.
    pub const SERVICE: &'static str = "braingrid-mcp";

    /// A store in this folder, which is made when something is kept.
    pub fn new(directory: impl Into<PathBuf>, keeping: Keeping) -> Self {
        Self {
            directory: directory.into(),
            service: Self::SERVICE.to_owned(),
            keeping,
        }
    }

    /// Another service name in the keychain, so that stores in different folders differ there too.
    #[must_use]
    pub fn with_service(mut self, service: impl Into<String>) -> Self {
        self.service = service.into();
        self
    }

    /// The folder.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The login, where there is one.
    ///
    /// # Errors
    /// When it cannot be told, or not be read.
    pub fn load(&self) -> Result<Option<Loaded>, StoreError> {
        let path = self.path();
        let Some(text) = file::read(&path)? else {
            return Ok(None);
        };
        let damaged = || StoreError::Damaged(path.clone());
        let record = parse(&text).ok_or_else(damaged)?;
        let (json, kept) = match record.credential {
            Some(json) => (
                Zeroizing::new(json.get().to_owned()),
                Kept::File(path.clone()),
            ),
            None => {
                let secret = keychain::get(&self.service)?.ok_or(StoreError::Lost)?;
                (secret, Kept::Keychain)
            }
        };
        Ok(Some(Loaded {
            credential: StoredCredential::from_json(&json).ok_or_else(damaged)?,
            kept,
            stamp: record.stamp,
        }))
    }

    /// What is there, without asking the keychain.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn glance(&self) -> Result<Option<Glance>, StoreError> {
        let path = self.path();
        let Some(text) = file::read(&path)? else {
            return Ok(None);
        };
        let record = parse(&text).ok_or(StoreError::Damaged(path))?;
        Ok(Some(Glance {
            id: record.id,
            organization: record.organization,
            stamp: record.stamp,
        }))
    }

    /// Keeps a login in place of the one before.
    ///
    /// # Errors
    /// When it is kept nowhere; the one before is then still there.
    pub fn save(&self, credential: &StoredCredential) -> Result<Kept, StoreError> {
        let json = credential.to_json();
        let in_keychain = match self.keeping {
            Keeping::File => false,
            Keeping::Keychain => keychain::set(&self.service, &json).map(|()| true)?,
            Keeping::Auto => match keychain::set(&self.service, &json) {
                Ok(()) => true,
                Err(error) => {
                    tracing::debug!(%error, "the login goes into a file");
                    false
                }
            },
        };
        self.write(credential, if in_keychain { None } else { Some(&json) })?;
        if in_keychain {
            return Ok(Kept::Keychain);
        }
        Ok(Kept::File(self.path()))
    }

    /// Forgets the login. Returns whether there was one.
    ///
    /// # Errors
    /// When it may still be there.
    pub fn delete(&self) -> Result<bool, StoreError> {
        let path = self.path();
        let Some(text) = file::read(&path)? else {
            return Ok(false);
        };
        let in_keychain = parse(&text).is_some_and(|record| record.credential.is_none());
        if in_keychain {
            keychain::delete(&self.service)?;
        } else if self.keeping != Keeping::File {
            // An earlier login may be there still; and a damaged file must not stay for that.
            keychain::delete(&self.service).unwrap_or_default();
        }
        file::remove(&path)?;
        Ok(true)
    }

    fn write(&self, credential: &StoredCredential, json: Option<&str>) -> Result<(), StoreError> {
        let path = self.path();
        let damaged = |_| StoreError::Damaged(path.clone());
        let record = Record {
            version: VERSION,
            stamp: Uuid::new_v4().simple().to_string(),
            id: credential.id.clone(),
            organization: credential.organization(),
            credential: json
                .map(serde_json::from_str)
                .transpose()
                .map_err(damaged)?,
        };
        let text = Zeroizing::new(serde_json::to_string(&record).map_err(damaged)?);
        file::write(&path, &text)
    }

    /// The lock on this store.
    pub(crate) async fn lock(&self, patience: Patience) -> Result<Option<Lock>, StoreError> {
        let problem = |problem| StoreError::File {
            path: self.directory.join("login.lock"),
            problem,
        };
        file::make_folder(&self.directory).map_err(problem)?;
        Lock::take(&self.directory, patience).await.map_err(problem)
    }

    /// Like [`load`](Self::load), without holding up other tasks.
    pub(crate) async fn loaded(&self) -> Result<Option<Loaded>, StoreError> {
        let store = self.clone();
        blocking(move || store.load()).await
    }

    /// Like [`save`](Self::save), without holding up other tasks.
    pub(crate) async fn saved(&self, credential: StoredCredential) -> Result<Kept, StoreError> {
        let store = self.clone();
        blocking(move || store.save(&credential)).await
    }

    /// Like [`delete`](Self::delete), without holding up other tasks.
    pub(crate) async fn deleted(&self) -> Result<bool, StoreError> {
        let store = self.clone();
        blocking(move || store.delete()).await
    }

    /// The note that a refresh has begun.
    pub(crate) fn read_note(&self) -> Result<Option<Zeroizing<String>>, StoreError> {
        file::read(&self.note())
    }

    pub(crate) fn write_note(&self, text: &str) -> Result<(), StoreError> {
        file::write(&self.note(), text)
    }

    pub(crate) fn remove_note(&self) -> Result<(), StoreError> {
        file::remove(&self.note())
    }

    fn path(&self) -> PathBuf {
        self.directory.join("login.json")
    }

    fn note(&self) -> PathBuf {
        self.directory.join("refresh.json")
    }
}

/// A keychain may ask its user first, for as long as that takes.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let outcome = tokio::time::timeout(PATIENCE, tokio::task::spawn_blocking(work)).await;
    match outcome {
        Ok(Ok(done)) => done,
        Ok(Err(_)) => Err(StoreError::Keychain("it failed".to_owned())),
        Err(_) => Err(StoreError::Keychain(
            "it is locked, and nobody has unlocked it".to_owned(),
        )),
    }
}

fn parse(text: &str) -> Option<Record<'_>> {
    let record: Record<'_> = serde_json::from_str(text).ok()?;
    (record.version == VERSION).then_some(record)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use secrecy::{ExposeSecret as _, SecretString};

    use super::*;

    fn credential(token: &str) -> StoredCredential {
        StoredCredential::new(SecretString::from(token), SystemTime::now())
    }

    fn store(directory: &Path) -> CredentialStore {
        CredentialStore::new(directory.join("deep/down"), Keeping::File)
    }

    #[test]
    fn a_login_is_kept_replaced_and_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let store = store(directory.path());
        assert!(store.load().unwrap().is_none());
        assert!(store.glance().unwrap().is_none());
        let kept = store.save(&credential("first")).unwrap();
        assert_eq!(kept, Kept::File(store.path()));
        let first = store.load().unwrap().unwrap();
        assert_eq!(first.credential.access_token().expose_secret(), "first");
        assert_eq!(store.glance().unwrap().unwrap().stamp, first.stamp);
        store.save(&credential("second")).unwrap();
        let second = store.load().unwrap().unwrap();
        assert_eq!(second.credential.access_token().expose_secret(), "second");
        assert_ne!(first.stamp, second.stamp);
        assert!(store.delete().unwrap());
        assert!(store.load().unwrap().is_none());
        assert!(!store.delete().unwrap());
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_read_the_file_and_its_folder() {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let directory = tempfile::tempdir().unwrap();
        let store = store(directory.path());
        store.save(&credential("sesame")).unwrap();
        assert_eq!(mode(&store.path()), 0o600);
        assert_eq!(mode(store.directory()), 0o700);
        // Somebody opened it up: the next look closes it again.
        let open = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(store.path(), open).unwrap();
        store.load().unwrap().unwrap();
        assert_eq!(mode(&store.path()), 0o600);
        let left: Vec<_> = std::fs::read_dir(store.directory()).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }

    #[test]
    fn a_damaged_file_says_what_to_do_and_can_be_removed() {
        let directory = tempfile::tempdir().unwrap();
        let store = store(directory.path());
        store.save(&credential("sesame")).unwrap();
        for text in ["", "{", r#"{"version":2,"stamp":"x","credential":{}}"#] {
            std::fs::write(store.path(), text).unwrap();
            let error = store.load().unwrap_err().to_string();
            assert!(error.contains("braingrid-mcp login"), "{error}");
        }
        assert!(store.delete().unwrap());
        assert!(store.load().unwrap().is_none());
    }
}
