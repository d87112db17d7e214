//! The stand-in's token exchange (RFC 8693, and Entra's on-behalf-of): it knows its clients and how
//! they prove who they are, checks the subject token, and can be told to answer anything at all.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::SystemTime,
};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};

use super::{Issuer, State, login};
use crate::{
    gate::Gate,
    http::{Answer, json as json_answer, with_type},
    journal::Journal,
    keys::SigningKey,
    lock::lock,
    token::{payload_of, seconds},
};

pub(super) const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ON_BEHALF_OF: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const CLIENT_ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How a client that may exchange tokens proves who it is.
#[derive(Clone, Debug)]
pub enum ExchangeClient {
    /// A secret in HTTP Basic.
    Basic(String),
    /// A secret in the form.
    Post(String),
    /// An assertion that it signs with this key (RFC 7523).
    Key(Arc<SigningKey>),
}

/// What every exchange is answered from now on.
#[derive(Clone, Debug)]
pub enum ExchangeAnswer {
    /// As it should be.
    Right,
    /// This status and body.
    Fixed(u16, String),
    /// A redirect to this address.
    Redirect(String),
    /// As it should be, when the gate opens.
    Held(Gate),
}

/// An exchange that was asked for.
#[derive(Clone, Debug)]
pub struct ExchangeRequest {
    /// The client that proved who it is; none where none did.
    pub client: Option<String>,
    /// All fields of the form.
    pub form: BTreeMap<String, String>,
}

/// What is known about exchanges.
pub(super) struct Exchanges {
    clients: Mutex<BTreeMap<String, ExchangeClient>>,
    answer: Mutex<ExchangeAnswer>,
    lifetime: Mutex<i64>,
    /// The ids of assertions, each good once.
    assertions: Mutex<Vec<Value>>,
    asked: Journal<ExchangeRequest>,
}

impl Default for Exchanges {
    fn default() -> Self {
        Self {
            clients: Mutex::default(),
            answer: Mutex::new(ExchangeAnswer::Right),
            lifetime: Mutex::new(300),
            assertions: Mutex::default(),
            asked: Journal::new(),
        }
    }
}

impl Issuer {
    /// From now on this client may exchange tokens.
    pub fn let_exchange(&self, client_id: &str, client: ExchangeClient) {
        lock(&self.state.exchanges.clients).insert(client_id.to_owned(), client);
    }

    /// How exchanges are answered from now on.
    pub fn answer_exchanges(&self, answer: ExchangeAnswer) {
        *lock(&self.state.exchanges.answer) = answer;
    }

    /// How many seconds exchanged tokens are good for from now on.
    pub fn set_exchanged_lifetime(&self, seconds: i64) {
        *lock(&self.state.exchanges.lifetime) = seconds;
    }

    /// The exchanges that were asked for, refused ones too.
    #[must_use]
    pub fn exchanges(&self) -> &Journal<ExchangeRequest> {
        &self.state.exchanges.asked
    }
}

impl State {
    /// Answers a request for an exchange; `None` where it is for something else.
    pub(super) async fn exchange(&self, headers: &HeaderMap, form: &login::Form) -> Option<Answer> {
        let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        let subject_token = match field("grant_type") {
            TOKEN_EXCHANGE => field("subject_token"),
            ON_BEHALF_OF => field("assertion"),
            _ => return None,
        };
        let client = self.authenticated(headers, form);
        self.exchanges.asked.push(ExchangeRequest {
            client: client.clone(),
            form: form.clone(),
        });
        let answer = lock(&self.exchanges.answer).clone();
        Some(match answer {
            ExchangeAnswer::Right => self.exchanged(client, subject_token, form),
            ExchangeAnswer::Held(gate) => {
                gate.passed().await;
                self.exchanged(client, subject_token, form)
            }
            ExchangeAnswer::Fixed(status, body) => {
                let status = StatusCode::from_u16(status).expect("it is a status");
                with_type(status, "application/json", body)
            }
            ExchangeAnswer::Redirect(to) => {
                let mut answer =
                    with_type(StatusCode::TEMPORARY_REDIRECT, "text/plain", String::new());
                let to = to.parse().expect("it is an address");
                answer.headers_mut().insert(header::LOCATION, to);
                answer
            }
        })
    }

