//! The authorization endpoint: the request is checked, the user is asked, and then sent to the provider.

use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde::{Deserialize, Serialize};
use url::Url;
use zeroize::Zeroizing;

use crate::{
    answer::see_other,
    clients::{Asker, Client, ClientKind, Redirect, RedirectKind},
    consent::Consents,
    form::Form,
    keys::{CannotSeal, Kind, NotOurs, random},
    observe::Event,
    pages::{self, Identity},
    request::{AuthorizationRequest, PATIENCE, Refused, digest_text, seconds},
    server::Inner,
};

/// The cookie that tells one browser from another while its user is asked.
const BROWSER: &str = "browser";

/// What the cookies of logins begin with.
const LOGIN: &str = "login-";

/// Longest request, sealed, in bytes: a browser drops a cookie of more than 4,096 bytes without a word.
const LONGEST: usize = 3_700;

/// A request whose user is with the provider. It rides in the browser's own cookie: nobody else can
/// finish it, and strangers take no room of the store.
#[derive(Serialize, Deserialize)]
pub(crate) struct UnderWay {
    #[serde(flatten)]
    pub(crate) request: AuthorizationRequest,
    /// Of PKCE with the provider.
    #[serde(rename = "v")]
    pub(crate) code_verifier: String,
    /// For the provider's ID token.
    #[serde(rename = "o")]
    pub(crate) nonce: String,
}

impl UnderWay {
    /// The name of the cookie for one `state`.
    pub(crate) fn cookie(state: &str) -> String {
        format!("{LOGIN}{}", state.get(..12).unwrap_or_default())
    }

    pub(crate) fn open(
        inner: &Inner,
        state: &str,
        sealed: &str,
        now: SystemTime,
    ) -> Result<Self, NotOurs> {
        let plain = inner.keys.open(Kind::Request, &place_of(state), sealed)?;
        let under_way: Self = serde_json::from_slice(&plain).map_err(|_| NotOurs)?;
        under_way.request.is_recent(now)?;
        Ok(under_way)
    }
}

fn place_of(state: &str) -> String {
    format!("state {state}")
}

impl Inner {
    /// `GET /authorize`.
    pub(crate) async fn authorize(
        &self,
        headers: &HeaderMap,
        query: &str,
        now: SystemTime,
    ) -> Response<Bytes> {
        let Ok(form) = Form::parse(query.as_bytes()) else {
            return self.bad_link("The link has parameters that cannot be read, or has one twice.");
        };
        let Some(client_id) = form.get("client_id") else {
            return self.bad_link("The link does not say which application it is for (client_id).");
        };
        let client = match self.clients.find(client_id, Asker::Anybody, now).await {
            Ok(client) => client,
            Err(error) => return self.unknown_client(&error),
        };
        let Some(redirect) = client.redirect(form.get("redirect_uri")) else {
            return self.bad_link(
                "The application did not register the address that the answer should go to \
                 (redirect_uri).",
            );
        };
        let request = match AuthorizationRequest::read(self, &client, &redirect, &form, now) {
            Ok(request) => request,
            Err(refused) => return self.refuse(&client, &redirect, &form, &refused),
        };
        let consents = Consents::of(self, headers, now);
        let asks_again = form
            .get("prompt")
            .is_some_and(|prompt| prompt.split(' ').any(|it| it == "consent"));
        if !asks_again && consents.has(&request) {
            self.config.observer.tell(Event::Consent("remembered"));
            return self.to_provider(headers, request).await;
        }
        let browser = self
            .cookies
            .get(headers, BROWSER)
            .filter(|it| it.len() == 22);
        let Ok(browser) = browser.map_or_else(random::<16>, |known| Ok(known.to_owned())) else {
            return self.out_of_order();
        };
        self.ask(&client, &redirect, &request, &browser)
    }

    /// The consent page, whose form only this browser can send.
    fn ask(
        &self,
        client: &Client,
        redirect: &Redirect,
        request: &AuthorizationRequest,
        browser: &str,
    ) -> Response<Bytes> {
        let kind = if remembers(client, redirect) {
            "r"
        } else {
            "o"
        };
        let place = format!("form {kind} {}", digest_text(browser));
        let Ok(sealed) = request.seal(&self.keys, &place) else {
            return self.out_of_order();
        };
        if sealed.len() > LONGEST {
            let text = "state, redirect_uri and scope are too long together";
            let back = request.refusal(&self.config.issuer, &Refused::new("invalid_request", text));
            return self.page(
                "invalid_request",
                StatusCode::BAD_REQUEST,
                "This link is too long",
                text,
                None,
                Some(&back),
            );
        }
        let everything = format!("use {} in your name", self.config.service_name);
        let mut abilities = self.meanings(&request.scopes);
        if abilities.is_empty() {
            abilities.push(&everything);
        }
        if client.may_use("refresh_token") {
            abilities.push("do so while you are away, until the login ends");
        }
        let action = format!("{}/authorize", self.prefix);
        let (Ok(redirect_uri), Ok(provider)) = (
            Url::parse(&redirect.uri),
            Url::parse(self.provider.issuer()),
        ) else {
            return self.out_of_order();
        };
        let document = Url::parse(&client.id).ok();
        let mut response = pages::consent(&pages::Consent {
            service: &self.config.service_name,
            client_name: client.name.as_deref(),
            identity: match (client.kind, &document) {
                (ClientKind::Configured, _) => Identity::Configured,
                (ClientKind::Document, Some(url)) => Identity::Document(url),
                _ => Identity::Registered,
            },
            redirect_uri: &redirect_uri,
            part: request.below.as_deref(),
            abilities: &abilities,
            provider: &provider,
            action: &action,
            request: &format!("{kind}.{sealed}"),
        });
        self.cookies.set(&mut response, BROWSER, browser, PATIENCE);
        self.config.observer.tell(Event::Consent("asked"));
        response
    }

