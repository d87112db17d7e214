//! The only way to a provider: one question, one answer, bounded in time and size.

use std::time::{Duration, SystemTime};

use mcp_auth::ClientAuthentication;
use mcp_outbound::{FetchError, read_body};
use reqwest::{
    RequestBuilder,
    header::{HeaderMap, RETRY_AFTER},
};
use serde_json::{Map, Value};
use url::Url;
use zeroize::Zeroizing;

use super::error::{ProviderError, Trouble};

/// Largest answer that is read, in bytes.
const MAX_ANSWER: usize = 256 * 1024;

/// GitHub answers with a form to those who do not ask for JSON.
pub(super) const JSON: &str = "application/json, */*;q=0.1";

const CLIENT_ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// An answer, whole.
pub(super) struct Reply {
    pub(super) status: u16,
    /// How long it asks to be left alone.
    pub(super) retry_after: Duration,
    pub(super) body: Zeroizing<Vec<u8>>,
}

/// Sends a request and reads its answer within `limit`.
pub(super) async fn ask(request: RequestBuilder, limit: Duration) -> Result<Reply, FetchError> {
    let asking = async {
        let response = request.header("accept", JSON).send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers());
        let retry_after = retry_after(headers);
        let body = read_body(response, MAX_ANSWER).await?;
        Ok(Reply {
            status,
            retry_after,
            body,
        })
    };
    let asked = tokio::time::timeout(limit, asking).await;
    asked.unwrap_or(Err(FetchError::Timeout))
}

impl Reply {
    /// What its status alone says, if that is enough. `endpoint` is for the operator.
    pub(super) fn verdict(&self, endpoint: &'static str) -> Result<(), ProviderError> {
        match self.status {
            // A credential goes nowhere but where it was meant to.
            300..400 => Err(ProviderError::Misconfigured(format!(
                "the provider's {endpoint} sends elsewhere (status {}): it has another address",
                self.status
            ))),
            404 | 405 | 410 => Err(ProviderError::Misconfigured(format!(
                "there is nothing at the address of the provider's {endpoint} (status {})",
                self.status
            ))),
            429 => Err(Trouble::Busy.for_a(self.retry_after)),
            500.. => Err(Trouble::Status(self.status).for_a(self.retry_after)),
            _ => Ok(()),
        }
    }

    /// The JSON object that the answer is.
    pub(super) fn object(&self) -> Option<Map<String, Value>> {
        serde_json::from_slice(&self.body).ok()
    }
}

/// Adds who asks to a request and its form, which is sent with it.
pub(super) fn as_client(
    request: RequestBuilder,
    form: &[(&'static str, &str)],
    client: (&str, &ClientAuthentication),
    endpoint: &Url,
    now: SystemTime,
) -> Result<RequestBuilder, ProviderError> {
    let (id, authentication) = client;
    let assertion: Zeroizing<String>;
    let mut form: Vec<(&str, &str)> = form.to_vec();
    let request = match authentication {
        ClientAuthentication::SecretBasic(secret) => basic(request, id, secret),
        ClientAuthentication::SecretPost(secret) => {
            form.extend([("client_id", id), ("client_secret", secret.as_str())]);
            request
        }
        ClientAuthentication::PrivateKeyJwt(key) => {
            let made = key.assertion(id, endpoint.as_str(), now);
            assertion = made.ok_or_else(|| Trouble::NoAssertion.now())?;
            form.extend([
                ("client_id", id),
                ("client_assertion_type", CLIENT_ASSERTION),
                ("client_assertion", assertion.as_str()),
            ]);
            request
        }
    };
    Ok(request.form(&form))
}

/// Both go form-encoded into HTTP Basic (RFC 6749 section 2.3.1).
pub(super) fn basic(request: RequestBuilder, id: &str, secret: &str) -> RequestBuilder {
    let encoded = |text: &str| -> Zeroizing<String> {
        Zeroizing::new(url::form_urlencoded::byte_serialize(text.as_bytes()).collect())
    };
    request.basic_auth(encoded(id).as_str(), Some(encoded(secret).as_str()))
}

/// In seconds; a date counts as no word at all.
fn retry_after(headers: &HeaderMap) -> Duration {
    let seconds = headers.get(RETRY_AFTER).and_then(|it| it.to_str().ok());
    let seconds = seconds.and_then(|it| it.trim().parse().ok());
    Duration::from_secs(seconds.unwrap_or_default())
}
