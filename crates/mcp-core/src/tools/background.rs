//! The tasks extension (SEP-2663, `io.modelcontextprotocol/tasks`): a tool that takes minutes answers
//! at once with a task, and goes on; the client asks for its result, at any instance.
//!
//! Whoever begins a task owns it; to everybody else it is not there. When the instance that works on
//! it dies, the next one its owner asks takes it over: the write journal says what was done.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use futures::{FutureExt, future::BoxFuture};
use jiff::{Timestamp, Unit};
use rmcp::{
    ErrorData, RoleServer,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, CancelTaskParams, ContentBlock,
        CreateTaskResult, DetailedTask, GetTaskParams, GetTaskResult, JsonObject, Task,
        TaskPayload, TaskStatus, UpdateTaskParams,
    },
    service::RequestContext,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::{
    ToolSet,
    args::filter::filter_unknown,
    definition::Effect,
    journal::IDEMPOTENCY_KEY,
    registry::{Entry, Run},
    response::{Done, done_with},
    stopped::{check_of, stopped},
};
use crate::{Caller, OrganizationId};

/// Keeps tasks, for one instance or for all.
#[async_trait]
pub trait TaskStore: Send + Sync {
    /// Begins a task, which is durable when this completes; its id and who works on it. `about` is kept
    /// as long as the task, `request` for whoever takes it over.
    ///
    /// # Errors
    /// When it cannot be kept, or its owner has too many under way: the call is made without one then.
    async fn begin(
        &self,
        owner: &TaskOwner<'_>,
        about: String,
        request: String,
    ) -> Result<(String, Box<dyn TaskWork>), TaskStoreUnavailable>;

    /// A task of this owner.
    ///
    /// # Errors
    /// When the store is away.
    async fn find(
        &self,
        owner: &TaskOwner<'_>,
        id: &str,
    ) -> Result<Option<FoundTask>, TaskStoreUnavailable>;

    /// Cancels a task of this owner, if there is one; whether there is.
    ///
    /// # Errors
    /// When the store is away.
    async fn cancel(&self, owner: &TaskOwner<'_>, id: &str) -> Result<bool, TaskStoreUnavailable>;

    /// How long a task is kept.
    fn ttl(&self) -> Duration;
}

/// Tasks cannot be kept, or not be looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("tasks cannot be kept right now")]
pub struct TaskStoreUnavailable;

/// Whose task it is.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct TaskOwner<'a> {
    /// Who.
    pub caller: &'a Caller,
    /// Where.
    pub organization: Option<&'a OrganizationId>,
}

/// A task, as it was found.
#[non_exhaustive]
pub struct FoundTask {
    /// What it is about.
    pub about: String,
    /// What was kept for whoever takes it over.
    pub request: String,
    /// When it began.
    pub created_at: SystemTime,
    /// When it changed last.
    pub updated_at: SystemTime,
    /// Where it is.
    pub state: FoundState,
}

impl FoundTask {
    /// A task that was found.
    pub fn new(
        (about, request): (String, String),
        (created_at, updated_at): (SystemTime, SystemTime),
        state: FoundState,
    ) -> Self {
        Self {
            about,
            request,
            created_at,
            updated_at,
            state,
        }
    }
}

/// Where a task is.
pub enum FoundState {
    /// Somebody works on it.
    Working,
    /// Nobody works on it any more, although it is not over.
    Orphaned(Box<dyn OrphanedTask>),
    /// It was cancelled.
    Cancelled,
    /// This came of it.
    Done(String),
}

/// A task on which nobody works any more.
#[async_trait]
pub trait OrphanedTask: Send + Sync {
    /// Takes it over; nothing if somebody was faster.
    async fn take_over(self: Box<Self>) -> Option<Box<dyn TaskWork>>;
}

/// The right to work on a task.
#[async_trait]
pub trait TaskWork: Send + Sync {
    /// Renews the lease; completes when the task is not to go on.
    async fn watch(&self);

    /// Says what came of it.
    async fn finish(self: Box<Self>, result: String);

