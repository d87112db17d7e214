//! What is particular about an issuer, said in its `[[issuers]]` entry.

use mcp_test_support::{Issuer, ServerProcess, client::Generation, client::RawAnswer};
use serde_json::json;

use crate::world::{LIMIT, World, client_of};

/// A server with these `[[issuers]]`; `{one}` and `{two}` stand for the issuers' identifiers.
async fn server(world: &World, two: &Issuer, issuers: &str) -> ServerProcess {
    let issuers = issuers.replace("{one}", &world.issuer.url());
    let issuers = issuers.replace("{two}", &two.url());
    let file = world.home.path().join("issuers.toml");
    std::fs::write(&file, issuers).unwrap();
    let command = world.command().without_env("OAUTH_ISSUER");
    world.start(&command.arg("--config").arg(file)).await
}

async fn call(server: &ServerProcess, token: &str) -> RawAnswer {
    let request = client_of(server).call(Generation::Modern, "tools/list", &json!({}));
    request.bearer(token).send().await.unwrap()
}

async fn other_issuer(world: &World) -> Issuer {
    let issuer = Issuer::start().await.unwrap();
    issuer.set_audience([world.resource().as_str()]);
    issuer
}

#[tokio::test]
async fn an_issuer_that_is_bound_speaks_for_its_organizations_only() {
    let world = World::small().await;
    let two = other_issuer(&world).await;
    let bound = "[[issuers]]\nissuer = \"{one}\"\norganizations = [\"org_a\", \"org_b\"]\n\
                 [[issuers]]\nissuer = \"{two}\"\norganizations = \"org_c\"\n";
    let bound = server(&world, &two, bound).await;
    assert!(
        !bound.text().contains("for any organization"),
        "{}",
        bound.text()
    );
    let token = |issuer: &Issuer, organization: &str| {
        let token = issuer.token().subject("user_ada");
        token.organization(organization).mint()
    };
    for (issuer, organization, status) in [
        (&world.issuer, "org_a", 200),
        (&world.issuer, "org_b", 200),
        (&world.issuer, "org_c", 403),
        (&world.issuer, "ORG_A", 403),
        (&two, "org_c", 200),
        (&two, "org_a", 403),
    ] {
        let answer = call(&bound, &token(issuer, organization)).await;
        assert_eq!(answer.status, status, "{organization}: {}", answer.body);
        if status == 403 {
            assert!(answer.body.contains("may not speak for"), "{}", answer.body);
        }
    }
    assert!(world.api.requests().entries().is_empty());

    let open = "[[issuers]]\nissuer = \"{one}\"\n[[issuers]]\nissuer = \"{two}\"\n";
    let open = server(&world, &two, open).await;
    assert!(
        open.text().contains("for any organization"),
        "{}",
        open.text()
    );
    assert_eq!(call(&open, &token(&two, "org_a")).await.status, 200);
}

#[tokio::test]
async fn tokens_without_audience_are_taken_of_listed_clients_only() {
    let world = World::small().await;
    let two = other_issuer(&world).await;
    let listed = "[[issuers]]\nissuer = \"{one}\"\npreset = \"cognito\"\n\
                  audience_from = \"client_id\"\naudiences = [\"app\", \"other-app\"]\n\
                  [[issuers]]\nissuer = \"{two}\"\naudiences = [\"app\"]\n";
    let server = server(&world, &two, listed).await;
    let user = |issuer: &Issuer| issuer.token().subject("user_ada").organization("org_a");
    for (name, token, status) in [
        (
            "a client",
            user(&world.issuer).without("aud").claim("client_id", "app"),
            200,
        ),
        (
            "another",
            user(&world.issuer)
                .without("aud")
                .claim("client_id", "other-app"),
            200,
        ),
        (
            "an empty list",
            user(&world.issuer)
                .claim("aud", json!([]))
                .claim("client_id", "app"),
            200,
        ),
        (
            "the resource",
            user(&world.issuer).claim("client_id", "stranger"),
            200,
        ),
        (
            "a stranger",
            user(&world.issuer)
                .without("aud")
                .claim("client_id", "stranger"),
            401,
        ),
        ("nobody", user(&world.issuer).without("aud"), 401),
        (
            "another claim",
            user(&world.issuer).without("aud").claim("azp", "app"),
            401,
        ),
        // As the audience it would be an ID token.
        (
            "the client as audience",
            user(&world.issuer).audience("app"),
            401,
        ),
        (
            "an audience that is somebody else's",
            user(&world.issuer)
                .audience("https://else.test")
                .claim("client_id", "app"),
            401,
        ),
        (
            "an issuer that is not set so",
            user(&two).without("aud").claim("client_id", "app"),
            401,
        ),
    ] {
        let answer = call(&server, &token.mint()).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.body);
    }
}

