//! Its codes and tokens: single use, replaced with every refresh, revocable.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Instant, SystemTime},
};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{
    Dialect, IdentityProvider, State,
    login::{Form, form},
    settings::ProviderUser,
};
use crate::{
    http::{Answer, json as json_answer, with_type},
    lock::lock,
    token::{TokenBuilder, seconds},
};

/// An error, as the standard and as GitHub calls it.
type Refusal = (&'static str, &'static str);

const UNKNOWN_CLIENT: Refusal = ("invalid_client", "incorrect_client_credentials");

/// What a code stands for.
#[derive(Clone)]
pub(super) struct Pending {
    pub(super) challenge: String,
    pub(super) redirect_uri: String,
    pub(super) nonce: Option<String>,
    pub(super) scope: String,
    pub(super) user: ProviderUser,
}

/// A user's login, with its newest refresh token, and those that are still taken.
struct Login {
    pending: Pending,
    refresh_tokens: Vec<RefreshToken>,
    access_tokens: Vec<(String, Option<i64>)>,
}

struct RefreshToken {
    text: String,
    /// Of one that was used.
    ends: Option<Instant>,
}

impl RefreshToken {
    fn is_good(&self) -> bool {
        self.ends.is_none_or(|ends| Instant::now() < ends)
    }
}

#[derive(Default)]
pub(super) struct Grants {
    codes: Mutex<BTreeMap<String, Pending>>,
    logins: Mutex<Vec<Login>>,
    refreshed: AtomicUsize,
}

impl Grants {
    /// A code for a login.
    pub(super) fn begin(&self, pending: Pending) -> String {
        let code = random("code");
        lock(&self.codes).insert(code.clone(), pending);
        code
    }
}

impl IdentityProvider {
    /// Ends all logins, as an administrator does: no token is good any more.
    pub fn end_logins(&self) {
        lock(&self.state.grants.logins).clear();
    }

    /// Withdraws all access tokens that were given out, and no login.
    pub fn withdraw_access_tokens(&self) {
        for login in lock(&self.state.grants.logins).iter_mut() {
            login.access_tokens.clear();
        }
    }

    /// How many logins there are: begun, and neither revoked nor ended.
    #[must_use]
    pub fn logins(&self) -> usize {
        lock(&self.state.grants.logins).len()
    }

    /// Refreshes that were done, whoever learned of it.
    #[must_use]
    pub fn refreshed(&self) -> usize {
        self.state.grants.refreshed.load(Ordering::Relaxed)
    }

    /// Whether this access token is good now.
    #[must_use]
    pub fn takes(&self, access_token: &str) -> bool {
        self.state.user_of(access_token).is_some()
    }
}

impl State {
    pub(super) fn token(&self, request: &Request<Bytes>) -> Answer {
        let asked = form(request.body());
        let field = |name: &str| asked.get(name).map(String::as_str).unwrap_or_default();
        if !self.knows_client(request.headers(), &asked) {
            return self.refuse(UNKNOWN_CLIENT);
        }
        let answer = match field("grant_type") {
            // GitHub does not ask for one.
            "authorization_code" | "" => self.redeem(&asked),
            "refresh_token" => self.refresh(field("refresh_token")),
            _ => Err(("unsupported_grant_type", "unsupported_grant_type")),
        };
        match answer {
            Ok(fields) => self.spell(request.headers(), fields),
            Err(refusal) => self.refuse(refusal),
        }
    }

