//! On whose behalf a tool runs: subject, organization, scopes and the credential for BrainGrid.
//!
//! The organization comes from the caller, never from tool arguments.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use mcp_outbound::{MemoryHook, Room};
use secrecy::SecretString;
use tokio::{sync::OnceCell, time::sleep};

use crate::{
    ids::{OrganizationId, ProjectRef},
    tools::ToolAccess,
};

/// A source of the bearer token that BrainGrid is called with.
#[async_trait]
pub trait Credential: Send + Sync + 'static {
    /// The token to send now.
    ///
    /// # Errors
    /// When there is none; the text tells the user how to provide one.
    async fn bearer(&self) -> Result<SecretString, CredentialError>;

    /// BrainGrid answered 401 to this token: the next [`bearer`](Self::bearer) should be a different
    /// one, if there is a way to get it.
    fn reject(&self, refused: &SecretString);

    /// Which parties stand behind a call beside its subject, where that is known: for an audit log, and
    /// asked for by nothing else.
    fn parties(&self) -> Parties<'_> {
        Parties::default()
    }

    /// Whether whoever it speaks for is let in no more: what lasts longer than a request ends then. Asks
    /// nobody.
    fn is_over(&self) -> bool {
        false
    }

    /// What the user has to do to be logged out: a phrase for "To log out, …".
    fn how_to_log_out(&self) -> &'static str {
        "log out of this server in your MCP client, which keeps the login"
    }
}

/// The parties behind a call, beside its subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Parties<'a> {
    /// The OAuth client that the caller's token was issued to.
    pub client: Option<&'a str>,
    /// Who acts for the subject, by the token that BrainGrid is called with.
    pub actor: Option<Actor<'a>>,
    /// Who acts for the subject by the caller's own token, where another one is sent in its place.
    pub client_actor: Option<Actor<'a>>,
}

/// Who acts for a subject (`act`, RFC 8693 section 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Actor<'a> {
    /// Its name.
    pub subject: Option<&'a str>,
    /// Who gives it that name.
    pub issuer: Option<&'a str>,
    /// The client that it is.
    pub client: Option<&'a str>,
}

/// There is no credential for BrainGrid. The text is shown to the user and names the next step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CredentialError(String);

impl CredentialError {
    /// An error with a text that tells how to provide a credential; it must hold no secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// How soon what lasts longer than a request ends when its caller is let in no more.
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

/// On whose behalf a tool runs. A cheap clone.
#[derive(Clone)]
pub struct Caller(Arc<Inner>);

struct Inner {
    issuer: Option<String>,
    subject: Option<String>,
    organization: Organization,
    scopes: Vec<String>,
    credential: Arc<dyn Credential>,
    memory: Option<MemoryHook>,
    /// When it is not known any more that this is the caller.
    until: Option<SystemTime>,
    address: Option<Address>,
    access: Option<Arc<ToolAccess>>,
    /// Memory that is held for answers to this caller.
    rooms: Mutex<Vec<Room>>,
}

impl Caller {
    /// A caller; `subject` is who it is, where that is known.
    pub fn new(
        subject: Option<String>,
        organization: Organization,
        scopes: Vec<String>,
        credential: Arc<dyn Credential>,
    ) -> Self {
        Self(Arc::new(Inner {
            issuer: None,
            subject,
            organization,
            scopes,
            credential,
            memory: None,
            until: None,
            address: None,
            access: None,
            rooms: Mutex::default(),
        }))
    }

    /// The same caller, new as it is, with what gives room for large answers; without it there is
    /// always room. It holds the room, so it should not outlive the request it was made for.
    #[must_use]
    pub fn within(mut self, memory: MemoryHook) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.memory = Some(memory);
        }
        self
    }

    /// The same caller, new as it is, whose subject is this issuer's word.
    #[must_use]
    pub fn of_issuer(mut self, issuer: impl Into<String>) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.issuer = Some(issuer.into());
        }
        self
    }

    /// The same caller, new as it is, of whom nothing is known from then on: what lasts longer than a
    /// request ends.
    #[must_use]
    pub fn until(mut self, end: SystemTime) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.until = Some(end);
        }
        self
    }

    /// The same caller, new as it is, at an address that is for less than its token. It may do nothing
    /// beyond that address.
    #[must_use]
    pub fn at(mut self, address: Address) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.address = Some(address);
        }
        self
    }

    /// The address at which it calls, where that is for less than its token. What one keeps for a caller
    /// under a name of its own is kept for this address alone: the name holds it.
    pub fn address(&self) -> Option<&Address> {
        self.0.address.as_ref()
    }

    /// The same caller, new as it is, who has these tools. With it, the list of tools is the caller's own,
    /// also where it has all of them: another caller's may be another.
    #[must_use]
    pub fn having(mut self, access: Arc<ToolAccess>) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.access = Some(access);
        }
        self
    }

    pub(crate) fn access(&self) -> Option<&ToolAccess> {
        self.0.access.as_deref()
    }

    /// Who says who the caller is, where that is known.
    pub fn issuer(&self) -> Option<&str> {
        self.0.issuer.as_deref()
    }

    /// Who the caller is, where that is known.
    pub fn subject(&self) -> Option<&str> {
        self.0.subject.as_deref()
    }

    /// Which parties stand behind its calls beside it.
    pub fn parties(&self) -> Parties<'_> {
        self.0.credential.parties()
    }

    /// Where the organization of this caller comes from.
    pub fn organization(&self) -> &Organization {
        &self.0.organization
    }

    /// What the caller was granted.
    pub fn scopes(&self) -> &[String] {
        &self.0.scopes
    }

    /// For how long it is known from `now` on that this is the caller; `Duration::MAX` where that has no
    /// end.
    pub(crate) fn left(&self, now: SystemTime) -> Duration {
        let left = |end: SystemTime| end.duration_since(now).unwrap_or_default();
        self.0.until.map_or(Duration::MAX, left)
    }

    /// Completes when the caller is let in no more, which is looked at now and then.
    pub(crate) async fn over(&self) {
        while !self.0.credential.is_over() {
            sleep(BETWEEN_LOOKS).await;
        }
    }

    /// Keeps room for an answer until nobody speaks for this caller any more.
    pub(crate) fn hold(&self, room: Option<Room>) {
        if let Some(room) = room {
            let mut rooms = self.0.rooms.lock().unwrap_or_else(PoisonError::into_inner);
            rooms.push(room);
        }
    }

    pub(crate) fn memory(&self) -> Option<&MemoryHook> {
        self.0.memory.as_ref()
    }

    pub(crate) fn credential(&self) -> &dyn Credential {
        self.0.credential.as_ref()
    }
}

