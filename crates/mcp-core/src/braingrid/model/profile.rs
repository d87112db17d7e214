//! Whose credential it is.

use schemars::JsonSchema;
use serde::Serialize;

use crate::{braingrid::decode::Fields, ids::OrganizationId};

/// Who the credential belongs to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Profile {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub(crate) id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) organization_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub(crate) organization_name: Option<String>,
}

impl Profile {
    pub(crate) fn decode(mut fields: Fields<'_>) -> Option<Self> {
        let mut organization = fields.object(&["organization", "org"]);
        let mut user = fields.object(&["user"]);
        let mut of_user = |names: &[&str]| {
            user.as_mut()
                .and_then(|user| user.text(names))
                .or_else(|| fields.text(names))
        };
        let (id, name, email) = (
            of_user(&["id", "user_id", "sub"]),
            of_user(&["name", "full_name"]),
            of_user(&["email"]),
        );
        let plain = of_user(&["organization_id", "org_id"]);
        let mut of_organization =
            |names: &[&str]| organization.as_mut().and_then(|found| found.text(names));
        let profile = Self {
            id,
            name,
            email,
            organization_id: plain.or_else(|| of_organization(&["id", "organization_id"])),
            organization_name: of_organization(&["name"])
                .or_else(|| fields.text(&["organization_name"])),
        };
        (profile != Self::default()).then_some(profile)
    }

    /// The user's name, else the id.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref().or(self.id.as_deref())
    }

    /// The user's e-mail address.
    pub fn email(&self) -> Option<&str> {
        self.email.as_deref()
    }

    /// The organization's name.
    pub fn organization_name(&self) -> Option<&str> {
        self.organization_name.as_deref()
    }

    /// The organization, unless it is absent or a placeholder.
    pub fn organization(&self) -> Option<OrganizationId> {
        self.organization_id.as_deref()?.parse().ok()
    }
}
