//! The tasks of 2025-11-25, which were an experimental part of the protocol: the same tasks, asked for
//! by the client and told in other words. The SDK does not know them.

use std::time::SystemTime;

use futures::FutureExt as _;
use rmcp::{
    ErrorData, RoleServer,
    model::{
        CallToolRequestParams, CallToolResponse, CancelTaskParams, CustomRequest, CustomResult,
        DetailedTask, ErrorCode, JsonObject, PaginatedRequestParams, ProtocolVersion, ServerResult,
        Task, TaskPayload, TaskStatus,
    },
    service::RequestContext,
};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    super::{
        ToolSet,
        definition::Effect,
        handler::{custom, no_such_method, outcome_of},
        lenient,
        response::Done,
        whole::filled_in,
    },
    answer::{POLL, unavailable},
    work::forget_meta,
};
use crate::spans::Failed;

const GET: &str = "tasks/get";
const CANCEL: &str = "tasks/cancel";
const LIST: &str = "tasks/list";
/// The methods for tasks.
const METHODS: [&str; 4] = [GET, CANCEL, LIST, "tasks/result"];

/// How many tasks one answer lists.
const PAGE: usize = 16;

/// Which task a result is of.
const RELATED_TASK: &str = "io.modelcontextprotocol/related-task";

/// Longest text that is told of a failure, in characters.
const MAX_MESSAGE: usize = 500;

/// What is asked about tasks.
struct Asked {
    method: &'static str,
    /// Which task, or where the list goes on.
    about: Option<String>,
}

impl Asked {
    fn of(method: &str, params: Option<&Value>) -> Result<Self, ErrorData> {
        let known = METHODS.into_iter().find(|known| *known == method);
        let method = known.ok_or_else(no_such_method)?;
        let name = if method == LIST { "cursor" } else { "taskId" };
        let about = params.and_then(|params| params.get(name)?.as_str());
        let about = about.map(str::to_owned);
        Ok(Self { method, about })
    }
}

type Context = RequestContext<RoleServer>;
type Answer = Result<Value, ErrorData>;

