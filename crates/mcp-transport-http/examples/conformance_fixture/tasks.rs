//! Calls that become tasks, kept as the product keeps its own. What a task asks its client is kept
//! beside it, for no tool of the product asks anything.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use jiff::{Timestamp, Unit};
use mcp_fleet::{FoundTask, TaskState, Tasks, TasksConfig};
use mcp_session::Keyring;
use rmcp::{
    ErrorData, RoleServer,
    model::{
        CallToolRequestParams, CallToolResponse, CancelTaskParams, ClientCapabilities,
        CreateTaskResult, DetailedTask, GetTaskParams, GetTaskResult, InputRequests, Task,
        TaskPayload, TaskStatus, UpdateTaskParams,
    },
    service::RequestContext,
};
use serde_json::{Value, json};
use tokio::{sync::Notify, time::sleep};

use crate::{
    call::{Called, ask, complete, done, plain},
    input::{Answers, confirmation, question},
    samples::{text, wire},
};

/// How long a job takes that only fails.
const JOB: Duration = Duration::from_secs(1);

/// The fixture's tasks. A cheap clone.
#[derive(Clone)]
pub(crate) struct FixtureTasks {
    tasks: Tasks,
    asked: Arc<Mutex<HashMap<String, Asked>>>,
}

/// What a task has asked and was not told yet.
#[derive(Clone)]
struct Asked {
    open: InputRequests,
    answered: Arc<Notify>,
}

/// What is done in a task.
enum Job {
    Sleep(Duration),
    Fail,
    Break,
    Ask(Value),
    Greet(String),
}

impl FixtureTasks {
    pub(crate) fn new(keyring: Arc<Keyring>) -> Self {
        Self {
            tasks: Tasks::in_process(keyring, TasksConfig::default()),
            asked: Arc::default(),
        }
    }

