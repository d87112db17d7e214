//! The only way a request leaves for BrainGrid: credential, timeouts, retries, limits, spans.
//!
//! The rule that everything here serves: a write is sent again only when it is certain that
//! nothing was done, and an answer that cannot be understood is never taken for a failure.

use std::{
    hash::{BuildHasher as _, RandomState},
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use http_body_util::Full;
use mcp_outbound::{Circuits, HeldBack, Place, Places, PooledClient, SystemRoots, Trouble, Whose};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tracing::Instrument as _;

use super::{
    ApiRequestObserver, ApiStatus, BrainGridConfig, ConfigError, FinishedApiRequest, HeaderHook,
    Timeouts,
    base_url::Base,
    client::SendGate,
    pace::Pace,
    policy::{Fault, retry_wait},
    reply::{
        ApiResponse, Failure, Reply, is_event_stream, is_foreign, is_outage, judge, retry_after,
        transport_failure,
    },
    routes::{Class, Route},
};
use crate::{
    caller::{Caller, CredentialError},
    error::ApiError,
    ids::OrganizationId,
    spans,
};

const ORGANIZATION: HeaderName = HeaderName::from_static("x-organization-id");

/// One request, before it has a credential.
pub(crate) struct Request {
    pub(crate) route: Route,
    pub(crate) query: Vec<(&'static str, String)>,
    pub(crate) body: Option<Value>,
    pub(crate) organization: Option<OrganizationId>,
    /// Of a write: whether it may leave.
    pub(crate) gate: Option<SendGate>,
}

pub(crate) struct Sender {
    http: PooledClient,
    base: Base,
    timeouts: Timeouts,
    circuits: Circuits,
    quick: Places,
    slow: Places,
    pace: Option<Pace>,
    /// Gives users and tenants numbers by which to tell them apart.
    names: RandomState,
    headers: Option<HeaderHook>,
    observer: Option<ApiRequestObserver>,
}

/// What is counted while a request is on its way.
#[derive(Default)]
struct Counted {
    attempts: u32,
    status: Option<u16>,
}

impl Sender {
    pub(crate) fn new(config: BrainGridConfig) -> Result<Self, ConfigError> {
        let base = Base::new(config.base_url)?;
        let tls = match config.tls {
            Some(tls) => tls,
            None => SystemRoots::new().tls_config()?,
        };
        let http = PooledClient::new(
            &base.uri,
            tls,
            &config.proxies,
            config.timeouts.connect,
            concat!("braingrid-mcp/", env!("CARGO_PKG_VERSION")),
            config.max_response_bytes,
        )?;
        Ok(Self {
            http,
            base,
            timeouts: config.timeouts,
            circuits: Circuits::new(config.breaker_threshold, config.breaker_pause),
            quick: Places::new(config.max_concurrent),
            slow: Places::new(config.max_concurrent_slow),
            pace: config.limit.map(Pace::new),
            names: RandomState::new(),
            headers: config.headers,
            observer: config.observer,
        })
    }

    pub(crate) fn timeout(&self, class: Class) -> Duration {
        self.timeouts.total(class)
    }

    /// How it stands with the circuits, and who waits.
    pub(crate) fn status(&self) -> ApiStatus {
        let both = |count: fn(&Places) -> usize| count(&self.quick) + count(&self.slow);
        ApiStatus {
            is_circuit_open: self.circuits.is_open(),
            tenants_held_back: self.circuits.open_for(),
            in_flight: both(Places::taken),
            waiting: both(Places::waiting) + self.pace.as_ref().map_or(0, Pace::waiting),
        }
    }

    /// Sends the request for the caller, and again where that is safe.
    pub(crate) async fn send(
        &self,
        caller: &Caller,
        request: &Request,
    ) -> Result<ApiResponse, ApiError> {
        let route = &request.route;
        let server = self.base.uri.host();
        let span = spans::api_request(route.operation, route.method.as_str(), server);
        let started = Instant::now();
        let mut counted = Counted::default();
        let sent = async {
            let whose = self.whose(caller, request);
            let _place = self.place(whose, request.route.class).await?;
            self.attempts(caller, whose, request, &mut counted).await
        };
        let mut sent = sent.instrument(span.clone()).await;
        // A path without an id is there for everybody: what is missing is the API.
        if matches!(sent, Err(ApiError::NotFound(_))) && !route.path.contains('/') {
            sent = Err(ApiError::NoSuchPath);
        }
        let error = sent.as_ref().err().map(ApiError::kind);
        spans::api_ended(&span, counted.status, counted.attempts, error);
        if let Some(observer) = &self.observer {
            observer(&FinishedApiRequest {
                operation: request.route.operation,
                method: request.route.method.clone(),
                outcome: error.unwrap_or("ok"),
                status: counted.status,
                attempts: counted.attempts,
                duration: started.elapsed(),
            });
        }
        sent
    }

    /// Whose share of the places a request takes: nobody's on a server of one user.
    fn whose(&self, caller: &Caller, request: &Request) -> Option<Whose> {
        let user = self.names.hash_one((caller.issuer()?, caller.subject()?));
        let organization = request.organization.as_ref().map(OrganizationId::as_str);
        let tenant = organization.map_or(user, |organization| self.names.hash_one(organization));
        Some(Whose { tenant, user })
    }

    /// One of the places for calls in flight. Minutes-long calls have their own, so that they
    /// never keep the short ones waiting.
    async fn place(&self, whose: Option<Whose>, class: Class) -> Result<Place, ApiError> {
        let places = if class == Class::Slow {
            &self.slow
        } else {
            &self.quick
        };
        let place = places.take(whose, self.timeouts.read).await;
        place.map_err(|_| ApiError::Busy)
    }

    async fn attempts(
        &self,
        caller: &Caller,
        whose: Option<Whose>,
        request: &Request,
        counted: &mut Counted,
    ) -> Result<ApiResponse, ApiError> {
        let class = request.route.class;
        let deadline = Instant::now() + self.timeouts.total(class);
        let credential = caller.credential();
        let mut bearer = credential.bearer().await?;
        let mut renewed = false;
        let mut attempt = 1;
        loop {
            counted.attempts += 1;
            let reply = match self.may_send(whose, deadline).await {
                Ok(()) => {
                    self.attempt(caller, whose, &bearer, request, deadline)
                        .await
                }
                Err(failure) => Err(failure),
            };
            let status = reply.as_ref().ok().map(|reply| reply.status.as_u16());
            counted.status = status.or(counted.status);
            let failure = match reply {
                // A 401 proves that nothing was done: also a write may go again.
                // But the page of a proxy says nothing about the credential.
                Ok(reply)
                    if reply.status == StatusCode::UNAUTHORIZED
                        && !is_foreign(reply.status, &reply.answer.body) =>
                {
                    credential.reject(&bearer);
                    let fresh = credential.bearer().await?;
                    if renewed || fresh.expose_secret() == bearer.expose_secret() {
                        return Err(ApiError::Unauthorized);
                    }
                    (bearer, renewed) = (fresh, true);
                    continue;
                }
                Ok(reply) => match judge(class, reply) {
                    Ok(mut answer) => {
                        // What is made of the answer is held as long as the caller's request.
                        caller.hold(answer.room.take());
                        return Ok(answer);
                    }
                    Err(failure) => failure,
                },
                Err(failure) => failure,
            };
            let wait = failure
                .fault
                .and_then(|fault| retry_wait(class, fault, attempt, fastrand::f64()));
            match wait {
                Some(wait) if Instant::now() + wait < deadline => tokio::time::sleep(wait).await,
                _ => return Err(failure.error),
            }
            attempt += 1;
        }
    }

    /// Whether a request may leave now, as far as its tenant and the far end's budget go.
    async fn may_send(&self, whose: Option<Whose>, deadline: Instant) -> Result<(), Failure> {
        let admitted = self.circuits.admit(tenant(whose), Instant::now());
        admitted.map_err(held_back)?;
        match &self.pace {
            Some(pace) => pace
                .turn(whose, deadline.into())
                .await
                .map_err(|wait| Failure {
                    fault: None,
                    error: ApiError::RateLimited(Some(wait)),
                }),
            None => Ok(()),
        }
    }

    async fn attempt(
        &self,
        caller: &Caller,
        whose: Option<Whose>,
        bearer: &SecretString,
        request: &Request,
        deadline: Instant,
    ) -> Result<Reply, Failure> {
        let started = Instant::now();
        let left = deadline.saturating_duration_since(started);
        if left.is_zero() {
            return Err(Failure::not_sent(None));
        }
        if request.route.class != Class::Read
            && let Some(gate) = &request.gate
        {
            gate().map_err(|error| Failure { fault: None, error })?;
        }
        let headers = self.headers(bearer, request.organization.as_ref())?;
        let timeout = self.timeouts.attempt(request.route.class).min(left);
        let exchanged = self.exchange(caller, request, headers, timeout).await;
        self.learn(tenant(whose), &exchanged);
        exchanged
    }

    /// What an attempt says of the far end, to this tenant or to all.
    fn learn(&self, tenant: u64, exchanged: &Result<Reply, Failure>) {
        let now = Instant::now();
        match exchanged {
            Ok(reply) if reply.status == StatusCode::TOO_MANY_REQUESTS => {
                if let Some(wait) = reply.wait() {
                    self.circuits.turned_away(tenant, wait, now);
                }
            }
            Ok(reply) if !is_outage(reply) => self.circuits.succeeded(tenant, now),
            Err(Failure { fault: None, .. }) => self.circuits.succeeded(tenant, now),
            Err(Failure {
                fault: Some(Fault::NotSent),
                ..
            }) => self.circuits.failed(tenant, Trouble::Unreachable, now),
            _ => self.circuits.failed(tenant, Trouble::Failed, now),
        }
    }

    async fn exchange(
        &self,
        caller: &Caller,
        request: &Request,
        headers: HeaderMap,
        timeout: Duration,
    ) -> Result<Reply, Failure> {
        let class = request.route.class;
        let uri = self.base.uri_of(request);
        let body = request.body.as_ref().map(serde_json::to_vec).transpose();
        let (Some(uri), Ok(body)) = (uri, body) else {
            return Err(Failure::not_sent(None));
        };
        let has_body = body.is_some();
        let mut sent = http::Request::new(Full::new(Bytes::from(body.unwrap_or_default())));
        *sent.method_mut() = request.route.method.clone();
        *sent.uri_mut() = uri;
        *sent.headers_mut() = headers;
        if has_body {
            let json = HeaderValue::from_static("application/json");
            sent.headers_mut().insert(header::CONTENT_TYPE, json);
        }
        let changes = class != Class::Read;
        let fetched = self.http.fetch(sent, timeout, changes, caller.memory());
        let fetched = fetched.await;
        let fetched = fetched.map_err(|error| transport_failure(class, error))?;
        Ok(Reply {
            status: fetched.status,
            retry_after: retry_after(&fetched.headers, SystemTime::now()),
            answer: ApiResponse {
                event_stream: is_event_stream(&fetched.headers),
                body: fetched.body,
                room: fetched.room,
            },
        })
    }

    fn headers(
        &self,
        bearer: &SecretString,
        organization: Option<&OrganizationId>,
    ) -> Result<HeaderMap, Failure> {
        let mut headers = HeaderMap::with_capacity(8);
        if let Some(hook) = &self.headers {
            hook(&mut headers);
        }
        headers.insert(
            header::ACCEPT,
            HeaderValue::from_static("application/json, text/event-stream;q=0.5"),
        );
        let text = format!("Bearer {}", bearer.expose_secret());
        let mut authorization = HeaderValue::try_from(text).map_err(|_| Failure {
            fault: None,
            error: unsendable(),
        })?;
        authorization.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, authorization);
        if let Some(id) = organization
            && let Ok(value) = HeaderValue::from_str(id.as_str())
        {
            headers.insert(ORGANIZATION, value);
        }
        Ok(headers)
    }
}

/// What tells tenants apart: all are one where users are not told apart.
fn tenant(whose: Option<Whose>) -> u64 {
    whose.map_or(0, |whose| whose.tenant)
}

fn held_back(why: HeldBack) -> Failure {
    match why {
        HeldBack::Open(wait) => Failure::not_sent(Some(wait)),
        HeldBack::TurnedAway(wait) => Failure {
            fault: Some(Fault::TurnedAway(Some(wait))),
            error: ApiError::RateLimited(Some(wait)),
        },
    }
}

fn unsendable() -> ApiError {
    ApiError::Credential(CredentialError::new(
        "The BrainGrid token holds characters that cannot be sent. Copy it again, without spaces or line breaks.",
    ))
}
