//! What clients learn of the server before they ask it: its metadata (RFC 8414) and its keys.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::config::AuthorizationServerConfig;

/// Asked for together with the others, for a refresh token. Clients of OpenID providers know it.
pub(crate) const OFFLINE_ACCESS: &str = "offline_access";

/// The profile of identity assertions (section 7.2 of draft-ietf-oauth-identity-assertion-authz-grant).
const ID_JAG: &str = "urn:ietf:params:oauth:grant-profile:id-jag";

/// The metadata of the server.
pub(crate) fn render(config: &AuthorizationServerConfig) -> Bytes {
    let issuer = &config.issuer;
    let at = |path: &str| format!("{issuer}{path}");
    let names = config.scopes.iter().map(|scope| scope.name.as_str());
    let scopes: Vec<&str> = names.chain([OFFLINE_ACCESS]).collect();
    let mut document = json!({
        "issuer": issuer,
        "authorization_endpoint": at("/authorize"),
        "token_endpoint": at("/token"),
        "revocation_endpoint": at("/revoke"),
        "jwks_uri": at("/jwks.json"),
        "scopes_supported": scopes,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": config.grant_types(),
        "token_endpoint_auth_methods_supported":
            ["none", "client_secret_basic", "client_secret_post", "private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported":
            ["ES256", "ES384", "EdDSA", "PS256", "RS256"],
        "revocation_endpoint_auth_methods_supported":
            ["none", "client_secret_basic", "client_secret_post", "private_key_jwt"],
        "revocation_endpoint_auth_signing_alg_values_supported":
            ["ES256", "ES384", "EdDSA", "PS256", "RS256"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "client_id_metadata_document_supported": config.client_documents.is_some(),
        "protected_resources": [config.resource],
        // No ID token is issued. Clients that look for the OpenID form of this document insist on these.
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["EdDSA"],
    });
    if let Value::Object(document) = &mut document {
        let mut put = |name: &str, value: Value| document.insert(name.to_owned(), value);
        if config.dynamic_registration {
            put("registration_endpoint", at("/register").into());
        }
        if !config.assertion_issuers.is_empty() {
            // Whose word is taken is nobody's business (section 8.4 of the draft).
            put("authorization_grant_profiles_supported", json!([ID_JAG]));
        }
    }
    document.to_string().into()
}
