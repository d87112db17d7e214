//! The authorization server: its metadata, and the one way requests go to it.

use mcp_outbound::{
    FetchError, SystemRoots, http_client, is_issuer, is_secure, metadata_urls, read_body,
};
use reqwest::{RequestBuilder, StatusCode};
use serde_json::Value;
use url::Url;
use zeroize::Zeroizing;

use super::error::{LoginError, known_code};
use super::lenient::text;
use super::purpose::is_same;

/// Largest answer that is read, in bytes.
const MAX_BODY: usize = 512 * 1024;

/// An authorization server whose metadata was read.
#[derive(Debug, Clone)]
pub(crate) struct Issuer {
    pub(crate) metadata: Metadata,
    http: reqwest::Client,
}

/// The part of the metadata that a client needs (RFC 8414 section 2).
#[derive(Debug, Clone)]
pub(crate) struct Metadata {
    pub(crate) issuer: String,
    pub(crate) authorization_endpoint: Option<Url>,
    pub(crate) token_endpoint: Url,
    pub(crate) registration_endpoint: Option<Url>,
    /// RFC 8628 section 4.
    pub(crate) device_authorization_endpoint: Option<Url>,
    pub(crate) revocation_endpoint: Option<Url>,
    /// RFC 9207 section 3.
    pub(crate) authorization_response_iss_parameter_supported: bool,
    pub(crate) client_id_metadata_document_supported: bool,
}

/// What an endpoint answered.
pub(crate) enum IssuerResponse {
    /// 2xx.
    Good(Zeroizing<Vec<u8>>),
    /// An OAuth error with its code.
    Error(String),
    /// A refusal of this status without a reason, as a proxy or a firewall gives it.
    ErrorStatus(u16),
    /// Nothing that can be understood. Whether the request was acted upon is not known.
    Lost(String),
    /// The request never got there.
    Unsent(String),
}

impl Issuer {
    /// Reads the metadata of the issuer, which must name this one (RFC 8414 section 3.3). A slash
    /// at the end makes no other: both spellings have their metadata in the same place.
    pub(crate) async fn discover(issuer: &str) -> Result<Self, LoginError> {
        let http = client()?;
        let mut problem = unusable(
            issuer,
            "it has no OAuth or OpenID Connect metadata: check OAUTH_ISSUER",
        );
        for url in metadata_urls(issuer) {
            match send(http.get(url)).await {
                IssuerResponse::Good(body) => match Metadata::read(&body) {
                    Ok(metadata) if is_same(&metadata.issuer, issuer) => {
                        metadata.check()?;
                        return Ok(Self { metadata, http });
                    }
                    Ok(metadata) => problem = unusable(issuer, another(&metadata.issuer)),
                    Err(what) => problem = unusable(issuer, what),
                },
                IssuerResponse::Error(_) | IssuerResponse::ErrorStatus(_) => {}
                // An issuer that does not answer will not answer the next path either.
                IssuerResponse::Unsent(what) => return Err(unreachable(issuer, what)),
                IssuerResponse::Lost(what) => problem = unreachable(issuer, what),
            }
        }
        Err(problem)
    }

    /// Posts a form to one of its endpoints.
    pub(crate) async fn post(&self, endpoint: &Url, form: &[(&str, &str)]) -> IssuerResponse {
        send(self.http.post(endpoint.clone()).form(form)).await
    }

    /// Posts JSON to one of its endpoints.
    pub(crate) async fn post_json(
        &self,
        endpoint: &Url,
        body: &serde_json::Value,
    ) -> IssuerResponse {
        send(self.http.post(endpoint.clone()).json(body)).await
    }

    /// The good answer, as JSON; everything else as an error.
    pub(crate) fn accept(&self, answer: IssuerResponse) -> Result<Value, LoginError> {
        match answer {
            IssuerResponse::Good(body) => serde_json::from_slice(&body)
                .ok()
                .filter(Value::is_object)
                .ok_or_else(|| self.strange("JSON")),
            answer => Err(self.refusal(answer)),
        }
    }

    /// What an answer that is not good means.
    pub(crate) fn refusal(&self, answer: IssuerResponse) -> LoginError {
        match answer {
            IssuerResponse::Error(code) => LoginError::refused(&self.metadata.issuer, &code),
            IssuerResponse::ErrorStatus(status) => {
                let what = format!("it answered {status} and gave no reason");
                unusable(&self.metadata.issuer, what)
            }
            IssuerResponse::Lost(what) | IssuerResponse::Unsent(what) => {
                unreachable(&self.metadata.issuer, what)
            }
            IssuerResponse::Good(_) => self.strange("what was asked for"),
        }
    }