    /// Gives it up: another instance may take it over at once.
    async fn give_up(self: Box<Self>);
}

/// What is kept for whoever takes a task over.
#[derive(Serialize, Deserialize)]
struct Request {
    arguments: JsonObject,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<Value>,
}

/// How often a client is to ask, in milliseconds.
const POLL_MS: u64 = 2_000;

/// Longest result that is kept, and longest request, in bytes of a text in JSON.
const MAX_RESULT: usize = 52 * 1024;
const MAX_REQUEST: usize = 32 * 1024;

/// What is in the journal is trusted to be there for so much less than it is kept.
const MARGIN: Duration = Duration::from_mins(1);

impl ToolSet {
    /// The same tools; calls that take minutes become tasks, for clients that declare the extension.
    #[must_use]
    pub fn with_tasks(self, tasks: Arc<dyn TaskStore>) -> Self {
        let registry = self.shared.registry.clone();
        let journal = self.shared.journal.clone();
        self.with(registry, journal, Some(tasks))
    }

    /// Whether a call may become a task. The request itself must say that its client knows them: the
    /// handshake of an older revision, which has no tasks of this kind, does not count.
    pub(super) fn may_be_task(&self, entry: &Entry, context: &RequestContext<RoleServer>) -> bool {
        let declared = || context.meta.client_capabilities();
        // Without the journal whoever takes a task over would do it again.
        self.shared.tasks.is_some()
            && self.shared.journal.is_some()
            && entry.effect == Effect::Slow
            && declared().is_some_and(|it| it.supports_tasks())
    }

