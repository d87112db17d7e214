//! Who may call: clients, claims, audiences and organizations.

use super::words::{self, word};
use super::{Parsed, endpoints, quoted, refuse};
use crate::config::problem;

/// As whom to log in: an id, or the URL of a client metadata document.
pub(crate) fn client_id(value: &str) -> Parsed<String> {
    let value = words::client_id(value)?;
    if !value.contains("://") {
        return Ok(value);
    }
    let url = endpoints::web_url(&value)?;
    if url.scheme() != "https" || url.path() == "/" {
        return refuse(
            format!("{} is no client metadata document", quoted(&value)),
            "write an https URL with a path, such as https://app.example.com/client.json, or the \
             id under which the client is registered",
        );
    }
    Ok(value)
}

/// A claim, or names with dots between them for what lies inside one.
pub(crate) fn claim(value: &str) -> Parsed<String> {
    let value = word(value)?;
    let is_cut = value.starts_with('.') || value.ends_with('.') || value.contains("..");
    if is_cut || value.starts_with(['$', '/', '[']) {
        return refuse(
            format!("{} names no claim", quoted(&value)),
            "write its name as the tokens have it, such as org_id; dots lead into objects, such as \
             org.id",
        );
    }
    Ok(value)
}

/// An event of WorkOS.
pub(crate) fn workos_event(value: &str) -> Parsed<mcp_auth::WorkosEvent> {
    value.parse().or_else(|_| {
        refuse(
            format!("{} is no event that signs out", quoted(value)),
            "use user.deleted, organization_membership.deleted or session.revoked",
        )
    })
}

/// A claim that names the client a token was issued to.
pub(crate) fn client_claim(value: &str) -> Parsed<String> {
    match value {
        "client_id" | "azp" | "cid" => Ok(value.to_owned()),
        _ => refuse(
            format!("{} names no client", quoted(value)),
            "use client_id, azp or cid, as the tokens have it",
        ),
    }
}

/// Signature algorithms that a token may use: never `none`, never a shared secret.
pub(crate) fn algorithm(value: &str) -> Parsed<String> {
    let mut known = mcp_auth::signature_algorithms();
    if let Some(known) = known.find(|known| known.eq_ignore_ascii_case(value)) {
        return Ok(known);
    }
    let all: Vec<_> = mcp_auth::signature_algorithms().collect();
    refuse(
        format!("{} is no accepted signature algorithm", quoted(value)),
        format!(
            "use {}; without any, all of them are accepted",
            all.join(", ")
        ),
    )
}

/// An audience, compared as a string.
pub(crate) fn audience(value: &str) -> Parsed<String> {
    let value = word(value)?;
    if let Some(odd) = value.chars().find(|c| matches!(c, '*' | ',' | ';')) {
        return refuse(
            format!(
                "{} holds {odd}: audiences are compared as they stand",
                quoted(&value)
            ),
            "write one audience exactly as the tokens name it",
        );
    }
    Ok(value)
}

/// One of the presets for well-known issuers.
pub(crate) fn preset(value: &str) -> Parsed<mcp_auth::Preset> {
    match value.parse() {
        Ok(preset) => Ok(preset),
        Err(_) => {
            let presets = mcp_auth::Preset::ALL.iter();
            let names: Vec<_> = presets.map(|preset| preset.name()).collect();
            let fix = match problem::meant(value, names.iter().copied()) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("use one of {}, or leave it out", names.join(", ")),
            };
            refuse(format!("{} is no preset", quoted(value)), fix)
        }
    }
}

/// An organization's id.
pub(crate) fn organization(value: &str) -> Parsed<String> {
    match value.parse::<mcp_core::OrganizationId>() {
        Ok(id) => Ok(id.as_str().to_owned()),
        Err(_) => refuse(
            format!("{} is no organization id", quoted(value)),
            "give a UUID or org_…, or unset it to use the organization of your profile",
        ),
    }
}

/// The id of an organization, as tokens have it.
pub(crate) fn bound_organization(value: &str) -> Parsed<String> {
    let value = word(value)?;
    if value.is_empty() || value.contains(['*', '"', '\'', ',', ';']) {
        return refuse(
            format!("{} is no organization", quoted(&value)),
            "write each id as the tokens have it, in an entry of its own and without wildcards; \
             remove the key for any",
        );
    }
    Ok(value)
}
