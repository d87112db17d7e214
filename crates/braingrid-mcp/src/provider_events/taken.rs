//! From what a provider says has happened to a denial, once.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use mcp_auth::{EventError, EventKind, EventSubject, ProviderEvent, ReceivedEvents};
use mcp_fleet::{Cause, Denial, Denials, Denies, EventIds, Whom};
use mcp_outbound::LogThrottle;

use crate::audit::Audit;
use crate::metrics::Recorder;

/// Where events come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Workos,
    Auth0,
    BackchannelLogout,
    SecurityEvent,
}

impl Source {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Workos => "workos",
            Self::Auth0 => "auth0",
            Self::BackchannelLogout => "backchannel_logout",
            Self::SecurityEvent => "security_event",
        }
    }

    fn cause(self) -> Cause {
        match self {
            Self::Workos | Self::Auth0 => Cause::Webhook,
            Self::BackchannelLogout => Cause::BackchannelLogout,
            Self::SecurityEvent => Cause::SecurityEvent,
        }
    }
}

/// What came of an event. Of several in one message, the greatest decides: all come again when one failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Taken {
    /// It says nothing that matters here.
    Ignored,
    /// It came before.
    Known,
    /// Somebody is signed out.
    Denied,
    /// It holds here, and the others may not have heard of it: it has to come again.
    Failed,
}

impl Taken {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ignored => "ignored",
            Self::Known => "known",
            Self::Denied => "denied",
            Self::Failed => "failed",
        }
    }
}

/// How long an event is taken in after it happened: senders try for days, and what is older is about no
/// token that anybody still has.
const OLDEST: Duration = Duration::from_hours(7 * 24);

/// How long its id is known: longer.
pub(super) const KNOWN_FOR: Duration = Duration::from_hours(8 * 24);

/// Whose tokens events are about.
#[derive(Debug, Clone)]
pub(super) struct About {
    /// Their issuer.
    pub(super) issuer: String,
    /// Who names its users, where that is somebody else: the provider of our own authorization server.
    pub(super) provider: Option<String>,
    /// The organizations that it may speak of, where it is not any: those of other issuers are theirs.
    pub(super) organizations: Option<Vec<String>>,
}

/// Takes events in.
#[derive(Clone)]
pub(super) struct Taking {
    pub(super) denials: Denials,
    pub(super) ids: EventIds,
    pub(super) about: About,
    pub(super) audit: Option<Audit>,
    pub(super) recorder: Option<Arc<Recorder>>,
    /// Strangers can send any number.
    pub(super) told: Arc<LogThrottle>,
}

impl Taking {
    /// Signs out whom a message is about, unless it came before.
    pub(super) async fn take(
        &self,
        source: Source,
        received: ReceivedEvents,
    ) -> Result<Taken, EventError> {
        let is_old = |event: &ProviderEvent| event.at + OLDEST < SystemTime::now();
        if received.events.iter().any(is_old) {
            return Err(EventError::Stale);
        }
        let taken = self.taken(source, received).await;
        self.count(source, taken.as_str());
        Ok(taken)
    }

    /// It is not believed.
    pub(super) fn refused(&self, source: Source, error: &EventError) {
        let outcome = match error {
            EventError::Unavailable { .. } => "failed",
            _ => "refused",
        };
        self.count(source, outcome);
        let source = source.as_str();
        if let Some(suppressed) = self.told.pass() {
            tracing::warn!(source, suppressed, %error, "an event of a provider was refused");
        }
    }

    fn count(&self, source: Source, outcome: &'static str) {
        if let Some(recorder) = &self.recorder {
            recorder.provider_event(source.as_str(), outcome);
        }
    }

    async fn taken(&self, source: Source, received: ReceivedEvents) -> Taken {
        let name = source.as_str();
        if let Some(id) = &received.id
            && self.ids.is_known(name, id).await
        {
            return Taken::Known;
        }
        let mut taken = Taken::Ignored;
        for event in received.events {
            let Some(denial) = self.denial(source, event) else {
                continue;
            };
            let told = self.denials.deny(denial.clone()).await;
            if let Some(audit) = &self.audit {
                let outcome = if told.is_ok() { "ok" } else { "failed" };
                audit.write_provider_event(name, outcome, &denial).await;
            }
            if let Err(error) = told {
                tracing::error!(source = name, %error, "what a provider says holds here alone until the store is back");
                return Taken::Failed;
            }
            taken = Taken::Denied;
        }
        // After it was done, or what failed would never be done.
        if let Some(id) = &received.id
            && let Err(error) = self.ids.remember(name, id).await
        {
            tracing::debug!(%error, "an event may be taken in twice");
        }
        taken
    }

    /// What follows of an event: nothing where it is about somebody else's users. It signs out and never
    /// suspends: who is locked out at the provider cannot log in there, and who may again is welcome at
    /// once. So nothing that a provider says lifts what an operator said.
    fn denial(&self, source: Source, event: ProviderEvent) -> Option<Denial> {
        let about = &self.about;
        if let Some(named) = &event.issuer
            && *named != about.issuer
            && Some(named) != about.provider.as_ref()
        {
            return None;
        }
        if event.kind == EventKind::Enabled {
            return None;
        }
        let issuer = about.issuer.clone();
        let whom = match event.subject {
            EventSubject::User(subject) => Whom::User { issuer, subject },
            EventSubject::Member { user, organization } => Whom::Member {
                issuer,
                subject: user,
                organization,
            },
            EventSubject::Organization(organization) => {
                let bound = about.organizations.as_ref();
                if bound.is_some_and(|own| !own.contains(&organization)) {
                    return None;
                }
                Whom::Organization(organization)
            }
        };
        // By the provider's clock, and never of a time to come: whoever logs in again is welcome.
        let at = event.at.min(SystemTime::now());
        Some(Denial {
            whom,
            denies: Denies::Before(at),
            cause: source.cause(),
            said_at: at,
        })
    }
}

#[cfg(test)]
mod tests {
    use mcp_session::Keyring;

    use super::*;

    #[test]
    fn of_several_issuers_each_speaks_of_its_own_organizations_alone() {
        let denied = |organizations: Option<&[&str]>| {
            let key = "0123456789abcdeffedcba98765432101122334455667788a9b8c7d6e5f40312";
            let keyring = || Arc::new(Keyring::from_hex(key, &[]).unwrap());
            let organizations =
                organizations.map(|all| all.iter().map(|it| (*it).to_owned()).collect());
            let taking = Taking {
                denials: Denials::in_process(keyring(), OLDEST),
                ids: EventIds::in_process(keyring(), KNOWN_FOR),
                about: About {
                    issuer: "https://idp.test".to_owned(),
                    provider: None,
                    organizations,
                },
                audit: None,
                recorder: None,
                told: Arc::default(),
            };
            let event = ProviderEvent {
                issuer: None,
                subject: EventSubject::Organization("org_1".to_owned()),
                kind: EventKind::Removed,
                at: SystemTime::now(),
            };
            taking.denial(Source::Auth0, event).is_some()
        };
        assert!(denied(None));
        assert!(denied(Some(&["org_1"])));
        assert!(!denied(Some(&["org_2"])));
        assert!(!denied(Some(&[])));
    }
}
