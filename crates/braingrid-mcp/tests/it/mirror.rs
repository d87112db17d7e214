//! Clients of MCP 2025-03-26 look for the authorization server at the resource.

use mcp_test_support::{Issuer, IssuerMode, ServerProcess, http_client};
use serde_json::Value;

use crate::world::World;

const OAUTH: &str = "/.well-known/oauth-authorization-server";
const OPENID: &str = "/.well-known/openid-configuration";

fn origin_of(server: &ServerProcess) -> String {
    server.mcp_url().trim_end_matches("/mcp").to_owned()
}

async fn get(server: &ServerProcess, path: &str) -> (u16, String) {
    let answer = http_client().get(format!("{}{path}", origin_of(server)));
    let answer = answer.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn at_the_issuer(issuer: &Issuer) -> String {
    let url = format!("{}{OAUTH}", issuer.url());
    let answer = http_client().get(url).send().await.unwrap();
    answer.text().await.unwrap()
}

#[tokio::test]
async fn a_client_that_knows_the_resource_only_finds_the_issuers_endpoints() {
    let world = World::small().await;
    let server = world.warm_server().await;
    let original = at_the_issuer(&world.issuer).await;
    // What such a client does: the host of the endpoint, without its path.
    let (status, found) = get(&server, OAUTH).await;
    assert_eq!((status, &found), (200, &original), "not a byte is another");
    let found: Value = serde_json::from_str(&found).unwrap();
    assert_eq!(found["issuer"], world.issuer.url());
    let endpoint = found["token_endpoint"].as_str().unwrap();
    assert!(endpoint.starts_with(&world.issuer.url()), "{endpoint}");
    // Clients of later revisions that found no resource metadata.
    assert_eq!(get(&server, &format!("{OAUTH}/mcp")).await.1, original);
    // It was not found there.
    let (status, text) = get(&server, OPENID).await;
    assert_eq!(status, 404);
    assert!(text.contains("no authorization server"), "{text}");
    // Those that read the resource's metadata are sent to the issuer, as before.
    let (_, resource) = get(&server, "/.well-known/oauth-protected-resource/mcp").await;
    let resource: Value = serde_json::from_str(&resource).unwrap();
    assert_eq!(resource["authorization_servers"][0], world.issuer.url());
}

#[tokio::test]
async fn a_web_page_may_read_it_and_strangers_cost_the_issuer_nothing() {
    let world = World::small().await;
    let server = world.warm_server().await;
    let before = world.issuer.count(OAUTH);
    let url = format!("{}{OAUTH}", origin_of(&server));
    for _ in 0..20 {
        let asked = http_client()
            .get(&url)
            .header("origin", "https://elsewhere.test");
        let answer = asked.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["access-control-allow-origin"], "*");
        assert_eq!(answer.headers()["content-type"], "application/json");
    }
    assert_eq!(world.issuer.count(OAUTH), before + 1);
    let asked = http_client().request(reqwest::Method::OPTIONS, &url);
    let asked = asked.header("access-control-request-headers", "mcp-protocol-version");
    let answer = asked.header("access-control-request-method", "GET").send();
    let answer = answer.await.unwrap();
    assert_eq!(answer.status(), 204);
    assert_eq!(answer.headers()["access-control-allow-headers"], "*");
    assert_eq!(http_client().post(&url).send().await.unwrap().status(), 405);
    // While the issuer is away, too.
    world.issuer.stop().await;
    assert_eq!(get(&server, OAUTH).await.0, 200);
}

#[tokio::test]
async fn there_is_none_where_it_is_off_or_an_issuer_is_not_the_only_one() {
    let world = World::small().await;
    let off = world
        .start(&world.command().env("METADATA_MIRROR", "off"))
        .await;
    let other = Issuer::start().await.unwrap();
    let file = world.home.path().join("issuers.toml");
    let issuers = [&world.issuer, &other].map(Issuer::url);
    let text = issuers.map(|url| format!("[[issuers]]\nissuer = \"{url}\"\n"));
    std::fs::write(&file, text.concat()).unwrap();
    let several = world.command().without_env("OAUTH_ISSUER");
    let several = world.start(&several.arg("--config").arg(&file)).await;
    for server in [off, several] {
        for path in [OAUTH, OPENID] {
            let (status, text) = get(&server, path).await;
            assert_eq!(status, 404);
            assert!(text.contains("no authorization server"), "{text}");
        }
    }
    assert!(other.count(OAUTH) <= 1, "for its keys");
}

#[tokio::test]
async fn an_issuer_that_was_never_there_is_said_to_be_away() {
    let world = World::small().await;
    world.issuer.set_mode(IssuerMode::Error500);
    let server = world.server().await;
    let answer = http_client().get(format!("{}{OAUTH}", origin_of(&server)));
    let answer = answer.send().await.unwrap();
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.headers()["retry-after"], "5");
}
