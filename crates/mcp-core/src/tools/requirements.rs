//! Tools about requirements.

use super::definition::Definition;

pub(super) fn tools() -> Vec<Definition> {
    vec![]
}

pub(super) fn guesses() -> Vec<Definition> {
    vec![]
}
