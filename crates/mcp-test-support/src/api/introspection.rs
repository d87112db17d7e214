//! Opaque credentials: the issuer is asked what they mean (RFC 7662), as a real API would.

use serde_json::{Map, Value};
use url::Url;

/// Whom to ask.
#[derive(Clone, Debug)]
pub(super) struct Introspection {
    endpoint: Url,
    client: reqwest::Client,
}

impl Introspection {
    /// The endpoint's URL carries the client's id and secret: `http://id:secret@127.0.0.1:1/path`.
    pub(super) fn new(endpoint: Url) -> Self {
        Self {
            endpoint,
            client: crate::http_client(),
        }
    }

    /// The claims of an active token.
    pub(super) async fn claims(&self, token: &str) -> Option<Map<String, Value>> {
        let mut endpoint = self.endpoint.clone();
        let id = self.endpoint.username();
        let secret = self.endpoint.password();
        endpoint.set_username("").ok()?;
        endpoint.set_password(None).ok()?;
        let request = self.client.post(endpoint).basic_auth(id, secret);
        let answer = request.form(&[("token", token)]).send().await.ok()?;
        let claims: Map<String, Value> = answer.json().await.ok()?;
        (claims.get("active") == Some(&Value::Bool(true))).then_some(claims)
    }
}
