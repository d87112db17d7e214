//! Where identity providers tell what has happened, on the main listener: each path off unless it is
//! configured, and each believed by its own proof alone.

mod answers;
mod taken;

use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context as _;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, Request, Response, header};
use mcp_auth::{
    Auth0Events, EventError, LogoutTokens, ReceivedEvents, SecurityEvents, WorkosWebhooks,
    is_bearer,
};
use mcp_authorization_server::ProviderPlace;
use mcp_fleet::{Denials, EventIds};
use mcp_session::{Keyring, RedisStore};
use mcp_transport_http::MountedRoutes;
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use crate::audit::Audit;
use crate::config::{EventSettings, HttpSettings, TransmitterSettings};
use crate::metrics::Recorder;
pub(crate) use taken::Source;
use taken::{About, KNOWN_FOR, Taken, Taking};

const WORKOS_SIGNATURE: HeaderName = HeaderName::from_static("workos-signature");

/// What it shares with the rest of the process.
pub(crate) struct Shared<'a> {
    pub(crate) facts: Option<&'a RedisStore>,
    pub(crate) keyring: Keyring,
    pub(crate) denials: &'a Denials,
    pub(crate) audit: Option<&'a Audit>,
    pub(crate) recorder: Option<Arc<Recorder>>,
}

/// One way in which a provider tells.
enum Proof {
    Workos(Box<WorkosWebhooks>),
    Auth0(Auth0Events),
    BackchannelLogout(LogoutTokens),
    SecurityEvent(SecurityEvents, Option<SecretString>),
}

/// The paths of what is configured, if anything is.
pub(crate) fn routes(
    http: &HttpSettings,
    shared: Shared<'_>,
    client: &reqwest::Client,
) -> anyhow::Result<Option<MountedRoutes>> {
    let Some(settings) = &http.revocation.events else {
        return Ok(None);
    };
    let about = about(settings, http)?;
    let proofs = proofs(settings, &about, http, client)?;
    let keyring = Arc::new(shared.keyring);
    let ids = match shared.facts {
        Some(redis) => EventIds::shared(Arc::new(redis.clone()), keyring, KNOWN_FOR),
        None => EventIds::in_process(keyring, KNOWN_FOR),
    };
    for proof in &proofs {
        let (source, issuer) = (proof.source().as_str(), about.issuer.as_str());
        let path = proof.source().place().0;
        tracing::info!(
            source,
            path,
            issuer,
            "events of the identity provider are taken in"
        );
    }
    let taking = Taking {
        denials: shared.denials.clone(),
        ids,
        about,
        audit: shared.audit.cloned(),
        recorder: shared.recorder,
        told: Arc::default(),
    };
    Ok(Some(mounted(proofs, taking)))
}

fn mounted(proofs: Vec<Proof>, taking: Taking) -> MountedRoutes {
    let places: Vec<_> = proofs.iter().map(|it| it.source().place()).collect();
    let proofs = Arc::new(proofs);
    let routes = MountedRoutes::new(move |request: Request<Bytes>| {
        let (proofs, taking) = (Arc::clone(&proofs), taking.clone());
        async move { answer(&proofs, &taking, &request).await }
    });
    let places = places.into_iter();
    places.fold(routes, |routes, (path, label)| routes.path(path, label))
}

/// Whose users events are about: those of the issuer that is named, or of the first, which is the only
/// one or this server itself.
fn about(settings: &EventSettings, http: &HttpSettings) -> anyhow::Result<About> {
    let first = http.auth.issuers.first().context("there is no issuer")?;
    let issuer = settings.issuer.as_ref().unwrap_or(&first.accepted.issuer);
    let own = http.auth.authorization_server.as_ref();
    let own = own.filter(|_| *issuer == first.accepted.issuer);
    let provider = own.and_then(|own| match &own.provider.place {
        ProviderPlace::Issuer(provider) => Some(provider.clone()),
        _ => None,
    });
    let mut issuers = http.auth.issuers.iter();
    let of_issuer = issuers.find(|it| it.accepted.issuer == *issuer);
    let organizations = of_issuer.map(|it| it.accepted.organizations.clone());
    // An organization is denied whatever the issuer: with several, each speaks of its own alone.
    let several = http.auth.issuers.len() > 1;
    let organizations = organizations.unwrap_or_default();
    Ok(About {
        issuer: issuer.clone(),
        provider,
        organizations: (several || !organizations.is_empty()).then_some(organizations),
    })
}

