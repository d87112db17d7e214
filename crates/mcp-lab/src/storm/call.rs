//! One call, and what its answer says about the write.

use std::time::Duration;

use serde_json::json;

use super::write::{Kind, Write};
use mcp_test_support::client::{Generation, RawAnswer, RawHttp};

/// A client's patience; a server that waits for another instance's write may take longer.
const LIMIT: Duration = Duration::from_secs(10);

/// What a client was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Done(How),
    /// It may have been done.
    Unknown,
    /// Nothing was done, in which words.
    Nothing(String),
    /// There was no answer, or none from a tool.
    Silence(String),
}

/// How it came to be done, in the words of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct How {
    pub(super) way: Way,
    /// It shows something else.
    pub(super) wrong: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Sent,
    /// An earlier call made it.
    Replayed,
    /// An earlier call was making it.
    Joined,
    ReadBack,
}

impl Way {
    fn told(text: &str) -> Self {
        let words = [
            ("was under way already", Self::Joined),
            (crate::NOT_DONE_TWICE, Self::Replayed),
            ("confirmed by reading back", Self::ReadBack),
        ];
        let said = words.iter().find(|(words, _)| text.contains(words));
        said.map_or(Self::Sent, |(_, way)| *way)
    }
}

/// Sends a write to an instance.
pub(super) async fn send(
    to: &RawHttp,
    token: &str,
    write: &Write,
    hangs_up_after: Option<u64>,
) -> Said {
    let generation = Generation::BOTH[write.number % 2];
    let request = to.request(generation, "tools/call", write.params());
    let limit = hangs_up_after.map_or(LIMIT, Duration::from_millis);
    match tokio::time::timeout(limit, request.bearer(token).send()).await {
        Ok(Ok(answer)) => said(write, &answer),
        Ok(Err(error)) => Said::Silence(format!("{error:#}")),
        Err(_) => Said::Silence(format!("no answer in {limit:?}")),
    }
}

fn said(write: &Write, answer: &RawAnswer) -> Said {
    let start = || answer.body.chars().take(300).collect::<String>();
    let Some(result) = answer.result().filter(|_| answer.status == 200) else {
        return Said::Silence(format!("{} {}", answer.status, start()));
    };
    let text = result.pointer("/content/0/text").and_then(|it| it.as_str());
    let text = text.unwrap_or_default();
    if result.get("isError") != Some(&json!(true)) {
        return Said::Done(How {
            way: Way::told(text),
            // A change is shown as it is now, and its client may have changed it since.
            wrong: write.kind != Kind::Change && !text.contains(&write.text()),
        });
    }
    let unknown = ["Outcome unknown", "may have been done"];
    if unknown.iter().any(|words| text.contains(words)) {
        return Said::Unknown;
    }
    Said::Nothing(start())
}

impl Said {
    /// Of two answers to the same, the one that says more.
    pub(super) fn or(self, other: Self) -> Self {
        match (&self, &other) {
            (Self::Done(_), _) => self,
            (_, Self::Done(_)) => other,
            (Self::Unknown, _) => self,
            (_, Self::Unknown) => other,
            _ => self,
        }
    }
}
