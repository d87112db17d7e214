//! The failure table: which status and which challenge each bad token gets.

use std::sync::Arc;

use mcp_test_support::{
    Algorithm, Issuer, IssuerMode, SigningKey,
    api::{Fault, Operation, Times},
    client::{Generation, RawAnswer},
};
use serde_json::{Value, json};

use crate::world::{World, client_of};

const INVALID: &str = "Bearer error=\"invalid_token\"";

/// Tokens and headers that must be refused, and as what.
#[expect(clippy::too_many_lines, reason = "a table, one row a token")]
fn bad_tokens(world: &World) -> Vec<(&'static str, String)> {
    let good = || {
        world
            .issuer
            .token()
            .subject("user_ada")
            .organization("org_ada")
    };
    let issuer = world.issuer.url();
    let resource = world.resource();
    let foreign = || Arc::new(SigningKey::generate(Algorithm::Es256));
    let known_kid = world.issuer.key(Algorithm::Rs256).kid().to_owned();
    let parts: Vec<String> = good().mint().split('.').map(str::to_owned).collect();
    let [head, claims, signature] = parts.try_into().unwrap();
    let with_header = |json: &str| format!("{}.{claims}.{signature}", encode(json));
    let with_claims = |json: &str| format!("{head}.{}.{signature}", encode(json));
    let claim = |name: &'static str, value: Value| good().claim(name, value).mint();
    vec![
        // No JWT at all.
        ("a word", "not-a-jwt".to_owned()),
        ("two parts", "e30.e30".to_owned()),
        ("four parts", format!("{head}.{claims}.{signature}.x")),
        ("five parts (JWE)", "e30.e30.e30.e30.e30".to_owned()),
        ("empty parts", "..".to_owned()),
        ("empty header", format!(".{claims}.{signature}")),
        ("empty claims", format!("{head}..{signature}")),
        ("empty signature", format!("{head}.{claims}.")),
        ("padded base64", format!("{head}=.{claims}.{signature}")),
        (
            "plain base64 alphabet",
            format!("{head}.{claims}.{signature}+/"),
        ),
        (
            "illegal characters",
            format!("{head}.{claims}.{signature}!"),
        ),
        ("a quoted token", format!("\"{head}.{claims}.{signature}\"")),
        (
            "two tokens",
            format!("{head}.{claims}.{signature} {head}.{claims}.{signature}"),
        ),
        (
            "token and parameter",
            format!("{head}.{claims}.{signature}, realm=x"),
        ),
        (
            "percent-encoded",
            format!("{head}%2E{claims}%2E{signature}"),
        ),
        ("huge", "a".repeat(20_000)),
        // Headers.
        ("header is no JSON", with_header("{")),
        ("header is a list", with_header("[]")),
        ("header with NUL", with_header("{\"alg\":\"RS256\u{0}\"}")),
        ("no algorithm", with_header("{\"typ\":\"JWT\"}")),
        (
            "algorithm twice",
            with_header("{\"alg\":\"none\",\"alg\":\"RS256\"}"),
        ),
        ("algorithm of another type", with_header("{\"alg\":256}")),
        ("alg none", good().unsigned().mint()),
        ("alg None", with_header("{\"alg\":\"None\"}")),
        ("alg in lower case", good().header("alg", "rs256").mint()),
        ("alg with a blank", good().header("alg", "RS256 ").mint()),
        (
            "HMAC with the public key",
            good().hmac_with_public_key().mint(),
        ),
        (
            "another algorithm of the family",
            good().header("alg", "PS256").mint(),
        ),
        ("another key type", good().header("alg", "ES256").mint()),
        ("unknown algorithm", good().header("alg", "RS1024").mint()),
        (
            "unsupported algorithm",
            good().header("alg", "ES512").mint(),
        ),
        (
            "critical header",
            good().header("crit", json!(["exp"])).mint(),
        ),
        (
            "critical header of another type",
            good().header("crit", "exp").mint(),
        ),
        (
            "unencoded payload",
            good()
                .header("b64", false)
                .header("crit", json!(["b64"]))
                .mint(),
        ),
        ("a logout token", good().header("typ", "logout+jwt").mint()),
        ("a DPoP proof", good().header("typ", "dpop+jwt").mint()),
        (
            "an identity assertion",
            good().header("typ", "oauth-id-jag+jwt").mint(),
        ),
        // Keys that the token brings along.
        ("its own key", {
            let key = foreign();
            let token = good().signed_by(Arc::clone(&key)).header("jwk", key.jwk());
            token.header("kid", known_kid.clone()).mint()
        }),
        ("a key address", {
            let token = good()
                .signed_by(foreign())
                .header("jku", "http://127.0.0.1:9/keys");
            token.header("kid", known_kid.clone()).mint()
        }),
        ("a certificate address", {
            let token = good()
                .signed_by(foreign())
                .header("x5u", "http://127.0.0.1:9/cert");
            token.header("kid", known_kid.clone()).mint()
        }),
        ("a foreign key of the same type", {
            let key = Arc::new(SigningKey::generate(Algorithm::Rs256));
            good()
                .signed_by(key)
                .header("kid", known_kid.clone())
                .mint()
        }),
        // Signatures.
        ("a changed signature", good().tampered().mint()),
        (
            "claims of another token",
            with_claims(&format!(
                "{{\"iss\":\"{issuer}\",\"aud\":\"{resource}\",\"sub\":\"root\",\"org_id\":\"o\",\"exp\":9999999999}}"
            )),
        ),
        (
            "a longer signature",
            format!("{head}.{claims}.{signature}AAAA"),
        ),
        (
            "a shorter signature",
            format!("{head}.{claims}.{}", &signature[..signature.len() - 4]),
        ),
        // Claims.
        ("claims are no JSON", with_claims("{")),
        ("claims are a list", with_claims("[]")),
        ("expired", good().expires_in(-3600).mint()),
        ("expired beyond the leeway", good().expires_in(-95).mint()),
        ("expired at the beginning of time", claim("exp", json!(0))),
        ("not yet valid", good().not_before_in(3600).mint()),
        ("no issuer", good().without("iss").mint()),
        ("another issuer", claim("iss", json!("https://evil.test"))),
        (
            "issuer with a slash",
            claim("iss", json!(format!("{issuer}/"))),
        ),
        (
            "issuer in upper case",
            claim("iss", json!(issuer.to_uppercase())),
        ),
        ("issuer is a list", claim("iss", json!([issuer]))),
        ("older than any token", claim("iat", json!(1_000_000_000))),
        ("a logout token by its claims", {
            let event = "http://schemas.openid.net/event/backchannel-logout";
            claim("events", json!({ event: {} }))
        }),
        (
            "an ID token by its hash",
            good().header("typ", "JWT").claim("at_hash", "x").mint(),
        ),
        ("a token bound to a key", claim("cnf", json!({"jkt": "x"}))),
        ("no audience", good().without("aud").mint()),
        ("audience is null", claim("aud", json!(null))),
        ("empty audience list", claim("aud", json!([]))),
        (
            "another audience",
            claim("aud", json!("https://other.test/mcp")),
        ),
        (
            "audience without the path",
            claim("aud", json!(resource.trim_end_matches("/mcp"))),
        ),
        (
            "audience with a slash",
            claim("aud", json!(format!("{resource}/"))),
        ),
        (
            "audience that begins like ours",
            claim("aud", json!(format!("{resource}.evil.test"))),
        ),
        (
            "audience in unicode",
            claim("aud", json!("https://mcp\u{2024}test/mcp")),
        ),
    ]
}

