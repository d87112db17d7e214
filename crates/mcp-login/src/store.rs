//! Where logins are kept: the system's keychain, else files that only their owner can read.
//!
//! Each login has a file, `login.json` or `login-….json`. It says what the login is for and where
//! the tokens are, and carries a stamp that changes with every change, so that a running server
//! notices a new login without asking the keychain.

mod file;
mod folder;
mod keychain;
mod slot;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::credential::StoredCredential;
use super::lock::{Lock, LockWait};
use super::purpose::{Purpose, is_same};
use slot::Slot;

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
        "{} is damaged or of a newer version: run `{program} logout`, then `{program} login`",
        .0.display(),
        program = crate::program::program()
    )]
    Damaged(PathBuf),
    /// Somebody else could replace the login, or has.
    #[error("{} {what}", path.display())]
    Exposed {
        /// The folder or the file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        what: String,
    },
    /// There are logins, all for something else. None is used.
    #[error(
        "you are not logged in to {wanted}; the login that is kept here is for {kept}, and is sent \
         nowhere else. If {} is where you want to work, run `{command}`; if not, correct \
         BRAINGRID_API_URL, OAUTH_ISSUER and BRAINGRID_ORGANIZATION_ID",
        wanted.api
    )]
    Elsewhere {
        /// What a login is needed for.
        wanted: Box<Purpose>,
        /// What those that are kept are for.
        kept: String,
        /// How to log in.
        command: String,
    },
    /// The keychain cannot be used.
    #[error("the system's keychain cannot be used: {0}")]
    Keychain(String),
    /// The keychain lost what it was given.
    #[error(
        "the login is no longer in the system's keychain: run `{} login`",
        crate::program::program()
    )]
    Lost,
}

/// A login and the state of the store it came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The login.
    pub credential: StoredCredential,
    /// Where it is kept.
    pub kept: Kept,
    /// Changes whenever the login does.
    pub stamp: String,
    /// Names its place in the store.
    pub slot: String,
    /// Whether an older version kept it, which did not say what it is for.
    pub assumed: bool,
}

/// What can be told of a login without its tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glance {
    /// [`StoredCredential::id`].
    pub id: String,
    /// The organization it speaks for.
    pub organization: Option<String>,
    /// Whether BrainGrid said so.
    pub confirmed: bool,
    /// Changes whenever the login does.
    pub stamp: String,
}

/// Keeps the login for one purpose, beside those for others. Cheap; makes no I/O until it is asked something. Its calls block, on a
/// keychain that asks its user for a password as long as that takes.
#[derive(Debug, Clone)]
pub struct CredentialStore {
    directory: PathBuf,
    service: String,
    keeping: Keeping,
    purpose: Purpose,
    of_old: String,
    command: String,
}