    /// `POST /authorize`: what the user decided.
    pub(crate) async fn decide(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: SystemTime,
    ) -> Response<Bytes> {
        if self.comes_from_elsewhere(headers) {
            return self.bad_link("The answer did not come from this server's own page.");
        }
        let opened = Form::parse(body).ok().and_then(|form| {
            let browser = self.cookies.get(headers, BROWSER)?;
            let (kind, sealed) = form.get("request")?.split_once('.')?;
            let place = format!("form {kind} {}", digest_text(browser));
            let request = AuthorizationRequest::open(&self.keys, &place, sealed, now).ok()?;
            let allowed = form.get("decision") == Some("allow");
            Some((request, allowed, kind == "r"))
        });
        let Some((request, allowed, remembered)) = opened else {
            return self.not_this_browser();
        };
        if !allowed {
            self.config.observer.tell(Event::Consent("withheld"));
            return self.turned_away(&request, "the user did not agree");
        }
        self.config.observer.tell(Event::Consent("given"));
        // From here on the user is with the provider, and has the time for that.
        let request = AuthorizationRequest {
            asked_at: seconds(now),
            ..request
        };
        let consents = Consents::of(self, headers, now);
        let cookie = remembered.then(|| consents.with(self, &request, now));
        let mut response = self.to_provider(headers, request).await;
        if let Some(Ok(cookie)) = cookie {
            Consents::keep(self, &mut response, &cookie);
        }
        response
    }

    /// Sends the browser to the provider, with the request in its own keeping.
    async fn to_provider(
        &self,
        headers: &HeaderMap,
        request: AuthorizationRequest,
    ) -> Response<Bytes> {
        let randoms = (random::<24>(), random::<32>(), random::<24>());
        let (Ok(state), Ok(code_verifier), Ok(nonce)) = randoms else {
            return self.out_of_order();
        };
        let challenge = digest_text(&code_verifier);
        let url = self
            .provider
            .authorization_url(&state, &nonce, &challenge, &self.callback);
        let url = match url.await {
            Ok(url) => url,
            Err(error) => return self.provider_failed(&request, &error),
        };
        let under_way = UnderWay {
            request,
            code_verifier,
            nonce,
        };
        let Ok(sealed) = self.seal_under_way(&under_way, &state) else {
            return self.out_of_order();
        };
        let mut response = see_other(url.as_str());
        // Logins that were given up leave no room for their cookies: proxies refuse long headers.
        let others = self.cookies.names(headers, LOGIN);
        for given_up in others.iter().rev().skip(1) {
            self.cookies.clear(&mut response, given_up);
        }
        let cookie = UnderWay::cookie(&state);
        self.cookies.set(&mut response, &cookie, &sealed, PATIENCE);
        response
    }

    fn seal_under_way(&self, under_way: &UnderWay, state: &str) -> Result<String, CannotSeal> {
        let plain = Zeroizing::new(serde_json::to_vec(under_way).map_err(|_| CannotSeal)?);
        self.keys.seal(Kind::Request, &place_of(state), &plain)
    }

    /// Whether a browser says that a form was sent by another page than ours. Old ones say nothing: for
    /// them the cookie has to do.
    fn comes_from_elsewhere(&self, headers: &HeaderMap) -> bool {
        let says = |name| headers.get(name).map(HeaderValue::as_bytes);
        let site = says(header::HeaderName::from_static("sec-fetch-site"));
        let origin = says(header::ORIGIN);
        site.is_some_and(|site| site != b"same-origin")
            || origin.is_some_and(|origin| origin != self.origin.as_bytes())
    }
}

/// Whether a consent is remembered. An address of the user's own machine, or a scheme, may be anybody's
/// who says the same client id; one that was made for a single installation is nobody else's.
fn remembers(client: &Client, redirect: &Redirect) -> bool {
    client.kind == ClientKind::Registered || redirect.kind == RedirectKind::Web
}