    /// Says that a good answer lacks something.
    pub(crate) fn strange(&self, lacking: &str) -> LoginError {
        unusable(
            &self.metadata.issuer,
            format!("its answer holds no {lacking}"),
        )
    }

    /// Says that the issuer lacks something, and what else can be done.
    pub(crate) fn lacks(&self, what: &str) -> LoginError {
        LoginError::Unsupported(format!("{} {what}", self.metadata.issuer))
    }
}

impl Metadata {
    /// Reads the fields that count. One that is null or of another type is not there.
    fn read(body: &[u8]) -> Result<Self, &'static str> {
        let document: Value =
            serde_json::from_slice(body).map_err(|_| "its metadata is no JSON")?;
        let url = |name: &str| text(&document, name)?.parse::<Url>().ok();
        // Where it is announced in whatever way, the stricter rule holds.
        let announced = |name: &str| match document.get(name) {
            Some(Value::Bool(announced)) => *announced,
            Some(Value::String(text)) => text.eq_ignore_ascii_case("true"),
            _ => false,
        };
        Ok(Self {
            issuer: text(&document, "issuer")
                .ok_or("its metadata names no issuer")?
                .to_owned(),
            authorization_endpoint: url("authorization_endpoint"),
            token_endpoint: url("token_endpoint").ok_or("its metadata names no token endpoint")?,
            registration_endpoint: url("registration_endpoint"),
            device_authorization_endpoint: url("device_authorization_endpoint"),
            revocation_endpoint: url("revocation_endpoint"),
            authorization_response_iss_parameter_supported: announced(
                "authorization_response_iss_parameter_supported",
            ),
            client_id_metadata_document_supported: announced(
                "client_id_metadata_document_supported",
            ),
        })
    }

    /// Codes and tokens travel to these.
    fn check(&self) -> Result<(), LoginError> {
        let endpoints = [
            self.authorization_endpoint.as_ref(),
            Some(&self.token_endpoint),
            self.registration_endpoint.as_ref(),
            self.device_authorization_endpoint.as_ref(),
            self.revocation_endpoint.as_ref(),
        ];
        if endpoints.into_iter().flatten().all(is_secure) {
            return Ok(());
        }
        let what = "its metadata names an endpoint without https";
        Err(unusable(&self.issuer, what))
    }
}

fn unreachable(issuer: &str, problem: impl Into<String>) -> LoginError {
    LoginError::Unreachable {
        issuer: issuer.to_owned(),
        problem: problem.into(),
    }
}

fn unusable(issuer: &str, problem: impl Into<String>) -> LoginError {
    LoginError::Unusable {
        issuer: issuer.to_owned(),
        problem: problem.into(),
    }
}

/// What to do about metadata of another name. That name is shown only where it can be one.
fn another(named: &str) -> String {
    if !is_issuer(named) {
        return "its metadata names another issuer".to_owned();
    }
    format!(
        "its metadata names another issuer, {named}: if that is the one you mean, set OAUTH_ISSUER to \
         exactly this text"
    )
}

/// No redirects: a code or a token goes where the metadata says, or nowhere.
fn client() -> Result<reqwest::Client, LoginError> {
    let agent = concat!("braingrid-mcp/", env!("CARGO_PKG_VERSION"));
    let client = SystemRoots::new()
        .tls_config()
        .and_then(|tls| http_client(tls, agent));
    client.map_err(|error| LoginError::Local(error.to_string()))
}

async fn send(request: RequestBuilder) -> IssuerResponse {
    // Some answer in the encoding of forms unless they are asked.
    let request = request.header("accept", "application/json");
    let exchanged = async {
        let response = request.send().await?;
        let status = response.status();
        Ok((status, read_body(response, MAX_BODY).await?))
    };
    match exchanged.await {
        Ok((status, body)) => answer(status, body),
        Err(error @ FetchError::NotSent) => IssuerResponse::Unsent(error.to_string()),
        Err(error) => IssuerResponse::Lost(error.to_string()),
    }
}

/// What a status and a body mean. Some issuers answer an error with status 200.
fn answer(status: StatusCode, body: Zeroizing<Vec<u8>>) -> IssuerResponse {
    let passing = [
        StatusCode::REQUEST_TIMEOUT,
        StatusCode::TOO_EARLY,
        StatusCode::TOO_MANY_REQUESTS,
    ];
    let definite = status.is_client_error() && !passing.contains(&status);
    match error_code(&body) {
        Some(code) if definite || status.is_success() => IssuerResponse::Error(code),
        None if status.is_success() => IssuerResponse::Good(body),
        None if definite => IssuerResponse::ErrorStatus(status.as_u16()),
        _ => IssuerResponse::Lost(format!("it answered {}", status.as_u16())),
    }
}

