//! What a running tool has at hand.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{
    Shared,
    audit::Audited,
    error::ToolError,
    journal::{Place, WriteJournal},
    readback::Confirmed,
    response::Notes,
};
use crate::{BrainGridClient, Caller, ProjectRef};

/// What a running tool has at hand.
#[derive(Clone)]
pub(crate) struct Call {
    pub(super) shared: Arc<Shared>,
    /// Whose writes leave only as the journal lets them.
    pub(super) client: BrainGridClient,
    pub(super) caller: Caller,
    pub(super) place: Place,
    pub(super) gone: CancellationToken,
    pub(super) left: Arc<AtomicBool>,
    pub(super) audited: Audited,
    /// Whether a write may have left.
    pub(super) sent: Arc<AtomicBool>,
    /// Whether it went to the project that nobody named in the call.
    pub(super) by_default: Arc<AtomicBool>,
    pub(super) notes: Notes,
}

impl Call {
    pub(super) fn client(&self) -> &BrainGridClient {
        &self.client
    }

    pub(super) fn journal(&self) -> Option<&dyn WriteJournal> {
        self.shared.journal.as_deref()
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
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

    /// The project of the address, else the one that is configured.
    pub(super) fn default_project(&self) -> Option<&ProjectRef> {
        let pinned = self.caller.address().and_then(|it| it.project.as_ref());
        pinned.or(self.shared.options.default_project.as_ref())
    }

    /// The default project, for a call that goes there.
    pub(super) fn taken_by_default(&self) -> Option<ProjectRef> {
        let project = self.default_project()?;
        self.by_default.store(true, Ordering::Relaxed);
        Some(project.clone())
    }

    /// Where the default project is named.
    pub(super) fn default_project_from(&self) -> Option<&str> {
        if self.caller.address().is_some_and(|it| it.project.is_some()) {
            return Some("this server's address");
        }
        self.shared.options.default_project_from.as_deref()
    }

    /// What to say, once, after something was changed in a project that the call did not name: the
    /// folder that names it may be anybody's.
    pub(super) fn remark_on_project(&self) -> Option<String> {
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

    /// The tools that the caller has.
    pub(super) fn tool_names(&self) -> impl Iterator<Item = &str> {
        self.shared.registry.names_for(&self.caller)
    }

    /// The last moment to stop: right before a write is sent, which is then on record. Since when to
    /// look for what it makes, should its answer be lost.
    ///
    /// # Errors
    /// When the client has left meanwhile.
    pub(super) async fn before_write(&self) -> Result<Timestamp, ToolError> {
        self.still_wanted()?;
        if !self.place.is_looked_for() {
            self.audited.intend().await;
            self.still_wanted()?;
        }
        self.sent.store(true, Ordering::Release);
        Ok(self.place.begun())
    }

    /// Completes when the call was cancelled.
    pub(super) async fn gone(&self) {
        self.gone.cancelled().await;
    }

    /// Whether a write may have left.
    pub(super) fn was_sent(&self) -> bool {
        self.sent.load(Ordering::Acquire)
    }

    /// Whether the client waits for the answer.
    pub(super) fn is_wanted(&self) -> bool {
        !self.left.load(Ordering::Acquire)
    }

    fn still_wanted(&self) -> Result<(), ToolError> {
        if self.is_wanted() {
            Ok(())
        } else {
            Err(ToolError::Left)
        }
    }

    /// What was written is there, although its answer was lost.
    pub(super) fn read_back(&self) -> Confirmed {
        self.place.found_by_reading_back();
        Confirmed::ByReadingBack
    }
}
