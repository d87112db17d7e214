//! Clients that register themselves.

use super::*;

#[tokio::test]
async fn a_registration_is_found_again_by_every_instance() {
    let body = json!({
        "redirect_uris": ["http://127.0.0.1/cb", "cursor://x/cb"],
        "client_name": "An\u{202e} app",
        "scope": "read  write",
        "client_uri": "https://app.test/",
        "token_endpoint_auth_method": "none",
    });
    let registered = register(&clients(), body).unwrap();
    let id = registered["client_id"].as_str().unwrap();
    let client = clients().find(id, Asker::Anybody, now()).await.unwrap();
    assert_eq!(
        (client.id.as_str(), client.kind),
        (id, ClientKind::Registered)
    );
    assert_eq!(client.name.as_deref(), Some("An app"));
    assert_eq!(client.scope.as_deref(), Some("read write"));
    let redirect = client.redirect(Some("http://127.0.0.1:51004/cb")).unwrap();
    assert_eq!(redirect.kind, RedirectKind::Loopback);
    assert!(matches!(client.authentication, ClientAuthentication::None));
}

#[tokio::test]
async fn a_registration_lives_as_long_as_its_key() {
    let old = with(keys(1, &[]), Vec::new(), MemoryFacts::default());
    let body = json!({
        "redirect_uris": ["https://a.test/cb"],
        "token_endpoint_auth_method": "client_secret_post",
    });
    let registered = register(&old, body).unwrap();
    let id = registered["client_id"].as_str().unwrap();
    let secret = registered["client_secret"].as_str().unwrap();
    let pairs = [("client_id", id), ("client_secret", secret)];
    let turned = with(keys(2, &[1]), Vec::new(), MemoryFacts::default());
    assert!(
        authenticate(&turned, &HeaderMap::new(), &pairs)
            .await
            .is_ok()
    );
    let gone = with(keys(3, &[2]), Vec::new(), MemoryFacts::default());
    let refused = authenticate(&gone, &HeaderMap::new(), &pairs).await;
    assert_eq!(refused, Err(ClientError::Unknown));
}

#[test]
fn the_answer_has_everything_that_is_registered() {
    let body = json!({
        "redirect_uris": ["https://a.test/cb"],
        "client_name": "App",
        "grant_types": ["authorization_code", "refresh_token", "implicit"],
        "response_types": ["code", "token"],
        "scope": "read",
        "client_uri": "https://a.test",
        "logo_uri": "http://169.254.169.254/logo",
        "tos_uri": "javascript:x",
        "policy_uri": "",
        "contacts": ["ada@a.test"],
        "software_id": "app",
        "software_version": "1",
        "application_type": "native",
        "software_statement": "x.y.z",
        "unknown": {"a": 1},
        "jwks_uri": null,
    });
    let mut answer = register(&clients(), body).unwrap();
    assert!(
        answer["client_id"]
            .take()
            .as_str()
            .is_some_and(|id| id.len() > 100)
    );
    let expected = json!({
        "client_id": null,
        "client_id_issued_at": 1_800_000_000,
        "redirect_uris": ["https://a.test/cb"],
        "client_name": "App",
        "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "scope": "read",
        "client_uri": "https://a.test",
        "logo_uri": "http://169.254.169.254/logo",
        "contacts": ["ada@a.test"],
        "software_id": "app",
        "software_version": "1",
        "application_type": "native",
    });
    assert_eq!(answer, expected);
}

#[test]
fn a_registration_that_cannot_be_taken_says_why() {
    let uri = |length: usize| format!("https://a.test/{}", "x".repeat(length));
    for (body, code, reason) in [
        (json!([]), "invalid_client_metadata", "not a JSON object"),
        (json!({}), "invalid_redirect_uri", "between 1 and 10"),
        (
            json!({"redirect_uris": ["http://a.test"]}),
            "invalid_redirect_uri",
            "redirect_uris[0]",
        ),
        (
            json!({"redirect_uris": [uri(700)]}),
            "invalid_client_metadata",
            "1024 bytes",
        ),
        (
            json!({"redirect_uris": [uri(1)], "token_endpoint_auth_method": "private_key_jwt"}),
            "invalid_client_metadata",
            "metadata document",
        ),
        (
            json!({"redirect_uris": [uri(1)], "grant_types": ["password"]}),
            "invalid_client_metadata",
            "grant_types",
        ),
        (
            json!({"redirect_uris": [uri(1)], "client_name": 1}),
            "invalid_client_metadata",
            "client_name is not a string",
        ),
        (
            json!({"redirect_uris": [uri(1)], "x": "x".repeat(17_000)}),
            "invalid_client_metadata",
            "16 KiB",
        ),
    ] {
        let error = register(&clients(), body).unwrap_err();
        assert_eq!(error.code(), code);
        assert!(error.description().contains(reason), "{error:?}");
    }
}

/// Like VS Code, which has more redirect URIs than other clients.
#[tokio::test]
async fn the_registration_of_an_editor_fits_into_an_id() {
    let body = json!({
        "client_name": "Visual Studio Code",
        "client_uri": "https://code.visualstudio.com",
        "redirect_uris": [
            "https://insiders.vscode.dev/redirect", "https://vscode.dev/redirect",
            "http://127.0.0.1/", "http://127.0.0.1:33418/",
            "http://localhost/", "http://localhost:33418/",
        ],
        "grant_types": [
            "authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code",
        ],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "application_type": "native",
    });
    let registered = register(&clients(), body).unwrap();
    let client = clients()
        .find(
            registered["client_id"].as_str().unwrap(),
            Asker::Anybody,
            now(),
        )
        .await
        .unwrap();
    assert!(client.redirect(Some("http://127.0.0.1:51004")).is_some());
}

#[tokio::test]
async fn what_was_not_sealed_here_is_no_client() {
    let registered = register(&clients(), json!({"redirect_uris": ["https://a.test/cb"]})).unwrap();
    let id = registered["client_id"].as_str().unwrap();
    let other_kind = keys(1, &[]).seal(Kind::Refresh, "", b"{}").unwrap();
    let other = if id[50..].starts_with('A') { "B" } else { "A" };
    let altered = format!("{}{other}{}", &id[..50], &id[51..]);
    let long = "A".repeat(5000);
    for id in [
        "",
        "x",
        &id[1..],
        &altered,
        &other_kind,
        &long,
        "urn:x",
        "javascript:x",
    ] {
        assert_eq!(
            clients().find(id, Asker::Anybody, now()).await.unwrap_err(),
            ClientError::Unknown,
            "{id}"
        );
    }
}
