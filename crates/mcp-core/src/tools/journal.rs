//! The write journal: an intent before a write leaves, its outcome after, so that the same write,
//! sent again, is not done twice.
//!
//! The same is what has the same caller, tool and arguments, or the client's idempotency key in
//! `_meta`. What was made within the journal's window is read again and shown; a change that was
//! answered is done again, for there and back is two changes; and a write whose outcome nobody knows
//! is looked for before it is sent once more.

use std::{
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use futures::future::BoxFuture;
use jiff::Timestamp;
use rmcp::model::{JsonObject, RequestMetaObject};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Arguments,
    call::Call,
    definition::{BuiltIn, Effect, Outcome, ToolOutput},
    error::{ToolError, sentence},
    registry::Entry,
};
use crate::{
    ApiError, Caller, OrganizationId, ProjectRef, RequirementRef, TaskRef, braingrid::SendGate,
    error::Unclear,
};

/// Where a client names a write: an idempotency key of its own, 1 to 200 characters.
pub const IDEMPOTENCY_KEY: &str = "com.braingrid/idempotency-key";

/// The argument of a tool that makes something, with which a second one is made.
pub(super) const ALLOW_DUPLICATE: &str = "allow_duplicate";

/// Remembers writes, for one instance or for all.
#[async_trait]
pub trait WriteJournal: Send + Sync {
    /// Notes that a write begins, unless it was begun before: then waits for whoever is at work on
    /// it. Dropping the future stops the waiting and nothing else.
    ///
    /// # Errors
    /// When writes are refused because the journal is away; nothing was noted then.
    async fn begin(&self, write: &JournalledWrite<'_>) -> Result<Begun, JournalUnavailable>;

    /// Forgets a write that was done: what it made is gone.
    async fn forget(&self, write: &JournalledWrite<'_>, version: u64);

    /// How long a write is remembered.
    fn window(&self) -> Duration;

    /// Whether it may keep what a tool answered, sealed; else ids only.
    fn keeps_answers(&self) -> bool;
}

/// The journal is away, and writes are refused then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the write journal is away")]
pub struct JournalUnavailable;

/// A write, by what makes it the same as another.
#[derive(Debug)]
#[non_exhaustive]
pub struct JournalledWrite<'a> {
    /// For whom.
    pub caller: &'a Caller,
    /// Where; nothing for a login that belongs to no organization.
    pub organization: Option<&'a OrganizationId>,
    /// The canonical name of the tool.
    pub tool: &'a str,
    /// The arguments as they are meant, without those that say nothing.
    pub arguments: &'a JsonObject,
    /// The client's own name for this write.
    pub key: Option<&'a str>,
    /// Whether the same again, later, is shown what this one made. Otherwise it is done again; only
    /// what comes while it runs waits for it.
    pub replays: bool,
    /// Within this its request is answered or given up.
    pub timeout: Duration,
}

/// What is known of a write that is about to begin.
pub enum Begun {
    /// Nobody did it: it may be sent.
    Send(Box<dyn WriteIntent>),
    /// It was done.
    #[non_exhaustive]
    Replay {
        /// When it was begun.
        at: SystemTime,
        /// What was kept of it.
        kept: Option<String>,
        /// Whether it was still under way when it was asked for again.
        joined: bool,
        /// For [`WriteJournal::forget`].
        version: u64,
    },
    /// It may have been sent, and nobody knows what came of it: it is to be looked for.
    #[non_exhaustive]
    ReadBack {
        /// When it was begun.
        at: SystemTime,
        /// Whether its request cannot arrive any more: what is not there now will not come.
        settled: bool,
        /// To be told what was found.
        intent: Box<dyn WriteIntent>,
    },
    /// The client's key stands for another write.
    KeyReused,
}

impl Begun {
    /// It was done.
    pub fn replay(at: SystemTime, kept: Option<String>, joined: bool, version: u64) -> Self {
        Self::Replay {
            at,
            kept,
            joined,
            version,
        }
    }

