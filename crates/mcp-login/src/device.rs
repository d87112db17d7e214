//! Login on another device, for machines without a browser (RFC 8628).

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use tokio::time::Instant;

use super::client::Way;
use super::credential::StoredCredential;
use super::error::LoginError;
use super::issuer::{Issuer, IssuerResponse};
use super::lenient::{id, seconds, text};
use super::token::{Client, LoginRequest};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// A login that waits for its user.
pub struct DeviceLogin {
    client: Client,
    device_code: SecretString,
    user_code: String,
    verification_uri: String,
    verification_uri_complete: Option<String>,
    interval: Duration,
    deadline: Instant,
}

/// How long a code is good where the issuer does not say.
const LIFE: u64 = 900;

impl DeviceLogin {
    /// Asks the issuer for a code, and registers the client where it has no id.
    ///
    /// # Errors
    /// When the issuer does not answer, or offers no login of this kind.
    pub async fn start(request: LoginRequest) -> Result<Self, LoginError> {
        let issuer = Issuer::discover(&request.issuer).await?;
        let Some(endpoint) = issuer.metadata.device_authorization_endpoint.clone() else {
            return Err(issuer.lacks(
                "has no login on another device: leave out --device, or pass a token with --token",
            ));
        };
        let client = Client::at(issuer, request, Way::Device).await?;
        let scope = client.scopes.join(" ");
        let mut form = vec![("client_id", client.id.as_str())];
        if !scope.is_empty() {
            form.push(("scope", &scope));
        }
        if let Some(resource) = &client.resource {
            form.push(("resource", resource));
        }
        let answer = client.issuer.post(&endpoint, &form).await;
        let granted = client.issuer.accept(answer)?;
        let needed = |name: &str| {
            let found = id(&granted, name);
            found.ok_or_else(|| client.issuer.strange(name))
        };
        let (interval, life) = pace(&granted);
        Ok(Self {
            device_code: SecretString::from(needed("device_code")?),
            user_code: shown(&needed("user_code")?),
            // Its name before the standard.
            verification_uri: shown(match text(&granted, "verification_url") {
                Some(page) => page,
                None => text(&granted, "verification_uri")
                    .ok_or_else(|| client.issuer.strange("verification_uri"))?,
            }),
            verification_uri_complete: text(&granted, "verification_uri_complete").map(shown),
            interval,
            deadline: Instant::now() + life,
            client,
        })
    }

    /// The code to type in at [`verification_uri`](Self::verification_uri).
    pub fn user_code(&self) -> &str {
        &self.user_code
    }

    /// The page to open on any device.
    pub fn verification_uri(&self) -> &str {
        &self.verification_uri
    }

    /// The same page with the code filled in, where the issuer has one.
    pub fn verification_uri_complete(&self) -> Option<&str> {
        self.verification_uri_complete.as_deref()
    }

    /// Asks until the user has logged in there, as often as the issuer allows.
    ///
    /// # Errors
    /// When the user or the issuer declines, or the code is over.
    pub async fn finish(mut self) -> Result<StoredCredential, LoginError> {
        while Instant::now() + self.interval < self.deadline {
            tokio::time::sleep(self.interval).await;
            let grant = [
                ("grant_type", GRANT),
                ("device_code", self.device_code.expose_secret()),
            ];
            match self.client.ask(&grant).await {
                IssuerResponse::Error(code) if code == "authorization_pending" => {}
                IssuerResponse::Error(code) if code == "slow_down" => {
                    self.interval += Duration::from_secs(5);
                }
                // RFC 8628 section 3.5: a lost answer is no reason to give up, but to slow down.
                IssuerResponse::Lost(_) | IssuerResponse::Unsent(_) => {
                    self.interval = (self.interval * 2).min(Duration::from_mins(1));
                }
                answer => return self.client.login(answer),
            }
        }
        Err(LoginError::TooLate)
    }
}

/// How often to ask, and how long the code is good. A pause that nobody would sit through, or longer
/// than the code lives, is shortened: an issuer that means it says `slow_down`.
fn pace(granted: &Value) -> (Duration, Duration) {
    let number = |name: &str| granted.get(name).and_then(seconds).filter(|it| *it > 0);
    let life = number("expires_in").unwrap_or(LIFE).clamp(10, 3_600);
    let pause = number("interval").unwrap_or(5).min(60).min(life / 4);
    (Duration::from_secs(pause), Duration::from_secs(life))
}

/// The issuer's words go to a terminal: nothing that could move its cursor.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(512).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_pace_is_one_that_a_person_waits_for() {
        let cases = [
            (json!({}), 5, 900),
            (json!({"interval": 1, "expires_in": 600}), 1, 600),
            (json!({"interval": "7", "expires_in": "600"}), 7, 600),
            (json!({"interval": 86_400, "expires_in": 600}), 60, 600),
            (json!({"interval": 86_400, "expires_in": 86_400}), 60, 3_600),
            (json!({"interval": 30, "expires_in": 20}), 5, 20),
            (json!({"interval": 0, "expires_in": 0}), 5, 900),
            (json!({"interval": -1, "expires_in": null}), 5, 900),
            (json!({"interval": "soon", "expires_in": []}), 5, 900),
            (json!({"interval": 5, "expires_in": 1}), 2, 10),
        ];
        for (granted, pause, life) in cases {
            let expected = (Duration::from_secs(pause), Duration::from_secs(life));
            assert_eq!(pace(&granted), expected, "{granted}");
        }
    }
}
