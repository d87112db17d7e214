//! Who is no longer let in: signing out, suspending, and that somebody is let in again. It holds on every
//! instance.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use mcp_auth::Principal;
use mcp_fleet::{Cause, Denial, Denies, Whom};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Admin;
use super::access::Needs;
use super::answer::{Problem, json};
use super::paging::{LIMIT, OFFSET, Page, Time};
use super::routes::{Answered, Call, Content, Route, schema};
use crate::audit::target;
use crate::operators::Right;
use crate::whom::About;

pub(super) static ROUTES: &[Route] = &[
    Route {
        method: Method::GET,
        path: "/admin/v1/revocations",
        needs: Needs::Right(Right::Read),
        id: "revocations",
        summary: "Who is signed out or suspended, on all instances; the newest first",
        query: &[OFFSET, LIMIT],
        body: None,
        content: Content::Json(schema::<RevocationList>),
        answer: |admin, call| Box::pin(async move { admin.list_revocations(&call) }),
    },
    Route {
        method: Method::POST,
        path: "/admin/v1/revoke",
        needs: Needs::Right(Right::Write),
        id: "revoke",
        summary: "Signs out: tokens that were issued until now are refused, a new login is welcome",
        query: &[],
        body: Some(schema::<Revoke>),
        content: DONE,
        answer: |admin, call| Box::pin(async move { admin.revoke(call.body()?).await }),
    },
    Route {
        method: Method::POST,
        path: "/admin/v1/suspend",
        needs: Needs::Right(Right::Write),
        id: "suspend",
        summary: "Suspends: nothing is let in, until it is resumed",
        query: &[],
        body: Some(schema::<Suspend>),
        content: DONE,
        answer: |admin, call| {
            Box::pin(async move { admin.suspend(call.body::<Suspend>()?.whom).await })
        },
    },
    Route {
        method: Method::POST,
        path: "/admin/v1/resume",
        needs: Needs::Right(Right::Write),
        id: "resume",
        summary: "Ends a suspension",
        query: &[],
        body: Some(schema::<Suspend>),
        content: DONE,
        answer: |admin, call| {
            Box::pin(async move { admin.resume(call.body::<Suspend>()?.whom).await })
        },
    },
];

/// What is done holds on this instance in any case.
const DONE: Content = Content::JsonOr(
    schema::<Done>,
    StatusCode::ACCEPTED,
    "Done on this instance; the others are told as soon as the store is back",
);

/// How far ahead somebody's clock may be.
const AHEAD: Duration = Duration::from_mins(1);

/// Whom to sign out.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Revoke {
    pub(super) whom: About,
    /// Tokens that were issued until then; now, unless it is given.
    #[serde(default)]
    pub(super) issued_before: Option<Time>,
}

/// Whom to suspend, or to let in again.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Suspend {
    pub(super) whom: About,
}

/// Who is no longer let in.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct RevocationList {
    /// How many there are.
    pub(super) total: usize,
    /// How many are left out here, at the beginning.
    pub(super) offset: usize,
    pub(super) revocations: Vec<Revocation>,
}

/// That somebody is no longer let in.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(super) struct Revocation {
    pub(super) whom: About,
    pub(super) state: State,
    /// Of who was signed out: tokens that were issued until then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) issued_before: Option<Time>,
    /// Who brought it about: `operator`, `webhook`, ….
    pub(super) cause: &'static str,
    /// When it was said.
    pub(super) said_at: Time,
}

/// What holds of somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    SignedOut,
    Suspended,
    Resumed,
}

/// What was done.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(super) struct Done {
    #[serde(flatten)]
    pub(super) revocation: Revocation,
    /// Whether the other instances were told; if not, they hear of it as soon as the store is back.
    pub(super) everywhere: bool,
    /// How many sessions in the memory of this instance it was about. 0 may be a misspelled name.
    pub(super) sessions_here: usize,
}

impl Admin {
    fn list_revocations(&self, call: &Call) -> Answered {
        Ok(json(StatusCode::OK, &self.revocations(Page::of(call)?)))
    }

    /// Who is signed out or suspended, the newest first.
    pub(super) fn revocations(&self, page: Page) -> RevocationList {
        let mut all = self.denials.all();
        all.retain(|denial| denial.denies != Denies::Nothing);
        all.sort_unstable_by_key(|denial| std::cmp::Reverse(denial.said_at));
        RevocationList {
            total: all.len(),
            offset: page.offset,
            revocations: page.part(&all).map(Revocation::of).collect(),
        }
    }

    /// Signs out.
    pub(super) async fn revoke(&self, revoke: Revoke) -> Answered {
        let now = SystemTime::now();
        let before = revoke.issued_before.map_or(now, SystemTime::from);
        if before > now + AHEAD {
            return Err(Problem::bad_request(
                "issued_before is in the future: to keep somebody out, suspend them",
            ));
        }
        self.deny(&revoke.whom, Denies::Before(before)).await
    }