fn encode(json: &str) -> String {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    URL_SAFE_NO_PAD.encode(json)
}

#[tokio::test]
async fn a_bad_token_gets_the_status_and_challenge_of_the_failure_table() {
    let world = World::small().await;
    let server = world.warm_server().await;
    let client = client_of(&server);
    let tokens = bad_tokens(&world);
    assert!(tokens.len() >= 60, "{}", tokens.len());
    let names: std::collections::BTreeSet<_> = tokens.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), tokens.len(), "each row once");
    for (name, token) in tokens {
        for generation in Generation::BOTH {
            let request = client
                .call(generation, "list_projects", &json!({}))
                .bearer(&token);
            let answer = request.send().await.unwrap();
            expect_challenge(&world, name, &answer, INVALID);
            assert!(!answer.body.contains(&token), "{name}: the token is echoed");
            let challenge = answer.header("www-authenticate").unwrap();
            assert!(!challenge.contains(&token), "{name}: the token is echoed");
        }
    }
    let fetched = world.issuer.count(Issuer::JWKS_PATH);
    assert!(fetched <= 5, "{fetched} fetches, one a cooldown");
    assert!(
        world.api.requests().entries().is_empty(),
        "no bad token reaches the API"
    );
}

#[tokio::test]
async fn strange_but_good_tokens_are_served() {
    let world = World::small().await;
    let server = world.warm_server().await;
    let good = || {
        world
            .issuer
            .token()
            .subject("user_ada")
            .organization("org_ada")
    };
    let resource = world.resource();
    for (name, token) in [
        ("expired within the leeway", good().expires_in(-60)),
        (
            "expires in the year 3000",
            good().claim("exp", 32_503_680_000_u64),
        ),
        (
            "expiry with a fraction",
            good().claim("exp", 32_503_680_000.5),
        ),
        ("audience as text", good().claim("aud", resource.clone())),
        (
            "audience among others",
            good().claim("aud", json!(["https://a.test", resource])),
        ),
        ("type in upper case", good().header("typ", "AT+JWT")),
        (
            "type with its prefix",
            good().header("typ", "application/at+jwt"),
        ),
        ("plain type", good().header("typ", "JWT")),
        ("no type", good().without_header("typ")),
        ("no kid", good().without_header("kid")),
        ("a kid that names nothing", good().header("kid", json!([7]))),
        ("empty type", good().header("typ", "")),
        ("type of any JWS", good().header("typ", "JOSE")),
        ("type of the scheme", good().header("typ", "Bearer")),
        ("nothing critical", good().header("crit", json!([]))),
        (
            "audience among what is none",
            good().claim("aud", json!([resource, null, 7])),
        ),
        ("subject is a whole float", good().claim("sub", 7.0)),
        (
            "an organization that is named twice",
            good().claim("org_id", json!(["org_ada", "org_ada", null])),
        ),
        ("bound to no key", good().claim("cnf", json!({}))),
        ("issued at zero", good().claim("iat", 0)),
        ("subject is a number", good().claim("sub", 7)),
        ("organization is a number", good().claim("org_id", 7)),
        (
            "issued in milliseconds",
            good().claim("iat", 1_790_000_000_000_u64),
        ),
        (
            "issued in the future",
            good().claim("iat", 4_000_000_000_u64),
        ),
        ("issued before there was time", good().claim("iat", -1)),
        ("issued some day", good().claim("iat", "yesterday")),
        ("no time of issue", good().without("iat")),
        ("no beginning", good().claim("nbf", json!(null))),
        (
            "the hash of an ID token in what says it is none",
            good().header("typ", "at+jwt").claim("at_hash", "x"),
        ),
        ("a hash that is null", good().claim("at_hash", json!(null))),
        ("no key binding", good().claim("cnf", json!(null))),
        ("odd claims that nobody reads", {
            let odd = good().claim("azp", json!([])).claim("email", 7);
            odd.claim("gty", json!({}))
                .claim("act", "x")
                .claim("jti", json!(null))
        }),
        ("unicode subject", good().subject("ada \u{1F600} \u{202E}")),
        (
            "scopes as a list",
            good().without("scope").claim("scp", json!(["a", "b"])),
        ),
        ("an unknown header", good().header("x", json!({"y": [1]}))),
        (
            "a key address that nobody asks",
            good().header("jku", "http://127.0.0.1:9/keys"),
        ),
    ] {
        let request = client_of(&server).call(Generation::Modern, "tools/list", &json!({}));
        let answer = request.bearer(&token.mint()).send().await.unwrap();
        assert_eq!(answer.status, 200, "{name}: {}", answer.body);
    }
}

