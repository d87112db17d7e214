//! One place of a login in the store's folder: a file, and perhaps an item of the keychain.

use std::path::Path;

use uuid::Uuid;
use zeroize::Zeroizing;

use super::{CredentialStore, Record, StoreError, file, parse};

/// A file that was read. Its name without the extension is the keychain's account.
pub(super) struct Slot {
    pub(super) name: String,
    text: Zeroizing<String>,
}

impl Slot {
    /// The first login's, and the only one's of older versions.
    pub(super) const FIRST: &'static str = "login";

    /// A name that no other has.
    pub(super) fn another() -> String {
        let unique = Uuid::new_v4().simple().to_string();
        format!("{}-{}", Self::FIRST, unique.get(..8).unwrap_or_default())
    }

    /// Those of a folder, the first one first.
    pub(super) fn all(folder: &Path) -> Result<Vec<Self>, StoreError> {
        let problem = |problem| StoreError::File {
            path: folder.to_owned(),
            problem,
        };
        let entries = match std::fs::read_dir(folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(problem)?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let file = entry.map_err(problem)?.file_name();
            let name = file.to_str().and_then(|name| name.strip_suffix(".json"));
            names.extend(name.filter(|name| is_name(name)).map(str::to_owned));
        }
        names.sort();
        let mut slots = Vec::new();
        for name in names {
            if let Some(text) = file::read(&folder.join(format!("{name}.json")))? {
                slots.push(Self { name, text });
            }
        }
        Ok(slots)
    }

    /// Its content; `None` where that is damaged or of a newer version.
    pub(super) fn record(&self) -> Option<Record<'_>> {
        parse(&self.text)
    }

    /// Whether it is for exactly what the store is for.
    pub(super) fn is_for(&self, store: &CredentialStore) -> bool {
        let record = self.record();
        let purpose = record.as_ref().and_then(|record| record.purpose.as_ref());
        purpose.is_some_and(|purpose| purpose.is(&store.purpose))
    }

    /// Whether it serves what the store is for, as far as the file says.
    pub(super) fn serves(&self, store: &CredentialStore) -> bool {
        let Some(record) = self.record() else {
            return false;
        };
        let organization = record.organization.as_deref();
        match &record.purpose {
            Some(purpose) => purpose.serves(&store.purpose, organization),
            None => {
                let wanted = store.purpose.organization.as_deref();
                wanted.is_none() || organization.is_none() || wanted == organization
            }
        }
    }

    /// Whether a new login takes this place: of one for the same, or of an older version's that
    /// could be.
    pub(super) fn is_place_of(&self, store: &CredentialStore) -> bool {
        let Some(record) = self.record() else {
            // Whoever logs in anew mends what is damaged.
            return self.name == Self::FIRST;
        };
        match record.purpose {
            Some(purpose) => purpose.is(&store.purpose),
            None => store
                .open(self)
                .is_ok_and(|loaded| store.is_safe(&loaded.credential)),
        }
    }

    /// What it is for, to be shown.
    pub(super) fn is_said_to_be_for(&self, store: &CredentialStore) -> String {
        let Some(record) = self.record() else {
            return "something that cannot be read".to_owned();
        };
        let Some(mut purpose) = record.purpose else {
            return format!(
                "{} (an older version kept it and did not say)",
                store.of_old
            );
        };
        purpose.organization = record.organization;
        purpose.to_string()
    }
}

fn is_name(name: &str) -> bool {
    match name.strip_prefix(Slot::FIRST) {
        Some("") => true,
        Some(rest) => rest.strip_prefix('-').is_some_and(|rest| {
            (1..=32).contains(&rest.len()) && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
        }),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_files_are_logins() {
        assert!(is_name("login") && is_name("login-0f3a") && is_name(&Slot::another()));
        for other in ["", "login-", "login-../x", "logins", "refresh", "login-a.b"] {
            assert!(!is_name(other), "{other}");
        }
    }
}
