//! What a release says about itself: `server.json` for the MCP registry, `manifest.json` for clients.

use serde_json::{Value, json};

use crate::build::Built;

/// Name and schema under which the registry knows this server. The namespace is the reversed
/// domain, which whoever publishes has to prove.
const NAME: &str = "ai.braingrid/braingrid-mcp";
const SCHEMA_URL: &str =
    "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json";

/// The hosted server.
const HOSTED: &str = "https://mcp.braingrid.ai/mcp";
const DESCRIPTION: &str =
    "Turn ideas into requirements, requirements into tasks, and keep both true to the code.";
const WEBSITE: &str = "https://braingrid.ai";

/// A bundle in `dist`.
pub(super) struct Bundle {
    pub(super) file: String,
    pub(super) sha256: String,
}

/// What the MCP registry is told: the hosted server, and a bundle for each platform.
pub(super) fn server_json(version: &str, bundles: &[Bundle]) -> Value {
    let repository = env!("CARGO_PKG_REPOSITORY");
    let packages = bundles.iter().map(|bundle| {
        let url = format!("{repository}/releases/download/v{version}/{}", bundle.file);
        json!({
            "registryType": "mcpb",
            "identifier": url,
            "version": version,
            "fileSha256": bundle.sha256,
            "transport": { "type": "stdio" },
            "environmentVariables": [{
                "name": "BRAINGRID_API_TOKEN",
                "description": "Your BrainGrid API token",
                "isSecret": true,
            }],
        })
    });
    json!({
        "$schema": SCHEMA_URL,
        "name": NAME,
        "title": "BrainGrid",
        "description": DESCRIPTION,
        "version": version,
        "websiteUrl": WEBSITE,
        "repository": { "url": repository, "source": "github" },
        "remotes": [{ "type": "streamable-http", "url": HOSTED }],
        "packages": packages.collect::<Vec<_>>(),
    })
}

/// What an MCPB bundle says about itself.
pub(super) fn manifest(built: &Built, version: &str) -> Value {
    let system = match &built.target {
        target if target.contains("apple") => "darwin",
        target if target.contains("windows") => "win32",
        _ => "linux",
    };
    let program = format!("server/{}", program_name(built));
    json!({
        "manifest_version": "0.3",
        "name": "braingrid-mcp",
        "display_name": "BrainGrid",
        "version": version,
        "description": DESCRIPTION,
        "author": { "name": "BrainGrid", "url": WEBSITE },
        "homepage": WEBSITE,
        "license": "Apache-2.0",
        "server": {
            "type": "binary",
            "entry_point": program,
            "mcp_config": {
                "command": format!("${{__dirname}}/{program}"),
                "args": [],
                "env": { "BRAINGRID_API_TOKEN": "${user_config.api_token}" },
            },
        },
        // Empty counts as not set.
        "user_config": { "api_token": {
            "type": "string", "title": "BrainGrid token", "sensitive": true, "required": false,
            "default": "", "description": "Your BrainGrid API token",
        } },
        "compatibility": { "platforms": [system] },
    })
}

/// The program's file in a bundle or archive.
pub(super) fn program_name(built: &Built) -> &'static str {
    if built.target.contains("windows") {
        "braingrid-mcp.exe"
    } else {
        "braingrid-mcp"
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn the_registry_learns_of_the_hosted_server_and_of_each_bundle() {
        let bundle = Bundle {
            file: "braingrid-mcp-v1.2.3-aarch64-apple-darwin.mcpb".to_owned(),
            sha256: "ab".repeat(32),
        };
        let server = server_json("1.2.3", &[bundle]);
        assert_eq!(server["remotes"][0]["url"], HOSTED);
        let package = &server["packages"][0];
        let url = "https://github.com/BrainGridAI/braingrid-mcp/releases/download/v1.2.3/\
                   braingrid-mcp-v1.2.3-aarch64-apple-darwin.mcpb";
        assert_eq!(package["identifier"], url);
        assert_eq!(package["environmentVariables"][0]["isSecret"], true);
        assert!(DESCRIPTION.len() <= 100);
    }

    #[test]
    fn a_bundle_names_its_platform_and_keeps_the_token_out() {
        for (target, system) in [
            ("aarch64-apple-darwin", "darwin"),
            ("x86_64-unknown-linux-musl", "linux"),
        ] {
            let built = Built {
                path: PathBuf::new(),
                target: target.to_owned(),
            };
            let manifest = manifest(&built, "1.2.3");
            assert_eq!(manifest["compatibility"]["platforms"], json!([system]));
            assert_eq!(manifest["user_config"]["api_token"]["sensitive"], true);
        }
    }
}
