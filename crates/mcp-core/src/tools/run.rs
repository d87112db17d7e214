//! Runs one call guarded: a panic becomes an answer, a client that leaves stops a read, and a
//! write once begun is finished, be it in a task of its own, and counted until then.

use std::{
    any::Any,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::FutureExt;
use mcp_outbound::run_to_end;
use rmcp::{
    ErrorData, RoleServer,
    handler::server::tool::ToolCallContext,
    model::{CallToolRequestParams, CallToolResponse, ProgressNotificationParam},
    service::RequestContext,
};
use tokio_util::sync::CancellationToken;

use super::{
    Arguments, ToolSet,
    audit::{Audited, request_id},
    call::Call,
    definition::{BuiltIn, Effect, Outcome},
    error::ToolError,
    journal::{self, Place},
    registry::{Entry, Run},
    response::{Done, Notes, done_with, failed_with, response},
    stopped::stopped,
};
use crate::Caller;

impl ToolSet {
    /// Runs the tool for whoever asks, if they may: to its end, or as far as anybody wants it. `cancel`
    /// ends it wherever it is.
    pub(super) async fn run(
        &self,
        entry: &Arc<Entry>,
        params: CallToolRequestParams,
        context: RequestContext<RoleServer>,
        cancel: CancellationToken,
    ) -> Done {
        let caller = match self.caller(&context) {
            Ok(caller) => caller,
            Err(error) => return (Err(error), "internal_error"),
        };
        if let Some((error, outcome)) = self.may_not(entry, &caller) {
            let audited = self.audited(entry, &caller, &params, &context);
            audited.end(outcome);
            return done_with(&error);
        }
        let changes = entry.effect.changes_something();
        let audited = if changes {
            self.audited(entry, &caller, &params, &context)
        } else {
            Audited::default()
        };
        let tool = entry.tool.name.clone();
        if self.shared.cut.is_over() {
            let error = stopped(&tool, false);
            audited.end(error.kind());
            return done_with(&error);
        }
        let cancelled = context.ct.clone();
        let cut = self.shared.cut.clone();
        let left = Leave(Arc::new(AtomicBool::new(false)));
        let place = Place::default();
        let client = match self.shared.journal {
            Some(_) if changes => self.shared.client.gated(place.gate()),
            _ => self.shared.client.clone(),
        };
        let call = Call {
            shared: self.shared.clone(),
            client,
            caller,
            place: place.clone(),
            gone: context.ct.clone(),
            left: left.0.clone(),
            audited: audited.clone(),
            sent: Arc::default(),
            by_default: Arc::default(),
            notes: Notes::default(),
        };
        let sent = call.sent.clone();
        let progress = keep_informed(entry.effect, &context);
        // Boxed: it is kilobytes, and would be moved with every future around it.
        let work = Box::pin(guarded(
            self.clone(),
            Arc::clone(entry),
            call,
            params,
            context,
        ));
        let done = if changes {
            let begun = self.shared.in_flight.begin();
            let work = async move {
                let _begun = begun;
                let done = tokio::select! {
                    biased;
                    done = work => done,
                    () = cut.over() => {
                        let sent = sent.load(Ordering::Acquire);
                        let told = place.abandon(sent);
                        let _ = tokio::time::timeout(TO_TELL_THE_JOURNAL, told).await;
                        done_with(&stopped(&tool, sent))
                    }
                    () = cancel.cancelled() => {
                        let sent = sent.load(Ordering::Acquire);
                        place.abandon(sent).await;
                        done_with(&cancelled_after(sent))
                    }
                };
                audited.end(done.1);
                done
            };
            // A panic of the tool is caught below; another is none of its answers.
            let work = run_to_end(work, || {});
            tokio::select! {
                biased;
                done = work => done.unwrap_or_else(|| done_with(&ToolError::Internal)),
                () = cancelled.cancelled() => done_with(&ToolError::Left),
                () = progress => done_with(&ToolError::Internal),
            }
        } else {
            tokio::select! {
                biased;
                done = work => done,
                () = cancelled.cancelled() => done_with(&ToolError::Left),
                () = cut.over() => done_with(&stopped(&tool, false)),
            }
        };
        drop(left);
        done
    }

    /// The fixed caller, else the one that came with the HTTP request, by reference: its headers
    /// are not copied.
    pub(super) fn caller(&self, context: &RequestContext<RoleServer>) -> Result<Caller, ErrorData> {
        let fixed = self.caller.as_ref().map(|caller| caller());
        let of_request = || caller_of_request(context).cloned();
        fixed.or_else(of_request).ok_or_else(|| {
            tracing::error!("a call without a caller reached the tools");
            ErrorData::internal_error("the call has no caller", None)
        })
    }

    /// Tells the auditor, if there is one, that this call begins.
    fn audited(
        &self,
        entry: &Entry,
        caller: &Caller,
        params: &CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Audited {
        let (auditor, tool) = (self.auditor.as_ref(), &entry.tool.name);
        Audited::begin(auditor, caller, tool, params.arguments.as_ref(), context)
    }
}

/// The caller that came with an HTTP request.
pub(super) fn caller_of_request(context: &RequestContext<RoleServer>) -> Option<&Caller> {
    let parts = context.extensions.get::<http::request::Parts>()?;
    parts.extensions.get()
}

/// What is said of a call that was cancelled, to those who keep record.
fn cancelled_after(sent: bool) -> ToolError {
    if sent {
        let text = "Cancelled after it was sent: it may have been done.".to_owned();
        ToolError::Stopped { sent, text }
    } else {
        ToolError::Left
    }
}

/// Tells the running tool, when it goes, that nobody waits any more.
struct Leave(Arc<AtomicBool>);

impl Drop for Leave {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// The tool itself, with a panic turned into an answer that does not tell its text.
async fn guarded(
    tools: ToolSet,
    entry: Arc<Entry>,
    call: Call,
    params: CallToolRequestParams,
    context: RequestContext<RoleServer>,
) -> Done {
    let name = entry.tool.name.clone();
    let request = request_id(&context).cloned();
    let (place, sent) = (call.place.clone(), call.sent.clone());
    let work = async {
        match &entry.run {
            Run::BuiltIn(tool) => {
                let arguments = params.arguments.unwrap_or_default();
                let outcome = built_in(&entry, tool, &call, arguments, &context).await;
                let done = if call.place.is_replayed() {
                    "replayed"
                } else {
                    "ok"
                };
                let kind = outcome.as_ref().map_or_else(ToolError::kind, |_| done);
                let asked = call;
                if outcome.is_ok() && entry.effect.changes_something() {
                    asked.note_all(asked.remark_on_project());
                }
                let answer = response(outcome, asked.notes.take(), request.as_ref());
                (Ok(answer), kind)
            }
            Run::Added(run) => {
                if entry.effect.changes_something()
                    && let Err(error) = call.before_write().await
                {
                    return done_with(&error);
                }
                let answer = run(ToolCallContext::new(&tools, params, context)).await;
                let kind = kind_of(&answer);
                (answer, kind)
            }
        }
    };
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(done) => done,
        Err(panic) => {
            let panic: Box<dyn Any + Send> = panic;
            // The payload may itself panic when dropped; forgetting it is the safe way out.
            std::mem::forget(panic);
            tracing::error!(tool = &*name, "tool panicked");
            place.abandon(sent.load(Ordering::Acquire)).await;
            let answer = failed_with(&ToolError::Internal, "", request.as_ref());
            (Ok(answer), "panic")
        }
    }
}

/// A built-in tool, with arguments as they came.
async fn built_in(
    entry: &Entry,
    tool: &BuiltIn,
    call: &Call,
    arguments: Arguments,
    context: &RequestContext<RoleServer>,
) -> Outcome {
    let arguments = tool.read(arguments, call)?;
    if entry.effect.changes_something() {
        let key = journal::idempotency_key(&context.meta)?;
        // Boxed: the future of a write is large, and that of a read need not be.
        Box::pin(journal::run(entry, tool, call, arguments, key)).await
    } else {
        (tool.run)(call.clone(), arguments).await
    }
}

/// How long a call that is cut off may take to tell the journal what is known of it.
const TO_TELL_THE_JOURNAL: Duration = Duration::from_millis(500);

/// The outcome of a tool that is not built in.
fn kind_of(answer: &Result<CallToolResponse, ErrorData>) -> &'static str {
    match answer {
        Ok(CallToolResponse::Complete(result)) if result.is_error == Some(true) => "refused",
        Ok(_) => "ok",
        Err(_) => "internal_error",
    }
}

const BETWEEN_PROGRESS: Duration = Duration::from_secs(5);

/// Sends progress for a slow call if the client asked for it; never ends. It must run in the
/// task of the request, for the library finds out from the task which request it belongs to.
fn keep_informed(
    effect: Effect,
    context: &RequestContext<RoleServer>,
) -> impl Future<Output = ()> + Send + use<> {
    let token = context
        .meta
        .get_progress_token()
        .filter(|_| effect == Effect::Slow);
    let peer = context.peer.clone();
    async move {
        let Some(token) = token else {
            return std::future::pending().await;
        };
        let mut ticks = tokio::time::interval(BETWEEN_PROGRESS);
        let mut seconds = 0u32;
        loop {
            ticks.tick().await;
            let message = format!("BrainGrid is working ({seconds} s)");
            let progress = ProgressNotificationParam::new(token.clone(), f64::from(seconds));
            // A client that does not listen any more is noticed elsewhere.
            let _ = peer.notify_progress(progress.with_message(message)).await;
            seconds += 5;
        }
    }
}
