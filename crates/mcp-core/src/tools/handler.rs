//! The tools as an MCP server: which method is answered how, and the door to a call.

use std::pin::pin;

use futures::FutureExt as _;
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CacheScope, CallToolRequestParams, CallToolResponse, CancelTaskParams,
        CompleteRequestParams, CompleteResult, CustomRequest, CustomResult, DiscoverResult,
        ErrorCode, GetPromptRequestParams, GetPromptResponse, GetTaskParams, GetTaskResult,
        InitializeRequestParams, InitializeResult, ListPromptsResult, ListResourceTemplatesResult,
        ListResourcesResult, ListToolsResult, PaginatedRequestParams, ProtocolVersion,
        ReadResourceRequestParams, ReadResourceResponse, ServerConfig, Tool, UpdateTaskParams,
    },
    service::{NotificationContext, RequestContext},
};

use super::{
    ToolSet,
    cancel::ExplicitCancel,
    lenient,
    observe::Operation,
    whole::{LISTEN, own_method, unwrapped},
};
use crate::spans::Failed;

/// How long clients may keep what is the same for everybody until the next deployment.
pub(super) const FRESH_MS: u64 = 300_000;

/// Methods that 2026-07-28 took away. Its clients get what any other method that does not exist gets.
const REMOVED: &[&str] = &["initialize", "ping", "logging/setLevel"];

/// The requests of MCP that a [`ToolSet`] answers.
pub const METHODS: &[&str] = &[
    "initialize",
    "ping",
    "server/discover",
    "tools/list",
    "tools/call",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "prompts/list",
    "prompts/get",
    "completion/complete",
    "logging/setLevel",
    "tasks/get",
    "tasks/update",
    "tasks/cancel",
];

impl ServerHandler for ToolSet {
    fn get_info(&self) -> ServerConfig {
        self.shared.info.clone()
    }

