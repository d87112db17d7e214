//! What must never be seen: tokens, keys and credentials in output or Redis, people in Redis keys.

use mcp_test_support::{TokenBuilder, client::Generation};
use serde_json::json;

use crate::{
    sessions::stored_sessions,
    world::{LIMIT, World, client_of, idea},
};

#[tokio::test]
async fn no_secret_reaches_output_or_redis() {
    let world = World::shared().await;
    let command = world
        .command()
        .env("LOG_LEVEL", "trace")
        .env("RUST_LOG", "trace");
    let mut server = world.start(&command).await;
    let client = client_of(&server);
    let person = |token: TokenBuilder| {
        token
            .subject("user_ada_secret")
            .organization("org_ada")
            .claim("email", "ada@secret.test")
    };
    let good = person(world.issuer.token()).mint();
    let bad = person(world.issuer.token()).tampered().mint();
    for token in [&good, &bad] {
        for generation in Generation::BOTH {
            let arguments = idea("an idea that nobody else may read");
            let request = client.call(generation, "create_requirement", &arguments);
            let answer = request.bearer(token).send().await.unwrap();
            assert!(!answer.body.contains(token.as_str()));
        }
    }
    stored_sessions(&world, 1).await;
    let stored = world.redis().keys_and_values().await.unwrap();
    server.stop(LIMIT).await.unwrap();
    let output = server.text();
    assert!(output.contains("\"access\""), "there is output to look at");

    let signature = |token: &str| token.rsplit('.').next().unwrap().to_owned();
    let secrets = [
        ("the token", good.clone()),
        ("the token's signature", signature(&good)),
        (
            "the token's claims",
            good.split('.').nth(1).unwrap().to_owned(),
        ),
        ("the bad token's signature", signature(&bad)),
        ("the encryption key", world.encryption_key.clone()),
        ("the e-mail address", "ada@secret.test".to_owned()),
        ("the subject", "user_ada_secret".to_owned()),
        ("the idea", "an idea that nobody else may read".to_owned()),
    ];
    for (what, secret) in &secrets {
        let line = output.lines().find(|line| line.contains(secret.as_str()));
        assert!(line.is_none(), "{what} is in the output: {line:?}");
        for (key, value) in &stored {
            assert!(!key.contains(secret.as_str()), "{what} is in a Redis key");
            let found = value
                .windows(secret.len())
                .any(|window| window == secret.as_bytes());
            assert!(!found, "{what} is in a Redis value");
        }
    }
    let clear = |value: &[u8]| value.windows(7).any(|window| window == b"org_ada");
    assert!(
        stored
            .iter()
            .all(|(key, value)| !key.contains("org_ada") && !clear(value))
    );
}

#[tokio::test]
async fn redis_without_encryption_key_refuses_to_start_and_says_how_to_make_one() {
    let world = World::shared().await;
    let mut server = world
        .command()
        .without_env("ENCRYPTION_KEY")
        .spawn()
        .unwrap();
    let status = server.wait(LIMIT).await.unwrap();
    assert_eq!(status.code(), Some(78));
    let output = server.text();
    assert!(
        output.contains("ENCRYPTION_KEY") && output.contains("openssl rand -hex 32"),
        "{output}"
    );
}

#[tokio::test]
async fn the_embedded_store_says_once_that_it_serves_one_instance() {
    let world = World::small().await;
    let server = world.warm_server().await;
    let token = world.token("user_ada", "org_ada");
    let request = client_of(&server).call(Generation::Modern, "list_projects", &json!({}));
    assert_eq!(request.bearer(&token).send().await.unwrap().status, 200);
    assert_eq!(
        server.text().matches("one instance only").count(),
        1,
        "{}",
        server.text()
    );
}