/// The file's content.
#[derive(Serialize, Deserialize)]
struct Record<'a> {
    version: u32,
    stamp: String,
    id: String,
    /// Absent: an older version kept it.
    #[serde(rename = "for", default, skip_serializing_if = "Option::is_none")]
    purpose: Option<Purpose>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    organization: Option<String>,
    #[serde(default)]
    confirmed: bool,
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

    /// A store in this folder, which is made when something is kept, for logins of this purpose.
    pub fn new(directory: impl Into<PathBuf>, keeping: Keeping, purpose: Purpose) -> Self {
        Self {
            directory: directory.into(),
            service: Self::SERVICE.to_owned(),
            keeping,
            of_old: purpose.api.clone(),
            purpose,
            command: format!("{} login", crate::program::program()),
        }
    }

    /// Another service name in the keychain, so that stores in different folders differ there too.
    #[must_use]
    pub fn with_service(mut self, service: impl Into<String>) -> Self {
        self.service = service.into();
        self
    }

    /// The origin of the API that logins of older versions are for, which did not say.
    #[must_use]
    pub fn with_default_api(mut self, origin: impl Into<String>) -> Self {
        self.of_old = origin.into();
        self
    }

    /// The command that logs in for this purpose, to be shown.
    #[must_use]
    pub fn with_command(mut self, command: impl Into<String>) -> Self {
        self.command = command.into();
        self
    }

    /// The folder.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What its logins are for.
    pub fn purpose(&self) -> &Purpose {
        &self.purpose
    }

    /// The command that logs in for this purpose.
    pub fn command(&self) -> &str {
        &self.command
    }

    /// The login for this purpose, where there is one.
    ///
    /// # Errors
    /// When it cannot be told, or not be read; or when there are logins, but none for this purpose.
    pub fn load(&self) -> Result<Option<Loaded>, StoreError> {
        let Some(slot) = self.chosen()? else {
            return Ok(None);
        };
        let mut loaded = self.open(&slot)?;
        if loaded.assumed && !self.is_safe(&loaded.credential) {
            return Err(self.elsewhere(&[slot]));
        }
        loaded
            .credential
            .purpose
            .get_or_insert_with(|| self.purpose.clone());
        Ok(Some(loaded))
    }

    /// Every login that is kept, with what it is for.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn all(&self) -> Result<Vec<Result<Loaded, StoreError>>, StoreError> {
        let slots = self.slots()?;
        Ok(slots.iter().map(|slot| self.open(slot)).collect())
    }

    /// What is there, without asking the keychain.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn glance(&self) -> Result<Option<Glance>, StoreError> {
        let Some(slot) = self.chosen()? else {
            return Ok(None);
        };
        let record = slot.record().ok_or_else(|| self.damaged(&slot.name))?;
        Ok(Some(Glance {
            id: record.id,
            organization: record.organization,
            confirmed: record.confirmed,
            stamp: record.stamp,
        }))
    }

    /// Keeps a login for this purpose, in place of the one before.
    ///
    /// # Errors
    /// When it is kept nowhere; the one before is then still there.
    pub fn save(&self, credential: &StoredCredential) -> Result<Kept, StoreError> {
        let slots = self.slots()?;
        let exact = slots.iter().find(|slot| slot.is_for(self));
        let before = exact.or_else(|| slots.iter().find(|slot| slot.is_place_of(self)));
        let name = match before {
            Some(slot) => slot.name.clone(),
            None if slots.iter().all(|slot| slot.name != Slot::FIRST) => Slot::FIRST.to_owned(),
            None => Slot::another(),
        };
        let mut credential = credential.clone();
        credential.purpose = Some(self.purpose.clone());
        self.put(&name, &credential)
    }

    /// Keeps a login in this place.
    pub(crate) fn put(
        &self,
        slot: &str,
        credential: &StoredCredential,
    ) -> Result<Kept, StoreError> {
        let json = credential.to_json();
        let in_keychain = match self.keeping {
            Keeping::File => false,
            Keeping::Keychain => keychain::set(&self.service, slot, &json).map(|()| true)?,
            Keeping::Auto => match keychain::set(&self.service, slot, &json) {
                Ok(()) => true,
                Err(error) => {
                    tracing::debug!(%error, "the login goes into a file");
                    false
                }
            },
        };
        self.write(
            slot,
            credential,
            if in_keychain { None } else { Some(&json) },
        )?;
        if in_keychain {
            return Ok(Kept::Keychain);
        }
        Ok(Kept::File(self.path(slot)))
    }

    /// Forgets the login in this place. Returns whether there was one.
    ///
    /// # Errors
    /// When it may still be there.
    pub(crate) fn delete(&self, slot: &str) -> Result<bool, StoreError> {
        let path = self.path(slot);
        let Some(text) = file::read(&path)? else {
            return Ok(false);
        };
        let in_keychain = parse(&text).is_some_and(|record| record.credential.is_none());
        if in_keychain {
            keychain::delete(&self.service, slot)?;
        } else if self.keeping != Keeping::File {
            // An earlier login may be there still; and a damaged file must not stay for that.
            keychain::delete(&self.service, slot).unwrap_or_default();
        }
        file::remove(&path)?;
        Ok(true)
    }

    /// The place of the login for this purpose: where exactly that one is, else where one is that
    /// serves it too.
    fn chosen(&self) -> Result<Option<Slot>, StoreError> {
        let slots = self.slots()?;
        let exact = slots.iter().position(|slot| slot.is_for(self));
        let chosen = exact.or_else(|| slots.iter().position(|slot| slot.serves(self)));
        if let Some(at) = chosen {
            return Ok(slots.into_iter().nth(at));
        }
        match slots.iter().find(|slot| slot.record().is_none()) {
            Some(slot) => Err(self.damaged(&slot.name)),
            None if slots.is_empty() => Ok(None),
            None => Err(self.elsewhere(&slots)),
        }
    }

    /// The places where logins are.
    fn slots(&self) -> Result<Vec<Slot>, StoreError> {
        folder::guard(&self.directory)?;
        Slot::all(&self.directory)
    }

    fn open(&self, slot: &Slot) -> Result<Loaded, StoreError> {
        let damaged = || self.damaged(&slot.name);
        let record = slot.record().ok_or_else(damaged)?;
        let (json, kept) = match record.credential {
            Some(json) => (
                Zeroizing::new(json.get().to_owned()),
                Kept::File(self.path(&slot.name)),
            ),
            None => {
                let secret = keychain::get(&self.service, &slot.name)?.ok_or(StoreError::Lost)?;
                (secret, Kept::Keychain)
            }
        };
        let credential = StoredCredential::from_json(&json).ok_or_else(damaged)?;
        // The tokens themselves say what they are for: the file beside them may not change that.
        if credential.purpose != record.purpose {
            return Err(damaged());
        }
        Ok(Loaded {
            assumed: credential.purpose.is_none(),
            credential,
            kept,
            stamp: record.stamp,
            slot: slot.name.clone(),
        })
    }

    /// Whether a login that does not say what it is for is for this: BrainGrid's own address, or
    /// the one that its token names.
    fn is_safe(&self, credential: &StoredCredential) -> bool {
        let issuer = credential.issuer.as_deref();
        let api = &self.purpose.api;
        issuer.is_none_or(|issuer| is_same(issuer, &self.purpose.issuer))
            && (*api == self.of_old || credential.names_api(api))
    }

    /// What a login is for from now on: what it says, else what this store is for, where that can
    /// be.
    pub(crate) fn purpose_of(&self, credential: &StoredCredential) -> Option<Purpose> {
        let said = credential.purpose.clone();
        said.or_else(|| self.is_safe(credential).then(|| self.purpose.clone()))
    }

    fn damaged(&self, slot: &str) -> StoreError {
        StoreError::Damaged(self.path(slot))
    }

    fn elsewhere(&self, slots: &[Slot]) -> StoreError {
        let kept: Vec<_> = slots
            .iter()
            .map(|slot| slot.is_said_to_be_for(self))
            .collect();
        StoreError::Elsewhere {
            wanted: Box::new(self.purpose.clone()),
            kept: kept.join(" and for "),
            command: self.command.clone(),
        }
    }

    fn write(
        &self,
        slot: &str,
        credential: &StoredCredential,
        json: Option<&str>,
    ) -> Result<(), StoreError> {
        let path = self.path(slot);
        let damaged = |_| StoreError::Damaged(path.clone());
        let record = Record {
            version: VERSION,
            stamp: Uuid::new_v4().simple().to_string(),
            id: credential.id.clone(),
            purpose: credential.purpose.clone(),
            organization: credential.organization(),
            confirmed: credential.confirmed.is_some(),
            credential: json
                .map(serde_json::from_str)
                .transpose()
                .map_err(damaged)?,
        };
        let text = Zeroizing::new(serde_json::to_string(&record).map_err(damaged)?);
        file::write(&path, &text)?;
        folder::guard(&self.directory)
    }

    /// The lock on this store.
    pub(crate) async fn lock(&self, wait: LockWait) -> Result<Option<Lock>, StoreError> {
        let problem = |problem| StoreError::File {
            path: self.directory.join("login.lock"),
            problem,
        };
        file::make_folder(&self.directory).map_err(problem)?;
        folder::guard(&self.directory)?;
        Lock::take(&self.directory, wait).await.map_err(problem)
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

    /// Like [`put`](Self::put), without holding up other tasks.
    pub(crate) async fn placed(
        &self,
        slot: &str,
        credential: StoredCredential,
    ) -> Result<Kept, StoreError> {
        let (store, slot) = (self.clone(), slot.to_owned());
        blocking(move || store.put(&slot, &credential)).await
    }

    /// Like [`delete`](Self::delete), without holding up other tasks.
    pub(crate) async fn deleted(&self, slot: &str) -> Result<bool, StoreError> {
        let (store, slot) = (self.clone(), slot.to_owned());
        blocking(move || store.delete(&slot)).await
    }

    /// The login in this place, for whatever it is.
    pub(crate) async fn in_place(&self, slot: &str) -> Result<Option<Loaded>, StoreError> {
        let (store, slot) = (self.clone(), slot.to_owned());
        blocking(move || {
            let slots = store.slots()?;
            let slot = slots.iter().find(|it| it.name == slot);
            slot.map(|slot| store.open(slot)).transpose()
        })
        .await
    }

    /// The places of the login for this purpose, or of all: what can be read, and what cannot.
    pub(crate) async fn places(&self, all: bool) -> Result<Vec<String>, StoreError> {
        let store = self.clone();
        let names = |slots: Vec<Slot>| slots.into_iter().map(|slot| slot.name).collect();
        blocking(move || {
            if all {
                return store.slots().map(names);
            }
            match store.chosen() {
                Ok(chosen) => {
                    let other = |slot: &Slot| {
                        let loaded = store.open(slot);
                        loaded.is_ok_and(|it| it.assumed && !store.is_safe(&it.credential))
                    };
                    Ok(names(chosen.into_iter().filter(|it| !other(it)).collect()))
                }
                Err(StoreError::Elsewhere { .. }) => Ok(Vec::new()),
                // One that cannot be read can be forgotten.
                Err(StoreError::Damaged(_)) => {
                    let mut slots = store.slots()?;
                    slots.retain(|slot| slot.record().is_none());
                    Ok(names(slots))
                }
                Err(error) => Err(error),
            }
        })
        .await
    }

    /// The note that a refresh of the login in this place has begun.
    pub(crate) fn read_note(&self, slot: &str) -> Result<Option<Zeroizing<String>>, StoreError> {
        file::read(&self.note(slot))
    }

    pub(crate) fn write_note(&self, slot: &str, text: &str) -> Result<(), StoreError> {
        file::write(&self.note(slot), text)
    }

    pub(crate) fn remove_note(&self, slot: &str) -> Result<(), StoreError> {
        file::remove(&self.note(slot))
    }

    fn path(&self, slot: &str) -> PathBuf {
        self.directory.join(format!("{slot}.json"))
    }

    fn note(&self, slot: &str) -> PathBuf {
        let rest = slot.strip_prefix(Slot::FIRST).unwrap_or(slot);
        self.directory.join(format!("refresh{rest}.json"))
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

    const API: &str = "https://api.test";

    fn store(directory: &Path) -> CredentialStore {
        store_for(directory, "https://auth.test", API, None)
    }

    fn store_for(
        directory: &Path,
        issuer: &str,
        api: &str,
        organization: Option<&str>,
    ) -> CredentialStore {
        let purpose = Purpose {
            issuer: issuer.to_owned(),
            api: api.to_owned(),
            organization: organization.map(str::to_owned),
        };
        let store = CredentialStore::new(directory.join("deep/down"), Keeping::File, purpose);
        store.with_default_api(API)
    }

    fn token_in(store: &CredentialStore) -> Result<Option<String>, StoreError> {
        let token = |it: Loaded| it.credential.access_token().expose_secret().to_owned();
        Ok(store.load()?.map(token))
    }

    #[test]
    fn logins_for_different_things_live_side_by_side_and_none_serves_another() {
        let directory = tempfile::tempdir().unwrap();
        let at = |issuer: &str, api: &str, organization: Option<&str>| {
            store_for(directory.path(), issuer, api, organization)
        };
        let all = [
            at("https://auth.test", API, None),
            at("https://auth.test", "https://staging.test", None),
            at("https://other.test", API, None),
            at("https://auth.test", API, Some("org_b")),
        ];
        for (number, store) in all.iter().enumerate() {
            if number > 0 && number < 3 {
                let error = store.load().unwrap_err().to_string();
                assert!(error.contains("is for https://api.test"), "{error}");
                assert!(error.contains("braingrid-mcp login"), "{error}");
                assert!(store.glance().is_err());
            }
            store.save(&credential(&format!("token{number}"))).unwrap();
        }
        for (number, store) in all.iter().enumerate() {
            let token = token_in(store).unwrap();
            assert_eq!(token, Some(format!("token{number}")));
        }
        assert_eq!(all[0].all().unwrap().len(), 4);
        // Another one for the same purpose takes its place.
        all[1].save(&credential("again")).unwrap();
        assert_eq!(token_in(&all[1]).unwrap().as_deref(), Some("again"));
        assert_eq!(all[0].all().unwrap().len(), 4);
        let slot = all[0].load().unwrap().unwrap().slot;
        assert!(all[0].delete(&slot).unwrap());
        let error = all[0].load().unwrap_err();
        assert!(matches!(error, StoreError::Elsewhere { .. }), "{error}");
        assert!(token_in(&all[1]).unwrap().is_some());
    }

    #[test]
    fn a_login_of_an_older_version_is_for_the_default_address_and_what_its_token_names() {
        let payload = |claims: &str| {
            use base64::Engine as _;
            let payload = base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(claims);
            format!("e30.{payload}.e30")
        };
        let plain = payload("{}");
        let named = payload(r#"{"aud":["https://staging.test/api"]}"#);
        let cases = [
            (&plain, "https://auth.test", API, true),
            (&plain, "https://auth.test/", API, true),
            (&plain, "https://other.test", API, false),
            (&plain, "https://auth.test", "https://staging.test", false),
            (&named, "https://auth.test", "https://staging.test", true),
            (&named, "https://auth.test", "https://evil.test", false),
        ];
        for (token, issuer, api, good) in cases {
            let directory = tempfile::tempdir().unwrap();
            let store = store_for(directory.path(), issuer, api, None);
            let mut old = credential(token);
            old.issuer = Some("https://auth.test".to_owned());
            store.put(Slot::FIRST, &old).unwrap();
            let text = std::fs::read_to_string(store.path(Slot::FIRST)).unwrap();
            assert!(!text.contains("\"for\""), "as it was: {text}");
            let loaded = store.load();
            assert_eq!(loaded.is_ok(), good, "{issuer} {api}");
            if let Ok(loaded) = loaded {
                let loaded = loaded.unwrap();
                assert!(loaded.assumed);
                // Its refresh says from now on what it is for, in the same place.
                store.put(&loaded.slot, &loaded.credential).unwrap();
                assert!(!store.load().unwrap().unwrap().assumed);
                assert_eq!(store.all().unwrap().len(), 1);
            }
        }
    }

    #[test]
    fn the_file_cannot_say_that_the_tokens_are_for_something_else() {
        let directory = tempfile::tempdir().unwrap();
        let store = store(directory.path());
        store.save(&credential("sesame")).unwrap();
        let file = store.path(Slot::FIRST);
        let text = std::fs::read_to_string(&file).unwrap();
        let changed = text.replacen(API, "https://evil.test", 1);
        assert_ne!(text, changed);
        std::fs::write(file, changed).unwrap();
        let evil = store_for(
            directory.path(),
            "https://auth.test",
            "https://evil.test",
            None,
        );
        assert!(matches!(evil.load(), Err(StoreError::Damaged(_))));
        assert!(store.load().is_err());
    }

    #[test]
    fn a_login_is_kept_replaced_and_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let store = store(directory.path());
        assert!(store.load().unwrap().is_none());
        assert!(store.glance().unwrap().is_none());
        let kept = store.save(&credential("first")).unwrap();
        assert_eq!(kept, Kept::File(store.path(Slot::FIRST)));
        let first = store.load().unwrap().unwrap();
        assert_eq!(first.credential.access_token().expose_secret(), "first");
        assert_eq!(store.glance().unwrap().unwrap().stamp, first.stamp);
        store.save(&credential("second")).unwrap();
        let second = store.load().unwrap().unwrap();
        assert_eq!(second.credential.access_token().expose_secret(), "second");
        assert_ne!(first.stamp, second.stamp);
        assert!(store.delete(Slot::FIRST).unwrap());
        assert!(store.load().unwrap().is_none());
        assert!(!store.delete(Slot::FIRST).unwrap());
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_read_the_file_and_its_folder() {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let directory = tempfile::tempdir().unwrap();
        let store = store(directory.path());
        store.save(&credential("sesame")).unwrap();
        assert_eq!(mode(&store.path(Slot::FIRST)), 0o600);
        assert_eq!(mode(store.directory()), 0o700);
        // Somebody opened it up: the next look closes it again.
        let open = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(store.path(Slot::FIRST), open).unwrap();
        store.load().unwrap().unwrap();
        assert_eq!(mode(&store.path(Slot::FIRST)), 0o600);
        let left: Vec<_> = std::fs::read_dir(store.directory()).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }

    #[test]
    fn a_damaged_file_says_what_to_do_and_can_be_removed() {
        let directory = tempfile::tempdir().unwrap();
        let store = store(directory.path());
        store.save(&credential("sesame")).unwrap();
        for text in ["", "{", r#"{"version":2,"stamp":"x","credential":{}}"#] {
            std::fs::write(store.path(Slot::FIRST), text).unwrap();
            let error = store.load().unwrap_err().to_string();
            assert!(error.contains("braingrid-mcp login"), "{error}");
        }
        assert!(store.delete(Slot::FIRST).unwrap());
        assert!(store.load().unwrap().is_none());
    }
}
