//! Who is connected to this instance: the sessions in its memory.

use std::sync::Arc;
use std::time::SystemTime;

use http::{Method, StatusCode};
use mcp_auth::Principal;
use mcp_session::Session;
use schemars::JsonSchema;
use serde::Serialize;

use super::Admin;
use super::access::Needs;
use super::answer::{Problem, json};
use super::paging::{LIMIT, OFFSET, Page, Time};
use super::routes::{Answered, Call, Content, Parameter, Route, schema};
use crate::operators::Right;
use crate::revocations::asked_of;

pub(super) static ROUTES: &[Route] = &[Route {
    method: Method::GET,
    path: "/admin/v1/sessions",
    needs: Needs::Right(Right::Read),
    id: "sessions",
    summary: "Who is connected to this instance; each instance knows its own",
    query: &[ISSUER, SUBJECT, ORGANIZATION, CLIENT, OFFSET, LIMIT],
    body: None,
    content: Content::Json(schema::<SessionList>),
    answer: |admin, call| Box::pin(async move { admin.sessions(&call) }),
}];

const ISSUER: Parameter = exactly("issuer", "Only those of this issuer");
const SUBJECT: Parameter = exactly("subject", "Only those of this user");
const ORGANIZATION: Parameter = exactly("organization", "Only those for this organization");
const CLIENT: Parameter = exactly("client", "Only those of this OAuth client");

const fn exactly(name: &'static str, description: &'static str) -> Parameter {
    Parameter {
        name,
        description,
        is_number: false,
    }
}

/// A part of the sessions of this instance.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct SessionList {
    /// Whose they are: `this instance`. Others have their own.
    of: &'static str,
    /// How many fit.
    pub(super) total: usize,
    /// How many of them are left out here, at the beginning.
    pub(super) offset: usize,
    pub(super) sessions: Vec<Connected>,
}

/// Somebody who is connected.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub(super) struct Connected {
    /// The organization that the token is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) organization: Option<String>,
    /// The issuer of the token.
    pub(super) issuer: String,
    /// Who it is, as that issuer names them.
    pub(super) subject: String,
    /// The OAuth client that the token was issued to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) client: Option<String>,
    /// When the token was verified first.
    pub(super) since: Time,
    /// When the session is over.
    pub(super) expires: Time,
}

/// Whom a list is about; whatever is not named is anybody's.
#[derive(Debug, Default)]
pub(super) struct Sought {
    pub(super) issuer: Option<String>,
    pub(super) subject: Option<String>,
    pub(super) organization: Option<String>,
    pub(super) client: Option<String>,
}

impl Admin {
    fn sessions(&self, call: &Call) -> Answered {
        let sought = Sought::of(call)?;
        Ok(json(
            StatusCode::OK,
            &self.connected(&sought, Page::of(call)?),
        ))
    }

    /// The sessions of those who are sought, by organization and user.
    pub(super) fn connected(&self, sought: &Sought, page: Page) -> SessionList {
        let sessions = self.sessions_here();
        let fit = |session: &&Arc<Session>| sought.fits(session.principal());
        let mut sessions: Vec<_> = sessions.iter().filter(fit).map(Connected::of).collect();
        sessions.sort_unstable();
        SessionList {
            of: "this instance",
            total: sessions.len(),
            offset: page.offset,
            sessions: page.part(sessions).collect(),
        }
    }

    /// The sessions that would be served.
    fn sessions_here(&self) -> Vec<Arc<Session>> {
        let mut sessions = self.sessions.in_memory(SystemTime::now());
        sessions.retain(|session| {
            let asked = asked_of(session.principal());
            self.denials.check(&asked).is_none()
        });
        sessions
    }
}

impl Sought {
    pub(super) fn of(call: &Call) -> Result<Self, Problem> {
        Ok(Self {
            issuer: call.text(ISSUER.name)?,
            subject: call.text(SUBJECT.name)?,
            organization: call.text(ORGANIZATION.name)?,
            client: call.text(CLIENT.name)?,
        })
    }

    fn fits(&self, principal: &Principal) -> bool {
        let is = |sought: &Option<String>, found: Option<&str>| {
            sought.is_none() || sought.as_deref() == found
        };
        is(&self.issuer, Some(principal.issuer()))
            && is(&self.subject, Some(principal.subject()))
            && is(&self.organization, principal.organization())
            && is(&self.client, principal.client_id())
    }
}

impl Connected {
    fn of(session: &Arc<Session>) -> Self {
        let principal = session.principal();
        Self {
            organization: principal.organization().map(str::to_owned),
            issuer: principal.issuer().to_owned(),
            subject: principal.subject().to_owned(),
            client: principal.client_id().map(str::to_owned),
            since: session.established_at().into(),
            expires: session.expires_at().into(),
        }
    }
}
