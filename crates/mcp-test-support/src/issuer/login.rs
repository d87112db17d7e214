//! The stand-in's logins: who asks is let in as the user that was set, without a password.

use std::{
    collections::BTreeMap,
    sync::Mutex,
    time::{Duration, SystemTime},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use serde_json::json;
use uuid::Uuid;

use super::{Issuer, State};
use crate::{
    gate::Gate,
    http::{Answer, json as json_answer, with_type},
    journal::Journal,
    lock::lock,
    token::seconds,
};

/// What becomes of a refresh token that is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// It stays good.
    Off,
    /// It is replaced, and its use a second time ends the login (RFC 9700 section 4.14.2).
    Strict,
    /// It is replaced, and accepted a second time: for clients that lost the answer.
    Grace,
}

/// What the login endpoints know.
pub(super) struct Logins {
    settings: Mutex<Settings>,
    codes: Mutex<BTreeMap<String, Pending>>,
    devices: Mutex<BTreeMap<String, Device>>,
    tokens: Mutex<BTreeMap<String, Refresh>>,
    /// Grants that were asked for: the grant type of each request to the token endpoint.
    pub(super) grants: Journal<String>,
}

#[derive(Clone)]
struct Settings {
    subject: String,
    organization: String,
    lifetime: i64,
    rotation: Rotation,
    /// Answers of the token endpoint wait here, after what was asked is done.
    hold: Option<Gate>,
    /// The `iss` of its redirects.
    named: Option<String>,
    declines: bool,
    /// Why refreshes are refused.
    refresh_error: Option<String>,
    /// How registrations are refused: status and body.
    registration_error: Option<(u16, String)>,
    odd: bool,
}

struct Pending {
    challenge: String,
    redirect_uri: String,
}

struct Device {
    user_code: String,
    approved: bool,
}

#[derive(Clone)]
struct Refresh {
    login: String,
    used: bool,
}

impl Default for Logins {
    fn default() -> Self {
        let settings = Settings {
            subject: "user_ada".to_owned(),
            organization: "org_ada".to_owned(),
            lifetime: 3_600,
            rotation: Rotation::Strict,
            hold: None,
            named: None,
            declines: false,
            refresh_error: None,
            registration_error: None,
            odd: false,
        };
        Self {
            settings: Mutex::new(settings),
            codes: Mutex::default(),
            devices: Mutex::default(),
            tokens: Mutex::default(),
            grants: Journal::new(),
        }
    }
}

pub(super) type Form = BTreeMap<String, String>;

impl Issuer {
    /// Where a login begins.
    pub const AUTHORIZE_PATH: &'static str = "/oauth2/authorize";
    /// Where grants become tokens.
    pub const TOKEN_PATH: &'static str = "/oauth2/token";
    /// Where tokens are given back (RFC 7009).
    pub const REVOKE_PATH: &'static str = "/oauth2/revoke";
    /// Where a login on another device begins (RFC 8628).
    pub const DEVICE_PATH: &'static str = "/oauth2/device_authorization";
    /// Where clients register themselves (RFC 7591).
    pub const REGISTER_PATH: &'static str = "/oauth2/register";

    /// Who is logged in from now on.
    pub fn set_user(&self, subject: &str, organization: &str) {
        let mut settings = lock(&self.state.logins.settings);
        settings.subject = subject.to_owned();
        settings.organization = organization.to_owned();
    }