/// What a server of 2025-11-25 says of its tasks.
pub(in super::super) fn capability() -> Value {
    json!({"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}})
}

impl ToolSet {
    /// The answer to a request of `method` that this revision has in other words, or alone; nothing where
    /// its params cannot be read.
    pub(in super::super) async fn of_2025_11_25(
        &self,
        method: &str,
        request: &mut CustomRequest,
        context: &mut Context,
    ) -> Option<Result<CustomResult, ErrorData>> {
        let params = request.params.as_ref();
        let agreed = context.protocol_version();
        // Those before it have none, and are otherwise the same.
        let has_tasks = self.has_tasks() && agreed == Some(ProtocolVersion::V_2025_11_25);
        let answer = match method {
            "initialize" => self.welcome(params, context).await?,
            "tools/list" => self.list_with_support(params, has_tasks, context),
            "tools/call" => self.begun(params, has_tasks, context).boxed().await?,
            _ if has_tasks => {
                let asked = Asked::of(method, params);
                // Some of these wait for long: nothing else that was said is held meanwhile.
                request.params = None;
                forget_meta(context);
                match asked {
                    Ok(asked) => self.asked(asked, context).boxed().await,
                    Err(error) => Err(error),
                }
            }
            _ => Err(no_such_method()),
        };
        Some(answer.map(CustomResult::new))
    }

    async fn welcome(&self, params: Option<&Value>, context: &Context) -> Option<Answer> {
        let params = lenient::initialize(params).ok()?;
        let result = rmcp::ServerHandler::initialize(self, params, context.clone()).await;
        let filled = result.map(ServerResult::InitializeResult).map(filled_in);
        Some(filled.and_then(|filled| Ok(custom(&filled)?.0)))
    }

    /// The list of the tools; those that may become tasks say so.
    fn list_with_support(
        &self,
        params: Option<&Value>,
        has_tasks: bool,
        context: &Context,
    ) -> Answer {
        let operation = self.operation("tools/list", None, context);
        let page: Option<PaginatedRequestParams> =
            params.and_then(|params| serde_json::from_value(params.clone()).ok());
        let list = self.list(page, context);
        operation.end(outcome_of(&list), Failed::other(&list));
        let mut list = custom(&list?)?.0;
        let tools = list.get_mut("tools").and_then(Value::as_array_mut);
        for tool in tools.into_iter().flatten() {
            let name = tool.get("name").and_then(Value::as_str);
            if has_tasks && self.takes_minutes(name.unwrap_or_default()) {
                put(tool, "execution", json!({"taskSupport": "optional"}));
            }
        }
        Ok(without_type(list))
    }

    /// The task that a call is to become; without tasks, the answer to it.
    async fn begun(
        &self,
        params: Option<&Value>,
        has_tasks: bool,
        context: &Context,
    ) -> Option<Answer> {
        let mut params = params?.clone();
        params.as_object_mut()?.remove("task");
        let request = CustomRequest::new("tools/call", Some(params.clone()));
        let params = serde_json::from_value(params).ok();
        let params: CallToolRequestParams = params.or_else(|| lenient::call(&request))?;
        let entry = self.shared.registry.entry(&params.name);
        let Some(entry) = entry.filter(|_| has_tasks) else {
            let called = rmcp::ServerHandler::call_tool(self, params, context.clone());
            return Some(called.await.and_then(|answer| match answer {
                CallToolResponse::Complete(result) => Ok(without_type(custom(&result)?.0)),
                _ => Err(ErrorData::internal_error("no answer", None)),
            }));
        };
        let operation = self.operation("tools/call", Some(&entry.tool), context);
        let answer = if self.takes_minutes(&params.name) {
            let work = self.as_task(entry, &params, context);
            task_of(operation.run(work).await)
        } else {
            let text = "this tool makes no tasks: call it without one";
            Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, text, None))
        };
        operation.end(outcome_of(&answer), Failed::other(&answer));
        Some(answer)
    }

    fn takes_minutes(&self, tool: &str) -> bool {
        let entry = self.shared.registry.entry(tool);
        entry.is_some_and(|entry| entry.effect == Effect::Slow)
    }

    async fn asked(&self, asked: Asked, context: &Context) -> Answer {
        let operation = self.operation(asked.method, None, context);
        let work = self.answered(&asked, context);
        let answer = operation.run(work).await;
        operation.end(outcome_of(&answer), Failed::other(&answer));
        answer
    }

    async fn answered(&self, asked: &Asked, context: &Context) -> Answer {
        if asked.method == LIST {
            return self.listed_tasks(asked.about.as_deref(), context).await;
        }
        let id = asked.about.as_deref();
        let id = id.ok_or_else(|| ErrorData::invalid_params("taskId is needed, a text", None))?;
        match asked.method {
            GET => self.snapshot(id, context).await,
            CANCEL => self.ended(id, context).await,
            _ => self.result(id, context).await,
        }
    }

    async fn snapshot(&self, id: &str, context: &Context) -> Answer {
        let owner = self.task_owner(context).await?;
        Ok(told(&self.detailed(&owner, id, context).await?))
    }

    /// Cancels a task that is not over yet. One that nobody works on is not begun for that.
    async fn ended(&self, id: &str, context: &Context) -> Answer {
        let owner = self.task_owner(context).await?;
        let task = self.seen(&owner, id).await?;
        if task.status().is_terminal() {
            return Err(ErrorData::invalid_params("the task is over already", None));
        }
        self.cancel(CancelTaskParams::new(id), context.clone())
            .await?;
        Ok(told(&self.seen(&owner, id).await?))
    }

    /// What came of a task, when it is over.
    async fn result(&self, id: &str, context: &Context) -> Answer {
        let owner = self.task_owner(context).await?;
        let listeners = &self.shared.listeners;
        let place = listeners.enter(&owner, 1);
        let _place = place.ok_or_else(|| busy("you wait for as many tasks as you may"))?;
        let left = owner
            .caller
            .left(SystemTime::now())
            .min(self.tasks()?.ttl());
        let over = async {
            loop {
                let task = self.detailed(&owner, id, context).await?;
                if task.status().is_terminal() {
                    return Ok(task);
                }
                sleep(POLL).await;
            }
        };
        let task = tokio::select! {
            task = over => task?,
            () = context.ct.cancelled() => return Err(busy("nobody waits any more")),
            () = listeners.over() => return Err(busy("this server stops: ask again")),
            () = sleep(left) => return Err(busy("the login ended: ask again")),
            () = owner.caller.over() => return Err(busy("the login ended: ask again")),
        };
        match task.payload {
            TaskPayload::Completed { result } => Ok(related(result, id)),
            TaskPayload::Failed { error } => Err(error_of(error)),
            _ => Err(ErrorData::internal_error("the task was cancelled", None)),
        }
    }

    /// The owner's tasks, a page of them.
    async fn listed_tasks(&self, cursor: Option<&str>, context: &Context) -> Answer {
        let owner = self.task_owner(context).await?;
        let mut ids = self.tasks()?.list(&owner).await.map_err(unavailable)?;
        ids.sort_unstable();
        if let Some(cursor) = cursor {
            let is_ours = cursor.len() == 32 && cursor.bytes().all(|it| it.is_ascii_hexdigit());
            if !is_ours {
                return Err(ErrorData::invalid_params("unknown cursor", None));
            }
            ids.retain(|id| id.as_str() > cursor);
        }
        let next = ids.get(PAGE - 1).filter(|_| ids.len() > PAGE).cloned();
        let mut tasks = Vec::new();
        for id in ids.iter().take(PAGE) {
            match self.seen(&owner, id).await {
                Ok(task) => tasks.push(told(&task)),
                Err(error) if error.code == ErrorCode::INTERNAL_ERROR => return Err(error),
                // It is not kept any more, or of a tool that is not there any more.
                Err(_) => {}
            }
        }
        let mut page = json!({"tasks": tasks});
        if let Some(next) = next {
            put(&mut page, "nextCursor", next.into());
        }
        Ok(page)
    }
}

