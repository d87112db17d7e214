//! What resolving a token gives: the session, and which tier knew it.

use std::sync::Arc;

use crate::session::Session;

/// A session, and where it came from.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// Who the token speaks for.
    pub session: Arc<Session>,
    /// Where the answer came from.
    pub tier: Tier,
}

impl Resolved {
    pub(crate) fn from_memory(session: Arc<Session>) -> Self {
        Self {
            session,
            tier: Tier::Memory,
        }
    }
}

/// Where an answer to "who is this?" came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tier {
    /// Process memory, or the work of another request with the same token.
    Memory,
    /// The shared store.
    Store,
    /// The token was verified.
    Verification,
}

impl Tier {
    /// A stable name for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Store => "store",
            Self::Verification => "verification",
        }
    }
}
