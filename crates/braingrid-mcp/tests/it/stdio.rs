//! The local transport: without a login, with one, and what goes to standard output.

use mcp_test_support::{
    Source,
    client::{Generation, RawStdio},
};
use serde_json::{Value, json};

use crate::world::{LIMIT, World};

#[tokio::test]
async fn without_a_credential_it_starts_and_says_how_to_provide_one() {
    let world = World::small().await;
    let mut stdio = RawStdio::start(&world.stdio_command()).unwrap();
    let tools = stdio
        .request(Generation::Modern, "tools/list", json!({}))
        .await
        .unwrap();
    assert!(!tools["result"]["tools"].as_array().unwrap().is_empty());
    let params = json!({ "name": "get_profile", "arguments": {} });
    let answer = stdio
        .request(Generation::Modern, "tools/call", params)
        .await
        .unwrap();
    assert_eq!(answer["result"]["isError"], true, "{answer:#}");
    let text = answer["result"]["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("BRAINGRID_API_TOKEN"), "{text}");
    assert!(world.api.requests().entries().is_empty());
    assert!(stdio.close(LIMIT).await.unwrap().success());
}

#[tokio::test]
async fn the_organization_is_the_setting_else_the_profile_else_the_token() {
    let world = World::small().await;
    let organization_sent = |stdio: Vec<(&'static str, String)>| {
        let (mut command, api) = (world.stdio_command(), &world.api);
        for (name, value) in stdio {
            command = command.env(name, value);
        }
        async move {
            api.requests().clear();
            let mut stdio = RawStdio::start(&command).unwrap();
            let params = json!({ "name": "list_projects", "arguments": {} });
            stdio
                .request(Generation::Modern, "tools/call", params)
                .await
                .unwrap();
            stdio.close(LIMIT).await.unwrap();
            let last = api.requests().entries().pop().unwrap();
            assert!(last.path.ends_with("/projects"), "{}", last.path);
            last.organization
        }
    };
    let token =
        |claims: &dyn Fn(mcp_test_support::TokenBuilder) -> mcp_test_support::TokenBuilder| {
            claims(world.issuer.token().subject("user_ada")).mint()
        };

    let named = token(&|token| token.organization("org_token"));
    let chosen = organization_sent(vec![
        ("BRAINGRID_API_TOKEN", named.clone()),
        ("BRAINGRID_ORGANIZATION_ID", "org_setting".to_owned()),
    ]);
    assert_eq!(chosen.await.as_deref(), Some("org_setting"));

    world.api.set_membership("user_ada", "org_profile");
    let unnamed = token(&|token| token.without("org_id"));
    let from_profile = organization_sent(vec![("BRAINGRID_API_TOKEN", unnamed)]);
    assert_eq!(from_profile.await.as_deref(), Some("org_profile"));

    let from_token = organization_sent(vec![("BRAINGRID_API_TOKEN", named)]);
    assert_eq!(from_token.await.as_deref(), Some("org_token"));
}

#[tokio::test]
async fn standard_output_holds_nothing_but_mcp() {
    let world = World::small().await;
    let token = world.token("user_ada", "org_ada");
    let command = world
        .stdio_command()
        .env("BRAINGRID_API_TOKEN", token)
        .env("LOG_LEVEL", "trace")
        .env("RUST_LOG", "trace");
    let mut stdio = RawStdio::start(&command).unwrap();
    stdio.initialize().await.unwrap();
    for line in [
        "garbage",
        "{}",
        "[]",
        r#"{"jsonrpc":"2.0","method":"nothing"}"#,
    ] {
        stdio.send_line(line).await.unwrap();
    }
    let params = json!({ "name": "list_projects", "arguments": {} });
    stdio
        .request(Generation::Legacy, "tools/call", params)
        .await
        .unwrap();
    stdio.close(LIMIT).await.unwrap();
    let output = stdio.output().entries();
    let lines = output.iter().filter(|line| line.source == Source::Stdout);
    for line in lines {
        let message: Value = serde_json::from_str(&line.text).expect(&line.text);
        assert_eq!(message["jsonrpc"], "2.0", "{}", line.text);
    }
    assert!(
        output.iter().any(|line| line.source == Source::Stderr),
        "logs go to standard error"
    );
}
