//! The place of one call in the journal: whether its write may leave, and since when to look for what it
//! makes.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use jiff::Timestamp;

use super::{WriteIntent, WriteOutcome};
use crate::{ApiError, braingrid::SendGate, error::Unclear};

/// The place of one call in the journal. A cheap handle.
#[derive(Clone, Default)]
pub(in super::super) struct Place(Arc<Mutex<State>>);

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
    pub(in super::super) fn gate(&self) -> SendGate {
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

    pub(super) fn hold(&self, intent: Box<dyn WriteIntent>, before: Option<SystemTime>) {
        let mut state = self.state();
        state.intent = Some(intent);
        state.before = before;
    }

    /// Whether the write was begun before, so that it is looked for and not sent.
    pub(in super::super) fn is_looked_for(&self) -> bool {
        self.state().before.is_some()
    }

    /// Whether this call was shown what another one did.
    pub(in super::super) fn is_replayed(&self) -> bool {
        self.state().replayed
    }

    /// What another call did is shown.
    pub(super) fn replay(&self) {
        self.state().replayed = true;
    }

    /// Since when to look for what it makes.
    pub(in super::super) fn begun(&self) -> Timestamp {
        let mut state = self.state();
        let before = state.before.and_then(|at| Timestamp::try_from(at).ok());
        before.unwrap_or_else(|| *state.sent_at.insert(Timestamp::now()))
    }

    pub(in super::super) fn found_by_reading_back(&self) {
        self.state().read_back = true;
    }

    pub(super) fn was_read_back(&self) -> bool {
        self.state().read_back
    }

    /// From now on it is sent and not looked for. `false` if somebody else was faster.
    pub(super) async fn send_again(&self) -> bool {
        let Some(mut intent) = self.state().intent.take() else {
            return false;
        };
        let again = intent.send_again().await;
        let before = self.state().before.filter(|_| !again);
        self.hold(intent, before);
        again
    }

    /// Tells the journal what came of the write, where nobody did.
    pub(in super::super) async fn end(&self, outcome: WriteOutcome) {
        let intent = self.state().intent.take();
        if let Some(intent) = intent {
            intent.end(outcome).await;
        }
    }

    /// Nobody works on it any more; `sent` is whether it may have left.
    pub(in super::super) async fn abandon(&self, sent: bool) {
        self.end(if sent || self.is_looked_for() {
            WriteOutcome::Unknown
        } else {
            WriteOutcome::NotDone
        })
        .await;
    }
}