    /// It may have been sent.
    pub fn read_back(at: SystemTime, settled: bool, intent: Box<dyn WriteIntent>) -> Self {
        Self::ReadBack {
            at,
            settled,
            intent,
        }
    }
}

/// A write that this process has. Dropped without a word, it counts as abandoned.
#[async_trait]
pub trait WriteIntent: Send + Sync {
    /// Whether the request may leave now: nobody else has the write, and there is time left for the
    /// answer.
    fn may_send(&self) -> bool;

    /// Begins it anew, after it was looked for and is not there. `false` if its first request may
    /// still arrive, or somebody else was faster.
    async fn send_again(&mut self) -> bool;

    /// Tells what came of it.
    async fn end(self: Box<Self>, outcome: WriteOutcome);
}

/// What came of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteOutcome {
    /// It was done.
    Done {
        /// What is to be kept of it.
        kept: Option<String>,
        /// Whether the client was there to be answered.
        answered: bool,
        /// Whether that was found out by reading back.
        read_back: bool,
    },
    /// It may have been done.
    Unknown,
    /// It was surely not done: the same may be tried again at once.
    NotDone,
}

/// What a write made or changed: enough to show it again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Made {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) project: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) requirement: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) task: Option<String>,
    /// How many tasks it was answered with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tasks: Option<usize>,
    /// What cannot be asked for again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) answer: Option<Value>,
}

/// Longest answer that is kept, in bytes.
const MAX_ANSWER: usize = 6 * 1024;

impl Made {
    /// From what the tool was asked and answered.
    fn of(arguments: &Arguments, shown: &Value, with_answer: bool) -> Self {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let id = |noun: &str| {
            let there = |name| text(shown.get(noun)?.get(name)?);
            let id = there("short_id").or_else(|| there("id"));
            id.or_else(|| text(arguments.get(&format!("{noun}_id"))?))
        };
        let project = shown.get("project_id").and_then(text);
        let answer = shown.get("answer").filter(|_| with_answer);
        Self {
            project: project.or_else(|| text(arguments.get("project_id")?)),
            requirement: id("requirement"),
            task: id("task"),
            tasks: shown.get("tasks").and_then(Value::as_array).map(Vec::len),
            answer: answer
                .filter(|answer| answer.to_string().len() <= MAX_ANSWER)
                .cloned(),
        }
    }

    /// The answer when it is not known what was made.
    pub(super) fn cannot_be_shown(&self, list: &str) -> ToolError {
        let place = self.requirement.as_ref().or(self.project.as_ref());
        let of = place.map_or_else(String::new, |place| format!(" of {place}"));
        ToolError::Refused(format!(
            "The same call was made before, and BrainGrid accepted it without showing what it made; \
             it was not done twice. Look at {list}{of}."
        ))
    }

    /// An id that was kept, as what it is.
    pub(super) fn id<T: FromStr>(id: Option<&String>) -> Option<T> {
        id?.parse().ok()
    }
}

/// Shows what a write made; nothing if it is gone.
pub(super) type ShowAgain =
    fn(Call, Made) -> BoxFuture<'static, Result<Option<ToolOutput>, ToolError>>;

/// The place of one call in the journal. A cheap handle.
#[derive(Clone, Default)]
pub(super) struct Place(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    intent: Option<Box<dyn WriteIntent>>,
    /// When the same was begun before, if it is to be looked for and not to be sent.
    before: Option<SystemTime>,
    sent_at: Option<Timestamp>,
    read_back: bool,
    replayed: bool,
}

impl Place {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For [`BrainGridClient::gated`](crate::BrainGridClient::gated).
    pub(super) fn gate(&self) -> SendGate {
        let place = self.clone();
        Arc::new(move || {
            let state = place.state();
            match &state.intent {
                _ if state.before.is_some() => Err(ApiError::OutcomeUnknown(Unclear::Earlier)),
                Some(intent) if intent.may_send() => Ok(()),
                _ => Err(ApiError::TooLate),
            }
        })
    }

