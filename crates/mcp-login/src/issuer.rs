//! The authorization server: its metadata, and the one way requests go to it.

use std::time::Duration;

use reqwest::{RequestBuilder, StatusCode};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use url::{Host, Url};
use zeroize::Zeroizing;

use super::error::LoginError;

/// Largest answer that is read, in bytes.
const MAX_BODY: usize = 512 * 1024;

/// An authorization server whose metadata was read.
#[derive(Debug, Clone)]
pub(crate) struct Issuer {
    pub(crate) metadata: Metadata,
    http: reqwest::Client,
}

/// The part of the metadata that a client needs (RFC 8414 section 2).
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) issuer: String,
    #[serde(default, deserialize_with = "optional_url")]
    pub(crate) authorization_endpoint: Option<Url>,
    #[serde(deserialize_with = "url")]
    pub(crate) token_endpoint: Url,
    #[serde(default, deserialize_with = "optional_url")]
    pub(crate) registration_endpoint: Option<Url>,
    /// RFC 8628 section 4.
    #[serde(default, deserialize_with = "optional_url")]
    pub(crate) device_authorization_endpoint: Option<Url>,
    #[serde(default, deserialize_with = "optional_url")]
    pub(crate) revocation_endpoint: Option<Url>,
    /// RFC 9207 section 3.
    #[serde(default)]
    pub(crate) authorization_response_iss_parameter_supported: bool,
    #[serde(default)]
    pub(crate) client_id_metadata_document_supported: bool,
}

/// What an endpoint answered.
pub(crate) enum Answer {
    /// 2xx.
    Good(Zeroizing<Vec<u8>>),
    /// An OAuth error with its code.
    Error(String),
    /// Nothing that can be understood. Whether the request was acted upon is not known.
    Lost(String),
    /// The request never got there.
    Unsent(String),
}

impl Issuer {
    /// Reads the metadata of the issuer, which must name exactly this one (RFC 8414 section 3.3).
    pub(crate) async fn discover(issuer: &str) -> Result<Self, LoginError> {
        let http = client()?;
        let mut problem = "it has no metadata".to_owned();
        for url in metadata_urls(issuer) {
            let request = http.get(url).header("accept", "application/json");
            match send(request).await {
                Answer::Good(body) => match serde_json::from_slice::<Metadata>(&body) {
                    Ok(metadata) if metadata.issuer == issuer => {
                        metadata.check()?;
                        return Ok(Self { metadata, http });
                    }
                    Ok(_) => "its metadata names another issuer".clone_into(&mut problem),
                    Err(_) => "its metadata is incomplete".clone_into(&mut problem),
                },
                Answer::Error(_) => {}
                // An issuer that does not answer will not answer the next path either.
                Answer::Unsent(what) => return Err(unreachable(issuer, what)),
                Answer::Lost(what) => problem = what,
            }
        }
        Err(unreachable(issuer, problem))
    }

    /// Posts a form to one of its endpoints.
    pub(crate) async fn post(&self, endpoint: &Url, form: &[(&str, &str)]) -> Answer {
        send(self.http.post(endpoint.clone()).form(form)).await
    }

    /// Posts JSON to one of its endpoints.
    pub(crate) async fn post_json(&self, endpoint: &Url, body: &serde_json::Value) -> Answer {
        send(self.http.post(endpoint.clone()).json(body)).await
    }

    /// The good answer, decoded; everything else as an error.
    pub(crate) fn accept<T: DeserializeOwned>(&self, answer: Answer) -> Result<T, LoginError> {
        match answer {
            Answer::Good(body) => {
                serde_json::from_slice(&body).map_err(|_| self.unreachable("its answer is strange"))
            }
            answer => Err(self.refusal(answer)),
        }
    }

    /// What an answer that is not good means.
    pub(crate) fn refusal(&self, answer: Answer) -> LoginError {
        match answer {
            Answer::Error(code) if code == "access_denied" => LoginError::Declined,
            Answer::Error(code) => LoginError::Refused {
                issuer: self.metadata.issuer.clone(),
                code,
            },
            Answer::Lost(what) | Answer::Unsent(what) => self.unreachable(what),
            Answer::Good(_) => self.unreachable("its answer is strange"),
        }
    }

    pub(crate) fn unreachable(&self, what: impl Into<String>) -> LoginError {
        unreachable(&self.metadata.issuer, what)
    }

    /// Says that the issuer lacks something, and what else can be done.
    pub(crate) fn lacks(&self, what: &str) -> LoginError {
        LoginError::Unsupported(format!("{} {what}", self.metadata.issuer))
    }
}

