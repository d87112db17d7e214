//! BrainGrid's planning tools for AI assistants.
//!
//! A [`ToolSet`] is an MCP handler that does BrainGrid work for a [`Caller`]: the person (or
//! service) on whose behalf a tool runs, with an organization and a [`Credential`]. Where the
//! caller comes from is not known here. Over stdio it is fixed when the program starts; a hosted
//! server puts one into the extensions of every HTTP request.
//!
//! ```no_run
//! # use mcp_core::{BrainGridClient, BrainGridConfig, Caller, ToolOptions, ToolSet};
//! # fn assemble(caller: Caller) -> Result<ToolSet, Box<dyn std::error::Error>> {
//! let client = BrainGridClient::new(BrainGridConfig::new("https://app.braingrid.ai".parse()?))?;
//! let tools = ToolSet::new(client, ToolOptions::default()).with_caller(caller);
//! # Ok(tools) }
//! ```
//!
//! Three places carry the weight: `tools` with `call_tool`, the only way a tool is run;
//! `braingrid::send`, the only way a request leaves; and `braingrid::routes`, the only module that
//! knows a path. BrainGrid's HTTP API has no public specification: the paths and field names are
//! assumptions, which is why decoding accepts every shape that was ever seen and why they stand in
//! one place each.

mod braingrid;
mod caller;
mod error;
mod ids;
pub mod own_token;
mod revisions;
mod spans;
mod tools;

#[cfg(any(fuzzing, test))]
#[doc(hidden)]
pub use braingrid::fuzzing;
pub use braingrid::{
    ApiRequestObserver, ApiStatus, BrainGridClient, BrainGridConfig, ConfigError,
    FinishedApiRequest, HeaderHook, OutgoingLimit, Profile, TakeOne, Timeouts,
};
pub use caller::{Actor, Address, Caller, Credential, CredentialError, Organization, Parties};
pub use error::ApiError;
pub use ids::{InvalidId, OrganizationId, ProjectRef, RequirementRef, TaskRef};
pub use revisions::protocol_revisions;
pub use spans::REQUEST_SPAN;
pub use tools::{
    AuditedCall, Auditor, Begun, CallAudit, Effect, ExplicitCancel, FinishedOperation, FoundState,
    FoundTask, IDEMPOTENCY_KEY, JournalUnavailable, JournalledWrite, METHODS, NoSuchTool,
    OperationObserver, OrphanedTask, ScopePolicy, TaskOwner, TaskStore, TaskStoreUnavailable,
    TaskWork, ToolAccess, ToolOptions, ToolSet, WriteIntent, WriteJournal, WriteOutcome,
    canonical_name, filled_in, initialize, only_waits, wrapped,
};