    /// Suspends.
    pub(super) async fn suspend(&self, whom: About) -> Answered {
        self.deny(&whom, Denies::UntilLifted).await
    }

    /// Lets somebody in again.
    pub(super) async fn resume(&self, whom: About) -> Answered {
        let about = self.whom(&whom)?;
        let is_suspended =
            |denial: &Denial| denial.whom == about && denial.denies == Denies::UntilLifted;
        if !self.denials.all().iter().any(is_suspended) {
            return Err(Problem::new(
                StatusCode::NOT_FOUND,
                "they are not suspended; the list of revocations has who is, just as they were named",
            ));
        }
        self.deny(&whom, Denies::Nothing).await
    }

    async fn deny(&self, whom: &About, denies: Denies) -> Answered {
        let denial = Denial {
            whom: self.whom(whom)?,
            denies,
            cause: Cause::Operator,
            said_at: SystemTime::now(),
        };
        let is_about = |principal: &Principal| names(&denial.whom, principal);
        let sessions = self.sessions.in_memory(denial.said_at);
        let sessions_here = sessions
            .iter()
            .filter(|it| is_about(it.principal()))
            .count();
        let told = self.denials.deny(denial.clone()).await;
        if let Err(error) = &told {
            tracing::error!(%error, "the other instances are told of a revocation as soon as the store is back");
        }
        let done = Done {
            revocation: Revocation::of(&denial),
            everywhere: told.is_ok(),
            sessions_here,
        };
        let status = if done.everywhere {
            StatusCode::OK
        } else {
            StatusCode::ACCEPTED
        };
        let mut response: Response<Bytes> = json(status, &done);
        response
            .extensions_mut()
            .insert(target(&done.revocation.whom));
        Ok(response)
    }

    fn whom(&self, about: &About) -> Result<Whom, Problem> {
        about.check().map_err(Problem::bad_request)?;
        let issuer = |named: &Option<String>| self.issuer(named.as_deref());
        Ok(match about.clone() {
            About::User {
                issuer: named,
                subject,
            } => Whom::User {
                issuer: issuer(&named)?,
                subject,
            },
            About::Member {
                issuer: named,
                subject,
                organization,
            } => Whom::Member {
                issuer: issuer(&named)?,
                subject,
                organization,
            },
            About::Organization { organization } => Whom::Organization(organization),
            About::Client {
                issuer: named,
                client,
            } => Whom::Client {
                issuer: issuer(&named)?,
                client,
            },
            About::Token {
                issuer: named,
                token_id,
            } => Whom::Token {
                issuer: issuer(&named)?,
                id: token_id,
            },
            About::Issuer { issuer: named } => Whom::Issuer(issuer(&named)?),
        })
    }

    /// The issuer that is meant: a misspelled one would deny nobody.
    fn issuer(&self, named: Option<&str>) -> Result<String, Problem> {
        let known = self.issuers();
        let known: Vec<_> = known.iter().map(String::as_str).collect();
        match (named, known.as_slice()) {
            (None, [only]) => Ok((*only).to_owned()),
            (Some(named), known) if known.contains(&named) => Ok(named.to_owned()),
            (None, known) => Err(Problem::bad_request(format!(
                "name the issuer: this server has {}",
                known.join(", ")
            ))),
            (Some(_), known) => Err(Problem::bad_request(format!(
                "that is no issuer of this server, which has {}",
                known.join(", ")
            ))),
        }
    }
}

/// Whether a denial is about somebody.
fn names(whom: &Whom, principal: &Principal) -> bool {
    let of = |issuer: &String| issuer == principal.issuer();
    let is = |subject: &String| subject == principal.subject();
    let within = |organization: &String| principal.organization() == Some(organization.as_str());
    match whom {
        Whom::User { issuer, subject } => of(issuer) && is(subject),
        Whom::Member {
            issuer,
            subject,
            organization,
        } => of(issuer) && is(subject) && within(organization),
        Whom::Organization(organization) => within(organization),
        Whom::Client { issuer, client } => {
            of(issuer) && principal.client_id() == Some(client.as_str())
        }
        Whom::Issuer(issuer) => of(issuer),
        Whom::Token { issuer, id } => of(issuer) && principal.token_id() == Some(id.as_str()),
    }
}

impl Revocation {
    fn of(denial: &Denial) -> Self {
        let (state, issued_before) = match denial.denies {
            Denies::Before(at) => (State::SignedOut, Some(at.into())),
            Denies::UntilLifted => (State::Suspended, None),
            Denies::Nothing => (State::Resumed, None),
        };
        Self {
            whom: About::from(&denial.whom),
            state,
            issued_before,
            cause: denial.cause.into(),
            said_at: denial.said_at.into(),
        }
    }
}