    /// How long access tokens of logins are good from now on.
    pub fn set_lifetime(&self, lifetime: Duration) {
        let seconds = i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX);
        lock(&self.state.logins.settings).lifetime = seconds;
    }

    /// What becomes of refresh tokens that are used from now on.
    pub fn set_rotation(&self, rotation: Rotation) {
        lock(&self.state.logins.settings).rotation = rotation;
    }

    /// From now on the token endpoint does what it is asked, and answers when the gate opens.
    pub fn hold_tokens(&self, gate: Gate) {
        lock(&self.state.logins.settings).hold = Some(gate);
    }

    /// From now on redirects claim to come from this issuer (RFC 9207).
    pub fn pretend_to_be(&self, issuer: &str) {
        lock(&self.state.logins.settings).named = Some(issuer.to_owned());
    }

    /// From now on the user says no.
    pub fn decline(&self) {
        lock(&self.state.logins.settings).declines = true;
    }

    /// From now on no refresh token is taken, with this error code.
    pub fn refuse_refreshes(&self, code: &str) {
        lock(&self.state.logins.settings).refresh_error = Some(code.to_owned());
    }

    /// From now on no client can register itself; this is the answer.
    pub fn refuse_registrations(&self, status: u16, body: &str) {
        lock(&self.state.logins.settings).registration_error = Some((status, body.to_owned()));
    }

    /// From now on it answers as some issuers do: errors with status 200, numbers as texts, null and
    /// other types for what nobody needs, byte order marks.
    pub fn speak_oddly(&self) {
        lock(&self.state.logins.settings).odd = true;
    }

    /// The user types this code in on another device. Whether it is one.
    pub fn approve_device(&self, user_code: &str) -> bool {
        let mut devices = lock(&self.state.logins.devices);
        let mut waiting = devices.values_mut();
        match waiting.find(|device| device.user_code == user_code) {
            Some(device) => {
                device.approved = true;
                true
            }
            None => false,
        }
    }

    /// Requests to the token endpoint with this grant type; also those that were refused.
    #[must_use]
    pub fn grants(&self, grant_type: &str) -> usize {
        self.state.logins.grants.count(|asked| asked == grant_type)
    }

    /// What was asked of the token endpoint, to wait on.
    #[must_use]
    pub fn grant_types(&self) -> &Journal<String> {
        &self.state.logins.grants
    }

    /// How many refresh tokens are good.
    #[must_use]
    pub fn live_refresh_tokens(&self) -> usize {
        let tokens = lock(&self.state.logins.tokens);
        tokens.values().filter(|token| !token.used).count()
    }
}

impl State {
    /// Answers at the login endpoints; `None` where this is none.
    pub(super) async fn log_in(&self, request: &Request<bytes::Bytes>) -> Option<Answer> {
        let form = parse(request.body());
        let odd = lock(&self.logins.settings).odd;
        let answer = match (request.method(), request.uri().path()) {
            (&Method::GET, Issuer::AUTHORIZE_PATH) => {
                self.authorize(&parse(request.uri().query().unwrap_or_default().as_bytes()))
            }
            (&Method::POST, Issuer::TOKEN_PATH) => {
                let grant = form.get("grant_type").cloned().unwrap_or_default();
                let exchanged = self.exchange(request.headers(), &form).await;
                let answer = exchanged.unwrap_or_else(|| self.token(&form));
                self.logins.grants.push(grant);
                let hold = lock(&self.logins.settings).hold.clone();
                if let Some(gate) = hold {
                    gate.passed().await;
                }
                answer
            }
            (&Method::POST, Issuer::DEVICE_PATH) => self.device(),
            (&Method::POST, Issuer::REVOKE_PATH) => self.revoke(&form),
            (&Method::POST, Issuer::REGISTER_PATH) => self.register(),
            _ => return None,
        };
        let is_page = request.method() == Method::GET;
        Some(if odd && !is_page {
            odd_answer(answer).await
        } else {
            answer
        })
    }

    fn authorize(&self, query: &Form) -> Answer {
        let wanted = ["client_id", "redirect_uri", "state", "code_challenge"];
        let wanted = wanted.map(|name| query.get(name).filter(|value| !value.is_empty()));
        let [Some(_), Some(redirect_uri), Some(state), Some(challenge)] = wanted else {
            return refused("invalid_request");
        };
        let pkce = query.get("code_challenge_method").map(String::as_str) == Some("S256");
        if !pkce || query.get("response_type").map(String::as_str) != Some("code") {
            return refused("invalid_request");
        }
        let settings = lock(&self.logins.settings).clone();
        let mut answer = url::form_urlencoded::Serializer::new(String::new());
        answer.append_pair("state", state);
        answer.append_pair("iss", &settings.named.unwrap_or_else(|| self.url()));
        if settings.declines {
            answer.append_pair("error", "access_denied");
        } else {
            let code = random();
            answer.append_pair("code", &code);
            let pending = Pending {
                challenge: challenge.clone(),
                redirect_uri: redirect_uri.clone(),
            };
            lock(&self.logins.codes).insert(code, pending);
        }
        let mut found = with_type(StatusCode::FOUND, "text/plain", String::new());
        let location = format!("{redirect_uri}?{}", answer.finish());
        let location = location.parse().expect("it is made of escaped parts");
        found.headers_mut().insert(header::LOCATION, location);
        found
    }