    /// The task that a call becomes, if it can.
    pub(super) fn as_task<'a>(
        &'a self,
        entry: &'a Arc<Entry>,
        params: &'a CallToolRequestParams,
        context: &'a RequestContext<RoleServer>,
    ) -> BoxFuture<'a, Option<Done>> {
        self.begin_task(entry, params, context).boxed()
    }

    async fn begin_task(
        &self,
        entry: &Arc<Entry>,
        params: &CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Option<Done> {
        let tasks = self.shared.tasks.as_ref()?;
        let caller = self.caller(context).ok()?;
        if self.missing_scopes(entry, &caller).is_some() || self.shared.cut.is_over() {
            return None;
        }
        let Run::BuiltIn(tool) = &entry.run else {
            return None;
        };
        // What is wrong with them is said at once.
        let arguments = params.arguments.clone().unwrap_or_default();
        let arguments = filter_unknown(arguments, &tool.fields, &mut Vec::new()).ok()?;
        let request = Request {
            arguments,
            key: context.meta.get(IDEMPOTENCY_KEY).cloned(),
        };
        let request = serde_json::to_string(&request).ok()?;
        if request.len() > MAX_REQUEST {
            return None;
        }
        let about = entry.tool.name.to_string();
        let organization = self.shared.client.organization_of(&caller).await.ok()?;
        let owner = TaskOwner {
            caller: &caller,
            organization: organization.as_ref(),
        };
        let (id, work) = match tasks.begin(&owner, about, request).await {
            Ok(begun) => begun,
            Err(error) => {
                tracing::debug!(%error, "a slow call is made without a task");
                return None;
            }
        };
        let now = SystemTime::now();
        let task = described(&id, (now, now), tasks.ttl());
        self.work_on(
            &id,
            Arc::clone(entry),
            params.clone(),
            context.clone(),
            work,
        );
        let mut created = CreateTaskResult::new(task);
        created.meta = Some(self.shared.stamp.clone());
        Some((Ok(CallToolResponse::Task(created)), "task"))
    }

    /// Makes the call of a task, in a task of its own.
    fn work_on(
        &self,
        id: &str,
        entry: Arc<Entry>,
        params: CallToolRequestParams,
        mut context: RequestContext<RoleServer>,
        work: Box<dyn TaskWork>,
    ) {
        let tools = self.clone();
        // The request is over before the work is: what ends with it is no word about the task.
        context.ct = CancellationToken::new();
        context.meta.remove("progressToken");
        // What is not made but done again when it comes again is this task's alone, whoever works on it.
        if !entry.creates() && !context.meta.contains_key(IDEMPOTENCY_KEY) {
            let key = format!("task {id}").into();
            context.meta.insert(IDEMPOTENCY_KEY.to_owned(), key);
        }
        let begun = self.shared.in_flight.begin();
        let run = async move {
            let _begun = begun;
            let cancelled = CancellationToken::new();
            let done = {
                let run = tools.run(&entry, params, context, cancelled.clone());
                let mut run = Box::pin(run);
                tokio::select! {
                    biased;
                    done = &mut run => Some(done),
                    () = work.watch() => {
                        cancelled.cancel();
                        drop(run.await);
                        None
                    }
                }
            };
            match done {
                // Another instance goes on.
                Some((_, "stopped" | "outcome_unknown")) if tools.shared.cut.is_over() => {
                    work.give_up().await;
                }
                Some((answer, _)) => work.finish(kept(&entry, answer)).await,
                None => {}
            }
        };
        tokio::spawn(run.in_current_span());
    }

    /// The answer to `tasks/get`.
    pub(super) async fn task(
        &self,
        params: GetTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        let tasks = self.tasks()?;
        let caller = self.caller(&context)?;
        let organization = self.organization(&caller).await?;
        let owner = TaskOwner {
            caller: &caller,
            organization: organization.as_ref(),
        };
        let found = tasks.find(&owner, &params.task_id).await;
        let found = found.map_err(unavailable)?.ok_or_else(not_found)?;
        let entry = self.entry_for(&found.about, &caller)?;
        let times = (found.created_at, found.updated_at);
        let task = described(&params.task_id, times, tasks.ttl());
        let payload = match found.state {
            FoundState::Working => TaskPayload::Working,
            FoundState::Cancelled => TaskPayload::Cancelled,
            FoundState::Done(kept) => done(&kept),
            FoundState::Orphaned(orphan) => {
                if let Some(work) = orphan.take_over().await {
                    let (id, updated_at) = (&params.task_id, found.updated_at);
                    let request = (&*found.request, updated_at);
                    self.go_on(id, entry, request, context, work).await;
                }
                TaskPayload::Working
            }
        };
        let mut result = GetTaskResult::new(DetailedTask::new(task, payload));
        result.meta = Some(self.shared.stamp.clone());
        Ok(result)
    }

    /// The tool of a task, which the caller may use.
    fn entry_for(&self, tool: &str, caller: &Caller) -> Result<Arc<Entry>, ErrorData> {
        let entry = self.shared.registry.entry(tool).ok_or_else(not_found)?;
        match self.missing_scopes(entry, caller) {
            Some(error) => Err(ErrorData::invalid_request(error.text(), None)),
            None => Ok(Arc::clone(entry)),
        }
    }

    /// Goes on with what another instance began, for the caller who asked.
    async fn go_on(
        &self,
        id: &str,
        entry: Arc<Entry>,
        (request, updated_at): (&str, SystemTime),
        mut context: RequestContext<RoleServer>,
        work: Box<dyn TaskWork>,
    ) {
        let known = self.shared.journal.as_ref().map(|journal| journal.window());
        let known = known.unwrap_or_default().saturating_sub(MARGIN);
        let is_known = updated_at.elapsed().is_ok_and(|since| since < known);
        let request: Option<Request> = serde_json::from_str(request).ok();
        let Some(request) = request.filter(|_| is_known) else {
            // What was sent is not remembered any more.
            let (answer, _) = done_with(&stopped(&entry.tool.name, true));
            return work.finish(kept(&entry, answer)).await;
        };
        let mut params = CallToolRequestParams::new(entry.tool.name.clone());
        params.arguments = Some(request.arguments);
        match request.key {
            Some(key) => context.meta.insert(IDEMPOTENCY_KEY.to_owned(), key),
            None => context.meta.remove(IDEMPOTENCY_KEY),
        };
        self.work_on(id, entry, params, context, work);
    }

    /// The answer to `tasks/cancel`.
    pub(super) async fn cancel(
        &self,
        params: CancelTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let tasks = self.tasks()?;
        let caller = self.caller(&context)?;
        let organization = self.organization(&caller).await?;
        let owner = TaskOwner {
            caller: &caller,
            organization: organization.as_ref(),
        };
        let found = tasks.find(&owner, &params.task_id).await;
        let found = found.map_err(unavailable)?.ok_or_else(not_found)?;
        self.entry_for(&found.about, &caller)?;
        let there = tasks.cancel(&owner, &params.task_id).await;
        if there.map_err(unavailable)? {
            Ok(())
        } else {
            Err(not_found())
        }
    }

    /// The answer to `tasks/update`: no task here asks for anything, so whatever comes is ignored, as
    /// the extension has it.
    pub(super) async fn update(
        &self,
        params: UpdateTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let params = GetTaskParams::new(params.task_id);
        self.task(params, context).await.map(drop)
    }

    fn tasks(&self) -> Result<&Arc<dyn TaskStore>, ErrorData> {
        let tasks = self.shared.tasks.as_ref();
        tasks.ok_or_else(not_found)
    }

    async fn organization(&self, caller: &Caller) -> Result<Option<OrganizationId>, ErrorData> {
        // Boxed: it may ask BrainGrid, which is a large future.
        let organization = self.shared.client.organization_of(caller).boxed().await;
        organization.map_err(|error| ErrorData::internal_error(error.to_string(), None))
    }
}

