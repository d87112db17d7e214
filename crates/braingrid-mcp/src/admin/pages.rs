//! The pages of the admin listener: what the API has, for a browser. Made whole here, without scripts and
//! without anything that a browser would have to fetch; templates escape every value.
//!
//! A page changes things through the same routes as everybody else, with the right of whoever logged in.

mod layout;
mod lists;
mod login;
mod status;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use serde_json::{Value, json};

use super::Admin;
use super::access::{Refusal, address_of};
use super::answer::Problem;
use super::browser::{self, Login};
use super::paging::Page;
use super::sessions::Sought;
use crate::audit::OperatorAction;
use crate::operators::{Operator, Right, TokenDigest};
use crate::whom::Named;
use layout::View;

/// Every page is below.
pub(super) const BEGIN: &str = "/ui";
const LOGIN: &str = "/ui/login";
const LOGOUT: &str = "/ui/logout";
const STATUS: &str = "/ui/status";
const SESSIONS: &str = "/ui/sessions";
const REVOCATIONS: &str = "/ui/revocations";
const TASKS: &str = "/ui/tasks";

/// Entries of a list on a page.
const ROWS: usize = 100;

/// Somebody who looks at a page.
struct Visit {
    operator: Operator,
    login: Login,
}

impl Admin {
    /// Answers a browser.
    pub(super) async fn page(self: &Arc<Self>, request: Request<Bytes>) -> Response<Bytes> {
        let path = request.uri().path();
        let post = request.method() == Method::POST;
        if path == LOGIN && post {
            return self.log_in(&request).await;
        }
        let visit = match self.visit(&request).await {
            Ok(visit) => visit,
            Err(Refusal::NoToken) if path == LOGIN => return login::page(None),
            Err(Refusal::NoToken) => return to(LOGIN),
            Err(refusal) => return login::page(Some(&refusal)),
        };
        if post {
            return self.posted(path, &request, visit).await;
        }
        match path {
            BEGIN | LOGIN => first(),
            STATUS | SESSIONS | REVOCATIONS | TASKS => self.shown(path, &visit, &request).await,
            _ => nothing_there(&visit),
        }
    }

    async fn shown(&self, path: &str, visit: &Visit, request: &Request<Bytes>) -> Response<Bytes> {
        let asked = Fields::of_query(request);
        let offset = asked.get("offset").and_then(|text| text.parse().ok());
        let page = Page {
            offset: offset.unwrap_or_default(),
            limit: ROWS,
        };
        let view = View::new(visit, path, Said::of(&asked));
        match path {
            SESSIONS => {
                let sought = Sought {
                    subject: asked.get("subject"),
                    organization: asked.get("organization"),
                    ..Sought::default()
                };
                lists::sessions(&view, &self.connected(&sought, page), &sought)
            }
            REVOCATIONS => lists::revocations(&view, &self.revocations(page), &self.issuers()),
            TASKS => lists::tasks(&view, &self.tasks_here(page)),
            _ => status::page(&view, &self.parts().await, &self.log.current()),
        }
    }

    /// Whose browser it is: that of a login, whose token is looked at again.
    async fn visit(&self, request: &Request<Bytes>) -> Result<Visit, Refusal> {
        let login = self.browsers.login(request.headers(), Instant::now());
        let login = login.ok_or(Refusal::NoToken)?;
        let address = address_of(request);
        let operator = self.access.operator_of(login.token, address).await?;
        Ok(Visit { operator, login })
    }

    async fn log_in(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let token = Fields::of_body(request).get("token").unwrap_or_default();
        let (token, address) = (TokenDigest::of(&token), address_of(request));
        let operator = match self.access.operator_of(token, address).await {
            Ok(operator) => operator,
            Err(refusal) => {
                self.tell_refusal("log_in", &refusal, request);
                return login::page(Some(&refusal));
            }
        };
        self.tell_visit("log_in", operator, request).await;
        let id = self.browsers.begin(token, Instant::now());
        with_cookie(first(), browser::cookie(&id, is_secure(request)))
    }

    async fn log_out(&self, visit: Visit, request: &Request<Bytes>) -> Response<Bytes> {
        self.browsers.end(request.headers());
        self.tell_visit("log_out", visit.operator, request).await;
        with_cookie(to(LOGIN), browser::forgotten(is_secure(request)))
    }

    async fn tell_visit(&self, id: &'static str, operator: Operator, request: &Request<Bytes>) {
        let mut action = OperatorAction::new(id, address_of(request));
        action.operator = Some(operator.name);
        self.tell_action("ok", action).await;
    }

    async fn posted(
        self: &Arc<Self>,
        path: &str,
        request: &Request<Bytes>,
        visit: Visit,
    ) -> Response<Bytes> {
        let fields = Fields::of_body(request);
        let form = fields.get("form").unwrap_or_default();
        if !visit.login.is_own_form(&form) {
            let why = "the form is not of this login: load the page again";
            return problem(&visit, path, &Problem::new(StatusCode::FORBIDDEN, why));
        }
        if path == LOGOUT {
            return self.log_out(visit, request).await;
        }
        let done = match change(path, &fields) {
            Ok(change) => self.changed(change, request, &visit.operator).await,
            Err(why) => Err(why),
        };
        match done {
            Ok(done) => to(&Said::done(&done).added_to(place_of(path))),
            Err(why) => problem(&visit, path, &why),
        }
    }

