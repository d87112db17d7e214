//! [`Asker`]: on whose behalf an issuer is asked.

/// Who causes a question to the issuer: requests of equal askers share their turns. It is no identity, and may be
/// anything that one client cannot have many of, such as a network address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Asker(Option<u128>);

impl Asker {
    /// Nobody knows; all of these share their turns.
    pub const UNKNOWN: Self = Self(None);

    /// An asker by any number that stands for it.
    pub const fn new(number: u128) -> Self {
        Self(Some(number))
    }
}