    fn hold(&self, intent: Box<dyn WriteIntent>, before: Option<SystemTime>) {
        let mut state = self.state();
        state.intent = Some(intent);
        state.before = before;
    }

    /// Whether the write was begun before, so that it is looked for and not sent.
    pub(super) fn is_looked_for(&self) -> bool {
        self.state().before.is_some()
    }

    /// Whether this call was shown what another one did.
    pub(super) fn is_replayed(&self) -> bool {
        self.state().replayed
    }

    /// Since when to look for what it makes.
    pub(super) fn begun(&self) -> Timestamp {
        let mut state = self.state();
        let before = state.before.and_then(|at| Timestamp::try_from(at).ok());
        before.unwrap_or_else(|| *state.sent_at.insert(Timestamp::now()))
    }

    pub(super) fn found_by_reading_back(&self) {
        self.state().read_back = true;
    }

    /// From now on it is sent and not looked for. `false` if somebody else was faster.
    async fn send_again(&self) -> bool {
        let Some(mut intent) = self.state().intent.take() else {
            return false;
        };
        let again = intent.send_again().await;
        let before = self.state().before.filter(|_| !again);
        self.hold(intent, before);
        again
    }

    /// Tells the journal what came of the write, where nobody did.
    pub(super) async fn end(&self, outcome: WriteOutcome) {
        let intent = self.state().intent.take();
        if let Some(intent) = intent {
            intent.end(outcome).await;
        }
    }

    /// Nobody works on it any more; `sent` is whether it may have left.
    pub(super) async fn abandon(&self, sent: bool) {
        self.end(if sent || self.is_looked_for() {
            WriteOutcome::Unknown
        } else {
            WriteOutcome::NotDone
        })
        .await;
    }
}

/// The client's own name for a write.
///
/// # Errors
/// When what is there is none.
pub(super) fn idempotency_key(meta: &RequestMetaObject) -> Result<Option<&str>, ToolError> {
    let key = match meta.get(IDEMPOTENCY_KEY) {
        None | Some(Value::Null) => return Ok(None),
        Some(key) => key.as_str(),
    };
    let fits = |key: &&str| (1..=200).contains(&key.chars().count());
    match key.filter(fits) {
        Some(key) => Ok(Some(key)),
        None => Err(ToolError::Refused(format!(
            "`{IDEMPOTENCY_KEY}` in _meta is to be a text of 1 to 200 characters. Nothing was done."
        ))),
    }
}