    /// Makes a change through its route; what it answers.
    async fn changed(
        self: &Arc<Self>,
        (id, step, body): Change,
        page: &Request<Bytes>,
        operator: &Operator,
    ) -> Result<Value, Problem> {
        let route = super::routes::all().find(|route| route.id == id);
        let route = route.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "no such change"))?;
        if operator.right < Right::Write {
            let refusal = Refusal::ReadOnly(operator.clone());
            self.tell_refusal(route.id, &refusal, page);
            return Err(refusal.problem());
        }
        let mut request = Request::new(Bytes::from(body.to_string()));
        request.extensions_mut().clone_from(page.extensions());
        let done = self
            .perform(route, request, step, Some(operator.clone()))
            .await;
        let answer: Value = serde_json::from_slice(done.body()).unwrap_or_default();
        if done.status().is_success() {
            return Ok(answer);
        }
        let why = answer.get("error").and_then(Value::as_str);
        Err(Problem::new(done.status(), why.unwrap_or_default()))
    }
}

/// The route of a form, the step of its path, and what it is told.
type Change = (&'static str, String, Value);

fn change(path: &str, fields: &Fields) -> Result<Change, Problem> {
    let text = |name| fields.get(name).unwrap_or_default();
    match path {
        STATUS => {
            let body = json!({ "level": text("level") });
            return Ok(("set_log_level", String::new(), body));
        }
        TASKS => return Ok(("cancel_task", text("task"), Value::Null)),
        _ => {}
    }
    let id = match (path, fields.get("do").as_deref()) {
        (SESSIONS | REVOCATIONS, Some("revoke")) => "revoke",
        (SESSIONS | REVOCATIONS, Some("suspend")) => "suspend",
        (SESSIONS | REVOCATIONS, Some("resume")) => "resume",
        _ => return Err(Problem::new(StatusCode::NOT_FOUND, "there is no such form")),
    };
    let named = Named {
        subject: fields.get("subject"),
        organization: fields.get("organization"),
        client: fields.get("client"),
        token_id: fields.get("token_id"),
        issuer: fields.get("issuer"),
    };
    let whom = named.about().ok_or_else(|| {
        Problem::bad_request(
            "name a user, a user and an organization, an organization, a client, or a token",
        )
    })?;
    Ok((id, String::new(), json!({ "whom": whom })))
}

/// Where the outcome of a form is looked at.
fn place_of(path: &str) -> &'static str {
    match path {
        STATUS => STATUS,
        TASKS => TASKS,
        _ => REVOCATIONS,
    }
}

/// What was done a moment ago, in the address of the page that says so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Said {
    state: Option<String>,
    everywhere: bool,
    sessions_here: u64,
}

impl Said {
    fn done(answer: &Value) -> Self {
        let state = answer.get("state").and_then(Value::as_str);
        let sessions = answer.get("sessions_here").and_then(Value::as_u64);
        Self {
            state: Some(state.unwrap_or("changed").to_owned()),
            everywhere: answer.get("everywhere") != Some(&Value::Bool(false)),
            sessions_here: sessions.unwrap_or_default(),
        }
    }

    fn of(fields: &Fields) -> Self {
        let number = fields.get("sessions").and_then(|text| text.parse().ok());
        Self {
            state: fields.get("done"),
            everywhere: fields.get("told").as_deref() != Some("here"),
            sessions_here: number.unwrap_or_default(),
        }
    }

    fn added_to(&self, path: &str) -> String {
        let state = self.state.as_deref().unwrap_or_default();
        let told = if self.everywhere { "all" } else { "here" };
        format!(
            "{path}?done={state}&told={told}&sessions={}",
            self.sessions_here
        )
    }
}

/// What stands in a form or a query. An empty field is not there.
struct Fields(BTreeMap<String, String>);

impl Fields {
    fn of_body(request: &Request<Bytes>) -> Self {
        Self::parse(request.body())
    }

    fn of_query(request: &Request<Bytes>) -> Self {
        Self::parse(request.uri().query().unwrap_or_default().as_bytes())
    }

    fn parse(text: &[u8]) -> Self {
        let pairs = url::form_urlencoded::parse(text).into_owned();
        Self(
            pairs
                .filter(|(_, value)| !value.trim().is_empty())
                .collect(),
        )
    }

    fn get(&self, name: &str) -> Option<String> {
        self.0.get(name).map(|value| value.trim().to_owned())
    }
}

fn problem(visit: &Visit, path: &str, why: &Problem) -> Response<Bytes> {
    let view = View::new(visit, place_of(path), Said::default());
    lists::problem(&view, why, view.path())
}

fn nothing_there(visit: &Visit) -> Response<Bytes> {
    let why = Problem::new(StatusCode::NOT_FOUND, "there is no such page");
    problem(visit, SESSIONS, &why)
}

fn to(place: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::SEE_OTHER;
    if let Ok(place) = HeaderValue::from_str(place) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    response
}

fn with_cookie(mut response: Response<Bytes>, cookie: Option<HeaderValue>) -> Response<Bytes> {
    let cookie = cookie.map(|cookie| (header::SET_COOKIE, cookie));
    response.headers_mut().extend(cookie);
    response
}

/// Whether the page of a form came by TLS, which a proxy in front speaks. Browsers say so with each form.
fn is_secure(request: &Request<Bytes>) -> bool {
    let origin = request.headers().get(header::ORIGIN);
    origin.is_some_and(|origin| origin.as_bytes().starts_with(b"https://"))
}

/// Where a browser begins.
pub(super) fn first() -> Response<Bytes> {
    to(STATUS)
}

/// Whether a program that shows pages asks.
pub(super) fn are_wanted(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|it| it.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}
