//! What may be set for an organization, and what is made of it.

use std::{fmt, sync::Arc};

use mcp_auth::Principal;
use mcp_core::ToolAccess;
use serde::{Deserialize, Serialize};

/// What is set for one organization, in the configuration or at run time. What is not set there is as in
/// the configuration, and else as for everybody.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct TenantSettings {
    /// Only these tools, by name or pattern (`list_*`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tools: Option<Vec<String>>,
    /// Only tools that change nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) read_only: Option<bool>,
    /// Only tokens of these authorization servers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) issuers: Option<Vec<String>>,
    /// Only tokens that were issued to these clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) clients: Option<Vec<String>>,
}

/// A setting that means nothing: its key, and what is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadSetting {
    pub(crate) key: &'static str,
    pub(crate) what: String,
}

impl fmt::Display for BadSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.what)
    }
}

impl BadSetting {
    fn new(key: &'static str, what: impl Into<String>) -> Self {
        let what = what.into();
        Self { key, what }
    }
}

/// What is asked for with each call.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Rules {
    /// Nothing for all tools.
    pub(crate) tools: Option<Arc<ToolAccess>>,
    issuers: Option<Vec<String>>,
    clients: Option<Vec<String>>,
    /// By the configuration. What is suspended at run time is denied, see `mcp_fleet::Denials`.
    suspended: bool,
}

impl TenantSettings {
    /// These, and what is not among them as in others.
    pub(crate) fn over(&self, others: &Self) -> Self {
        Self {
            tools: self.tools.clone().or_else(|| others.tools.clone()),
            read_only: self.read_only.or(others.read_only),
            issuers: self.issuers.clone().or_else(|| others.issuers.clone()),
            clients: self.clients.clone().or_else(|| others.clients.clone()),
        }
    }

    /// What is made of them. `known` are the issuers of this server.
    ///
    /// # Errors
    /// The first that means nothing.
    pub(crate) fn rules(&self, suspended: bool, known: &[String]) -> Result<Rules, BadSetting> {
        let named = |key, list: &Option<Vec<String>>| match list {
            Some(list) if list.iter().all(|entry| entry.trim().is_empty()) => Err(BadSetting::new(
                key,
                "it names none; leave it out for all, and suspend the organization to let nobody in",
            )),
            list => Ok(list.clone()),
        };
        let issuers = named("issuers", &self.issuers)?;
        let strange = issuers.iter().flatten().find(|it| !known.contains(it));
        if let Some(strange) = strange {
            let known = known.join(", ");
            let what = format!("{strange:?} is no issuer of this server; there are {known}");
            return Err(BadSetting::new("issuers", what));
        }
        let mut tools = ToolAccess::new(self.read_only.unwrap_or_default());
        if let Some(names) = named("tools", &self.tools)? {
            let only = tools.only(names);
            tools = only.map_err(|error| BadSetting::new("tools", error.to_string()))?;
        }
        Ok(Rules {
            tools: tools.is_limited().then(|| Arc::new(tools)),
            issuers,
            clients: named("clients", &self.clients)?,
            suspended,
        })
    }
}

impl Rules {
    /// Why somebody of the organization is not let in, as a sentence.
    pub(crate) fn refusal(&self, principal: &Principal) -> Option<&'static str> {
        let among = |list: &Option<Vec<String>>, name: Option<&str>| {
            let list = list.as_ref();
            list.is_none_or(|list| name.is_some_and(|name| list.iter().any(|it| it == name)))
        };
        if self.suspended {
            return Some(
                "this organization is suspended on this server: logging in again changes nothing, \
                 whoever administers the server does",
            );
        }
        if !among(&self.issuers, Some(principal.issuer())) {
            return Some(
                "this organization does not take logins of that authorization server here: log out \
                 in the MCP client and log in where the organization has its accounts",
            );
        }
        if !among(&self.clients, principal.client_id()) {
            return Some(
                "this organization does not let this MCP client in on this server: its administrator \
                 knows which clients may be used",
            );
        }
        None
    }

    /// Whose logins are taken, where that is not everybody's.
    pub(crate) fn issuers(&self) -> Option<&[String]> {
        self.issuers.as_deref()
    }
}