impl Metadata {
    /// Codes and tokens travel to these.
    fn check(&self) -> Result<(), LoginError> {
        let endpoints = [
            self.authorization_endpoint.as_ref(),
            Some(&self.token_endpoint),
            self.registration_endpoint.as_ref(),
            self.device_authorization_endpoint.as_ref(),
            self.revocation_endpoint.as_ref(),
        ];
        if endpoints.into_iter().flatten().all(is_safe) {
            return Ok(());
        }
        let what = "its metadata names an endpoint without https";
        Err(unreachable(&self.issuer, what))
    }
}

fn unreachable(issuer: &str, problem: impl Into<String>) -> LoginError {
    LoginError::Unreachable {
        issuer: issuer.to_owned(),
        problem: problem.into(),
    }
}

/// No redirects: a code or a token goes where the metadata says, or nowhere.
fn client() -> Result<reqwest::Client, LoginError> {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(5))
        .timeout(Duration::from_secs(15))
        .user_agent(concat!("braingrid-mcp/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|_| LoginError::Local("the TLS library cannot be set up".to_owned()))
}

async fn send(request: RequestBuilder) -> Answer {
    let mut response = match request.send().await {
        Ok(response) => response,
        Err(error) if error.is_connect() => {
            return Answer::Unsent("the connection failed".to_owned());
        }
        Err(error) if error.is_timeout() => {
            return Answer::Lost("it did not answer in time".to_owned());
        }
        Err(_) => return Answer::Lost("the connection broke".to_owned()),
    };
    let status = response.status();
    let mut body = Zeroizing::new(Vec::new());
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= MAX_BODY => {
                body.extend_from_slice(&chunk);
            }
            Ok(Some(_)) => return Answer::Lost("its answer is too long".to_owned()),
            Ok(None) => break,
            Err(_) => return Answer::Lost("the connection broke".to_owned()),
        }
    }
    if status.is_success() {
        return Answer::Good(body);
    }
    match error_code(&body) {
        Some(code) if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS => {
            Answer::Error(code)
        }
        _ => Answer::Lost(format!("it answered {}", status.as_u16())),
    }
}

/// The `error` of an OAuth error answer, where it looks like one.
fn error_code(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Refusal {
        error: String,
    }
    let code = serde_json::from_slice::<Refusal>(body).ok()?.error;
    is_code(&code).then_some(code)
}

/// Error codes are shown: nothing but what standards call their codes.
pub(crate) fn is_code(code: &str) -> bool {
    let legal = |c: char| c.is_ascii_lowercase() || c == '_';
    (1..=40).contains(&code.len()) && code.chars().all(legal)
}

fn url<'de, D: Deserializer<'de>>(text: D) -> Result<Url, D::Error> {
    String::deserialize(text)?.parse().map_err(D::Error::custom)
}

fn optional_url<'de, D: Deserializer<'de>>(text: D) -> Result<Option<Url>, D::Error> {
    let text = Option::<String>::deserialize(text)?;
    let parsed = text.map(|text| text.parse().map_err(D::Error::custom));
    parsed.transpose()
}

fn is_safe(url: &Url) -> bool {
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && loopback)
}

/// Where the metadata may be, in the order MCP names them: RFC 8414, OpenID Connect with the path
/// inserted, OpenID Connect with the path in front.
fn metadata_urls(issuer: &str) -> Vec<Url> {
    let Ok(base) = Url::parse(issuer) else {
        return Vec::new();
    };
    let path = base.path().trim_end_matches('/');
    let mut paths = vec![
        format!("/.well-known/oauth-authorization-server{path}"),
        format!("/.well-known/openid-configuration{path}"),
    ];
    if !path.is_empty() {
        paths.push(format!("{path}/.well-known/openid-configuration"));
    }
    let at = |path: String| {
        let mut url = base.clone();
        url.set_path(&path);
        url
    };
    paths.into_iter().map(at).filter(is_safe).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_fetched_or_sent_without_encryption() {
        assert!(metadata_urls("http://auth.test").is_empty());
        assert_eq!(metadata_urls("http://127.0.0.1:1").len(), 2);
        assert_eq!(metadata_urls("https://auth.test/tenant/").len(), 3);
        let metadata = |token_endpoint: &str| -> Metadata {
            let json = serde_json::json!({"issuer": "x", "token_endpoint": token_endpoint});
            serde_json::from_value(json).unwrap()
        };
        assert!(metadata("https://auth.test/token").check().is_ok());
        assert!(metadata("http://auth.test/token").check().is_err());
        assert!(metadata("file:///token").check().is_err());
    }

    #[test]
    fn only_codes_of_the_standards_are_repeated() {
        let code = |text: &str| error_code(text.as_bytes());
        assert_eq!(
            code(r#"{"error":"invalid_grant","error_description":"secret"}"#).as_deref(),
            Some("invalid_grant")
        );
        for text in [
            "",
            "{}",
            r#"{"error":""}"#,
            r#"{"error":"<script>"}"#,
            r#"{"error":7}"#,
        ] {
            assert_eq!(code(text), None, "{text}");
        }
    }
}