#[tokio::test]
async fn strange_authorization_headers_are_refused_by_their_kind() {
    let world = World::small().await;
    let server = world.warm_server().await;
    let token = world.token("user_ada", "org_ada");
    for (name, header, status) in [
        ("lower case scheme", format!("bearer {token}"), 200),
        ("upper case scheme", format!("BEARER {token}"), 200),
        ("several blanks", format!("Bearer    {token}"), 200),
        ("a tab", format!("Bearer\t{token}"), 200),
        ("no blank", format!("Bearer{token}"), 401),
        ("another scheme", format!("DPoP {token}"), 401),
        ("the bare token", token.clone(), 401),
        ("a list of schemes", format!("Basic x, Bearer {token}"), 401),
        ("bytes beyond ASCII", format!("Bearer {token}\u{e9}"), 400),
    ] {
        let request = client_of(&server).call(Generation::Modern, "list_projects", &json!({}));
        let answer = request
            .header("authorization", &header)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status, status, "{name}: {}", answer.body);
        assert_eq!(
            answer.header("www-authenticate").is_some(),
            status != 200,
            "{name}"
        );
    }
    let query = format!("{}?access_token={token}", server.mcp_url());
    let http = mcp_test_support::client::RawHttp::new(query);
    let answer = http
        .call(Generation::Modern, "list_projects", &json!({}))
        .send()
        .await
        .unwrap();
    assert_eq!(
        answer.status, 401,
        "a token in the query string is no token"
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
#[expect(clippy::too_many_lines, reason = "a table, one row a token")]
async fn what_no_login_changes_is_403_with_a_sentence_for_the_administrator() {
    let world = World::small().await;
    let server = world.warm_server().await;
    let good = || {
        world
            .issuer
            .token()
            .subject("user_ada")
            .organization("org_ada")
    };
    let (year_9999, milliseconds) = (253_402_300_799_u64, 1_790_000_000_000_u64);
    for (name, token, says) in [
        ("no organization", good().without("org_id"), "organization"),
        (
            "a placeholder",
            good().organization("default"),
            "organization",
        ),
        (
            "a choice",
            good().claim("org_id", json!(["a", "b"])),
            "organization",
        ),
        (
            "a service",
            good().claim("client_id", "user_ada"),
            "service",
        ),
        (
            "a service of Okta",
            good().claim("cid", "user_ada"),
            "service",
        ),
        (
            "a service without subject",
            good().without("sub").claim("client_id", "m2m"),
            "service",
        ),
        ("no subject", good().without("sub"), "(sub)"),
        ("empty subject", good().claim("sub", ""), "(sub)"),
        ("blank subject", good().claim("sub", " "), "(sub)"),
        ("subject is null", good().claim("sub", json!(null)), "(sub)"),
        (
            "subject is a list",
            good().claim("sub", json!(["ada"])),
            "(sub)",
        ),
        ("subject is a fraction", good().claim("sub", 7.5), "(sub)"),
        ("no expiry", good().without("exp"), "claim exp"),
        (
            "expiry is null",
            good().claim("exp", json!(null)),
            "claim exp",
        ),
        (
            "expiry is text",
            good().claim("exp", "9999999999"),
            "claim exp",
        ),
        (
            "expiry is negative",
            good().claim("exp", -1),
            "claim exp is no time",
        ),
        (
            "expiry in 9999",
            good().claim("exp", year_9999),
            "claim exp is no time",
        ),
        (
            "expiry is the largest",
            good().claim("exp", u64::MAX),
            "claim exp is no time",
        ),
        (
            "expiry in milliseconds",
            good().claim("exp", milliseconds),
            "claim exp is no time",
        ),
        ("beginning is text", good().claim("nbf", "now"), "claim nbf"),
        (
            "beginning in milliseconds",
            good().claim("nbf", milliseconds),
            "claim nbf is no time",
        ),
        (
            "audience is an object",
            good().claim("aud", json!({"a": 1})),
            "claim aud",
        ),
        ("audience is a number", good().claim("aud", 7), "claim aud"),
        (
            "audience list of numbers",
            good().claim("aud", json!([7])),
            "claim aud",
        ),
    ] {
        let token = token.mint();
        let call = |token: &str| {
            client_of(&server)
                .call(Generation::Modern, "list_projects", &json!({}))
                .bearer(token)
                .send()
        };
        let answer = call(&token).await.unwrap();
        assert_eq!(answer.status, 403, "{name}: {}", answer.body);
        assert!(answer.body.contains(says), "{name}: {}", answer.body);
        assert!(
            answer.body.contains("administrator"),
            "{name}: {}",
            answer.body
        );
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(!challenge.contains("error="), "{name}: {challenge}");
        // Made up, it proves nothing about the issuer: 401 like any other.
        let (rest, _) = token.rsplit_once('.').unwrap();
        let forged = call(&format!("{rest}.AAAA")).await.unwrap();
        expect_challenge(&world, name, &forged, INVALID);
    }
    assert!(world.api.requests().entries().is_empty());
}

#[tokio::test]
async fn a_list_of_audiences_is_enough_when_one_is_ours() {
    let world = World::small().await;
    let server = world.warm_server().await;
    let audience = json!([world.resource(), "https://another.test"]);
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
async fn a_token_that_only_the_leeway_keeps_alive_ends_when_the_api_refuses_it() {
    let world = World::small().await;
    let server = world.warm_server().await;
    let client = client_of(&server);
    let call = |token: &str| {
        client
            .call(Generation::Modern, "list_projects", &json!({}))
            .bearer(token)
            .send()
    };
    let late = world
        .issuer
        .token()
        .subject("user_ada")
        .organization("org_ada")
        .expires_in(-30)
        .mint();
    let first = call(&late).await.unwrap();
    assert_eq!(first.status, 200, "within the leeway: {}", first.body);
    assert_eq!(first.result().unwrap()["isError"], true, "{}", first.body);
    // The refusal is noted beside the answer: one more call at most comes before it.
    let mut then = call(&late).await.unwrap();
    if then.status == 200 {
        then = call(&late).await.unwrap();
    }
    expect_challenge(&world, "spent", &then, INVALID);

    let fresh = world.token("user_ada", "org_ada");
    world
        .api
        .inject(Operation::ListProjects, Fault::Status(401), Times::Always);
    for _ in 0..3 {
        let answer = call(&fresh).await.unwrap();
        assert_eq!(
            answer.status, 200,
            "the API's refusal of a live token signs nobody out"
        );
        assert_eq!(answer.result().unwrap()["isError"], true, "{}", answer.body);
    }
}

#[tokio::test]
async fn an_organization_that_cannot_be_one_is_never_replaced_by_another() {
    let world = World::small().await;
    let server = world.warm_server().await;
    world.api.set_membership("user_ada", "org_of_the_profile");
    for organization in ["Default", " ", "org ada", "organisation-\u{e9}"] {
        let token = world
            .issuer
            .token()
            .subject("user_ada")
            .organization(organization)
            .mint();
        let request = client_of(&server).call(Generation::Modern, "list_projects", &json!({}));
        let answer = request.bearer(&token).send().await.unwrap();
        let refused = answer.status == 403
            || answer
                .result()
                .is_some_and(|result| result["isError"] == true);
        assert!(refused, "{organization:?}: {}", answer.body);
    }
    assert!(world.api.requests().entries().is_empty());
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
