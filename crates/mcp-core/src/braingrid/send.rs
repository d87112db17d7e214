//! The only way a request leaves for BrainGrid: credential, timeouts, retries, limits, spans.
//!
//! The rule that everything here serves: a write is sent again only when it is certain that
//! nothing was done, and an answer that cannot be understood is never taken for a failure.

use std::time::{Duration, Instant, SystemTime};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use reqwest::Response;
use secrecy::{ExposeSecret, SecretString, zeroize::Zeroizing};
use serde_json::Value;
use tokio::sync::{Semaphore, SemaphorePermit};
use tracing::Instrument as _;
use url::Url;

use super::{
    BrainGridConfig, ConfigError, FinishedRequest, HeaderHook, RequestObserver, Timeouts,
    policy::{Breaker, jitter, retry_wait},
    reply::{
        Answer, Failure, Reply, is_event_stream, is_outage, judge, retry_after, transport_failure,
        unclear,
    },
    routes::{Class, PREFIX, Route},
};
use crate::{
    caller::{Caller, CredentialError},
    error::{ApiError, Unclear},
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
}

pub(crate) struct Sender {
    http: reqwest::Client,
    base: Url,
    timeouts: Timeouts,
    max_response_bytes: usize,
    breaker: Breaker,
    quick: Semaphore,
    slow: Semaphore,
    headers: Option<HeaderHook>,
    observer: Option<RequestObserver>,
}

/// What is counted while a request is on its way.
#[derive(Default)]
struct Counted {
    attempts: u32,
    status: Option<u16>,
}

