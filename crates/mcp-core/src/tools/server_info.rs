//! What the server says of itself.

use std::fmt::Write as _;

use rmcp::model::{CacheScope, Implementation, MetaObject, ServerCapabilities, ServerConfig};

use super::{ToolOptions, ToolSet};

const INSTRUCTIONS: &str = "BrainGrid plans software: projects hold requirements (REQ-n), these \
hold tasks (TASK-n) written as prompts for coding agents. Refine a rough idea with \
create_requirement, or save a finished spec with capture_project_requirement; break it down into \
tasks; work through them and keep their status up to date.";

fn implementation() -> Implementation {
    Implementation::new("braingrid-mcp", env!("CARGO_PKG_VERSION")).with_title("BrainGrid")
}

/// What the server says of itself.
pub(super) fn server_config(options: &ToolOptions, has_tasks: bool) -> ServerConfig {
    let mut instructions = INSTRUCTIONS.to_owned();
    if let Some(project) = &options.default_project {
        let _ = write!(instructions, " Calls without project_id mean {project}.");
    }
    // Lists of resources and prompts are answered, with nothing in them, so they are declared.
    let capabilities = ServerCapabilities::builder()
        .enable_tools()
        .enable_resources()
        .enable_prompts();
    let capabilities = if has_tasks {
        capabilities.enable_tasks().build()
    } else {
        capabilities.build()
    };
    ServerConfig::new(capabilities)
        .with_server_info(implementation())
        .with_instructions(instructions)
}

/// The `_meta` by which every modern result names its server.
pub(super) fn stamp() -> MetaObject {
    let mut stamp = MetaObject::new();
    if let Ok(info) = serde_json::to_value(implementation()) {
        stamp.insert("io.modelcontextprotocol/serverInfo".to_owned(), info);
    }
    stamp
}

impl ToolSet {
    /// The instructions name the project of whoever runs this.
    pub(super) fn instructions_scope(&self) -> CacheScope {
        match self.shared.options.default_project {
            Some(_) => CacheScope::Private,
            None => CacheScope::Public,
        }
    }
}
