//! Each vendor's documented token shape goes through its preset.

use mcp_auth::{AuthError, ForbiddenReason, Preset, VerifierConfig};
use mcp_test_support::TokenBuilder;
use serde_json::json;

use crate::world::{RESOURCE, config_for, issuer, verifier_with, verify};

struct Shape {
    preset: Preset,
    user: fn(TokenBuilder) -> TokenBuilder,
    organization: &'static str,
    scopes: &'static [&'static str],
    service: fn(TokenBuilder) -> TokenBuilder,
}

/// Claims as the vendors document them; issuer, audience and times are the stand-in's.
const SHAPES: &[Shape] = &[
    Shape {
        preset: Preset::WorkOs,
        user: |token| {
            token
                .subject("user_01HXYZ")
                .claim("org_id", "org_01HXYZ")
                .claim("sid", "session_01HXYZ")
                .claim("role", "member")
                .claim("permissions", json!(["requirements:read"]))
                .claim("scope", "openid profile")
        },
        organization: "org_01HXYZ",
        scopes: &["openid", "profile", "requirements:read"],
        service: |token| {
            token
                .subject("client_01HXYZ")
                .claim("client_id", "client_01HXYZ")
                .claim("org_id", "org_01HXYZ")
        },
    },
    Shape {
        preset: Preset::Auth0,
        user: |token| {
            token
                .subject("auth0|507f1f77bcf86cd799439011")
                .header("typ", "JWT")
                .claim(
                    "aud",
                    json!([RESOURCE, "https://tenant.auth0.com/userinfo"]),
                )
                .claim("azp", "my_client_id")
                .claim("org_id", "org_9ybsU1dN2dKfDkBi")
                .claim("org_name", "my_org")
                .claim("scope", "openid profile read:requirements")
                .claim("permissions", json!(["read:requirements"]))
        },
        organization: "org_9ybsU1dN2dKfDkBi",
        scopes: &["openid", "profile", "read:requirements"],
        service: |token| {
            token
                .subject("my_client_id@clients")
                .claim("gty", "client-credentials")
                .claim("azp", "my_client_id")
        },
    },
    Shape {
        preset: Preset::Keycloak,
        user: |token| {
            token
                .subject("f1b2c3d4-0000-4000-8000-000000000001")
                .header("typ", "JWT")
                .without("org_id")
                .claim("typ", "Bearer")
                .claim("azp", "mcp-client")
                .claim("aud", json!([RESOURCE, "account"]))
                .claim(
                    "organization",
                    json!({"acme": {"id": "42c3e46f-2477-44d7-a85b-d3b43f6b31fa"}}),
                )
                .claim("realm_access", json!({"roles": ["user"]}))
                .claim("scope", "openid organization")
                .claim("preferred_username", "ada")
        },
        organization: "42c3e46f-2477-44d7-a85b-d3b43f6b31fa",
        scopes: &["openid", "organization"],
        service: |token| {
            token
                .claim("preferred_username", "service-account-mcp")
                .claim("organization", json!(["acme"]))
        },
    },
    Shape {
        preset: Preset::Entra,
        user: |token| {
            token
                .subject("AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ")
                .header("typ", "JWT")
                .without("org_id")
                .claim("tid", "72f988bf-86f1-41af-91ab-2d7cd011db47")
                .claim("oid", "00000000-0000-0000-66f3-3332eca7ea81")
                .claim("azp", "6e74172b-be56-4843-9ff4-e66a39bb12e3")
                .claim("ver", "2.0")
                .without("scope")
                .claim("scp", "requirements.read requirements.write")
        },
        organization: "72f988bf-86f1-41af-91ab-2d7cd011db47",
        scopes: &["requirements.read", "requirements.write"],
        service: |token| {
            // Without the optional `idtyp`: then the object is its own subject.
            token
                .subject("00000000-0000-0000-66f3-3332eca7ea81")
                .claim("oid", "00000000-0000-0000-66f3-3332eca7ea81")
                .claim("tid", "72f988bf-86f1-41af-91ab-2d7cd011db47")
        },
    },
    Shape {
        preset: Preset::Descope,
        user: |token| {
            token
                .subject("U2XCVGhFfRRd0Q3xCqPvQHSJTbFS")
                .header("typ", "JWT")
                .without("org_id")
                .claim("dct", "T2XCVGhFfRRd0Q3xCqPvQHSJTbFS")
                .claim(
                    "tenants",
                    json!({"T2XCVGhFfRRd0Q3xCqPvQHSJTbFS": {"roles": ["Tenant Admin"]}}),
                )
                .claim("scope", "openid descope.claims")
        },
        organization: "T2XCVGhFfRRd0Q3xCqPvQHSJTbFS",
        scopes: &["descope.claims", "openid"],
        service: |token| token.subject("K2X").claim("azp", "K2X").claim("dct", "T2X"),
    },
];

#[tokio::test]
async fn each_documented_token_shape_is_understood() {
    let issuer = issuer().await;
    for shape in SHAPES {
        let mut config = config_for(&issuer);
        shape.preset.apply(&mut config);
        let verifier = verifier_with(config.clone(), VerifierConfig::default());
        let name = shape.preset.name();

        let token = (shape.user)(issuer.token()).mint();
        let principal = verify(&verifier, &token)
            .await
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(principal.organization(), Some(shape.organization), "{name}");
        assert_eq!(principal.scopes(), shape.scopes, "{name}");

        let service = (shape.service)(issuer.token()).mint();
        let refused = AuthError::Forbidden(ForbiddenReason::ServicePrincipal);
        assert_eq!(verify(&verifier, &service).await, Err(refused), "{name}");
        config.service_principals = true;
        let open = verifier_with(config, VerifierConfig::default());
        verify(&open, &service)
            .await
            .unwrap_or_else(|e| panic!("{name}: {e}"));
    }
}

#[test]
fn names_are_those_of_the_configuration() {
    for &preset in Preset::ALL {
        assert_eq!(preset.name().parse(), Ok(preset));
    }
    assert!("nobody".parse::<Preset>().is_err());
}
