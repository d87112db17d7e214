//! Tools, and the scopes that they need.

use super::{Parsed, quoted, refuse};
use crate::config::problem;

/// A tool, under its canonical name.
pub(crate) fn tool(value: &str) -> Parsed<String> {
    let canonical = mcp_core::canonical_name;
    if let Some(name) = canonical(value) {
        return Ok(name.to_owned());
    }
    let fix = if value.contains('*') {
        "name each tool: there are no wildcards; unset, every tool is meant".to_owned()
    } else {
        let names = mcp_core::ToolOptions::every_name();
        let folded = value.to_ascii_lowercase().replace('-', "_");
        match problem::nearest(&folded, names) {
            Some(near) => format!("did you mean {near}?"),
            None => "use names from the server's tool list, such as get_project or \
                     create_requirement"
                .to_owned(),
        }
    };
    refuse(format!("{} is no tool", quoted(value)), fix)
}

/// `TOOL=SCOPE SCOPE`: which scopes a tool needs, or all that read or write.
pub(crate) fn tool_scopes(value: &str) -> Parsed<(String, Vec<String>)> {
    let (name, scopes) = scopes_of(value)?;
    match name {
        "read" | "write" => Ok((name.to_owned(), scopes)),
        name => Ok((tool(name)?, scopes)),
    }
}

/// `SCOPE=SCOPE SCOPE`: which scopes another one includes.
pub(crate) fn scope_hierarchy(value: &str) -> Parsed<(String, Vec<String>)> {
    let (name, scopes) = scopes_of(value)?;
    Ok((tool_scope(name)?, scopes))
}

fn scopes_of(value: &str) -> Parsed<(&str, Vec<String>)> {
    let Some((name, scopes)) = value.split_once('=') else {
        return refuse(
            format!("{} has no =", quoted(value)),
            "write NAME=SCOPE, with blanks between several scopes",
        );
    };
    let scopes: Vec<_> = scopes
        .split_ascii_whitespace()
        .map(tool_scope)
        .collect::<Result<_, _>>()?;
    if scopes.is_empty() {
        return refuse(
            format!("{} names no scope", quoted(value)),
            "write at least one scope after the =",
        );
    }
    Ok((name.trim(), scopes))
}

/// A scope that a tool can need.
fn tool_scope(value: &str) -> Parsed<String> {
    if value == "offline_access" {
        return refuse(
            "offline_access is no scope of a tool",
            "leave it out: it is between a client and the issuer (MCP 2026-07-28, authorization)",
        );
    }
    scope(value)
}

/// Scopes, separated by blanks as OAuth has them.
pub(crate) fn scopes(value: &str) -> Parsed<Vec<String>> {
    value.split_ascii_whitespace().map(scope).collect()
}

/// A scope token (RFC 6749 section 3.3).
pub(crate) fn scope(value: &str) -> Parsed<String> {
    if value == "*" {
        return refuse(
            "\"*\" is no scope that means all",
            "name each scope, as the authorization server has it",
        );
    }
    if value.eq_ignore_ascii_case("none") {
        return refuse(
            format!("{} is no scope", quoted(value)),
            "leave it out; for no scope at all unset the setting, or write [] in the file",
        );
    }
    // Legal in a scope, and yet meant as something else: what follows would be part of the name.
    if let Some(mark) = value.chars().find(|c| ",;<>".contains(*c)) {
        return refuse(
            format!("{} holds {mark}", quoted(value)),
            "separate entries by commas and scopes by blanks, and write names as the authorization \
             server has them",
        );
    }
    let legal = |c: char| c.is_ascii_graphic() && c != '"' && c != '\\';
    if !value.is_empty() && value.chars().all(legal) {
        return Ok(value.to_owned());
    }
    refuse(
        format!("{} is no scope", quoted(value)),
        "use visible ASCII characters without quotation marks, such as requirements:read",
    )
}