    /// The answer to a call of a tool that makes tasks; nothing for another tool.
    pub(crate) async fn call(
        &self,
        request: &CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Option<Called> {
        let client = context.client_capabilities().unwrap_or_default();
        let argument = |name: &str| request.arguments.as_ref()?.get(name);
        let job = match request.name.as_ref() {
            "slow_compute" => {
                let seconds = argument("seconds").and_then(Value::as_u64);
                let time = Duration::from_secs(seconds.unwrap_or_default());
                if !client.supports_tasks() {
                    sleep(time).await;
                    return Some(done(text("Computed.")));
                }
                Job::Sleep(time)
            }
            "failing_job" => Job::Fail,
            "protocol_error_job" => Job::Break,
            "confirm_delete" => Job::Ask(json!({"confirm": confirmation("Delete it?", "confirm")})),
            "multi_input" => Job::Ask(json!({
                "name": question("What is your name?", "name"),
                "confirm": confirmation("Go on?", "confirm"),
            })),
            "test_tool_with_task" => {
                let answers = Answers::of(request.input_responses.as_ref());
                match answers.accepted("user_name", "name") {
                    Ok(Some(name)) => Job::Greet(plain(name)),
                    Ok(None) => {
                        let name = question("What is your name?", "name");
                        return Some(ask(json!({"user_name": name}), None));
                    }
                    Err(error) => return Some(Err(error)),
                }
            }
            _ => return None,
        };
        if !client.supports_tasks() {
            let needed = ClientCapabilities::builder().enable_tasks().build();
            return Some(Err(ErrorData::missing_required_client_capability(needed)));
        }
        Some(self.begin(&request.name, job, context).await)
    }

    async fn begin(&self, tool: &str, job: Job, context: &RequestContext<RoleServer>) -> Called {
        let owner = owner(context);
        let owner = [owner.as_str()];
        let begun = self
            .tasks
            .begin(&owner, &owner, tool.to_owned(), String::new());
        let (id, work) = begun.await.map_err(internal)?;
        let now = SystemTime::now();
        let task = described(&id, (now, now), self.tasks.ttl());
        let this = self.clone();
        tokio::spawn(async move {
            let came = tokio::select! {
                came = this.work(&id, job) => Some(came),
                () = work.watch() => None,
            };
            this.asked().remove(&id);
            if let Some(came) = came {
                work.finish(came.to_string()).await;
            }
        });
        Ok(CallToolResponse::Task(CreateTaskResult::new(task)))
    }

    /// Does the job: its result, or the error of the protocol that ended it.
    async fn work(&self, id: &str, job: Job) -> Value {
        let came = match job {
            Job::Sleep(time) => {
                sleep(time).await;
                done(text("Computed."))
            }
            Job::Fail => {
                sleep(JOB).await;
                complete(json!({"content": [text("This job always fails.")], "isError": true}))
            }
            Job::Break => Err(ErrorData::internal_error("this job always breaks", None)),
            Job::Ask(requests) => self.ask(id, requests).await,
            Job::Greet(name) => done(text(format!("Hello, {name}!"))),
        };
        match came {
            Ok(CallToolResponse::Complete(result)) => json!({"result": result}),
            Ok(_) => json!({"error": ErrorData::internal_error("no answer", None)}),
            Err(error) => json!({"error": error}),
        }
    }

    /// Asks, and waits until all is answered.
    async fn ask(&self, id: &str, requests: Value) -> Called {
        let answered = Arc::new(Notify::new());
        let asked = Asked {
            open: wire(requests)?,
            answered: Arc::clone(&answered),
        };
        self.asked().insert(id.to_owned(), asked);
        answered.notified().await;
        done(text("All was answered."))
    }

    pub(crate) async fn get(
        &self,
        params: GetTaskParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        let id = &params.task_id;
        let record = self.found(id, context).await?.record;
        let times = (record.created_at(), record.updated_at());
        let task = described(id, times, self.tasks.ttl());
        let asked = self.asked().get(id).map(|asked| asked.open.clone());
        let payload = match record.state {
            TaskState::Working => match asked.filter(|open| !open.is_empty()) {
                Some(input_requests) => TaskPayload::InputRequired { input_requests },
                None => TaskPayload::Working,
            },
            TaskState::Cancelled => TaskPayload::Cancelled,
            TaskState::Done(came) => over(&came),
        };
        Ok(GetTaskResult::new(DetailedTask::new(task, payload)))
    }

    pub(crate) async fn update(
        &self,
        params: UpdateTaskParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.found(&params.task_id, context).await?;
        if let Some(asked) = self.asked().get_mut(&params.task_id) {
            asked
                .open
                .retain(|key, _| !params.input_responses.contains_key(key));
            if asked.open.is_empty() {
                asked.answered.notify_one();
            }
        }
        Ok(())
    }

    pub(crate) async fn cancel(
        &self,
        params: CancelTaskParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let owner = owner(context);
        let cancelled = self.tasks.cancel(&[&owner], &params.task_id).await;
        cancelled
            .map_err(internal)?
            .then_some(())
            .ok_or_else(unknown)
    }

    async fn found(
        &self,
        id: &str,
        context: &RequestContext<RoleServer>,
    ) -> Result<FoundTask, ErrorData> {
        let owner = owner(context);
        let found = self.tasks.find(&[&owner], id).await.map_err(internal)?;
        found.ok_or_else(unknown)
    }

    fn asked(&self) -> MutexGuard<'_, HashMap<String, Asked>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the server attached to the request: who calls.
fn owner(context: &RequestContext<RoleServer>) -> String {
    let parts = context.extensions.get::<http::request::Parts>();
    let subject = parts.and_then(|parts| parts.extensions.get::<String>());
    subject.cloned().unwrap_or_default()
}

fn described(id: &str, (created, updated): (SystemTime, SystemTime), ttl: Duration) -> Task {
    let text = |at: SystemTime| {
        let at = Timestamp::try_from(at).unwrap_or_default();
        at.round(Unit::Millisecond).unwrap_or(at).to_string()
    };
    let mut task = Task::new(id, TaskStatus::Working, text(created), text(updated));
    task.ttl_ms = u64::try_from(ttl.as_millis()).ok();
    task.poll_interval_ms = Some(200);
    task
}

fn over(came: &str) -> TaskPayload {
    let mut came: Value = serde_json::from_str(came).unwrap_or_default();
    let mut take = |name: &str| match came.get_mut(name).map(Value::take) {
        Some(Value::Object(object)) => Some(object),
        _ => None,
    };
    match take("result") {
        Some(result) => TaskPayload::Completed { result },
        None => TaskPayload::Failed {
            error: take("error").unwrap_or_default(),
        },
    }
}

fn unknown() -> ErrorData {
    ErrorData::invalid_params("no such task", None)
}

fn internal(error: impl std::fmt::Display) -> ErrorData {
    ErrorData::internal_error(error.to_string(), None)
}
