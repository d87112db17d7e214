//! Runs a tool that changes something, unless the journal knows that it was done.

use std::{str::FromStr, time::SystemTime};

use rmcp::model::RequestMetaObject;
use serde_json::{Value, json};

use super::{
    super::{
        Arguments,
        call::Call,
        definition::{BuiltIn, Effect, Outcome, ToolOutput},
        error::{ToolError, sentence},
        registry::Entry,
        stopped::check_of,
    },
    ALLOW_DUPLICATE, Begun, IDEMPOTENCY_KEY, JournalUnavailable, JournalledWrite, Made,
    WriteJournal, WriteOutcome,
};
use crate::{ProjectRef, RequirementRef, TaskRef};

/// The client's own name for a write.
///
/// # Errors
/// When what is there is none.
pub(in super::super) fn idempotency_key(
    meta: &RequestMetaObject,
) -> Result<Option<&str>, ToolError> {
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
pub(in super::super) async fn run(
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
    let settled = match begin(journal, &write, tool, call).await? {
        Go::Shown(shown) => return Ok(shown),
        Go::On { settled } => settled,
    };
    let place = call.place();
    let mut outcome = (tool.run)(call.clone(), arguments.clone()).await;
    if settled
        && matches!(outcome, Err(ToolError::Unknown { absent: true, .. }))
        && place.send_again().await
    {
        outcome = (tool.run)(call.clone(), arguments).await;
    }
    tell(journal, call, &canonical, &outcome).await;
    outcome
}

/// How a call goes on when the journal was asked.
enum Go {
    /// It runs: its write is sent, or looked for. `settled` is whether it may be sent once it was looked
    /// for.
    On { settled: bool },
    /// What another call did is its answer.
    Shown(ToolOutput),
}

/// Asks the journal, and shows what was done.
async fn begin(
    journal: &dyn WriteJournal,
    write: &JournalledWrite<'_>,
    tool: &BuiltIn,
    call: &Call,
) -> Result<Go, ToolError> {
    let place = call.place();
    let mut forgot = false;
    loop {
        let begun = tokio::select! {
            biased;
            begun = journal.begin(write) => begun,
            () = call.gone() => return Err(ToolError::Left),
        };
        match begun {
            Err(JournalUnavailable) => return Err(ToolError::JournalAway),
            Ok(Begun::KeyReused) => return Err(key_reused()),
            Ok(Begun::Send(intent)) => {
                place.hold(intent, None);
                return Ok(Go::On { settled: false });
            }
            Ok(Begun::ReadBack {
                at,
                settled,
                intent,
            }) => {
                place.hold(intent, Some(at));
                return Ok(Go::On { settled });
            }
            Ok(Begun::Replay {
                at,
                kept,
                joined,
                version,
            }) => {
                let made: Option<Made> = kept.and_then(|kept| serde_json::from_str(&kept).ok());
                let made = made.unwrap_or_default();
                let shown = show_again(tool, call, made.clone()).await;
                if let Some(shown) = shown.map_err(done_but_not_shown)? {
                    place.replay();
                    call.note(headline(at, joined, tool.creates));
                    return Ok(Go::Shown(shown));
                }
                // What was made just now is not gone: it cannot be seen yet. Nor is it made anew for a
                // journal that cannot forget.
                if joined || forgot {
                    return Err(made.cannot_be_shown(check_of(write.tool).unwrap_or("BrainGrid")));
                }
                journal.forget(write, version).await;
                forgot = true;
            }
        }
    }
}

/// Tells the journal what came of the write.
async fn tell(journal: &dyn WriteJournal, call: &Call, canonical: &Arguments, outcome: &Outcome) {
    let place = call.place();
    match outcome {
        Ok(done) => {
            let made = Made::of(canonical, &done.structured, journal.keeps_answers());
            let (answered, read_back) = (call.is_wanted(), place.was_read_back());
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
