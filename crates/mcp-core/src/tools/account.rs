//! Tools about the server and the login.

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    args::NoArguments,
    call::Call,
    definition::Definition,
    error::{ToolError, sentence},
    render,
};
use crate::{ApiError, braingrid::model::Profile};

pub(super) fn tools() -> Vec<Definition> {
    vec![
        Definition::read(
            "info",
            "This server's version, default project and tools; asks BrainGrid nothing.",
            info,
        ),
        Definition::read(
            "auth_status",
            "Whether BrainGrid takes the login; how to log in if not.",
            auth_status,
        ),
    ]
}

#[derive(Serialize, JsonSchema)]
struct Info {
    version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    default_project: Option<String>,
    #[schemars(skip)]
    tools: Vec<String>,
}

async fn info(call: Call, _: NoArguments) -> Result<(String, Info), ToolError> {
    let info = Info {
        version: env!("CARGO_PKG_VERSION"),
        default_project: call.default_project().map(ToString::to_string),
        tools: call.tool_names().map(str::to_owned).collect(),
    };
    let project = match (&info.default_project, call.default_project_from()) {
        (Some(project), Some(from)) => format!("{project} ({from} names it)"),
        (Some(project), None) => project.clone(),
        (None, _) => "none; pass project_id".to_owned(),
    };
    let text = format!(
        "braingrid-mcp {}\nDefault project: {project}\nTools: {}",
        info.version,
        info.tools.join(", ")
    );
    Ok((text, info))
}

#[derive(Serialize, JsonSchema)]
struct AuthStatus {
    authenticated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    profile: Option<Profile>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    next_step: Option<String>,
}

async fn auth_status(call: Call, _: NoArguments) -> Result<(String, AuthStatus), ToolError> {
    match call.client().profile(call.caller()).await {
        Ok(profile) => {
            let log_out = format!(
                "To log out, {}.",
                call.caller().credential().how_to_log_out()
            );
            let text = format!("Logged in.\n{}\n{log_out}", render::profile(&profile));
            call.tell(log_out);
            Ok((
                text,
                AuthStatus {
                    authenticated: true,
                    profile: Some(profile),
                    next_step: None,
                },
            ))
        }
        Err(error @ (ApiError::Credential(_) | ApiError::Unauthorized)) => {
            let next_step = sentence(&error.to_string());
            let text = format!("Not logged in. {next_step}");
            let status = AuthStatus {
                authenticated: false,
                profile: None,
                next_step: Some(next_step),
            };
            Ok((text, status))
        }
        Err(error) => Err(error.into()),
    }
}