    async fn initialize(
        &self,
        request: InitializeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<InitializeResult, ErrorData> {
        let mut operation = self.operation("initialize", None, &context);
        context.peer.set_peer_info(request.clone());
        let answer = self.negotiate_initialize(&request);
        if let Ok(agreed) = &answer {
            operation.in_revision(&agreed.protocol_version);
        }
        operation.end(outcome_of(&answer), Failed::other(&answer));
        answer
    }

    async fn ping(&self, context: RequestContext<RoleServer>) -> Result<(), ErrorData> {
        self.operation("ping", None, &context).end("ok", Failed::No);
        Ok(())
    }

    async fn discover(
        &self,
        context: RequestContext<RoleServer>,
    ) -> Result<DiscoverResult, ErrorData> {
        let operation = self.operation("server/discover", None, &context);
        operation.end("ok", Failed::No);
        let versions = self.supported_protocol_versions().into_owned();
        let info = self.shared.info.clone();
        Ok(DiscoverResult::from_server_info(versions, info)
            .with_ttl_ms(FRESH_MS)
            .with_cache_scope(self.instructions_scope()))
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let operation = self.operation("tools/list", None, &context);
        let list = self.list(request, &context);
        operation.end(outcome_of(&list), Failed::other(&list));
        list
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.shared
            .registry
            .entry(name)
            .map(|entry| entry.tool.clone())
    }

    async fn call_tool(
        &self,
        params: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let entry = self.shared.registry.entry(&params.name);
        let operation = self.operation("tools/call", entry.map(|entry| &entry.tool), &context);
        let modern = is_modern(&context);
        let (mut answer, outcome) = match entry {
            Some(entry) => {
                // Pinned: it is large, and would be moved with what is around it.
                let work = pin!(async {
                    if self.may_be_task(entry, &context)
                        && let Some(task) = self.as_task(entry, &params, &context).await
                    {
                        return task;
                    }
                    let cancel = ExplicitCancel::of(&context);
                    self.run(entry, params, context, cancel).await
                });
                operation.run(work).await
            }
            None => (Err(self.unknown_tool(&params.name)), "invalid_params"),
        };
        operation.end(outcome, Failed::call(&answer));
        if modern && let Ok(CallToolResponse::Complete(result)) = &mut answer {
            result
                .meta
                .get_or_insert_default()
                .extend(self.shared.stamp.clone());
        }
        answer
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        let operation = self.operation("tasks/get", None, &context);
        let task = self.task(request, context).await;
        operation.end(outcome_of(&task), Failed::other(&task));
        task
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let operation = self.operation("tasks/update", None, &context);
        let updated = self.update(request, context).await;
        operation.end(outcome_of(&updated), Failed::other(&updated));
        updated
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let operation = self.operation("tasks/cancel", None, &context);
        let cancelled = self.cancel(request, context).await;
        operation.end(outcome_of(&cancelled), Failed::other(&cancelled));
        cancelled
    }

    // Clients ask for these whether they are declared or not, and some take an error for a failed
    // connection: there are none, which is an answer.

    async fn list_resources(
        &self,
        _request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        self.operation("resources/list", None, &context)
            .end("ok", Failed::No);
        let mut list = ListResourcesResult::default();
        if is_modern(&context) {
            (list.ttl_ms, list.cache_scope) = (Some(FRESH_MS), Some(CacheScope::Public));
            list.meta = Some(self.shared.stamp.clone());
        }
        Ok(list)
    }

    async fn list_resource_templates(
        &self,
        _request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        self.operation("resources/templates/list", None, &context)
            .end("ok", Failed::No);
        let mut list = ListResourceTemplatesResult::default();
        if is_modern(&context) {
            (list.ttl_ms, list.cache_scope) = (Some(FRESH_MS), Some(CacheScope::Public));
            list.meta = Some(self.shared.stamp.clone());
        }
        Ok(list)
    }

    async fn list_prompts(
        &self,
        _request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        self.operation("prompts/list", None, &context)
            .end("ok", Failed::No);
        let mut list = ListPromptsResult::default();
        if is_modern(&context) {
            (list.ttl_ms, list.cache_scope) = (Some(FRESH_MS), Some(CacheScope::Public));
            list.meta = Some(self.shared.stamp.clone());
        }
        Ok(list)
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let error = ErrorData::invalid_params(
            "unknown resource: this server has none",
            Some(serde_json::json!({ "uri": request.uri })),
        );
        let operation = self.operation("resources/read", None, &context);
        operation.end("invalid_params", Failed::Protocol(&error));
        Err(error)
    }

    async fn get_prompt(
        &self,
        _request: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let error = ErrorData::invalid_params("unknown prompt: this server has none", None);
        let operation = self.operation("prompts/get", None, &context);
        operation.end("invalid_params", Failed::Protocol(&error));
        Err(error)
    }

    async fn complete(
        &self,
        _request: CompleteRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        self.operation("completion/complete", None, &context)
            .end("ok", Failed::No);
        Ok(CompleteResult::default())
    }

    /// Accepted, and nothing follows: no log messages go to clients.
    #[expect(deprecated, reason = "clients of the older revisions ask for it")]
    async fn set_level(
        &self,
        _request: rmcp::model::SetLevelRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        if is_modern(&context) {
            return Err(no_such_method());
        }
        self.operation("logging/setLevel", None, &context)
            .end("ok", Failed::No);
        Ok(())
    }

    /// What the SDK could not read as one of the protocol's requests: of a method that is answered
    /// here, the parameters are wrong, not the method.
    async fn on_custom_request(
        &self,
        mut request: CustomRequest,
        mut context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        let modern = is_modern(&context);
        if !modern && let Some(method) = own_method(&request) {
            let answer = self.of_2025_11_25(&method, &mut request, &mut context);
            if let Some(answer) = answer.await {
                return answer;
            }
            request.method = method;
        }
        if modern && request.method == LISTEN && self.has_tasks() && unwrapped(&request).is_some() {
            let operation = self.operation(LISTEN, None, &context);
            let answer = self.listen(request, context).boxed().await;
            operation.end(outcome_of(&answer), Failed::other(&answer));
            return answer;
        }
        let method = METHODS
            .iter()
            .copied()
            .filter(|known| !modern || !REMOVED.contains(known))
            .find(|known| *known == request.method);
        let Some(method) = method else {
            return Err(no_such_method());
        };
        let mut fix = match method {
            "tools/call" => "name is a text, arguments an object or one written as a text",
            "prompts/get" => "name is a text, arguments an object of texts",
            "resources/read" => "uri is a text",
            _ => "params are an object, with _meta as an object where there is one",
        };
        if method == "initialize" {
            match lenient::initialize(request.params.as_ref()) {
                Ok(params) => return custom(&self.initialize(params, context).await?),
                Err(missing) => fix = missing,
            }
        }
        if method == "tools/call"
            && let Some(params) = lenient::call(&request)
        {
            return match self.call_tool(params, context).await? {
                CallToolResponse::Complete(result) => custom(&result),
                CallToolResponse::Task(task) => custom(&task),
                _ => Err(ErrorData::internal_error("the call asks back", None)),
            };
        }
        let text = format!("wrong params for {method}: {fix}");
        let error = ErrorData::invalid_params(text, None);
        let operation = self.operation(method, None, &context);
        operation.end("invalid_params", Failed::Protocol(&error));
        Err(error)
    }

    async fn on_initialized(&self, _context: NotificationContext<RoleServer>) {}
}

impl ToolSet {
    pub(super) fn operation(
        &self,
        method: &'static str,
        tool: Option<&Tool>,
        context: &RequestContext<RoleServer>,
    ) -> Operation {
        let (head, observer) = (self.head.as_ref(), self.observer.as_ref());
        Operation::begin(head, observer, method, tool, context)
    }
}

/// What the observer is told of an answer that is no tool's.
pub(super) fn outcome_of<T>(answer: &Result<T, ErrorData>) -> &'static str {
    match answer {
        Ok(_) => "ok",
        Err(error) if error.code == ErrorCode::INVALID_PARAMS => "invalid_params",
        Err(error) if error.code == ErrorCode::UNSUPPORTED_PROTOCOL_VERSION => "invalid_params",
        Err(_) => "internal_error",
    }
}

/// An answer as that of a request which the SDK does not know.
pub(super) fn custom(answer: &impl serde::Serialize) -> Result<CustomResult, ErrorData> {
    let value = serde_json::to_value(answer);
    let value = value.map_err(|_| ErrorData::internal_error("the answer cannot be written", None));
    value.map(CustomResult::new)
}

pub(super) fn no_such_method() -> ErrorData {
    let text = "this method does not exist on this server";
    ErrorData::new(ErrorCode::METHOD_NOT_FOUND, text, None)
}

pub(super) fn is_modern(context: &RequestContext<RoleServer>) -> bool {
    // Versions are dates: they compare as text.
    context
        .protocol_version()
        .is_some_and(|version| version.as_str() >= ProtocolVersion::V_2026_07_28.as_str())
}
