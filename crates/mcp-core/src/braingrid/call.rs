//! What every method of the client goes through: the organization, ids that BrainGrid knows, and
//! the reading of answers.

use async_trait::async_trait;
use serde_json::Value;

use super::{
    BrainGridClient, Page,
    client::{Paging, Written},
    decode::{self, Fields},
    reply::{Answer, unclear},
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
        Ok(json(&answer))
    }

    pub(super) async fn write(
        &self,
        caller: &Caller,
        route: Route,
        body: Option<Value>,
    ) -> Result<Answer, ApiError> {
        self.call(caller, route, Vec::new(), body).await
    }

    pub(super) async fn call(
        &self,
        caller: &Caller,
        route: Route,
        query: Vec<(&'static str, String)>,
        body: Option<Value>,
    ) -> Result<Answer, ApiError> {
        let organization = caller
            .organization()
            .resolve(async || self.profile_organization(caller).await)
            .await?;
        let request = Request {
            route,
            query,
            body,
            organization,
        };
        if !short_ids::are_in(&request.route.path) {
            return self.0.sender.send(caller, &request).await;
        }
        self.send_with_short_ids(caller, request).await
    }

    /// Sends a request whose path holds short ids; with UUIDs instead if those are not known.
    async fn send_with_short_ids(
        &self,
        caller: &Caller,
        mut request: Request,
    ) -> Result<Answer, ApiError> {
        let known = &self.0.short_ids;
        let mut refused = None;
        if !known.are_refused() {
            match self.0.sender.send(caller, &request).await {
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
            sender: &self.0.sender,
            caller,
            organization: request.organization.as_ref(),
        };
        let path = short_ids::replaced(&request.route.path, &lists).await;
        match (path, refused) {
            (None, Some(error)) => Err(error),
            (None, None) => Err(ApiError::NotFound(None)),
            (Some(path), refused) => {
                request.route.path = path;
                let answer = self.0.sender.send(caller, &request).await;
                if answer.is_ok() && refused.is_some() {
                    known.refused();
                }
                answer
            }
        }
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
                | ApiError::Invalid { .. }
                | ApiError::Failed(Unclear::Unreadable),
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

pub(super) fn json(answer: &Answer) -> Option<Value> {
    decode::json(&answer.body, answer.event_stream)
}

pub(super) fn shown<T>(
    answer: &Answer,
    noun: &str,
    decode: impl Fn(Fields) -> Option<T>,
) -> Result<T, ApiError> {
    json(answer)
        .and_then(|body| decode(decode::entity(body, noun)?))
        .ok_or_else(|| unclear(Class::Read, Unclear::Unreadable))
}

pub(super) fn listed<T>(
    answer: &Answer,
    nouns: &str,
    decode: impl Fn(Fields) -> Option<T>,
) -> Result<Page<T>, ApiError> {
    json(answer)
        .and_then(|body| decode::list(body, nouns, decode))
        .ok_or_else(|| unclear(Class::Read, Unclear::Unreadable))
}

/// A 2xx with an empty body, or with JSON that shows no `noun` and no error, says "done".
pub(super) fn written<T>(
    answer: &Answer,
    noun: &str,
    decode: impl Fn(Fields) -> Option<T>,
) -> Written<T> {
    if answer.body.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let unreadable = || unclear(Class::Write, Unclear::Unreadable);
    let body = json(answer).ok_or_else(unreadable)?;
    if body.get("success") == Some(&Value::Bool(false)) {
        return Err(unreadable());
    }
    let names_error = body.get("error").is_some_and(|error| !error.is_null());
    match decode::entity(body, noun).and_then(decode) {
        Some(found) => Ok(Some(found)),
        None if names_error => Err(unreadable()),
        None => Ok(None),
    }
}
