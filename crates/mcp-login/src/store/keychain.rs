//! The system's keychain: Keychain on macOS, Credential Manager on Windows, Secret Service
//! (GNOME Keyring, `KWallet`, `KeePassXC`) elsewhere.

use keyring::{Entry, Error};
use zeroize::Zeroizing;

use super::StoreError;

/// What is kept, or `None` where nothing is.
pub(super) fn get(service: &str, account: &str) -> Result<Option<Zeroizing<String>>, StoreError> {
    match entry(service, account)?.get_password() {
        Ok(secret) => Ok(Some(Zeroizing::new(secret))),
        Err(Error::NoEntry) => Ok(None),
        Err(error) => Err(refused(error)),
    }
}

/// Keeps a secret in place of the one before.
pub(super) fn set(service: &str, account: &str, secret: &str) -> Result<(), StoreError> {
    entry(service, account)?
        .set_password(secret)
        .map_err(refused)
}

/// Forgets the secret where there is one.
pub(super) fn delete(service: &str, account: &str) -> Result<(), StoreError> {
    match entry(service, account)?.delete_credential() {
        Ok(()) | Err(Error::NoEntry) => Ok(()),
        Err(error) => Err(refused(error)),
    }
}

/// Each login is an account of its own.
fn entry(service: &str, account: &str) -> Result<Entry, StoreError> {
    Entry::new(service, account).map_err(refused)
}

/// Some of these errors carry what was read: only the kind is told.
fn refused(error: Error) -> StoreError {
    StoreError::Keychain(match error {
        Error::NoDefaultStore => "there is none in this session".to_owned(),
        Error::NoStorageAccess(_) => "it is locked, or access was refused".to_owned(),
        Error::TooLong(_, limit) => format!("it takes {limit} characters at most"),
        Error::Ambiguous(_) => "it holds several logins of this name: remove them there".to_owned(),
        Error::PlatformFailure(cause) => format!("it failed ({cause})"),
        _ => "it failed".to_owned(),
    })
}
