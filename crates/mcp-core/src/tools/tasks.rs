//! Tools about tasks.

use super::definition::Definition;

pub(super) fn tools() -> Vec<Definition> {
    vec![]
}
