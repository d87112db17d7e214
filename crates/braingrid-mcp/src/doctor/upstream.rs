//! The BrainGrid API: whether it answers, and whether it knows the user.

use mcp_core::ApiError;
use reqwest::Client;

use super::check;
use super::finding::Finding;
use crate::assemble;
use crate::config::{ApiSettings, StdioSettings};

/// Asks for the user's profile, as every tool would ask for something.
pub(super) async fn with_credential(
    stdio: StdioSettings,
    api: ApiSettings,
    given: bool,
) -> anyhow::Result<Finding> {
    let base = api.base_url.to_string();
    let caller = assemble::local_callers(stdio)?();
    let answer = assemble::client(api)?.profile(&caller).await;
    Ok(match answer {
        Ok(profile) => {
            let whose = match profile.organization() {
                Some(_) => "a member of an organization",
                None => "a user without an organization",
            };
            Finding::good(check::API, format!("{base} knows you as {whose}"))
        }
        Err(ApiError::Credential(_)) if !given => {
            Finding::not_checked(check::API, "not asked: there is no credential to show")
        }
        Err(error @ (ApiError::Unauthorized | ApiError::Credential(_))) => Finding::problem(
            check::API,
            format!("{base} cannot be asked: {error}"),
            super::credential::new_credential(),
        ),
        Err(error) => Finding::problem(
            check::API,
            format!("{base}: {error}"),
            "see that BRAINGRID_API_URL is right and that this machine reaches it (name, firewall, \
             proxy)",
        ),
    })
}

/// Only whether somebody is there: there is no token to show.
pub(super) async fn reachable(client: &Client, api: &ApiSettings) -> Finding {
    let base = &api.base_url;
    match client.get(base.clone()).send().await {
        Ok(answer) if answer.status().is_server_error() => Finding::problem(
            check::API,
            format!("{base} answers with {}", answer.status().as_u16()),
            "wait, or ask BrainGrid; until then tools say that it is not available",
        ),
        Ok(_) => Finding::good(check::API, format!("{base} answers")),
        Err(_) => Finding::problem(
            check::API,
            format!("{base} does not answer"),
            "see that BRAINGRID_API_URL is right and that this machine reaches it (name, firewall, \
             proxy)",
        ),
    }
}