    fn token(&self, form: &Form) -> Answer {
        let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        if field("client_id").is_empty() {
            return refused("invalid_client");
        }
        match field("grant_type") {
            "authorization_code" => {
                let pending = lock(&self.logins.codes).remove(field("code"));
                let fits = pending.is_some_and(|pending| {
                    let digest = aws_lc_rs::digest::digest(
                        &aws_lc_rs::digest::SHA256,
                        field("code_verifier").as_bytes(),
                    );
                    pending.challenge == URL_SAFE_NO_PAD.encode(digest)
                        && pending.redirect_uri == field("redirect_uri")
                });
                if fits {
                    self.tokens(&random())
                } else {
                    refused("invalid_grant")
                }
            }
            "refresh_token" => self.refresh(field("refresh_token")),
            "urn:ietf:params:oauth:grant-type:device_code" => {
                let mut devices = lock(&self.logins.devices);
                match devices.get(field("device_code")).map(|it| it.approved) {
                    Some(true) => {
                        devices.remove(field("device_code"));
                        self.tokens(&random())
                    }
                    Some(false) => refused("authorization_pending"),
                    None => refused("expired_token"),
                }
            }
            _ => refused("unsupported_grant_type"),
        }
    }

    fn refresh(&self, token: &str) -> Answer {
        let settings = lock(&self.logins.settings).clone();
        if let Some(code) = settings.refresh_error {
            return refused(&code);
        }
        let rotation = settings.rotation;
        let mut tokens = lock(&self.logins.tokens);
        let Some(known) = tokens.get(token).cloned() else {
            return refused("invalid_grant");
        };
        if known.used && rotation == Rotation::Strict {
            tokens.retain(|_, other| other.login != known.login);
            return refused("invalid_grant");
        }
        if let Some(entry) = tokens.get_mut(token) {
            entry.used = rotation != Rotation::Off;
        }
        drop(tokens);
        self.tokens(&known.login)
    }

    /// New tokens for a login.
    fn tokens(&self, login: &str) -> Answer {
        let settings = lock(&self.logins.settings).clone();
        let claims = json!({
            "sub": settings.subject, "org_id": settings.organization,
            "exp": seconds(SystemTime::now()) + settings.lifetime,
        });
        let refresh = random();
        let entry = Refresh {
            login: login.to_owned(),
            used: false,
        };
        lock(&self.logins.tokens).insert(refresh.clone(), entry);
        let body = json!({
            "access_token": self.mint(&claims), "token_type": "Bearer",
            "expires_in": settings.lifetime, "refresh_token": refresh,
        });
        json_answer(StatusCode::OK, &body)
    }

    fn device(&self) -> Answer {
        let (code, user_code) = (random(), random()[..8].to_uppercase());
        let device = Device {
            user_code: user_code.clone(),
            approved: false,
        };
        lock(&self.logins.devices).insert(code.clone(), device);
        let page = format!("{}/device", self.url());
        let body = json!({
            "device_code": code, "user_code": user_code, "verification_uri": page,
            "verification_uri_complete": format!("{page}?user_code={user_code}"),
            "expires_in": 600, "interval": 1,
        });
        json_answer(StatusCode::OK, &body)
    }

    fn register(&self) -> Answer {
        if let Some((status, body)) = lock(&self.logins.settings).registration_error.clone() {
            let status = StatusCode::from_u16(status).expect("it is a status");
            return with_type(status, "application/json", body);
        }
        let id = format!("client_{}", Uuid::new_v4().simple());
        let body = json!({ "client_id": id, "token_endpoint_auth_method": "none" });
        json_answer(StatusCode::CREATED, &body)
    }

    /// The login of this refresh token ends; other tokens are unknown, which is no error.
    fn revoke(&self, form: &Form) -> Answer {
        let token = form.get("token").map(String::as_str).unwrap_or_default();
        let mut tokens = lock(&self.logins.tokens);
        if let Some(known) = tokens.get(token).cloned() {
            tokens.retain(|_, other| other.login != known.login);
        }
        json_answer(StatusCode::OK, &json!({}))
    }
}

pub(super) fn refused(code: &str) -> Answer {
    json_answer(StatusCode::BAD_REQUEST, &json!({ "error": code }))
}

/// The same answer as issuers write it that keep to no standard.
async fn odd_answer(answer: Answer) -> Answer {
    let body = answer.into_body().collect().await;
    let body = body.map(http_body_util::Collected::to_bytes);
    let body = body.unwrap_or_default();
    let mut fields: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    for number in ["interval", "expires_in"] {
        if let Some(value) = fields.get_mut(number) {
            *value = value.to_string().into();
        }
    }
    if let Some(fields) = fields.as_object_mut() {
        fields.remove("verification_uri_complete");
        fields.insert("scope".to_owned(), json!(null));
        fields.insert("id_token".to_owned(), json!(7));
        fields.insert("client_secret_expires_at".to_owned(), json!("never"));
    }
    with_type(
        StatusCode::OK,
        "application/json",
        format!("\u{feff}{fields}"),
    )
}

fn random() -> String {
    Uuid::new_v4().simple().to_string()
}

fn parse(text: &[u8]) -> Form {
    url::form_urlencoded::parse(text).into_owned().collect()
}