/// The `error` of an OAuth error answer: its code, also where it is the member of an object or has
/// Okta's name, or that there is one.
fn error_code(body: &[u8]) -> Option<String> {
    let document: Value = serde_json::from_slice(body).ok()?;
    let code = match document
        .get("error")
        .or_else(|| document.get("errorCode"))?
    {
        Value::String(code) => code.trim(),
        Value::Object(error) => {
            let named = |name: &str| error.get(name)?.as_str();
            named("code").or_else(|| named("type")).unwrap_or("?")
        }
        Value::Bool(true) | Value::Number(_) | Value::Array(_) => "?",
        Value::Bool(false) | Value::Null => "",
    };
    if code.is_empty() {
        return None;
    }
    let code = known_code(code).unwrap_or("an error without a known code");
    Some(code.to_owned())
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
            Metadata::read(json.to_string().as_bytes()).unwrap()
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
        let unknown = "an error without a known code";
        for (text, expected) in [
            ("", None),
            ("{}", None),
            (r#"{"error":""}"#, None),
            (r#"{"error":null}"#, None),
            (r#"{"error":false}"#, None),
            (r#"{"error":"<script>"}"#, Some(unknown)),
            (r#"{"error":7}"#, Some(unknown)),
            (r#"{"error":{"message":"x"}}"#, Some(unknown)),
            (
                r#"{"error":{"code":"invalid_grant"}}"#,
                Some("invalid_grant"),
            ),
            (
                r#"{"errorCode":"invalid_client","errorSummary":"Invalid value","errorCauses":[]}"#,
                Some("invalid_client"),
            ),
            (r#"{"errorCode":"E0000006"}"#, Some("E0000006")),
            (r#"{"errorCode":"Esecret1"}"#, Some(unknown)),
            (
                r#"{"error":"authorization_declined"}"#,
                Some("access_denied"),
            ),
            (r#"{"error":"code_expired"}"#, Some("expired_token")),
        ] {
            assert_eq!(code(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn an_error_is_one_whatever_its_status_and_passes_only_where_it_can() {
        let told = |status: u16, body: &str| {
            let body = Zeroizing::new(body.as_bytes().to_vec());
            match answer(StatusCode::from_u16(status).unwrap(), body) {
                IssuerResponse::Good(_) => "good".to_owned(),
                IssuerResponse::Error(code) => code,
                IssuerResponse::ErrorStatus(status) => format!("refusal {status}"),
                IssuerResponse::Lost(_) => "lost".to_owned(),
                IssuerResponse::Unsent(_) => "unsent".to_owned(),
            }
        };
        let pending = r#"{"error":"authorization_pending"}"#;
        assert_eq!(told(200, pending), "authorization_pending");
        assert_eq!(told(400, pending), "authorization_pending");
        assert_eq!(told(200, r#"{"access_token":"x","error":null}"#), "good");
        assert_eq!(told(503, pending), "lost");
        assert_eq!(told(429, r#"{"error":"slow"}"#), "lost");
        assert_eq!(told(403, "<html>"), "refusal 403");
        assert_eq!(told(502, "<html>"), "lost");
        assert_eq!(told(302, ""), "lost");
    }

    #[test]
    fn fields_that_nobody_needs_may_be_anything() {
        let odd = r#"{"issuer":"https://a.test","token_endpoint":"https://a.test/t",
            "authorization_endpoint":"https://a.test/a","registration_endpoint":"",
            "device_authorization_endpoint":null,"revocation_endpoint":7,
            "authorization_response_iss_parameter_supported":null,
            "client_id_metadata_document_supported":"true","scopes_supported":{}}"#;
        let read = Metadata::read(odd.as_bytes()).unwrap();
        assert!(read.authorization_endpoint.is_some() && read.registration_endpoint.is_none());
        assert!(read.device_authorization_endpoint.is_none() && read.revocation_endpoint.is_none());
        assert!(!read.authorization_response_iss_parameter_supported);
        assert!(read.client_id_metadata_document_supported);
        for needed in ["{}", "[]", "", r#"{"issuer":"x","token_endpoint":null}"#] {
            assert!(Metadata::read(needed.as_bytes()).is_err(), "{needed}");
        }
    }

    #[test]
    fn an_issuer_of_another_name_is_shown_as_it_has_to_be_written() {
        assert!(is_same("https://a.test/", "https://a.test"));
        assert!(is_same("https://a.test", "https://a.test/"));
        assert!(!is_same("https://a.test//", "https://a.test"));
        assert!(!is_same("https://A.test", "https://a.test"));
        assert!(another("https://A.test").contains("https://A.test"));
        for hidden in ["http://a.test", "https://user:hunter2@a.test"] {
            assert!(!another(hidden).contains(hidden), "{hidden}");
        }
    }
}