fn proofs(
    settings: &EventSettings,
    about: &About,
    http: &HttpSettings,
    client: &reqwest::Client,
) -> anyhow::Result<Vec<Proof>> {
    let mut proofs = Vec::new();
    if let Some(secret) = &settings.workos_secret {
        let events = settings.workos_events.clone();
        let webhooks = WorkosWebhooks::new(secret.expose_secret(), events);
        proofs.push(Proof::Workos(Box::new(webhooks)));
    }
    if let Some(token) = &settings.auth0_token {
        let token = Zeroizing::new(token.expose_secret().to_owned());
        proofs.push(Proof::Auth0(Auth0Events::new(token)));
    }
    if !settings.logout_clients.is_empty() {
        let issuer = about.provider.as_ref().unwrap_or(&about.issuer);
        let accepted = http.auth.issuers.iter().map(|it| &it.accepted);
        let mut accepted = accepted.filter(|it| it.issuer == *issuer);
        let keys = accepted.next().and_then(|it| it.jwks_uri.as_deref());
        let clients = settings.logout_clients.clone();
        let tokens = LogoutTokens::new(issuer, clients, keys, client.clone())?;
        proofs.push(Proof::BackchannelLogout(tokens));
    }
    if let Some(transmitter) = &settings.transmitter {
        let TransmitterSettings {
            issuer,
            audiences,
            jwks_uri,
            token,
        } = transmitter.clone();
        let events = SecurityEvents::new(issuer, audiences, jwks_uri.as_deref(), client.clone())?;
        proofs.push(Proof::SecurityEvent(events, token));
    }
    Ok(proofs)
}

impl Source {
    /// Where it is, and its route in the access log and in metrics.
    pub(crate) fn place(self) -> (&'static str, &'static str) {
        match self {
            Self::Workos => ("/events/workos", "events_workos"),
            Self::Auth0 => ("/events/auth0", "events_auth0"),
            Self::BackchannelLogout => ("/events/backchannel-logout", "events_backchannel_logout"),
            Self::SecurityEvent => ("/events/set", "events_set"),
        }
    }
}

async fn answer(proofs: &[Proof], taking: &Taking, request: &Request<Bytes>) -> Response<Bytes> {
    let path = request.uri().path();
    let mut proofs = proofs.iter();
    let Some(proof) = proofs.find(|it| it.source().place().0 == path) else {
        return answers::not_allowed();
    };
    if request.method() != Method::POST {
        return answers::not_allowed();
    }
    let source = proof.source();
    let came = taken(proof, taking, request).await;
    if let Err(error) = &came {
        taking.refused(source, error);
    }
    answers::of(source, came)
}

async fn taken(
    proof: &Proof,
    taking: &Taking,
    request: &Request<Bytes>,
) -> Result<Taken, EventError> {
    let mut came = Ok(Taken::Ignored);
    for one in proof.told(request).await? {
        // One that is too old keeps none from those beside it.
        match taking.take(proof.source(), one).await {
            Ok(Taken::Failed) => return Ok(Taken::Failed),
            next => came = came.and_then(|taken: Taken| Ok(taken.max(next?))),
        }
    }
    came
}

impl Proof {
    fn source(&self) -> Source {
        match self {
            Self::Workos(_) => Source::Workos,
            Self::Auth0(_) => Source::Auth0,
            Self::BackchannelLogout(_) => Source::BackchannelLogout,
            Self::SecurityEvent(..) => Source::SecurityEvent,
        }
    }

    /// What a request tells, proven.
    async fn told(&self, request: &Request<Bytes>) -> Result<Vec<ReceivedEvents>, EventError> {
        let (headers, body, now) = (request.headers(), request.body(), SystemTime::now());
        let authorization = text(headers, &header::AUTHORIZATION);
        let one = match self {
            Self::Workos(proof) => proof.verify(text(headers, &WORKOS_SIGNATURE), body, now)?,
            Self::Auth0(proof) => return proof.verify(authorization, body),
            Self::BackchannelLogout(proof) => {
                let token = logout_token(headers, body)?;
                proof.verify(&token, now).await?
            }
            Self::SecurityEvent(proof, secret) => {
                let is_its = |it: &SecretString| is_bearer(authorization, it.expose_secret());
                if !secret.as_ref().is_none_or(is_its) {
                    return Err(EventError::Unauthenticated);
                }
                let set = std::str::from_utf8(body).ok();
                let set = set.filter(|_| is_of_type(headers, "application/secevent+jwt"));
                let set = set.ok_or(EventError::Malformed("it is no application/secevent+jwt"))?;
                proof.verify(set.trim(), now).await?
            }
        };
        Ok(vec![one])
    }
}

/// A header that is there once, and text.
fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

fn is_of_type(headers: &HeaderMap, media_type: &str) -> bool {
    let given = text(headers, &header::CONTENT_TYPE).unwrap_or_default();
    let given = given.split(';').next().unwrap_or_default().trim();
    given.eq_ignore_ascii_case(media_type)
}

/// The one parameter of a logout request (OpenID Connect Back-Channel Logout 1.0 section 2.5).
fn logout_token(headers: &HeaderMap, body: &[u8]) -> Result<String, EventError> {
    if !is_of_type(headers, "application/x-www-form-urlencoded") {
        return Err(EventError::Malformed("it is no form"));
    }
    let pairs = url::form_urlencoded::parse(body);
    let mut tokens = pairs.filter(|(name, _)| name == "logout_token");
    match (tokens.next(), tokens.next()) {
        (Some((_, token)), None) => Ok(token.into_owned()),
        _ => Err(EventError::Malformed("there is not one logout_token")),
    }
}
