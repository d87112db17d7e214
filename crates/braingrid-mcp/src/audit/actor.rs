//! Who acts for the subject of a record.

use mcp_core::Parties;
use serde::Serialize;

use super::Record;

/// Who acts for a subject, as a token names it. Not proven where that token is for BrainGrid to verify.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub(crate) struct Actor {
    /// Its name (`sub`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<String>,
    /// Who gives it that name (`iss`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) issuer: Option<String>,
    /// The client that it is (`client_id`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client: Option<String>,
}

impl From<mcp_core::Actor<'_>> for Actor {
    fn from(actor: mcp_core::Actor<'_>) -> Self {
        let owned = |name: Option<&str>| name.map(str::to_owned);
        Self {
            subject: owned(actor.subject),
            issuer: owned(actor.issuer),
            client: owned(actor.client),
        }
    }
}

impl Record {
    /// Names the parties beside the subject.
    pub(super) fn name(&mut self, parties: Parties<'_>) {
        self.client = parties.client.map(str::to_owned);
        self.actor = parties.actor.map(Actor::from);
        self.client_actor = parties.client_actor.map(Actor::from);
    }
}
