//! Begins a task, works on it, and goes on with what another instance began.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures::{FutureExt, future::BoxFuture};
use rmcp::{
    RoleServer,
    model::{CallToolRequestParams, CallToolResponse, CreateTaskResult, JsonObject},
    service::RequestContext,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::{
    super::{
        ToolSet,
        definition::Effect,
        journal::IDEMPOTENCY_KEY,
        registry::{Entry, Run},
        response::{Done, done_with},
        stopped::stopped,
    },
    TaskOwner, TaskStore, TaskWork,
    answer::{about, described},
    kept::kept,
};

/// What is kept for whoever takes a task over.
#[derive(Serialize, Deserialize)]
struct Request {
    arguments: JsonObject,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<Value>,
}

/// Longest request that is kept, in bytes.
const MAX_REQUEST: usize = 16 * 1024;

/// Where a request says its revision.
const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";

/// Drops what a client said of a request beyond its revision, for what outlasts other requests.
pub(super) fn forget_meta(context: &mut RequestContext<RoleServer>) {
    context.meta.retain(|name, _| name == PROTOCOL_VERSION);
}

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

    /// Whether any call becomes a task. Without the journal none does, for whoever takes a task over would
    /// do it again, and none is declared.
    pub(in super::super) fn has_tasks(&self) -> bool {
        self.shared.tasks.is_some() && self.shared.journal.is_some()
    }

    /// Whether a call may become a task. The request itself must say that its client knows them: the
    /// handshake of an older revision, which has no tasks of this kind, does not count.
    pub(in super::super) fn may_be_task(
        &self,
        entry: &Entry,
        context: &RequestContext<RoleServer>,
    ) -> bool {
        let declared = || context.meta.client_capabilities();
        self.has_tasks()
            && entry.effect == Effect::Slow
            && declared().is_some_and(|it| it.supports_tasks())
    }

    /// The task that a call becomes, if it can.
    pub(in super::super) fn as_task<'a>(
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
        if self.may_not(entry, &caller).is_some() || self.shared.cut.is_over() {
            return None;
        }
        let Run::BuiltIn(tool) = &entry.run else {
            return None;
        };
        // What is wrong with them is said at once.
        let arguments = params.arguments.clone().unwrap_or_default();
        let arguments = tool.read_for(&caller, arguments, &mut Vec::new()).ok()?;
        let request = Request {
            arguments,
            key: context.meta.get(IDEMPOTENCY_KEY).cloned(),
        };
        let request = serde_json::to_string(&request).ok()?;
        if request.len() > MAX_REQUEST {
            return None;
        }
        let about = about(entry, &caller);
        let organization = self.shared.client.organization_of(&caller).await.ok()?;
        let owner = TaskOwner {
            caller,
            organization,
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
        // Nor is the rest of what the client said of it held for as long.
        let needed = [IDEMPOTENCY_KEY, PROTOCOL_VERSION];
        context
            .meta
            .retain(|name, _| needed.contains(&name.as_str()));
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

    /// Whether the journal still knows what was written then.
    pub(super) fn is_remembered(&self, at: SystemTime) -> bool {
        let known = self.shared.journal.as_ref().map(|journal| journal.window());
        let known = known.unwrap_or_default().saturating_sub(MARGIN);
        at.elapsed().is_ok_and(|since| since < known)
    }

    /// Goes on with what another instance began, for the caller who asked.
    pub(super) async fn go_on(
        &self,
        id: &str,
        entry: Arc<Entry>,
        (request, worked_at): (&str, SystemTime),
        mut context: RequestContext<RoleServer>,
        work: Box<dyn TaskWork>,
    ) {
        let request: Option<Request> = serde_json::from_str(request).ok();
        let Some(request) = request.filter(|_| self.is_remembered(worked_at)) else {
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
}