impl fmt::Debug for Caller {
    /// Names nobody: a caller may end up in a log line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").finish_non_exhaustive()
    }
}

/// An address that is for one organization, or for one project of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Address {
    /// The organization, which is the caller's.
    pub organization: OrganizationId,
    /// The project.
    pub project: Option<ProjectRef>,
}

impl Address {
    /// The address of an organization, or of a project of it.
    pub fn new(organization: OrganizationId, project: Option<ProjectRef>) -> Self {
        Self {
            organization,
            project,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.organization)?;
        match &self.project {
            Some(project) => write!(f, "/{project}"),
            None => Ok(()),
        }
    }
}

/// The organization a caller works in.
pub struct Organization(Source);

enum Source {
    Known(OrganizationId),
    Profile {
        fallback: Option<OrganizationId>,
        resolved: OnceCell<Option<OrganizationId>>,
    },
}

impl Organization {
    /// This organization.
    pub fn known(id: OrganizationId) -> Self {
        Self(Source::Known(id))
    }

    /// The organization that BrainGrid's profile names, asked for once per caller when the first
    /// request needs it; else `fallback`; else none is sent.
    pub fn from_profile(fallback: Option<OrganizationId>) -> Self {
        Self(Source::Profile {
            fallback,
            resolved: OnceCell::new(),
        })
    }

    /// The organization if it is known without asking anybody.
    pub fn id(&self) -> Option<&OrganizationId> {
        match &self.0 {
            Source::Known(id) => Some(id),
            Source::Profile { resolved, .. } => resolved.get()?.as_ref(),
        }
    }

    /// The organization; `ask` makes the profile call. Its answer is kept, its failure is not.
    pub(crate) async fn resolve<E>(
        &self,
        ask: impl AsyncFnOnce() -> Result<Option<OrganizationId>, E>,
    ) -> Result<Option<OrganizationId>, E> {
        let (fallback, resolved) = match &self.0 {
            Source::Known(id) => return Ok(Some(id.clone())),
            Source::Profile { fallback, resolved } => (fallback, resolved),
        };
        let answer = resolved
            .get_or_try_init(|| async {
                ask().await.map(|found| found.or_else(|| fallback.clone()))
            })
            .await;
        match (answer, fallback) {
            (Ok(found), _) => Ok(found.clone()),
            (Err(_), Some(fallback)) => Ok(Some(fallback.clone())),
            (Err(error), None) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> OrganizationId {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn profile_is_asked_once() {
        let organization = Organization::from_profile(None);
        for _ in 0..2 {
            let found = organization
                .resolve(async || Ok::<_, ()>(Some(id("org_1"))))
                .await;
            assert_eq!(found, Ok(Some(id("org_1"))));
        }
        let found = organization.resolve(async || Err("asked again")).await;
        assert_eq!(found, Ok(Some(id("org_1"))));
        assert_eq!(organization.id(), Some(&id("org_1")));
    }

    #[tokio::test]
    async fn failed_profile_uses_the_fallback_and_is_asked_again() {
        let organization = Organization::from_profile(Some(id("org_claim")));
        let found = organization.resolve(async || Err("down")).await;
        assert_eq!(found, Ok(Some(id("org_claim"))));
        let found = organization
            .resolve(async || Ok::<_, ()>(Some(id("org_profile"))))
            .await;
        assert_eq!(found, Ok(Some(id("org_profile"))));
    }

    #[tokio::test]
    async fn failed_profile_without_fallback_is_an_error() {
        let organization = Organization::from_profile(None);
        assert_eq!(
            organization.resolve(async || Err("down")).await,
            Err("down")
        );
    }
}