fn busy(text: &'static str) -> ErrorData {
    ErrorData::new(ErrorCode(-32000), text, None)
}

/// A call that became a task.
fn task_of(done: Option<Done>) -> Answer {
    match done {
        Some((Ok(CallToolResponse::Task(created)), _)) => {
            Ok(json!({"task": described(&created.task, TaskStatus::Working)}))
        }
        Some((Err(error), _)) => Err(error),
        _ => Err(busy(
            "no task can be made of this call right now: call the tool without one",
        )),
    }
}

/// A task in the words of the revision.
fn told(task: &DetailedTask) -> Value {
    let failure = match &task.payload {
        // Whatever the tool says went wrong is a failure of the task here.
        TaskPayload::Completed { result } if result.get("isError") == Some(&json!(true)) => Some(
            result
                .get("content")
                .and_then(|content| content.get(0)?.get("text")),
        ),
        TaskPayload::Failed { error } => Some(error.get("message")),
        _ => None,
    };
    let Some(said) = failure else {
        return described(&task.task, task.status());
    };
    let mut described = described(&task.task, TaskStatus::Failed);
    if let Some(said) = said.and_then(Value::as_str) {
        let said: String = said.chars().take(MAX_MESSAGE).collect();
        put(&mut described, "statusMessage", said.into());
    }
    described
}

fn described(task: &Task, status: TaskStatus) -> Value {
    json!({
        "taskId": task.task_id,
        "status": status,
        "createdAt": task.created_at,
        "lastUpdatedAt": task.last_updated_at,
        "ttl": task.ttl_ms,
        "pollInterval": task.poll_interval_ms,
    })
}

/// The result of a call, which says of which task it is.
fn related(result: JsonObject, id: &str) -> Value {
    let mut result = without_type(Value::Object(result));
    let mut meta = result.get("_meta").cloned().unwrap_or_else(|| json!({}));
    put(&mut meta, RELATED_TASK, json!({"taskId": id}));
    put(&mut result, "_meta", meta);
    result
}

/// Gives an object a member.
fn put(object: &mut Value, name: &str, member: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(name.to_owned(), member);
    }
}

/// Results of this revision have no type.
fn without_type(mut result: Value) -> Value {
    if let Some(result) = result.as_object_mut() {
        result.remove("resultType");
    }
    result
}

fn error_of(error: JsonObject) -> ErrorData {
    let error = serde_json::from_value(Value::Object(error));
    error.unwrap_or_else(|_| ErrorData::internal_error("the task failed", None))
}