    fn redeem(&self, asked: &Form) -> Result<Map<String, Value>, Refusal> {
        let field = |name: &str| asked.get(name).map(String::as_str).unwrap_or_default();
        let pending = lock(&self.grants.codes).remove(field("code"));
        let verifier = field("code_verifier").as_bytes();
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, verifier);
        let challenge = URL_SAFE_NO_PAD.encode(digest);
        let fits = |pending: &Pending| {
            pending.challenge == challenge && pending.redirect_uri == field("redirect_uri")
        };
        let pending = pending
            .filter(fits)
            .ok_or(("invalid_grant", "bad_verification_code"))?;
        let mut logins = lock(&self.grants.logins);
        logins.push(Login {
            pending,
            refresh_tokens: Vec::new(),
            access_tokens: Vec::new(),
        });
        let login = logins.last_mut().expect("it was put there");
        Ok(self.tokens(login, true))
    }

    fn refresh(&self, token: &str) -> Result<Map<String, Value>, Refusal> {
        let grace = lock(&self.settings).refresh_grace;
        let mut logins = lock(&self.grants.logins);
        for login in logins.iter_mut() {
            login.refresh_tokens.retain(RefreshToken::is_good);
            let mut known = login.refresh_tokens.iter_mut();
            if let Some(used) = known.find(|known| known.text == token) {
                used.ends.get_or_insert(Instant::now() + grace);
                self.grants.refreshed.fetch_add(1, Ordering::Relaxed);
                return Ok(self.tokens(login, false));
            }
        }
        Err(("invalid_grant", "bad_refresh_token"))
    }

    /// New tokens for a login.
    fn tokens(&self, login: &mut Login, first: bool) -> Map<String, Value> {
        let settings = lock(&self.settings);
        let access_token = match &settings.api {
            Some(api) => self.access_token(&login.pending.user, api, settings.lifetime),
            None => random("access"),
        };
        let ends = settings.lifetime.map(|lifetime| now() + lifetime);
        login.access_tokens.push((access_token.clone(), ends));
        let refresh_token = settings.refresh_tokens.then(|| random("refresh"));
        let bearer = if self.dialect == Dialect::OpenId {
            "Bearer"
        } else {
            "bearer"
        };
        let scope = login.pending.scope.as_str();
        let mut answer = Map::new();
        let mut say = |name: &str, value: Value| answer.insert(name.to_owned(), value);
        say("access_token", access_token.into());
        say("token_type", bearer.into());
        say("scope", scope.into());
        if let Some(lifetime) = settings.lifetime {
            say("expires_in", lifetime.into());
        }
        if let Some(text) = refresh_token {
            say("refresh_token", text.clone().into());
            login.refresh_tokens.push(RefreshToken { text, ends: None });
        }
        drop(settings);
        if self.dialect == Dialect::OpenId {
            let nonce = login.pending.nonce.as_deref().filter(|_| first);
            say("id_token", self.id_token(&login.pending.user, nonce).into());
        }
        answer
    }

    /// One that an API reads by itself (RFC 9068).
    fn access_token(&self, user: &ProviderUser, api: &str, lifetime: Option<i64>) -> String {
        let token = TokenBuilder::new(&self.url(), &[], lock(&self.key).clone());
        let token = token.audience(api).without("org_id");
        let token = match lifetime {
            Some(lifetime) => token.expires_in(lifetime),
            None => token.without("exp"),
        };
        with_claims(token, &user.0).mint()
    }

    fn id_token(&self, user: &ProviderUser, nonce: Option<&str>) -> String {
        let settings = lock(&self.settings);
        let key = lock(&self.key).clone();
        let mut claims = Map::new();
        claims.extend(user.0.clone());
        claims.retain(|name, _| !settings.only_in_userinfo.contains(name));
        claims.extend(nonce.map(|nonce| ("nonce".to_owned(), nonce.into())));
        claims.extend(settings.id_token.clone());
        let token = TokenBuilder::new(&self.url(), &[], key)
            .header("typ", "JWT")
            .audience(&settings.client_id)
            .without("scope")
            .without("org_id");
        with_claims(token, &claims).mint()
    }

    fn user_of(&self, access_token: &str) -> Option<ProviderUser> {
        let logins = lock(&self.grants.logins);
        let good = |(token, ends): &(String, Option<i64>)| {
            token == access_token && ends.is_none_or(|ends| now() < ends)
        };
        let mut logins = logins.iter();
        let login = logins.find(|login| login.access_tokens.iter().any(good))?;
        Some(login.pending.user.clone())
    }

    pub(super) fn userinfo(&self, headers: &HeaderMap) -> Answer {
        let bearer = authorization(headers).and_then(|it| it.strip_prefix("Bearer "));
        match bearer.and_then(|token| self.user_of(token)) {
            Some(user) => json_answer(StatusCode::OK, &Value::Object(user.0)),
            None => json_answer(
                StatusCode::UNAUTHORIZED,
                &json!({ "error": "invalid_token", "message": "Bad credentials" }),
            ),
        }
    }

    /// The login of this token ends; other tokens are unknown, which is no error.
    pub(super) fn revoke(&self, request: &Request<Bytes>) -> Answer {
        let asked = form(request.body());
        if !self.knows_client(request.headers(), &asked) {
            return self.refuse(UNKNOWN_CLIENT);
        }
        let token = asked.get("token").map(String::as_str).unwrap_or_default();
        self.end(token);
        json_answer(StatusCode::OK, &json!({}))
    }

    pub(super) fn revoke_like_github(&self, request: &Request<Bytes>) -> Answer {
        let asked: Value = serde_json::from_slice(request.body()).unwrap_or_default();
        let known = self.knows_client(request.headers(), &Form::new());
        match asked.get("access_token").and_then(Value::as_str) {
            Some(token) if known && self.end(token) => {
                with_type(StatusCode::NO_CONTENT, "application/json", String::new())
            }
            _ => json_answer(StatusCode::NOT_FOUND, &json!({ "message": "Not Found" })),
        }
    }

    fn end(&self, token: &str) -> bool {
        let mut logins = lock(&self.grants.logins);
        let before = logins.len();
        logins.retain(|login| {
            let mut refresh_tokens = login.refresh_tokens.iter();
            let mut access_tokens = login.access_tokens.iter();
            !refresh_tokens.any(|known| known.text == token)
                && !access_tokens.any(|(known, _)| known == token)
        });
        logins.len() < before
    }

    /// HTTP Basic with both parts encoded as in a form (RFC 6749 section 2.3.1), or the form itself.
    fn knows_client(&self, headers: &HeaderMap, asked: &Form) -> bool {
        let basic = authorization(headers).and_then(|it| it.strip_prefix("Basic "));
        let decoded = basic.and_then(|it| STANDARD.decode(it).ok());
        let decoded = decoded.and_then(|it| String::from_utf8(it).ok());
        let (id, secret) = match decoded.as_deref().and_then(|it| it.split_once(':')) {
            Some((id, secret)) => (plain(id), plain(secret)),
            None => {
                let field = |name: &str| asked.get(name).cloned().unwrap_or_default();
                (field("client_id"), field("client_secret"))
            }
        };
        id == lock(&self.settings).client_id && secret == IdentityProvider::CLIENT_SECRET
    }

    /// What a token means (RFC 7662): the user's claims, while it is good.
    pub(super) fn introspect(&self, request: &Request<Bytes>) -> Answer {
        let asked = form(request.body());
        if !self.knows_client(request.headers(), &asked) {
            return self.refuse(UNKNOWN_CLIENT);
        }
        let user = asked.get("token").and_then(|token| self.user_of(token));
        let mut claims = user.map(|user| user.0).unwrap_or_default();
        claims.insert("active".to_owned(), (!claims.is_empty()).into());
        json_answer(StatusCode::OK, &Value::Object(claims))
    }

    fn refuse(&self, (standard, of_github): Refusal) -> Answer {
        let (status, code) = match (self.dialect, standard) {
            (Dialect::GitHub, _) => (StatusCode::OK, of_github),
            (Dialect::OpenId, "invalid_client") => (StatusCode::UNAUTHORIZED, standard),
            (Dialect::OpenId, _) => (StatusCode::BAD_REQUEST, standard),
        };
        json_answer(status, &json!({ "error": code }))
    }

    /// GitHub answers with a form, unless it is asked for JSON.
    fn spell(&self, headers: &HeaderMap, fields: Map<String, Value>) -> Answer {
        let accept = headers.get(header::ACCEPT).and_then(|it| it.to_str().ok());
        let json = accept.is_some_and(|accept| accept.starts_with("application/json"));
        if self.dialect == Dialect::OpenId || json {
            return json_answer(StatusCode::OK, &Value::Object(fields));
        }
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in &fields {
            body.append_pair(name, value.as_str().unwrap_or_default());
        }
        let kind = "application/x-www-form-urlencoded";
        with_type(StatusCode::OK, kind, body.finish())
    }
}

/// A null is a claim that is not there.
fn with_claims(token: TokenBuilder, claims: &Map<String, Value>) -> TokenBuilder {
    claims.iter().fold(token, |token, (name, value)| {
        if value.is_null() {
            token.without(name)
        } else {
            token.claim(name, value.clone())
        }
    })
}

fn plain(encoded: &str) -> String {
    let fields = form(format!("it={encoded}").as_bytes());
    fields.get("it").cloned().unwrap_or_default()
}

fn authorization(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()
}

fn random(kind: &str) -> String {
    format!("{kind}_{}", Uuid::new_v4().simple())
}

fn now() -> i64 {
    seconds(SystemTime::now())
}
