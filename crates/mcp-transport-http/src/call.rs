//! The steps of one call to the endpoint, in the order they happen.

use std::{fmt::Display, pin::pin, sync::Arc, time::Instant};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{ALLOW, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE},
};
use http_body::Body;
use mcp_auth::{AccessToken, Asker, AuthError, InvalidReason};
use mcp_session::{Resolved, Session};
use rmcp::ServerHandler;

use crate::{
    accept::Accept,
    access_log::AccessLine,
    authenticate::{Unauthenticated, authenticate},
    batch,
    body::{self, BodyError, BoxedBody},
    challenge::unavailable,
    client_address::ClientAddress,
    drain::InFlight,
    late::Late,
    limits,
    origin::{Refused, is_preflight, preflight},
    preview::{PreviewError, RequestPreview},
    protocol,
    refusal::{method_not_allowed, refusal},
    sent,
    server::Inner,
    stop::{Phase, unless_over},
    tenant::{self, TenantPath},
};

/// A request that may go on.
struct Admitted {
    in_flight: InFlight,
    resolved: Resolved,
    token: AccessToken,
}

impl<H: ServerHandler + Send + 'static> Inner<H> {
    /// The steps of one call, in request order.
    pub(crate) async fn call<B>(
        self: &Arc<Self>,
        request: Request<B>,
        line: &mut AccessLine,
    ) -> Response<BoxedBody>
    where
        B: Body<Data: Send> + Send + 'static,
        B::Error: Display + Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        let head = Request::from_parts(parts, ());
        let Admitted {
            in_flight,
            resolved,
            token,
        } = match self.admit_in_time(&head, line).await {
            Some(Ok(admitted)) => admitted,
            Some(Err(refusal)) => {
                let discarding = body::discard(head.headers(), body, self.config.max_body_bytes);
                unless_over(discarding, self.no_more_begins()).await;
                return refusal;
            }
            None => {
                line.refuse("draining");
                return draining();
            }
        };
        let (mut parts, ()) = head.into_parts();
        let version = parts.version;
        // 6. What it wants.
        let limit = self.config.max_body_bytes;
        let (time, memory) = (self.config.body_timeout, &self.config.memory);
        let principal = resolved.session.principal();
        let user = memory.user_of(principal);
        let place = line.place.as_ref();
        let waiting = place.map(|place| place.activity.reading());
        let reading = body::read(body, limit, time, Some((memory, user)));
        let (bytes, charge) = match unless_over(reading, self.no_more_begins()).await {
            Some(Ok(read)) => read,
            Some(Err(reason)) => {
                if reason == BodyError::NoRoom {
                    line.refuse("memory");
                } else {
                    line.outcome = "body";
                }
                return protocol::unreadable(reason);
            }
            None => {
                line.refuse("draining");
                return draining();
            }
        };
        drop(waiting);
        let bytes = without_mark(bytes);
        // 7. May it, and then the work. The token ends here: nothing behind this line sees it.
        parts.headers.remove(AUTHORIZATION);
        let accept = Accept::of(&parts.headers);
        Accept::settle(&mut parts.headers);
        let json = HeaderValue::from_static("application/json");
        parts.headers.insert(CONTENT_TYPE, json);
        self.attach(&resolved.session, &token, &mut parts.extensions);
        line.attach(&mut parts);
        let charge = charge.map(|charge| charge.kept_in(&mut parts.extensions));
        let begun = Instant::now();
        let answer = match RequestPreview::parse(&bytes) {
            Ok(preview) => {
                line.message(&preview, &parts.headers, |name| self.tool_name(name));
                if let Some(header) = line.contradicted {
                    Ok(protocol::contradiction(header, preview.id))
                } else if preview.is_request && accept.is_nothing() {
                    Ok(protocol::not_acceptable(preview.id))
                } else {
                    let (session, id) = (&*resolved.session, line.request_id());
                    let answer = self
                        .in_time(parts, &bytes, &preview, session, accept, id)
                        .await;
                    line.handled(begun.elapsed());
                    answer
                }
            }
            Err(PreviewError::Batch) if batch::is_offered(&parts.headers) => {
                let session = Arc::clone(&resolved.session);
                let id = line.request_id().to_owned();
                self.batch_in_time(parts, bytes, session, user, accept, id)
                    .await
            }
            Err(reason) => Ok(protocol::no_message(reason, &bytes)),
        };
        let response = answer.unwrap_or_else(|work| {
            Late {
                work,
                form: accept.form(),
                keep_alive: self.config.keep_alive,
                begun,
                line: line.hand_over(),
                observer: self.observer.clone(),
                charge,
                memory: memory.clone(),
                user,
            }
            .begin()
        });
        self.conclude(line, &response, &resolved.session);
        in_flight.until_sent(sent::owed_to(user, version, response))
    }

    /// [`Inner::admit`], unless the server has no time left.
    async fn admit_in_time(
        &self,
        head: &Request<()>,
        line: &mut AccessLine,
    ) -> Option<Result<Admitted, Response<BoxedBody>>> {
        // Pinned: it is large, and would be moved.
        let admitting = pin!(self.admit(head, line));
        unless_over(admitting, self.no_more_begins()).await
    }

    /// The first steps: all that can be said without the body.
    async fn admit(
        &self,
        head: &Request<()>,
        line: &mut AccessLine,
    ) -> Result<Admitted, Response<BoxedBody>> {
        // 1. Where it comes from: a page that may not call us learns nothing else.
        if let Err(refused) = self.check_origin(head) {
            // Hosted connectors name the origin of their vendor, and a 403 hides the way to the login.
            // Where nothing is done and everybody may know what is said, they are shown it; a server on
            // a user's machine keeps every foreign page out.
            let only_asks = !head.headers().contains_key(AUTHORIZATION)
                && !is_preflight(head)
                && self.origin_rule.check_host(head).is_ok();
            if refused == Refused::Origin && only_asks && self.config.is_hosted() {
                line.refuse("no_token");
                let at = TenantPath::of(head.extensions());
                return Err(self.challenger.refuse(&AuthError::NoToken, at));
            }
            line.refuse(match refused {
                Refused::Origin => "origin",
                Refused::Host => "host",
            });
            return Err(forbidden_origin(refused));
        }
        // 2. Browsers ask before they send credentials.
        if is_preflight(head) {
            return Err(preflight(head.headers(), "POST"));
        }
        if head.method() == Method::OPTIONS {
            return Err(options());
        }
        // 3. A stopping server starts nothing new.
        let Some(in_flight) = self.drain.enter() else {
            line.refuse("draining");
            return Err(draining());
        };
        // 4. Who it is: before the body is kept, so strangers cost little.
        let client = ClientAddress::of(head.extensions()).and_then(|client| client.bucket());
        let asker = client.map_or(Asker::UNKNOWN, Asker::from);
        let asking = pin!(authenticate(&self.sessions, head.headers(), asker));
        let (resolved, token) = match line.trace.within(asking).await {
            Ok(authenticated) => authenticated,
            Err(Unauthenticated { error, token }) => {
                line.authenticated(None);
                line.refuse(error.label());
                line.cause = error.cause_of_revocation();
                if let (Some(_), Some(token)) = (&self.observer, &token) {
                    let issuer = self.sessions.issuer_named_by(token);
                    line.issuer = issuer.map(str::to_owned);
                    line.session = self.sessions.session_of_refused(token).await;
                }
                if let (AuthError::InvalidToken(InvalidReason::Audience), Some(token)) =
                    (&error, &token)
                {
                    line.audience = self.sessions.audience_of(token);
                }
                tracing::debug!(request_id = line.request_id(), %error, "request refused");
                // What could not be told, or is known and may not do this, is no stranger's.
                let is_strangers = matches!(
                    error,
                    AuthError::NoToken | AuthError::InvalidToken(_) | AuthError::InvalidRequest(_)
                );
                if is_strangers && let Some(refused) = self.stranger_over_limit(client).await {
                    line.refuse("limited");
                    return Err(refused);
                }
                let at = TenantPath::of(head.extensions());
                return Err(self.challenger.refuse(&error, at));
            }
        };
        line.authenticated(Some(&resolved));
        if let Some(refusal) = self.refused_at(head, &resolved.session, &token, line) {
            return Err(refusal);
        }
        // 5. Whether it is a message at all.
        if head.method() != Method::POST {
            line.outcome = "method_not_allowed";
            return Err(method_not_allowed("POST, OPTIONS"));
        }
        if !is_json(head.headers()) {
            line.outcome = "media_type";
            return Err(protocol::not_json());
        }
        if is_encoded(head.headers()) {
            line.outcome = "media_type";
            return Err(protocol::encoded());
        }
        Ok(Admitted {
            in_flight,
            resolved,
            token,
        })
    }

    /// What is said of the answer to somebody who is known; and to an observer, who it was that may not
    /// do this.
    fn conclude(
        &self,
        line: &mut AccessLine,
        response: &Response<BoxedBody>,
        session: &Arc<Session>,
    ) {
        line.outcome_by(response.status());
        if limits::is_refusal(response) {
            self.refuse_known(line, "limited", session);
        } else if response.status() == StatusCode::FORBIDDEN {
            self.refuse_known(line, "insufficient_scope", session);
        }
    }

    /// Why a good token is not good here: it is for another resource, or its organization is not that of
    /// the path, or the host's rule keeps it out.
    fn refused_at(
        &self,
        head: &Request<()>,
        session: &Arc<Session>,
        token: &AccessToken,
        line: &mut AccessLine,
    ) -> Option<Response<BoxedBody>> {
        let at = TenantPath::of(head.extensions());
        let principal = session.principal();
        let is_for_all = self.sessions.is_for_all(principal);
        let is_meant = match (at, &self.tenants) {
            (Some(at), Some(tenants)) => {
                tenants.accepts(principal, is_for_all, at, &self.config.resource)
            }
            _ => is_for_all,
        };
        if !is_meant {
            let error = AuthError::InvalidToken(InvalidReason::Audience);
            self.refuse_known(line, error.label(), session);
            line.audience = self.sessions.audience_of(token);
            return Some(self.challenger.refuse(&error, at));
        }
        if at.is_some_and(|at| principal.organization() != Some(at.tenant())) {
            self.refuse_known(line, "foreign_path", session);
            return Some(self.challenger.forbidden(tenant::FOREIGN, at));
        }
        let reason = self.admission_rule.as_ref()?(session).err()?;
        self.refuse_known(line, "not_admitted", session);
        Some(self.challenger.forbidden(&reason, at))
    }

    /// Who it is that is refused, for the observer.
    fn refuse_known(&self, line: &mut AccessLine, reason: &'static str, session: &Arc<Session>) {
        line.refuse(reason);
        let issuer = || session.principal().issuer().to_owned();
        line.issuer = self.observer.is_some().then(issuer);
        line.session = Some(Arc::clone(session));
    }

    /// Completes when a stopping server has no time left for what has not come to its handler.
    async fn no_more_begins(&self) {
        self.drain.reached(Phase::Answering).await;
    }

    fn check_origin(&self, head: &Request<()>) -> Result<(), Refused> {
        self.origin_rule.check_origin(head.headers())?;
        self.origin_rule.check_host(head)
    }
}