    fn exchanged(&self, client: Option<String>, subject_token: &str, form: &login::Form) -> Answer {
        let Some(client) = client else {
            return json_answer(
                StatusCode::UNAUTHORIZED,
                &json!({ "error": "invalid_client" }),
            );
        };
        let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        let on_behalf_of = field("grant_type") == ON_BEHALF_OF;
        let right = if on_behalf_of {
            field("requested_token_use") == "on_behalf_of"
        } else {
            field("subject_token_type") == ACCESS_TOKEN
        };
        let target = [field("resource"), field("audience"), field("scope")];
        let target = target.into_iter().find(|it| !it.is_empty());
        let (true, Some(target)) = (right, target) else {
            return login::refused("invalid_request");
        };
        let Some(subject) = self.genuine(subject_token) else {
            return login::refused("invalid_grant");
        };
        let (lifetime, now) = (*lock(&self.exchanges.lifetime), self.now());
        let asked = Some(field("scope")).filter(|it| !it.is_empty());
        let scope = asked.map_or_else(|| subject.get("scope").cloned(), |it| Some(it.into()));
        // Who acted before is inside (RFC 8693 section 4.1).
        let act = match subject.get("act") {
            Some(before) => json!({ "sub": client, "act": before }),
            None => json!({ "sub": client }),
        };
        let claims = json!({
            "sub": subject.get("sub"), "org_id": subject.get("org_id"), "aud": target,
            "scope": scope, "exp": now + lifetime, "client_id": subject.get("client_id"),
            "act": act,
        });
        let body = json!({
            "access_token": self.mint(&claims), "issued_token_type": ACCESS_TOKEN,
            "token_type": "Bearer", "expires_in": lifetime,
        });
        json_answer(StatusCode::OK, &body)
    }

    /// The claims of a token that one of its keys signed and that is not over.
    fn genuine(&self, token: &str) -> Option<serde_json::Map<String, Value>> {
        let (message, signature) = token.rsplit_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let algorithm = header_of(token)?;
        let keys = lock(&self.keys).clone();
        let signed = |key: &Arc<SigningKey>| {
            key.verifies(algorithm.as_str(), message.as_bytes(), &signature)
        };
        let claims = payload_of(token).filter(|_| keys.iter().any(signed))?;
        let ends = claims.get("exp").and_then(Value::as_i64)?;
        (ends > self.now()).then_some(claims)
    }

    /// The client that proves who it is, in exactly the way that it is registered for.
    fn authenticated(&self, headers: &HeaderMap, form: &login::Form) -> Option<String> {
        let basic = headers.get(header::AUTHORIZATION);
        let basic = basic.and_then(|value| value.to_str().ok());
        let (secret, assertion) = (form.get("client_secret"), form.get("client_assertion"));
        let clients = lock(&self.exchanges.clients).clone();
        match (basic, secret, assertion) {
            (Some(basic), None, None) => {
                let pair = STANDARD.decode(basic.strip_prefix("Basic ")?).ok()?;
                let pair = String::from_utf8(pair).ok()?;
                let (id, given) = pair.split_once(':')?;
                let (id, given) = (unescaped(id), unescaped(given));
                let known = clients.get(&id);
                matches!(known, Some(ExchangeClient::Basic(secret)) if *secret == given)
                    .then_some(id)
            }
            (None, Some(given), None) => {
                let id = form.get("client_id")?;
                let known = clients.get(id);
                matches!(known, Some(ExchangeClient::Post(secret)) if secret == given)
                    .then(|| id.clone())
            }
            (None, None, Some(assertion)) => {
                let id = form.get("client_id")?;
                let Some(ExchangeClient::Key(key)) = clients.get(id) else {
                    return None;
                };
                let typed = form.get("client_assertion_type").map(String::as_str);
                (typed == Some(CLIENT_ASSERTION) && self.asserts(key, id, assertion))
                    .then(|| id.clone())
            }
            _ => None,
        }
    }

    /// RFC 7523 section 3, and each assertion once.
    fn asserts(&self, key: &SigningKey, client_id: &str, assertion: &str) -> bool {
        let Some((message, signature)) = assertion.rsplit_once('.') else {
            return false;
        };
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
        let algorithm = header_of(assertion).unwrap_or_default();
        let claims = payload_of(assertion).unwrap_or_default();
        let is = |name: &str, value: &str| claims.get(name) == Some(&json!(value));
        let endpoint = format!("{}{}", self.url(), Issuer::TOKEN_PATH);
        let ends = claims.get("exp").and_then(Value::as_i64);
        let mut seen = lock(&self.exchanges.assertions);
        let id = claims.get("jti").cloned().unwrap_or_default();
        let fresh = id.is_string() && !seen.contains(&id);
        seen.push(id);
        key.verifies(&algorithm, message.as_bytes(), &signature)
            && is("iss", client_id)
            && is("sub", client_id)
            && (is("aud", &self.url()) || is("aud", &endpoint))
            && ends.is_some_and(|at| at > seconds(SystemTime::now()))
            && fresh
    }
}

/// The algorithm that a JWT names.
fn header_of(token: &str) -> Option<String> {
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next()?).ok()?;
    let header: Value = serde_json::from_slice(&header).ok()?;
    Some(header.get("alg")?.as_str()?.to_owned())
}

fn unescaped(text: &str) -> String {
    let pairs = url::form_urlencoded::parse(text.as_bytes());
    pairs.map(|(name, _)| name.into_owned()).collect()
}
