//! Who this client is at the issuer: configured, described by a document, or registered now.

use serde_json::{Value, json};

use super::error::{LoginError, is_passing};
use super::issuer::{Issuer, IssuerResponse};
use super::lenient::{id, text};
use super::token::{Client, LoginRequest};

/// The name that the issuer shows to the user.
const NAME: &str = "BrainGrid MCP (this computer)";

/// What helps where no client registers itself.
const BY_HAND: &str = "set BRAINGRID_CLIENT_ID to the id of a public client that is registered there, \
                       with the redirect URI http://127.0.0.1/callback on any port";

/// How the user logs in; a registration has to say.
pub(crate) enum Way<'a> {
    Browser { redirect_uri: &'a str },
    Device,
}

impl Client {
    /// The order of MCP: an id the issuer knows, a metadata document (an https URL as id), a
    /// registration (RFC 7591).
    pub(crate) async fn at(
        issuer: Issuer,
        request: LoginRequest,
        way: Way<'_>,
    ) -> Result<Self, LoginError> {
        let known = request.client_id.filter(|id| {
            let document = id.starts_with("https://");
            !document || issuer.metadata.client_id_metadata_document_supported
        });
        let id = match known {
            Some(id) => id,
            None => register(&issuer, way).await?,
        };
        Ok(Self {
            issuer,
            id,
            resource: request.resource,
            scopes: request.scopes,
        })
    }
}

async fn register(issuer: &Issuer, way: Way<'_>) -> Result<String, LoginError> {
    let Some(endpoint) = &issuer.metadata.registration_endpoint else {
        return Err(issuer.lacks(&format!("lets no client register itself: {BY_HAND}")));
    };
    let (redirect_uris, grants, responses) = match way {
        Way::Browser { redirect_uri } => {
            let grants = json!(["authorization_code", "refresh_token"]);
            (json!([redirect_uri]), grants, json!(["code"]))
        }
        Way::Device => {
            let device = "urn:ietf:params:oauth:grant-type:device_code";
            (json!([]), json!([device, "refresh_token"]), json!([]))
        }
    };
    let body = json!({
        "client_name": NAME,
        "application_type": "native",
        "redirect_uris": redirect_uris,
        "grant_types": grants,
        "response_types": responses,
        "token_endpoint_auth_method": "none",
    });
    let answer = issuer.post_json(endpoint, &body).await;
    if let Some(why) = turned_away(&answer) {
        return Err(issuer.lacks(&format!("does not register this client ({why}): {BY_HAND}")));
    }
    let registered: Value = issuer.accept(answer)?;
    match text(&registered, "token_endpoint_auth_method") {
        None | Some("none") => {}
        Some(_) => {
            return Err(issuer.lacks(&format!(
                "registers only clients with a secret, which a program on a laptop cannot keep: \
                 {BY_HAND}"
            )));
        }
    }
    id(&registered, "client_id").ok_or_else(|| issuer.strange("client id"))
}

/// Why a registration is refused, and will be the next time.
fn turned_away(answer: &IssuerResponse) -> Option<String> {
    match answer {
        IssuerResponse::Error(code) if !is_passing(code) => Some(code.clone()),
        IssuerResponse::ErrorStatus(status) => Some(status.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registration_that_is_refused_for_good_is_told_from_one_that_may_work_later() {
        let error = |code: &str| IssuerResponse::Error(code.to_owned());
        let cases = [
            (error("invalid_redirect_uri"), true),
            (error("invalid_client_metadata"), true),
            (error("access_denied"), true),
            (error("E0000006"), true),
            (IssuerResponse::ErrorStatus(401), true),
            (IssuerResponse::ErrorStatus(403), true),
            (error("temporarily_unavailable"), false),
            (IssuerResponse::Lost("it answered 502".to_owned()), false),
            (IssuerResponse::Unsent("no answer".to_owned()), false),
        ];
        for (answer, refused) in cases {
            let why = turned_away(&answer);
            assert_eq!(why.is_some(), refused, "{why:?}");
        }
    }
}