/// Some editors and shells of Windows begin every text with a mark (RFC 8259 section 8.1).
fn without_mark(bytes: Bytes) -> Bytes {
    match bytes.strip_prefix("\u{feff}".as_bytes()) {
        Some(text) => bytes.slice_ref(text),
        None => bytes,
    }
}

/// Whether every media type that is named, in however many headers, is JSON's.
fn is_json(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(CONTENT_TYPE).iter();
    let mut types = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    let is_json = |text: &[u8]| {
        let essence = text.split(|byte| *byte == b';').next().unwrap_or_default();
        essence
            .trim_ascii()
            .eq_ignore_ascii_case(b"application/json")
    };
    types.next().is_some_and(is_json) && types.all(is_json)
}

/// Whether the body is compressed, which no body may be: its limit is one of bytes on the wire.
fn is_encoded(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(CONTENT_ENCODING).iter();
    let mut codings = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    codings.any(|coding| {
        let coding = coding.trim_ascii();
        !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity")
    })
}

pub(crate) fn forbidden_origin(refused: Refused) -> Response<BoxedBody> {
    let text = match refused {
        Refused::Origin => {
            "pages and connectors of this origin may not call this server: its administrator lets \
             them in by ALLOWED_ORIGINS"
        }
        Refused::Host => {
            "this server is not reached under that host name: its administrator adds names by \
             ALLOWED_HOSTS"
        }
    };
    refusal(StatusCode::FORBIDDEN, "access_denied", text)
}

/// Which methods there are is no secret (RFC 9110 section 9.3.7).
fn options() -> Response<BoxedBody> {
    let mut response = body::empty(StatusCode::NO_CONTENT);
    let allowed = HeaderValue::from_static("POST, OPTIONS");
    response.headers_mut().insert(ALLOW, allowed);
    response
}

pub(crate) fn draining() -> Response<BoxedBody> {
    unavailable(
        "this instance is stopping: try again",
        std::time::Duration::from_secs(1),
    )
}
