//! Runs one call guarded: a panic becomes an answer, a client that leaves stops a read, and a
//! write once begun is finished, be it in a task of its own, and counted until then.

use std::{
    any::Any,
    fmt::Write as _,
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::FutureExt;
use http::HeaderValue;
use mcp_outbound::run_to_end;
use rmcp::{
    ErrorData, RoleServer,
    handler::server::tool::ToolCallContext,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock,
        ProgressNotificationParam,
    },
    service::RequestContext,
};
use serde_json::Value;
use tokio::sync::watch;

use super::{
    Entry, Run, Shared, ToolSet,
    audit::{Audited, request_id},
    definition::{Effect, NOTES, Outcome},
    stopped::stopped,
};
use crate::{ApiError, BrainGridClient, Caller, CredentialError, ProjectRef};

/// What a running tool has at hand.
#[derive(Clone)]
pub(crate) struct Call {
    shared: Arc<Shared>,
    caller: Caller,
    left: Arc<AtomicBool>,
    audited: Audited,
    /// Whether a write may have left.
    sent: Arc<AtomicBool>,
    /// Whether it went to the project that nobody named in the call.
    by_default: Arc<AtomicBool>,
    notes: Notes,
}

/// What an answer says beside what it shows.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<Note>>>);

struct Note {
    sentence: String,
    /// The text says it already in its own place.
    in_text: bool,
}

impl Notes {
    fn add(&self, sentence: String, in_text: bool) {
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        notes.push(Note { sentence, in_text });
    }

    fn take(&self) -> Vec<Note> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Call {
    pub(super) fn client(&self) -> &BrainGridClient {
        &self.shared.client
    }

    pub(super) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Says this in the answer: at the end of its text, and among the notes of its structure, for
    /// many clients show a model the structure only.
    pub(super) fn note(&self, sentence: impl Into<String>) {
        self.notes.add(sentence.into(), false);
    }

    /// Says this in the answer, if there is anything to say.
    pub(super) fn note_all(&self, sentences: impl IntoIterator<Item = String>) {
        sentences
            .into_iter()
            .for_each(|sentence| self.note(sentence));
    }

    /// Says this in the structure only: the text says it.
    pub(super) fn tell(&self, sentence: impl Into<String>) {
        self.notes.add(sentence.into(), true);
    }

    pub(super) fn default_project(&self) -> Option<&ProjectRef> {
        self.shared.options.default_project.as_ref()
    }

    /// The default project, for a call that goes there.
    pub(super) fn taken_by_default(&self) -> Option<ProjectRef> {
        let project = self.default_project()?;
        self.by_default.store(true, Ordering::Relaxed);
        Some(project.clone())
    }

    /// Where the default project is named.
    pub(super) fn default_project_from(&self) -> Option<&str> {
        self.shared.options.default_project_from.as_deref()
    }

    /// What to say, once, after something was changed in a project that the call did not name: the
    /// folder that names it may be anybody's.
    fn remark_on_project(&self) -> Option<String> {
        let by_default = self.by_default.load(Ordering::Relaxed);
        let project = self.default_project().filter(|_| by_default)?;
        if self.shared.project_told.swap(true, Ordering::Relaxed) {
            return None;
        }
        let from = self.default_project_from();
        let from = from.map_or_else(String::new, |from| format!(" ({from} names it)"));
        Some(format!(
            "Done in project {project}, the default here{from}."
        ))
    }

    pub(super) fn tool_names(&self) -> impl Iterator<Item = &str> {
        self.shared
            .tools
            .iter()
            .map(|entry| entry.tool.name.as_ref())
    }

    /// The last moment to stop: right before a write is sent, which is then on record.
    ///
    /// # Errors
    /// When the client has left meanwhile.
    pub(super) async fn before_write(&self) -> Result<(), ToolError> {
        self.still_wanted()?;
        self.audited.intend().await;
        self.still_wanted()?;
        self.sent.store(true, Ordering::Release);
        Ok(())
    }

    fn still_wanted(&self) -> Result<(), ToolError> {
        if self.left.load(Ordering::Acquire) {
            Err(ToolError::Left)
        } else {
            Ok(())
        }
    }
}

/// The answer to a call, and the name of its outcome for spans and metrics.
pub(super) type Done = (Result<CallToolResponse, ErrorData>, &'static str);

/// Why a tool has nothing to show; becomes a result that the model reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ToolError {
    /// The call cannot be done as it was made; the text says how to make it.
    Refused(String),
    /// BrainGrid did not do it.
    Api(ApiError),
    /// BrainGrid did not do it; the text tells more than the error knows.
    Explained(ApiError, String),
    /// The client left before anything was changed.
    Left,
    /// The server stops; `sent` is whether a write may have reached BrainGrid.
    Stopped { sent: bool, text: String },
    /// Our fault.
    Internal,
}

impl ToolError {
    pub(super) fn internal() -> Self {
        Self::Internal
    }

    pub(super) fn text(&self) -> String {
        match self {
            Self::Refused(text) | Self::Explained(_, text) | Self::Stopped { text, .. } => {
                text.clone()
            }
            Self::Api(error) => sentence(&error.to_string()),
            Self::Left => "Cancelled; nothing was changed.".into(),
            Self::Internal => INTERNAL.into(),
        }
    }

    /// Whether somebody may have to look it up in the server's log.
    fn is_for_an_operator(&self) -> bool {
        !matches!(self, Self::Refused(_) | Self::Left)
    }

    /// A name for spans and metrics.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::Api(error) | Self::Explained(error, _) => error.kind(),
            Self::Left => "cancelled",
            Self::Stopped { sent: true, .. } => "outcome_unknown",
            Self::Stopped { sent: false, .. } => "stopped",
            Self::Internal => "internal",
        }
    }
}

