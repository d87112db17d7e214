//! Who this client is at the issuer: configured, described by a document, or registered now.

use serde_json::{Value, json};

use super::error::LoginError;
use super::issuer::Issuer;
use super::lenient::text;
use super::token::{Client, LoginRequest};

/// The name that the issuer shows to the user.
const NAME: &str = "BrainGrid MCP (this computer)";

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
        return Err(issuer.lacks(
            "lets no client register itself: set BRAINGRID_CLIENT_ID to the id of a public client \
             that is registered there",
        ));
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
    let registered: Value = issuer.accept(issuer.post_json(endpoint, &body).await)?;
    match text(&registered, "token_endpoint_auth_method") {
        None | Some("none") => {}
        Some(_) => {
            return Err(issuer.lacks(
                "registers only clients with a secret, which a program on a laptop cannot keep: \
                 set BRAINGRID_CLIENT_ID to the id of a public client that is registered there",
            ));
        }
    }
    let id = text(&registered, "client_id").map(str::to_owned);
    id.ok_or_else(|| issuer.strange("client id"))
}
