//! What is set for one organization holds for it at every address, and for nobody else.

use mcp_test_support::{
    ServerProcess,
    client::{Generation, RawAnswer, RawHttp},
};
use serde_json::{Value, json};

use crate::world::{World, idea};

/// A server with these tables; `{issuer}` stands for the world's.
async fn server(world: &World, tenants: &str) -> ServerProcess {
    let tenants = tenants.replace("{issuer}", &world.issuer.url());
    let file = world.home.path().join("tenants.toml");
    std::fs::write(&file, tenants).unwrap();
    let command = world.command().arg("--config").arg(file);
    world.start(&command).await
}

async fn ask(server: &ServerProcess, below: &str, token: &str, method: &str) -> RawAnswer {
    let http = RawHttp::new(format!("{}{below}", server.mcp_url()));
    let request = http.request(Generation::Modern, method, json!({}));
    request.bearer(token).send().await.unwrap()
}

async fn call(server: &ServerProcess, token: &str, tool: &str, arguments: &Value) -> RawAnswer {
    let http = RawHttp::new(server.mcp_url());
    let request = http.call(Generation::Modern, tool, arguments);
    request.bearer(token).send().await.unwrap()
}

fn names(list: &RawAnswer) -> Vec<&str> {
    let tools = list.result().expect(&list.body)["tools"].as_array();
    tools
        .unwrap()
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect()
}

fn text(answer: &RawAnswer) -> &str {
    let text = answer
        .result()
        .and_then(|it| it["content"][0]["text"].as_str());
    text.unwrap_or(&answer.body)
}

#[tokio::test]
async fn tools_that_an_organization_does_not_have_are_not_listed_and_a_call_says_why() {
    let world = World::small().await;
    let server = server(
        &world,
        "[tenants.\"org_Few\"]\ntools = [\"get_*\", \"create_project_requirement\"]\n\
         [tenants.\"org_Read\"]\nread_only = true\n",
    )
    .await;
    let token = |organization: &str| world.token("user_ada", organization);
    let (few, read, all) = (token("org_Few"), token("org_Read"), token("org_other"));
    for below in ["", "/org_Few"] {
        let list = ask(&server, below, &few, "tools/list").await;
        let expected = [
            "get_project",
            "get_profile",
            "get_project_requirement",
            "create_requirement",
            "get_project_task",
        ];
        assert_eq!(names(&list), expected, "{below}");
    }
    let reads = ask(&server, "", &read, "tools/list").await;
    assert!(
        names(&reads)
            .iter()
            .all(|name| !name.contains("create") && !name.contains("update"))
    );
    assert!(names(&reads).contains(&"list_projects"));
    let everything = ask(&server, "", &all, "tools/list").await;
    assert!(names(&everything).len() > names(&reads).len());
    // No cache between them may take one's list for another's.
    for list in [&reads, &everything] {
        assert_eq!(list.result().unwrap()["cacheScope"], "private");
    }
    for (token, tool, told) in [
        (
            &few,
            "list_projects",
            "list_projects is switched off for this organization",
        ),
        (&few, "capture_project_requirement", "is switched off"),
        (
            &read,
            "create_requirement",
            "nothing may be changed for this organization",
        ),
        (
            &read,
            "create_project_requirement",
            "create_requirement changes something",
        ),
    ] {
        let answer = call(&server, token, tool, &idea("Let shoppers pay by invoice.")).await;
        assert_eq!(answer.result().expect(&answer.body)["isError"], true);
        assert!(text(&answer).contains(told), "{tool}: {}", text(&answer));
    }
    assert!(world.api.requests().entries().is_empty());
    for (token, tool) in [
        (&few, "get_profile"),
        (&read, "list_projects"),
        (&all, "list_projects"),
    ] {
        let answer = call(&server, token, tool, &json!({})).await;
        assert_eq!(answer.result().expect(&answer.body)["isError"], false);
    }
    let info = call(&server, &read, "info", &json!({})).await;
    assert!(
        !text(&info).contains("create_requirement"),
        "{}",
        text(&info)
    );
}

#[tokio::test]
async fn who_is_not_let_in_for_an_organization_is_told_why_at_every_address() {
    let world = World::small().await;
    let server = server(
        &world,
        "[tenants.\"org_off\"]\nsuspended = true\n\
         [tenants.\"org_app\"]\nclients = [\"https://app.test/client.json\", \"app\"]\n\
         [tenants.\"org_own\"]\nissuers = [\"{issuer}\"]\n",
    )
    .await;
    let token = |organization: &str| world.issuer.token().organization(organization);
    for (token, organization, told) in [
        (token("org_off"), "org_off", Some("suspended")),
        (
            token("org_app"),
            "org_app",
            Some("does not let this MCP client in"),
        ),
        (
            token("org_app").claim("client_id", "other"),
            "org_app",
            Some("MCP client"),
        ),
        (token("org_app").claim("client_id", "app"), "org_app", None),
        (
            token("org_app").claim("azp", "https://app.test/client.json"),
            "org_app",
            None,
        ),
        (token("org_own"), "org_own", None),
        (token("org_other"), "org_other", None),
    ] {
        let token = token.mint();
        for below in [
            "",
            &format!("/{organization}"),
            &format!("/{organization}/PROJ-1"),
        ] {
            for method in ["tools/list", "server/discover"] {
                let answer = ask(&server, below, &token, method).await;
                let expected = if told.is_some() { 403 } else { 200 };
                assert_eq!(
                    answer.status, expected,
                    "{organization}{below}: {}",
                    answer.body
                );
                let told = told.unwrap_or_default();
                assert!(
                    answer.body.contains(told),
                    "{organization}: {}",
                    answer.body
                );
            }
        }
    }
}

#[tokio::test]
async fn the_metadata_of_an_organizations_address_name_whose_logins_it_takes() {
    let world = World::small().await;
    let two = "https://two.test";
    let tenants = format!(
        "[[issuers]]\nissuer = \"{{issuer}}\"\n[[issuers]]\nissuer = \"{two}\"\n\
         [tenants.\"org_two\"]\nissuers = [\"{two}\"]\n"
    );
    let tenants = tenants.replace("{issuer}", &world.issuer.url());
    let file = world.home.path().join("tenants.toml");
    std::fs::write(&file, tenants).unwrap();
    let command = world.command().without_env("OAUTH_ISSUER");
    let server = world.start(&command.arg("--config").arg(file)).await;
    let servers = async |below: &str| -> Value {
        let url = format!(
            "{}/.well-known/oauth-protected-resource/mcp{below}",
            server.base_url()
        );
        let answer = mcp_test_support::http_client().get(url).send().await;
        let document: Value = answer.unwrap().json().await.unwrap();
        document["authorization_servers"].clone()
    };
    let all = json!([world.issuer.url(), two]);
    assert_eq!(servers("").await, all);
    assert_eq!(servers("/org_other").await, all);
    assert_eq!(servers("/org_two").await, json!([two]));
    assert_eq!(servers("/org_two/PROJ-1").await, json!([two]));
    // A login of the first is none for that organization, also where it names it.
    let token = world.token("user_ada", "org_two");
    let answer = ask(&server, "", &token, "tools/list").await;
    assert_eq!(answer.status, 403);
    assert!(
        answer.body.contains("does not take logins of that"),
        "{}",
        answer.body
    );
}