impl From<ApiError> for ToolError {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

impl From<CredentialError> for ToolError {
    fn from(error: CredentialError) -> Self {
        Self::Api(error.into())
    }
}

const INTERNAL: &str =
    "Internal error in the BrainGrid MCP server. This was recorded; trying again may help.";

/// A text as a sentence: capital letter, full stop.
pub(super) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters
        .next()
        .map(|c| c.to_uppercase().to_string())
        .unwrap_or_default();
    let text = format!("{first}{}", letters.as_str());
    if text.ends_with(['.', '!', '?', ')']) {
        text
    } else {
        text + "."
    }
}

impl ToolSet {
    /// Runs the tool for whoever asks, if they may: to its end, or as far as anybody wants it.
    pub(super) async fn run(
        &self,
        entry: &Arc<Entry>,
        params: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Done {
        let caller = match self.caller(&context) {
            Ok(caller) => caller,
            Err(error) => return (Err(error), "internal_error"),
        };
        if let Some(error) = self.missing_scopes(entry, &caller) {
            let audited = self.audited(entry, &caller, &params, &context);
            audited.end("insufficient_scope");
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
        let call = Call {
            shared: self.shared.clone(),
            caller,
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
                    () = cut.over() => done_with(&stopped(&tool, sent.load(Ordering::Acquire))),
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
    let work = async {
        match &entry.run {
            Run::BuiltIn(run) => {
                let arguments = params.arguments.unwrap_or_default();
                let asked = call.clone();
                let outcome = run(call, arguments).await;
                let kind = outcome.as_ref().map_or_else(ToolError::kind, |_| "ok");
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
    let done = AssertUnwindSafe(work).catch_unwind().await;
    done.unwrap_or_else(|panic: Box<dyn Any + Send>| {
        // The payload may itself panic when dropped; forgetting it is the safe way out.
        std::mem::forget(panic);
        tracing::error!(tool = &*name, "tool panicked");
        let answer = failed_with(&ToolError::Internal, "", request.as_ref());
        (Ok(answer), "panic")
    })
}

/// The outcome of a tool that is not built in.
fn kind_of(answer: &Result<CallToolResponse, ErrorData>) -> &'static str {
    match answer {
        Ok(CallToolResponse::Complete(result)) if result.is_error == Some(true) => "refused",
        Ok(_) => "ok",
        Err(_) => "internal_error",
    }
}

fn done_with(error: &ToolError) -> Done {
    (Ok(failed(error)), error.kind())
}

fn response(outcome: Outcome, notes: Vec<Note>, request: Option<&HeaderValue>) -> CallToolResponse {
    let mut remarks = String::new();
    for note in notes.iter().filter(|note| !note.in_text) {
        remarks.push_str(if remarks.is_empty() { "\n\n" } else { "\n" });
        remarks.push_str(&note.sentence);
    }
    match outcome {
        Ok(mut answer) => {
            if let Value::Object(shown) = &mut answer.structured
                && !notes.is_empty()
            {
                let notes = notes.into_iter().map(|note| note.sentence.into()).collect();
                shown.insert(NOTES.to_owned(), Value::Array(notes));
            }
            let text = answer.text + &remarks;
            let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
            result.structured_content = Some(answer.structured);
            result.into()
        }
        Err(error) => failed_with(&error, &remarks, request),
    }
}

fn failed(error: &ToolError) -> CallToolResponse {
    failed_with(error, "", None)
}

/// An error has no structure, so that every client shows its text.
fn failed_with(
    error: &ToolError,
    remarks: &str,
    request: Option<&HeaderValue>,
) -> CallToolResponse {
    let mut text = error.text() + remarks;
    if error.is_for_an_operator()
        && let Some(id) = request.and_then(|id| id.to_str().ok())
    {
        // Many clients show no headers, and whoever looks this up needs it.
        let _ = write!(text, "\nRequest id: {id}");
    }
    CallToolResult::error(vec![ContentBlock::text(text)]).into()
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

/// Counts the writes that were begun and are not finished.
#[derive(Clone)]
pub(super) struct InFlight(Arc<watch::Sender<usize>>);

impl Default for InFlight {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }
}

impl InFlight {
    fn begin(&self) -> Begun {
        // Nobody waits for more.
        self.0.send_if_modified(|count| {
            *count += 1;
            false
        });
        Begun(self.0.clone())
    }

    pub(super) fn count(&self) -> usize {
        *self.0.borrow()
    }

    /// Waits until there is none; how many there are when `timeout` is over first.
    pub(super) async fn drained(&self, timeout: Duration) -> usize {
        let mut count = self.0.subscribe();
        let none = count.wait_for(|count| *count == 0);
        match tokio::time::timeout(timeout, none).await {
            Ok(_) => 0,
            Err(_) => self.count(),
        }
    }
}

/// One write in flight.
struct Begun(Arc<watch::Sender<usize>>);

impl Drop for Begun {
    fn drop(&mut self) {
        self.0.send_if_modified(|count| {
            *count = count.saturating_sub(1);
            *count == 0
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn drain_waits_for_what_was_begun() {
        let in_flight = InFlight::default();
        let begun = in_flight.begin();
        assert_eq!(in_flight.count(), 1);
        assert_eq!(in_flight.drained(Duration::ZERO).await, 1);
        let waiting = in_flight.clone();
        let drained = tokio::spawn(async move { waiting.drained(Duration::from_secs(30)).await });
        drop(begun);
        assert_eq!(drained.await.unwrap(), 0);
    }

    #[test]
    fn errors_read_as_sentences() {
        assert_eq!(sentence("out of credits"), "Out of credits.");
        assert_eq!(sentence(""), ".");
    }
}
