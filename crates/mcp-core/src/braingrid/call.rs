//! What every method of the client goes through: the organization, ids that BrainGrid knows, and
//! the reading of answers.

use async_trait::async_trait;
use serde_json::Value;

use super::{
    BrainGridClient, Page,
    client::{Paging, Written},
    decode::{self, Fields},
    error_body::{self, Verdict},
    json::Json,
    reply::{ApiResponse, unclear},
    routes::{self, Class, Route},
    send::{Request, Sender},
    short_ids::{self, Ids, Lists},
};
use crate::{
    caller::Caller,
    error::{ApiError, Unclear},
    ids::OrganizationId,
};

impl BrainGridClient {
    pub(super) async fn guess(&self, caller: &Caller, route: Route, body: Value) -> Written<Value> {
        let answer = self.write(caller, route, Some(body)).await?;
        written(&answer, "", |_| None::<()>)?;
        Ok(json(&answer).map(Value::from))
    }

    pub(super) async fn write(
        &self,
        caller: &Caller,
        route: Route,
        body: Option<Value>,
    ) -> Result<ApiResponse, ApiError> {
        self.call(caller, route, Vec::new(), body).await
    }

    pub(super) async fn call(
        &self,
        caller: &Caller,
        route: Route,
        query: Vec<(&'static str, String)>,
        body: Option<Value>,
    ) -> Result<ApiResponse, ApiError> {
        let organization = self.organization_of(caller).await?;
        let request = Request {
            route,
            query,
            body,
            organization,
            gate: self.gate.clone(),
        };
        if !short_ids::are_in(&request.route.path) {
            return self.inner.sender.send(caller, &request).await;
        }
        self.send_with_short_ids(caller, request).await
    }

    /// Sends a request whose path holds short ids; with UUIDs instead if those are not known.
    async fn send_with_short_ids(
        &self,
        caller: &Caller,
        mut request: Request,
    ) -> Result<ApiResponse, ApiError> {
        let known = &self.inner.short_ids;
        let mut refused = None;
        if !known.are_refused() {
            match self.inner.sender.send(caller, &request).await {
                // Refused: nothing was done, so that also a write may go again.
                Err(error) if known.explain(&error) => refused = Some(error),
                answer => {
                    if answer.is_ok() {
                        known.accepted();
                    }
                    return answer;
                }
            }
        }
        let lists = ListsOf {
            sender: &self.inner.sender,
            caller,
            organization: request.organization.as_ref(),
        };
        let path = short_ids::replaced(&request.route.path, &lists).await;
        match (path, refused) {
            (None, Some(error)) => Err(error),
            (None, None) => Err(ApiError::NotFound(None)),
            (Some(path), refused) => {
                request.route.path = path;
                let answer = self.inner.sender.send(caller, &request).await;
                if answer.is_ok() && refused.is_some() {
                    known.refused();
                }
                answer
            }
        }
    }

    /// The organization this caller works in, asked for where it is not known yet.
    pub(crate) async fn organization_of(
        &self,
        caller: &Caller,
    ) -> Result<Option<OrganizationId>, ApiError> {
        let organization = caller.organization();
        organization
            .resolve(async || self.profile_organization(caller).await)
            .await
    }

    /// The organization the profile names; none when there is no profile to be had here.
    async fn profile_organization(
        &self,
        caller: &Caller,
    ) -> Result<Option<OrganizationId>, ApiError> {
        match self.profile(caller).await {
            Ok(profile) => Ok(profile.organization()),
            Err(
                ApiError::NotFound(_)
                | ApiError::NoSuchPath
                | ApiError::Invalid { .. }
                | ApiError::Foreign(404)
                | ApiError::Failed(Unclear::Unreadable | Unclear::Page),
            ) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The lists that one caller sees, to look UUIDs up.
struct ListsOf<'a> {
    sender: &'a Sender,
    caller: &'a Caller,
    organization: Option<&'a OrganizationId>,
}

#[async_trait]
impl Lists for ListsOf<'_> {
    async fn page(&self, path: &str, nouns: &str, number: u32) -> Option<Page<Ids>> {
        let paging = Paging {
            page: number,
            limit: 100,
        };
        let request = Request {
            route: routes::collection(path.to_owned()),
            query: paged(paging),
            body: None,
            organization: self.organization.cloned(),
            gate: None,
        };
        let answer = self.sender.send(self.caller, &request).await.ok()?;
        listed(&answer, nouns, Ids::decode).ok()
    }
}

pub(super) fn paged(paging: Paging) -> Vec<(&'static str, String)> {
    vec![
        ("page", paging.page.to_string()),
        ("limit", paging.limit.to_string()),
    ]
}

pub(super) fn json(answer: &ApiResponse) -> Option<Json<'_>> {
    decode::json(&answer.body, answer.event_stream)
}

pub(super) fn shown<T>(
    answer: &ApiResponse,
    noun: &str,
    decode: impl Fn(Fields<'_>) -> Option<T>,
) -> Result<T, ApiError> {
    let body = readable(Class::Read, answer)?;
    let refused = refused(&body);
    decode::entity(body, noun)
        .and_then(decode)
        .ok_or_else(|| refused.unwrap_or_else(|| unclear(Class::Read, Unclear::Unreadable)))
}

pub(super) fn listed<T>(
    answer: &ApiResponse,
    nouns: &str,
    decode: impl Fn(Fields<'_>) -> Option<T>,
) -> Result<Page<T>, ApiError> {
    let body = readable(Class::Read, answer)?;
    let refused = refused(&body);
    match decode::list(body, nouns, decode) {
        Some(page) if refused.is_none() || !page.items.is_empty() => Ok(page),
        _ => Err(refused.unwrap_or_else(|| unclear(Class::Read, Unclear::Unreadable))),
    }
}

fn readable(class: Class, answer: &ApiResponse) -> Result<Json<'_>, ApiError> {
    json(answer).ok_or_else(|| {
        let why = if !answer.event_stream && error_body::is_page(&answer.body) {
            Unclear::Page
        } else {
            Unclear::Unreadable
        };
        unclear(class, why)
    })
}

/// The refusal that a body of a successful status is: some APIs answer everything with 200.
fn refused(body: &Json<'_>) -> Option<ApiError> {
    (error_body::verdict(body) != Verdict::Silent).then(|| ApiError::Invalid {
        status: 200,
        message: error_body::message_in(&body.clone().into()),
    })
}

/// A 2xx with an empty body, or with JSON that shows no `noun` and no error, says "done".
pub(super) fn written<T>(
    answer: &ApiResponse,
    noun: &str,
    decode: impl Fn(Fields<'_>) -> Option<T>,
) -> Written<T> {
    if answer.body.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let body = readable(Class::Write, answer)?;
    let verdict = error_body::verdict(&body);
    let contradiction = (verdict != Verdict::Silent)
        .then(|| ApiError::Contradiction(error_body::message_in(&body.clone().into())));
    match (decode::entity(body, noun).and_then(decode), contradiction) {
        (Some(found), _) if verdict != Verdict::SaysNo => Ok(Some(found)),
        (_, Some(contradiction)) => Err(contradiction),
        (found, None) => Ok(found),
    }
}
