//! What our own authorization server tells.

use mcp_authorization_server::Event;
use opentelemetry::{
    KeyValue,
    metrics::{Counter, Meter},
};

use super::{counter, durations};
use crate::metrics::{
    names,
    series::{Durations, Labels},
};

/// Its instruments.
pub(super) struct AuthorizationServer {
    provider: Durations<Asked>,
    logins: Counter<u64>,
    refreshes: Counter<u64>,
    consents: Counter<u64>,
    refusals: Counter<u64>,
}

impl AuthorizationServer {
    pub(super) fn new(meter: &Meter) -> Self {
        Self {
            provider: durations(meter, &names::PROVIDER_REQUESTS),
            logins: counter(meter, &names::LOGINS),
            refreshes: counter(meter, &names::REFRESHES),
            consents: counter(meter, &names::CONSENTS),
            refusals: counter(meter, &names::AUTHORIZATION_REFUSALS),
        }
    }

    pub(super) fn record(&self, event: Event) {
        match event {
            Event::Asked {
                question,
                outcome,
                duration,
            } => self.provider.record(Asked { question, outcome }, duration),
            Event::LoggedIn => self.logins.add(1, &[]),
            Event::Refreshed => self.refreshes.add(1, &[]),
            Event::Consent(outcome) => {
                self.consents
                    .add(1, &[KeyValue::new(names::OUTCOME, outcome)]);
            }
            Event::Refused { operation, reason } => {
                let labels = [
                    KeyValue::new(names::OPERATION, operation),
                    KeyValue::new(names::REASON, reason),
                ];
                self.refusals.add(1, &labels);
            }
            _ => {}
        }
    }
}

/// The labels of a question to the provider.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Asked {
    question: &'static str,
    outcome: &'static str,
}

impl Labels for Asked {
    fn attributes(&self) -> Vec<KeyValue> {
        vec![
            KeyValue::new(names::OPERATION, self.question),
            KeyValue::new(names::OUTCOME, self.outcome),
        ]
    }
}
