//! What operators and identity providers change, and who is sent away on the listener for operators, as
//! records.

use std::collections::BTreeMap;
use std::net::IpAddr;

use mcp_fleet::Denial;

use super::{Audit, Event, Record};
use crate::whom::About;

/// What an action is about, by what names it: `subject`, `organization`, `level`, ….
pub(crate) type Target = BTreeMap<&'static str, String>;

/// Something that an operator does, or somebody who would be one.
#[derive(Debug, Clone)]
pub(crate) struct OperatorAction {
    /// What is done.
    pub(crate) action: &'static str,
    /// Whose right it is; absent where nobody was told from others.
    pub(crate) operator: Option<String>,
    /// From where.
    pub(crate) address: IpAddr,
    /// What it is about.
    pub(crate) target: Target,
}

impl Audit {
    /// Takes what an operator did; completes when it is written through, or is lost, or takes too long.
    pub(crate) async fn write_operator_action(
        &self,
        outcome: &'static str,
        action: OperatorAction,
    ) {
        self.write(action.record(Event::OperatorAction, outcome))
            .await;
    }

    /// Takes that a provider has somebody signed out; completes as above.
    pub(crate) async fn write_provider_event(
        &self,
        source: &'static str,
        outcome: &'static str,
        denial: &Denial,
    ) {
        let mut record = Record::now(Event::ToldByProvider, outcome);
        record.action = Some(source);
        record.cause = Some(denial.cause.as_str().to_owned());
        record.target = target(&About::from(&denial.whom));
        self.write(record).await;
    }

    /// Takes that somebody may not do it.
    pub(crate) fn refused_operator(&self, reason: &'static str, action: OperatorAction) {
        self.record(action.record(Event::Refusal, reason));
    }
}

impl OperatorAction {
    /// Somebody's, about nothing yet.
    pub(crate) fn new(action: &'static str, address: IpAddr) -> Self {
        Self {
            action,
            operator: None,
            address,
            target: Target::new(),
        }
    }

    fn record(self, event: Event, outcome: &'static str) -> Record {
        let mut record = Record::now(event, outcome);
        record.action = Some(self.action);
        record.operator = self.operator;
        record.client_address = Some(self.address);
        record.target = self.target;
        record
    }
}

/// Whom something is about.
pub(crate) fn target(whom: &About) -> Target {
    let fields = serde_json::to_value(whom).unwrap_or_default();
    let names = [
        "kind",
        "issuer",
        "subject",
        "organization",
        "client",
        "token_id",
    ];
    let field = |name: &&'static str| Some((*name, fields.get(name)?.as_str()?.to_owned()));
    names.iter().filter_map(field).collect()
}
