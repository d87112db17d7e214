//! The way to the listener for operators.

use std::fmt;

use http::{Method, StatusCode};
use mcp_outbound::SystemRoots;
use reqwest::redirect;
use secrecy::ExposeSecret as _;
use serde_json::Value;
use url::Url;

use crate::cli::exit;
use crate::config::OperatorSettings;

/// Longest answer, in bytes: a thousand sessions take less.
const LONGEST: usize = 4 * 1024 * 1024;

/// Asks one listener, with the token of an operator.
pub(super) struct Client {
    http: reqwest::Client,
    settings: OperatorSettings,
}

/// Why there is no answer, and what to do about it.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nobody answers there.
    Unreachable { url: Url, why: String },
    /// Somebody else does.
    Strange { url: Url },
    /// The listener says no, in its own words.
    Refused { status: StatusCode, error: String },
    /// It wants to know who asks.
    NoToken,
}

impl Client {
    pub(super) fn new(settings: OperatorSettings) -> Result<Self, Failure> {
        let unreachable = |why: String| Failure::Unreachable {
            url: settings.url.clone(),
            why,
        };
        let roots = SystemRoots::new();
        let tls = roots
            .tls_config()
            .map_err(|error| unreachable(error.to_string()))?;
        // No proxy: what it would read is an operator's token.
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .timeout(std::time::Duration::from_secs(15))
            .build()
            .map_err(|error| unreachable(error.to_string()))?;
        Ok(Self { http, settings })
    }

    /// What the listener answers on a path.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Value, Failure> {
        let url = &self.settings.url;
        let strange = || Failure::Strange { url: url.clone() };
        let target = url.join(path).map_err(|_| strange())?;
        let mut request = self.http.request(method, target);
        if let Some(token) = &self.settings.token {
            request = request.bearer_auth(token.expose_secret());
        }
        if let Some(body) = &body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(|error| Failure::Unreachable {
            url: url.clone(),
            why: reason(&error).to_owned(),
        })?;
        let status = response.status();
        if status == StatusCode::UNAUTHORIZED && self.settings.token.is_none() {
            return Err(Failure::NoToken);
        }
        let body = mcp_outbound::read_body(response, LONGEST).await;
        let answer: Value = body
            .ok()
            .and_then(|body| serde_json::from_slice(&body).ok())
            .ok_or_else(strange)?;
        if status.is_success() {
            return Ok(answer);
        }
        // With a description beside it, it is a word of the listener for clients.
        let description = answer.get("error_description");
        match answer.get("error").and_then(Value::as_str) {
            Some(error) if description.is_none() => Err(Failure::Refused {
                status,
                error: crate::terminal::plain(error),
            }),
            _ => Err(strange()),
        }
    }
}

fn reason(error: &reqwest::Error) -> &'static str {
    if error.is_connect() {
        "nobody listens there"
    } else if error.is_timeout() {
        "no answer within 15 seconds"
    } else {
        "the connection ended"
    }
}

impl Failure {
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Unreachable { .. } | Self::Strange { .. } => exit::UNAVAILABLE,
            Self::NoToken => exit::NO_RIGHT,
            Self::Refused { status, .. } => match *status {
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => exit::NO_RIGHT,
                StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                    exit::UNAVAILABLE
                }
                _ => exit::NO,
            },
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { url, why } => write!(
                f,
                "{url}: {why}; is ADMIN_BIND set at the server? Name its listener for operators with \
                 --admin-url, or lead a port of this machine there (kubectl port-forward)"
            ),
            Self::Strange { url } => write!(
                f,
                "{url} is no listener for operators: name the address of ADMIN_BIND, not that of clients, \
                 with --admin-url"
            ),
            Self::Refused { error, .. } => f.write_str(error),
            Self::NoToken => f.write_str(
                "this needs the token of an operator: set ADMIN_TOKEN_FILE to a file that holds it alone; \
                 tokens are made in the file of ADMIN_TOKENS_FILE, at the server",
            ),
        }
    }
}
