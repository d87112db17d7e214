//! What the API is called with for users of our own authorization server, and what happens when it is
//! refused: the client refreshes, and is told clearly where that does not help.

use mcp_test_support::{
    Exposition, IdentityProvider, ProviderFault,
    api::{Fault, Operation, Times},
    client::{Generation, RawAnswer, RawHttp},
};
use serde_json::{Value, json};

use crate::{
    admin::Operators,
    metrics::{documented, is_of_own_server},
    own::{self, App},
    world::{World, client_of},
};

async fn call(client: &RawHttp, tokens: &Value) -> RawAnswer {
    let token = tokens["access_token"].as_str().unwrap();
    let call = client.call(Generation::Modern, "list_projects", &json!({}));
    call.bearer(token).send().await.unwrap()
}

/// What the tool said that failed.
fn complaint(answer: &RawAnswer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.body);
    let result = answer.result().unwrap();
    assert_eq!(result["isError"], true, "{result}");
    result["content"][0]["text"].as_str().unwrap().to_owned()
}

/// The client is sent for another token, and nobody to a login by hand.
fn is_sent_to_refresh(answer: &RawAnswer) {
    assert_eq!(answer.status, 401, "{}", answer.body);
    let challenge = answer.header("www-authenticate").unwrap();
    assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
}

/// A server whose users log in at a provider that asks nothing, for an API that knows its tokens.
async fn world() -> (World, IdentityProvider) {
    let world = World::small().await;
    let provider = IdentityProvider::start().await.unwrap();
    provider.register_redirect(&own::callback(&world));
    world.api.introspect_at(provider.introspection());
    (world, provider)
}

#[tokio::test]
async fn a_token_that_the_provider_withdrew_is_replaced_by_a_refresh() {
    let (world, provider) = world().await;
    let server = world.start(&own::command(&world, &provider, "")).await;
    let (app, client) = (App::register(&world).await, client_of(&server));
    let tokens = app.log_in().await;
    let good = call(&client, &tokens).await;
    assert!(good.structured().is_some(), "{}", good.body);
    provider.withdraw_access_tokens();
    let told = complaint(&call(&client, &tokens).await);
    assert!(
        told.contains("Call again: your MCP client renews it"),
        "{told}"
    );
    let asked = world.api.requests().entries().len();
    is_sent_to_refresh(&call(&client, &tokens).await);
    assert_eq!(world.api.requests().entries().len(), asked);
    let tokens = app.refresh(&tokens).await;
    assert_eq!((provider.refreshed(), provider.logins()), (1, 1));
    let good = call(&client, &tokens).await;
    assert!(good.structured().is_some(), "{}", good.body);
}

#[tokio::test]
async fn an_api_that_takes_no_token_of_a_user_ends_in_a_sentence_and_in_no_login_loop() {
    let (world, provider) = world().await;
    let server = world.start(&own::command(&world, &provider, "")).await;
    let (app, client) = (App::register(&world).await, client_of(&server));
    let mut tokens = app.log_in().await;
    let fault = Fault::Status(401);
    world
        .api
        .inject(Operation::ListProjects, fault, Times::Always);
    for _ in 0..2 {
        let told = complaint(&call(&client, &tokens).await);
        assert!(told.contains("Call again"), "{told}");
        is_sent_to_refresh(&call(&client, &tokens).await);
        tokens = app.refresh(&tokens).await;
    }
    let told = complaint(&call(&client, &tokens).await);
    let sentence = "sign in again once, and if that does not help, ask the administrator";
    assert!(told.contains(sentence), "{told}");
    let refused = call(&client, &tokens).await;
    assert_eq!(refused.status, 403, "{}", refused.body);
    assert!(refused.body.contains(sentence), "{}", refused.body);
    assert!(server.text().contains("BrainGrid did not accept"));
    assert_eq!(provider.refreshed(), 2);
}

#[tokio::test]
async fn operators_see_logins_refreshes_and_how_the_provider_is() {
    let (world, provider) = world().await;
    let command = own::command(&world, &provider, "");
    let (_server, operators) = Operators::start(&world, command).await;
    let app = App::register(&world).await;
    let tokens = app.log_in().await;
    let tokens = app.refresh(&tokens).await;
    let fault = ProviderFault::Fixed(401, json!({"error": "invalid_client"}).to_string());
    provider.break_path(IdentityProvider::TOKEN_PATH, fault);
    let refused = app.try_to_refresh(&tokens).await;
    assert_eq!(refused["error"], "temporarily_unavailable");
    let text = operators.get("/metrics").await.text;
    let metrics = Exposition::parse(&text).unwrap();
    let asked = |operation, outcome| {
        let labels = [("operation", operation), ("outcome", outcome)];
        metrics.sum(
            "mcp_server_provider_request_duration_seconds_count",
            &labels,
        )
    };
    let refused = [
        ("operation", "refresh"),
        ("reason", "temporarily_unavailable"),
    ];
    let authorization = |name: &str, labels: &[(&str, &str)]| {
        metrics.sum(&format!("mcp_server_authorization_{name}_total"), labels)
    };
    for (what, count) in [
        ("metadata", asked("metadata", "ok")),
        ("redeem", asked("redeem", "ok")),
        ("refresh", asked("refresh", "ok")),
        ("refused client", asked("refresh", "misconfigured")),
        ("logins", authorization("logins", &[])),
        ("refreshes", authorization("refreshes", &[])),
        ("asked", authorization("consents", &[("outcome", "asked")])),
        ("given", authorization("consents", &[("outcome", "given")])),
        ("refusals", authorization("refusals", &refused)),
    ] {
        assert!((count - 1.0).abs() < 0.01, "{what}: {count}");
    }
    for name in documented().iter().filter(|name| is_of_own_server(name)) {
        assert!(metrics.kinds.contains_key(name), "{name}");
    }
    assert!(!text.contains("user_ada") && !text.contains("org_ada"));
}
