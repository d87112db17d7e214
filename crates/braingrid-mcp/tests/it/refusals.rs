//! The failure table: which status and which challenge each bad token gets.

use std::sync::Arc;

use mcp_test_support::{
    Algorithm, Issuer, IssuerMode, SigningKey, TokenBuilder,
    client::{Generation, RawAnswer},
};
use serde_json::json;

use crate::world::{World, client_of};

const INVALID: &str = "Bearer error=\"invalid_token\"";

#[tokio::test]
async fn a_bad_token_gets_the_status_and_challenge_of_the_failure_table() {
    let world = World::small().await;
    let server = world.warm_server().await;
    let client = client_of(&server);
    let good = || {
        world
            .issuer
            .token()
            .subject("user_ada")
            .organization("org_ada")
    };
    let foreign = Arc::new(SigningKey::generate(Algorithm::Rs256));
    let mint = |change: &dyn Fn(TokenBuilder) -> TokenBuilder| change(good()).mint();
    let invalid = [
        ("malformed", "not-a-jwt".to_owned()),
        ("two parts", "e30.e30".to_owned()),
        ("expired", mint(&|token| token.expires_in(-3600))),
        ("not yet valid", mint(&|token| token.not_before_in(3600))),
        ("no expiry", mint(&|token| token.without("exp"))),
        (
            "wrong issuer",
            mint(&|token| token.claim("iss", "https://evil.test")),
        ),
        (
            "issuer with a slash",
            mint(&|token| token.claim("iss", format!("{}/", world.issuer.url()))),
        ),
        (
            "wrong audience",
            mint(&|token| token.claim("aud", "https://other.test/mcp")),
        ),
        ("no audience", mint(&|token| token.without("aud"))),
        (
            "audience with a slash",
            mint(&|token| token.claim("aud", format!("{}/", world.resource()))),
        ),
        ("bad signature", mint(&TokenBuilder::tampered)),
        ("foreign key under a known kid", {
            let kid = world.issuer.key(Algorithm::Rs256).kid().to_owned();
            good()
                .signed_by(Arc::clone(&foreign))
                .header("kid", kid)
                .mint()
        }),
        ("alg none", mint(&TokenBuilder::unsigned)),
        (
            "HMAC with the public key",
            mint(&TokenBuilder::hmac_with_public_key),
        ),
        (
            "critical header",
            mint(&|token| token.header("crit", json!(["exp"]))),
        ),
        (
            "another kind of token",
            mint(&|token| token.header("typ", "logout+jwt")),
        ),
        ("unknown key", good().signed_by(foreign).mint()),
    ];
    for (name, token) in invalid {
        for generation in Generation::BOTH {
            let request = client
                .call(generation, "list_projects", &json!({}))
                .bearer(&token);
            let answer = request.send().await.unwrap();
            // A second unknown key within the pause gets "cannot tell yet": see the next test.
            if name == "unknown key" && generation == Generation::Modern {
                assert_eq!(answer.status, 503, "{name}");
                continue;
            }
            expect_challenge(&world, name, &answer, INVALID);
            assert!(!answer.body.contains(&token), "{name}: the token is echoed");
        }
    }
    assert!(
        world.api.requests().entries().is_empty(),
        "no bad token reaches the API"
    );
}

#[tokio::test]
async fn no_token_and_other_schemes_get_a_challenge_without_error_code() {
    let world = World::small().await;
    let server = world.warm_server().await;
    let client = client_of(&server);
    for header in [None, Some(""), Some("Basic dXNlcjpwYXNz"), Some("Bearer")] {
        let mut request = client.call(Generation::Modern, "list_projects", &json!({}));
        if let Some(header) = header {
            request = request.header("authorization", header);
        }
        let answer = request.send().await.unwrap();
        expect_challenge(&world, "no token", &answer, "Bearer resource_metadata=");
        assert!(!answer.header("www-authenticate").unwrap().contains("error"));
    }
    let discovery = client.request(Generation::Modern, "server/discover", json!({}));
    assert_eq!(
        discovery.send().await.unwrap().status,
        401,
        "nothing is served to strangers"
    );
    assert_eq!(client.initialize().send().await.unwrap().status, 401);
}

#[tokio::test]
async fn two_authorization_headers_are_a_bad_request() {
    let world = World::small().await;
    let server = world.warm_server().await;
    let token = world.token("user_ada", "org_ada");
    let request = client_of(&server).call(Generation::Modern, "list_projects", &json!({}));
    let request = request
        .bearer(&token)
        .second_header("authorization", "Bearer other");
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status, 400);
    let challenge = answer.header("www-authenticate").unwrap();
    assert!(
        challenge.starts_with("Bearer error=\"invalid_request\""),
        "{challenge}"
    );
}

#[tokio::test]
async fn unknown_keys_cause_one_fetch_and_sign_nobody_out() {
    let world = World::small().await;
    let server = world.warm_server().await;
    let client = client_of(&server);
    let stranger = Arc::new(SigningKey::generate(Algorithm::Es256));
    let unknown = |number: u32| {
        let token = world
            .issuer
            .token()
            .subject("user_eve")
            .organization("org_eve");
        token
            .signed_by(Arc::clone(&stranger))
            .header("kid", format!("unknown-{number}"))
            .mint()
    };
    for number in 0..50 {
        let request = client.call(Generation::Modern, "list_projects", &json!({}));
        let answer = request.bearer(&unknown(number)).send().await.unwrap();
        if number == 0 {
            expect_challenge(&world, "proven unknown", &answer, INVALID);
        } else {
            assert_eq!(answer.status, 503, "cannot tell within the pause");
            assert!(answer.header("retry-after").is_some());
            assert!(answer.header("www-authenticate").is_none());
        }
    }
    assert_eq!(
        world.issuer.count(Issuer::JWKS_PATH),
        2,
        "the first fetch and one for 50 tokens"
    );

    let token = world.token("user_ada", "org_ada");
    let request = client.call(Generation::Modern, "list_projects", &json!({}));
    assert_eq!(
        request.bearer(&token).send().await.unwrap().status,
        200,
        "a known key still serves"
    );
}

