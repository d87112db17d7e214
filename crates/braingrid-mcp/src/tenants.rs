//! Organizations and their projects as addresses of their own: `/mcp/{organization}` and
//! `/mcp/{organization}/{project}`.

mod address;
mod organizations;
mod settings;

use std::sync::Arc;

use mcp_auth::AccessToken;
use mcp_core::ProjectRef;
use mcp_session::Session;
use mcp_transport_http::{MemoryBudget, TenantAudience, TenantEndpoints, TenantPath};

pub(crate) use self::{
    address::AddressArgs,
    organizations::{ConfiguredTenant, Organizations},
    settings::TenantSettings,
};
use crate::caller::{SessionCallers, room_for};

/// The addresses, for these tokens.
pub(crate) fn endpoints(
    callers: SessionCallers,
    memory: MemoryBudget,
    tokens: TenantAudience,
    organizations: Organizations,
) -> TenantEndpoints {
    let caller = move |session: &Arc<Session>, token: &AccessToken, at: &TenantPath| {
        let room = room_for(session.principal(), &memory);
        callers.caller_at(session, token, at).within(room)
    };
    TenantEndpoints::new(caller)
        .with_parts(is_project)
        .for_tokens(tokens)
        .with_issuers(move |organization| organizations.issuers(organization))
}

/// Whether this, below the resource, is the address of an organization or a project.
pub(crate) fn is_address(below: &str) -> bool {
    let path = TenantPath::parse(below);
    path.is_some_and(|path| path.part().is_none_or(is_project))
}

/// Whether a name is a project's in the one spelling that its address has: `PROJ-3`, or a UUID in lower
/// case.
fn is_project(text: &str) -> bool {
    let project = text.parse::<ProjectRef>();
    project.is_ok_and(|project| project.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_a_project_has_one_spelling() {
        for project in ["PROJ-3", "3f2504e0-4f89-11d3-9a0c-0305e82c3301"] {
            assert!(is_project(project), "{project}");
        }
        for other in [
            "3",
            "proj-3",
            "PROJ3",
            "PROJ-03",
            "PROJ-0",
            "REQ-3",
            "3F2504E0-4F89-11D3-9A0C-0305E82C3301",
            "web",
            "",
        ] {
            assert!(!is_project(other), "{other}");
        }
    }
}
