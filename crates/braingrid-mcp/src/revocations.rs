//! Who is let in no more: asked by the sessions, and by our own authorization server.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use mcp_auth::Principal;
use mcp_authorization_server::{Denied, GrantOf};
use mcp_core::{Begun, JournalUnavailable, JournalledWrite, WriteJournal};
use mcp_fleet::{Asked, Denials, Refusal};
use mcp_session::{Keyring, RedisStore, Verdict};

use crate::config::HttpSettings;

/// What all instances know, or this one alone where nothing is shared.
pub(crate) fn of(
    http: &HttpSettings,
    keyring: Keyring,
    facts: Option<&RedisStore>,
) -> anyhow::Result<Denials> {
    let (keyring, longest) = (Arc::new(keyring), http.auth.longest_login());
    let denials = match facts {
        Some(redis) => {
            let redis = Arc::new(redis.clone());
            Denials::shared(Arc::clone(&redis) as _, redis, keyring, longest)
        }
        None => Denials::in_process(keyring, longest),
    };
    match &http.revocation.file {
        Some(path) => {
            let kept = denials.kept_in(path);
            kept.with_context(|| format!("DENIALS_FILE: {} cannot be used", path.display()))
        }
        None => Ok(denials),
    }
}

/// For [`mcp_session::SessionTiersBuilder::denied`].
pub(crate) fn of_principals(denials: Denials) -> impl Fn(&Principal) -> Verdict + Send + Sync {
    move |principal| {
        let refusal = denials.check(&asked_of(principal));
        refusal.map_or(Verdict::Welcome, verdict)
    }
}

/// What is asked about whoever is connected.
pub(crate) fn asked_of(principal: &Principal) -> Asked<'_> {
    Asked {
        issuer: principal.issuer(),
        subject: principal.subject(),
        organization: principal.organization(),
        client: principal.client_id(),
        token_id: principal.token_id(),
        issued_at: principal.issued_at(),
    }
}

fn verdict(refusal: Refusal) -> Verdict {
    let cause = refusal.cause.as_str();
    match refusal.unclear_until {
        None => Verdict::Revoked(cause),
        Some(until) => Verdict::Unclear { cause, until },
    }
}

/// For our own authorization server, which is this issuer: a login counts from when the user was there.
pub(crate) fn of_grants(denials: Denials, issuer: String) -> Denied {
    Denied::new(move |grant: &GrantOf<'_>| {
        let refusal = denials.check(&Asked {
            issuer: &issuer,
            subject: grant.subject,
            organization: grant.organization,
            client: Some(grant.client),
            token_id: None,
            issued_at: Some(grant.logged_in_at),
        });
        refusal.is_some()
    })
}

/// The same journal, that lets no write begin while what is known of denials is older than that.
pub(crate) fn unless_old(
    journal: Arc<dyn WriteJournal>,
    denials: Denials,
    max_age: Option<Duration>,
) -> Arc<dyn WriteJournal> {
    match max_age {
        Some(max_age) => Arc::new(UnlessOld {
            journal,
            denials,
            max_age,
        }),
        None => journal,
    }
}

struct UnlessOld {
    journal: Arc<dyn WriteJournal>,
    denials: Denials,
    max_age: Duration,
}

#[async_trait]
impl WriteJournal for UnlessOld {
    async fn begin(&self, write: &JournalledWrite<'_>) -> Result<Begun, JournalUnavailable> {
        let age = self.denials.status().age;
        if age.is_none_or(|age| age > self.max_age) {
            tracing::warn!(
                ?age,
                "a write was refused: what is denied was not read for too long"
            );
            return Err(JournalUnavailable);
        }
        self.journal.begin(write).await
    }

    async fn forget(&self, write: &JournalledWrite<'_>, version: u64) {
        self.journal.forget(write, version).await;
    }

    fn window(&self) -> Duration {
        self.journal.window()
    }

    fn keeps_answers(&self) -> bool {
        self.journal.keeps_answers()
    }
}