#[tokio::test]
async fn an_unreachable_issuer_is_503_without_challenge() {
    for mode in [None, Some(IssuerMode::Error500), Some(IssuerMode::Garbage)] {
        let world = World::small().await;
        match mode {
            Some(mode) => world.issuer.set_mode(mode),
            None => world.issuer.stop().await,
        }
        let server = world.server().await;
        let token = world.token("user_ada", "org_ada");
        for generation in Generation::BOTH {
            let request = client_of(&server).call(generation, "list_projects", &json!({}));
            let answer = request.bearer(&token).send().await.unwrap();
            assert_eq!(answer.status, 503, "{}", answer.body);
            assert!(answer.header("www-authenticate").is_none());
            assert!(answer.header("retry-after").is_some());
        }
    }
}

#[tokio::test]
async fn a_rotated_key_is_learned_without_a_refusal() {
    let world = World::small().await;
    let server = world.warm_server().await;
    world.issuer.rotate();
    let token = world.token("user_ada", "org_ada");
    let request = client_of(&server).call(Generation::Modern, "list_projects", &json!({}));
    assert_eq!(request.bearer(&token).send().await.unwrap().status, 200);
    assert_eq!(world.issuer.count(Issuer::JWKS_PATH), 2);
}

#[tokio::test]
async fn a_good_token_that_is_not_enough_is_403_and_no_login_helps() {
    let world = World::small().await;
    let server = world.warm_server().await;
    let audience = json!([world.resource(), "https://another.test"]);
    let no_organization = world
        .issuer
        .token()
        .subject("user_ada")
        .without("org_id")
        .mint();
    let placeholder = world.issuer.token().organization("default").mint();
    for token in [no_organization, placeholder] {
        let request = client_of(&server).call(Generation::Modern, "list_projects", &json!({}));
        let answer = request.bearer(&token).send().await.unwrap();
        assert_eq!(answer.status, 403, "{}", answer.body);
        assert!(answer.body.contains("organization"), "{}", answer.body);
        assert!(
            !answer
                .header("www-authenticate")
                .unwrap()
                .contains("error=")
        );
    }
    let several = world
        .issuer
        .token()
        .organization("org_ada")
        .claim("aud", audience)
        .mint();
    let request = client_of(&server).call(Generation::Modern, "list_projects", &json!({}));
    assert_eq!(
        request.bearer(&several).send().await.unwrap().status,
        200,
        "aud may be a list"
    );
}

#[tokio::test]
async fn a_token_without_the_upstream_audience_is_403() {
    let world = World::small().await;
    let server = world
        .start(&world.command().env("UPSTREAM_AUDIENCE", "https://api.test"))
        .await;
    let token = world.token("user_ada", "org_ada");
    let request = client_of(&server).call(Generation::Modern, "list_projects", &json!({}));
    let answer = request.bearer(&token).send().await.unwrap();
    assert_eq!(answer.status, 403, "{}", answer.body);
    assert!(world.api.requests().entries().is_empty());
}

#[tokio::test]
async fn metadata_origin_and_preflight_follow_the_public_url() {
    let world = World::small().await;
    let server = world.server().await;
    let http = mcp_test_support::http_client();
    for path in ["", "/mcp"] {
        let url = format!(
            "{}/.well-known/oauth-protected-resource{path}",
            server.base_url()
        );
        let answer = http
            .get(url)
            .header("origin", "https://anywhere.test")
            .send()
            .await
            .unwrap();
        assert_eq!(answer.headers()["access-control-allow-origin"], "*");
        let document: serde_json::Value = answer.json().await.unwrap();
        assert_eq!(document["resource"], world.resource());
        assert_eq!(
            document["authorization_servers"],
            json!([world.issuer.url()])
        );
    }
    let ask = |method: reqwest::Method, origin: &str| {
        http.request(method, server.mcp_url())
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,mcp-method")
            .send()
    };
    let own = world.resource().trim_end_matches("/mcp").to_owned();
    let preflight = ask(reqwest::Method::OPTIONS, &own).await.unwrap();
    assert_eq!(preflight.status(), 204);
    assert_eq!(
        preflight.headers()["access-control-allow-origin"],
        own.as_str()
    );
    for method in [
        reqwest::Method::OPTIONS,
        reqwest::Method::POST,
        reqwest::Method::GET,
    ] {
        let refused = ask(method, "https://evil.test").await.unwrap();
        assert_eq!(refused.status(), 403);
        assert!(
            !refused
                .headers()
                .contains_key("access-control-allow-origin")
        );
    }
    let challenged = ask(reqwest::Method::POST, &own).await.unwrap();
    assert_eq!(challenged.status(), 401);
    let exposed = challenged.headers()["access-control-expose-headers"]
        .to_str()
        .unwrap();
    assert!(exposed.contains("WWW-Authenticate"));
}

fn expect_challenge(world: &World, name: &str, answer: &RawAnswer, begins: &str) {
    assert_eq!(answer.status, 401, "{name}: {}", answer.body);
    let challenge = answer.header("www-authenticate").expect(name);
    assert!(challenge.starts_with(begins), "{name}: {challenge}");
    let public = world
        .resource()
        .replace("/mcp", "/.well-known/oauth-protected-resource/mcp");
    assert!(
        challenge.contains(&format!("resource_metadata=\"{public}\"")),
        "{name}: {challenge}"
    );
}