fn not_found() -> ErrorData {
    ErrorData::invalid_params(
        "no such task: it never was, is over for long, or is another's",
        None,
    )
}

fn unavailable(error: TaskStoreUnavailable) -> ErrorData {
    ErrorData::internal_error(format!("{error}: try again in a moment"), None)
}

fn described(id: &str, (created, updated): (SystemTime, SystemTime), ttl: Duration) -> Task {
    let text = |at: SystemTime| {
        let at = Timestamp::try_from(at).unwrap_or_default();
        at.round(Unit::Millisecond).unwrap_or(at).to_string()
    };
    let mut task = Task::new(id, TaskStatus::Working, text(created), text(updated));
    task.ttl_ms = u64::try_from(ttl.as_millis()).ok();
    task.poll_interval_ms = Some(POLL_MS);
    task
}

/// What came of a call, as it is kept.
#[derive(Serialize, Deserialize)]
enum Kept {
    Result(JsonObject),
    Error(JsonObject),
}

fn kept(entry: &Entry, answer: Result<CallToolResponse, ErrorData>) -> String {
    let kept = match answer {
        Ok(CallToolResponse::Complete(result)) => Kept::Result(object(result)),
        Ok(_) => Kept::Error(object(ErrorData::internal_error("no answer", None))),
        Err(error) => Kept::Error(object(error)),
    };
    let text = serde_json::to_string(&kept).unwrap_or_default();
    // As it stands in a record, a text within JSON.
    if serde_json::to_string(&text).is_ok_and(|text| text.len() <= MAX_RESULT) {
        return text;
    }
    let tool = &entry.tool.name;
    let check = check_of(tool).unwrap_or("BrainGrid");
    let result = CallToolResult::error(vec![ContentBlock::text(format!(
        "{tool} is done, but its answer is too long to be kept with the task. Look at it with {check}."
    ))]);
    serde_json::to_string(&Kept::Result(object(result))).unwrap_or_default()
}

fn object(value: impl Serialize) -> JsonObject {
    match serde_json::to_value(value) {
        Ok(Value::Object(object)) => object,
        _ => JsonObject::new(),
    }
}

fn done(kept: &str) -> TaskPayload {
    match serde_json::from_str(kept) {
        Ok(Kept::Result(result)) => TaskPayload::Completed { result },
        Ok(Kept::Error(error)) => TaskPayload::Failed { error },
        Err(_) => TaskPayload::Failed {
            error: JsonObject::new(),
        },
    }
}