#[tokio::test]
async fn presets_find_the_organization_and_know_the_kinds_of_tokens() {
    let world = World::small().await;
    let two = other_issuer(&world).await;
    let presets = "[[issuers]]\nissuer = \"{one}\"\npreset = \"clerk\"\n\
                   [[issuers]]\nissuer = \"{two}\"\npreset = \"dex\"\n";
    let server = server(&world, &two, presets).await;
    // Neither says that its tokens are access tokens.
    let clerk = || {
        world
            .issuer
            .token()
            .subject("user_2p9")
            .without("org_id")
            .header("typ", "JWT")
    };
    let dex = || {
        two.token()
            .subject("CgNhZGE")
            .organization("org_a")
            .without_header("typ")
    };
    for (name, token, status) in [
        (
            "Clerk's second version",
            clerk().claim("o", json!({"id": "org_2p9", "rol": "admin", "slg": "acme"})),
            200,
        ),
        ("Clerk without organization", clerk(), 403),
        ("Dex's access token", dex().claim("at_hash", "x"), 200),
        (
            "Dex's ID token",
            dex().claim("at_hash", "x").claim("c_hash", "y"),
            401,
        ),
        (
            "another issuer's ID token",
            clerk()
                .claim("o", json!({"id": "org_2p9"}))
                .claim("at_hash", "x"),
            401,
        ),
    ] {
        let answer = call(&server, &token.mint()).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.body);
    }
}

#[tokio::test]
async fn no_token_lives_longer_than_the_longest_life() {
    let world = World::small().await;
    let server = world
        .start(&world.command().env("TOKEN_MAX_LIFETIME", "1h"))
        .await;
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let token = || {
        world
            .issuer
            .token()
            .subject("user_ada")
            .organization("org_a")
    };
    let for_ever = 32_503_680_000_u64;
    for (name, token, status) in [
        (
            "young",
            token().claim("iat", now - 60).claim("exp", for_ever),
            200,
        ),
        (
            "old",
            token().claim("iat", now - 3_700).claim("exp", for_ever),
            401,
        ),
        (
            "old, within the leeway",
            token().claim("iat", now - 3_660).claim("exp", for_ever),
            200,
        ),
        (
            "of no age",
            token().without("iat").claim("exp", for_ever),
            200,
        ),
    ] {
        let answer = call(&server, &token.mint()).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.body);
    }
    let outcomes = server.wait_access_log(4, LIMIT).await;
    assert!(
        outcomes.iter().any(|line| line["outcome"] == "too_old"),
        "{outcomes:?}"
    );
}

#[tokio::test]
async fn a_clock_that_is_wrong_signs_nobody_out() {
    let world = World::small().await;
    world.issuer.set_clock_offset(-7_200);
    let server = world.warm_server().await;
    for _ in 0..2 {
        let answer = call(&server, &world.token("user_ada", "org_a")).await;
        assert_eq!(answer.status, 503, "{}", answer.body);
        assert!(answer.header("retry-after").is_some());
        assert!(answer.header("www-authenticate").is_none());
    }
    let outcomes = server.wait_access_log(2, LIMIT).await;
    assert!(
        outcomes
            .iter()
            .any(|line| line["outcome"] == "clock_differs"),
        "{outcomes:?}"
    );
    let expired = world.issuer.token().organization("org_a").expires_in(-600);
    assert_eq!(call(&server, &expired.mint()).await.status, 401);
}

#[tokio::test]
async fn the_access_line_of_a_foreign_audience_says_what_came() {
    let world = World::small().await;
    let server = world.warm_server().await;
    let long = "x".repeat(5_000);
    let cases = [
        (
            json!("https://else.test/mcp"),
            "https://else.test/mcp".to_owned(),
        ),
        (json!(["a", "b"]), "a b".to_owned()),
        (json!(["a", "b", "c", "d", "e"]), "a b c ...".to_owned()),
        (json!([]), "none".to_owned()),
        (json!("a\nb\u{1b}[31m \u{202e}"), "a?b?[31m??".to_owned()),
        (json!(long), "x".repeat(120)),
    ];
    let refused = cases.len();
    for (number, (came, shown)) in cases.into_iter().enumerate() {
        let token = world
            .issuer
            .token()
            .organization("org_a")
            .claim("aud", came);
        let token = token.mint();
        assert_eq!(call(&server, &token).await.status, 401);
        let lines = server.wait_access_log(number + 1, LIMIT).await;
        let line = lines.last().unwrap();
        assert_eq!(line["outcome"], "audience");
        assert_eq!(line["audience"], shown.as_str());
        assert!(!server.text().contains(&token));
    }
    call(&server, &world.token("user_ada", "org_a")).await;
    let lines = server.wait_access_log(refused + 1, LIMIT).await;
    assert!(lines.last().unwrap().get("audience").is_none(), "{lines:?}");
}
