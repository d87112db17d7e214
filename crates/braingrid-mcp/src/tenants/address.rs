//! The address of an organization or a project, as somebody names it on a command line.

use clap::Args;
use mcp_core::{OrganizationId, ProjectRef};
use mcp_transport_http::TenantPath;

/// Which address of a hosted server is meant.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct AddressArgs {
    /// The hosted server's address for this organization
    #[arg(long, value_name = "ID", value_parser = organization)]
    pub(crate) organization: Option<String>,
    /// The address for this project of it
    #[arg(long, value_name = "ID", requires = "organization", value_parser = project)]
    pub(crate) project: Option<String>,
}

impl AddressArgs {
    /// What follows `/mcp`: nothing, or names with a slash before each.
    pub(crate) fn below(&self) -> String {
        let names = self.organization.iter().chain(&self.project);
        names.flat_map(|name| ["/", name]).collect()
    }
}

fn organization(text: &str) -> Result<String, String> {
    let id = text.parse::<OrganizationId>();
    let id = id.map_err(|error| error.to_string())?;
    let path = TenantPath::parse(id.as_str());
    if path.is_none_or(|path| path.part().is_some()) {
        return Err(
            "an organization whose id has other characters than letters, digits, -, . and _ has no \
             address of its own"
                .to_owned(),
        );
    }
    Ok(id.as_str().to_owned())
}

fn project(text: &str) -> Result<String, String> {
    let project = text.parse::<ProjectRef>();
    let project = project.map_err(|error| error.to_string())?;
    Ok(project.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_is_written_as_the_address_has_it() {
        assert_eq!(organization(" org_01HX ").as_deref(), Ok("org_01HX"));
        for none in ["", "default", "a/b", "a:b", ".x", "a b"] {
            assert!(organization(none).is_err(), "{none}");
        }
        assert_eq!(project("proj 3").as_deref(), Ok("PROJ-3"));
        assert!(project("REQ-3").is_err());
        let mut address = AddressArgs::default();
        assert_eq!(address.below(), "");
        address.organization = Some("org_1".to_owned());
        assert_eq!(address.below(), "/org_1");
        address.project = Some("PROJ-3".to_owned());
        assert_eq!(address.below(), "/org_1/PROJ-3");
    }
}
