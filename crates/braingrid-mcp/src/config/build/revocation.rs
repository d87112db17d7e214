//! Who is let in no more: what is kept of it, and what it is worth when it is old.

use std::path::PathBuf;
use std::time::Duration;

use super::session::SessionSettings;
use crate::config::reader::Reader;
use crate::config::settings;

/// How denials are kept.
#[derive(Debug)]
pub(crate) struct RevocationSettings {
    /// Writes are refused when they were read longer ago.
    pub(crate) max_age: Option<Duration>,
    /// Keeps them when all else is lost.
    pub(crate) file: Option<PathBuf>,
}

pub(super) fn read_revocation(
    reader: &mut Reader,
    session: &SessionSettings,
) -> RevocationSettings {
    let max_age = reader.optional(&settings::DENIALS_MAX_AGE);
    if max_age.is_some() && reader.value(&settings::WRITE_JOURNAL_WINDOW).is_zero() {
        reader.report(
            &settings::DENIALS_MAX_AGE,
            "writes are not remembered, and go on without being asked about",
            "set WRITE_JOURNAL_WINDOW to more than 0",
        );
    }
    let file = reader.optional(&settings::DENIALS_FILE);
    if file.is_some() && session.keys.is_none() {
        reader.report(
            &settings::ENCRYPTION_KEY,
            "it is not set, and DENIALS_FILE is sealed with it",
            "make one with: openssl rand -hex 32",
        );
    }
    RevocationSettings { max_age, file }
}
