//! From where a request comes, in the access log and in the audit log.

use mcp_test_support::client::Generation;
use serde_json::{Value, json};

use crate::world::{LIMIT, World, client_of};

/// What the access lines of requests with these headers say: client and proxy.
async fn seen(
    world: &World,
    proxies: Option<&str>,
    headers: &[&[(&str, &str)]],
) -> (Vec<Value>, String) {
    let mut command = world.command();
    if let Some(proxies) = proxies {
        command = command.env("TRUSTED_PROXIES", proxies);
    }
    let mut server = world.start(&command).await;
    for lines in headers {
        let mut call = client_of(&server).call(Generation::Modern, "list_projects", &json!({}));
        for (name, value) in *lines {
            call = call.header(name, value);
        }
        assert_eq!(call.send().await.unwrap().status, 401);
    }
    let lines = server.wait_access_log(headers.len(), LIMIT).await;
    assert!(server.stop(LIMIT).await.unwrap().success());
    let addresses = lines
        .iter()
        .map(|line| json!([line["client_address"], line["peer_address"]]));
    (addresses.collect(), server.text())
}

#[tokio::test]
async fn only_a_trusted_proxy_says_from_where_a_request_comes() {
    let world = World::small().await;
    let headers: [&[(&str, &str)]; 4] = [
        &[],
        &[("x-forwarded-for", "198.51.100.1, 203.0.113.9")],
        &[("forwarded", r#"for="[2001:db8::7]:4711";proto=https"#)],
        &[("x-forwarded-for", "203.0.113.9, unknown")],
    ];
    let (direct, proxy) = (json!(["127.0.0.1", null]), json!("127.0.0.1"));
    let (believed, said) = seen(&world, Some("loopback"), &headers).await;
    let expected = [
        direct.clone(),
        json!(["203.0.113.9", proxy]),
        direct.clone(),
        direct.clone(),
    ];
    assert_eq!(believed, expected);
    assert!(!said.contains("not configured"), "{said}");
    let (believed, _) = seen(&world, Some("loopback,forwarded"), &headers).await;
    let named = json!(["2001:db8::7", proxy]);
    let expected = [direct.clone(), direct.clone(), named, direct.clone()];
    assert_eq!(believed, expected);

    // Nobody is trusted: somebody may be in front, and it is said once.
    for (proxies, times) in [(None, 1), (Some("10.0.0.0/8"), 1), (Some("none"), 0)] {
        let (ignored, said) = seen(&world, proxies, &headers).await;
        assert_eq!(ignored, vec![direct.clone(); 4]);
        assert_eq!(
            said.matches("a proxy is in front that is not configured")
                .count(),
            times,
            "{said}"
        );
    }
}

#[tokio::test]
async fn a_server_behind_tls_says_at_start_that_it_does_not_know_who_is_in_front() {
    let world = World::small().await;
    for (host, proxies, said) in [
        ("https://mcp.example.com", None, true),
        ("https://mcp.example.com", Some("private"), false),
        ("https://mcp.example.com", Some("none"), false),
        ("http://127.0.0.1:8080", None, false),
    ] {
        let mut command = world.command().env("MCP_HOST", host);
        if let Some(proxies) = proxies {
            command = command.env("TRUSTED_PROXIES", proxies);
        }
        let server = world.start(&command).await;
        assert_eq!(
            server.text().contains("TRUSTED_PROXIES is not set"),
            said,
            "{host} {proxies:?}"
        );
    }
}

#[tokio::test]
async fn a_request_id_is_ours_and_the_clients_stands_beside_it() {
    let world = World::small().await;
    let server = world.server().await;
    for (count, (given, kept)) in [
        (Some("01a20709-116e-74c0-af23-3bb1e0fa63b5"), true),
        (Some("a\"b"), false),
        (None, false),
    ]
    .into_iter()
    .enumerate()
    {
        let mut call = client_of(&server).call(Generation::Modern, "list_projects", &json!({}));
        if let Some(given) = given {
            call = call.header("x-request-id", given);
        }
        let answer = call.send().await.unwrap();
        let line = server
            .wait_access_log(count + 1, LIMIT)
            .await
            .pop()
            .unwrap();
        let ours = answer.header("x-request-id").unwrap();
        assert_ne!(Some(ours), given);
        assert_eq!(ours.len(), 36);
        let given = given.filter(|_| kept);
        assert_eq!(line["client_request_id"].as_str(), given, "{line}");
    }
}