/// Runs a tool that changes something, unless the journal knows that it was done.
pub(super) async fn run(
    entry: &Entry,
    tool: &BuiltIn,
    call: &Call,
    mut arguments: Arguments,
    key: Option<&str>,
) -> Outcome {
    let again = match arguments.remove(ALLOW_DUPLICATE) {
        Some(again) => again == json!(true),
        None => false,
    };
    let Some(journal) = call.journal() else {
        return (tool.run)(call.clone(), arguments).await;
    };
    let mut canonical = canonical_ids(arguments.clone());
    if let Some(project) = call.default_project()
        && tool.fields.has("project_id")
    {
        let project = || project.to_string().into();
        canonical.entry("project_id").or_insert_with(project);
    }
    if again {
        canonical.insert(ALLOW_DUPLICATE.to_owned(), true.into());
    }
    let organization = call.client().organization_of(call.caller()).await?;
    let write = JournalledWrite {
        caller: call.caller(),
        organization: organization.as_ref(),
        tool: &entry.tool.name,
        arguments: &canonical,
        key,
        replays: tool.creates && !again,
        timeout: call.client().write_timeout(entry.effect == Effect::Slow),
    };
    let place = call.place();
    let settled = loop {
        let begun = tokio::select! {
            biased;
            begun = journal.begin(&write) => begun,
            () = call.gone() => return Err(ToolError::Left),
        };
        match begun {
            Err(JournalUnavailable) => return Err(ToolError::JournalAway),
            Ok(Begun::KeyReused) => return Err(key_reused()),
            Ok(Begun::Send(intent)) => {
                place.hold(intent, None);
                break false;
            }
            Ok(Begun::ReadBack {
                at,
                settled,
                intent,
            }) => {
                place.hold(intent, Some(at));
                break settled;
            }
            Ok(Begun::Replay {
                at,
                kept,
                joined,
                version,
            }) => {
                let made = kept.and_then(|kept| serde_json::from_str(&kept).ok());
                let shown = show_again(tool, call, made.unwrap_or_default()).await;
                if let Some(shown) = shown.map_err(done_but_not_shown)? {
                    place.state().replayed = true;
                    call.note(headline(at, joined, tool.creates));
                    return Ok(shown);
                }
                journal.forget(&write, version).await;
            }
        }
    };
    let mut outcome = (tool.run)(call.clone(), arguments.clone()).await;
    if settled
        && matches!(outcome, Err(ToolError::Unknown { absent: true, .. }))
        && place.send_again().await
    {
        outcome = (tool.run)(call.clone(), arguments).await;
    }
    match &outcome {
        Ok(done) => {
            let made = Made::of(&canonical, &done.structured, journal.keeps_answers());
            let (answered, read_back) = (call.is_wanted(), place.state().read_back);
            place
                .end(WriteOutcome::Done {
                    kept: serde_json::to_string(&made).ok(),
                    answered,
                    read_back,
                })
                .await;
        }
        Err(error) => {
            let looked_for = place.is_looked_for();
            if looked_for && !error.is_unclear() {
                call.note(
                    "The same call was made before and may have been done: look before you change \
                     anything else.",
                );
            }
            let broke_off = *error == ToolError::Internal && call.was_sent();
            place.abandon(error.is_unclear() || broke_off).await;
        }
    }
    outcome
}

async fn show_again(
    tool: &BuiltIn,
    call: &Call,
    made: Made,
) -> Result<Option<ToolOutput>, ToolError> {
    let Some(show) = tool.show_again else {
        return Err(ToolError::Refused(
            "The same call was done before; what it did is not known here any more.".into(),
        ));
    };
    show(call.clone(), made).await
}

/// The same ids are the same text, however they are written.
fn canonical_ids(mut arguments: Arguments) -> Arguments {
    fn spelled<T: FromStr + ToString>(text: &str) -> Option<String> {
        text.parse::<T>().ok().map(|id| id.to_string())
    }
    for (name, value) in &mut arguments {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => continue,
        };
        let id = match name.as_str() {
            "project_id" => spelled::<ProjectRef>(&text),
            "requirement_id" => spelled::<RequirementRef>(&text),
            "task_id" => spelled::<TaskRef>(&text),
            _ => None,
        };
        if let Some(id) = id {
            *value = id.into();
        }
    }
    arguments
}

/// It was done before, and what BrainGrid says now is only about showing it.
fn done_but_not_shown(error: ToolError) -> ToolError {
    let (ToolError::Api(api) | ToolError::Explained(api, _)) = error else {
        return error;
    };
    let text = format!(
        "The same call was made before and done, and it was not done twice; it cannot be shown now. {}",
        sentence(&api.to_string())
    );
    ToolError::Explained(api, text)
}

fn key_reused() -> ToolError {
    ToolError::Refused(format!(
        "`{IDEMPOTENCY_KEY}` in _meta was used for another call already. Nothing was done: another \
         call needs another key."
    ))
}

/// Why there is no new answer.
fn headline(at: SystemTime, joined: bool, creates: bool) -> String {
    if joined {
        return "The same call was under way already: this is what it did. It was not done twice."
            .to_owned();
    }
    let ago = SystemTime::now().duration_since(at).unwrap_or_default();
    let ago = match ago.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds => format!("{} min", seconds / 60),
    };
    let more = if creates {
        format!(" For another one, pass {ALLOW_DUPLICATE}: true.")
    } else {
        String::new()
    };
    format!("The same call was made {ago} ago: this is what it did. It was not done twice.{more}")
}