impl Sender {
    pub(crate) fn new(config: BrainGridConfig) -> Result<Self, ConfigError> {
        let http = match config.tls {
            Some(tls) => reqwest::Client::builder().tls_backend_preconfigured(tls),
            None => reqwest::Client::builder(),
        };
        let http = http
            .user_agent(concat!("braingrid-mcp/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(config.timeouts.connect)
            .pool_idle_timeout(Duration::from_mins(1))
            .tcp_keepalive(Duration::from_secs(30))
            // A redirect would carry the credential elsewhere.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|_| ConfigError("HTTP client: are root certificates installed (ca-certificates), or named in SSL_CERT_FILE?"))?;
        Ok(Self {
            http,
            base: api_root(config.base_url)?,
            timeouts: config.timeouts,
            max_response_bytes: config.max_response_bytes,
            breaker: Breaker::new(config.breaker_threshold, config.breaker_pause),
            quick: Semaphore::new(config.max_concurrent.max(1)),
            slow: Semaphore::new(config.max_concurrent_slow.max(1)),
            headers: config.headers,
            observer: config.observer,
        })
    }

    /// Whether BrainGrid is left alone at the moment.
    pub(crate) fn is_circuit_open(&self) -> bool {
        self.breaker.is_open()
    }

    /// Sends the request for the caller, and again where that is safe.
    pub(crate) async fn send(
        &self,
        caller: &Caller,
        request: &Request,
    ) -> Result<Answer, ApiError> {
        let route = &request.route;
        let server = self.base.host_str();
        let span = spans::api_request(route.operation, route.method.as_str(), server);
        let started = Instant::now();
        let mut counted = Counted::default();
        let sent = async {
            let _permit = self.permit(request.route.class).await?;
            self.attempts(caller, request, &mut counted).await
        };
        let sent = sent.instrument(span.clone()).await;
        let error = sent.as_ref().err().map(ApiError::kind);
        spans::api_ended(&span, counted.status, counted.attempts, error);
        if let Some(observer) = &self.observer {
            observer(&FinishedRequest {
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

    /// One of the places for calls in flight. Minutes-long calls have their own, so that they
    /// never keep the short ones waiting.
    async fn permit(&self, class: Class) -> Result<SemaphorePermit<'_>, ApiError> {
        let places = if class == Class::Slow {
            &self.slow
        } else {
            &self.quick
        };
        match tokio::time::timeout(self.timeouts.read, places.acquire()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(ApiError::Busy),
        }
    }

    async fn attempts(
        &self,
        caller: &Caller,
        request: &Request,
        counted: &mut Counted,
    ) -> Result<Answer, ApiError> {
        let class = request.route.class;
        let deadline = Instant::now() + self.timeouts.total(class);
        let credential = caller.credential();
        let mut bearer = credential.bearer().await?;
        let mut renewed = false;
        let mut attempt = 1;
        loop {
            counted.attempts += 1;
            let reply = self.attempt(&bearer, request, deadline).await;
            let status = reply.as_ref().ok().map(|reply| reply.status.as_u16());
            counted.status = status.or(counted.status);
            let failure = match reply {
                // A 401 proves that nothing was done: also a write may go again.
                Ok(reply) if reply.status == StatusCode::UNAUTHORIZED => {
                    credential.reject();
                    let fresh = credential.bearer().await?;
                    if renewed || fresh.expose_secret() == bearer.expose_secret() {
                        return Err(ApiError::Unauthorized);
                    }
                    (bearer, renewed) = (fresh, true);
                    continue;
                }
                Ok(reply) => match judge(class, reply) {
                    Ok(answer) => return Ok(answer),
                    Err(failure) => failure,
                },
                Err(failure) => failure,
            };
            let wait = failure
                .fault
                .and_then(|fault| retry_wait(class, fault, attempt, jitter()));
            match wait {
                Some(wait) if Instant::now() + wait < deadline => tokio::time::sleep(wait).await,
                _ => return Err(failure.error),
            }
            attempt += 1;
        }
    }

    async fn attempt(
        &self,
        bearer: &SecretString,
        request: &Request,
        deadline: Instant,
    ) -> Result<Reply, Failure> {
        let started = Instant::now();
        let left = deadline.saturating_duration_since(started);
        if left.is_zero() {
            return Err(Failure::not_sent(None));
        }
        let admitted = self.breaker.admit(started);
        admitted.map_err(|wait| Failure::not_sent(Some(wait)))?;
        let headers = self.headers(bearer, request.organization.as_ref())?;
        let timeout = self.timeouts.attempt(request.route.class).min(left);
        let exchanged = self.exchange(request, headers, timeout).await;
        match &exchanged {
            Ok(reply) if !is_outage(reply) => self.breaker.succeeded(),
            Err(Failure { fault: None, .. }) => self.breaker.succeeded(),
            _ => self.breaker.failed(Instant::now()),
        }
        exchanged
    }

    async fn exchange(
        &self,
        request: &Request,
        headers: HeaderMap,
        timeout: Duration,
    ) -> Result<Reply, Failure> {
        let class = request.route.class;
        let Ok(mut url) = self.base.join(&request.route.path) else {
            return Err(Failure::not_sent(None));
        };
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&request.query);
        }
        let mut builder = self
            .http
            .request(request.route.method.clone(), url)
            .headers(headers)
            .timeout(timeout);
        if let Some(body) = &request.body {
            builder = builder.json(body);
        }
        let response = builder
            .send()
            .await
            .map_err(|error| transport_failure(class, &error))?;
        let status = response.status();
        let retry_after = retry_after(response.headers(), SystemTime::now());
        let event_stream = is_event_stream(response.headers());
        let body = self.body(class, response).await?;
        Ok(Reply {
            status,
            retry_after,
            answer: Answer { body, event_stream },
        })
    }

    /// The body, up to the limit; counted after decompression.
    async fn body(&self, class: Class, mut response: Response) -> Result<Bytes, Failure> {
        let mut body = BytesMut::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() <= self.max_response_bytes => {
                    body.extend_from_slice(&chunk);
                }
                // The same answer would come again.
                Ok(Some(_)) => {
                    return Err(Failure {
                        fault: None,
                        error: unclear(class, Unclear::TooLarge),
                    });
                }
                Ok(None) => return Ok(body.freeze()),
                Err(error) => return Err(transport_failure(class, &error)),
            }
        }
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
        let text = Zeroizing::new(format!("Bearer {}", bearer.expose_secret()));
        let mut authorization = HeaderValue::from_str(&text).map_err(|_| Failure {
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

/// The configured base with the API's prefix; a path in the base is kept.
fn api_root(mut base: Url) -> Result<Url, ConfigError> {
    if !matches!(base.scheme(), "http" | "https") || !base.has_host() {
        return Err(ConfigError(
            "the API address must be an http or https URL with a host",
        ));
    }
    base.set_query(None);
    base.set_fragment(None);
    let path = format!("{}/{PREFIX}/", base.path().trim_end_matches('/'));
    base.set_path(&path);
    Ok(base)
}

fn unsendable() -> ApiError {
    ApiError::Credential(CredentialError::new(
        "The BrainGrid token holds characters that cannot be sent. Copy it again, without spaces or line breaks.",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_follows_the_path_of_the_base() {
        let root = |base: &str| api_root(base.parse().unwrap()).map(|url| url.to_string());
        assert_eq!(
            root("https://a.example").unwrap(),
            "https://a.example/api/v1/"
        );
        assert_eq!(
            root("https://a.example/x/?q#f").unwrap(),
            "https://a.example/x/api/v1/"
        );
        assert!(root("file:///tmp").is_err());
    }
}
